"""The page of the wire has every key that a real worker leaves, with its type, and none that nobody writes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskq.app import TaskQ
from taskq_redis.keys import Keys
from taskq_redis.testing import RedisServer
from tests.docs.pages import DOCS, coded, tables
from tests.support.workers import RunningWorker, wait_until

PAGE = DOCS / "reference" / "wire.md"
ROWS = [row for rows in tables(PAGE) if rows[0][0] == "key" for row in rows[1:]]
DOCUMENTED = {coded(row[0])[0]: row[1] for row in ROWS}
# What only a reserve of several jobs, a script within one step, or delaying and plugins write.
NEVER_SEEN = {
    "NS:taskq:ahead:ID", "NS:taskq:scratch", "NS:delayed_queue_schedule", "NS:delayed:TIME", "NS:timestamps:ITEM",
    "NS:NS:resque_scheduler_master_lock", "NS:persistent_schedules", "NS:schedules_changed",
    "NS:delayed:last_enqueued_at", "NS:taskq:fired", "NS:taskq:key:KEY",
}  # fmt: skip


def pattern(key: str) -> str:
    key = re.escape(key).replace("NS", "resque").replace("TIME", r"\d+").replace("ITEM", r"\{.*\}").replace("KEY", ".*")
    return key.replace("QUEUE", r"(emails|reports|two)").replace("ID", r"[\w.+-]+:\d+:[\w,*]+")


def documented(key: str) -> str:
    """The key as the page has it. The one that says most is meant: `worker:ID:started` is no `worker:ID`."""
    found = [name for name in DOCUMENTED if re.fullmatch(pattern(name), key)]
    assert found, f"{key} is not on the page"
    return max(found, key=len)


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[TaskQ]:
    with TaskQ(broker=redis_server.url) as app:
        yield app


@pytest.mark.redis
def test_a_worker_leaves_these_keys_and_no_others(app: TaskQ, redis_server: RedisServer, tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def look() -> None:
        with redis_server.client(decode_responses=True) as client:
            for key in client.scan_iter():
                seen.setdefault(documented(str(key)), str(client.type(key)))

    journal = {"TASKQ_TEST_JOURNAL": str(tmp_path / "journal")}
    app.enqueue_to("emails", "no such job")
    app.enqueue_to("reports", "no such job")
    app.enqueue_to("two", "no such job")
    look()
    with RunningWorker(redis_server.url, "--burst", "-q", "emails", env=journal) as worker:
        assert worker.ended() == 0
    split = {"FAILURE_BACKEND": "redis_multi_queue", **journal}
    with RunningWorker(redis_server.url, "-q", "reports", env=split) as worker:
        wait_until(lambda: app.failures.count() == 2)
        look()
        app.enqueue_to("reports", "no such job")
        wait_until(lambda: app.failures.count() == 3)
        app.pause("two")
        app.pause()
        look()
        app.unpause()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.ended() == 0
    # What a job in hand looks like: its worker was killed and nobody found it.
    app.enqueue_to("emails", "until", 1, str(tmp_path / "never"))
    with RunningWorker(redis_server.url, "-q", "emails", env=journal) as worker:
        wait_until(lambda: app.working())
        look()
    assert {key: kind for key, kind in DOCUMENTED.items() if key not in NEVER_SEEN} == seen


def test_every_key_of_the_backend_is_on_the_page() -> None:
    keys = Keys("resque")
    plain = [
        value
        for name in Keys.__slots__
        if isinstance(value := getattr(keys, name), bytes) and not name.endswith("prefix")
    ]
    of_one = [keys.queue, keys.failed_list]
    of_worker = [
        keys.worker, keys.started, keys.worker_processed, keys.worker_failed, keys.token, keys.ahead, keys.registration
    ]  # fmt: skip
    delayed = [keys.delayed(b"1"), keys.timestamps(b'{"class":"A"}'), keys.plain("unique:a")]
    history = [keys.series("hours"), keys.series("days")]
    made = [
        *plain,
        *delayed,
        *history,
        *(make("emails") for make in of_one),
        *(make("host:1:emails") for make in of_worker),
    ]
    assert {documented(key.decode()) for key in made} == set(DOCUMENTED)
