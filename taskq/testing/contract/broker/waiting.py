"""Waiting: it wakes, early if it likes, and never removes anything."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import pytest

from taskq.broker import Broker, Capability
from taskq.errors import BrokerError
from taskq.records import Reservation
from taskq.spans import LONGEST
from taskq.testing.contract.broker.holder import ONE, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Waiting"]


Found: TypeAlias = "Callable[[Callable[[], Sequence[Reservation]], Callable[[float], object]], Future[bytes]]"
"""Given how to look and how to wait, promises the job that comes of it."""


class Waiting(OnABroker):
    """Waiting: it wakes, early if it likes, and never removes anything."""

    @pytest.fixture
    def found(self) -> Iterator[Found]:
        """Looks and waits in turn in another thread, as a worker does, and promises what it finds.

        It waits twice as long as the test has patience, so that a wait that is not woken is told from one that is.
        """
        over = threading.Event()

        def look_and_wait(look: Callable[[], Sequence[Reservation]], wait: Callable[[float], object]) -> bytes:
            while not over.is_set():
                for taken in look():
                    return taken.body
                wait(2 * self.patience)
            return b""

        with ThreadPoolExecutor(1) as pool:
            yield lambda look, wait: pool.submit(look_and_wait, look, wait)
            over.set()

    def test_wait_wakes_on_a_push_by_another(self, broker: Broker, other: Broker, holder: Holder, found: Found) -> None:
        """A push that comes between a `reserve` that found nothing and the wait is not missed either."""
        promised = found(lambda: holder.reserve("q").jobs, lambda seconds: broker.wait(["q"], seconds))
        other.push("q", [ONE])
        assert promised.result(timeout=self.patience) == ONE

    def test_wait_for_any_queue_wakes_on_a_new_one(
        self, broker: Broker, other: Broker, holder: Holder, found: Found
    ) -> None:
        """With None it wakes for queues that nobody had heard of."""
        promised = found(lambda: holder.reserve(*broker.queues()).jobs, lambda seconds: broker.wait(None, seconds))
        other.push("never seen before", [ONE])
        assert promised.result(timeout=self.patience) == ONE

    def test_wait_wakes_when_a_pause_is_over(self, broker: Broker, other: Broker, holder: Holder, found: Found) -> None:
        """Within the time that a worker waits at most, jobs that a pause held back are found."""
        broker.push("q", [ONE])
        broker.pause("q")
        promised = found(lambda: holder.reserve("q").jobs, lambda seconds: broker.wait(["q"], min(seconds, 1.0)))
        other.unpause("q")
        assert promised.result(timeout=self.patience) == ONE

    def test_wait_returns_at_once_where_work_is_there(self, broker: Broker) -> None:
        """It answers True, for a queue that has a job."""
        broker.push("q", [ONE])
        began = time.monotonic()
        assert broker.wait(["none", "q"], self.patience)
        assert time.monotonic() - began < self.patience / 2

    def test_wait_removes_nothing(self, broker: Broker) -> None:
        """Whoever is woken reserves, and may find nothing: speed is kept apart from safety."""
        broker.push("q", [ONE])
        broker.wait(["q"], 0.01)
        assert list(broker.peek("q", 0, 9)) == [ONE]

    def test_wait_ends_at_its_timeout(self, broker: Broker) -> None:
        """It may end before, and not much later."""
        began = time.monotonic()
        deadline = began + 0.2
        while (left := deadline - time.monotonic()) > 0:
            broker.wait(["q"], left)
        assert time.monotonic() - began < self.patience / 2

    def test_wait_ends_when_an_interrupt_is_readable(self, broker: Broker) -> None:
        """Each time, as long as it is: a worker that is told to stop does not wait, were its interval a century."""
        ear, bell = os.pipe()
        try:
            os.write(bell, b"!")
            began = time.monotonic()
            broker.wait(["q"], self.patience, [ear])
            assert time.monotonic() - began < self.patience / 2
            broker.wait(["q"], LONGEST, [ear])
            assert time.monotonic() - began < self.patience / 2
        finally:
            os.close(ear)
            os.close(bell)

    def test_wait_does_not_spin_on_paused_jobs(self, broker: Broker, holder: Holder) -> None:
        """Jobs that nobody may take are no work: else each worker would ask all the time."""
        broker.push("q", [ONE])
        broker.pause("q")
        deadline = time.monotonic() + 0.5
        wakes = 0
        while (left := deadline - time.monotonic()) > 0:
            broker.wait(["q"], left)
            assert holder.reserve("q").jobs == ()
            wakes += 1
        assert wakes < 20

    @pytest.mark.parametrize("for_what", ["a job", "a delayed job", "a key"])
    def test_close_wakes_whoever_waits(self, for_what: str) -> None:
        """A broker that is given back leaves nobody behind."""
        broker = self.make_broker()
        if for_what != "a job":
            self.needs(broker, Capability.DELAY if for_what == "a delayed job" else Capability.KEYS)
        seconds = 2 * self.patience

        def wait() -> None:
            with contextlib.suppress(BrokerError):  # it may say that it is closed
                if for_what == "a job":
                    broker.wait(["q"], seconds)
                elif for_what == "a delayed job":
                    broker.wait_due(None, seconds)
                else:
                    broker.await_key("a", None, seconds)

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait)
            deadline = time.monotonic() + self.patience
            while not waiting.done():  # the first may come before the other thread began
                assert time.monotonic() < deadline
                broker.close()
                futures.wait([waiting], timeout=0.05)
            waiting.result()
