"""The rows: what is measured of whom, side by side, and which ratio is the goal."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from benchmarks.figures import Figure, percentile, shown
from benchmarks.peers import measuring
from benchmarks.peers.contenders import TASKQ, Contender
from benchmarks.processes import Bench

__all__ = ["ROWS"]

Measure: TypeAlias = Callable[[], float]
_Measured: TypeAlias = dict[tuple[str, str], list[float]]


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that is to be reached.

    Attributes:
        ours: the way of taskq's that is measured.
        against: the names of the peers that it is measured against, by the best of them; empty for all.
        times: how often better it should be than that.
        what: how the ratio is called.
    """

    ours: str
    times: float
    what: str
    against: tuple[str, ...] = ()


def enqueue(peers: Sequence[Contender], bench: Bench) -> Iterator[Figure]:
    """One call after another."""
    sides = [(each, "", partial(measuring.single_rate, bench, each)) for each in (TASKQ, *peers)]
    python = tuple(each.name for each in peers if each.is_python)
    goal = Goal("", 1.2, "enqueue, beside the best Python peer", python)
    yield from _rates(bench, "enqueue", "enqueue, one at a time", sides, [goal])


def bulk(peers: Sequence[Contender], bench: Bench) -> Iterator[Figure]:
    """All in one call, of those that have a way for it."""
    sides = [(each, "", partial(measuring.bulk_rate, bench, each)) for each in (TASKQ, *peers) if each.bulk]
    rates = _measured(bench, sides)
    yield from _figures("bulk", "enqueue, many at once", rates)
    single = statistics.median(measuring.single_rate(bench, TASKQ) for _ in range(bench.rounds))
    ratio = statistics.median(rates["taskq", ""]) / single
    yield Figure("bulk", "enqueue_many, beside its own one at a time", ratio, "x", 30, "most", f"{shown(single)}/s")


def drain(
    row: str, what: str, ours: Sequence[str], goals: Sequence[Goal], theirs: Sequence[str]
) -> Callable[[Sequence[Contender], Bench], Iterator[Figure]]:
    """A row of drained queues: these ways of taskq's and those of its peers."""

    def measured(peers: Sequence[Contender], bench: Bench) -> Iterator[Figure]:
        sides = [
            (each, each.ways[way].told, partial(measuring.drain_rate, bench, each, each.ways[way]))
            for each in (TASKQ, *peers)
            for way in (ours if each is TASKQ else theirs)
            if way in each.ways
        ]
        yield from _rates(bench, row, what, sides, goals)

    return measured


def start(peers: Sequence[Contender], bench: Bench) -> Iterator[Figure]:
    """How soon a worker that waits starts a job."""
    medians: dict[str, float] = {}
    for each in (TASKQ, *peers):
        for way in ("idle", "idle-fork"):
            if way not in each.ways:
                continue
            name = f"{each.name} {each.ways[way].told}"
            try:
                waits = measuring.starts(bench, each, each.ways[way])
            except (RuntimeError, subprocess.SubprocessError) as error:
                if each is TASKQ:
                    raise
                print(f"left out: {name}, {error}", flush=True)
                continue
            medians[name] = statistics.median(waits)
            median, p99 = {"idle": (1, 5), "idle-fork": (3, None)}[way] if each is TASKQ else (None, None)
            told = f"{len(waits)} jobs, longest {max(waits):.1f} ms"
            yield Figure("start", f"idle, median: {name}", medians[name], "ms", median, "least", told, {"ms": waits})
            yield Figure("start", f"idle, 99 %: {name}", percentile(waits, 99), "ms", p99, "least")
    mine = f"taskq {TASKQ.ways['idle'].told}"
    theirs = {name: median for name, median in medians.items() if not name.startswith("taskq")}
    if theirs:
        best = min(theirs, key=theirs.__getitem__)
        yield Figure("start", "idle, beside the best peer", medians[mine] / theirs[best], "x", 1, "least", best)


def imports(peers: Sequence[Contender], bench: Bench) -> Iterator[Figure]:
    """What a producer's module pays for."""
    python = [each for each in peers if each.is_python]
    sides = [(each, each.imports, partial(measuring.import_time, bench, each)) for each in (TASKQ, *python)]
    goal = Goal(TASKQ.imports, 3, "import, beside RQ's", ("rq",))
    yield from _rates(bench, "import", "import", sides, [goal], unit="ms", best="least")


