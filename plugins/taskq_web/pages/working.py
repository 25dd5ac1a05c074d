"""The jobs in hand."""

from __future__ import annotations

from werkzeug.wrappers import Response

from taskq_web.looking import in_hand
from taskq_web.visit import Visit

__all__ = ["show"]

_PAGE = 50


def show(visit: Visit) -> Response:
    """Every job in hand, the one that takes longest first."""
    workers = visit.app.workers()
    working = in_hand(visit.app, workers)
    start = visit.query.number("start")
    return visit.render(
        "working.html", working=working[start : start + _PAGE], count=len(working), start=start, page=_PAGE,
        workers=len(workers),
    )  # fmt: skip
