"""What the broker remembers of the last hours and days, as charts and as changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskq_web.chart import Chart, Point, chart_of

if TYPE_CHECKING:
    from taskq.history import History, Sample

__all__ = ["chart", "hour_ago"]


def chart(history: History, *, most: int = 120) -> Chart | None:
    """The chart of the newest samples; None where there are too few yet."""
    return chart_of([Point(rate.at, rate.done, rate.failed) for rate in history.rates()[-most:]])


def hour_ago(history: History) -> Sample | None:
    """How it was an hour ago; where that is not known, as long ago as it is."""
    found = history.before(3600)
    return found or (history.samples[0] if len(history.samples) > 1 else None)