def memory(peers: Sequence[Contender], bench: Bench) -> Iterator[Figure]:
    """What an idle worker holds."""
    sides = [
        (each, each.ways[way].told, partial(measuring.resident, bench, each, each.ways[way]))
        for each in (TASKQ, *peers)
        for way in ("idle-fork", "idle")
        if way in each.ways
    ]
    goal = Goal(TASKQ.ways["idle-fork"].told, 1, "memory, beside RQ's", ("rq",))
    yield from _rates(bench, "memory", "idle worker", sides, [goal], unit="MiB", best="least")


def _rates(
    bench: Bench,
    row: str,
    what: str,
    sides: Sequence[tuple[Contender, str, Measure]],
    goals: Sequence[Goal],
    *,
    unit: str = "/s",
    best: Literal["most", "least"] = "most",
) -> Iterator[Figure]:
    measured = _measured(bench, sides)
    yield from _figures(row, what, measured, unit=unit, best=best)
    better = max if best == "most" else min
    for goal in goals:
        mine = measured["taskq", goal.ours]
        theirs = {key: each for key, each in measured.items() if key[0] in goal.against or not goal.against}
        theirs = {key: each for key, each in theirs.items() if key[0] != "taskq"}
        if not theirs:
            continue
        of = better(theirs, key=lambda key: statistics.median(theirs[key]))
        pairs = zip(mine, theirs[of], strict=True)
        ratios = [ours / its if best == "most" else its / ours for ours, its in pairs]
        told = f"{of[0]} {of[1]}; {min(ratios):.2f} to {max(ratios):.2f}"
        yield Figure(row, goal.what, statistics.median(ratios), "x", goal.times, "most", told, {"ratios": ratios})


def _measured(bench: Bench, sides: Sequence[tuple[Contender, str, Measure]]) -> _Measured:
    """Each side in turn, in every round. A peer that does not get through is left out, and a line says so."""
    measured: _Measured = {(side.name, told): [] for side, told, _ in sides}
    for number in range(bench.rounds):
        for side, told, measure in sides[:: -1 if number % 2 else 1]:
            if (side.name, told) not in measured:
                continue
            try:
                measured[side.name, told].append(measure())
            except (RuntimeError, subprocess.SubprocessError) as error:
                if side is TASKQ:
                    raise
                print(f"left out: {side.name} {told}, {error}", flush=True)
                del measured[side.name, told]
    return measured


def _figures(
    row: str, what: str, measured: _Measured, *, unit: str = "/s", best: Literal["most", "least"] = "most"
) -> Iterator[Figure]:
    for (name, settings), values in measured.items():
        told = f"{len(values)} rounds, {shown(min(values))} to {shown(max(values))}"
        value = statistics.median(values)
        yield Figure(row, f"{what}: {name} {settings}".rstrip(), value, unit, None, best, told, {unit: values})


_INLINE, _AHEAD = "--inline", "--inline --prefetch 32"
_MACHINE, _MACHINE_AHEAD = "--inline --count 2", "--inline --prefetch 32 --count 2"
_CHILDREN, _FORK = TASKQ.ways["children"].told, TASKQ.ways["fork"].told

ROWS: dict[str, Callable[[Sequence[Contender], Bench], Iterator[Figure]]] = {
    "enqueue": enqueue,
    "bulk": bulk,
    "inline": drain(
        "inline", "one process", ["inline", "inline-all"],
        [Goal(_INLINE, 2.6, "one process, beside Huey's one thread", ("huey",))],
        ["inline"],
    ),
    "ahead": drain(
        "ahead", "one process, ahead", ["ahead", "threads"],
        [Goal(_AHEAD, 12, "one process ahead, beside the best peer's")],
        ["inline", "ahead"],
    ),
    "children": drain(
        "children", "one child", ["children", "children-ahead"],
        [Goal(_CHILDREN, 9, "one child, beside Celery's prefork", ("celery",))],
        ["children"],
    ),
    "fork": drain(
        "fork", "a child for each job", ["fork"], [Goal(_FORK, 8, "a child for each job, beside RQ's", ("rq",))],
        ["fork"],
    ),
    "machine": drain(
        "machine", "two processes", ["machine", "machine-ahead"],
        [Goal(_MACHINE, 2.5, "two processes, beside the best peer"),
         Goal(_MACHINE_AHEAD, 8, "two processes ahead, beside the best peer")],
        ["machine"],
    ),
    "start": start,
    "import": imports,
    "memory": memory,
}  # fmt: skip
