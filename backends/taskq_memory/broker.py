"""All that is stored, in one process: a lock, deques and dicts.

It imitates no other backend. Every step that another backend must make atomic is a method body under the one lock.
Nothing here outlives the process, and no other process sees it: a forked child that uses it is told so.
"""

from __future__ import annotations

import bisect
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from taskq.broker import Broker, Capability, Requeued
from taskq.errors import ConfigurationError, NotRegistered, NotSupported, Problem, TaskqError
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

__all__ = ["MemoryBroker", "open_broker"]

_A_DAY = 86400.0  # seconds of one wait at most: a system's takes no more than 24 days
_CLAIM_AT_START = 60.0  # seconds, as Resque's own lock


@dataclass(slots=True)
class _Seat:
    """A registered worker, and what it holds: the started job, if any, is `in_hand`, the rest lies `ahead`."""

    registration: Registration
    started: float
    heartbeat: float
    last: Token
    answer: Reserved | bool = False
    in_hand: Reservation | None = None
    ahead: deque[Reservation] = field(default_factory=deque)
    processed: int = 0
    failed: int = 0

    def held(self) -> tuple[Reservation, ...]:
        return (() if self.in_hand is None else (self.in_hand,)) + tuple(self.ahead)

    def state(self) -> bytes:
        """Differs whenever the worker did anything since: what `recover` is fenced by."""
        return f"{self.last}:{self.heartbeat!r}".encode()


