"""Delayed jobs, by time: performed now, removed, all of one time, all times of one job.

Many are moved or removed as the failures of `taskq_web.pages.sweep` are: a slice a request, with progress, by a form
that goes on by itself, until it is stopped.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from werkzeug.wrappers import Response

from taskq import InvalidPayload
from taskq.dates import parse_when
from taskq.delayed_jobs import Cursor, DelayedFilter, DelayedJob, DelayedTally
from taskq_web.parameters import Parameters
from taskq_web.visit import Refused, Visit

__all__ = ["clear", "count", "now", "now_at", "remove", "show"]

_PAGE: Final = 18
_TIMES: Final = 100
_COUNTED: Final = 10_000
"""Times, and jobs of a time, that are counted: a file of a million takes longer to count than a page may."""
_NEAR: Final = 1000
"""How far from where it was seen a job of one time is looked for: others of that time were taken meanwhile."""


_SLICE: Final = 0.7  # seconds that one request of long work takes
_FIRST: Final = 0.02  # and the one that opens its page, which is to be there at once
_STEP: Final = 500  # jobs or times between two looks at the clock
_WORD: Final = "clear"
_FAR: Final = 2.0**53  # seconds: beyond, not each has a number of its own


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far it is, as it travels from answer to request. It is only shown, and believed by nobody."""

    total: int = 0
    done: int = 0

    @classmethod
    def of(cls, said: Parameters) -> _Progress:
        return cls(said.number("total"), said.number("done"))


@dataclass(frozen=True, slots=True)
class _Row:
    """A delayed job as a row shows it.

    Attributes:
        job: the job.
        address: what its actions address it by: its time, its place there, its content.
        key: what the page knows it by.
    """

    job: DelayedJob
    address: dict[str, object]
    key: str


@dataclass(frozen=True, slots=True)
class _Times:
    """The times for which one job waits.

    Attributes:
        found: those that were found.
        after: where to go on looking; None where nothing is left.
        whole: whether all that is delayed was looked at.
    """

    found: Sequence[float]
    after: int | None
    whole: bool


def show(visit: Visit) -> Response:
    """The delayed jobs, the next to be due first; with `at` only those of one time."""
    delayed = visit.app.delayed
    skip = visit.query.number("skip")
    at = _seconds(visit.query.get("at")) if visit.query.get("at") else None
    problem = ""
    since = 0.0
    try:
        since = parse_when(visit.query.get("from"), visit.clock) if visit.query.get("from") else 0.0
    except ValueError as wrong:
        problem = str(wrong)
    if at is not None:
        jobs = list(delayed.at(at, _PAGE + 1, skip=skip))
        further = {"at": repr(at), "skip": skip + _PAGE} if len(jobs) > _PAGE else None
        jobs = jobs[:_PAGE]
    else:
        start = Cursor(_seconds(visit.query.get("since")) if visit.query.get("since") else since, skip)
        page = delayed.list(_PAGE, cursor=start)
        jobs = list(page.jobs)
        further = {"since": repr(page.next.since), "skip": page.next.skip} if page.next is not None else None
    rows = _rows(jobs, skip if at is not None or visit.query.get("since") else 0)
    of = next((row.job for row in rows if visit.query.get("times") and row.key == visit.query.get("times")), None)
    return visit.render(
        "delayed.html",
        rows=rows,
        times=delayed.time_count(_COUNTED + 1),
        waiting=_waiting(visit, at) if at is not None else 0,
        counted=_COUNTED,
        at=at,
        of=of,
        times_of=_times_of(visit, of) if of is not None else None,
        further=further,
        first=not (visit.query.get("since") or visit.query.get("from") or skip),
        problem=problem,
    )


def _times_of(visit: Visit, of: DelayedJob) -> _Times:
    """For what times a job waits: all, or those found in the time that a page may take."""
    after: int | None = visit.query.number("looked")
    found: set[float] = set()
    ends = time.monotonic() + _FIRST / 2  # the rows beside them take the other half
    while after is not None:
        part, after = visit.app.broker.scheduled_at_part(of.queue, of.body, after)
        found.update(part)
        if time.monotonic() >= ends:
            break
    return _Times(sorted(found)[:_TIMES], after, whole=after is None and not visit.query.number("looked"))


def _waiting(visit: Visit, at: float) -> int:
    """How many wait for a time; one more than are counted, where there are more."""
    if visit.app.delayed.at(at, 1, skip=_COUNTED):
        return _COUNTED + 1
    return sum(each.jobs for each in visit.app.delayed.times(1, since=at) if each.at == at)


