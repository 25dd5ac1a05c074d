"""The delayed jobs of an application: listed, counted, removed, enqueued ahead of their time.

Nothing is ever loaded whole; each listing is paged by a cursor, which is a time and how many of just that time to pass
over. A scheduler moves what is due meanwhile, so what was listed may be gone; each verb says so by what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from taskq.alike import Alike
from taskq.broker import Broker
from taskq.due import seconds_of
from taskq.envelope import job_of
from taskq.errors import InvalidPayload, NotAJob, reworded
from taskq.jobs import Call, Job, find
from taskq.records import Payload, ScheduledJob
from taskq.registry import Registry
from taskq.showing import DecodedJob

__all__ = ["Cursor", "Delayed", "DelayedFilter", "DelayedJob", "DelayedPage", "DelayedTally", "DelayedTime"]

_PAGE: Final = 500

_AnyJob: TypeAlias = "Job[Any, object] | type | str"

Tell: TypeAlias = "Callable[[DelayedTally], object]"
"""Is told how far it is, some times a second."""

Stop: TypeAlias = Callable[[], bool]
"""Says whether to stop; asked as often."""


class Cursor(NamedTuple):
    """Where a listing goes on.

    Attributes:
        since: from this time on, unix seconds.
        skip: how many jobs of just that time to pass over.
    """

    since: float = 0.0
    skip: int = 0


class DelayedTime(NamedTuple):
    """A time for which jobs wait.

    Attributes:
        at: the time, unix seconds.
        jobs: how many wait for it.
    """

    at: float
    jobs: int


@dataclass(frozen=True, slots=True)
class DelayedJob:
    """A job that waits for a time, as far as it can be read here.

    Attributes:
        at: when it goes into its queue, unix seconds.
        queue: where it goes; empty where another program wrote it and did not say.
        body: its payload's bytes.
        payload: what they say; None where they are no payload.
        shown: the arguments as they may be shown to people: secret ones as `[secret]`.
        problem: why it cannot be read, in one sentence; empty where it can.
        stored: as it lies in the store; what it is addressed by.
    """

    at: float
    queue: str
    body: bytes
    payload: Payload | None
    shown: tuple[object, ...]
    problem: str
    stored: ScheduledJob


@dataclass(frozen=True, slots=True)
class DelayedPage:
    """A page of a listing.

    Attributes:
        jobs: those on it, in the order in which they are due.
        next: where the next page begins; None where there is none.
    """

    jobs: Sequence[DelayedJob]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class DelayedFilter:
    """Which delayed jobs are meant: those for which all that is said holds.

    Attributes:
        job: of this job, its old names too; a name may be that of a job of another program. None is any.
        queue: those that go into this queue; None is any.
        args: those with exactly these arguments; None is any.
        at: those that wait for just this time, unix seconds; None is any.
    """

    job: _AnyJob | None = None
    queue: str | None = None
    args: Sequence[object] | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class DelayedTally:
    """How far an act on many delayed jobs is, or what became of it.

    Attributes:
        total: how many there were to be looked at; 0 where nobody was told how far it is.
        searched: how many were looked at.
        matched: how many of them were meant.
        done: with how many it was done.
        refused: how many stay, for no queue is known for them.
        why: why the first of those stays; empty where none does.
        stopped: whether somebody said to stop.
    """

    total: int = 0
    searched: int = 0
    matched: int = 0
    done: int = 0
    refused: int = 0
    why: str = ""
    stopped: bool = False


class _Taken(NamedTuple):
    """Of each that was to be taken away, whether it was; how many were refused, and why the first was."""

    done: Sequence[bool]
    refused: int = 0
    why: str = ""


_Take: TypeAlias = Callable[[Sequence[ScheduledJob]], _Taken]


def _left(some: Sequence[ScheduledJob]) -> _Taken:
    """Leave all where they are."""
    return _Taken([False] * len(some))


class Holder(Protocol):
    """What is asked of the application whose delayed jobs these are."""

    @property
    def broker(self) -> Broker:
        """Where they wait."""

    @property
    def registry(self) -> Registry:
        """The jobs that are known by name."""

    def read(self, body: bytes) -> DecodedJob:
        """What a payload's bytes say."""

    def alike(self, call: Call, /) -> Alike:
        """What tells the jobs of this call, whatever further keys they have by now."""

    @property
    def told_of_removals(self) -> bool:
        """Whether anybody is told of what is taken away."""

    def taken_away(self, queue: str, body: bytes, count: int = 1, /) -> int:
        """Tell whoever is to be told of so many that were removed. `count`."""