@dataclass(slots=True, eq=False)
class _Waiter:
    """Someone who waits for a job in these queues, or (`due`) for the next delayed one."""

    queues: frozenset[str] | None
    bell: int
    due: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a key holds, until it expires by the monotonic clock."""

    value: bytes
    until: float


class MemoryBroker(Broker):
    """A broker within this process."""

    name = "memory"
    address = "memory (this process)"
    capabilities: frozenset[Capability] = frozenset({Capability.DELAY, Capability.KEYS, Capability.AHEAD})

    def __init__(self, *, clock: Callable[[], float] | None = None, failed_max: int | None = None) -> None:
        """An empty store.

        Args:
            clock: unix seconds, the broker's time; None for `time.time`, as a test may have replaced it by then.
            failed_max: how many entries a failed list keeps, the newest; None for all.
        """
        self._clock = clock
        self._failed_max = failed_max
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._queues: dict[str, deque[bytes]] = {}
        self._seats: dict[str, _Seat] = {}
        self._failures: dict[str | None, list[bytes]] = {None: []}
        self._paused_all = False
        self._paused: set[str] = set()
        self._processed = 0
        self._failed = 0
        self._samples: dict[str, list[bytes]] = {}
        self._claims: dict[bool, tuple[str, float]] = {}
        self._waiters: set[_Waiter] = set()
        self._times: list[float] = []  # in order, one for each of `_delayed`
        self._delayed: dict[float, list[tuple[str, bytes]]] = {}
        self._scheduler = ("", 0.0)  # who may move them, and until when by the monotonic clock
        self._fired: dict[str, float] = {}
        self._schedules: dict[str, bytes] = {}
        self._schedules_changed = False  # since they were read, or `wait_due` told of it
        self._keys: dict[str, _Kept] = {}
        self._key_changed = threading.Condition(self._lock)
        self._closed = 0  # how often

    @contextmanager
    def _held(self) -> Iterator[None]:
        if os.getpid() != self._pid:
            raise NotSupported(
                self.name,
                "use in another process (this one was forked)",
                "Jobs are seen only where they were enqueued; use sqlite:///path.db or redis:// for several processes.",
            )
        with self._lock:
            yield

    # ---- the connection and the clock

    def check(self) -> None:
        with self._held():
            return

    def now(self) -> float:
        return time.time() if self._clock is None else self._clock()

    def close(self) -> None:
        with self._held():
            for waiter in self._waiters:
                _ring(waiter)
            self._closed += 1
            self._key_changed.notify_all()

    # ---- queues

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        with self._held():
            waiting = self._queues.setdefault(queue, deque())
            if front:
                waiting.extendleft(reversed(bodies))
            else:
                waiting.extend(bodies)
            self._wake(queue)

    def size(self, queue: str) -> int:
        with self._held():
            return len(self._queues.get(queue, ()))

    def sizes(self, queues: Sequence[str]) -> Mapping[str, int]:
        with self._held():
            return {queue: len(self._queues.get(queue, ())) for queue in queues}

    def queues(self) -> Sequence[str]:
        with self._held():
            return sorted(self._queues, key=_bytewise)

    def peek(self, queue: str, start: int, count: int) -> Sequence[bytes]:
        with self._held():
            return list(self._queues.get(queue, ()))[start : start + count]

    def remove(self, queue: str, body: bytes, *, most: int | None = None) -> int:
        with self._held():
            waiting = self._queues.get(queue, deque())
            gone = frozenset([place for place, other in enumerate(waiting) if other == body][:most])
            kept = [other for place, other in enumerate(waiting) if place not in gone]
            removed = len(gone)
            if removed:
                self._queues[queue] = deque(kept)
            return removed

    def remove_queue(self, queue: str) -> int:
        with self._held():
            self._paused.discard(queue)
            return len(self._queues.pop(queue, ()))

    def drain(self, queue: str, count: int) -> Sequence[bytes]:
        with self._held():
            waiting = self._queues.get(queue, deque())
            bodies = [waiting.popleft() for _ in range(min(max(count, 0), len(waiting)))]
            if not waiting:
                self.remove_queue(queue)
            return bodies

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
        with self._held():
            seat = self._seat(worker, token.process)
            if seat is None:
                raise NotRegistered(worker)
            if token == seat.last and isinstance(seat.answer, Reserved):
                return seat.answer
            if token.number <= seat.last.number:
                held = seat.held()
                return Reserved(held, held=bool(held))
            seat.last = token
            seat.answer = self._reserve(seat, queues, token, limit, settled)
            return seat.answer

    def _reserve(
        self, seat: _Seat, queues: Sequence[str], token: Token, limit: int, settled: Reservation | None
    ) -> Reserved:
        if settled is not None and not self._finish(seat, settled):
            return Reserved(settled=False)
        if held := seat.held():
            return Reserved(held, held=True)
        taken = self._take(seat, queues, token, limit)
        if taken:
            seat.in_hand = taken[0]
            seat.ahead.extend(taken[1:])
        return Reserved(taken)

    def _take(
        self, seat: _Seat, queues: Sequence[str], token: Token, limit: int, *, ahead: bool = False
    ) -> tuple[Reservation, ...]:
        """Out of their queues; the first of them counts as started, if not all are held ahead."""
        taken: list[Reservation] = []
        worker, run_at = seat.registration.worker, self.now()
        for queue in queues:
            waiting = self._queues.get(queue)
            while waiting and len(taken) < limit and self._open(queue):
                fence = f"{token}:{len(taken) + 1:04d}"
                started = not (taken or ahead)
                taken.append(Reservation(worker, queue, waiting.popleft(), fence, run_at, started=started))
        return tuple(taken)

    def reserve_ahead(self, worker: str, queues: Sequence[str], token: Token, *, limit: int) -> Callable[[], Reserved]:
        def answer() -> Reserved:
            with self._held():
                seat = self._seat(worker, token.process)
                if seat is None:
                    raise NotRegistered(worker)
                if token.number > seat.last.number:
                    seat.last = token
                    taken = () if seat.in_hand is None else self._take(seat, queues, token, limit, ahead=True)
                    seat.ahead.extend(taken)
                return Reserved(tuple(job for job in seat.ahead if job.fence.startswith(str(token))))

        try:
            answer()
        except TaskqError:
            pass  # it is found out again by who waits for it
        return answer

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        wanted = None if queues is None else frozenset(queues)
        with self._held():
            if self._ready(wanted):
                return True
            ear, waiter = self._listen(wanted)
        return self._rung(ear, waiter, timeout, interrupts)

    def _listen(self, queues: frozenset[str] | None, *, due: bool = False) -> tuple[int, _Waiter]:
        ear, bell = os.pipe()
        os.set_blocking(bell, False)
        waiter = _Waiter(queues, bell, due)
        self._waiters.add(waiter)
        return ear, waiter

    def _rung(self, ear: int, waiter: _Waiter, timeout: float, interrupts: Sequence[int]) -> bool:
        """Whether it rang in time. Without the lock: whoever rings needs it."""
        try:
            with selectors.DefaultSelector() as selector:
                for fd in {ear, *interrupts}:
                    selector.register(fd, selectors.EVENT_READ)
                return any(key.fd == ear for key, _ in selector.select(min(max(timeout, 0.0), _A_DAY)))
        finally:
            with self._lock:
                self._waiters.discard(waiter)
                os.close(ear)
                os.close(waiter.bell)

    # ---- settling

    def note(self, reservation: Reservation) -> None:
        with self._held():
            seat = self._seat(reservation.worker, reservation.fence[:8])
            if seat is not None:
                self._begin(seat, reservation)

    def finish(self, reservation: Reservation, token: Token) -> bool:
        return self._settle(reservation.worker, token, lambda seat: self._finish(seat, reservation))

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

        def release(seat: _Seat) -> bool:
            held = {job.fence: job for job in seat.held()}
            if not all(job.fence in held for job in reservations):
                return False
            if reservations[0].started:
                self._begin(seat, reservations[0])
            if seat.in_hand is not None and any(job.fence == seat.in_hand.fence for job in reservations):
                seat.in_hand = None
            fences = {job.fence for job in reservations}
            seat.ahead = deque(job for job in seat.ahead if job.fence not in fences)
            again = Again(body, front, at)
            for job in reversed(reservations) if front and at is None else reservations:
                self._put_back(held[job.fence], again)
            return True

        return self._settle(reservations[0].worker, token, release)

    def fail(
        self,
        reservation: Reservation,
        token: Token,
        entry: bytes,
        *,
        by_queue: bool = False,
        again: Again | None = None,
    ) -> bool:
        def fail(seat: _Seat) -> bool:
            if not self._begin(seat, reservation):
                return False
            seat.in_hand = None
            self._append_failure(reservation.queue if by_queue else None, entry)
            self._count(seat, failed=True)
            if again is not None:
                self._put_back(reservation, again)
            return True

        return self._settle(reservation.worker, token, fail)

    # ---- workers

    def register(self, registration: Registration) -> bool:
        with self._held():
            seat = self._seats.get(registration.worker)
            if seat is not None:
                return seat.registration.process_token == registration.process_token
            now = self.now()
            first = Token(registration.process_token, 0)
            self._seats[registration.worker] = _Seat(registration, started=now, heartbeat=now, last=first)
            return True

    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        with self._held():
            seat = self._seat(worker, process_token)
            if seat is None:
                return False
            seat.heartbeat = self.now()
            return True

    def hear_out(self, worker: str) -> None:
        with self._held():  # nothing is ever on its way
            return

    def unregister(self, worker: str, process_token: str) -> bool:
        with self._held():
            seat = self._seat(worker, process_token)
            if seat is None or seat.held():
                return False
            del self._seats[worker]
            return True

    def workers(self) -> Sequence[WorkerInfo]:
        with self._held():
            return [_info(self._seats[worker]) for worker in sorted(self._seats)]

    def worker(self, worker: str) -> WorkerInfo | None:
        with self._held():
            seat = self._seats.get(worker)
            return None if seat is None else _info(seat)

    def claim_recovery(self, worker: str, seconds: float, *, at_start: bool = False) -> bool:
        with self._held():
            now = time.monotonic()
            holder, until = self._claims.get(at_start, ("", now))
            if until > now and (at_start or holder != worker):
                return False
            self._claims[at_start] = (worker, now + (_CLAIM_AT_START if at_start else seconds))
            return True

    def recover(
        self, seen: WorkerInfo, entry: bytes | None, *, again: Again | None = None, by_queue: bool = False
    ) -> bool:
        with self._held():
            seat = self._seats.get(seen.id)
            if seat is None or seat.state() != seen.raw:
                return False
            for job in reversed(seat.ahead):
                self.push(job.queue, [job.body], front=True)
            if seat.in_hand is not None:
                if entry is not None:
                    self._append_failure(seat.in_hand.queue if by_queue else None, entry)
                    self._count(seat, failed=True)
                if entry is None or again is not None:
                    self._put_back(seat.in_hand, again or Again())
            del self._seats[seen.id]
            return True

    # ---- pause

    def pause(self, queue: str | None = None) -> None:
        with self._held():
            if queue is None:
                self._paused_all = True
            else:
                self._paused.add(queue)

    def unpause(self, queue: str | None = None) -> None:
        with self._held():
            if queue is None:
                self._paused_all = False
            else:
                self._paused.discard(queue)
            for waiter in self._waiters:
                if self._ready(waiter.queues):
                    _ring(waiter)

    def paused(self) -> Paused:
        with self._held():
            return Paused(self._paused_all, frozenset(self._paused))

    # ---- failures

    def failures(self, start: int, count: int, *, queue: str | None = None) -> Sequence[StoredFailure]:
        with self._held():
            entries = self._failures.get(queue, [])[start : start + count]
            return [StoredFailure(start + place, entry, queue) for place, entry in enumerate(entries)]

    def failure_count(self, *, queue: str | None = None) -> int:
        with self._held():
            return len(self._failures.get(queue, ()))

    def failed_queues(self) -> Sequence[str]:
        with self._held():
            return sorted((queue for queue in self._failures if queue is not None), key=_bytewise)

    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        with self._held():
            entries = self._failures.get(failure.queue, [])
            place = _nearest(entries, failure)
            if place is None:
                retried = failure.entry[:-1] + b',"retried_at":'
                return Requeued.ALREADY if any(e.startswith(retried) for e in entries) else Requeued.GONE
            self.push(queue, [body])
            entries[place] = replacement
            return Requeued.DONE

    def remove_failure(self, failure: StoredFailure) -> bool:
        with self._held():
            entries = self._failures.get(failure.queue, [])
            place = _nearest(entries, failure)
            if place is None:
                return False
            del entries[place]
            return True

    def add_failure(self, entry: bytes, *, queue: str | None = None) -> None:
        with self._held():
            self._append_failure(queue, entry)

    def clear_failures(self, *, queue: str | None = None) -> int:
        with self._held():
            entries = self._failures.get(queue, [])
            count = len(entries)
            entries.clear()
            return count

    # ---- delayed jobs

    def schedule(self, at: float, queue: str, bodies: Sequence[bytes]) -> None:
        with self._held():
            if not bodies:
                return
            if at not in self._delayed:
                bisect.insort(self._times, at)
                self._delayed[at] = []
            self._delayed[at] += [(queue, body) for body in bodies]
            self._wake_schedulers()

    def claim_schedule(self, scheduler: str, seconds: float) -> str:
        with self._held():
            now = time.monotonic()
            holder, until = self._scheduler
            if until <= now or holder == scheduler:
                holder = scheduler
                self._scheduler = (holder, now + seconds)
            return holder

    def give_up_schedule(self, scheduler: str) -> None:
        with self._held():
            if self._scheduler[0] == scheduler:
                self._scheduler = ("", 0.0)

    def _master(self) -> str:
        holder, until = self._scheduler
        return holder if until > time.monotonic() else ""

    def promote_due(self, scheduler: str, now: float, limit: int) -> Promoted:
        with self._held():
            holder = self._master()
            if holder != scheduler:
                return Promoted(0, holder)
            moved = 0
            while moved < limit and self._times and self._times[0] <= now:
                waiting = self._delayed[self._times[0]]
                due = waiting[: limit - moved]
                del waiting[: len(due)]
                for queue, body in due:
                    self.push(queue, [body])
                moved += len(due)
                self._drop_if_empty(self._times[0])
            return Promoted(moved, holder, more=bool(self._times) and self._times[0] <= now)

    def next_due(self) -> float | None:
        with self._held():
            return self._times[0] if self._times else None

    def wait_due(self, known: float | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        with self._held():
            changed, self._schedules_changed = self._schedules_changed, False
            if changed or self.next_due() != known:
                return True
            ear, waiter = self._listen(None, due=True)
        return self._rung(ear, waiter, timeout, interrupts)

    def scheduled(self, since: float, skip: int, count: int) -> Sequence[ScheduledJob]:
        with self._held():
            found: list[ScheduledJob] = []
            for at in self._times[bisect.bisect_left(self._times, since) :]:
                waiting = self._delayed[at][skip if at == since else 0 :]
                found += [ScheduledJob(at, queue, body) for queue, body in waiting[: count - len(found)]]
                if len(found) >= count:
                    break
            return found

    def scheduled_times(self, since: float, count: int) -> Sequence[tuple[float, int]]:
        with self._held():
            first = bisect.bisect_left(self._times, since)
            return [(at, len(self._delayed[at])) for at in self._times[first : first + count]]

    def scheduled_time_count(self, most: int | None = None) -> int:
        with self._held():
            return len(self._times)

    def scheduled_at(self, queue: str, body: bytes) -> Sequence[float]:
        with self._held():
            return [at for at in self._times if (queue, body) in self._delayed[at]]

    def unschedule(self, queue: str, body: bytes, *, at: float | None = None) -> int:
        with self._held():
            removed = 0
            for time_ in self.scheduled_at(queue, body) if at is None else [at]:
                waiting = self._delayed.get(time_, [])
                kept = [one for one in waiting if one != (queue, body)]
                removed += len(waiting) - len(kept)
                waiting[:] = kept
                self._drop_if_empty(time_)
            return removed

    def promote(self, job: ScheduledJob, *, queue: str | None = None) -> bool:
        with self._held():
            if not self._take_away(job):
                return False
            self.push(job.queue if queue is None else queue, [job.body])
            return True

    def bury(self, job: ScheduledJob, entry: bytes) -> bool:
        with self._held():
            if not self._take_away(job):
                return False
            self._append_failure(None, entry)
            return True

    def withdraw(self, job: ScheduledJob) -> bool:
        with self._held():
            return self._take_away(job)

    def promote_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        with self._held():
            taken = self._take_many(jobs)
            for job, gone in zip(jobs, taken, strict=True):
                if gone:
                    self.push(job.queue, [job.body])
            return taken

    def withdraw_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        with self._held():
            return self._take_many(jobs)

    def clear_scheduled(self) -> int:
        with self._held():
            count = sum(map(len, self._delayed.values()))
            self._times.clear()
            self._delayed.clear()
            return count

    def drain_scheduled(self, count: int) -> Sequence[ScheduledJob]:
        with self._held():
            found = self.scheduled(0.0, 0, count)
            self._take_many(found)
            return found

    def _take_away(self, job: ScheduledJob) -> bool:
        waiting = self._delayed.get(job.at, [])
        if (job.queue, job.body) not in waiting:
            return False
        waiting.remove((job.queue, job.body))
        self._drop_if_empty(job.at)
        return True

    def _take_many(self, jobs: Sequence[ScheduledJob]) -> list[bool]:
        taken = [False] * len(jobs)
        wanted: dict[float, dict[tuple[str, bytes], deque[int]]] = {}
        for place, job in enumerate(jobs):
            wanted.setdefault(job.at, {}).setdefault((job.queue, job.body), deque()).append(place)
        for at, places in wanted.items():
            if at not in self._delayed:  # its last one is gone since they were listed
                continue
            kept = []
            for one in self._delayed[at]:
                if places.get(one):
                    taken[places[one].popleft()] = True
                else:
                    kept.append(one)
            self._delayed[at] = kept
            self._drop_if_empty(at)
        return taken

    def _drop_if_empty(self, at: float) -> None:
        if at in self._delayed and not self._delayed[at]:
            del self._delayed[at]
            self._times.remove(at)

    def _wake_schedulers(self) -> None:
        for waiter in self._waiters:
            if waiter.due:
                _ring(waiter)

    # ---- recurring jobs

    def fire(self, scheduler: str, name: str, tick: float, queue: str, bodies: Sequence[bytes]) -> bool:
        with self._held():
            if self._master() != scheduler or self._fired.get(name, -1.0) >= tick:
                return False
            self._fired[name] = tick
            if bodies:
                self.push(queue, bodies)
            return True

    def last_fired(self, names: Sequence[str]) -> Mapping[str, float]:
        with self._held():
            return {name: self._fired[name] for name in names if name in self._fired}

    def schedules(self) -> Mapping[str, bytes]:
        with self._held():
            self._schedules_changed = False
            return dict(self._schedules)

    def put_schedule(self, name: str, body: bytes | None) -> bool:
        with self._held():
            there = name in self._schedules
            if body is None:
                self._schedules.pop(name, None)
            else:
                self._schedules[name] = body
            self._schedules_changed = True
            self._wake_schedulers()
            return there

    # ---- keys

    def get_key(self, key: str) -> bytes | None:
        with self._held():
            kept = self._key(key)
            return None if kept is None else kept.value

    def put_key(self, key: str, value: bytes, seconds: float) -> None:
        with self._held():
            self._set_key(key, value, seconds)

    def take_key(self, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        with self._held():
            there = [self._key(key) for key in keys]
            for key, kept in zip(keys, there, strict=True):
                if kept is None:
                    self._set_key(key, value, seconds)
                    return Taken(key, value)
            taken = [kept for kept in there if kept is not None]
            first = min(taken, key=lambda kept: kept.until)
            return Taken(None, taken[0].value, max(first.until - time.monotonic(), 0.0))

    def swap_key(self, key: str, old: bytes, new: bytes | None, seconds: float = 0.0) -> bool:
        with self._held():
            kept = self._key(key)
            if kept is None or kept.value != old:
                return False
            if new is None:
                del self._keys[key]
                self._key_changed.notify_all()
            else:
                self._set_key(key, new, seconds)
            return True

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        with self._held():
            kept = self._key(key)
            count = amount + (0 if kept is None else int(kept.value))
            until = time.monotonic() + seconds if kept is None else kept.until
            self._keys[key] = _Kept(b"%d" % count, until)
            self._key_changed.notify_all()
            return count

    def await_key(self, key: str, seen: bytes | None, timeout: float) -> bytes | None:
        ends = time.monotonic() + timeout
        with self._held():
            closed = self._closed
            while True:
                kept = self._key(key)
                value = None if kept is None else kept.value
                left = ends - time.monotonic()
                if value != seen or left <= 0 or self._closed > closed:
                    return value
                # It may change by expiring, which wakes nobody.
                self._key_changed.wait(left if kept is None else min(left, kept.until - time.monotonic()))

    def _key(self, key: str) -> _Kept | None:
        kept = self._keys.get(key)
        if kept is not None and kept.until <= time.monotonic():
            del self._keys[key]
            return None
        return kept

    def _set_key(self, key: str, value: bytes, seconds: float) -> None:
        now = time.monotonic()
        if len(self._keys) > 1000 and any(kept.until <= now for kept in self._keys.values()):
            self._keys = {name: kept for name, kept in self._keys.items() if kept.until > now}
        self._keys[key] = _Kept(value, now + seconds)
        self._key_changed.notify_all()

    # ---- statistics

    def stats(self) -> Stats:
        with self._held():
            return Stats(self._processed, self._failed)

    def add_sample(self, series: str, sample: bytes, *, keep: int) -> None:
        with self._held():
            self._samples[series] = [*self._samples.get(series, ()), sample][-keep:]

    def samples(self, series: str, count: int) -> Sequence[bytes]:
        with self._held():
            kept = self._samples.get(series, [])
            return kept[max(len(kept) - count, 0) :]

    # ---- what the methods above are made of; the lock is held

    def _seat(self, worker: str, process_token: str) -> _Seat | None:
        seat = self._seats.get(worker)
        return seat if seat is not None and seat.registration.process_token == process_token else None

    def _settle(self, worker: str, token: Token, change: Callable[[_Seat], bool]) -> bool:
        """Make a change under the rules of tokens: the same again is answered again, a late one changes nothing."""
        with self._held():
            seat = self._seat(worker, token.process)
            if seat is None:
                return False
            if token == seat.last and isinstance(seat.answer, bool):
                return seat.answer
            if token.number <= seat.last.number:
                return False
            seat.last = token
            seat.answer = change(seat)
            return seat.answer

    def _begin(self, seat: _Seat, job: Reservation) -> bool:
        """Make a held job the one in hand; those before it ended well. False where it is not held."""
        fences = [held.fence for held in seat.held()]
        if job.fence not in fences:
            return False
        for _ in range(fences.index(job.fence)):
            self._forget_first(seat)
            self._count(seat, failed=False)
        if seat.in_hand is None:
            seat.in_hand = replace(seat.ahead.popleft(), started=True)
        return True

    def _finish(self, seat: _Seat, job: Reservation) -> bool:
        if not self._begin(seat, job):
            return False
        seat.in_hand = None
        self._count(seat, failed=False)
        return True

    def _put_back(self, job: Reservation, again: Again) -> None:
        body = job.body if again.body is None else again.body
        if again.at is None:
            self.push(job.queue, [body], front=again.front)
        else:
            self.schedule(again.at, job.queue, [body])

    def _forget_first(self, seat: _Seat) -> None:
        if seat.in_hand is not None:
            seat.in_hand = None
        else:
            seat.ahead.popleft()

    def _count(self, seat: _Seat, *, failed: bool) -> None:
        seat.processed += 1
        self._processed += 1
        if failed:
            seat.failed += 1
            self._failed += 1

    def _append_failure(self, queue: str | None, entry: bytes) -> None:
        entries = self._failures.setdefault(queue, [])
        entries.append(entry)
        if self._failed_max is not None and len(entries) > self._failed_max:
            del entries[: len(entries) - self._failed_max]

    def _open(self, queue: str) -> bool:
        return not self._paused_all and queue not in self._paused

    def _ready(self, wanted: frozenset[str] | None) -> bool:
        names = self._queues if wanted is None else wanted
        return any(self._queues.get(queue) and self._open(queue) for queue in names)

    def _wake(self, queue: str) -> None:
        if self._open(queue):
            for waiter in self._waiters:
                if waiter.queues is None or queue in waiter.queues:
                    _ring(waiter)


def _ring(waiter: _Waiter) -> None:
    try:
        os.write(waiter.bell, b"!")
    except BlockingIOError:  # full of rings it has not heard yet
        pass


def _info(seat: _Seat) -> WorkerInfo:
    return WorkerInfo(
        id=seat.registration.worker,
        registered=True,
        heartbeat=seat.heartbeat,
        started=seat.started,
        job=seat.in_hand,
        ahead=tuple(seat.ahead),
        processed=seat.processed,
        failed=seat.failed,
        registration=seat.registration,
        raw=seat.state(),
    )


def _nearest(entries: Sequence[bytes], failure: StoredFailure) -> int | None:
    """The position of an equal entry, the nearest to where it was seen."""
    places = (place for place, entry in enumerate(entries) if entry == failure.entry)
    return min(places, key=lambda place: abs(place - failure.position), default=None)


def open_broker(source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> MemoryBroker:
    """A new, empty store for `memory://`. Two of them share nothing; pass the broker itself to share it.

    Args:
        source: `memory://` and nothing behind it.
        namespace: has no meaning here, for nobody else sees the store.
        failed_max: how many entries a failed list keeps.

    Raises:
        ConfigurationError: something stands behind `memory://`.
    """
    if source not in {"memory://", "memory:"}:
        problem = Problem("broker", "broker", f'"{source}" names a store in memory; write memory:// and nothing more.')
        raise ConfigurationError([problem])
    return MemoryBroker(failed_max=failed_max)


def _bytewise(name: str) -> bytes:
    # Names that are no UTF-8 elsewhere are surrogate escapes here.
    return name.encode("utf-8", "surrogateescape")
