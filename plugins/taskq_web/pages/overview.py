"""The first page: how much waits, who works on what, what failed lately, and what needs somebody's attention."""

from __future__ import annotations

from werkzeug.wrappers import Response

from taskq_web.looking import in_hand, is_silent, serving
from taskq_web.visit import Visit

__all__ = ["show"]

_MOST = 15


def show(visit: Visit) -> Response:
    """The figures, the queues, the jobs in hand, the latest kinds of failure."""
    app = visit.app
    sizes, paused, workers = app.sizes(), app.broker.paused(), app.workers()
    served = serving(workers, list(sizes))
    working = in_hand(app, workers)
    failed = app.failures.count()
    pending = sum(sizes.values())
    return visit.render(
        "overview.html",
        figures=[
            ("Pending", pending, "/queues", ""),
            ("Working", len(working), "/working", ""),
            ("Failed", failed, "/failed", ""),
            ("Workers", len(workers), "/workers", ""),
        ],
        sizes=sizes,
        paused=paused,
        workers=workers,
        served=served,
        working=working[:_MOST],
        working_count=len(working),
        silent=[worker for worker in workers if is_silent(worker, visit.clock)],
        unserved=[queue for queue, size in sizes.items() if size and not served[queue]],
    )
