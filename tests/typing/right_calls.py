"""Calls that every type checker must accept."""

from __future__ import annotations

import taskq
import taskq.testing


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
