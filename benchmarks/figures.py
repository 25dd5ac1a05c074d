"""A figure, its goal, and how both are shown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Figure", "beside", "line", "percentile", "shown"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result.

    Attributes:
        row: the group it belongs to.
        what: what was measured, beside what.
        value: the figure: a ratio, or, where nothing stands beside it, a number of `unit`.
        unit: "x", "ms", "/s".
        goal: what it should be at least or at most; None where it is told for its own sake.
        best: which of the two.
        told: what a reader wants to know beside it.
        raw: all that was measured.
    """

    row: str
    what: str
    value: float
    unit: str
    goal: float | None
    best: Literal["most", "least"]
    told: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.best == "most" else self.value <= self.goal


def beside(
    row: str,
    what: str,
    ours: Callable[[], float],
    bare: Callable[[], float],
    *,
    rounds: int,
    goal: float | None,
    best: Literal["most", "least"],
    unit: str,
) -> Figure:
    """Measure both in turn, so that whatever else the machine does befalls both; the median of the rounds' ratios.

    Args:
        row: see `Figure`.
        what: see `Figure`.
        ours: measures taskq once: a rate, or seconds.
        bare: measures what stands beside it.
        rounds: how often. The order is turned round each time.
        goal: see `Figure`.
        best: see `Figure`.
        unit: of both measures: "/s" or "us".
    """
    measured: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            theirs = bare()
            measured.append((ours(), theirs))
        else:
            mine = ours()
            measured.append((mine, bare()))
    ratios = sorted(mine / theirs for mine, theirs in measured)
    mine, theirs = (statistics.median(side) for side in zip(*measured, strict=True))
    told = f"{shown(mine)} {unit} beside {shown(theirs)}; {rounds} rounds, {ratios[0]:.2f} to {ratios[-1]:.2f}"
    return Figure(
        row, what, statistics.median(ratios), "x", goal, best, told,
        {"unit": unit, "taskq": [one for one, _ in measured], "bare": [one for _, one in measured], "ratios": ratios},
    )  # fmt: skip


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def line(figure: Figure) -> str:
    """A figure as a line of the table."""
    sign = ">=" if figure.best == "most" else "<="
    goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
    verdict = {True: "yes", False: "NO", None: ""}[figure.reached]
    value = f"{figure.value:.2f}" if figure.unit in ("x", "ms") else shown(figure.value)
    return f"{figure.what:<58} {value:>8} {figure.unit:<3} {goal:<9} {verdict:<4} {figure.told}"


def shown(value: float) -> str:
    """A number as people read it: three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
