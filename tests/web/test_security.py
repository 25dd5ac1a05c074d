from __future__ import annotations

import base64
from pathlib import Path

import pytest
from werkzeug.test import Client

from taskq import ConfigurationError, TaskQ
from taskq_web import BasicAuth, Dashboard, Role, access, assets, everybody
from taskq_web.security import HEADERS
from tests.web.conftest import Browser

TEMPLATES = Path(assets.__file__).parent / "templates"


@pytest.mark.parametrize("path", ["/", "/nowhere", "/health", assets.path_of("taskq.css"), assets.path_of("icon.svg")])
def test_every_answer_has_the_headers(path: str, browser: Browser) -> None:
    answer = browser.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert not any(word in policy for word in ("unsafe", "http:", "https:", "data:", "*"))


def test_pages_are_kept_by_nobody_and_files_for_ever(browser: Browser) -> None:
    assert browser.get("/").headers["Cache-Control"] == "no-store"
    assert "immutable" in browser.get(assets.path_of("taskq.js")).headers["Cache-Control"]
    assert browser.get("/static/taskq.js").status_code == 404
    assert browser.get("/static/../command.py").status_code == 404


def test_no_template_trusts_anything() -> None:
    for template in TEMPLATES.glob("*.html"):
        text = template.read_text()
        assert "|safe" not in text.replace(" ", ""), template
        assert "autoescape" not in text, template
        assert "Markup" not in text, template


def test_cookies_are_for_the_server_alone(app: TaskQ) -> None:
    client = Client(Dashboard(app, access=everybody))
    for base, secure in (("http://localhost/", False), ("https://jobs.example/", True)):
        [cookie] = client.get("/", base_url=base).headers.getlist("Set-Cookie")
        parts = {part.strip() for part in cookie.split(";")}
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts
        assert ("Secure" in parts) is secure


def test_what_an_action_did_is_believed_only_from_ourselves(browser: Browser) -> None:
    forged = "00" * 64 + b'["Your password has expired", false]'.hex()
    browser.client.set_cookie("taskq_web_said", forged)
    assert "expired" not in browser.page("/")


# ---- who may come in


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:5678"}, 200),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:5678"}, 200),
        ({"REMOTE_ADDR": "10.1.2.3", "HTTP_HOST": "localhost"}, 403),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "rebound.evil.example:5678"}, 403),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost.evil.example"}, 403),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "HTTP_X_FORWARDED_FOR": "10.1.2.3"}, 403),
        ({"REMOTE_ADDR": "", "HTTP_HOST": "localhost"}, 403),
    ],
)
def test_where_nobody_said_who_only_this_machine_may(app: TaskQ, environ: dict[str, str], status: int) -> None:
    answer = Client(Dashboard(app)).get("/", environ_overrides=environ)
    assert answer.status_code == status
    assert status == 200 or "TASKQ_WEB_AUTH=user:password" in answer.text


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def test_basic_authentication_by_the_environment(app: TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_WEB_AUTH", "ops:pass:with:colons")
    monkeypatch.setenv("TASKQ_WEB_AUTH_READ", "eve:look")
    client = Client(Dashboard(app))
    answer = client.get("/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "signed in as ops" in client.get("/", headers=basic("ops:pass:with:colons")).text
    assert "may only read" in client.get("/", headers=basic("eve:look")).text
    for wrong in ("ops:pass", "eve:pass:with:colons", "ops:", ":", "", "ops"):
        assert client.get("/", headers=basic(wrong)).status_code == 401
    for header in ("Basic", "Basic !!!", "Bearer x", "Basic " + "A" * 10_000):
        assert client.get("/", headers={"Authorization": header}).status_code == 401


def test_passwords_are_compared_in_constant_time_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("taskq_web.access.hmac.compare_digest", compare)
    known = [access.Account("a", "1", Role.ALL), access.Account("b", "2", Role.READ)]
    found = BasicAuth(known)({"HTTP_AUTHORIZATION": basic("a:1")["Authorization"]})
    assert found is not None
    assert found.role is Role.ALL
    assert compared == [b"a:1", b"b:2"]


@pytest.mark.parametrize("said", ["secret", ":", "user:", ":secret"])
def test_an_account_that_is_none_is_an_error_without_the_secret(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_WEB_AUTH", said)
    with pytest.raises(ConfigurationError, match="TASKQ_WEB_AUTH: a user and a password") as wrong:
        Dashboard()
    assert f'{said}"' not in str(wrong.value)
    assert "secret" not in str(wrong.value)


# ---- behind proxies, below prefixes


def test_a_proxy_is_believed_only_where_it_is_said_to_be_there(app: TaskQ) -> None:
    seen = {
        "X-Forwarded-For": "10.1.2.3",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "jobs.example",
        "X-Forwarded-Prefix": "/ops",
    }
    behind = Client(Dashboard(app, access=everybody, proxies=1)).get("/", headers=seen)
    assert 'href="/ops/queues"' in behind.text
    assert "Path=/ops" in behind.headers["Set-Cookie"]
    assert "Secure" in behind.headers["Set-Cookie"]
    assert 'href="/queues"' in Client(Dashboard(app, access=everybody)).get("/", headers=seen).text


def test_a_form_behind_a_proxy_is_of_our_own_origin(app: TaskQ) -> None:
    app.enqueue("send_email", "a@example.com")
    for dashboard, seen in (
        (
            Dashboard(app, access=everybody, proxies=1),
            {"X-Forwarded-Host": "jobs.example", "X-Forwarded-Proto": "https"},
        ),
        (Dashboard(app, access=everybody, origins=["https://jobs.example/"]), {}),
    ):
        browser = Browser(Client(dashboard))
        origin = {"Origin": "https://jobs.example"}
        assert browser.post("/queues/pause", headers={**origin, **seen}).status_code == 303
        refused = browser.post("/queues/pause", headers={"Origin": "https://evil.example", **seen})
        assert refused.status_code == 403
        assert "--behind-proxy" in refused.text


@pytest.mark.parametrize("prefix", ["//evil.example", "/\\evil.example"])
def test_a_prefix_that_leads_to_another_host_is_refused(prefix: str, app: TaskQ) -> None:
    client = Client(Dashboard(app, access=everybody, proxies=1))
    answer = client.get("/queues", headers={"X-Forwarded-Prefix": prefix})
    assert answer.status_code == 400
    assert "evil" not in answer.text


def test_too_much_is_refused(browser: Browser, app: TaskQ) -> None:
    app.enqueue("send_email", "a@example.com")
    form = "application/x-www-form-urlencoded"
    assert browser.client.post("/queues/pause", data=b"x" * 5_000_000, content_type=form).status_code == 413
    assert browser.get("/queues?" + "&".join(f"a{n}=1" for n in range(6000))).status_code == 400
