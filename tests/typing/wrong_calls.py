"""Calls that every type checker must refuse: each line marked `# error`, and no other."""

from __future__ import annotations

from datetime import UTC, datetime

import taskq
import taskq.testing
from taskq_limit import Limit
from taskq_results import Results, handle
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
    @staticmethod
    def perform(to: str, subject: str) -> None: ...


@taskq.job
class OfClass:
    @classmethod
    def perform(cls, user: str, token: str) -> None: ...


@taskq.job
class OfInstance:
    def perform(self, user: str) -> None: ...


@taskq.job
class AsyncStatic:
    @staticmethod
    async def perform(user: str) -> None: ...


@taskq.job
class AsyncOfClass:
    @classmethod
    async def perform(cls, user: str) -> None: ...


@taskq.job
class AsyncOfInstance:
    async def perform(self, user: str) -> None: ...


@taskq.job
class WithoutPerform:
    queue = "emails"


def no_job(to: str) -> None: ...


send_email.enqueue(1)  # error
send_email.enqueue("a@b", "Hi", "...", "more")  # error
send_email.enqueue("a@b", "Hi", sbject="x")  # error
send_email.enqueue("a@b", 2)  # error
fetch.enqueue("http://x", timeout="2")  # error
send_email(1)  # error
text: str = send_email("a@b", "Hi")  # error

taskq.enqueue(send_email, 1)  # error
taskq.enqueue(fetch, 1)  # error
taskq.enqueue(Static, 1)  # error
taskq.enqueue(OfClass, 1)  # error
taskq.enqueue(OfInstance, 1)  # error
taskq.enqueue(AsyncStatic, 1)  # error
taskq.enqueue(AsyncOfClass, 1)  # error
taskq.enqueue(AsyncOfInstance, 1)  # error
taskq.enqueue(OfInstance, "a", "b")  # error
taskq.enqueue(WithoutPerform, 1)  # error
taskq.enqueue(no_job, "a@b")  # error
taskq.enqueue(3, "a@b")  # error

taskq.enqueue_to("vip", send_email, 1)  # error
taskq.enqueue_to("vip", Static, 1)  # error
taskq.enqueue_to(1, send_email, "a@b", "Hi")  # error

send_email.options(queue="vip").enqueue(1)  # error
send_email.options(queue=1).enqueue("a@b", "Hi")  # error
taskq.options(queue="vip").enqueue(OfInstance, 1)  # error
taskq.options(queue="vip").enqueue(send_email, 1)  # error

send_email.call(1)  # error
send_email.options(front=True).call(1)  # error
taskq.call(Static, 1)  # error
taskq.options(queue="vip").call(OfClass, 1, 2)  # error
taskq.enqueue_many([("send_email", 1)])  # error

LATER = datetime(2040, 1, 31, tzinfo=UTC)
send_email.enqueue_in("60", "a@b", "Hi")  # error
send_email.enqueue_in(60, 1)  # error
send_email.enqueue_at(60, "a@b", "Hi")  # error
send_email.enqueue_at(LATER, "a@b", sbject="Hi")  # error
send_email.options(delay=60).enqueue_in(60, 1)  # error
taskq.enqueue_in(60, send_email, 1)  # error
taskq.enqueue_in(60, no_job, "a@b")  # error
taskq.enqueue_at("tomorrow", send_email, "a@b", "Hi")  # error
taskq.enqueue_at(LATER, OfInstance, 1)  # error
taskq.delayed.remove("send_email")  # error
taskq.delayed.enqueue_now(1)  # error
taskq.delayed.remove_all(3)  # error
taskq.cancel(3)  # error
taskq.cancel("4be1c9a5", queue=1)  # error
taskq.schedules.set("weekly", "send_email", cron="0 7 * * 1")  # error
taskq.schedules.set("weekly", send_email.call("a", "b"), missed="never")  # error
handle(3)  # error
handle("4be1c9a5").result(timeout="5")  # error
Retry(attempts="5")  # error
Retry(backoff=Exponential(frist=2))  # error
Unique(expires="1h")  # error
Limit(at_one=3)  # error
Results(keep="1h")  # error
taskq.job(cron=6)  # error
taskq.job(every="5m")  # error


def test_the_kit(queue: taskq.testing.Queue) -> None:
    queue.assert_enqueued(3)  # error
    queue.assert_enqueued()  # error
    queue.options(within="1")  # error
    queue.crash(send_email, lost="host")  # error
    queue.perfrom_all()  # error


taskq.testing.swapped(mode="inlined")  # error
