"""Every address there is: no GET changes anything, and no POST passes that is not of our own page and by who may."""

from __future__ import annotations

import pytest
from werkzeug.test import Client

from taskq import TaskQ
from taskq_web import Access, Dashboard, Role, Visitor, everybody
from taskq_web.routes import ROUTES, Route
from tests.web.conftest import Browser, Working, state

GETS = [route for route in ROUTES if route.method == "GET"]
POSTS = [route for route in ROUTES if route.method == "POST"]


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture
def addresses(app: TaskQ) -> dict[str, str]:
    """An application with one of everything, and what the address of each route is to name."""
    app.enqueue("send_email", "a@example.com")
    app.enqueue("send_email", "b@example.com")
    app.enqueue("send_email", "c@example.com")
    worker = Working(app)
    worker.fail()
    worker.take()
    [failed] = app.failures.list()
    failure = app.failures.id_of(failed, digits=32)
    return {
        "id": failure,
        "name": "emails",
        "job": app.operator.queue_page("emails").jobs[0].id,
        "worker": worker.id,
        "do": "retry",
    }


def address_of(route: Route, known: dict[str, str]) -> str:
    from taskq_web.parameters import address

    if route.path.startswith("/worker"):
        return address("", route.path, {"id": known["worker"]})
    if route.path == "/enqueue":
        return address("", route.path, {"job": "send_email"})
    return address("", route.path, known)


FORM = {
    "text": "[]",
    "queue": "emails",
    "name": "emails",
    "id": "x",
    "when": "now",
    "args": "[]",
    "arg.to": "a@example.com",
}


@pytest.mark.parametrize("route", GETS, ids=name_of)
def test_a_get_changes_nothing(route: Route, app: TaskQ, browser: Browser, addresses: dict[str, str]) -> None:
    before = state(app)
    for method in ("GET", "HEAD"):
        answer = browser.client.open(address_of(route, addresses), method=method)
        assert answer.status_code in {200, 404, 501}, (route, answer.status_code, answer.text)
        assert method == "GET" or not answer.data
    assert state(app) == before


@pytest.mark.parametrize("route", POSTS, ids=name_of)
def test_no_post_passes_without_our_own_page_behind_it(
    route: Route, app: TaskQ, browser: Browser, addresses: dict[str, str]
) -> None:
    before = state(app)
    path = address_of(route, addresses)
    token = browser.token
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    good = {**FORM, "token": token}
    stranger = Client(Dashboard(app, access=everybody))
    other = Browser(Client(Dashboard(app, access=everybody, secret="another")))
    refused = {
        "no token": browser.client.post(path, data=FORM, headers=own),
        "an empty one": browser.client.post(path, data={**FORM, "token": ""}, headers=own),
        "a wrong one": browser.client.post(path, data={**FORM, "token": "0" * 64}, headers=own),
        "one that is no ASCII": browser.client.post(path, data={**FORM, "token": "é" * 64}, headers=own),
        "another's": browser.client.post(path, data={**FORM, "token": other.token}, headers=own),
        "the token in the address": browser.client.post(f"{path}&token={token}", data=FORM, headers=own),
        "without the cookie": stranger.post(path, data=good, headers=own),
        "of another site": browser.client.post(path, data=good, headers={**own, "Sec-Fetch-Site": "cross-site"}),
        "of a subdomain": browser.client.post(path, data=good, headers={**own, "Sec-Fetch-Site": "same-site"}),
        "typed in": browser.client.post(path, data=good, headers={**own, "Sec-Fetch-Site": "none"}),
        "of another origin": browser.client.post(path, data=good, headers={**own, "Origin": "https://evil.example"}),
        "of no origin": browser.client.post(path, data=good, headers={**own, "Origin": "null"}),
        "of another port": browser.client.post(path, data=good, headers={**own, "Origin": "http://localhost:81"}),
    }
    assert {name: answer.status_code for name, answer in refused.items()} == dict.fromkeys(refused, 403)
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
        answer = browser.client.post(path, data=f"token={token}", content_type=kind, headers=own)
        assert answer.status_code == 415, kind
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert browser.client.open(path, method=method, headers=own).status_code == 405
    assert state(app) == before


@pytest.mark.parametrize("route", POSTS, ids=name_of)
@pytest.mark.parametrize("role", [*Role, "read only"], ids=str)
def test_a_post_is_done_by_who_may(route: Route, role: Role | str, app: TaskQ, addresses: dict[str, str]) -> None:
    if isinstance(role, Role):
        dashboard, has = Dashboard(app, access=lambda environ: Visitor(role, "ada"), secret="s"), role
    else:
        dashboard, has = Dashboard(app, access=everybody, read_only=True, secret="s"), Role.READ
    before = state(app)
    client = Client(dashboard)
    client.get("/")
    cookie = client.get_cookie("taskq_web")
    assert cookie is not None
    from taskq_web.security import Tokens

    token = Tokens(b"s").token(cookie.value, "ada" if isinstance(role, Role) else "")
    answer = client.post(address_of(route, addresses), data={**FORM, "token": token})
    if has < route.role:
        assert answer.status_code == 403
        assert ("read-only" if role == "read only" else f"needs the role {route.role.word}") in answer.text
        assert state(app) == before
    else:
        assert answer.status_code in {303, 200, 400, 404, 409, 410, 422, 501}, answer.text


@pytest.mark.parametrize("route", GETS, ids=name_of)
def test_who_may_only_read_sees_no_button_of_what_they_may_not(
    route: Route, app: TaskQ, addresses: dict[str, str]
) -> None:
    from tests.web.reading import Page

    needed = {post.path: post.role for post in POSTS} | {get.path: get.role for get in GETS}
    for role in Role:
        client = Client(Dashboard(app, access=_always(role)))
        answer = client.get(address_of(route, addresses))
        if role < route.role:
            assert answer.status_code == 403
            continue
        if answer.content_type != "text/html; charset=utf-8":
            continue
        for tag, attributes in Page(answer.text).elements:
            for name in ("action", "formaction", "href"):
                path = attributes.get(name, "").partition("?")[0]
                assert role >= needed.get(path, Role.READ), (role, tag, attributes)


def test_each_action_is_tried_in_a_browser() -> None:
    from tests.browser import test_actions

    marks = [mark for each in vars(test_actions).values() for mark in getattr(each, "pytestmark", ())]
    tried = {path for mark in marks if mark.name == "posts" for path in mark.args}
    assert tried == {route.path for route in POSTS}


def test_only_health_and_files_need_nobody(app: TaskQ) -> None:
    client = Client(Dashboard(app, access=lambda environ: None))
    for route in ROUTES:
        assert client.open(route.path, method=route.method).status_code == 403, route
    assert client.get("/health").text == "ok\n"
    assert client.get("/nowhere").status_code == 403


def _always(role: Role) -> Access:
    return lambda environ: role
