"""The schedule: what recurs, when it last did, when it will, and enqueueing it now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response

from taskq import Accepted, TaskqError, Vetoed
from taskq.schedule_entry import WrongSchedule
from taskq_web.shown import brief
from taskq_web.visit import Visit

if TYPE_CHECKING:
    from taskq import DecodedJob, TaskQ
    from taskq.recurring_jobs import ListedSchedule

__all__ = ["disable", "enable", "run", "show"]

_MOST: Final = 16
_NEXT: Final = 3
_DIGITS: Final = 16
_CHANGED: Final = "{} was changed meanwhile: look at it as it is now. Nothing was done."


@dataclass(frozen=True, slots=True)
class _Row:
    """A recurring job as a row shows it.

    Attributes:
        listed: the job.
        read: what it enqueues, arguments masked; None where it cannot be read.
        following: the next times, soonest first.
        mark: of what it says, by which its actions know whether it still does.
    """

    listed: ListedSchedule
    read: DecodedJob | None
    following: list[float]
    mark: str


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
    name = _name(visit)
    if not _as_seen(visit, name):
        return visit.back(_CHANGED.format(brief(name)), "/schedule", wrong=True)
    try:
        done = visit.app.schedules.run_now(name)
    except (TaskqError, WrongSchedule) as wrong:
        return visit.back(str(wrong), "/schedule", wrong=True)
    match done:
        case Accepted():
            return visit.back(f"{brief(done.job)} is in the queue {brief(done.queue)}.", "/schedule")
        case Vetoed():
            return visit.back(f"{done.by} said no: {done.reason}. Nothing was enqueued.", "/schedule", wrong=True)
        case _:
            return visit.back(f"{brief(name)} was taken over by a hook, which enqueues it later.", "/schedule")


def enable(visit: Visit) -> Response:
    """Let it recur again."""
    return _switched(visit, on=True)


def disable(visit: Visit) -> Response:
    """Let it recur no more, until it is enabled."""
    return _switched(visit, on=False)


def _switched(visit: Visit, *, on: bool) -> Response:
    name, schedules = _name(visit), visit.app.schedules
    if not _as_seen(visit, name):
        return visit.back(_CHANGED.format(brief(name)), "/schedule", wrong=True)
    try:
        changed = schedules.enable(name) if on else schedules.disable(name)
    except (TaskqError, WrongSchedule) as wrong:
        return visit.back(str(wrong), "/schedule", wrong=True)
    word = "enabled" if on else "disabled"
    return visit.back(f"{brief(name)} is {word}." if changed else f"{brief(name)} was {word} already.", "/schedule")


def _name(visit: Visit) -> str:
    return visit.named("name", lambda: (each.name for each in visit.app.schedules.list()), "schedule")


def _mark(listed: ListedSchedule) -> str:
    said = json.dumps(listed.entry, sort_keys=True, default=str).encode()
    return hashlib.sha256(said).hexdigest()[:_DIGITS]


def _as_seen(visit: Visit, name: str) -> bool:
    """Whether what is called so is what the visitor saw; where there is none, the action itself says so."""
    try:
        return _mark(visit.app.schedules.get(name)) == visit.query.get("mark")
    except TaskqError:
        return True


def _row(app: TaskQ, listed: ListedSchedule, now: float) -> _Row:
    schedule = listed.schedule
    if schedule is None:
        return _Row(listed, None, [], _mark(listed))
    body = json.dumps({"class": schedule.job, "args": list(schedule.args)}, default=str).encode()
    following: list[float] = []
    at = listed.next
    while at is not None and len(following) < _NEXT:
        following.append(at)
        at = schedule.rule.after(at)
    return _Row(listed, app.read(body), following, _mark(listed))
