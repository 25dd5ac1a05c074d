"""The interface to all that is stored: queues, jobs in flight, failures, workers, pause, statistics.

A broker moves opaque bytes and speaks records. It knows nothing of JSON, of jobs, or of the application. Each method's
docstring is its promise, in the order of a job's life; the contract suite proves every one on every backend.

What it does not promise: that a job runs only once whatever happens (see the table in the design), or that a listing
is one consistent picture while others change what it lists.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskq.errors import NotSupported
from taskq.inspection import Finding, KeyPage, KeyValue, Section
from taskq.records import (
    Again,
    Paused,
    Promoted,
    Registration,
    Reservation,
    Reserved,
    ScheduledJob,
    Stats,
    StoredFailure,
    Taken,
    Token,
    WorkerInfo,
)

__all__ = ["Backend", "Broker", "Capability", "FailureRequeue", "Requeued"]


class Capability(enum.Enum):
    """What a backend may or may not have; what it has not raises `NotSupported`."""

    SHARED = "a store that other processes see"
    IN_TRANSACTION = "enqueueing in a transaction of the application's own"
    DELAY = "jobs that wait for a time"
    KEYS = "keys that change in one step, and expire"
    INSPECT = "keys that can be looked at one by one"
    AHEAD = "jobs that are asked for while others are performed"


class Requeued(enum.Enum):
    """What became of a request to requeue a failure."""

    DONE = "requeued"
    ALREADY = "already retried"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class FailureRequeue:
    """What `Broker.requeue_failure` is asked, for many at once.

    Attributes:
        failure: the entry, as it was listed.
        queue: where the job goes.
        body: what is pushed there.
        replacement: the entry marked as retried.
    """

    failure: StoredFailure
    queue: str
    body: bytes
    replacement: bytes


class Broker(Protocol):
    """Owns all that is stored. Safe to use from several threads, and in a child after a fork.

    Every method may raise `BrokerUnavailable` (the same call may succeed later) or `BrokerRefused` (it will not).
    A changing call of a worker carries a `Token`. The same token again gets the same answer and changes nothing, so a
    call whose answer was lost is asked again until it is answered. A token whose number is smaller than the last one's
    is late and changes nothing. The calls of one registration come one after another, never side by side.
    """

    name: str
    """The name of the backend, as its entry point says it."""

    address: str
    """Where it is, for people: `Redis at 127.0.0.1:6379`. Never a secret."""

    capabilities: frozenset[Capability]
    """What this backend has beside what every backend has."""

    # ---- the connection and the clock

    @abstractmethod
    def check(self) -> None:
        """Return when the broker answers and accepts us; raise at once, within a second, where it does not."""

    @abstractmethod
    def now(self) -> float:
        """The broker's time in unix seconds: what it was at the last beat, and the own monotonic time since."""

    @abstractmethod
    def close(self) -> None:
        """Give back every connection and wake whoever waits. May be called twice; the broker is not used after it."""

    # ---- queues

    @abstractmethod
    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        """Add jobs to the end of a queue in their order, or all of them ahead of what is there, in their order.

        They are durable when it returns, as far as the backend is durable. One round trip, all or nothing. Where it
        raises `BrokerUnavailable`, `sent` says whether the jobs may be there all the same; it is never repeated here.
        """

    def push_within(
        self,
        connection: object,
        queue: str,
        bodies: Sequence[bytes],
        *,
        front: bool = False,
        at: float | None = None,
    ) -> None:
        """Capability IN_TRANSACTION: `push` as a part of the transaction that is open on an application's connection.

        With `at` (unix seconds, and capability DELAY) it is `schedule`. They are there for others when it commits, and
        never if it does not; how durable they are then is its matter. Nothing is begun, committed or rolled back on the
        connection, and what raises leaves it as it was.

        Raises:
            WrongConnection: it is none to this database, or no transaction is open on it.
            NotSupported: the backend has no transactions that an application could share.
        """
        raise NotSupported(
            self.name,
            Capability.IN_TRANSACTION.value,
            "options(connection=...) needs a broker in the database that the application itself writes to.",
        )

    @abstractmethod
    def size(self, queue: str) -> int:
        """How many jobs wait in a queue; 0 for one that is not there."""

    @abstractmethod
    def sizes(self, queues: Sequence[str]) -> Mapping[str, int]:
        """How many jobs wait in each of these queues, in the order given, in one round trip."""

    @abstractmethod
    def queues(self) -> Sequence[str]:
        """The names of all queues ever pushed to and not removed, sorted bytewise by their UTF-8 form."""

    @abstractmethod
    def peek(self, queue: str, start: int, count: int) -> Sequence[bytes]:
        """Up to `count` bodies from position `start` (0 is the next to be reserved), removing none."""

    @abstractmethod
    def remove(self, queue: str, body: bytes, *, most: int | None = None) -> int:
        """Remove every waiting job of a queue that has exactly these bytes. How many there were.

        Not more than `most` of them, where that is given: those that would be reserved first.
        """

    @abstractmethod
    def remove_queue(self, queue: str) -> int:
        """Remove a queue, its waiting jobs and its pause. How many jobs went with it."""

    @abstractmethod
    def drain(self, queue: str, count: int) -> Sequence[bytes]:
        """Remove up to `count` waiting jobs, those that would be reserved first, in one step. Their bodies, in order.

        With its last job the queue goes too, and its pause, as by `remove_queue`; so where fewer than `count` are
        returned.
        """

    # ---- reserving

    @abstractmethod
    def reserve(
        self,
        worker: str,
        queues: Sequence[str],
        token: Token,
        *,
        limit: int = 1,
        settled: Reservation | None = None,
    ) -> Reserved:
        """Finish `settled`, then take up to `limit` jobs from the first queues that have any, in one atomic step.

        The queues are plain names, looked at in the order given. In the step that takes a job it is recorded as in
        flight for this worker: there is no instant at which a killed process leaves it in neither place. The first job
        taken counts as started, the others as held ahead. Nothing is taken from a paused queue, nor anything at all
        while all is paused. `settled` is the last of this worker's jobs that ended well: it and those held before it
        are finished as `finish` does it.

        A worker that holds something (beyond what it settles with this call) gets that again, and nothing is taken.

        Raises:
            NotRegistered: the worker is not registered under this token's process part; nothing was changed.
        """

    def reserve_ahead(self, worker: str, queues: Sequence[str], token: Token, *, limit: int) -> Callable[[], Reserved]:
        """Capability AHEAD: ask for up to `limit` jobs behind those the worker holds, and hear the answer later.

        So the worker performs what it holds while the broker looks for more; of use where an answer is waited for. All
        that is taken counts as held ahead; else it is taken as by `reserve`, by the same order, pauses and tokens.
        Nothing is taken where no job is in hand. It is the one call that later ones of the same registration may
        overtake: then it is late, and takes nothing. It raises nothing else: what is wrong is said with the answer.

        Returns:
            What waits for the answer: `jobs` are those that this call took. From any thread, once at a time; where it
            raised `BrokerUnavailable` it may be called again. It raises `NotRegistered` as `reserve` does.

        Raises:
            NotSupported: the backend has nothing to gain by it.
        """
        raise NotSupported(self.name, Capability.AHEAD.value, "reserve(limit=...) takes several jobs at once.")

    @abstractmethod
    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        """Block until there may be work in one of the queues (None: in any), or `timeout` seconds have passed.

        It also returns as soon as one of the file descriptors in `interrupts` is readable. It wakes early if it likes,
        and never removes anything: whoever is woken reserves, and may find nothing. A push that comes between a
        `reserve` that found nothing and this call is not missed. True where there may be work.
        """

    # ---- settling: exactly one of these settles a reservation, atomically with its statistics
    #
    # What one `reserve` took is performed in its order. So whoever begins, finishes or fails a job says with it that
    # those held before it ended well: they are settled and counted in the same step.

    @abstractmethod
    def note(self, reservation: Reservation) -> None:
        """Note that a job held ahead begins now, and that those held before it ended well.

        It need not wait for an answer, so it may be lost; the next call about this job or a later one makes up for it.
        It never raises `BrokerUnavailable`. One about a job that is not held, or has begun already, changes nothing.
        """

    @abstractmethod
    def finish(self, reservation: Reservation, token: Token) -> bool:
        """Settle a job as done, and those held before it: forget them and count them as processed.

        False, and nothing changed, where it is no longer this reservation's: someone else settled it.
        """

    @abstractmethod
    def release(
        self,
        reservations: Sequence[Reservation],
        token: Token,
        *,
        body: bytes | None = None,
        front: bool = True,
        at: float | None = None,
    ) -> bool:
        """Put jobs back into their queues: ahead of what is there and in their own order, or behind it.

        They count neither as processed nor as failed. One step for all of them. `body` replaces the bytes of a single
        one (a retry that counts its attempts). With `at` they go among the delayed jobs instead, as `schedule` puts
        them there (capability DELAY). Where the first of them is `started`, those held before it ended well;
        else nothing is said of any other. False, and nothing changed, where one of them is no longer held.
        """

    @abstractmethod
    def fail(
        self,
        reservation: Reservation,
        token: Token,
        entry: bytes,
        *,
        by_queue: bool = False,
        again: Again | None = None,
    ) -> bool:
        """Settle a job as failed, and those held before it as done.

        `entry` is appended to the failed list; the job counts as processed and as failed. Where `again` says how, the
        job goes back in the same step: a try that failed, which another one follows.

        `by_queue` appends it to the failed list of the job's own queue instead of the common one. False, and nothing
        changed, where it is no longer this reservation's.
        """

    # ---- workers

    @abstractmethod
    def register(self, registration: Registration) -> bool:
        """Take a worker id, atomically and exclusively, and write its first heartbeat.

        False, and nothing changed, where the id is there already, alive or dead, or left a job in hand: it belongs to
        somebody else. The same registration (by `process_token`) again answers True.
        """

    @abstractmethod
    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        """Write the time of the broker as this worker's heartbeat, and set the own clock by it.

        `speaks` is False where another process of the same registration makes its other calls: a child that runs the
        loop.

        False, and nothing written, where the worker is not registered under this process part: it was taken for dead.
        """

    @abstractmethod
    def hear_out(self, worker: str) -> None:
        """Return once all that the worker's processes sent which are dead by now has been heard; within seconds.

        Asked by the process that registered it, when a child died that spoke for it. What that sent last, and what
        nobody waits for, may still be on its way.
        """

    @abstractmethod
    def unregister(self, worker: str, process_token: str) -> bool:
        """Forget an idle worker: its registration, heartbeat and own counters.

        False, and nothing changed, where it holds a job (settle that first) or is not registered under this part.
        """

    @abstractmethod
    def workers(self) -> Sequence[WorkerInfo]:
        """Every worker of which there is any trace, sorted by id; other programs' and dead ones too."""

    @abstractmethod
    def worker(self, worker: str) -> WorkerInfo | None:
        """One worker; None where there is no trace of it."""

    @abstractmethod
    def claim_recovery(self, worker: str, seconds: float, *, at_start: bool = False) -> bool:
        """Whether this worker may look for dead ones now: one process of a namespace at a time, for `seconds`.

        Who holds the claim may claim again before it ends, and holds it for `seconds` more. With `at_start` it is
        Resque's own lock instead, which is taken for 60 seconds, never renewed and never given back (WIRE.md section
        8).
        """

    @abstractmethod
    def recover(
        self, seen: WorkerInfo, entry: bytes | None, *, again: Again | None = None, by_queue: bool = False
    ) -> bool:
        """Settle what a dead worker left, and forget the worker, in one atomic step.

        The job in hand is failed with `entry` as `fail` does it, or, where `entry` is None, put back as `again` says,
        or as it came at the front of its queue where nothing says how; with both, both. Those held ahead go back to the
        front of their queues, in order, behind it. False, and nothing changed, where the worker is no longer as it was
        `seen`: somebody else settled it, or it lives.
        """

    # ---- pause

    @abstractmethod
    def pause(self, queue: str | None = None) -> None:
        """Let nothing more be reserved from this queue; with None from any. Jobs in hand go on."""

    @abstractmethod
    def unpause(self, queue: str | None = None) -> None:
        """Undo `pause` of the same; pausing all and pausing one are two things."""

    @abstractmethod
    def paused(self) -> Paused:
        """What is paused now."""

    # ---- failures, addressed by content near the position where the caller saw them

    @abstractmethod
    def failures(self, start: int, count: int, *, queue: str | None = None) -> Sequence[StoredFailure]:
        """Up to `count` entries from position `start`, 0 the oldest, of the common failed list or of a queue's."""

    @abstractmethod
    def failure_count(self, *, queue: str | None = None) -> int:
        """How many entries the common failed list has, or a queue's own."""

    @abstractmethod
    def failed_queues(self) -> Sequence[str]:
        """The queues that have a failed list of their own, sorted; it may be empty by now."""

    @abstractmethod
    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        """Push `body` to `queue` and put `replacement` (the entry marked as retried) in the entry's place, atomically.

        The entry is found by its bytes, near its position. Of equal entries one is taken, whichever. ALREADY where it
        is not there but its `replacement`'s form is: the entry's bytes less the last, followed by a comma. GONE where
        neither is.
        """

    def requeue_failures(self, requeues: Sequence[FailureRequeue]) -> Sequence[Requeued]:
        """`requeue_failure` for each of these, in few exchanges where the backend can; an answer for each, in order.

        Each is a step of its own: one that is gone keeps none of the others back. Those that had moved may be pushed
        behind the others.
        """
        return [
            self.requeue_failure(one.failure, queue=one.queue, body=one.body, replacement=one.replacement)
            for one in requeues
        ]

    @abstractmethod
    def remove_failure(self, failure: StoredFailure) -> bool:
        """Remove one entry with these bytes, near the position. False where there is none."""

    def remove_failures(self, failures: Sequence[StoredFailure]) -> Sequence[bool]:
        """`remove_failure` for each of these, in few exchanges where the backend can; an answer for each, in order."""
        return [self.remove_failure(failure) for failure in failures]

    @abstractmethod
    def add_failure(self, entry: bytes, *, queue: str | None = None) -> None:
        """Put an entry at the newest end of the common failed list, or of a queue's; it counts for no statistics.

        For an operator who takes a removal back.
        """

    @abstractmethod
    def clear_failures(self, *, queue: str | None = None) -> int:
        """Remove all entries of the common failed list, or of a queue's. How many there were."""

    # ---- delayed jobs: capability DELAY
    #
    # A time may be kept in whole seconds; then it is rounded up. Within one time jobs keep the order in which they were
    # scheduled. Whoever moves them holds the scheduler's lock, which on Redis is resque-scheduler's own.

    def schedule(self, at: float, queue: str, bodies: Sequence[bytes]) -> None:
        """Keep jobs until `at`, unix seconds, when a scheduler moves them to the end of their queue in their order.

        Durable when it returns, as `push` is; all or nothing, never repeated here. A time that is over is kept like any
        other: whoever does not want to wait for a scheduler pushes.
        """
        raise self._has_no(Capability.DELAY)

    def claim_schedule(self, scheduler: str, seconds: float) -> str:
        """Take the scheduler's lock for `seconds`, or hold it for so long again. Whose it is then."""
        raise self._has_no(Capability.DELAY)

    def give_up_schedule(self, scheduler: str) -> None:
        """Give the scheduler's lock back, where it is this one's."""
        raise self._has_no(Capability.DELAY)

    def promote_due(self, scheduler: str, now: float, limit: int) -> Promoted:
        """Move up to `limit` jobs that are due at `now` to the ends of their queues, the earliest first, in one step.

        The lock is looked at in the same step: where it is not this scheduler's, nothing is moved. A job is at every
        instant either delayed or in its queue.
        """
        raise self._has_no(Capability.DELAY)

    def next_due(self) -> float | None:
        """The earliest time for which a job waits; None where none does."""
        raise self._has_no(Capability.DELAY)

    def wait_due(self, known: float | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        """Block until `next_due` may be another than `known`, or a schedule was changed, or `timeout` seconds passed.

        As `wait` it returns once a descriptor of `interrupts` is readable, wakes early if it likes, and does not miss
        what came before it was called. True where something may have changed.
        """
        raise self._has_no(Capability.DELAY)

    def scheduled(self, since: float, skip: int, count: int) -> Sequence[ScheduledJob]:
        """Up to `count` delayed jobs from time `since` on, in order, less the first `skip` of just that time."""
        raise self._has_no(Capability.DELAY)

    def scheduled_times(self, since: float, count: int) -> Sequence[tuple[float, int]]:
        """Up to `count` times from `since` on for which jobs wait, in order, and how many wait for each."""
        raise self._has_no(Capability.DELAY)

    def scheduled_time_count(self, most: int | None = None) -> int:
        """For how many different times jobs wait. With `most`, that where there are more and to count them all is slow.

        Args:
            most: how many are enough to know, 1 or more; then it is quick, however many there are.
        """
        raise self._has_no(Capability.DELAY)

    def scheduled_at(self, queue: str, body: bytes) -> Sequence[float]:
        """The times for which jobs with exactly these bytes wait for this queue, in order."""
        raise self._has_no(Capability.DELAY)

    def scheduled_at_part(self, queue: str, body: bytes, after: int = 0) -> tuple[Sequence[float], int | None]:
        """A part of `scheduled_at`, a short step where all of it would be a long one, and after what to go on.

        Args:
            queue: which queue they wait for.
            body: their bytes.
            after: what the part before said; 0 to begin.

        Returns:
            Times, in order within the part; and what the next part is asked with, None where this was the last.
        """
        return self.scheduled_at(queue, body), None

    def unschedule(self, queue: str, body: bytes, *, at: float | None = None) -> int:
        """Remove every delayed job with exactly these bytes for this queue; with `at` of that time only. How many."""
        raise self._has_no(Capability.DELAY)

    def promote(self, job: ScheduledJob, *, queue: str | None = None) -> bool:
        """Move one delayed job into its queue now, or into `queue`, whoever holds the lock.

        Returns:
            False where it is gone; and where it is due and another program's scheduler, which does not move in one
            step, may have it in its hands: then it is as good as in its queue. Likewise for what removes delayed jobs.
        """
        raise self._has_no(Capability.DELAY)

    def promote_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        """`promote` for each of these, in few exchanges where the backend can; an answer for each, in order.

        Those of one queue go behind it in the order given. What is one step, a slice or each, is the backend's choice.
        """
        return [self.promote(job) for job in jobs]

    def bury(self, job: ScheduledJob, entry: bytes) -> bool:
        """Take one delayed job away and append `entry` to the failed list, in one step. False where it is gone."""
        raise self._has_no(Capability.DELAY)

    def withdraw(self, job: ScheduledJob) -> bool:
        """Take one delayed job away; of equal ones at one time, one. False where it is gone."""
        raise self._has_no(Capability.DELAY)

    def withdraw_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        """`withdraw` for each of these, in few exchanges where the backend can; an answer for each, in order."""
        return [self.withdraw(job) for job in jobs]

    def clear_scheduled(self) -> int:
        """Remove all delayed jobs. How many there were, as far as that is known."""
        raise self._has_no(Capability.DELAY)

    def drain_scheduled(self, count: int) -> Sequence[ScheduledJob]:
        """Remove up to `count` delayed jobs, the earliest first, in one step. Which those were; none: none is left."""
        raise self._has_no(Capability.DELAY)

    # ---- recurring jobs: capability DELAY as well

    def fire(self, scheduler: str, name: str, tick: float, queue: str, bodies: Sequence[bytes]) -> bool:
        """Push jobs as the tick of a schedule that was due at `tick`, unix seconds, in one step.

        False, and nothing pushed, where this tick of it or a later one was fired already, or the scheduler's lock is
        not this scheduler's. Without bodies the tick is noted and nothing pushed: one that is skipped.
        """
        raise self._has_no(Capability.DELAY)

    def last_fired(self, names: Sequence[str]) -> Mapping[str, float]:
        """The last tick that was fired or skipped of each of these schedules; one that never was is left out."""
        raise self._has_no(Capability.DELAY)

    def schedules(self) -> Mapping[str, bytes]:
        """The schedules that are kept in the store, by name: JSON objects with resque-scheduler's keys, as written."""
        raise self._has_no(Capability.DELAY)

    def put_schedule(self, name: str, body: bytes | None) -> bool:
        """Keep a schedule in the store, or with None remove it, and say so to schedulers. Whether one was there."""
        raise self._has_no(Capability.DELAY)

    # ---- keys: capability KEYS. What locks, limits and results are made of; each of them expires
    #
    # Names are plugins' own, `unique:...`; values are small. Every change is one step.

    def get_key(self, key: str) -> bytes | None:
        """What it holds; None where it is not there or has expired."""
        raise self._has_no(Capability.KEYS)

    def put_key(self, key: str, value: bytes, seconds: float) -> None:
        """Set it, for so many seconds, whatever it held."""
        raise self._has_no(Capability.KEYS)

    def take_key(self, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        """Set the first of these keys that is not there, for so many seconds."""
        raise self._has_no(Capability.KEYS)

    def swap_key(self, key: str, old: bytes, new: bytes | None, seconds: float = 0.0) -> bool:
        """Where it holds `old`, set it to `new` for so many seconds, or with None remove it. False where it does not.

        With `new` the same as `old` its time is extended: what belongs to somebody else by now is left alone.
        """
        raise self._has_no(Capability.KEYS)

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        """Add to a counter, and what it is then. One that was not there begins at 0 and lives for so many seconds."""
        raise self._has_no(Capability.KEYS)

    def await_key(self, key: str, seen: bytes | None, timeout: float) -> bytes | None:
        """Block until it holds something else than `seen`, without polling where the backend can; what it holds then.

        After `timeout` seconds what it holds, though that is `seen`.
        """
        raise self._has_no(Capability.KEYS)

    # As a part of the transaction that is open on an application's connection, see `push_within`: for others it is so
    # when that commits, and never if it does not. Capabilities KEYS and IN_TRANSACTION.

    def put_key_within(self, connection: object, key: str, value: bytes, seconds: float) -> None:
        """`put_key` within a transaction of the application's own."""
        raise self._has_no_keys_within()

    def take_key_within(self, connection: object, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        """`take_key` within a transaction of the application's own."""
        raise self._has_no_keys_within()

    def swap_key_within(
        self, connection: object, key: str, old: bytes, new: bytes | None, seconds: float = 0.0
    ) -> bool:
        """`swap_key` within a transaction of the application's own."""
        raise self._has_no_keys_within()

    def foreign_key(self, key: str) -> bytes | None:
        """A string that another program keeps in the same namespace (resque-retry); None where there can be none."""
        return None

    def put_foreign_key(self, key: str, value: bytes | None, seconds: float = 0.0) -> None:
        """Set such a string for so many seconds, or with None remove it. Nothing where there can be none."""
        return

    def _has_no_keys_within(self) -> NotSupported:
        advice = "options(connection=...) of a job of which a plugin keeps something needs keys in that transaction."
        return NotSupported(self.name, Capability.IN_TRANSACTION.value, advice)

    def _has_no(self, capability: Capability) -> NotSupported:
        return NotSupported(self.name, capability.value)

    # ---- statistics

    @abstractmethod
    def stats(self) -> Stats:
        """The totals over all workers, those that are gone included."""

    @abstractmethod
    def add_sample(self, series: str, sample: bytes, *, keep: int) -> None:
        """Append what was measured to a series, and forget all but the newest `keep` of it."""

    @abstractmethod
    def samples(self, series: str, count: int) -> Sequence[bytes]:
        """The newest `count` of a series, the oldest of them first; none of one that is not there."""

    # ---- the broker itself, for operators

    def server(self) -> Sequence[Section]:
        """Its own figures, in sections, the first with those that matter first. Never a secret. None where it has none.

        A backend that has figures of its own gives them; nothing of taskq's depends on any.
        """
        return ()

    def diagnose(self) -> Sequence[Finding]:
        """What is well, and what is wrong, with how it is set up: its version, what it keeps, what it might throw away.

        Read-only. None where there is nothing that could be set up wrongly.
        """
        return ()

    def keys(self, cursor: str = "", count: int = 50) -> KeyPage:
        """Capability INSPECT: about `count` of the keys that this broker's data lies in, and where to go on.

        No other key of the store is listed. Each that stays from the first page to the last is given at least once.

        Raises:
            ValueError: that is no cursor.
            NotSupported: its data lies in no keys.
        """
        raise NotSupported(self.name, Capability.INSPECT.value, "What waits and what failed has pages of its own.")

    def key(self, name: str, cursor: str = "", count: int = 50) -> KeyValue | None:
        """Capability INSPECT: about `count` elements of what a key holds, and where to go on; None where it is not.

        A key that is none of this broker's is not there.

        Raises:
            ValueError: that is no cursor.
            NotSupported: its data lies in no keys.
        """
        raise NotSupported(self.name, Capability.INSPECT.value, "What waits and what failed has pages of its own.")


class Backend(Protocol):
    """What an entry point of `taskq.backends` names: it makes a broker of an address."""

    def __call__(self, source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> Broker:
        """A broker for a URL, or for a client object of the library that the backend is made of.

        Connects to nothing yet. What the URL itself says (`?namespace=`, a short form's path) wins over the keywords.

        Args:
            source: the URL, or the client object.
            namespace: what sets this broker's data apart from others' in the same store; None is the backend's own
                default.
            failed_max: how many entries a failed list keeps, the newest; None keeps all.

        Raises:
            ConfigurationError: the address cannot be understood. It has no password in it.
        """
        ...
