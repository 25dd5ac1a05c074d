"""The backend in a file of SQLite, beside huey's SqliteHuey: rates, waking up, and eight processes on one file.

All of it depends on how long the disk takes to sync, so that is measured too, and stands beside each rate. huey waits
for the disk once a job, and removes a job as it takes it: one that dies with its process is lost.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import jobs
from benchmarks.figures import Figure, beside, percentile
from benchmarks.processes import ROOT, Bench
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.plugins import open_broker

__all__ = ["sqlite"]

_JOBS = 10_000
_PUSHES = 300
_IDLE, _CROWD = 10.0, 10.0  # seconds
_WORKERS, _PRODUCERS = 8, 2
_STRICT = "?synchronous=full"


def sqlite(bench: Bench) -> Iterator[Figure]:
    """All of it."""
    directory = bench.notes.parent
    yield from _rates(bench, directory)
    yield from _idle(bench, directory)
    yield from _idle_without_inotify(bench, directory)
    yield from _side_by_side(directory)


# ---- rates


def _rates(bench: Bench, directory: Path) -> Iterator[Figure]:
    def ours(query: str = "", *arguments: str) -> float:
        return _drained(bench, directory, query, "--inline", *arguments)

    rates = [ours() for _ in range(bench.rounds)]
    told = f"{bench.rounds} rounds, {min(rates):,.0f} to {max(rates):,.0f}; {_told_of_disk(directory)}"
    yield Figure("sqlite", "SQLite, inline worker's rate", statistics.median(rates), "/s", 8000, "most", told)
    yield beside(
        "sqlite", "strict with --prefetch 8, beside strict",
        lambda: ours(_STRICT, "--prefetch", "8"), lambda: ours(_STRICT),
        rounds=bench.rounds, goal=3, best="most", unit="/s",
    )  # fmt: skip
    if importlib.util.find_spec("huey") is None:
        print('Without huey there is nothing to stand beside: pip install ".[bench]"')
        return
    for what, query, goal in (("default", "", 2.5), ("strict", _STRICT, 1.0)):
        yield beside(
            "sqlite", f"{what}, beside SqliteHuey",
            lambda query=query: ours(query), lambda: _drained_by_huey(bench, directory),  # type: ignore[misc]
            rounds=bench.rounds, goal=goal, best="most", unit="/s",
        )  # fmt: skip
    print(f"  {_told_of_disk(directory)}")


def _drained(bench: Bench, directory: Path, query: str, *arguments: str) -> float:
    """Jobs a second, from the first to the last, as they noted it themselves."""
    url = f"{_new_file(directory)}{query}"
    bench.notes.write_text("")
    with TaskQ(broker=url) as app:
        app.enqueue_many([jobs.nothing.call(number, _JOBS - 1) for number in range(_JOBS)])
    bench.run("taskq", "worker", "-b", url, "--app", "benchmarks.jobs", "--queue", "bench", "--burst", *arguments)
    return _rate(bench)


def _drained_by_huey(bench: Bench, directory: Path) -> float:
    _new_file(directory)
    bench.notes.write_text("")
    environment = {**bench.environment(), "TASKQ_BENCH_HUEY": str(directory / "jobs.db")}
    fill = [sys.executable, "-c", f"from benchmarks.huey_jobs import fill; fill({_JOBS})"]
    subprocess.run(fill, cwd=ROOT, env={**environment, "TASKQ_BENCH_FILL": "1"}, check=True)
    consume = [sys.executable, "-m", "huey.bin.huey_consumer", "benchmarks.huey_jobs.huey", "-k", "thread", "-w", "1"]
    with subprocess.Popen(consume, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as consumer:
        while len(bench.noted()) < 2:
            time.sleep(0.01)
        consumer.terminate()
    return _rate(bench)


def _rate(bench: Bench) -> float:
    (_, first), (_, last) = sorted(bench.noted())
    return (_JOBS - 1) / (last - first)


def _told_of_disk(directory: Path) -> str:
    """How often a second the disk takes a page and says that it has it."""
    page, path = os.urandom(4096), directory / "page"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, page, 0)
    os.fsync(fd)
    began, count = time.monotonic(), 0
    while (seconds := time.monotonic() - began) < 0.5:
        os.pwrite(fd, page, 0)
        getattr(os, "fdatasync", os.fsync)(fd)
        count += 1
    os.close(fd)
    path.unlink()
    return f"fdatasync {count / seconds:,.0f}/s"


def _new_file(directory: Path) -> str:
    for path in directory.glob("jobs.db*"):
        path.unlink()
    return f"sqlite:///{directory / 'jobs.db'}"


# ---- waking up


def _idle(bench: Bench, directory: Path) -> Iterator[Figure]:
    waits, busy, told = _woken(bench, directory, "taskq", pushes=_PUSHES, idle=_IDLE)
    what = "idle worker starts a job, from its commit: median"
    yield Figure("sqlite", what, statistics.median(waits), "ms", 2, "least", told)
    yield Figure("sqlite", "the same: 99 %", percentile(waits, 99), "ms", 10, "least")
    yield Figure("sqlite", "idle worker's share of a CPU", busy, "%", 0.1, "least", f"over {_IDLE:.0f} s")


def _idle_without_inotify(bench: Bench, directory: Path) -> Iterator[Figure]:
    """As on macOS and Windows."""
    waits, busy, told = _woken(bench, directory, "benchmarks.without_inotify", pushes=_PUSHES // 3, idle=_IDLE / 2)
    what = "without inotify, as elsewhere than on Linux: median"
    yield Figure("sqlite", what, statistics.median(waits), "ms", 20, "least", told)
    yield Figure("sqlite", "the same: 99 %", percentile(waits, 99), "ms", None, "least")
    yield Figure("sqlite", "the same: share of a CPU", busy, "%", None, "least", f"over {_IDLE / 2:.0f} s")


def _woken(
    bench: Bench, directory: Path, program: str, *, pushes: int, idle: float
) -> tuple[Sequence[float], float, str]:
    """Milliseconds from a commit to the job's first line in an idle worker, its per cent of a CPU, and beside what."""
    url = _new_file(directory)
    with contextlib.closing(open_broker(url)) as broker, _worker(bench, program, url) as process:
        while not broker.workers():
            time.sleep(0.01)
        time.sleep(1)  # what it does at its start is not idling
        before, began = _cpu(process.pid), time.monotonic()
        time.sleep(idle)
        busy = 100 * (_cpu(process.pid) - before) / (time.monotonic() - began)
        committed = list(_pushed(bench, broker, pushes))
    waits = [1000 * (seen - at) for at, (_, seen) in zip(committed, bench.noted(), strict=True)]
    return waits, busy, f"{pushes} pushes by another process, longest {max(waits):.1f} ms; {_told_of_disk(directory)}"


