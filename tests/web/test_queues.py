from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from html import unescape

import pytest
import redis
from werkzeug.test import Client

from taskq import BrokerUnavailable, TaskQ
from taskq.broker import Capability
from taskq.short_names import short
from taskq.testing import stores
from taskq_web import Dashboard, everybody
from taskq_web.parameters import address
from tests.web.conftest import Browser, Working
from tests.web.reading import Page


def test_the_overview_tells_what_there_is(app: TaskQ, browser: Browser) -> None:
    assert "No queue yet" in browser.page("/")
    assert "No worker" in browser.page("/")
    app.enqueue("send_email", "a@example.com")
    app.enqueue("send_email", "b@example.com")
    assert "No worker serves" in browser.page("/")
    worker = Working(app)
    worker.take()
    page = browser.page("/")
    assert re.findall(r'<span class="value">(\d+)</span>', page) == ["1", "1", "0", "1"]
    assert "&#34;a@example.com&#34;" in page
    assert "No worker serves" not in page


@pytest.mark.parametrize("queue", ["emails", "", "emails-" * 100])
def test_a_queue_is_read_page_by_page(app: TaskQ, browser: Browser, queue: str) -> None:
    for number in range(60):
        app.enqueue_to(queue, "send_email", f"{number:02}@example.com")
    seen, path = [], address("", "/queue", {"name": short(queue)})
    while path:
        page = browser.page(path)
        seen += re.findall(r"(\d\d)@example.com", page)
        further = [each["href"] for each in Page(page).all("a") if each.get("rel") == "next"]
        path = further[0] if further else ""
    assert seen == [f"{number:02}" for number in range(60)]


def test_a_job_is_removed_by_its_content(app: TaskQ, browser: Browser) -> None:
    for name in ("a", "b", "c"):
        app.enqueue("send_email", f"{name}@example.com")
    page = Page(browser.page("/queue?name=emails"))
    forms = [each["action"] for each in page.all("form") if "/job/" in each.get("action", "")]
    worker = Working(app)
    worker.take()
    assert "Removed the job" in browser.act(forms[1])
    assert "already gone" in browser.act(forms[1])
    assert "already gone" in browser.act(forms[0])
    assert [job.payload.args for job in app.peek("emails", 0, 9) if job.payload] == [("c@example.com",)]


def test_a_queue_is_removed_when_its_name_was_typed(app: TaskQ, browser: Browser) -> None:
    app.enqueue("send_email", "a@example.com")
    for typed in ("", "email", "Emails"):
        refused = browser.post("/queue/remove?name=emails", {"name": typed})
        assert refused.status_code == 409
        assert "Nothing was removed" in refused.text
    assert app.size("emails") == 1
    token = browser.token
    answer = browser.client.post("/queue/remove?name=emails", data={"token": token, "name": "emails"})
    assert answer.status_code == 303
    assert app.queues() == []


def test_all_are_paused_and_go_on(app: TaskQ, browser: Browser) -> None:
    app.enqueue("send_email", "a@example.com")
    browser.act("/queue/pause?name=emails")
    assert browser.act("/queues/pause") == "All queues are paused. Jobs in hand go on."
    assert "<b>All queues are paused.</b>" in browser.page("/")
    assert browser.act("/queues/unpause") == "No longer are all queues paused. Still paused by name: emails."
    assert app.broker.paused().queues == {"emails"}


def test_a_worker_and_its_job(app: TaskQ, browser: Browser) -> None:
    app.enqueue("send_email", "a@example.com", token="s3cr3t")
    worker = Working(app)
    worker.take()
    page = browser.page(address("", "/worker", {"id": worker.id}))
    assert "working" in page
    assert "&#34;a@example.com&#34;" in page
    assert "s3cr3t" not in page
    gone = browser.get("/worker?id=nobody:1:*")
    assert gone.status_code == 404
    assert "There is no worker nobody:1:* (any more)." in unescape(gone.text)


def test_a_host_counts_all_its_workers_not_those_of_the_page(app: TaskQ, browser: Browser) -> None:
    for number in range(30):
        Working(app, f"host-1:{100 + number}:*")
    page = re.sub(r"<[^>]+>", "", browser.page("/workers"))
    assert "host-1 30, 20 of them here" in page


class Away:
    """A broker that does not answer."""

    name = "redis"
    address = "Redis at 127.0.0.1:6379"
    capabilities: frozenset[Capability] = frozenset()

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        def call(*args: object, **kwargs: object) -> object:
            self.asked += 1
            raise BrokerUnavailable(self.address, "connection refused")

        return call


def test_a_name_that_is_blank_is_seen_and_leads_on(app: TaskQ, browser: Browser) -> None:
    app.enqueue_to("", "Job")
    for path in ("/", "/queues", "/queue?name="):
        assert "<bdi>(no name)</bdi>" in browser.page(path)
    assert "required" not in browser.page("/queue?name=")
    assert browser.act("/queue/remove?name=", {"name": ""}) == "Removed (no name) with 1 job."


