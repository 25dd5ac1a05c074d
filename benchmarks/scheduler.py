"""A scheduler: how fast it moves many jobs that are due at once, and how soon it picks up one that is due now."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.figures import Figure, percentile
from benchmarks.processes import Bench
from taskq.app import TaskQ

__all__ = ["scheduler"]

_JOBS = 100_000
_PUSHED = 10_000  # in one command
_TIMES = 60


def scheduler(bench: Bench) -> Iterator[Figure]:
    """One scheduler on a Redis that has nothing else to do."""
    bench.clean()
    with TaskQ(broker=bench.server.url) as app:
        bodies = [b'{"class":"Billing::Charge","args":[%d]}' % number for number in range(_JOBS)]
        for begin in range(0, _JOBS, _PUSHED):
            app.broker.schedule(1000 + begin // _PUSHED, "bench", bodies[begin : begin + _PUSHED])
        with _running(bench):
            while not app.size("bench"):
                time.sleep(0.0005)
            first, began = app.size("bench"), time.perf_counter()
            while (there := app.size("bench")) < _JOBS:
                time.sleep(0.002)
            rate = (there - first) / (time.perf_counter() - began)
            told = f"{_JOBS:,} jobs, of ten times"
            yield Figure("scheduler", "due at once: moved", rate, "/s", 20_000, "most", told)
            app.remove_queue("bench")
            waits = [_one(app) for _ in range(_TIMES)]
        told = f"{_TIMES} jobs, 99 %: {percentile(waits, 99):.0f} ms"
        what = "due now: in its queue after, median"
        yield Figure("scheduler", what, statistics.median(waits), "ms", 100, "least", told, {"ms": waits})
    bench.clean()


def _one(app: TaskQ) -> float:
    """Milliseconds from when a job is due to when it is in its queue: from the write, for it is due already."""
    time.sleep(0.05)  # the scheduler sleeps
    app.broker.schedule(app.broker.now() - 1, "bench", [b'{"class":"Billing::Charge","args":[]}'])
    began = time.perf_counter()
    while not app.size("bench"):
        time.sleep(0.0005)
    waited = 1000 * (time.perf_counter() - began)
    app.remove_queue("bench")
    return waited


@contextmanager
def _running(bench: Bench) -> Iterator[None]:
    command = [sys.executable, "-m", "taskq", "scheduler", "--broker", bench.server.url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait()
