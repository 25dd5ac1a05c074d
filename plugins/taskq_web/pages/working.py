"""The jobs in hand."""

from __future__ import annotations

from typing import Final

from werkzeug.wrappers import Response

from taskq_web.looking import in_hand
from taskq_web.visit import Visit

__all__ = ["show"]

_PAGE: Final = 40


def show(visit: Visit) -> Response:
    """Every job in hand, the one that takes longest first."""
    workers = [worker.info for worker in visit.workers() if worker.info.registered]
    start = visit.query.number("start")
    return visit.render(
        "working.html",
        working=in_hand(visit.app, workers, start=start, count=_PAGE),
        count=sum(worker.job is not None for worker in workers),
        start=start,
        page=_PAGE,
        workers=len(workers),
    )
