"""Schedulers: several at once, killed at any moment, beside Ruby's lock; nothing is lost and nothing is doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG
from tests.support.fault_jobs import numbered
from tests.support.workers import RunningWorker, wait_until

KILLS = 100 if LONG else 4


@pytest.fixture
def running() -> Iterator[list[RunningWorker]]:
    running: list[RunningWorker] = []
    yield running
    for one in running:
        one.kill()


def scheduler(url: str, *arguments: str, module: str = "tests.support.hasty_scheduler") -> RunningWorker:
    return RunningWorker(url, "-v", *arguments, command=("scheduler",), module=module)


def numbers(app: taskq.TaskQ, queue: str) -> list[int]:
    found: list[int] = []
    while page := app.peek(queue, len(found), 1000):
        found += [int(str(each.payload.args[0])) for each in page if each.payload is not None]
    return found


@pytest.mark.timeout(1800 if LONG else 120)
def test_kill_of_schedulers_at_random_moments(
    url: str, running: list[RunningWorker], chance: random.Random, tmp_path: Path
) -> None:
    """Delayed jobs go into their queue once each, and each tick of what recurs is enqueued at most once."""
    file = tmp_path / "schedule.yml"
    file.write_text("tick: {every: 1s, class: Tick, queue: ticks}\n")
    count, per_second = KILLS * 400, 400
    with taskq.TaskQ(broker=url) as app:
        begins = app.broker.now()
        app.enqueue_many(
            [
                taskq.Call(None, "Job", (number,), "q", False, {}, None, begins + number / per_second)
                for number in range(count)
            ]
        )
        running += [scheduler(url, "--schedule", str(file)) for _ in range(3)]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 1.5))  # the random moment is what this test is about
            victim = chance.randrange(3)
            running[victim].kill()
            running[victim] = scheduler(url, "--schedule", str(file))
        wait_until(lambda: app.delayed.time_count() == 0, "all delayed jobs are moved", seconds=60)
        wait_until(lambda: app.size("ticks"), "something recurs", seconds=20)
        assert Counter(numbers(app, "q")) == Counter(range(count))
        seconds = app.broker.now() - begins
        assert 0 < app.size("ticks") <= seconds + 1
        for one in running:
            one.line("Starting scheduler")
            one.process.send_signal(signal.SIGTERM)
        assert [one.ended() for one in running] == [0, 0, 0]
        holder = app.broker.claim_schedule("another", 1.0)  # given back, but by the last one that was killed
        assert not any(f":{one.pid}:" in holder for one in running)


@pytest.mark.redis
@pytest.mark.timeout(120)
def test_another_has_the_lock_within_ten_seconds_of_a_death(
    redis_server: RedisServer, running: list[RunningWorker]
) -> None:
    """With the time that the lock has in life."""
    url = redis_server.url
    running.append(scheduler(url, module="taskq"))
    running[0].line("acts now")
    running.append(scheduler(url, module="taskq"))
    running[1].line(r"Standing by: \S+ has the lock")
    died = time.monotonic()
    running[0].kill()
    running[1].line("acts now", seconds=20)
    assert time.monotonic() - died < 10


@pytest.mark.redis
def test_beside_rubys_scheduler_it_stands_by_until_that_gives_up(
    redis_server: RedisServer, running: list[RunningWorker]
) -> None:
    with redis_server.client() as redis, taskq.TaskQ(broker=redis_server.url) as app:
        lock = "resque:resque:resque_scheduler_master_lock"
        app.broker.schedule(1000.0, "q", [b'{"class":"Job","args":[1]}'])  # first: beside Ruby's it would wait longer
        redis.set(lock, "localhost:10639", ex=180)
        running.append(scheduler(redis_server.url))
        running[0].line(r"Standing by: localhost:10639 \(resque-scheduler\) has the lock")
        assert (app.size("q"), app.delayed.count()) == (0, 1)
        redis.delete(lock)
        running[0].line("Moved 1 job that was due")
        assert numbers(app, "q") == [1]


@pytest.mark.redis
def test_what_ruby_wrote_and_cannot_be_moved_is_buried_or_finds_its_way(
    redis_server: RedisServer, running: list[RunningWorker]
) -> None:
    with redis_server.client() as redis, taskq.TaskQ(broker=redis_server.url) as app:
        for raw in ('{"class":"numbered","args":[1]}', '{"class":"Elsewhere","args":[2]}', "rubbish"):
            redis.rpush("resque:delayed:1000", raw)
        redis.zadd("resque:delayed_queue_schedule", {"1000": 1000})
        running.append(scheduler(redis_server.url))
        running[0].line("It is in the failed list", times=2)
        wait_until(lambda: app.delayed.time_count() == 0)
        assert numbers(app, numbered.queue) == [1]
        errors = [failed.error for failed in app.failures.list(newest_first=False)]
        assert "says no queue" in errors[0]
        assert "no payload" in errors[1]
        assert json.loads(app.failures.list(newest_first=False)[0].entry)["payload"]["class"] == "Elsewhere"


@pytest.mark.redis
def test_a_worker_has_a_scheduler_beside_it_that_is_started_again(
    redis_server: RedisServer, running: list[RunningWorker], tmp_path: Path
) -> None:
    with taskq.TaskQ(broker=redis_server.url) as app:
        arguments = ["-v", "--with-scheduler", "--queues", "q"]
        env = {"TASKQ_TEST_JOURNAL": str(tmp_path / "journal")}
        one = RunningWorker(redis_server.url, *arguments, module="tests.support.hasty_scheduler", env=env)
        running.append(one)
        first = int(one.line(r"Starting scheduler [^:]+:(\d+):")[1])
        one.line("acts now")
        os.kill(first, signal.SIGKILL)
        one.line(r"The scheduler \(pid \d+\) was killed by SIGKILL; another starts")
        one.line("acts now", times=2)
        app.options(queue="q").enqueue_in(0.01, "numbered", 7)
        one.line(r"done: \(Job\{q\} \| numbered")
        one.process.send_signal(signal.SIGTERM)
        one.line("The scheduler has ended", times=1)
        assert one.ended() == 0
