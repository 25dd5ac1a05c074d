"""The examples of mounting: in Flask, in Django and in Starlette, below a prefix, with the host's own sign-in."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import taskq
from taskq import TaskQ
from taskq_web import Dashboard, everybody
from tests.docs.pages import ROOT
from tests.web.conftest import Browser
from tests.web.reading import Page

EXAMPLES = ROOT / "examples" / "dashboard"


@pytest.fixture(autouse=True)
def _in_force(app: TaskQ) -> Iterator[None]:
    app.enqueue("send_email", "a@example.com")
    with taskq.using(app):
        yield


def loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_it_works(browser: Browser, app: TaskQ) -> None:
    """Every link, file and form of its pages is below the prefix, and a form does what it says."""
    for path in ("/", "/queues", "/queue?name=emails", "/failed"):
        page = Page(browser.page(path))
        assert page.problems == []
        for tag, attributes in page.elements:
            for name in ("href", "src", "action", "formaction"):
                where = attributes.get(name, "#")
                assert where.startswith(("#", f"{browser.root}/")), (tag, attributes)
        [sheet] = [link["href"] for link in page.all("link") if link["rel"] == "stylesheet"]
        assert browser.client.get(sheet).status_code == 200
    assert browser.act("/queue/pause?name=emails") == "emails is paused. Jobs in hand go on."
    assert app.broker.paused().queues == {"emails"}


def test_flask_with_the_sessions_of_the_application(app: TaskQ) -> None:
    example = loaded("with_flask")
    browser = Browser(Client(example.app), root="/taskq")
    assert "dashboard is at /taskq/" in browser.client.get("/").text
    assert browser.get("/").status_code == 403
    assert browser.client.post("/sign-in", data={"user": "mallory"}).status_code == 302
    assert browser.get("/").status_code == 403
    browser.client.post("/sign-in", data={"user": "edsger"})
    assert "may only read" in browser.page("/")
    browser.client.post("/sign-in", data={"user": "ada"})
    assert_it_works(browser, app)


class Asgi:
    """Asks an ASGI application as a WSGI application is asked."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
        headers = [
            (key[5:].replace("_", "-").lower().encode(), value.encode("latin-1"))
            for key, value in environ.items()
            if key.startswith("HTTP_")
        ]
        headers.append((b"content-type", str(environ.get("CONTENT_TYPE", "")).encode()))
        headers.append((b"content-length", str(environ.get("CONTENT_LENGTH") or 0).encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": environ["REQUEST_METHOD"],
            "scheme": "http", "path": environ["PATH_INFO"], "raw_path": environ["PATH_INFO"].encode(),
            "query_string": environ["QUERY_STRING"].encode("latin-1"), "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        }  # fmt: skip
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        sent: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        begun = next(each for each in sent if each["type"] == "http.response.start")
        answered = [(name.decode(), value.decode("latin-1")) for name, value in begun["headers"]]
        start_response(f"{begun['status']} X", answered)
        return [each.get("body", b"") for each in sent if each["type"] == "http.response.body"]


def test_starlette_with_a_gateway_that_signs_people_in(app: TaskQ) -> None:
    # Its threads see what is in force for the whole process.
    example = loaded("with_starlette")
    client = Client(Asgi(example.app))
    browser = Browser(client, root="/taskq")
    assert client.get("/").text == "The dashboard is at /taskq/."
    assert browser.get("/").status_code == 403

    def signed_in(name: str) -> Browser:
        plain = client.open

        def opened(*args: Any, **kwargs: Any) -> Any:
            kwargs["headers"] = {**(kwargs.get("headers") or {}), "X-Remote-User": name}
            return plain(*args, **kwargs)

        client.open = opened  # type: ignore[method-assign]
        return browser

    assert_it_works(signed_in("ada"), app)


DJANGO = """
import sys, json
sys.path.insert(0, sys.argv[1])
import taskq, with_django as example
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from taskq_memory import MemoryBroker

call_command("migrate", verbosity=0)
User.objects.create_superuser("ada", password="x")
User.objects.create_user("grace", password="x", is_staff=True)
User.objects.create_user("mallory", password="x")
with taskq.using(taskq.TaskQ(broker=MemoryBroker())) as app:
    app.enqueue_to("emails", "Emailer")
    said = {}
    client = Client(enforce_csrf_checks=True, SERVER_NAME="localhost")
    said["health"] = client.get("/ops/taskq/health").text
    said["signed out"] = client.get("/ops/taskq/queues", headers={"x-taskq-live": "1"}).status_code
    said["nobody"] = client.get("/ops/taskq/queues?start=0").headers["Location"]
    for name in ("mallory", "grace", "ada"):
        client.force_login(User.objects.get(username=name))
        answer = client.get("/ops/taskq/queues")
        said[name] = [answer.status_code, answer.text]
    import re
    token = re.search('name="token" value="([0-9a-f]+)"', answer.text)[1]
    own = {"sec-fetch-site": "same-origin", "origin": "http://localhost"}
    form = "application/x-www-form-urlencoded"
    done = client.post("/ops/taskq/queue/pause?name=emails", "token=" + token, content_type=form, headers=own)
    said["done"] = [done.status_code, done.headers["Location"], sorted(app.broker.paused().queues)]
    said["shown"] = client.get(done.headers["Location"]).text
    refused = client.post("/ops/taskq/queue/unpause?name=emails", "token=0", content_type=form, headers=own)
    said["refused"] = [refused.status_code, sorted(app.broker.paused().queues)]
    said["headers"] = dict(answer.headers)
    from django.test import override_settings
    with override_settings(USE_X_FORWARDED_HOST=True, ALLOWED_HOSTS=["jobs.example"]):
        proxied = {"x-forwarded-host": "jobs.example", "sec-fetch-site": "same-origin", "origin": "http://jobs.example"}
        behind = client.post("/ops/taskq/queue/pause?name=vip", "token=" + token, content_type=form, headers=proxied)
        said["behind a proxy"] = [behind.status_code, sorted(app.broker.paused().queues)]
    said["file"] = client.get(re.search('stylesheet" href="([^"]+)"', answer.text)[1]).status_code
    said["no page"] = client.get("/ops/taskq/nowhere").status_code
print(json.dumps(said))
"""


def test_django_with_its_login(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DJANGO, str(EXAMPLES)],
        cwd=tmp_path,
        env={**os.environ, "SITE_DB": ":memory:"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["health"] == "ok\n"
    assert said["signed out"] == 401
    assert said["behind a proxy"] == [303, ["emails", "vip"]]
    assert said["nobody"] == "/login/?next=/ops/taskq/queues%3Fstart%3D0"
    assert said["mallory"][0] == 403
    assert "signed in as grace" in said["grace"][1]
    assert "may only read" in said["grace"][1]
    assert "signed in as ada" in said["ada"][1]
    page = Page(said["ada"][1])
    assert all(each["href"].startswith(("/ops/taskq/", "#")) for each in page.all("a"))
    assert said["done"] == [303, "/ops/taskq/queues", ["emails"]]
    assert "emails is paused. Jobs in hand go on." in said["shown"]
    assert said["refused"] == [403, ["emails"]]
    assert said["headers"]["Content-Security-Policy"].startswith("default-src 'none'")
    assert said["file"] == 200
    assert said["no page"] == 404


@pytest.mark.parametrize("prefix", ["/taskq", "/deep/er~x"])
def test_below_any_prefix(prefix: str, app: TaskQ) -> None:
    def nothing(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return []

    mounted = DispatcherMiddleware(nothing, {prefix.encode().decode("latin-1"): Dashboard(app, access=everybody)})
    assert_it_works(Browser(Client(mounted), root=prefix), app)


def test_below_a_prefix_of_any_letters(app: TaskQ) -> None:
    client = Client(Dashboard(app, access=everybody))
    answer = client.get("/queues", environ_overrides={"SCRIPT_NAME": "/a b/ü".encode().decode("latin-1")})
    assert "Path=/a%20b/%C3%BC;" in answer.headers["Set-Cookie"]
    assert all(link["href"].startswith(("/a%20b/%C3%BC/", "#")) for link in Page(answer.text).all("a"))
