"""How the cost of a job grows with what lies around it: depth, number of queues, jobs done, workers, size.

What Redis spends in the scripts of one job, by its own account, is steadier than what a caller waits; where a caller is
told, his is the time of a whole round trip.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.drain import drained
from benchmarks.figures import Figure, shown
from benchmarks.processes import Bench
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.records import ProcessIdentity, Registration, Tokens

__all__ = ["growth"]

_DEPTHS = (10, 1_000, 100_000, 1_000_000)
_QUEUES = (1, 5, 20, 100, 500)
_SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)  # bytes
_WORKERS = (1, 2, 8, 50)
_BODY = b'{"class":"nothing","args":[1,2]}'
_OPS = 300  # jobs a measurement
_DONE = 60_000  # jobs
_DRAINED = 20_000  # jobs
_FLAT = 1.2  # times: what differs from run to run of one and the same


def growth(bench: Bench) -> Iterator[Figure]:
    """Each with the smallest beside the largest, and all that was measured between."""
    yield from _by_depth(bench)
    yield from _by_queues(bench)
    yield from _by_jobs_done(bench)
    yield from _by_size(bench)
    yield from _by_workers(bench)


def _by_depth(bench: Bench) -> Iterator[Figure]:
    bench.clean()
    with TaskQ(broker=bench.server.url) as app:
        worker = _Worker(app.broker)
        for depth in _DEPTHS:
            for begin in range(0, depth, 10_000):
                app.broker.push(f"deep{depth}", [_BODY] * min(10_000, depth - begin))
        costs: dict[int, list[float]] = {depth: [] for depth in _DEPTHS}
        for _, depth in itertools.product(range(2 * bench.rounds), _DEPTHS):
            costs[depth].append(_scripts(bench, lambda depth=depth: worker.jobs([f"deep{depth}"])))
    yield _flat("growth", f"a job, its queue {_DEPTHS[-1]:,} deep, beside {_DEPTHS[0]}: its scripts", costs)


def _by_queues(bench: Bench) -> Iterator[Figure]:
    bench.clean()
    with TaskQ(broker=bench.server.url) as app:
        worker = _Worker(app.broker)
        names = [f"queue{number}" for number in range(max(_QUEUES))]
        app.broker.push("last", [_BODY] * 10)
        costs: dict[int, list[float]] = {count: [] for count in _QUEUES}
        for _, count in itertools.product(range(2 * bench.rounds), _QUEUES):
            queues = [*names[: count - 1], "last"]
            costs[count].append(_scripts(bench, lambda queues=queues: worker.jobs(queues)))
    first, last = (statistics.median(costs[count]) for count in (_QUEUES[0], _QUEUES[-1]))
    each = (last - first) / (_QUEUES[-1] - _QUEUES[0])
    what = f"a job, {_QUEUES[-1]} queues looked at before it: its scripts, each"
    yield Figure("growth", what, each, "us", 0.3, "least", _told(costs), {"us": costs})


def _by_jobs_done(bench: Bench) -> Iterator[Figure]:
    bench.clean()
    with TaskQ(broker=bench.server.url) as app:
        worker = _Worker(app.broker)
        app.broker.push("bench", [_BODY] * 10)
        costs: dict[int, list[float]] = {0: [], _DONE: []}
        for _ in range(bench.rounds):
            costs[0].append(_scripts(bench, lambda: worker.jobs(["bench"])))
        worker.jobs(["bench"], _DONE)
        for _ in range(bench.rounds):
            costs[_DONE].append(_scripts(bench, lambda: worker.jobs(["bench"])))
    yield _flat("growth", f"a job after {_DONE:,} others, beside the first: its scripts", costs)


def _by_size(bench: Bench) -> Iterator[Figure]:
    """Both ways: enqueued, reserved and finished, by the caller's clock."""
    bench.clean()
    with TaskQ(broker=bench.server.url) as app:
        worker = _Worker(app.broker)
        costs: dict[int, list[float]] = {size: [] for size in _SIZES}
        for _, size in itertools.product(range(2 * bench.rounds), _SIZES):
            body = b'{"class":"nothing","args":["%b"]}' % (b"x" * (size - 33))
            app.broker.push("bench", [body])
            began = time.perf_counter()
            worker.jobs(["bench"], 50)
            costs[size].append(1e6 * (time.perf_counter() - began) / 50)
            app.broker.remove_queue("bench")
    first, last = (statistics.median(costs[size]) for size in (_SIZES[0], _SIZES[-1]))
    what = f"a job of {_SIZES[-1]:,} bytes, beside {_SIZES[0]}: enqueued, reserved, finished"
    yield Figure("growth", what, last / first, "x", None, "least", _told(costs, "bytes"), {"us": costs})


def _by_workers(bench: Bench) -> Iterator[Figure]:
    rates: dict[int, list[float]] = {count: [] for count in _WORKERS}
    for _, count in itertools.product(range(bench.rounds), _WORKERS):
        rates[count].append(drained(bench, _DRAINED, "--inline", "--count", str(count)))
    few, many = (statistics.median(rates[count]) for count in (os.cpu_count() or 2, _WORKERS[-1]))
    what = f"{_WORKERS[-1]} workers' rate, beside as many as there are cores"
    told = "; ".join(f"{count}: {shown(statistics.median(each))}/s" for count, each in rates.items())
    yield Figure("growth", what, many / few, "x", None, "most", told, {"per second": rates})


class _Worker:
    """Holds one job after another, as a worker's loop does, but performs none."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._tokens = Tokens()
        self._id = f"bench:{os.getpid()}:*"
        broker.register(
            Registration(
                self._id, ProcessIdentity("bench", "", "", os.getpid(), ""), dead_after=300, beat=5,
                process_token=self._tokens.process,
            )
        )  # fmt: skip

    def jobs(self, queues: Sequence[str], count: int = _OPS) -> None:
        """Reserve a job and finish it, so often; each goes back to the end of its queue, so that the depth stays."""
        for _ in range(count):
            [job] = self._broker.reserve(self._id, queues, self._tokens.next()).jobs
            self._broker.finish(job, self._tokens.next())
            self._broker.push(job.queue, [job.body])


def _scripts(bench: Bench, work: Any) -> float:
    """Microseconds that Redis spends in the scripts of one job."""
    bench.redis.config_resetstat()
    work()
    return float(bench.redis.info("commandstats")["cmdstat_evalsha"]["usec"]) / _OPS


def _flat(row: str, what: str, costs: dict[int, list[float]]) -> Figure:
    first, *_, last = (statistics.median(each) for each in costs.values())
    return Figure(row, what, last / first, "x", _FLAT, "least", _told(costs), {"us": costs})


def _told(costs: dict[int, list[float]], unit: str = "") -> str:
    return "; ".join(f"{n:,}{unit and ' '}{unit}: {shown(statistics.median(each))} us" for n, each in costs.items())
