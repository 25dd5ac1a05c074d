"""A chart of what was done and what failed, drawn here as SVG: no script is needed to see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Chart", "Point", "chart_of"]

_WIDTH: Final = 600
_HEIGHT: Final = 100
_ROWS: Final = 24


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a chart.

    Attributes:
        at: the end of its span, unix seconds.
        done: how many jobs ended well in it.
        failed: how many failed.
    """

    at: float
    done: float
    failed: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws. Coordinates are within 600 by 100, the highest value at the top.

    Attributes:
        top: the value at the upper edge.
        area: the surface beneath what was done, as a path.
        done: what was done, as the points of a line.
        failed: what failed, likewise.
        begin: the moment at the left edge.
        end: the moment at the right edge.
        rows: the same as a table: spans, the newest first.
        sentence: the whole of it in words.
    """

    top: float
    area: str
    done: str
    failed: str
    begin: float
    end: float
    rows: Sequence[Point]
    sentence: str


def chart_of(points: Sequence[Point]) -> Chart | None:
    """The chart of these moments, the oldest first; None where there are too few to draw."""
    if len(points) < 2:
        return None
    begin, end = points[0].at, points[-1].at
    top = _round_up(max(max(point.done, point.failed) for point in points))
    done = [_place(point.at, point.done, begin, end, top) for point in points]
    failed = [_place(point.at, point.failed, begin, end, top) for point in points]
    return Chart(
        top=top,
        area=f"M0,{_HEIGHT} L{' L'.join(done)} L{_WIDTH},{_HEIGHT} Z",
        done=" ".join(done),
        failed=" ".join(failed),
        begin=begin,
        end=end,
        rows=_rows(points),
        sentence=f"{sum(point.done for point in points):,.0f} done, "
        f"{sum(point.failed for point in points):,.0f} failed, "
        f"at most {max(point.done for point in points):,.0f} done in one span",
    )


def _place(at: float, value: float, begin: float, end: float, top: float) -> str:
    across = (at - begin) / (end - begin) * _WIDTH if end > begin else 0.0
    return f"{across:.1f},{_HEIGHT - value / top * _HEIGHT:.1f}"


def _round_up(value: float) -> float:
    """The next value that is 1, 2 or 5 times a power of ten, so that the edge says something."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return factor * step
        step *= 10


def _rows(points: Sequence[Point]) -> Sequence[Point]:
    """At most so many spans, several moments to one where there are more."""
    size = -(-len(points) // _ROWS)
    spans = [points[max(0, stop - size) : stop] for stop in range(len(points), 0, -size)]
    return [Point(span[0].at, sum(point.done for point in span), sum(point.failed for point in span)) for span in spans]
