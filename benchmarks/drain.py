"""A worker drains a queue of jobs that do nothing, beside the bare loop; in children, beside bare forks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks import jobs
from benchmarks.figures import Figure, beside
from benchmarks.processes import Bench
from taskq.app import TaskQ

__all__ = ["ahead", "children", "drained", "fork", "inline", "machine"]

_INLINE, _AHEAD, _FORK = 10_000, 50_000, 500  # jobs
_MANY = ("--prefetch", "32")


def inline(bench: Bench) -> Iterator[Figure]:
    """In the worker's own process, which takes from one queue, or from all that there are."""
    for what, queue in (("inline worker's rate, beside one bare EVALSHA a job", "bench"), ("the same over *", "*")):
        yield beside(
            "inline", what,
            partial(drained, bench, _INLINE, "--inline", queue=queue),
            lambda: _bare(bench, "loop", _INLINE),
            rounds=bench.rounds, goal=1.05, best="most", unit="/s",
        )  # fmt: skip


def ahead(bench: Bench) -> Iterator[Figure]:
    """In the worker's own process, which holds several jobs."""
    yield beside(
        "ahead", "inline worker's rate with --prefetch 32, beside the same",
        lambda: drained(bench, _AHEAD, "--inline", *_MANY),
        lambda: _bare(bench, "loop", _INLINE),
        rounds=bench.rounds, goal=5, best="most", unit="/s",
    )  # fmt: skip


def children(bench: Bench) -> Iterator[Figure]:
    """In children that run the loop themselves, so many jobs each, beside the worker's own process."""
    ways: list[tuple[int, Sequence[str], int, float]] = [
        (1_000, (), _INLINE, 1),
        (1_000, _MANY, _AHEAD, 0.7),
        (5_000, _MANY, _AHEAD, 0.9),
    ]
    for jobs_per_fork, ahead, count, goal in ways:
        yield beside(
            "children", " ".join((f"children of {jobs_per_fork:,} jobs", *ahead, "beside inline")),
            partial(drained, bench, count, "--jobs-per-fork", str(jobs_per_fork), *ahead),
            partial(drained, bench, count, "--inline", *ahead),
            rounds=bench.rounds, goal=goal, best="most", unit="/s",
        )  # fmt: skip


def machine(bench: Bench) -> Iterator[Figure]:
    """By two workers at once, with as many bare loops beside them. The goals are beside the peers."""
    ways: list[tuple[str, Sequence[str], int]] = [
        ("two inline workers, beside two bare loops", (), 2 * _INLINE),
        ("the same with --prefetch 32", _MANY, 2 * _AHEAD),
    ]
    for what, ahead, count in ways:
        yield beside(
            "machine", what,
            partial(drained, bench, count, "--inline", "--count", "2", *ahead),
            lambda: _bare(bench, "loops", 2 * _INLINE),
            rounds=bench.rounds, goal=None, best="most", unit="/s",
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


def drained(bench: Bench, count: int, *arguments: str, queue: str = "bench") -> float:
    """Jobs a second, from the first to the last, as they noted it themselves."""
    _fill(bench, count)
    bench.run("taskq", "worker", "--app", "benchmarks.jobs", "--queue", queue, "--burst", *arguments)
    (_, first), (_, last) = sorted(bench.noted())
    return (count - 1) / (last - first)


def _bare(bench: Bench, which: str, count: int) -> float:
    _fill(bench, count)
    return float(bench.run("benchmarks.bare", which, str(bench.server.port), str(count)))
