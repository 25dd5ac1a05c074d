"""Whatever a stranger wrote is text, on every page, and nothing of it runs, breaks a page or hides another's."""

from __future__ import annotations

import json
from html import unescape

import pytest
from werkzeug.test import Client

from taskq import TaskQ
from taskq.short_names import short
from taskq.testing import stores
from taskq_web import Dashboard, everybody
from taskq_web.parameters import address
from taskq_web.routes import ROUTES
from taskq_web.shown import named, visible
from tests.web.conftest import Browser, Working
from tests.web.reading import Page

MARKUP = (
    """"><img src=x onerror=alert(1)> ' onmouseover='alert(2)' x=' </title></textarea></pre></template><svg onload=a>"""
    "<script>alert(3)</script> {{ 7 * 7 }}{% for x in y %} <!-- &lt;b&gt; &amp;#x27;"
)
UNSEEN = "../../a/b?c=d&e=f#g%2e%00+\x00\x1b[31m\x7f\u202egnp.exe\u2066 é😀\u0301"
HOSTILE = [MARKUP, UNSEEN, "javascript:alert(1)", " ", "x" * 3000]
UNDECODABLE = "\udcff\udcfe<b>"


@pytest.fixture(params=[*HOSTILE, UNDECODABLE], ids=lambda text: ascii(text)[:24])
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def told(app: TaskQ, hostile: str) -> dict[str, str]:
    """An application where every name, argument and message is that text, and addresses that name it."""
    text = hostile.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    body = json.dumps({"class": text, "args": [text, {text: [text]}], text: text}, ensure_ascii=False).encode()
    app.broker.push(hostile, [body] * 5)
    app.broker.push("rubbish", [b"\xff\xfe<b>", hostile.encode("utf-8", "surrogateescape"), b"{}", b""])
    worker = Working(app, f"{hostile}:1:{hostile}")
    worker.fail(hostile, kind=text, message=text)
    worker.fail(hostile, kind=text, message=text, by_queue=True)
    worker.take(hostile)
    app.pause(hostile)
    app.broker.schedule(2e9, hostile, [body, b"<rubbish>\xff"])
    app.broker.put_schedule(text, json.dumps({"class": text, "cron": "* * * * *", "description": text}).encode())
    app.broker.put_schedule(f"{text} wrong", json.dumps({"class": text, "every": text}).encode())
    [failed, *_] = app.failures.list()
    return {"id": app.failures.id_of(failed, digits=32), "name": hostile, "worker": worker.id, "key": hostile}


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES if route.method == "GET"}))
def test_it_is_text(path: str, browser: Browser, told: dict[str, str], hostile: str) -> None:
    named = {**told, "id": told["worker"] if path == "/worker" else told["id"], "do": "retry"}
    for parameters in (named, {**named, "text": hostile, "class": hostile, "queue": hostile, "job": hostile}):
        answer = browser.get(address("", path, parameters))
        assert answer.status_code in {200, 400, 404, 422, 501}, answer.text
        if not answer.content_type.startswith("text/html"):
            continue
        page = Page(answer.text)
        assert page.problems == []
        assert "\x00" not in answer.text
        assert " 49{%" not in page.words