def test_names_in_figures_for_programs_end_no_line(app: TaskQ, browser: Browser) -> None:
    app.enqueue_to('a\r\nb"\\', "Job")
    [line] = [each for each in browser.page("/metrics").split("\n") if each.startswith("taskq_queue_jobs{")]
    assert line == 'taskq_queue_jobs{queue="a\r\\nb\\"\\\\"} 1'
    [line] = [each for each in browser.page("/stats.txt").splitlines() if each.startswith("queues.")]
    assert line == 'queues.a%0D%0Ab"\\=1'


def test_a_broker_that_is_away_is_said(app: TaskQ, caplog: pytest.LogCaptureFixture) -> None:
    away = Away()
    client = Client(Dashboard(TaskQ(broker=away), access=everybody))
    assert client.get("/metrics").text == client.get("/stats.json").text != ""
    assert client.get("/metrics").content_type.startswith("text/plain")
    for path in ("/", "/failed", "/queues", "/workers", "/working"):
        away.asked = 0
        answer = client.get(path)
        assert answer.status_code == 503
        assert away.asked <= 2  # each of them may take seconds
        assert "Cannot reach Redis at 127.0.0.1:6379 (connection refused)." in answer.text
        assert Page(answer.text).problems == []
        assert client.get(path, headers={"X-Taskq-Live": "1"}).status_code == 503
    with caplog.at_level("WARNING", logger="taskq.web"):
        assert [client.get("/health").status_code for _ in range(3)] == [503] * 3
    assert [record.message for record in caplog.records] == ["the broker does not answer"]


def test_a_page_that_fails_says_nothing_of_why(app: TaskQ, browser: Browser, caplog: object) -> None:
    app.broker.queues = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    answer = browser.get("/queues")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "Traceback" not in answer.text


def test_a_live_answer_is_the_same_until_something_changes(app: TaskQ, browser: Browser) -> None:
    app.enqueue("send_email", "a@example.com")
    worker = Working(app)
    worker.take()
    for path in ("/", "/working", "/queues", "/workers", "/failed", address("", "/worker", {"id": worker.id})):
        live = {"X-Taskq-Live": "1"}
        first = browser.get(path, headers=live)
        assert "<header" not in first.text
        assert first.headers["ETag"]
        assert float(first.headers["X-Taskq-Now"]) > 0
        again = browser.get(path, headers={**live, "If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    app.enqueue("send_email", "b@example.com")
    etag = first.headers["ETag"]
    changed = browser.get("/queues", headers={**live, "If-None-Match": etag})
    assert changed.status_code == 200


@pytest.mark.redis
def test_a_worker_that_never_sent_a_heartbeat_is_warned_of() -> None:
    server, _, space = str(stores.fresh("redis")).partition("?namespace=")
    with TaskQ(broker=f"{server}?namespace={space}") as app, redis.Redis.from_url(server) as client:
        for worker, age in (("old:1:*", 8 * 3600), ("new:2:*", 10), ("odd:3:*", 8 * 3600)):
            client.sadd(f"{space}:workers", worker)
            began = datetime.fromtimestamp(time.time() - age, UTC).strftime("%Y-%m-%d %H:%M:%S +0000")
            client.set(f"{space}:worker:{worker}:started", began)
        client.hset(f"{space}:workers:heartbeat", "odd:3:*", "no time")
        browser = Browser(Client(Dashboard(app, access=everybody)))
        page = re.sub(r"<[^>]+>", "", browser.page("/"))
        assert "odd:3 and 1 more have sent no heartbeat since they began" in page
        assert browser.page("/workers").count('<span class="state silent">never</span>') == 2
        assert "taskq cannot tell" in browser.page("/worker?id=old:1:*")
        found = [one for one in app.operator.doctor() if one.check == "workers"]
        assert {one.level for one in found} == {"warning"}
        assert any("old:1:* has sent no heartbeat since it began, 8 h ago" in one.said for one in found)


@pytest.mark.parametrize("name", ["", " "])
def test_a_queue_without_a_name_is_shown_and_can_be_removed(app: TaskQ, browser: Browser, name: str) -> None:
    app.enqueue_to(name, "Legacy", 1)
    where = address("", "/queue", {"name": name})
    for path in ("/", "/queues"):
        assert f'<a href="{where}"><bdi>(no name)</bdi></a>' in browser.page(path)
    page = browser.page(where)
    assert "<h1><bdi>(no name)</bdi>" in page
    assert "taskq worker -q &#39;*&#39;" in page
    assert not any("required" in each for each in Page(page).all("input") if each.get("name") == "name")
    assert any(one.said == "No worker serves (no name), where 1 job waits." for one in app.operator.doctor())
    assert browser.act(f"/queue/remove?name={name}", {"name": ""}) == "Removed (no name) with 1 job."
