"""The schedule: what recurs, when it last did, when it will, and enqueueing it now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response

from taskq import Accepted, TaskqError, Vetoed
from taskq_web.visit import Visit

if TYPE_CHECKING:
    from taskq import DecodedJob, TaskQ
    from taskq.recurring_jobs import ListedSchedule

__all__ = ["disable", "enable", "run", "show"]

_MOST: Final = 16
_NEXT: Final = 3


@dataclass(frozen=True, slots=True)
class _Row:
    """A recurring job as a row shows it.

    Attributes:
        listed: the job.
        read: what it enqueues, arguments masked; None where it cannot be read.
        following: the next times, soonest first.
    """

    listed: ListedSchedule
    read: DecodedJob | None
    following: list[float]


def show(visit: Visit) -> Response:
    """Every recurring job."""
    listed = visit.app.schedules.list()
    start = visit.query.number("start")
    scheduler = visit.app.schedules.scheduler()
    return visit.render(
        "schedule.html",
        rows=[_row(visit.app, each, visit.clock) for each in listed[start : start + _MOST]],
        count=len(listed),
        start=start,
        page=_MOST,
        scheduler=scheduler,
    )


def run(visit: Visit) -> Response:
    """Enqueue one now; its own times go on as ever."""
    name = visit.query.get("name")
    try:
        done = visit.app.schedules.run_now(name)
    except TaskqError as wrong:
        return visit.back(str(wrong), "/schedule", wrong=True)
    match done:
        case Accepted():
            return visit.back(f"{done.job} is in the queue {done.queue}.", "/schedule")
        case Vetoed():
            return visit.back(f"{done.by} said no: {done.reason}. Nothing was enqueued.", "/schedule", wrong=True)
        case _:
            return visit.back(f"{name} was taken over by a hook, which enqueues it later.", "/schedule")


def enable(visit: Visit) -> Response:
    """Let it recur again."""
    return _switched(visit, on=True)


def disable(visit: Visit) -> Response:
    """Let it recur no more, until it is enabled."""
    return _switched(visit, on=False)


def _switched(visit: Visit, *, on: bool) -> Response:
    name, schedules = visit.query.get("name"), visit.app.schedules
    try:
        changed = schedules.enable(name) if on else schedules.disable(name)
    except TaskqError as wrong:
        return visit.back(str(wrong), "/schedule", wrong=True)
    word = "enabled" if on else "disabled"
    return visit.back(f"{name} is {word}." if changed else f"{name} was {word} already.", "/schedule")


def _row(app: TaskQ, listed: ListedSchedule, now: float) -> _Row:
    schedule = listed.schedule
    if schedule is None:
        return _Row(listed, None, [])
    body = json.dumps({"class": schedule.job, "args": list(schedule.args)}, default=str).encode()
    following: list[float] = []
    at = listed.next
    while at is not None and len(following) < _NEXT:
        following.append(at)
        at = schedule.rule.after(at)
    return _Row(listed, app.read(body), following)
