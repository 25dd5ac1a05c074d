"""Idle workers: how soon one starts what a bare RPUSH brings, and what they ask of Redis while they wait."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.figures import Figure, percentile
from benchmarks.processes import Bench, worker

__all__ = ["crowd", "start"]

_PUSHES = 300
_WORKERS = 50
_SECONDS = 10.0
_A_SECOND = 100  # pushes


def start(bench: Bench) -> Iterator[Figure]:
    """How soon one idle worker starts a job, from its RPUSH to its first line, a child forked in between or not."""
    for queues in (["bench"], [f"bench{number}" for number in range(5)]):
        for model in ("fork", "inline"):
            waits = _starts(bench, queues, model)
            what = f"idle worker starts a job, {len(queues)} queue{'s'[: len(queues) - 1]}, {model}"
            told = f"{len(waits)} pushes, longest {max(waits):.1f} ms"
            raw = {"ms": waits}
            yield Figure("start", f"{what}: median", statistics.median(waits), "ms", 5, "least", told, raw)
            yield Figure("start", f"{what}: 99 %", percentile(waits, 99), "ms", 25, "least")


def _starts(bench: Bench, queues: Sequence[str], model: str) -> list[float]:
    bench.clean()
    arguments = ["--inline"] if model == "inline" else []
    with worker(bench, "--queues", ",".join(queues), *arguments):
        _all_wait(bench, 1)
        for number in range(_PUSHES):
            _push(bench, random.choice(queues))
            _until(lambda number=number: len(bench.noted()) > number)
            time.sleep(random.uniform(0.005, 0.03))  # it has to settle, and to find nothing more
    return [1000 * seconds for (seconds,) in bench.noted()]


def crowd(bench: Bench) -> Iterator[Figure]:
    """What fifty workers ask of Redis, and how soon one of them starts a job."""
    bench.clean()
    with worker(bench, "--queue", "bench", "--count", str(_WORKERS)):
        _all_wait(bench, _WORKERS)
        time.sleep(3)  # what they do at their start is not idling
        before = _calls(bench)
        time.sleep(_SECONDS)
        idle = _since(before, _calls(bench), _SECONDS)
        yield _asked(f"{_WORKERS} idle workers' commands", idle, 200, pushes=0)

        before, began = _calls(bench), time.monotonic()
        for number in range(int(_SECONDS * _A_SECOND)):
            time.sleep(max(began + number / _A_SECOND - time.monotonic(), 0))
            _push(bench, "bench")
        busy = _since(before, _calls(bench), time.monotonic() - began)
        yield _asked(f"the same, {_A_SECOND} pushes a second", busy, 1000, pushes=int(_SECONDS * _A_SECOND))
        _until(lambda: len(bench.noted()) == int(_SECONDS * _A_SECOND))
        waits = [1000 * seconds for (seconds,) in bench.noted()]
        told = f"99 %: {percentile(waits, 99):.1f} ms, longest {max(waits):.1f} ms"
        what = f"one of {_WORKERS} starts a job, fork: median"
        yield Figure("crowd", what, statistics.median(waits), "ms", 5, "least", told, {"ms": waits})


def _asked(what: str, calls: dict[str, float], goal: float, *, pushes: int) -> Figure:
    """Commands a second, those within scripts not counted, nor the benchmark's own."""
    own = {"rpush": pushes / _SECONDS, "info": 1 / _SECONDS}
    sent = {name: rate - own.get(name, 0) for name, rate in calls.items() if rate - own.get(name, 0) > 0.05}
    shown = ", ".join(f"{name} {rate:.0f}" for name, rate in sorted(sent.items(), key=lambda one: -one[1])[:4])
    return Figure("crowd", what, sum(sent.values()), "/s", goal, "least", shown, {"per second": sent})


def _push(bench: Bench, queue: str) -> None:
    bench.redis.rpush(f"resque:queue:{queue}", f'{{"class":"started","args":[{time.monotonic()!r}]}}')


def _calls(bench: Bench) -> dict[str, int]:
    stats: Any = bench.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}


def _since(before: dict[str, int], after: dict[str, int], seconds: float) -> dict[str, float]:
    return {name: (count - before.get(name, 0)) / seconds for name, count in after.items()}


def _all_wait(bench: Bench, count: int) -> None:
    """Return once so many workers have turned on their wake-up."""
    _until(lambda: str(bench.redis.info("clients")["tracking_clients"]) == str(count))


def _until(true: Any, seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.002)
