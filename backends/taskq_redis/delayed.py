"""Delayed and recurring jobs, in resque-scheduler's own keys (WIRE.md section 9): the capability DELAY.

What Ruby's scheduler writes is read, listed, removed and moved, and the other way round; whoever holds its lock moves.
Where taskq does otherwise, it is so that nothing is lost or begins too early: a time is rounded up to whole seconds; a
payload's further keys stay; what cannot be moved stays where it is; a time goes with its last job.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence

from taskq import dates
from taskq.records import Promoted, ScheduledJob
from taskq_redis import item, scripts
from taskq_redis.calls import Calls
from taskq_redis.keys import from_bytes, to_bytes
from taskq_redis.wakeup import Wakeup
from taskq_redis.wire import pack

__all__ = ["DelayedJobs"]

_SCHEDULE = scripts.load("schedule", "zset list any")
_CLAIM = scripts.load("claim_schedule", "string any")
_GIVE_UP = scripts.load("give_up_schedule", "string")
_PROMOTE_DUE = scripts.load("promote_due", "string zset set any")
_NEXT_DUE = scripts.load("next_due", "zset")
_UNSCHEDULE = scripts.load("unschedule", "zset set any")
_PROMOTE = scripts.load("promote", "list zset set list any any any")
_BURY = scripts.load("bury", "list zset list any any any")
_WITHDRAW = scripts.load("withdraw", "list zset any any")
_PROMOTE_MANY = scripts.load("promote_many", "list zset any set any")
_WITHDRAW_MANY = scripts.load("withdraw_many", "list zset any any")
_DRAIN = scripts.load("drain_scheduled", "zset any")
_FIRE = scripts.load("fire", "string hash hash set list")
_PUT_SCHEDULE = scripts.load("put_schedule", "hash set")

# What one step of moving looks at, so that Redis stands still for a few milliseconds at most: jobs, and bytes of them.
_MOST, _BYTES = 250, 100_000
_DEAD_TIMES = 1000  # times without a list that are passed over at once
_A_STEP = 200  # times, or items of one, read at once
_CLEARED = 1000  # jobs removed in one step
_TAKEN, _TAKEN_BYTES = (
    500,
    500_000,
)  # jobs of one time, and bytes of them, taken in one step, which walks all of the time
_CALM = 0.01  # seconds between two looks of one who waits, while others schedule jobs for later

_log = logging.getLogger("taskq.redis")


class DelayedJobs(Calls):
    """The part of the broker that keeps jobs until a time."""

    _due: Wakeup
    _schedules_read: dict[bytes, bytes] | None

    def _begin_delayed(self) -> None:
        self._schedules_read = None
        keys = self._keys
        self._due = Wakeup(
            self._links, keys, lambda _: False, (keys.times, keys.schedules, keys.changed_schedules)
        )  # fmt: skip

    # ---- scheduling

    def schedule(self, at: float, queue: str, bodies: Sequence[bytes]) -> None:
        if not bodies:
            return
        when = self._second(at)
        keys = [self._keys.times, self._keys.delayed(when), self._keys.scheduler_lock]
        self._run(_SCHEDULE, keys, when, self._keys.timestamps_prefix, *[item.join(queue, body) for body in bodies])

    def _second(self, at: float) -> bytes:
        """A time as it stands in keys: whole seconds, rounded up, for no job begins before its time."""
        return b"%d" % math.ceil(at)

    # ---- moving

    def claim_schedule(self, scheduler: str, seconds: float) -> str:
        self._due.rest()
        self._set_clock()  # a scheduler has no heartbeat, and lives long enough for two clocks to drift apart
        keys = [self._keys.scheduler_lock, self._keys.scratch]
        return from_bytes(self._run(_CLAIM, keys, to_bytes(scheduler), str(max(int(seconds * 1000), 1))))

    def give_up_schedule(self, scheduler: str) -> None:
        self._run(_GIVE_UP, [self._keys.scheduler_lock], to_bytes(scheduler))

    def promote_due(self, scheduler: str, now: float, limit: int) -> Promoted:
        if limit < 1:
            raise ValueError("promote_due: the limit is how many jobs may be moved, one at least")
        keys = [self._keys.scheduler_lock, self._keys.times, self._keys.queues, self._keys.scratch]
        most = str(min(limit, _MOST)), str(_BYTES)
        holder, moved, more, no_queue, no_list, *stuck = self._run(
            _PROMOTE_DUE, keys, to_bytes(scheduler), repr(now), *most, self._keys.prefix
        )
        if no_list:
            self._warn_of_wrong_type(no_list, "jobs cannot wait in it, and its time is passed over")
        if no_queue:
            self._warn_of_wrong_type(no_queue, "what is due for this queue stays where it is")
            if more and not moved and not stuck:
                self._read(b"LLEN", (no_queue, "list"))  # raises: so much stays that nothing behind it can move
        jobs = tuple(self._job(float(when), raw) for when, raw in zip(stuck[::2], stuck[1::2], strict=True))
        return Promoted(moved, from_bytes(holder), jobs, bool(more))

    def promote(self, job: ScheduledJob, *, queue: str | None = None) -> bool:
        when, raw = self._where(job)
        name = job.queue if queue is None else queue
        keys = [
            self._keys.delayed(when), self._keys.times, self._keys.queues, self._keys.queue(name), self._keys.scratch,
            self._keys.timestamps(raw), self._keys.scheduler_lock,
        ]  # fmt: skip
        return bool(self._run(_PROMOTE, keys, when, raw, to_bytes(name), job.body))

    def bury(self, job: ScheduledJob, entry: bytes) -> bool:
        when, raw = self._where(job)
        failed, _ = self._failed_list(None)
        keys = [
            self._keys.delayed(when), self._keys.times, failed, self._keys.scratch, self._keys.timestamps(raw),
            self._keys.scheduler_lock,
        ]  # fmt: skip
        done, length = self._run(_BURY, keys, when, raw, entry, self._failed_max)
        self._warn_of_length(failed, length)
        return bool(done)

    def withdraw(self, job: ScheduledJob) -> bool:
        when, raw = self._where(job)
        keys = [self._keys.delayed(when), self._keys.times, self._keys.timestamps(raw), self._keys.scheduler_lock]
        return bool(self._run(_WITHDRAW, keys, when, raw))

    def promote_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        done: list[bool] = []
        for when, of_time in self._by_time(jobs):
            queues = list(dict.fromkeys(job.queue for job, _ in of_time))
            words: list[bytes | str] = []
            for job, raw in of_time:
                words += [raw, str(6 + queues.index(job.queue)), to_bytes(job.queue), job.body]
            lock = self._keys.scheduler_lock
            keys = [*self._keys_of_time(when), self._keys.queues, lock, *map(self._keys.queue, queues)]
            done += map(bool, self._run(_PROMOTE_MANY, keys, when, self._keys.timestamps_prefix, *words))
        return done

    def withdraw_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        done: list[bool] = []
        for when, of_time in self._by_time(jobs):
            raws = [raw for _, raw in of_time]
            keys = [*self._keys_of_time(when), self._keys.scheduler_lock]
            done += map(bool, self._run(_WITHDRAW_MANY, keys, when, self._keys.timestamps_prefix, *raws))
        return done

    def _keys_of_time(self, when: bytes) -> list[bytes]:
        return [self._keys.delayed(when), self._keys.times, self._keys.scratch]

    def _by_time(self, jobs: Sequence[ScheduledJob]) -> Iterator[tuple[bytes, list[tuple[ScheduledJob, bytes]]]]:
        """Those behind one another of one time, so many as one script takes, each with its item."""
        time: bytes = b""
        found: list[tuple[ScheduledJob, bytes]] = []
        size = 0
        for job in jobs:
            when, raw = self._where(job)
            if found and (when != time or len(found) == _TAKEN or size > _TAKEN_BYTES):
                yield time, found
                found, size = [], 0
            time = when
            found.append((job, raw))
            size += len(raw)
        if found:
            yield time, found

    def _where(self, job: ScheduledJob) -> tuple[bytes, bytes]:
        return self._second(job.at), job.raw or item.join(job.queue, job.body)

    def _job(self, at: float, raw: bytes) -> ScheduledJob:
        queue, body = item.split(raw)
        return ScheduledJob(at, queue, body, raw)

    # ---- waiting

    def next_due(self) -> float | None:
        score = self._run(_NEXT_DUE, [self._keys.times], self._keys.prefix + b"delayed:", str(_DEAD_TIMES))
        return None if score is None else float(score)

    def wait_due(self, known: float | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        self._due.looking(())
        if self.next_due() != known:
            return True
        looked_at = 0.0

        def concerns(heard: Sequence[bytes | None]) -> bool:
            nonlocal looked_at
            if any(key is None or not key.startswith(self._keys.times) for key in heard):
                return True  # a schedule was changed
            if not heard:
                return False
            # Jobs for later than the next one are no concern, and may be many.
            time.sleep(max(looked_at + _CALM - time.monotonic(), 0.0))
            looked_at = time.monotonic()
            return self.next_due() != known

        def poll() -> bool:
            return self.next_due() != known or self._schedules_read not in (None, self._read_schedules())

        changed = self._due.listen(concerns, poll, timeout, interrupts)
        if changed:
            self._due.looked(True, 0)
        return changed

    # ---- listing

    def scheduled(self, since: float, skip: int, count: int) -> Sequence[ScheduledJob]:
        found: list[ScheduledJob] = []
        for when, at, length in self._each_time(since):
            first = skip if at == since else 0
            while first < length and len(found) < count:
                items = self._slice(self._keys.delayed(when), first, min(count - len(found), _A_STEP))
                found += [self._job(at, raw) for raw in items]
                first += len(items)
                if not items:
                    break
            if len(found) >= count:
                break
        return found

    def scheduled_times(self, since: float, count: int) -> Sequence[tuple[float, int]]:
        found: list[tuple[float, int]] = []
        for _, at, length in self._each_time(since):
            if len(found) >= count:
                break
            found.append((at, length))
        return found

    def scheduled_time_count(self, most: int | None = None) -> int:
        return int(self._read(b"ZCARD", (self._keys.times, "zset")))

    def _each_time(self, since: float) -> Iterator[tuple[bytes, float, int]]:
        """Each time from one on that jobs wait for, as it stands in keys, as a number, and how many there are."""
        low = repr(float(since)).encode()
        while True:
            found = self._read(
                b"ZRANGEBYSCORE", (self._keys.times, "zset"),
                low, b"+inf", b"WITHSCORES", b"LIMIT", b"0", b"%d" % _A_STEP,
            )  # fmt: skip
            times, scores = found[::2], found[1::2]
            lengths = self._links.ask_all(
                b"".join(pack(b"LLEN", self._keys.delayed(when)) for when in times), len(times), repeatable=True
            )
            for when, score, length in zip(times, scores, lengths, strict=True):
                if isinstance(length, int) and length:  # Ruby leaves times without a list
                    yield when, float(score), length
            if len(times) < _A_STEP:
                return
            low = b"(" + scores[-1]

    def scheduled_at(self, queue: str, body: bytes) -> Sequence[float]:
        key = self._keys.timestamps(item.join(queue, body))
        names = self._read(b"SMEMBERS", (key, "set"))
        return sorted(float(name[8:]) for name in names if name.startswith(b"delayed:") and name[8:].isdigit())

    # ---- removing

    def unschedule(self, queue: str, body: bytes, *, at: float | None = None) -> int:
        raw = item.join(queue, body)
        when = b"" if at is None else self._second(at)
        removed = self._unschedule(raw, when)
        if removed or at is None:
            return removed
        # Of this time, where others have written it in another form: spaces, another order of keys.
        alike: set[bytes] = set()
        first = 0
        while items := self._slice(self._keys.delayed(when), first, _A_STEP):
            alike.update(one for one in items if item.split(one) == (queue, body))
            first += _A_STEP
        return sum(self._unschedule(one, when) for one in alike)

    def _unschedule(self, raw: bytes, when: bytes) -> int:
        keys = [self._keys.times, self._keys.timestamps(raw), self._keys.scheduler_lock]
        return int(self._run(_UNSCHEDULE, keys, raw, when, self._keys.prefix))

    def clear_scheduled(self) -> int:
        removed = 0
        while here := self.drain_scheduled(_CLEARED):
            removed += len(here)
        return removed

    def drain_scheduled(self, count: int) -> Sequence[ScheduledJob]:
        found: list[ScheduledJob] = []
        more = count > 0
        while more and not found:  # for what there is may be times without jobs
            keys = [self._keys.times, self._keys.scheduler_lock]
            more, *by_time = self._run(_DRAIN, keys, str(count), self._keys.prefix)
            for when, items in zip(by_time[::2], by_time[1::2], strict=True):
                found += [self._job(float(when), raw) for raw in items]
        return found

    # ---- recurring jobs

    def fire(self, scheduler: str, name: str, tick: float, queue: str, bodies: Sequence[bytes]) -> bool:
        keys = [
            self._keys.scheduler_lock, self._keys.fired, self._keys.last_enqueued, self._keys.queues,
            self._keys.queue(queue),
        ]  # fmt: skip
        noted = dates.started(self.now())
        words = to_bytes(scheduler), to_bytes(name), repr(float(tick)), noted, to_bytes(queue)
        return bool(self._run(_FIRE, keys, *words, *bodies))

    def last_fired(self, names: Sequence[str]) -> Mapping[str, float]:
        if not names:
            return {}
        words = list(map(to_bytes, names))
        ours = self._read(b"HMGET", (self._keys.fired, "hash"), *words)
        noted = self._read(b"HMGET", (self._keys.last_enqueued, "hash"), *words)
        ticks = {name: _last_tick(*each) for name, each in zip(names, zip(ours, noted, strict=True), strict=True)}
        return {name: tick for name, tick in ticks.items() if tick is not None}

    def schedules(self) -> Mapping[str, bytes]:
        self._schedules_read = self._read_schedules()
        return {from_bytes(name): body for name, body in self._schedules_read.items()}

    def _read_schedules(self) -> dict[bytes, bytes]:
        found = self._read(b"HGETALL", (self._keys.schedules, "hash"))
        return dict(zip(found[::2], found[1::2], strict=True))

    def put_schedule(self, name: str, body: bytes | None) -> bool:
        keys = [self._keys.schedules, self._keys.changed_schedules]
        return bool(self._run(_PUT_SCHEDULE, keys, to_bytes(name), *([] if body is None else [body])))


def _last_tick(ours: bytes | None, noted: bytes | None) -> float | None:
    """The last tick of a schedule: taskq's, or where Ruby's scheduler has fired since, the time that it noted."""
    tick, _, known = (ours or b"").partition(b" ")
    rubys = dates.parse_started(from_bytes(noted)) if noted and noted != known else None
    return max([*([float(tick)] if tick else []), *([] if rubys is None else [rubys])], default=None)
