"""Fault 3, of jobs that wait for a time: killed at each command to Redis, or SQL statement, of each verb in turn."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import taskq
from tests.faults.conftest import LONG
from tests.support.crashing_verbs import ME, SCHEDULED, VERBS
from tests.support.workers import ROOT

pytestmark = [pytest.mark.timeout(120), pytest.mark.fault(3)]

NUMBERS = range(5)
ADDED = {7, 8, 9}


@pytest.fixture
def dying(url: str) -> Iterator[Callable[[str], Callable[[int], str]]]:
    """Starts who performs a verb and dies at a command; what it gives is told at which."""
    running: list[subprocess.Popen[str]] = []

    def start(verb: str) -> Callable[[int], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.crashing_verbs", url, verb],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1,
        )  # fmt: skip
        running.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        says, hears = process.stdin, process.stdout

        def die_at(command: int) -> str:
            says.write(f"{command}\n")
            return hears.readline().strip()

        return die_at

    yield start
    for process in running:
        process.communicate()


def numbers(app: taskq.TaskQ, queue: str) -> Counter[int]:
    return Counter(int(str(job.payload.args[0])) for job in app.peek(queue, 0, 99) if job.payload is not None)


@pytest.mark.parametrize("verb", list(VERBS))
def test_crash_at_every_single_command_of(
    verb: str, url: str, dying: Callable[[str], Callable[[int], str]], chance: random.Random
) -> None:
    """Each job is in one place after each, or was taken away; and nothing is left that nobody would find."""
    die_at = dying(verb)
    with taskq.TaskQ(broker=url) as app:
        broker = app.broker
        for command in range(1, 1000) if LONG else range(chance.choice([1, 2, 3, 4]), 1000, 4):
            for at in (SCHEDULED, SCHEDULED + 1):
                bodies = [b'{"class":"Job","args":[%d]}' % number for number in NUMBERS if number % 2 == at % 2]
                broker.schedule(at, "q", bodies)
            became = die_at(command)
            assert became in ("died", "ended"), command

            found = numbers(app, "q") + Counter(
                int(str(job.payload.args[0])) for job in app.delayed.each() if job.payload is not None
            )
            assert max(found.values(), default=0) <= 1, (command, found)
            if verb in ("promote", "move"):
                assert found == Counter(NUMBERS), command
            elif verb == "schedule":
                assert set(NUMBERS) <= set(found) <= {*NUMBERS, *ADDED}, command
            if verb == "move":
                assert numbers(app, "ticks") in (Counter(), Counter([1]), Counter([1, 2])), command

            broker.give_up_schedule(ME)
            assert broker.claim_schedule("host:2:another", 60) == "host:2:another"
            while (done := broker.promote_due("host:2:another", SCHEDULED + 9, 1000)).more:
                pass
            assert not done.stuck
            assert numbers(app, "q") == found, command  # what waited was found, each once
            assert app.delayed.time_count() == 0
            assert left_behind(url) == [], command
            broker.give_up_schedule("host:2:another")
            for queue in ("q", "ticks"):
                app.remove_queue(queue)
            if became == "ended":
                break
    assert command > 2


def left_behind(url: str) -> list[str]:
    """Lists of times, and indexes, that are there without a job."""
    if url.startswith("sqlite"):
        return []
    import redis

    with redis.Redis.from_url(url) as client:
        keys = [*client.keys("resque:delayed:*"), *client.keys("resque:timestamps:*")]
        return [key.decode() for key in keys if key != b"resque:delayed:last_enqueued_at"]
