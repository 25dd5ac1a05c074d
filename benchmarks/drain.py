"""A worker drains a queue of jobs that do nothing, beside the bare loop; in children, beside bare forks."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import jobs
from benchmarks.figures import Figure, beside
from benchmarks.processes import Bench
from taskq.app import TaskQ

__all__ = ["ahead", "drained", "fork", "inline"]

_INLINE, _AHEAD, _FORK = 8_000, 50_000, 500  # jobs


def inline(bench: Bench) -> Iterator[Figure]:
    """In the worker's own process."""
    yield beside(
        "inline", "inline worker's rate, beside one bare EVALSHA a job",
        lambda: drained(bench, _INLINE, "--inline"),
        lambda: _bare(bench, "loop", _INLINE),
        rounds=bench.rounds, goal=1.05, best="most", unit="/s",
    )  # fmt: skip


def ahead(bench: Bench) -> Iterator[Figure]:
    """In the worker's own process, which holds several jobs."""
    yield beside(
        "ahead", "inline worker's rate with --prefetch 32, beside the same",
        lambda: drained(bench, _AHEAD, "--inline", "--prefetch", "32"),
        lambda: _bare(bench, "loop", _INLINE),
        rounds=bench.rounds, goal=5, best="most", unit="/s",
    )  # fmt: skip


def fork(bench: Bench) -> Iterator[Figure]:
    """In a child each."""
    yield beside(
        "fork", "fork per job's rate, beside a bare EVALSHA, fork, call and wait",
        lambda: drained(bench, _FORK),
        lambda: _bare(bench, "fork", _FORK),
        rounds=bench.rounds, goal=0.8, best="most", unit="/s",
    )  # fmt: skip
    yield beside(
        "fork-standby", "the same, beside one that has the next child stand by",
        lambda: drained(bench, _FORK),
        lambda: _bare(bench, "standby", _FORK),
        rounds=bench.rounds, goal=0.85, best="most", unit="/s",
    )  # fmt: skip
    yield beside(
        "fork-empty", "the same, beside forks that do nothing",
        lambda: drained(bench, _FORK),
        lambda: _bare(bench, "empty-fork", _FORK),
        rounds=bench.rounds, goal=None, best="most", unit="/s",
    )  # fmt: skip


def _fill(bench: Bench, count: int) -> None:
    bench.clean()
    with TaskQ(broker=bench.server.url) as app:
        app.enqueue_many([jobs.nothing.call(number, count - 1) for number in range(count)])


def drained(bench: Bench, count: int, *arguments: str) -> float:
    """Jobs a second, from the first to the last, as they noted it themselves."""
    _fill(bench, count)
    bench.run("taskq", "worker", "--app", "benchmarks.jobs", "--queue", "bench", "--burst", *arguments)
    (_, first), (_, last) = sorted(bench.noted())
    return (count - 1) / (last - first)


def _bare(bench: Bench, which: str, count: int) -> float:
    _fill(bench, count)
    return float(bench.run("benchmarks.bare", which, str(bench.server.port), str(count)))
