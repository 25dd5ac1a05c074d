"""Queues: how much waits, who serves them, holding them back; and what waits in one."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from werkzeug.wrappers import Response

from taskq_web.looking import serving
from taskq_web.visit import Refused, Visit

__all__ = ["mark_of", "one", "pause", "pause_all", "remove", "remove_job", "show", "unpause", "unpause_all"]

_PAGE = 25
_QUEUES = 100
_NEAR = 1000
"""How far from where it was seen a job is looked for: workers took what was ahead of it meanwhile."""


def show(visit: Visit) -> Response:
    """Every queue."""
    broker = visit.app.broker
    names = visit.app.queues()
    start = visit.query.number("start")
    shown = names[start : start + _QUEUES]
    return visit.render(
        "queues.html",
        sizes=visit.app.sizes(shown),
        paused=broker.paused(),
        served=serving(visit.app.workers(), shown),
        count=len(names),
        start=start,
        page=_QUEUES,
    )


def one(visit: Visit) -> Response:
    """What waits in a queue, the next to be performed first."""
    queue = _queue(visit)
    start = visit.query.number("start")
    size = visit.app.size(queue)
    jobs = visit.app.peek(queue, start, _PAGE)
    return visit.render(
        "queue.html",
        queue=queue,
        size=size,
        jobs=[(start + place, mark_of(job.body), job) for place, job in enumerate(jobs)],
        start=start,
        page=_PAGE,
        paused=visit.app.broker.paused(),
        served=serving(visit.app.workers(), [queue])[queue],
    )


def pause(visit: Visit) -> Response:
    """Let workers take nothing more from a queue."""
    queue = _queue(visit)
    visit.app.pause(queue)
    return visit.back(f"{queue} is paused. Jobs in hand go on.", *_from(visit))


def unpause(visit: Visit) -> Response:
    """Let workers take from a queue again."""
    queue = _queue(visit)
    visit.app.unpause(queue)
    still = " All queues still are." if visit.app.broker.paused().all else ""
    return visit.back(f"{queue} is not paused any more.{still}", *_from(visit))


def pause_all(visit: Visit) -> Response:
    """Let workers take nothing more at all."""
    visit.app.pause()
    return visit.back("All queues are paused. Jobs in hand go on.", "/queues")


def unpause_all(visit: Visit) -> Response:
    """Undo that."""
    visit.app.unpause()
    still = sorted(visit.app.broker.paused().queues)
    rest = f" Still paused by name: {', '.join(still[:12])}." if still else ""
    return visit.back(f"No longer are all queues paused.{rest}", "/queues")


def remove(visit: Visit) -> Response:
    """Remove a queue and all that waits in it; its name was typed."""
    queue = _queue(visit)
    if visit.form.get("name").strip() != queue.strip():
        raise Refused(
            HTTPStatus.CONFLICT,
            f"What was typed is not the queue's name, {queue}. Nothing was removed.",
            advice="Go back and type it as it is written.",
        )
    removed = visit.app.remove_queue(queue)
    return visit.back(f"Removed {queue} with {removed:,} {'job' if removed == 1 else 'jobs'}.", "/queues")


def remove_job(visit: Visit) -> Response:
    """Remove a job that waits, known by its content, near where it was seen."""
    queue, mark, at = _queue(visit), visit.query.get("mark"), visit.query.number("at")
    start = max(0, at - _NEAR)
    for body in visit.app.broker.peek(queue, start, at - start + 50):
        if mark_of(body) == mark:
            removed = visit.app.broker.remove(queue, body)
            if removed:
                more = f" {removed:,} times: there were equal ones." if removed > 1 else ""
                return visit.back(f"Removed the job.{more}", "/queue", name=queue, start=visit.query.get("start"))
    return visit.back(
        "That job is already gone: a worker took it, or somebody removed it. Nothing was removed.",
        "/queue", name=queue, start=visit.query.get("start"), wrong=True,
    )  # fmt: skip


def mark_of(body: bytes) -> str:
    """What a payload is known by."""
    return hashlib.sha256(body).hexdigest()[:24]


def _queue(visit: Visit) -> str:
    queue = visit.query.get("name")
    if "name" not in visit.query:
        raise Refused(HTTPStatus.BAD_REQUEST, "Which queue? The address names none.")
    return queue


def _from(visit: Visit) -> tuple[str]:
    return ("/queues",)