def now(visit: Visit) -> Response:
    """Move one to the end of its queue, ahead of its time."""
    job = _found(visit)
    if job is None:
        return visit.back(_GONE, "/delayed", wrong=True)
    try:
        moved = visit.app.delayed.enqueue_now(job)
    except InvalidPayload as wrong:
        raise Refused(HTTPStatus.CONFLICT, str(wrong), advice="It stays where it is.") from None
    return visit.back("The job is in its queue." if moved else _GONE, "/delayed", wrong=not moved)


def remove(visit: Visit) -> Response:
    """Remove one."""
    job = _found(visit)
    removed = visit.app.delayed.remove(job) if job is not None else 0
    return visit.back("Removed the job." if removed else _GONE, "/delayed", wrong=not removed)


def now_at(visit: Visit) -> Response:
    """Move all of one time to the ends of their queues, a slice a request."""
    at = _seconds(visit.query.get("at"))
    so_far = _Progress.of(visit.form)
    ends = time.monotonic() + _SLICE
    told: list[DelayedTally] = []
    tally = visit.app.delayed.enqueue_matching(
        DelayedFilter(at=at), tell=told.append, stop=lambda: bool(told) and time.monotonic() >= ends
    )
    so_far = _Progress(max(so_far.total, so_far.done + tally.total), so_far.done + tally.done)
    if tally.stopped and tally.done:
        return _further(visit, "now", so_far, at)
    said = f"{so_far.done:,} {'job is' if so_far.done == 1 else 'jobs are'} in their queues."
    if tally.refused:
        said += f" {tally.refused:,} {'stays' if tally.refused == 1 else 'stay'} delayed: {tally.why}"
    return visit.back(said, "/delayed")


def count(visit: Visit) -> Response:
    """How many there are, a slice a request, and the form that removes all of them when its word was typed."""
    first = not visit.query.get("after")
    ends = time.monotonic() + (_FIRST if first else _SLICE)
    total, after = visit.query.number("total"), None if first else _seconds(visit.query.get("after"))
    while True:
        more, after = visit.app.delayed.count_some(after, _STEP)
        total += more
        if after is None or time.monotonic() >= ends:
            break
    stage = "counted" if after is None else "counting"
    return visit.render("delayed_all.html", stage=stage, so_far=_Progress(total), after=after, verb="remove", at=None)


def clear(visit: Visit) -> Response:
    """Remove all there are, a slice a request; the word was typed."""
    if visit.form.get("sure").strip().lower() != _WORD:
        raise Refused(HTTPStatus.CONFLICT, f"The word {_WORD} was not typed. Nothing was removed.")
    so_far = _Progress.of(visit.form)
    ends = time.monotonic() + _SLICE
    while removed := visit.app.delayed.clear_some(_STEP):
        so_far = _Progress(max(so_far.total, so_far.done + removed), so_far.done + removed)
        if time.monotonic() >= ends:
            return _further(visit, "remove", so_far, None)
    done = so_far.done
    return visit.back(f"Removed {done:,} delayed {'job' if done == 1 else 'jobs'}: all there were.", "/delayed")


def _further(visit: Visit, verb: str, so_far: _Progress, at: float | None) -> Response:
    return visit.render("delayed_all.html", stage="act", verb=verb, so_far=so_far, at=at, after=None)


_GONE: Final = "That job is already gone: it came due, or somebody removed it. Nothing was changed."


def _rows(jobs: list[DelayedJob], skip: int) -> list[_Row]:
    rows: list[_Row] = []
    place, last = skip, None
    for job in jobs:
        place = place + 1 if job.at == last else (skip if last is None else 0)
        last = job.at
        mark = _mark(job)
        same = sum(row.address["mark"] == mark and row.job.at == job.at for row in rows)
        key = f"{job.at:.0f}-{mark[:16]}{f'-{same}' if same else ''}"
        rows.append(_Row(job, {"at": repr(job.at), "place": place, "mark": mark}, key))
    return rows


def _mark(job: DelayedJob) -> str:
    stored = job.stored
    named = stored.queue.encode("utf-8", "surrogateescape") + b"\0" + stored.body
    return hashlib.sha256(stored.raw or named).hexdigest()[:24]


def _found(visit: Visit) -> DelayedJob | None:
    """The job that the address means, near where it was seen; None where it is gone."""
    at, mark = _seconds(visit.query.get("at")), visit.query.get("mark")
    start = max(0, visit.query.number("place") - _NEAR)
    near = visit.app.delayed.at(at, visit.query.number("place") - start + 50, skip=start)
    return next((job for job in near if _mark(job) == mark), None)


def _seconds(text: str) -> float:
    try:
        said = float(text)
    except ValueError:
        said = math.nan
    if not math.isfinite(said) or abs(said) > _FAR:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{text[:60]!r} is no time.", advice="Begin with the first: Delayed.")
    return said
