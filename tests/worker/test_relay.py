"""What becomes of what a dead child left, where it was ended for another job than the one that it had by then."""

from __future__ import annotations

import signal
import time
from typing import Any, cast

import pytest

from taskq import events
from taskq.worker.offspring import Offspring
from taskq.worker.relay import Relay, _Runner
from taskq.worker.runner import BATON
from tests.support.bench import Bench, failed_jobs, payload
from tests.support.workers import wait_until


class Dead:
    pid = 4711


def job(number: int) -> None:
    """Is never performed here."""


@pytest.mark.parametrize(("prefetch", "failed"), [(1, []), (2, [2])], ids=["strict", "prefetch"])
def test_one_that_may_have_begun_dies_with_its_child_and_goes_back_only_where_it_surely_has_not(
    prefetch: int, failed: list[int]
) -> None:
    with Bench(job, prefetch=prefetch) as bench:
        bench.seat.register()
        for number in (1, 2, 3):
            bench.push("job", number)
        reserved = bench.seat.reserve(["jobs"], limit=prefetch).jobs
        first = reserved[0]
        if prefetch == 1:  # its last call was on its way when it was stopped
            bench.seat.reserve(["jobs"], settled=first)
        else:  # its last note was
            bench.seat.note(reserved[1])
        dead = _Runner(cast("Offspring", Dead()), since=0.0, ended="cancel", meant=first.fence, by="ann")
        unused: Any = None
        Relay(bench.worker, bench.control, unused)._settle_what_is_left(dead, -signal.SIGKILL)
        found = failed_jobs(bench.broker)
        assert [each.payload.args[0] for each in found if each.payload] == failed
        assert all("ann" not in each.error for each in found)
        assert bench.broker.peek("jobs", 0, 9) == [payload("job", number) for number in (2, 3) if number not in failed]


class Noting(Dead):
    def __init__(self) -> None:
        self.told: list[bytes] = []

    def tell(self, order: bytes) -> None:
        self.told.append(order)


def test_a_paused_workers_next_child_gets_the_baton_and_the_pause_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two writes it could take a job."""
    with Bench(job) as bench:
        bench.seat.register()
        bench.control.paused = True
        relay, child = Relay(bench.worker, bench.control, lambda orders, say: 0), Noting()
        monkeypatch.setattr(relay, "_forked", lambda: None)  # who stands by next is not what this is about
        relay._standby = _Runner(cast("Offspring", child))
        relay._have_one_run()
        assert child.told == [BATON + bytes([signal.SIGUSR2])]


def test_a_child_that_died_by_itself_is_not_killed_by_a_parent_that_was_held_up() -> None:
    with Bench(job) as bench:
        bench.seat.register()
        relay = Relay(bench.worker, bench.control, lambda orders, say: 0)
        for leaves in (True, False):
            child = Offspring.forked(lambda orders, say: 3)
            wait_until(child.is_dead)
            one = _Runner(child, since=0.0, gone_by=0.0)
            relay._leaving = [one] if leaves else []
            relay._running = None if leaves else one
            relay._see_out(time.monotonic())
            relay._kill(one, "timeout")
            assert one.ended == ""
            relay._bury()
        assert [event.message for event in bench.told.of(events.Warned)] == [
            f"Child {child.pid} ended with status 3 with no job in hand."
        ]
        assert bench.told.of(events.ChildEnding) == []