def test_what_is_shown_now_and_then_is_text(
    browser: Browser, app: TaskQ, told: dict[str, str], hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that no address alone leads to: forms that are wrong, a time, all times of a job, the dead."""
    failure, name = {"id": told["id"]}, {"name": hostile}
    typed = hostile.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    answers = [
        browser.post(address("", "/queue/remove", name), {"name": f"not {typed}"}),
        browser.post(address("", "/failure/edit", failure), {"args": typed, "queue": typed}),
        browser.post("/enqueue?foreign=1", {"job": typed, "args": typed, "queue": typed, "when": typed}),
        browser.post("/enqueue?job=send_email", {"arg.subject": typed, "queue": typed, "when": typed}),
        browser.post(address("", "/failed/all/retry", {"text": hostile}), {"cursor": typed}),
        browser.post("/failed/retry", {"id": typed}),
        browser.get(address("", "/delayed", {"at": "2000000000.0", "from": hostile})),
        *(browser.get(each["href"]) for each in Page(browser.page("/delayed")).all("a") if "times=" in each["href"]),
    ]
    later = app.broker.now() + 3600
    monkeypatch.setattr(app.broker, "now", lambda: later)
    dead = browser.get("/workers/prune")
    assert len(Page(dead.text).all("tr")) > 1
    for answer in (
        *answers,
        dead,
        browser.get("/workers"),
        browser.get(address("", "/worker", {"id": told["worker"]})),
    ):
        if answer.status_code == 303:
            answer = browser.client.get(answer.headers["Location"])
        assert answer.status_code in {200, 400, 404, 409, 422}, answer.text
        assert Page(answer.text).problems == []
        assert "\x00" not in answer.text


@pytest.mark.redis
def test_the_keys_of_a_stranger_are_text() -> None:
    with TaskQ(broker=stores.fresh("redis")) as app:
        browser = Browser(Client(Dashboard(app, access=everybody)))
        for hostile in (*HOSTILE, UNDECODABLE):
            app.broker.push(hostile, [hostile.encode("utf-8", "surrogateescape")])
        links: list[str] = []
        app.broker.push('{"token":"leakme"}', [b"x"])
        further = ["/stats/keys"]
        while further:
            text = browser.page(further[0])
            assert "leakme" not in text
            page = Page(text)
            assert page.problems == []
            links += [each["href"] for each in page.all("a") if "key?" in each["href"]]
            further = [each["href"] for each in page.all("a") if each.get("rel") == "next"]
        assert len(links) > len(HOSTILE)
        for link in links:
            text = browser.page(link)
            assert "leakme" not in text
            assert Page(text).problems == []
            assert "\x00" not in text


NAMES = ("name", "id", "cursor", "groups", "text", "class", "since", "group", "key", "start", "job", "list", "again")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES if route.method == "GET"}))
def test_a_parameter_is_text(path: str, browser: Browser, app: TaskQ) -> None:
    app.enqueue("send_email", "a@example.com")
    for name in NAMES:
        for hostile in (*HOSTILE, UNDECODABLE):
            answer = browser.get(address("", path, {name: hostile}))
            assert answer.status_code < 500 or answer.status_code == 501, (name, hostile, answer.text)
            if answer.content_type.startswith("text/html"):
                assert Page(answer.text).problems == [], (name, hostile)


def test_every_name_leads_to_its_own_page(browser: Browser, app: TaskQ, told: dict[str, str], hostile: str) -> None:
    shown = visible(hostile)
    begins = named(hostile)[:200]
    listed = Page(browser.page("/queues"))
    links = [each["href"] for each in listed.all("a") if each.get("href", "").startswith("/queue?")]
    pages = [unescape(browser.page(link)) for link in links]
    assert any(f"<h1><bdi>{begins}" in page for page in pages)
    [worker] = [each["href"] for each in Page(browser.page("/workers")).all("a") if "/worker?" in each.get("href", "")]
    assert f"<h1><bdi>{f'{shown}:1:{shown}'[:500]}" in unescape(browser.page(worker).replace("<wbr>", ""))


def test_a_queue_of_that_name_is_steered(browser: Browser, app: TaskQ, told: dict[str, str], hostile: str) -> None:
    browser.act(address("", "/queue/unpause", {"name": hostile}))
    assert app.broker.paused().queues == frozenset()
    browser.act(address("", "/queue/pause", {"name": hostile}))
    assert app.broker.paused().queues == {hostile}


LONG = 100_000


@pytest.mark.parametrize("long", ["job", "exception", "queue", "worker", "argument", "message", "all"])
def test_names_of_any_length_keep_every_page_small_and_lead_to_what_they_name(
    long: str, app: TaskQ, browser: Browser
) -> None:
    job, exception, queue, worker, argument, message = (
        f"{kind}-" * (LONG // (len(kind) + 1)) if long in (kind, "all") else kind
        for kind in ("job", "exception", "queue", "worker", "argument", "message")
    )
    body = json.dumps({"class": job, "args": [argument]}).encode()
    app.broker.push(queue, [body] * 3)
    at_work = Working(app, f"{worker}:1:{queue}")
    at_work.fail(queue, kind=exception, message=message)
    at_work.fail(queue, kind=exception, message=message, by_queue=True)
    at_work.take(queue)
    app.broker.push(queue, [body])
    app.broker.schedule(2e9, queue, [body])
    entry = {"class": job, "args": [argument], "every": "5m", "queue": queue}
    app.broker.put_schedule(f"every {queue}", json.dumps(entry).encode())
    seen = {"/metrics", "/stats.txt", "/stats.json"}  # no pages
    actions: set[str] = set()
    todo = [route.path for route in ROUTES if route.method == "GET"]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = browser.get(path)
        # Half of 60 kB is the style and the script; what has no room is refused, and says which command does it.
        assert len(answer.data) < 33_000, (path[:100], len(answer.data))
        assert answer.status_code in {200, 400, 404, 501} or "taskq failed edit" in answer.text, path[:100]
        page = Page(answer.text)
        todo += [link["href"] for link in page.all("a") if link["href"].startswith("/")]
        forms = [*page.all("form"), *page.all("button")]
        actions |= {form.get("action") or form.get("formaction", "") for form in forms}
    assert all(len(action) < 1000 for action in actions)
    [pause] = {action for action in actions if action.startswith("/queue/pause")}
    assert browser.act(pause).endswith("Jobs in hand go on.")
    assert app.broker.paused().queues == {queue}
    [mine] = {one for one in actions if one.startswith("/failure/retry") and "%3A" in one}
    assert "in its queue again" in browser.act(mine)
    [run] = {action for action in actions if action.startswith("/schedule/run")}
    assert "is in the queue" in browser.act(run)
    assert app.size(queue) == 3
    [remove] = {action for action in actions if action.startswith("/queue/remove")}
    assert browser.act(remove, {"name": short(queue)}).endswith("with 3 jobs.")
    assert browser.post(remove, {"name": short(queue)}).status_code == (410 if len(queue) > 200 else 303)
