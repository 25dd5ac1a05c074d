"""The scheduler's loop: hold the lock, move what is due, fire what recurs, and sleep until there is something to do.

Each step is safe to repeat: moving is one step of the broker's that looks at the lock, and a tick is fired once however
often it is asked for. So a broker that is away is asked again, and a scheduler that dies leaves nothing half done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from taskq import envelope, failed_entry
from taskq.app import TaskQ
from taskq.errors import BrokerError, ConfigurationError, UnknownJob
from taskq.failure_handler import Failure
from taskq.hook import Accepted, Deferred, EnqueueRequest, Vetoed
from taskq.records import ErrorRecord, ScheduledJob
from taskq.recurring_jobs import call_of
from taskq.scheduler import events
from taskq.scheduler.orders import Orders
from taskq.scheduler.roster import Due, Roster
from taskq.worker.outage import GaveUp, Outage

__all__ = ["LOCK", "Scheduler"]

LOCK: Final = 7.0
"""Seconds that the lock outlives its holder: with the looks of others at it, one of them has it within 10."""

_RENEWALS: Final = 3.5  # so many in the time that the lock lasts
_LOOKS: Final = 7.0  # likewise, of those who stand by
_PUBLISH: Final = 30.0  # seconds between two times that what recurs is published, though nothing has changed
_BATCH: Final = 1000  # jobs moved in one step at most; what else the broker has to do waits as long


class _NotOurs(Exception):
    """Another scheduler fired the tick, or has the lock."""


class Scheduler:
    """One scheduler.

    Args:
        app: the application whose jobs recur, and whose broker has what is delayed.
        name: what it is called by at the broker; no other is called so.
        roster: what recurs.
        orders: what it is told.
        tell: who is told what happens.
        ready: called once the broker has answered.
        lock: seconds that the lock outlives this one.
        outage: the state of the connection, where something is known of it.
        waits: whether its first turn waits for a broker that is away.
    """

    def __init__(
        self,
        app: TaskQ,
        name: str,
        roster: Roster,
        orders: Orders,
        tell: events.Tell,
        *,
        ready: Callable[[], None] = lambda: None,
        lock: float = LOCK,
        outage: Outage | None = None,
        waits: bool = True,
    ) -> None:
        self._lock = lock
        self._app = app
        self._broker = app.broker
        self._name = name
        self._roster = roster
        self._orders = orders
        self._tell = tell
        self._ready = ready
        self._waits = waits
        self._outage = outage or Outage(tell)
        self._holder: str | None = None
        self._renew_at = self._publish_at = self._compare_at = 0.0  # by the monotonic clock
        self._unknown: Sequence[str] = ()
        self._to_load = True
        self._stays: float | None = None

    def work(self) -> None:
        """Take turns until told to stop, then give the lock back."""
        try:
            if not self._waits:
                self._turn()
            while not self._orders.stopping:
                self._outage.persist(
                    self._turn, rest=self._orders.rest, give_up=lambda: self._orders.stopping, in_hand=False
                )
                self._orders.listen()
        except GaveUp:
            pass
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._is_master:
            try:
                self._broker.give_up_schedule(self._name)
            except BrokerError:
                pass  # it ends by itself soon enough

    @property
    def _is_master(self) -> bool:
        return self._holder == self._name

    def _turn(self) -> None:
        """One turn, until there is something to do again, or nothing to do for a while."""
        if time.monotonic() >= self._renew_at:
            self._claim()
        if self._orders.show:
            self._orders.show = False
            self._tell(events.Shown(self._app.schedules.list(), self._broker.now()))
        if not self._is_master:
            if self._orders.reload:
                self._reread()
            self._roster.save()
            self._compare()
            self._orders.rest(self._lock / _LOOKS)
            return
        if self._orders.reload:
            self._reread()
        if self._roster.save() or self._to_load:
            self._load()
        promoted = self._broker.promote_due(self._name, self._broker.now(), _BATCH)
        if promoted.holder != self._name:
            self._renew_at = 0.0
            return
        if promoted.moved:
            self._tell(events.Moved(promoted.moved))
        for job in promoted.stuck:
            self._free(job)
        for due in self._roster.due(self._broker.now()):
            if not self._fire(due):
                self._renew_at = 0.0
                return
        if time.monotonic() >= self._publish_at:
            self._publish()
        if not (promoted.more or promoted.stuck or self._orders.stopping):
            self._wait(moved=promoted.moved > 0)

    # ---- the lock

    def _claim(self) -> None:
        asked = time.monotonic()
        holder = self._broker.claim_schedule(self._name, self._lock)
        self._renew_at = asked + self._lock / (_RENEWALS if holder == self._name else _LOOKS)
        self._ready()
        self._to_load = True  # whoever else read what recurs by this broker may have heard of a change in our place
        if holder == self._holder:
            return
        before, self._holder = self._holder, holder
        self._unknown, self._compare_at = (), 0.0
        if self._is_master:
            self._load()
            self._tell(events.TookOver(self._name, len(self._roster)))
        else:
            self._roster.forget()
            # Ruby's are called HOST:PID; a third part is taskq's.
            foreign = holder.count(":") < 2
            self._tell(events.StandingBy(holder, lost=before == self._name, foreign=foreign))

    def _compare(self) -> None:
        """Tell of what recurs here and is fired by nobody, for the one that has the lock has it not."""
        if self._holder is None or time.monotonic() < self._compare_at:
            return
        unknown = self._roster.unknown_to(self._holder)
        if unknown is None:
            return
        self._compare_at = time.monotonic() + _PUBLISH
        if unknown != self._unknown:
            self._unknown = unknown
            if unknown:
                self._tell(events.Unknown(self._holder, unknown))

    # ---- what recurs

    def _reread(self) -> None:
        self._orders.reload = False
        try:
            self._roster.read_own()
        except ConfigurationError as error:
            self._tell(events.Loaded(len(self._roster), [f"All stays as it was. {error}"]))
            return
        if self._is_master:
            self._load()
        self._tell(events.Loaded(len(self._roster), self._roster.problems))

    def _load(self) -> None:
        problems = self._roster.problems
        changed = self._roster.load(self._broker.now())
        self._to_load = False
        if self._roster.problems and self._roster.problems != problems:
            self._tell(events.Loaded(len(self._roster), self._roster.problems))
        if changed:
            self._publish()

    def _publish(self) -> None:
        self._roster.publish(self._name, self._broker.now())
        self._publish_at = time.monotonic() + _PUBLISH

    def _fire(self, due: Due) -> bool:
        """Enqueue a recurring job for its tick, or pass it over. False where the lock is another's by now."""
        schedule, tick = due.schedule, due.tick
        if due.missed:
            self._tell(events.Skipped(schedule.name, tick, "it was missed"))
            return self._pass(due)
        try:
            answer = self._app.enqueue_through(call_of(self._app.registry, schedule), lambda r, b: self._put(due, r, b))
        except _NotOurs:
            return self._pass(due)
        except BrokerError:
            raise
        except Exception as error:  # of a hook, or of a job that is not what it was
            self._tell(events.Failed(schedule.name, str(error) or type(error).__name__))
            return self._pass(due)
        match answer:
            case Accepted():
                late = self._broker.now() - tick
                self._tell(events.Fired(schedule.name, answer.job, answer.queue, tick, late))
                self._roster.passed(schedule.name, tick)
                return True
            case Vetoed() | Deferred():
                self._tell(events.Skipped(schedule.name, tick, f"{answer.by}: {answer.reason}"))
                return self._pass(due)

    def _put(self, due: Due, request: EnqueueRequest, body: bytes) -> None:
        # A hook may have it wait. Noted first: where this process dies in between, it is once too seldom, never twice.
        waits = request.at is not None and request.at > self._broker.now()
        bodies = () if waits else (body,)
        if not self._broker.fire(self._name, due.schedule.name, due.tick, request.queue, bodies):
            raise _NotOurs
        if waits and request.at is not None:
            self._broker.schedule(request.at, request.queue, (body,))

    def _pass(self, due: Due) -> bool:
        """Note that a tick is over. False where it is not, for the lock is another's."""
        name = due.schedule.name
        if not self._broker.fire(self._name, name, due.tick, due.schedule.queue or "", ()):
            last = self._broker.last_fired([name]).get(name)
            if last is None or last < due.tick:
                return False
        self._roster.passed(name, due.tick)
        return True

    # ---- what another program wrote and cannot be moved

    def _free(self, job: ScheduledJob) -> None:
        name = envelope.job_of(job.body)
        definition = None if name is None else self._app.registry.find(name)
        if definition is not None and not job.queue:
            if self._broker.promote(job, queue=definition.queue):
                self._tell(events.Rerouted(definition.name, definition.queue))
            return
        if name is None:
            reason = "A delayed job was due whose bytes are no payload."
        else:
            known = str(UnknownJob(name, "none said", self._app.registry.names())).partition(" Its module")[0]
            reason = f"The delayed job {name} was due and says no queue. {known}"
        now = self._broker.now()
        payload = self._app.read(job.body).payload
        cause = ErrorRecord("taskq.errors.UnknownJob" if name else "taskq.errors.InvalidPayload", reason)
        entry = failed_entry.encode(Failure(payload, job.body or job.raw, job.queue, self._name, cause, job.at, now))
        if self._broker.bury(job, entry):
            self._tell(events.Buried(reason))

    # ---- waiting

    def _wait(self, *, moved: bool) -> None:
        known = self._broker.next_due()
        now = self._broker.now()
        pause = self._renew_at - time.monotonic()
        if known is not None and known <= now:
            # It has become due since. Or what is there cannot be moved and stays, which is no reason to run in circles.
            stays, self._stays = self._stays == known and not moved, known
            if stays:
                self._orders.rest(min(pause, 1.0))
            return
        self._stays = None
        for when in (known, self._roster.next_tick):
            if when is not None:
                pause = min(pause, when - now)
        if pause > 0 and self._broker.wait_due(known, pause, self._orders.fds):
            self._to_load = True  # or only another time is next, which nobody could tell apart without a look
