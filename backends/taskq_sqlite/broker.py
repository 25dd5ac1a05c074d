"""The broker in a file of SQLite. A method is one transaction of named statements, and its answer as a record.

The statements and why they are as they are: `statements.sql`. The connection and its transactions are `store`'s.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final, TypeVar

from taskq.broker import Broker, Capability, FailureRequeue, Requeued
from taskq.errors import BrokerUnavailable, ConfigurationError, NotRegistered, Problem
from taskq.inspection import Finding, Section
from taskq.records import (
    Again,
    Paused,
    ProcessIdentity,
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
from taskq_sqlite import delayed, inspecting
from taskq_sqlite import keys as keys_
from taskq_sqlite import queues as queues_
from taskq_sqlite.address import Address, parse
from taskq_sqlite.places import Places
from taskq_sqlite.statements import MOST_WANTED, SQL, over
from taskq_sqlite.store import Durable, Store
from taskq_sqlite.wakeup import Wakeup
from taskq_sqlite.within import savepoint

__all__ = ["SQLiteBroker", "open_broker"]

T = TypeVar("T")

_CLAIM_AT_START: Final = 60.0  # seconds, as Resque's own lock
_LOOK: Final = 5.0  # seconds between looks at the file itself, by one who waits for a key
_NEAR: Final = 200  # entries of a failed list that are looked at around a position, before all are
_A_PART: Final = 50_000  # delayed jobs that are looked through in one go: some milliseconds


class _Seat:
    """A worker as a transaction finds it: the place of the job in its hand, if any, and all places that it holds."""

    __slots__ = ("answer", "batch", "fence", "hand", "id", "last", "places", "several")

    def __init__(self, process: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self.id, self.last, self.answer, self.batch, self.hand, first = rows[0]
        self.several = first is not None
        self.places: list[int] = [row[5] for row in rows] if self.several else [] if self.hand is None else [self.hand]
        self.fence = f"{process}{self.batch:08x}"

    def place(self, job: Reservation) -> int | None:
        """The place of a job that is held here; None for one that is not."""
        token, _, place = job.fence.partition(":")
        if token != self.fence or not place.isdigit():
            return None
        number = int(place)
        return number if number in self.places else None

    def end(self, db: sqlite3.Connection, place: int) -> int:
        """Those up to this place ended; how many that were. Whoever calls it says so in the worker's row too."""
        left = [held for held in self.places if held > place]
        ended = len(self.places) - len(left)
        if ended and self.several:
            db.execute(SQL["end"], (self.id, place))
        if self.hand is not None and self.hand <= place:
            self.hand = None
        self.places = left
        return ended

    def let_go(self, db: sqlite3.Connection, place: int) -> None:
        """The job at this place goes elsewhere. If it is the one in hand, those before it are forgotten: they ended."""
        if self.several:
            db.execute(SQL["end" if place == self.hand else "let_go"], (self.id, place))
        if place == self.hand:
            self.hand = None

    def said(self, db: sqlite3.Connection, token: Token, *, answer: bool, processed: int = 0, failed: int = 0) -> bool:
        """Write down what a call with this token did; its answer."""
        kept = self.hand is not None
        db.execute(SQL["settled"], (token.number, answer, processed, failed, kept, self.id))
        return answer


