from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

import taskq
from taskq import TaskQ
from taskq.config import Config
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord, ProcessIdentity, Reservation, Tokens
from taskq.registry import Registry
from taskq.testing.contract.broker.holder import Holder
from taskq_memory import MemoryBroker
from taskq_web import Dashboard, everybody

MINE = "/srv/shop/mail.py:12:in 'send'"
LIBRARY = "/usr/lib/python3.11/smtplib.py:3:in 'connect'"


class Working:
    """A worker in the hands of a test: it takes what is there, and fails or holds it."""

    def __init__(self, app: TaskQ, worker: str = "host-1:4711:*") -> None:
        self.app = app
        process = ProcessIdentity("host-1", "boot", "ns", 4711, "1")
        self.holder = Holder(app.broker, worker, process=process)
        assert self.holder.register()

    @property
    def id(self) -> str:
        return self.holder.id

    @property
    def tokens(self) -> Tokens:
        return self.holder.tokens

    def take(self, *queues: str) -> Reservation:
        return self.holder.take(*(queues or self.app.queues()))

    def fail(
        self, *queues: str, kind: str = "shop.errors.MailError", message: str = "no answer", by_queue: bool = False
    ) -> None:
        from taskq import failed_entry

        held = self.take(*queues)
        payload = self.app.read(held.body).payload
        cause = ErrorRecord(kind, message, (MINE, LIBRARY))
        failure = Failure(
            payload=payload, body=held.body, queue=held.queue, worker=self.id, cause=cause, attempts=1,
            run_at=held.run_at, failed_at=self.app.broker.now(),
        )  # fmt: skip
        assert self.holder.fail(held, failed_entry.encode(failure), by_queue=by_queue)


@dataclass
class Browser:
    """Asks the dashboard as a browser does: it keeps cookies, and sends a page's form with the token in it."""

    client: Client
    root: str = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(self.root + path, **more)

    def page(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.text

    @property
    def token(self) -> str:
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.page("/enqueue?foreign=1"))
        assert found
        return found[1]

    def post(self, path: str, form: Mapping[str, Any] | None = None, **more: Any) -> TestResponse:
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost", **more.pop("headers", {})}
        return self.client.post(self.root + path, data={"token": self.token, **(form or {})}, headers=headers, **more)

    def act(self, path: str, form: Mapping[str, Any] | None = None) -> str:
        """Send a form; what the page that is shown then says was done."""
        answer = self.post(path, form)
        assert answer.status_code == 303, (path, answer.status_code, answer.text)
        shown = self.client.get(answer.headers["Location"]).text
        said = re.search(r'<p class="said[^"]*" role="status">(.*?)</p>', shown)
        assert said, shown
        return said[1]


@pytest.fixture
def app() -> Iterator[TaskQ]:
    """An application with jobs of its own, and a broker in memory."""
    registry = Registry()

    @taskq.job(queue="emails", secret=("token",), registry=registry)
    def send_email(to: str, subject: str = "Hello", *, token: str = "") -> None:
        """Send an email to a customer."""

    with TaskQ(Config(broker=MemoryBroker()), registry=registry) as made:
        yield made


@pytest.fixture
def browser(app: TaskQ) -> Browser:
    return Browser(Client(Dashboard(app, access=everybody)))


def state(app: TaskQ) -> str:
    """All that is stored, as a text that is another one when anything changed. Heartbeats and counts of looks aside."""
    broker = app.broker
    queues = {queue: [str(body) for body in broker.peek(queue, 0, 1000)] for queue in broker.queues()}
    failures = [
        str(each.entry) for place in (None, *broker.failed_queues()) for each in broker.failures(0, 1000, queue=place)
    ]
    workers = [(each.id, each.registered, str(each.job), each.processed, each.failed) for each in broker.workers()]
    return json.dumps([queues, failures, workers, sorted(broker.paused().queues), broker.paused().all])
