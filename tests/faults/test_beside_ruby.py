"""Fault 27: Ruby's scheduler and taskq side by side, each stopped and killed at every command; lost 0, twice 0.

Ruby's is a stand-in with its order of commands (`tests.support.rubys_scheduler`), compared with the recordings.
"""

from __future__ import annotations

import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count

import pytest

import taskq
from taskq import cancelling
from taskq.errors import BrokerRefused
from taskq.testing.contract.broker.holder import Holder
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG
from tests.support.rubys_scheduler import LOCK, TIMES, RubysScheduler, finish
from tests.support.vectors import vector
from tests.support.workers import ROOT, RunningWorker, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

ME = "host:1:scheduler"
WORKER = "host:2:held"
NUMBERS = range(3)


# ---- the stand-in


@pytest.mark.parametrize(("number", "first", "last", "many"), [("45", 96, 134, 5), ("46", 18, 37, 2)])
def test_the_stand_in_has_the_order_of_the_recordings(
    number: str, first: int, last: int, many: int, server: RedisServer
) -> None:
    recorded = [command[0].upper() for command in vector(number)["commands"][first:last]]
    with server.client() as redis, closing(RubysScheduler(server.url, batch=2 if many == 5 else 100)) as ruby:
        for one in range(many):
            finish(ruby.enqueue_at(1000, "jobs", "Ok", [one]))
        assert redis.zcard(TIMES) == 1
        ruby.commands.clear()
        finish(ruby.move_what_is_due())
        assert ruby.commands == recorded
        assert redis.lrange("resque:queue:jobs", 0, 9) == [b'{"class":"Ok","args":[%d]}' % one for one in range(many)]


# ---- at every command


class Scene:
    """Jobs of one second, which has come for a scheduler of Ruby's whose clock is ahead, and soon does for all."""

    def __init__(self, app: taskq.TaskQ) -> None:
        self.app = app
        self.when = math.ceil(time.time()) + 1
        self.later = app.options(queue="q", at=datetime.fromtimestamp(self.when, UTC))
        app.enqueue_many([self.later.call("Job", number) for number in NUMBERS])
        self.wanted = Counter(NUMBERS)

    def call(self, number: int) -> taskq.Call:
        return self.app.options(queue="q").call("Job", number)

    def gone(self, removed: bool, number: int) -> None:
        if removed:
            self.wanted[number] -= 1


def enqueue(scene: Scene) -> None:
    scene.app.enqueue_many([scene.later.call("Job", 7)])
    scene.app.options(queue="q").enqueue_in(0.001, "Job", 8)
    scene.wanted.update([7, 8])


def release(scene: Scene) -> None:
    holder = Holder(scene.app.broker, WORKER)
    assert holder.register()
    holder.broker.push("held", [b'{"class":"Job","args":[9]}'])
    assert holder.release(holder.take("held"), at=scene.when)
    scene.wanted.update([9])


def remove(scene: Scene) -> None:
    scene.gone(bool(scene.app.delayed.remove(scene.call(0))), 0)


def remove_one(scene: Scene) -> None:
    for each in scene.app.delayed.list().jobs[1:2]:
        assert each.payload is not None
        scene.gone(bool(scene.app.delayed.remove(each)), int(str(each.payload.args[0])))


def remove_all(scene: Scene) -> None:
    removed = scene.app.delayed.remove_all("Job")
    assert removed in (0, len(NUMBERS))
    if removed:
        scene.wanted.clear()


def clear(scene: Scene) -> None:
    removed = scene.app.delayed.clear()
    assert removed in (0, len(NUMBERS))  # all, or they are Ruby's to move
    if removed:
        scene.wanted.clear()


def cancel(scene: Scene) -> None:
    try:
        scene.gone(scene.app.cancel(scene.call(1), by="ada") == "removed", 1)
    except BrokerRefused:
        pass  # it is due, and Ruby's to move


def promote(scene: Scene) -> None:
    scene.app.delayed.enqueue_now(scene.call(2))
    scene.app.delayed.enqueue_all_at(scene.when)


def move(scene: Scene) -> None:
    scene.app.broker.claim_schedule(ME, 60)
    scene.app.broker.promote_due(ME, scene.when, 1000)