class Delayed:
    """What waits for its time.

    Args:
        holder: gives the application; asked at each call.
    """

    __slots__ = ("_holder",)

    def __init__(self, holder: Callable[[], Holder]) -> None:
        self._holder = holder

    @property
    def _broker(self) -> Broker:
        return self._holder().broker

    # ---- looking

    def list(self, count: int = 20, *, cursor: Cursor | None = None) -> DelayedPage:
        """A page of them, the next to be due first. Whatever lies there is listed, be it rubbish.

        Args:
            count: how many at most.
            cursor: where it begins: `page.next` of the page before, or `Cursor(since)` of any time; None for the first.
        """
        since, skip = cursor or Cursor()
        if count < 1 or skip < 0:
            raise ValueError(f"count is 1 or more and skip 0 or more, not {count} and {skip}.")
        found = self._broker.scheduled(since, skip, count)
        return DelayedPage([self._read(each) for each in found], _behind(Cursor(since, skip), found, count))

    def each(self, job: _AnyJob | None = None, *, queue: str | None = None) -> Iterator[DelayedJob]:
        """All of them, one by one, read page by page.

        Args:
            job: only those of this job, its old names too; a name may be that of a job of another program.
            queue: only those that go into this queue.
        """
        names = None if job is None else self._names(job)
        for stored in self._stored(Cursor()):
            if (queue is None or stored.queue == queue) and (names is None or job_of(stored.body) in names):
                yield self._read(stored)

    def times(self, count: int = 20, *, since: datetime | float = 0.0) -> Sequence[DelayedTime]:
        """Up to `count` times for which jobs wait, in order, from `since` on, and how many jobs wait for each."""
        return [DelayedTime(*each) for each in self._broker.scheduled_times(_seconds_of(since), count)]

    def time_count(self, most: int | None = None) -> int:
        """For how many different times jobs wait.

        Args:
            most: how many are enough to know. Then it is quick, however many there are; of more it may say so many.
        """
        return self._broker.scheduled_time_count(most)

    def count(self) -> int:
        """How many jobs wait. All times are looked at, page by page."""
        return self._total(None, None, None)

    def count_some(self, after: float | None = None, times: int = _PAGE) -> tuple[int, float | None]:
        """How many jobs wait for some `times` times behind one, and behind which time to go on; None: those were all.

        Each step is short, however many there are.
        """
        # From the last one of the step before: which time comes next, nobody knows.
        page = self._broker.scheduled_times(0.0 if after is None else after, times + 1)
        jobs = sum(waiting for at, waiting in page if after is None or at > after)
        return jobs, page[-1][0] if len(page) > times else None

    def count_matching(
        self, meant: DelayedFilter, *, tell: Tell | None = None, stop: Stop | None = None
    ) -> DelayedTally:
        """How many are meant; all that may be are looked at, page by page.

        Args:
            meant: which.
            tell: is told how far it is.
            stop: says whether to stop.
        """
        return self._walk(meant.at, self._matching(meant), _left, tell, stop)

    def at(self, when: datetime | float, count: int = 20, *, skip: int = 0) -> Sequence[DelayedJob]:
        """Up to `count` of those that wait for just this time, after `skip` others of it."""
        at = _seconds_of(when)
        return [self._read(each) for each in self._broker.scheduled(at, skip, count) if each.at == at]

    def times_of(self, call: Call) -> Sequence[float]:
        """The times for which this call waits, in order: `delayed.times_of(send_email.call("a@example.com"))`.

        It is found by its arguments and its queue, as `dequeue` finds what waits in a queue: first by its bytes, and
        where there is none or the job has options of hooks, whatever further keys it has, which reads all that waits.
        Another queue than the job's own is said as ever: `send_email.options(queue="vip").call(...)`.
        """
        alike = self._alike(call, "times_of")
        times = {at for body in alike.bodies for at in self._broker.scheduled_at(call.queue, body)}
        if not times or alike.likely:
            times.update(each.at for each in self._stored(Cursor()) if each.queue == call.queue and alike(each.body))
        return sorted(times)

    # ---- removing

    def remove(self, what: DelayedJob | Call) -> int:
        """Remove one as it was listed; or every one with exactly the job, arguments and queue of a call.

        Of a call they are found as by `times_of`.

        Returns:
            How many were removed; 0 where it is gone.
        """
        if isinstance(what, DelayedJob):
            return sum(self._withdrawn_many([what.stored]).done)
        holder = self._holder()
        alike = self._alike(what, "remove")
        removed = sum(
            holder.taken_away(what.queue, body, self._broker.unschedule(what.queue, body)) for body in alike.bodies
        )
        if not removed or alike.likely:
            removed += self._act(lambda each: each.queue == what.queue and alike(each.body), self._withdrawn_many)
        return removed

    def remove_all(self, job: _AnyJob, *, queue: str | None = None) -> int:
        """Remove every one of this job, its old names too, whatever its arguments. How many there were.

        Args:
            job: itself, or a name, which may be that of a job of another program.
            queue: only those that go into this queue.
        """
        names = self._names(job)
        return self._act(lambda each: queue in (None, each.queue) and job_of(each.body) in names, self._withdrawn_many)

    def remove_matching(
        self, meant: DelayedFilter, *, tell: Tell | None = None, stop: Stop | None = None
    ) -> DelayedTally:
        """Remove all that are meant, page by page; what becomes delayed meanwhile may go too.

        Args:
            meant: which.
            tell: is told how far it is.
            stop: says whether to stop; what is removed by then stays removed.
        """
        return self._walk(meant.at, self._matching(meant), self._withdrawn_many, tell, stop)

    def clear(self) -> int:
        """Remove all of them. How many there were, as far as that is known.

        Where a hook listens to what is taken away, they go page by page, and it is told of each. Those that others
        delay meanwhile go too; but of who does that as fast some stay.
        """
        if not self._holder().told_of_removals:
            return self._broker.clear_scheduled()
        removed, most = 0, 2 * self.count() + _PAGE
        while removed < most and (gone := self.clear_some(_PAGE)):
            removed += gone
        return removed

    def clear_some(self, count: int = _PAGE) -> int:
        """Remove up to `count` of them in one step, the next to be due first. How many; 0 where none is left."""
        holder = self._holder()
        page = self._broker.drain_scheduled(count)
        for each in page:
            holder.taken_away(each.queue, each.body)
        return len(page)

    # ---- ahead of their time

    def enqueue_now(self, what: DelayedJob | Call) -> int:
        """Move one, as it was listed, to the end of its queue now; or every one of just this call.

        The move is one step, in which no hook is called; those of its enqueueing were, when it was delayed. It needs
        no scheduler. One that says no queue goes into its job's own.

        Returns:
            How many were moved; 0 where it is gone.

        Raises:
            InvalidPayload: it says no queue, and nobody here knows which it could be.
        """
        if isinstance(what, DelayedJob):
            return int(self._promote(what.stored))
        alike = self._alike(what, "enqueue_now")
        moved = 0
        for body in alike.bodies:
            for at in self._broker.scheduled_at(what.queue, body):
                # Of equal ones at one time each is moved by itself, until none is left.
                while self._broker.promote(ScheduledJob(at, what.queue, body)):
                    moved += 1
        if not moved or alike.likely:
            moved += self._act(lambda each: each.queue == what.queue and alike(each.body), self._promoted_many)
        return moved

    def enqueue_matching(
        self, meant: DelayedFilter, *, tell: Tell | None = None, stop: Stop | None = None
    ) -> DelayedTally:
        """Move all that are meant to the ends of their queues now, page by page, the next to be due first.

        One that says no queue goes into its job's own; where nobody here knows that, it stays, and is refused.

        Args:
            meant: which.
            tell: is told how far it is.
            stop: says whether to stop; what is moved by then stays moved.
        """
        return self._walk(meant.at, self._matching(meant), self._promoted_many, tell, stop)

    def enqueue_all_at(self, when: datetime | float) -> int:
        """Move all that wait for just this time to the ends of their queues now. How many.

        Those that say no queue, and of which nobody here knows it, stay.
        """
        meant, moved = DelayedFilter(at=_seconds_of(when)), 0
        # Again until none is left: where a scheduler takes some meanwhile, others come to where was looked already.
        while (tally := self.enqueue_matching(meant)).done:
            moved += tally.done
        return moved

    # ---- what these are made of

    def _act(self, meant: Callable[[ScheduledJob], bool], take: _Take) -> int:
        """Take away all that are meant, page by page. How many there were."""
        return self._walk(None, meant, take, None, None).done

    def _walk(
        self,
        at: float | None,
        meant: Callable[[ScheduledJob], bool],
        take: _Take,
        tell: Tell | None,
        stop: Stop | None,
    ) -> DelayedTally:
        """Take away all that are meant, or all of a time that are, page by page."""
        tally = DelayedTally(total=0 if tell is None else self._total(at, tell, stop))
        cursor: Cursor | None = Cursor(0.0 if at is None else at)
        while cursor is not None:
            if stop is not None and stop():
                return replace(tally, stopped=True)
            found = self._broker.scheduled(*cursor, _PAGE)
            page = found if at is None else [each for each in found if each.at == at]
            chosen = [each for each in page if meant(each)]
            taken = take(chosen) if chosen else _Taken(())
            gone = [each.at for each, done in zip(chosen, taken.done, strict=True) if done]
            tally = replace(
                tally,
                searched=tally.searched + len(page),
                matched=tally.matched + len(chosen),
                done=tally.done + len(gone),
                refused=tally.refused + taken.refused,
                why=tally.why or taken.why,
            )
            if tell is not None:
                tell(replace(tally, total=max(tally.total, tally.searched)))
            following = _behind(cursor, found, _PAGE) if len(page) == len(found) else None
            # What went has shifted what follows it at the same time.
            cursor = following and following._replace(skip=following.skip - gone.count(following.since))
        return tally

    def _total(self, at: float | None, tell: Tell | None, stop: Stop | None) -> int:
        """How many are there to be looked at, as far as it is known by the time somebody says to stop."""
        if at is not None:
            return next((jobs for time, jobs in self._broker.scheduled_times(at, 1) if time == at), 0)
        jobs, after = self.count_some(None, _PAGE)
        while after is not None and not (stop is not None and stop()):
            more, after = self.count_some(after, _PAGE)
            jobs += more
            if tell is not None:
                tell(DelayedTally(total=jobs))
        return jobs

    def _matching(self, meant: DelayedFilter) -> Callable[[ScheduledJob], bool]:
        names = None if meant.job is None else self._names(meant.job)
        args = None if meant.args is None else list(meant.args)

        def matches(stored: ScheduledJob) -> bool:
            if meant.queue not in (None, stored.queue) or (names is not None and job_of(stored.body) not in names):
                return False
            if args is None:
                return True
            payload = self._holder().read(stored.body).payload
            return payload is not None and list(payload.args) == args

        return matches

    def _promoted_many(self, chosen: Sequence[ScheduledJob]) -> _Taken:
        """Move these, and those that say no queue one by one; whether each was moved."""
        routed = [stored for stored in chosen if stored.queue]
        moved = iter(self._broker.promote_many(routed) if routed else ())
        done, refused, why = [], 0, ""
        for stored in chosen:
            try:
                done.append(next(moved) if stored.queue else self._promote(stored))
            except InvalidPayload as wrong:
                done.append(False)
                refused, why = refused + 1, why or str(wrong)
        return _Taken(done, refused, why)

    def _withdrawn_many(self, chosen: Sequence[ScheduledJob]) -> _Taken:
        """Take these away, and tell who is to be told; whether each was there."""
        done = self._broker.withdraw_many(chosen)
        for each, was_there in zip(chosen, done, strict=True):
            self._holder().taken_away(each.queue, each.body, int(was_there))
        return _Taken(done)

    def _promote(self, stored: ScheduledJob) -> bool:
        if stored.queue:
            return self._broker.promote(stored)
        name = job_of(stored.body)
        definition = None if name is None else self._holder().registry.find(name)
        if definition is None:
            raise InvalidPayload(
                f"This delayed job says no queue, and {name or 'what it is'} is not registered here: where it belongs "
                "is not known. Load its application (--app YOUR.JOBS), or remove it."
            )
        return self._broker.promote(stored, queue=definition.queue)

    def _names(self, job: _AnyJob) -> frozenset[str]:
        with reworded(
            (" Nothing was enqueued.", ""), (", and after it its arguments: enqueue(send_email, to, subject)", "")
        ):
            definition = find(self._holder().registry, job, "")
        return frozenset([str(job)] if definition is None else (definition.name, *definition.aliases))

    def _alike(self, what: object, verb: str) -> Alike:
        with reworded((" Nothing was enqueued.", "")):
            if not isinstance(what, Call):
                listed = "" if verb == "times_of" else "a delayed job as it was listed, or "
                takes = f"delayed.{verb} takes {listed}a call: send_email.call(to)."
                raise NotAJob(f"A value of type {type(what).__name__}", takes)
            return self._holder().alike(what)

    def _read(self, stored: ScheduledJob) -> DelayedJob:
        read = self._holder().read(stored.body)
        return DelayedJob(stored.at, stored.queue, stored.body, read.payload, read.shown, read.problem, stored)

    def _stored(self, cursor: Cursor) -> Iterator[ScheduledJob]:
        following: Cursor | None = cursor
        while following is not None:
            page = self._broker.scheduled(*following, _PAGE)
            yield from page
            following = _behind(following, page, _PAGE)


def _seconds_of(when: datetime | float) -> float:
    with reworded((" Nothing was enqueued.", "")):
        return seconds_of(when)


def _behind(cursor: Cursor, page: Sequence[ScheduledJob], count: int) -> Cursor | None:
    if len(page) < count:
        return None
    last = page[-1].at
    of_last = sum(each.at == last for each in page)
    return Cursor(last, of_last + (cursor.skip if last == cursor.since else 0))
