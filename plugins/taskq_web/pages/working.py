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
    workers = [worker for worker in visit.workers() if worker.info.registered]
    alive = [worker for worker in workers if not worker.looks_dead]
    count, working = (sum(worker.info.job is not None for worker in of) for of in (workers, alive))
    start = visit.query.number("start")
    return visit.render(
        "working.html",
        working=in_hand(visit.app, workers, start=start, count=_PAGE),
        count=count,
        working_count=working,
        left=count - working,
        start=start,
        page=_PAGE,
        workers=len(alive),
    )
