"""Calls that every type checker must accept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import taskq
import taskq.testing
from taskq.records import Cancelled
from taskq_limit import Limit
from taskq_results import Handle, Results, handle
from taskq_retry import Exponential, Retry
from taskq_unique import Unique


@taskq.job(queue="emails")
def send_email(to: str, subject: str, body: str = "") -> int:
    return len(to)


@taskq.job
async def fetch(url: str, *, timeout: float = 1.0) -> bytes:
    return url.encode()


@taskq.job
class Static:
    queue = "emails"

    @staticmethod
    def perform(to: str, subject: str) -> None: ...


@taskq.job(queue="emails", secret=("token",))
class OfClass:
    @classmethod
    def perform(cls, user: int, token: str) -> None: ...


@taskq.job
class OfInstance:
    def perform(self, user: int) -> None: ...


@taskq.job
class AsyncStatic:
    @staticmethod
    async def perform(user: int) -> None: ...


@taskq.job
class AsyncOfClass:
    @classmethod
    async def perform(cls, user: int) -> None: ...


@taskq.job
class AsyncOfInstance:
    async def perform(self, user: int) -> None: ...


answer: taskq.Enqueued = send_email.enqueue("a@b", "Hi", "...")
send_email.enqueue("a@b", subject="Hi")
fetch.enqueue("http://x", timeout=2.0)
length: int = send_email("a@b", "Hi")
length = send_email.perform("a@b", "Hi")
instance: Static = Static()

taskq.enqueue(send_email, "a@b", "Hi", body="...")
taskq.enqueue(fetch, "http://x", timeout=2.0)
taskq.enqueue(Static, "a@b", subject="Hi")
taskq.enqueue(OfClass, 1, "t")
taskq.enqueue(OfInstance, 1)
taskq.enqueue(AsyncStatic, 1)
taskq.enqueue(AsyncOfClass, user=1)
taskq.enqueue(AsyncOfInstance, 1)
taskq.enqueue("Ruby::Job", 1, "two", {"three": 3})

taskq.enqueue_to("vip", send_email, "a@b", "Hi")
taskq.enqueue_to("vip", Static, "a@b", "Hi")
taskq.enqueue_to("vip", "Ruby::Job", 1)

send_email.options(queue="vip", front=True).enqueue("a@b", "Hi")
taskq.options(queue="vip").enqueue(OfInstance, 1)
taskq.options(front=True).enqueue(send_email, "a@b", "Hi")
taskq.options(queue="vip").enqueue("Ruby::Job", 1)

calls: list[taskq.Call] = [
    send_email.call("a@b", "Hi"),
    send_email.options(front=True).call("a@b", "Hi"),
    taskq.call(Static, "a@b", "Hi"),
    taskq.call(OfInstance, 1),
    taskq.options(queue="vip").call(OfClass, 1, "t"),
]
taskq.enqueue_many(calls)
removed: int = taskq.dequeue(send_email, "a@b", "Hi")
taskq.dequeue(Static)

with taskq.using("memory://") as app:
    app.enqueue(send_email, "a@b", "Hi")
    app.enqueue(AsyncOfInstance, 1)
    app.options(queue="vip").enqueue(Static, "a@b", "Hi")


@taskq.job(
    queue="reports",
    cron="0 6 * * 1-5",
    tz="Europe/Berlin",
    args=["daily"],
    retry=Retry(attempts=5, backoff=Exponential(first=2, factor=2, max=600, jitter=True), on=(OSError,)),
    unique=Unique(expires=60),
    limit=Limit(at_once=3),
    results=Results(),
)
def report(kind: str) -> int:
    return len(kind)


@taskq.job(every=timedelta(minutes=5), missed="skip", retry=Retry(backoff=[1, 5.0]))
def sweep() -> None: ...


LATER = datetime(2040, 1, 31, tzinfo=UTC)
report.enqueue_in(timedelta(days=1), "weekly")
report.enqueue_at(LATER, kind="weekly")
report.options(queue="vip").enqueue_in(60, "weekly")
taskq.enqueue_in(60.5, send_email, "a@b", subject="Hi")
taskq.enqueue_at(LATER, Static, "a@b", "Hi")
taskq.enqueue_in(60, "Ruby::Job", 1)
taskq.options(delay=60).enqueue(OfInstance, 1)
moved: int = taskq.delayed.enqueue_now(report.call("weekly"))
taskq.delayed.remove(taskq.delayed.list(count=5).jobs[0])
taskq.delayed.remove_all(report, queue="vip")
became: Cancelled = taskq.cancel(report.call("weekly"), by="ada")
taskq.cancel("4be1c9a5", queue="vip")
taskq.cancel(worker="web-1:4711:emails")
taskq.schedules.set("weekly", report.call("weekly"), cron="0 7 * * 1", tz="UTC", missed="skip")
result: Handle = handle(report.enqueue("weekly"))
value: int = result.result(timeout=5)
result.cancel()


def assert_the_kit(queue: taskq.testing.Queue) -> list[taskq.testing.PerformedJob]:
    waiting: list[taskq.testing.EnqueuedJob] = queue.assert_enqueued(send_email, "a@b", subject="Hi")
    waiting += queue.options(count=2, within=1.0, queue="emails").assert_enqueued(Static, "a@b")
    queue.assert_enqueued("Ruby::Job", 1)
    queue.assert_not_enqueued()
    with queue.worker(), queue.outage():
        queue.wait_until_done(within=1.0)
    app: taskq.TaskQ = queue.app
    app.enqueue(send_email, "a@b", "Hi")
    performed: list[taskq.testing.PerformedJob] = queue.perform_all(only=[fetch, OfClass, "Ruby::Job"], queue="emails")
    performed += queue.perform_all(only=fetch, collect=True)
    performed += queue.performed(OfInstance, 1)
    return [*performed, queue.crash(Static, lost="child", at="start")]


with taskq.testing.swapped(mode="inline", backend="sqlite", leftover="error") as queue:
    assert_the_kit(queue)


class MailTest(taskq.testing.QueueTestCase):
    def test_one(self) -> None:
        assert_the_kit(self.queue)