VERBS: list[Callable[[Scene], None]] = [enqueue, release, remove, remove_one, remove_all, clear, cancel, promote, move]


@pytest.mark.fault(27)
@pytest.mark.parametrize("dies", [False, True], ids=["ruby goes on", "ruby dies"])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_what_taskq_does_at_every_command_of_rubys_move(
    verb: Callable[[Scene], None], dies: bool, app: taskq.TaskQ, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "_RUBYS", 0.0)
    for command in count(1):
        scene = Scene(app)
        with server.client() as redis, closing(RubysScheduler(server.url, ahead=2.0, batch=2)) as ruby:
            steps = ruby.round()
            there = all(next(steps, None) for _ in range(command))
            verb(scene)
            if dies:
                steps.close()
            else:
                finish(steps)
            ruby.close()
            redis.delete(LOCK)  # released, or run out
            assert app.broker.claim_schedule(ME, 60) == ME
            app.broker.promote_due(ME, scene.when + 10, 1000)
            waiting = [*app.peek("q", 0, 99), *app.peek("held", 0, 99)]
            queued = Counter(int(str(job.payload.args[0])) for job in waiting if job.payload)
            assert queued == +scene.wanted, (command, ruby.commands)
            assert app.delayed.time_count() == 0
            redis.flushall()
        if not there:
            break
    assert command > 25


# ---- killed at random commands, beside schedulers of taskq's and whoever enqueues, cancels and enqueues sooner

KILLS = 100 if LONG else 3


@pytest.fixture
def rubys(server: RedisServer) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Starts Ruby's, which kills itself in front of a command."""
    running: list[subprocess.Popen[bytes]] = []

    def start(last: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "tests.support.rubys_scheduler", server.url, "180", str(last)]
        running.append(subprocess.Popen(words, cwd=ROOT))
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.wait()


@pytest.mark.fault(27)
@pytest.mark.timeout(1800 if LONG else 120)
def test_kill_of_rubys_and_taskqs_schedulers_side_by_side(
    app: taskq.TaskQ,
    server: RedisServer,
    rubys: Callable[[int], subprocess.Popen[bytes]],
    chance: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancelling, "_RUBYS", 0.0)
    ours = [_ours(server.url) for _ in range(2)]
    wanted: Counter[int] = Counter()
    try:
        with server.client() as redis:
            for _ in range(KILLS):
                ruby = rubys(chance.randrange(3, 300))
                while ruby.poll() is None:
                    _act(app, chance, wanted)
                assert ruby.returncode == -signal.SIGKILL
                holder = redis.get(LOCK)
                if holder == b"localhost:%d" % ruby.pid:
                    redis.delete(LOCK)  # its three minutes are over
                victim = chance.randrange(2)
                ours[victim].kill()
                ours[victim] = _ours(server.url)
        wait_until(lambda: app.delayed.time_count() == 0, "all that waits is moved")
    finally:
        for one in ours:
            one.kill()
    waiting: Counter[int] = Counter()
    while page := app.peek("q", waiting.total(), 1000):
        waiting.update(int(str(job.payload.args[0])) for job in page if job.payload is not None)
    assert waiting == +wanted
    assert wanted


def _ours(url: str) -> RunningWorker:
    return RunningWorker(url, "-v", command=("scheduler",), module="tests.support.hasty_scheduler")


def _act(app: taskq.TaskQ, chance: random.Random, wanted: Counter[int]) -> None:
    """Delay some jobs for about now; take one away or enqueue it sooner, wherever that is possible."""
    first = len(wanted)
    some = range(first, first + chance.randrange(1, 4))
    app.enqueue_many(
        [app.options(queue="q", delay=chance.choice([0.001, 0.3, 1.0])).call("Job", number) for number in some]
    )
    wanted.update(some)
    one = chance.randrange(max(first - 20, 0), first + 1)
    call = app.options(queue="q").call("Job", one)
    match chance.randrange(4):
        case 0:
            wanted[one] -= app.delayed.remove(call)
        case 1:
            app.delayed.enqueue_now(call)
        case 2:
            try:
                wanted[one] -= app.cancel(call, by="ada") == "removed"
            except BrokerRefused:
                pass  # it is due, and Ruby's to move
        case _:
            pass