def _pushed(bench: Bench, broker: Broker, pushes: int) -> Iterator[float]:
    """Push jobs one by one, each when the last is performed; when each was there."""
    bench.notes.write_text("")
    for number in range(pushes):
        broker.push("bench", [b'{"class":"begins","args":[%d]}' % number])
        yield time.monotonic()
        while len(bench.noted()) <= number:
            time.sleep(0.001)
        time.sleep(random.uniform(0.01, 0.04))  # it has to settle, and to find nothing more


@contextlib.contextmanager
def _worker(bench: Bench, program: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [program, "worker", "-b", url, "--app", "benchmarks.jobs", "--queue", "bench", "--inline"]
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env=bench.environment(), stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


# ---- eight processes


def _side_by_side(directory: Path) -> Iterator[Figure]:
    url = _new_file(directory)
    open_broker(url).check()
    ends = time.monotonic() + 2 + _CROWD
    kinds = [*["worker"] * _WORKERS, *["producer"] * _PRODUCERS]
    command = [sys.executable, "-m", "benchmarks.one_of_eight"]
    started = [
        subprocess.Popen([*command, kind, url, str(place), repr(ends)], cwd=ROOT, stdout=subprocess.PIPE)
        for place, kind in enumerate(kinds)
    ]
    said = [json.loads(process.communicate()[0]) for process in started]
    done, pushed = said[:_WORKERS], said[_WORKERS:]
    with contextlib.closing(open_broker(url)) as broker:
        left = [int(body) for body in broker.peek("bench", 0, 10_000_000)]
    seen = Counter(itertools.chain(left, *(one["bodies"] for one in done)))
    there = {number for one in pushed for number in one["bodies"]}
    shares = sorted(len(one["bodies"]) for one in done)
    rate = f"{sum(shares) / _CROWD:,.0f} jobs/s, {len(there):,} pushed one by one; {_told_of_disk(directory)}"
    doubled = sum(count > 1 for count in seen.values())
    yield Figure("sqlite", "8 workers, 2 producers: jobs lost", len(there - set(seen)), "", 0, "least", rate)
    yield Figure("sqlite", "the same: jobs twice", doubled, "", 0, "least")
    longest = 1000 * max(one["longest"] for one in done)
    yield Figure("sqlite", "the same: longest reserve", longest, "ms", 250, "least")
    share = shares[0] / max(shares[-1], 1)
    told = f"{shares[0]:,} and {shares[-1]:,} jobs"
    yield Figure("sqlite", "the same: the least served beside the most served", share, "x", 0.33, "most", told)