class SQLiteBroker(Broker):
    """A database that the processes of one machine share. Safe in threads and across forks."""

    name = "sqlite"
    capabilities = frozenset(Capability) - {Capability.INSPECT, Capability.AHEAD}

    def __init__(
        self, address: Address, *, failed_max: int | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Opens nothing yet; the file is made when it is first needed.

        Args:
            address: where it is.
            failed_max: how many entries a failed list keeps, the newest; None keeps all.
            clock: unix seconds: the broker's time is this machine's.
        """
        self.address = f"SQLite at {address.path}"
        self._path = address.path
        self._store = Store(address.path, strict=address.strict, application_id=address.application_id)
        self._wakeup = Wakeup(address.path, self._store.data_version)
        self._failed_max = failed_max
        self._clock = clock
        self._nothing: dict[str, Token] = {}
        self._schedules_seen: int | None = None
        self._places = Places()

    # ---- the connection and the clock

    def check(self) -> None:
        self._store.check_file()
        self._store.check()

    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        self._wakeup.close()
        self._store.close()

    # ---- queues

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        self._store.check_file()
        with self._store.writing() as db:
            queues_.add(db, queue, bodies, front=front)
        self._wakeup.ring()

    def push_within(
        self,
        connection: object,
        queue: str,
        bodies: Sequence[bytes],
        *,
        front: bool = False,
        at: float | None = None,
    ) -> None:
        with savepoint(connection, self._path) as db:
            if at is None:
                queues_.add(db, queue, bodies, front=front)
            else:
                delayed.delay(db, at, [(queue, body) for body in bodies])

    def size(self, queue: str) -> int:
        return int(self._one(SQL["size"], queue))

    def sizes(self, queues: Sequence[str]) -> Mapping[str, int]:
        with self._store.reading() as db:
            return {queue: db.execute(SQL["size"], (queue,)).fetchone()[0] for queue in queues}

    def queues(self) -> Sequence[str]:
        return sorted(self._column(SQL["queues"]), key=str.encode)

    def peek(self, queue: str, start: int, count: int) -> Sequence[bytes]:
        with self._store.reading() as db:
            unbroken = db.execute(SQL["unbroken"], (queue,)).fetchone() if start else None
            if unbroken is None:
                found = db.execute(SQL["peek"], (queue, max(count, 0), start))
            else:
                number, first = unbroken
                found = db.execute(SQL["peek_at"], (number, first + start, max(count, 0)))
            return [row[0] for row in found]

    def remove(self, queue: str, body: bytes, *, most: int | None = None) -> int:
        with self._store.writing() as db:
            rows = db.execute(SQL["equal_jobs"], (queue, body, -1 if most is None else max(most, 0))).fetchall()
            if rows:
                db.executemany(SQL["take_job"], [(number,) for number, _ in rows])
                db.execute(SQL["leave_gap"], (rows[-1][1], queue))
            return len(rows)

    def remove_queue(self, queue: str) -> int:
        with self._store.writing() as db:
            removed = db.execute(SQL["empty_queue"], (queue,)).rowcount
            db.execute(SQL["remove_queue"], (queue,))
            db.execute(SQL["unpause"], (queue,))
            return removed

    def drain(self, queue: str, count: int) -> Sequence[bytes]:
        with self._store.writing() as db:
            first = db.execute(SQL["first_jobs"], (queue, max(count, 0))).fetchall()
            db.executemany(SQL["take_job"], ((number,) for number, _ in first))
            if not db.execute(SQL["size"], (queue,)).fetchone()[0]:
                db.execute(SQL["remove_queue"], (queue,))
                db.execute(SQL["unpause"], (queue,))
            return [body for _, body in first]

    # ---- reserving

    def reserve(
        self,
        worker: str,
        queues: Sequence[str],
        token: Token,
        *,
        limit: int = 1,
        settled: Reservation | None = None,
    ) -> Reserved:
        if settled is None and self._finds_nothing(worker, queues, token):
            return Reserved()
        with self._store.writing(Durable.SOON) as db:
            seat = _seat(db, worker, token.process)
            if seat is None:
                raise NotRegistered(worker)
            last = self._last(worker, seat, token)
            if token.number < last:
                return _held(db, worker, seat, token)
            if token.number == last:
                return _held(db, worker, seat, token) if seat.answer else Reserved(settled=False)
            ended = 0
            if settled is not None:
                place = seat.place(settled)
                if place is None:
                    return Reserved(settled=seat.said(db, token, answer=False))
                ended = seat.end(db, place)
            if seat.places:
                seat.said(db, token, answer=True, processed=ended)
                return _held(db, worker, seat, token)
            jobs = self._take(db, worker, seat.id, queues, token, limit)
            db.execute(SQL["took"], (token.number, ended, *_in_hand(jobs), seat.id))
            return Reserved(jobs)

    def _finds_nothing(self, worker: str, queues: Sequence[str], token: Token) -> bool:
        """Whether there is nothing to take and nothing to change: then nothing is written, and nobody is woken by it.

        The answer is kept in this process: no answer is lost between it and the file, so only it can ask again.
        """
        if self._nothing.get(worker) == token:
            return True
        with self._store.reading() as db:
            seat = _seat(db, worker, token.process)
            if seat is None:
                raise NotRegistered(worker)
            if seat.places or token.number <= self._last(worker, seat, token) or _is_ready(db, queues):
                return False
        self._nothing[worker] = token
        return True

    def _last(self, worker: str, seat: _Seat, token: Token) -> int:
        """The number of the worker's last call, also where that found nothing and so was not written."""
        nothing = self._nothing.get(worker)
        if nothing is None or nothing.process != token.process:
            return int(seat.last)
        return max(int(seat.last), nothing.number)

    def _take(
        self, db: sqlite3.Connection, worker: str, seat: int, queues: Sequence[str], token: Token, limit: int
    ) -> tuple[Reservation, ...]:
        run_at = self.now()
        fence = str(token)
        jobs: list[Reservation] = []
        left = list(queues)
        while len(jobs) < limit and (found := _next_job(db, left)) is not None:
            at, queue, number, pos, body = found
            rows = [(pos, body)]
            if limit - len(jobs) > 1:
                rows += db.execute(SQL["more_jobs"], (queue, pos, limit - len(jobs) - 1))
            name = left[at]
            for place, (_, body) in enumerate(rows, len(jobs) + 1):
                jobs.append(Reservation(worker, name, body, f"{fence}:{place:04d}", run_at, started=place == 1))
            if len(rows) == 1:
                db.execute(SQL["take_job"], (number,))
            else:
                db.execute(SQL["take_jobs"], (queue, rows[-1][0]))
            del left[: at + 1]
        if len(jobs) > 1:
            held = ((seat, place, job.queue, run_at, job.body) for place, job in enumerate(jobs, 1))
            db.executemany(SQL["hold"], held)
        return tuple(jobs)

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        self._store.check_file()
        self._store.settle_debts()

        def ready() -> bool:
            with self._store.reading() as db:
                return _is_ready(db, queues)

        return self._wakeup.wait(ready, timeout, interrupts)

    # ---- settling

    def note(self, reservation: Reservation) -> None:
        token, _, place = reservation.fence.partition(":")
        with contextlib.suppress(BrokerUnavailable):
            given = int(place), reservation.worker, token[:8], int(token[8:], 16)
            self._store.begin_and_commit(SQL["begin"], given)

    def finish(self, reservation: Reservation, token: Token) -> bool:
        def finish(db: sqlite3.Connection, seat: _Seat) -> bool:
            place = seat.place(reservation)
            if place is None:
                return seat.said(db, token, answer=False)
            return seat.said(db, token, answer=True, processed=seat.end(db, place))

        return self._settle(reservation.worker, token, finish, Durable.SOON)

    def release(
        self,
        reservations: Sequence[Reservation],
        token: Token,
        *,
        body: bytes | None = None,
        front: bool = True,
        at: float | None = None,
    ) -> bool:
        if body is not None and len(reservations) != 1:
            raise ValueError("release: a new body needs exactly one reservation")
        if not reservations:
            return True

        def release(db: sqlite3.Connection, seat: _Seat) -> bool:
            places = [place for job in reservations if (place := seat.place(job)) is not None]
            if len(set(places)) < len(reservations):
                return seat.said(db, token, answer=False)
            ended = seat.end(db, places[0] - 1) if reservations[0].started else 0
            for place in places:
                seat.let_go(db, place)
            jobs = [(job.queue, job.body if body is None else body) for job in reservations]
            if at is None:
                queues_.put_back(db, jobs, front=front)
            else:
                delayed.delay(db, at, jobs)
            return seat.said(db, token, answer=True, processed=ended)

        released = self._settle(reservations[0].worker, token, release)
        self._wakeup.ring()
        return released

    def fail(
        self,
        reservation: Reservation,
        token: Token,
        entry: bytes,
        *,
        by_queue: bool = False,
        again: Again | None = None,
    ) -> bool:
        def fail(db: sqlite3.Connection, seat: _Seat) -> bool:
            place = seat.place(reservation)
            if place is None:
                return seat.said(db, token, answer=False)
            self._add_failure(db, reservation.queue if by_queue else None, entry)
            if again is not None:
                _go_again(db, reservation, again)
            return seat.said(db, token, answer=True, processed=seat.end(db, place), failed=1)

        failed = self._settle(reservation.worker, token, fail)
        if again is not None:
            self._wakeup.ring()
        return failed

    def _settle(
        self,
        worker: str,
        token: Token,
        change: Callable[[sqlite3.Connection, _Seat], bool],
        durable: Durable = Durable.NOW,
    ) -> bool:
        """Make a change under the rules of tokens: the same again is answered again, a late one changes nothing."""
        with self._store.writing(durable) as db:
            seat = _seat(db, worker, token.process)
            if seat is None:
                return False
            last = self._last(worker, seat, token)
            if token.number <= last:
                return token.number == last and bool(seat.answer)
            return change(db, seat)

    def _add_failure(self, db: sqlite3.Connection, queue: str | None, entry: bytes) -> None:
        db.execute(SQL["add_failure"], (queue, entry))
        _count_failures(db, queue, added=1)
        if self._failed_max is not None:
            (count, _) = _failed_list(db, queue)
            if count > self._failed_max:
                gone = db.execute(SQL["oldest_failures"], (queue, count - self._failed_max)).rowcount
                _count_failures(db, queue, removed=gone)

    # ---- workers

    def register(self, registration: Registration) -> bool:
        self._store.check_file()
        with self._store.writing() as db:
            row = db.execute(SQL["owner"], (registration.worker,)).fetchone()
            if row is not None:
                return bool(row[0] == registration.process_token)
            now, said = self.now(), json.dumps(asdict(registration))
            db.execute(SQL["register"], (registration.worker, registration.process_token, said, now, now))
            return True

    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        self._store.check_file()
        with self._store.writing(Durable.SOON) as db:
            return db.execute(SQL["heartbeat"], (self.now(), worker, process_token)).rowcount == 1

    def hear_out(self, worker: str) -> None:
        return  # what a process did not commit before it died never will be

    def unregister(self, worker: str, process_token: str) -> bool:
        with self._store.writing() as db:
            row = db.execute(SQL["idle_worker"], (worker, process_token)).fetchone()
            if row is None:
                return False
            _forget(db, row[0])
            self._nothing.pop(worker, None)
            return True

    def workers(self) -> Sequence[WorkerInfo]:
        with self._store.reading() as db:
            rows = db.execute(SQL["workers"]).fetchall()
        return sorted((_info(list(about)) for _, about in groupby(rows, lambda row: row[0])), key=lambda one: one.id)

    def worker(self, worker: str) -> WorkerInfo | None:
        with self._store.reading() as db:
            rows = db.execute(SQL["worker"], (worker,)).fetchall()
        return _info(rows) if rows else None

    def claim_recovery(self, worker: str, seconds: float, *, at_start: bool = False) -> bool:
        name = "pruning at a start" if at_start else "looking for the dead"
        with self._store.writing(Durable.LATER) as db:
            now = self.now()
            row = db.execute(SQL["claim"], (name, now)).fetchone()
            if row is not None and (at_start or row[0] != worker):
                return False
            db.execute(SQL["set_claim"], (name, worker, now, _CLAIM_AT_START if at_start else seconds))
            return True

    def recover(
        self, seen: WorkerInfo, entry: bytes | None, *, again: Again | None = None, by_queue: bool = False
    ) -> bool:
        process, _, changes = seen.raw.decode().partition(":")
        with self._store.writing() as db:
            row = db.execute(SQL["as_seen"], (seen.id, process, changes)).fetchone()
            if row is None:
                return False
            queues_.put_back(db, [(job.queue, job.body) for job in seen.ahead], front=True)
            if seen.job is not None:
                if entry is not None:
                    self._add_failure(db, seen.job.queue if by_queue else None, entry)
                    db.execute(SQL["count_lost"], row)
                if entry is None or again is not None:
                    _go_again(db, seen.job, again or Again())
            db.execute(SQL["drop_batch"], row)
            _forget(db, row[0])
        self._wakeup.ring()
        return True

    # ---- pause

    def pause(self, queue: str | None = None) -> None:
        self._change("pause_all" if queue is None else "pause", *(() if queue is None else (queue,)))

    def unpause(self, queue: str | None = None) -> None:
        self._change("unpause_all" if queue is None else "unpause", *(() if queue is None else (queue,)))
        self._wakeup.ring()

    def paused(self) -> Paused:
        with self._store.reading() as db:
            every = bool(db.execute(SQL["all_paused"]).fetchone()[0])
            return Paused(every, frozenset(row[0] for row in db.execute(SQL["paused"])))

    # ---- failures

    def failures(self, start: int, count: int, *, queue: str | None = None) -> Sequence[StoredFailure]:
        with self._store.reading() as db:
            size, removed = _failed_list(db, queue)
            if start >= size or count <= 0:
                return []
            rows = self._from_place(db, queue, start, min(count, size - start), size, removed)
        self._places.saw(queue, removed, start, [number for number, _ in rows])
        return [StoredFailure(start + place, entry, queue) for place, (_, entry) in enumerate(rows)]

    def _from_place(
        self, db: sqlite3.Connection, queue: str | None, start: int, count: int, size: int, removed: int
    ) -> Sequence[tuple[int, bytes]]:
        """Entries from a place on, found from where the way is shortest: an end, or a place that was seen lately."""
        first, last = db.execute(SQL["failed_ends"], (queue,)).fetchone()
        if first is None:
            return []
        if last - first + 1 == size:  # no id is missing
            seen = start, first + start
        else:
            ends = [(0, first), (size - 1, last)]
            near = self._places.nearest(queue, removed, start)
            seen = min([*ends, near] if near else ends, key=lambda mark: abs(mark[0] - start))
        place, number = seen
        if place > start:
            row = db.execute(SQL["failure_before"], (queue, number, place - start)).fetchone()
            place, number = start, first if row is None else row[0]
        return db.execute(SQL["failures_from"], (queue, number, count, start - place)).fetchall()

    def failure_count(self, *, queue: str | None = None) -> int:
        with self._store.reading() as db:
            return _failed_list(db, queue)[0]

    def failed_queues(self) -> Sequence[str]:
        return sorted(self._column(SQL["failed_queues"]), key=str.encode)

    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        while (number := self._find(failure)) is not None:
            with self._store.writing() as db:
                if db.execute(SQL["replace_failure"], (replacement, number, failure.entry)).rowcount:
                    queues_.add(db, queue, [body], front=False)
                    break
        else:
            retried = failure.entry[:-1] + b',"retried_at":'
            return Requeued.ALREADY if self._one(SQL["failure_begins"], failure.queue, retried) else Requeued.GONE
        self._wakeup.ring()
        return Requeued.DONE

    def requeue_failures(self, requeues: Sequence[FailureRequeue]) -> Sequence[Requeued]:
        # One transaction, one wait for the disk, for all that are where they were seen; the others one by one.
        answers: dict[int, Requeued] = {}
        with self._store.writing() as db:
            for place, one in enumerate(requeues):
                number = self._places.id_at(one.failure.queue, one.failure.position)
                if db.execute(SQL["replace_failure"], (one.replacement, number, one.failure.entry)).rowcount:
                    queues_.add(db, one.queue, [one.body], front=False)
                    answers[place] = Requeued.DONE
        self._wakeup.ring()
        return [
            answers.get(place)
            or self.requeue_failure(one.failure, queue=one.queue, body=one.body, replacement=one.replacement)
            for place, one in enumerate(requeues)
        ]

    def remove_failure(self, failure: StoredFailure) -> bool:
        while (number := self._find(failure)) is not None:
            with self._store.writing() as db:
                if _remove_failure(db, failure, number):
                    return True
        return False

    def remove_failures(self, failures: Sequence[StoredFailure]) -> Sequence[bool]:
        with self._store.writing() as db:
            done = [
                _remove_failure(db, one, number)
                for one in failures
                for number in [self._places.id_at(one.queue, one.position)]
            ]
        return [removed or self.remove_failure(one) for one, removed in zip(failures, done, strict=True)]

    def add_failure(self, entry: bytes, *, queue: str | None = None) -> None:
        with self._store.writing() as db:
            self._add_failure(db, queue, entry)

    def _find(self, failure: StoredFailure) -> int | None:
        """The id of an equal entry: the nearest of those around the position, else any. Found by reading alone."""
        start = max(failure.position - _NEAR // 2, 0)
        near = self.failures(start, _NEAR, queue=failure.queue)
        same = [stored.position for stored in near if stored.entry == failure.entry]
        if same:
            place = min(same, key=lambda place: abs(place - failure.position))
            number = self._places.id_at(failure.queue, place)
            if number is not None:
                return number
        with self._store.reading() as db:
            row = db.execute(SQL["failure_anywhere"], (failure.queue, failure.entry)).fetchone()
            return None if row is None else int(row[0])

    def clear_failures(self, *, queue: str | None = None) -> int:
        with self._store.writing() as db:
            gone = db.execute(SQL["clear_failures"], (queue,)).rowcount
            _count_failures(db, queue, removed=gone)
            return gone

    # ---- delayed jobs

    def schedule(self, at: float, queue: str, bodies: Sequence[bytes]) -> None:
        self._store.check_file()
        with self._store.writing() as db:
            delayed.delay(db, at, [(queue, body) for body in bodies])
        self._wakeup.ring()

    def claim_schedule(self, scheduler: str, seconds: float) -> str:
        self._store.check_file()
        with self._store.writing(Durable.LATER) as db:
            return delayed.master(db, self.now(), claimed_by=scheduler, seconds=seconds)

    def give_up_schedule(self, scheduler: str) -> None:
        with self._store.writing(Durable.LATER) as db:
            delayed.give_up(db, scheduler)

    def promote_due(self, scheduler: str, now: float, limit: int) -> Promoted:
        with self._store.writing(Durable.SOON) as db:
            holder = delayed.master(db, self.now())
            moved = delayed.promote_due(db, now, limit) if holder == scheduler else 0
        if moved:
            self._wakeup.ring()
        return Promoted(moved, holder, more=moved == limit)

    def next_due(self) -> float | None:
        due: float | None = self._one(SQL["next_due"])
        return due

    def wait_due(self, known: float | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        self._store.check_file()
        self._store.settle_debts()

        def ready() -> bool:
            with self._store.reading() as db:
                (changed,) = db.execute(SQL["schedules_changed"]).fetchone()
                seen, self._schedules_seen = self._schedules_seen, changed
                return seen not in {None, changed} or db.execute(SQL["next_due"]).fetchone()[0] != known

        return self._wakeup.wait(ready, timeout, interrupts)

    def scheduled(self, since: float, skip: int, count: int) -> Sequence[ScheduledJob]:
        with self._store.reading() as db:
            return delayed.page(db, since, skip, count)

    def scheduled_times(self, since: float, count: int) -> Sequence[tuple[float, int]]:
        with self._store.reading() as db:
            return db.execute(SQL["delayed_times"], (since, max(count, 0))).fetchall()

    def scheduled_time_count(self, most: int | None = None) -> int:
        if most is None:
            return int(self._one(SQL["delayed_time_count"]))
        return int(self._one(SQL["delayed_time_count_to"], most))

    def scheduled_at(self, queue: str, body: bytes) -> Sequence[float]:
        with self._store.reading() as db:
            return sorted({at for _, at in delayed.find(db, queue, body, None)})

    def scheduled_at_part(self, queue: str, body: bytes, after: int = 0) -> tuple[Sequence[float], int | None]:
        with self._store.reading() as db:
            first, last = db.execute(SQL["delayed_ids_after"], (after,)).fetchone()
            if first is None:
                return (), None
            ends = first + _A_PART
            found = db.execute(SQL["find_delayed_among"], (first, ends, queue, body)).fetchall()
            return sorted({at for (at,) in found}), ends if ends < last else None

    def unschedule(self, queue: str, body: bytes, *, at: float | None = None) -> int:
        with self._store.reading() as db:  # which takes long, and holds nobody up
            found = delayed.find(db, queue, body, at)
        if not found:
            return 0
        with self._store.writing() as db:
            return int(db.executemany(SQL["unschedule"], ((number, queue, body) for number, _ in found)).rowcount)

    def promote(self, job: ScheduledJob, *, queue: str | None = None) -> bool:
        with self._store.writing() as db:
            if not delayed.take(db, job):
                return False
            queues_.add(db, job.queue if queue is None else queue, [job.body], front=False)
        self._wakeup.ring()
        return True

    def bury(self, job: ScheduledJob, entry: bytes) -> bool:
        with self._store.writing() as db:
            if not delayed.take(db, job):
                return False
            self._add_failure(db, None, entry)
            return True

    def withdraw(self, job: ScheduledJob) -> bool:
        with self._store.writing() as db:
            return delayed.take(db, job)

    def promote_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        with self._store.writing() as db:
            taken = delayed.take_many(db, jobs)
            moved = [(job.queue, job.body) for job, gone in zip(jobs, taken, strict=True) if gone]
            queues_.put_back(db, moved, front=False)
        if moved:
            self._wakeup.ring()
        return taken

    def withdraw_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        with self._store.writing() as db:
            return delayed.take_many(db, jobs)

    def clear_scheduled(self) -> int:
        return self._change("clear_delayed")

    def drain_scheduled(self, count: int) -> Sequence[ScheduledJob]:
        with self._store.writing() as db:
            return delayed.drain(db, count)

    # ---- recurring jobs

    def fire(self, scheduler: str, name: str, tick: float, queue: str, bodies: Sequence[bytes]) -> bool:
        with self._store.writing() as db:
            if delayed.master(db, self.now()) != scheduler or not db.execute(SQL["tick"], (name, tick)).rowcount:
                return False
            if bodies:
                queues_.add(db, queue, bodies, front=False)
        self._wakeup.ring()
        return True

    def last_fired(self, names: Sequence[str]) -> Mapping[str, float]:
        with self._store.reading() as db:
            ticks = ((name, db.execute(SQL["last_tick"], (name,)).fetchone()) for name in names)
            return {name: row[0] for name, row in ticks if row is not None}

    def schedules(self) -> Mapping[str, bytes]:
        with self._store.reading() as db:
            # The number first: what is put between the two is told of once more.
            self._schedules_seen = db.execute(SQL["schedules_changed"]).fetchone()[0]
            return dict(db.execute(SQL["schedules"]))

    def put_schedule(self, name: str, body: bytes | None) -> bool:
        with self._store.writing() as db:
            (there,) = db.execute(SQL["has_schedule"], (name,)).fetchone()
            if body is None:
                db.execute(SQL["remove_schedule"], (name,))
            else:
                db.execute(SQL["put_schedule"], (name, body))
            db.execute(SQL["schedules_change"])
        self._wakeup.ring()
        return bool(there)

    # ---- keys. A power cut takes the last changes of theirs back only together with all that came after them

    def get_key(self, key: str) -> bytes | None:
        with self._store.reading() as db:
            found = keys_.held(db, key, self.now())
            return None if found is None else found[0]

    def put_key(self, key: str, value: bytes, seconds: float) -> None:
        self._on_key(lambda db, now: keys_.put(db, key, value, now + seconds, now))

    def take_key(self, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        return self._on_key(lambda db, now: keys_.take(db, keys, value, seconds, now))

    def swap_key(self, key: str, old: bytes, new: bytes | None, seconds: float = 0.0) -> bool:
        return self._on_key(lambda db, now: keys_.swap(db, key, old, new, seconds, now))

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        return self._on_key(lambda db, now: keys_.add(db, key, amount, seconds, now))

    def put_key_within(self, connection: object, key: str, value: bytes, seconds: float) -> None:
        with savepoint(connection, self._path) as db:
            now = self.now()
            keys_.put(db, key, value, now + seconds, now)

    def take_key_within(self, connection: object, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        with savepoint(connection, self._path) as db:
            return keys_.take(db, keys, value, seconds, self.now())

    def swap_key_within(
        self, connection: object, key: str, old: bytes, new: bytes | None, seconds: float = 0.0
    ) -> bool:
        with savepoint(connection, self._path) as db:
            return keys_.swap(db, key, old, new, seconds, self.now())

    def _on_key(self, change: Callable[[sqlite3.Connection, float], T]) -> T:
        self._store.check_file()
        with self._store.writing(Durable.SOON) as db:
            answer = change(db, self.now())
        self._wakeup.ring()
        return answer

    def await_key(self, key: str, seen: bytes | None, timeout: float) -> bytes | None:
        deadline = time.monotonic() + timeout
        self._store.settle_debts()
        while True:
            self._store.check_file()
            with self._store.reading() as db:
                found, now = keys_.held(db, key, self.now()), self.now()
            value, left = (None, math.inf) if found is None else (found[0], found[1] - now)
            rest = deadline - time.monotonic()
            if value != seen or rest <= 0 or self._wakeup.closed:
                return value
            # It may change by expiring, which nobody tells of; and a file may be deleted under it.
            self._wakeup.wait(lambda: self.get_key(key) != seen, min(rest, max(left, 0.001), _LOOK), ())

    # ---- statistics

    def stats(self) -> Stats:
        with self._store.reading() as db:
            return Stats(*db.execute(SQL["stats"]).fetchone())

    def add_sample(self, series: str, sample: bytes, *, keep: int) -> None:
        with self._store.writing(Durable.LATER) as db:
            db.execute(SQL["add_sample"], (series, sample))
            db.execute(SQL["trim_samples"], (series, keep))
            db.execute(SQL["close_gaps"])  # each minute is often enough

    def samples(self, series: str, count: int) -> Sequence[bytes]:
        return self._column(SQL["samples"], series, max(count, 0))

    # ---- the broker itself

    def server(self) -> Sequence[Section]:
        with self._store.reading() as db:
            return inspecting.server(db, self._path)

    def diagnose(self) -> Sequence[Finding]:
        with self._store.reading() as db:
            return inspecting.diagnose(db, self._path)

    # ---- what the methods above are made of

    def _one(self, statement: str, *given: object) -> Any:
        with self._store.reading() as db:
            return db.execute(statement, given).fetchone()[0]

    def _column(self, statement: str, *given: object) -> list[Any]:
        with self._store.reading() as db:
            return [row[0] for row in db.execute(statement, given)]

    def _change(self, statement: str, *given: object) -> int:
        with self._store.writing() as db:
            return db.execute(SQL[statement], given).rowcount


# ---- steps within a transaction


def _go_again(db: sqlite3.Connection, job: Reservation, again: Again) -> None:
    """A job goes back, as is said."""
    back = [(job.queue, job.body if again.body is None else again.body)]
    if again.at is None:
        queues_.put_back(db, back, front=again.front)
    else:
        delayed.delay(db, again.at, back)


def _failed_list(db: sqlite3.Connection, queue: str | None) -> tuple[int, int]:
    """How many entries a failed list has, and how many were ever removed from it."""
    found: tuple[int, int] | None = db.execute(SQL["failed_list"], (_list_name(queue),)).fetchone()
    return (0, 0) if found is None else found


def _count_failures(db: sqlite3.Connection, queue: str | None, *, added: int = 0, removed: int = 0) -> None:
    if added or removed:
        db.execute(SQL["count_failures"], (_list_name(queue), added - removed, removed))


def _list_name(queue: str | None) -> str:
    return "c" if queue is None else f"q{queue}"


def _remove_failure(db: sqlite3.Connection, failure: StoredFailure, number: int | None) -> bool:
    gone = db.execute(SQL["remove_failure"], (number, failure.entry)).rowcount
    _count_failures(db, failure.queue, removed=gone)
    return bool(gone)


def _seat(db: sqlite3.Connection, worker: str, process: str) -> _Seat | None:
    rows = db.execute(SQL["seat"], (worker, process)).fetchall()
    return _Seat(process, rows) if rows else None


def _in_hand(jobs: Sequence[Reservation]) -> tuple[int | None, str | None, float | None, bytes | None]:
    """What a worker's row says of jobs that were taken: the only one itself, or where in the batch the first is."""
    if len(jobs) == 1:
        return 1, jobs[0].queue, jobs[0].run_at, jobs[0].body
    return (1, None, None, b"") if jobs else (None, None, None, None)


def _held(db: sqlite3.Connection, worker: str, seat: _Seat, token: Token) -> Reserved:
    """What a worker holds, as the answer to a call with this token: `held`, unless that very call took it."""
    jobs = tuple(
        Reservation(worker, queue, body, f"{seat.fence}:{place:04d}", run_at, bool(started))
        for place, started, queue, run_at, body in db.execute(SQL["held"], (seat.id,))
    )
    return Reserved(jobs, held=bool(jobs) and seat.fence != str(token))


def _next_job(db: sqlite3.Connection, queues: Sequence[str]) -> tuple[int, int, int, int, bytes] | None:
    """The first job of the first queue that has one: the queue's place in the list and id, the job's id, pos, body."""
    if len(queues) == 1:
        found: tuple[int, int, int, int, bytes] | None = db.execute(SQL["next_job_of"], queues).fetchone()
        return found
    for start in range(0, len(queues), MOST_WANTED):
        wanted = queues[start : start + MOST_WANTED]
        row = db.execute(over("next_job", len(wanted)), _wanted(wanted)).fetchone()
        if row is not None:
            return (start + row[0], *row[1:])
    return None


def _is_ready(db: sqlite3.Connection, queues: Sequence[str] | None) -> bool:
    if queues is None:
        return bool(db.execute(SQL["ready_anywhere"]).fetchone()[0])
    return any(
        db.execute(over("ready", len(wanted)), _wanted(wanted)).fetchone()[0]
        for start in range(0, len(queues), MOST_WANTED)
        if (wanted := queues[start : start + MOST_WANTED])
    )


def _wanted(queues: Sequence[str]) -> list[int | str]:
    return [value for pair in enumerate(queues) for value in pair]


def _forget(db: sqlite3.Connection, worker: int) -> None:
    """A worker's row goes; what it counted stays in the totals."""
    db.execute(SQL["fold_stats"], (worker,))
    db.execute(SQL["forget_worker"], (worker,))


def _info(rows: Sequence[tuple[Any, ...]]) -> WorkerInfo:
    name, process, registration, started, beat, batch, changes, processed, failed, hand, *own = rows[0][:13]
    held = [(hand, *own)] if own[0] is not None else [row[13:] for row in rows if row[13] is not None]
    jobs = [
        Reservation(name, queue, body, f"{process}{batch:08x}:{place:04d}", run_at, started=place == hand)
        for place, queue, run_at, body in held
    ]

    return WorkerInfo(
        id=name,
        registered=True,
        heartbeat=beat,
        started=started,
        job=next((job for job in jobs if job.started), None),
        ahead=tuple(job for job in jobs if not job.started),
        processed=processed,
        failed=failed,
        registration=_registration(registration),
        raw=f"{process}:{changes}".encode(),
    )


def _registration(text: str) -> Registration:
    said = json.loads(text)
    return Registration(**{**said, "process": ProcessIdentity(**said["process"])})


def open_broker(source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> SQLiteBroker:
    """A broker for a database file, which is made when it is first needed; nothing is opened yet.

    Args:
        source: `sqlite:///relative/to/here.db`, `sqlite:////absolute/path.db`, with `?synchronous=full` behind it where
            every settle must be on the disk when it is answered, and `?failed_max=N`; or a `pathlib.Path`.
        namespace: `resque`, which everybody has who says none. There are no others here: a file is one.
        failed_max: how many entries a failed list keeps, where the address itself does not say; None keeps all.

    Raises:
        ConfigurationError: the address cannot be understood, or a namespace was asked for.
    """
    address = parse(source)
    if namespace not in {None, "resque"}:
        message = f'the namespace "{namespace}": SQLite has none, a file is one. Give each application its own file.'
        raise ConfigurationError([Problem("namespace", "namespace", message)])
    return SQLiteBroker(address, failed_max=address.failed_max or failed_max)
