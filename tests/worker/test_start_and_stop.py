"""Whatever has a start and a stop may be stopped twice, or first, and gives back all that it took."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from taskq.worker.fork import Fork
from taskq.worker.heartbeat import Heart
from taskq.worker.inline import Inline
from taskq.worker.spawn import Setup, Spawn
from tests.support.bench import Bench
from tests.support.leftovers import Since

Pair = tuple[Callable[[], None], Callable[[], None]]


def heart(bench: Bench) -> Pair:
    made = Heart(bench.seat)
    return made.start, made.stop


def inline(bench: Bench) -> Pair:
    made = Inline(bench.tools, bench.seat, bench.hand, bench.control, bench.ear)
    return made.start, made.stop


def fork(bench: Bench) -> Pair:
    made = Fork(bench.tools, bench.seat, bench.hand, bench.control, bench.ear, bench.told)
    return made.start, made.stop


def spawn(bench: Bench) -> Pair:
    setup = Setup(os.getpid(), (), {}, ())
    made = Spawn(bench.tools, bench.seat, bench.hand, bench.control, bench.told, setup)
    return made.start, made.stop


def lookout(bench: Bench) -> Pair:
    return lambda: bench.lookout.look(bench.seat.id), bench.lookout.close


def ways(start: Callable[[], None], stop: Callable[[], None]) -> dict[str, list[Callable[[], None]]]:
    return {
        "once": [start, stop],
        "twice": [start, stop, stop],
        "started twice": [start, start, stop],
        "before start": [stop, stop],
    }


@pytest.mark.parametrize("way", ["once", "twice", "started twice", "before start"])
@pytest.mark.parametrize(
    "make",
    [heart, inline, lookout, fork, spawn],
)
def test_stop_is_complete_when_it_returns(make: Callable[[Bench], Pair], way: str) -> None:
    with Bench() as bench:
        bench.seat.register()
        since = Since()
        for step in ways(*make(bench))[way]:
            step()
        assert since.threads() == set()
        assert since.descriptors() == set()
