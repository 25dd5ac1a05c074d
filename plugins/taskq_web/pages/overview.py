"""The first page: how much waits, who works on what, what failed lately, and what needs somebody's attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from werkzeug.wrappers import Response

from taskq.failed_filter import ALL, folded
from taskq.failed_search import Bounds
from taskq_web.history import chart, hour_ago
from taskq_web.looking import in_hand
from taskq_web.shown import count
from taskq_web.visit import Visit

__all__ = ["show"]

_WORKING: Final = 15
_QUEUES: Final = 40
_KINDS: Final = 5
_BOUNDS: Final = Bounds(entries=2_000, seconds=0.01)


def show(visit: Visit) -> Response:
    """The figures, the queues, the jobs in hand, the latest kinds of failure."""
    app = visit.app
    history = app.operator.history("hours")
    workers = visit.workers()
    there = [worker for worker in workers if worker.info.registered]
    alive = [worker for worker in there if not worker.looks_dead]
    queues = app.operator.queues([worker.info for worker in alive], history, ages=())
    # Of those that live, as the workers are: what a dead one has left is marked in its row.
    working = sum(worker.info.job is not None for worker in alive)
    pending, failed = sum(queue.size for queue in queues), app.failures.count()
    then = hour_ago(history)
    figures: Sequence[tuple[str, int, str, int | None]] = (
        ("Pending", pending, "/queues", None if then is None else then.pending),
        ("Working", working, "/working", None if then is None else then.working),
        ("Failed", failed, "/failed", None if then is None else then.failures),
        ("Workers", len(alive), "/workers", None if then is None else then.workers),
    )
    groups = app.failures.groups(ALL, bounds=_BOUNDS)
    latest = sorted(groups.groups, key=lambda group: -(group.last or 0.0))[:_KINDS]
    # What needs a look comes first where not all of them fit.
    first = sorted(queues, key=lambda queue: (queue.served_by != () or not queue.size, not queue.size, queue.name))
    shown = {queue.name for queue in first[:_QUEUES]}
    return visit.render(
        "overview.html",
        figures=[(name, value, path, _change(value, before)) for name, value, path, before in figures],
        since=then.at if then is not None else None,
        paused=app.broker.paused(),
        queues=[queue for queue in queues if queue.name in shown],
        more_queues=len(queues) - len(shown),
        unserved=[queue.name for queue in queues if queue.size and not queue.served_by],
        silent=[worker for worker in workers if worker.looks_dead],
        unheard=[worker for worker in workers if worker.unheard],
        workers=len(alive),
        left=sum(worker.info.job is not None for worker in there) - working,
        working=in_hand(app, there, count=_WORKING),
        working_count=working,
        chart=chart(history),
        kinds=[(group, folded(app.showing.briefly(group.example).error)) for group in latest],
    )


def _change(now: int, before: int | None) -> str:
    """How a figure differs from an hour ago; empty where that is not known."""
    if before is None:
        return ""
    if now == before:
        return "no change"
    return f"+{count(now - before)}" if now > before else f"\u2212{count(before - now)}"
