"""Queues as an operator sees them: sizes, the age of the oldest job, who serves which, and what waits, page by page.

Workers take from the front while somebody reads: a page is found again by the content at its end, near its place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from taskq import dates, envelope
from taskq.broker import Broker
from taskq.errors import ConfigurationError, InvalidPayload
from taskq.history import Flow, History
from taskq.queue_lists import QueueList, parse
from taskq.records import Payload, WorkerInfo
from taskq.showing import DecodedJob, Showing

__all__ = ["QueuePage", "QueueState", "WaitingJob", "find_job", "job_id", "page", "served_by", "states"]

_HEADS: Final = 100  # queues whose first job is looked at for its age: each costs an exchange
_NEAR: Final = 1000  # places before its own in which the end of a page is looked for: so much may have been taken
_BEHIND: Final = 50
_SEEN: Final = 3  # jobs that together tell a place: single ones may be alike
_FORM: Final = re.compile(r"([np])(\d{1,12})-([0-9a-f]{24})", re.ASCII)
_ID: Final = re.compile(r"(\d{1,12})-([0-9a-f]{6,64})", re.ASCII)
_TIMES: Final = ("enqueued_at", "created_at", "queued_at", "timestamp")
"""Further keys of a payload that say when it was enqueued, where whoever enqueued it wrote one."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue, seen at one moment.

    Attributes:
        name: its name.
        size: how many jobs wait.
        paused: whether nothing is taken from it, by its own pause or that of all.
        served_by: the ids of the workers that serve it, as far as their ids say.
        oldest: seconds since its first job was enqueued; None where the job does not say.
        change: by how many jobs it grew in a minute, over the last minutes; None where that is not known.
        flow: how many jobs came and left in a minute, over the last minutes; None where that is not known, as where
            workers of another program serve it too, which count nothing by queue.
    """

    name: str
    size: int
    paused: bool
    served_by: tuple[str, ...]
    oldest: float | None
    change: float | None
    flow: Flow | None


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that waits.

    Attributes:
        position: its place, 0 the next to be performed.
        job: what it says.
        id: names it by place and content, so that a click never hits another.
    """

    position: int
    job: DecodedJob
    id: str


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A part of a queue, the next to be performed first.

    Attributes:
        jobs: those of this page.
        size: how many wait in all.
        next: the cursor of those behind; empty where there are none.
        previous: the cursor of those before; empty where there are none.
    """

    jobs: tuple[WaitingJob, ...]
    size: int
    next: str
    previous: str


def states(
    broker: Broker, workers: Sequence[WorkerInfo], history: History, *, ages: Collection[str] | None = None
) -> list[QueueState]:
    """Every queue; see `Operator.queues`."""
    sizes, paused = broker.sizes(broker.queues()), broker.paused()
    served = served_by(workers, list(sizes))
    uncounted = {worker.id for worker in workers if worker.registration is None}
    now = broker.now()
    with_jobs = [queue for queue, size in sizes.items() if size and (ages is None or queue in ages)][:_HEADS]
    heads = {queue: head[0] for queue in with_jobs if (head := broker.peek(queue, 0, 1))}
    return [
        QueueState(
            name=queue,
            size=size,
            paused=paused.all or queue in paused.queues,
            served_by=served[queue],
            oldest=_age(heads.get(queue), now),
            change=_change(queue, size, now, history),
            flow=None if uncounted.intersection(served[queue]) else history.flow(queue),
        )
        for queue, size in sizes.items()
    ]


def served_by(workers: Sequence[WorkerInfo], queues: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The ids of the workers that serve each of these queues, their patterns resolved."""
    found: dict[str, list[str]] = {queue: [] for queue in queues}
    expanded: dict[tuple[str, ...], Sequence[str]] = {}
    for worker in workers:
        if not worker.registered:
            continue
        if worker.queues not in expanded:
            line = _line(worker.queues)
            expanded[worker.queues] = () if line is None else line.expand(queues)
        for queue in expanded[worker.queues]:
            if queue in found:
                found[queue].append(worker.id)
    return {queue: tuple(ids) for queue, ids in found.items()}


def _line(said: Sequence[str]) -> QueueList | None:
    try:
        return parse(said)
    except ConfigurationError:  # some other program's id
        return None


