"""A heart in a thread of its own: it beats, it survives what a beat may meet, and it stops."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

from taskq import events
from taskq.worker.heartbeat import Heart
from tests.support.bench import Bench, CutBroker
from tests.support.leftovers import Since


class Beating(CutBroker):
    """Rings at each heartbeat that was written."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = threading.Semaphore(0)

    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        known = super().heartbeat(worker, process_token, speaks=speaks)
        self.beats.release()
        return known


def come(beats: threading.Semaphore, count: int) -> bool:
    return all(beats.acquire(timeout=30.0) for _ in range(count))


def test_it_beats_while_the_workers_own_thread_is_busy() -> None:
    broker = Beating()
    with Bench(broker=broker, beat=0.01) as bench:
        bench.seat.register()
        heart = Heart(bench.seat)
        heart.start()
        assert come(broker.beats, 5)
        heart.stop()


def test_start_twice_is_one_thread() -> None:
    with Bench() as bench:
        bench.seat.register()
        heart = Heart(bench.seat)
        since = Since()
        heart.start()
        heart.start()
        assert len(since.threads()) == 1
        heart.stop()
        assert since.threads() == set()


def test_a_beat_that_is_refused_or_finds_nobody_does_not_end_it() -> None:
    broker = Beating()
    with Bench(broker=broker, beat=0.01) as bench:
        bench.seat.register()
        refused = threading.Event()
        bench.told.all.clear()
        heart = Heart(bench.seat, beside=lambda: refused.set() if bench.told.of(events.Warned) else None)
        broker.refusing = True
        heart.start()
        assert refused.wait(30.0)
        broker.refusing = False
        assert come(broker.beats, 2)
        broker.away = 2
        assert come(broker.beats, 2)
        heart.stop()
    assert [type(event) for event in bench.told.all] == [events.Warned, events.BrokerLost, events.BrokerBack]


class TestBeside:
    def test_is_called_when_it_asked_to_be(self) -> None:
        calls = threading.Semaphore(0)

        def beside() -> float:
            calls.release()
            return 0.001

        with Bench(beat=3600.0) as bench:
            bench.seat.register()
            heart = Heart(bench.seat, beside=beside)
            heart.start()
            assert come(calls, 5)
            heart.stop()

    def test_is_called_at_each_nudge_and_beats_no_sooner_for_it(self) -> None:
        calls = threading.Semaphore(0)
        broker = Beating()
        with Bench(broker=broker, beat=3600.0) as bench:
            bench.seat.register()
            heart = Heart(bench.seat, beside=calls.release)
            heart.start()
            assert come(calls, 1)
            for _ in range(3):
                heart.nudge()
                assert come(calls, 1)
            heart.stop()
            assert not broker.beats.acquire(blocking=False)


class TestStop:
    def test_does_not_wait_for_the_next_beat(self) -> None:
        with Bench(beat=3600.0) as bench:
            bench.seat.register()
            heart = Heart(bench.seat)
            heart.start()
            began = time.monotonic()
            heart.stop()
            assert time.monotonic() - began < 30.0

    @pytest.mark.parametrize("start", [True, False])
    def test_gives_its_descriptors_back(self, start: bool) -> None:
        with Bench() as bench:
            bench.seat.register()
            since = Since()
            heart = Heart(bench.seat)
            if start:
                heart.start()
            heart.stop()
            assert since.descriptors() == set()

    def test_and_what_nudges_it_then_rings_at_nobody_elses_descriptor(self) -> None:
        with Bench() as bench:
            gc.collect()  # what former tests left, and would give back numbers that are lower yet
            lowest = os.pipe()  # the numbers that are free, and so the heart's, and so the next one's
            for fd in lowest:
                os.close(fd)
            heart = Heart(bench.seat)
            heart.stop()
            ring, bell = os.pipe()
            assert (ring, bell) == lowest
            heart.nudge()
            os.set_blocking(ring, False)
            with pytest.raises(BlockingIOError):
                os.read(ring, 1)
            os.close(ring)
            os.close(bell)

    def test_before_start_keeps_it_from_starting(self) -> None:
        with Bench() as bench:
            since = Since()
            heart = Heart(bench.seat)
            heart.stop()
            heart.start()
            assert since.threads() == set()
