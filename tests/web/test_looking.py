"""What pages show of much: long tracebacks, huge payloads, many workers."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import Client

from taskq import Registry, TaskQ
from taskq_memory import MemoryBroker
from taskq_web import Dashboard, everybody
from taskq_web.frames import first_of
from taskq_web.parameters import address
from taskq_web.sights import Sights
from tests.web.conftest import MINE, Browser, Working


@pytest.fixture
def worker(app: TaskQ) -> Working:
    return Working(app)


def test_attempts_are_said_in_words(app: TaskQ, worker: Working, browser: Browser) -> None:
    app.broker.push("emails", [b'{"class":"send_email","args":[1],"taskq:attempts":1}'])
    worker.fail("emails")
    page = browser.page(address("", "/failure", {"id": app.failures.id_of(app.failures.list()[0])}))
    assert "<dt>Attempts</dt><dd>2</dd>" in page
    assert "taskq:attempts</bdi>" not in page


def test_a_row_shows_the_applications_own_line_of_a_deep_traceback() -> None:
    libraries = [f"/usr/lib/python3.11/http/client.py:{line}:in 'send'" for line in range(9)]
    assert first_of([*libraries, MINE], 4) == [MINE]
    assert first_of(libraries, 4) == libraries[:4]


def test_a_huge_payload_is_begun_and_edited_by_a_command(app: TaskQ, worker: Working, browser: Browser) -> None:
    app.enqueue_to("emails", "Import", ["row" * 20] * 10_000)
    worker.fail("emails")
    failed = app.failures.id_of(app.failures.list()[0])
    for path in ("/failed", address("", "/failure", {"id": failed}), address("", "/failure/edit", {"id": failed})):
        assert len(browser.page(path)) < 40_000
    assert f"taskq failed edit {app.failures.id_of(app.failures.list()[0])}" in browser.page(
        address("", "/failure/edit", {"id": failed})
    )
    assert browser.get(address("", "/enqueue", {"again": failed})).status_code == 413


def test_it_is_said_where_no_application_is_named() -> None:
    with TaskQ(broker=MemoryBroker(), registry=Registry()) as nameless:
        client = Client(Dashboard(nameless, access=everybody))
        for path in ("/", "/failed"):
            assert "No application is named" in client.get(path).text
            assert "No application is named" in client.get(path, headers={"X-Taskq-Live": "1"}).text
        assert "No application is named" not in client.get("/stats").text


def test_pages_that_bring_themselves_up_to_date_look_at_workers_once_a_second(app: TaskQ) -> None:
    now = 0.0
    sights = Sights(lambda: now)
    first = sights.workers(app, shared=True)
    assert sights.workers(app, shared=True) is first
    opened = sights.workers(app, shared=False)
    assert opened is not first
    assert sights.workers(app, shared=True) is opened
    now = 1.5
    assert sights.workers(app, shared=True) is not opened


def test_what_a_dead_worker_holds_is_marked_and_counts_as_no_work(
    app: TaskQ, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.enqueue("send_email", "a@example.com")
    worker = Working(app)
    worker.take("emails")
    for path in ("/", "/working"):
        page = browser.page(path)
        assert "Working" in page
        assert re.search(r'<span class="dim">1 of 1', page)
        assert 'class="state silent"' not in page
    later = app.broker.now() + 3600
    monkeypatch.setattr(app.broker, "now", lambda: later)
    for path in ("/", "/working"):
        page = browser.page(path)
        assert re.search(r'<span class="dim">0 of 0( workers)?, and 1 job in dead hands</span>', page)
        assert re.search(r'data-key="host-1:4711:\*".*<span class="state (silent|dead)">', page)
    figures = re.findall(r'class="what">(\w+)</span> <span class="value">(\d+)', browser.page("/"))
    assert dict(figures)["Working"] == dict(figures)["Workers"] == "0"