def _age(body: bytes | None, now: float) -> float | None:
    if body is None or not any(key.encode() in body for key in _TIMES):
        return None
    try:
        payload = envelope.decode(body)
    except InvalidPayload:
        return None
    at = _enqueued_at(payload)
    return None if at is None else max(now - at, 0.0)


def _enqueued_at(payload: Payload) -> float | None:
    for key in _TIMES:
        said = payload.extra.get(key)
        if isinstance(said, (int, float)) and not isinstance(said, bool) and said > 1e8:
            return said / 1000 if said > 1e11 else float(said)  # JavaScript's are milliseconds
        if isinstance(said, str) and (at := dates.parse_run_at(said)) is not None:
            return at
    return None


def _change(queue: str, size: int, now: float, history: History) -> float | None:
    """By how much a queue grew in a minute, since the sample of some five minutes ago."""
    old = next((sample for sample in history.samples if 30 <= now - sample.at <= 330), None)
    before = None if old is None else old.size(queue)
    return None if old is None or before is None else (size - before) / (now - old.at) * 60


# ---- a page


def page(broker: Broker, showing: Showing, queue: str, cursor: str, count: int) -> QueuePage:
    """A page of a queue; see `Operator.queue_page`."""
    size = broker.size(queue)
    start = _start(broker, queue, cursor, count) if cursor else 0
    bodies = broker.peek(queue, max(start - (_SEEN - 1), 0), count + min(start, _SEEN - 1))
    before = min(start, _SEEN - 1)
    shown = bodies[before : before + count]
    jobs = tuple(
        WaitingJob(place, job, job_id(place, job, 32)) for place, job in enumerate(map(showing.read, shown), start)
    )
    last = before + len(shown) - 1
    more = bool(shown) and start + len(shown) < size
    return QueuePage(
        jobs=jobs,
        size=max(size, start + len(shown)),
        next=f"n{start + len(shown) - 1}-{_marks(bodies, last)}" if more else "",
        previous=f"p{start}-{_marks(bodies, before)}" if shown and start else "",
    )


def job_id(position: int, job: DecodedJob, digits: int = 12) -> str:
    """The id of a job that waits: its place, and so many hex digits that tell it from others."""
    return f"{position}-{_mark([job.body], digits)}"


def _start(broker: Broker, queue: str, cursor: str, count: int) -> int:
    form = _FORM.fullmatch(cursor)
    if form is None:
        raise ValueError(f'"{cursor[:60]}" is no cursor of a queue.')
    place = _found_again(broker, queue, int(form[2]), form[3])
    return place + 1 if form[1] == "n" else max(place - count, 0)


def _found_again(broker: Broker, queue: str, place: int, wanted: str) -> int:
    """Where the job is by now at which a page ended; its old place where it is not found."""
    first = max(place - _SEEN + 1, 0)
    if _marks(broker.peek(queue, first, place - first + 1), place - first) == wanted:
        return place
    low = max(place - _NEAR, 0)
    bodies = broker.peek(queue, low, place - low + _BEHIND)
    marks = [_marks(bodies, at) for at in range(len(bodies))]
    # With those before it, else by itself: they may have been taken meanwhile.
    for part in (slice(None), slice(12, None)):
        found = [low + at for at, mark in enumerate(marks) if mark[part] == wanted[part]]
        if found:
            return min(found, key=lambda one: abs(one - place))
    return place


def _marks(bodies: Sequence[bytes], at: int) -> str:
    """What tells a place from others: the mark of the job there with those before it, and of the job alone."""
    return _mark(bodies[max(at - _SEEN + 1, 0) : at + 1]) + _mark(bodies[at : at + 1])


def find_job(broker: Broker, queue: str, job_id: str) -> bytes | None:
    """The body of the job that an id names, near its place; None where it waits no more. ValueError: it is no id."""
    form = _ID.fullmatch(job_id)
    if form is None:
        raise ValueError(f'"{job_id[:60]}" is no id of a waiting job: those are like 12-8f3a1c.')
    place, wanted = int(form[1]), form[2]
    for start, count in ((place, 1), (max(place - _NEAR, 0), min(place, _NEAR) + _BEHIND)):
        for body in broker.peek(queue, start, count):
            if _mark([body], len(wanted)) == wanted:
                return body
    return None


def _mark(bodies: Sequence[bytes], digits: int = 12) -> str:
    return hashlib.sha256(b"\0".join(bodies)).hexdigest()[:digits]
