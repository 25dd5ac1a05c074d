"""Queues: how much waits, for how long, who serves them, holding them back; and what waits in one."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from werkzeug.wrappers import Response

from taskq.records import WorkerInfo
from taskq.short_names import short
from taskq_web.shown import brief
from taskq_web.visit import Refused, Visit

__all__ = ["one", "pause", "pause_all", "remove", "remove_job", "show", "unpause", "unpause_all"]

_PAGE: Final = 25
_QUEUES: Final = 45
_MARK: Final = 16  # hex digits of the mark of what is removed


def show(visit: Visit) -> Response:
    """Every queue."""
    start = visit.query.number("start")
    ages = visit.app.queues()[start : start + _QUEUES]
    queues = visit.app.operator.queues(_alive(visit), ages=ages)
    shown = queues[start : start + _QUEUES]
    return visit.render(
        "queues.html",
        queues=shown,
        uncounted=any(queue.flow is None and queue.change is not None for queue in shown),
        paused=visit.app.broker.paused(),
        count=len(queues),
        start=start,
        page=_QUEUES,
    )


def one(visit: Visit) -> Response:
    """What waits in a queue, the next to be performed first."""
    queue = _queue(visit)
    try:
        page = visit.app.operator.queue_page(queue, visit.query.get("cursor"), _PAGE)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin with the first: Queues.") from None
    states = visit.app.operator.queues(_alive(visit), ages=(queue,))
    state = next((each for each in states if each.name == queue), None)
    return visit.render(
        "queue.html",
        queue=queue,
        page=page,
        state=state,
        paused=visit.app.broker.paused(),
        first=not visit.query.get("cursor"),
    )


def _alive(visit: Visit) -> Sequence[WorkerInfo]:
    return [worker.info for worker in visit.workers() if not worker.looks_dead]


def pause(visit: Visit) -> Response:
    """Let workers take nothing more from a queue."""
    queue = _queue(visit)
    visit.app.pause(queue)
    return visit.back(f"{brief(queue)} is paused. Jobs in hand go on.", "/queues")


def unpause(visit: Visit) -> Response:
    """Let workers take from a queue again."""
    queue = _queue(visit)
    visit.app.unpause(queue)
    still = " All queues still are." if visit.app.broker.paused().all else ""
    return visit.back(f"{brief(queue)} is not paused any more.{still}", "/queues")


def pause_all(visit: Visit) -> Response:
    """Let workers take nothing more at all."""
    visit.app.pause()
    return visit.back("All queues are paused. Jobs in hand go on.", "/queues")


def unpause_all(visit: Visit) -> Response:
    """Undo that."""
    visit.app.unpause()
    still = sorted(visit.app.broker.paused().queues)
    rest = f" Still paused by name: {', '.join(map(brief, still[:12]))}." if still else ""
    return visit.back(f"No longer are all queues paused.{rest}", "/queues")


def remove(visit: Visit) -> Response:
    """Remove a queue and all that waits in it; its name was typed."""
    queue = _queue(visit)
    if visit.form.get("name").strip() not in {queue.strip(), short(queue)}:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"What was typed is not the queue's name, {brief(queue)}. Nothing was removed.",
            advice="Go back and type it as it is written.",
        )
    removed = visit.app.remove_queue(queue)
    return visit.back(f"Removed {brief(queue)} with {removed:,} {'job' if removed == 1 else 'jobs'}.", "/queues")


def remove_job(visit: Visit) -> Response:
    """Remove a job that waits, known by its content near where it was seen; equal ones stay."""
    queue, job_id = _queue(visit), visit.query.get("job")
    try:
        if len(job_id.rpartition("-")[2]) < _MARK:
            raise ValueError
        removed = visit.app.operator.remove_job(queue, job_id)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{job_id[:100]!r} is no id of a job that waits.") from None
    if removed:
        return visit.back("Removed the job.", "/queue", name=queue)
    said = "That job is already gone: a worker took it, or somebody removed it. Nothing was removed."
    return visit.back(said, "/queue", name=queue, wrong=True)


def _queue(visit: Visit) -> str:
    return visit.named("name", lambda: (*visit.app.queues(), *visit.app.broker.paused().queues), "queue")
