"""The broker on Redis: Resque's keys, byte for byte. A method is its keys, one call, and the answer as a record.

What must happen as one is a script of the method's name in `scripts/`. Connections are `link`'s, waiting is `wakeup`'s.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskq import dates
from taskq.broker import Capability, FailureRequeue, Requeued
from taskq.errors import BrokerInTrouble, NotRegistered
from taskq.inspection import Finding, KeyPage, KeyValue, Section
from taskq.records import (
    Again,
    Paused,
    Registration,
    Reservation,
    Reserved,
    Stats,
    StoredFailure,
    Token,
    WorkerInfo,
)
from taskq_redis import inspecting, item, record, scripts
from taskq_redis.delayed import DelayedJobs
from taskq_redis.errors import Answered
from taskq_redis.failures import Found, Pace, find
from taskq_redis.keys import Keys, from_bytes, to_bytes
from taskq_redis.link import SKIP, Links, own_connection_ids, pack_script
from taskq_redis.plain_keys import PlainKeys
from taskq_redis.urls import NAMESPACE, Address, parse
from taskq_redis.wakeup import Wakeup
from taskq_redis.wire import pack

__all__ = ["RedisBroker", "open_broker"]

_RESERVE = scripts.load("reserve", "string list string set string set any any")
_NOTE = scripts.load("note", "string list set any any")
_FINISH = scripts.load("finish", "string list string set any any")
_FAIL = scripts.load("fail", "string list string set any any any any list set set zset any")
_RELEASE = scripts.load("release", "string list string set any any set zset any")
_REGISTER = scripts.load("register", "string list string set hash set any any any any any")
_HEARTBEAT = scripts.load("heartbeat", "string set hash any")
_UNREGISTER = scripts.load("unregister", "string list string any any any any set set hash")
_RECOVER = scripts.load("recover", "string list string any any any any set set hash any any list set set zset any")
_CLAIM = scripts.load("claim_recovery", "string any")
_REMOVE_QUEUE = scripts.load("remove_queue", "any set set")
_DRAIN = scripts.load("drain", "any set set")
_ADD_SAMPLE = scripts.load("add_sample", "list")
_ADD_FAILURE = scripts.load("add_failure", "list set")
_REQUEUE_FAILURE = scripts.load("requeue_failure", "list set list")
_REQUEUE_FAILURES = scripts.load("requeue_failures", "list set")
_REMOVE_FAILURES = scripts.load("remove_failures", "list any")
_REMOVE_FAILURE = scripts.load("remove_failure", "list any")
_CLEAR_FAILURES = scripts.load("clear_failures", "list")

_CHECK = 0.5  # seconds for each step of `check`, which promises an answer within one
_AT_START = 60  # seconds, as Resque's own lock (WIRE.md section 8)
_GONE = 2.0  # seconds that a dead worker's connection may take to be read to its end
_GRACE = 1.0  # seconds instead, where we may not ask
_FENCE = 21  # bytes
_PREPARED = 256  # calls of `reserve` kept ready; a worker has few lists of queues
_WORKERS_A_STEP = 200
_LONG = 100_000  # entries of a failed list from which on a warning is due
_MARKED = 25  # entries that a step removes at least: in the middle of a million one pass takes as long as marking 100
_REQUEUED = 4  # that a step requeues at least
_TRIES = 5  # to find an entry that moves while we look


class RedisBroker(DelayedJobs, PlainKeys):
    """A namespace of one Redis. Safe in threads and after a fork, where the child makes connections of its own."""

    name = "redis"
    capabilities = frozenset(Capability) - {Capability.IN_TRANSACTION}

    def __init__(self, address: Address, *, namespace: str = NAMESPACE, failed_max: int | None = None) -> None:
        """Connects to nothing yet.

        Args:
            address: where it is.
            namespace: what all keys begin with; a colon comes between.
            failed_max: how many entries a failed list keeps, the newest; None keeps all.
        """
        self.address = address.place.address
        self.namespace = namespace
        self._place = address.place
        self._keys = Keys(namespace)
        self._links = Links(address.connect, address.place)
        self._wakeup = Wakeup(self._links, self._keys, self._any_waiting)
        self._begin_delayed()
        self._begin_plain_keys()
        self._failed_max = str(failed_max or 0).encode()
        self._name_at = b"%d" % (len(self._keys.queue_prefix) + 1)
        self._ahead_of_monotonic = None
        self._reserves: dict[tuple[str, tuple[str, ...], int], tuple[bytes, list[bytes]]] = {}
        self._notes: dict[str, bytes] = {}
        self._hidden: set[str] = set()
        self._registered: dict[str, tuple[Registration, list[int]]] = {}
        self._warned: set[bytes] = set()
        self._requeue_pace = Pace(_REQUEUED)
        self._remove_pace = Pace(_MARKED)
        _everywhere.add(weakref.ref(self, _everywhere.discard))

    # ---- the connection and the clock

    def check(self) -> None:
        connection = self._links.open(seconds=_CHECK)
        try:
            Links.once(connection, self._place, pack(b"PING"))
        finally:
            connection.disconnect()

    def now(self) -> float:
        if self._ahead_of_monotonic is None:
            self._set_clock()
            assert self._ahead_of_monotonic is not None
        return self._ahead_of_monotonic + time.monotonic()

    def close(self) -> None:
        self._wakeup.close()
        self._due.close()
        self._watch.close()
        self._links.close()

    # ---- queues

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        if not bodies:
            return
        name, key = to_bytes(queue), self._keys.queue(queue)
        command, values = (b"LPUSH", bodies[::-1]) if front else (b"RPUSH", bodies)
        # In this order and in one write (WIRE.md section 1): where it was not sent whole, no job is there.
        packed = pack(b"SADD", self._keys.queues, name) + pack(command, key, *values)
        known, pushed = self._links.ask_all(packed, 2)
        if isinstance(pushed, Answered):
            raise self._links.explained(pushed, [(key, "list")])
        if isinstance(known, Answered):
            said = str(self._links.explained(known, [(self._keys.queues, "set")])).replace(" Nothing was changed.", "")
            reason = f"{said} The jobs were pushed all the same, to a queue that no list shows."
            raise BrokerInTrouble(self.address, reason, sent="unknown")

    def size(self, queue: str) -> int:
        return int(self._read(b"LLEN", (self._keys.queue(queue), "list")))

    def sizes(self, queues: Sequence[str]) -> Mapping[str, int]:
        lengths = self._read_all([(b"LLEN", self._keys.queue(queue), "list") for queue in queues])
        return dict(zip(queues, lengths, strict=True))

    def queues(self) -> Sequence[str]:
        return [from_bytes(name) for name in sorted(self._read(b"SMEMBERS", (self._keys.queues, "set")))]

    def peek(self, queue: str, start: int, count: int) -> Sequence[bytes]:
        return self._slice(self._keys.queue(queue), start, count)

    def remove(self, queue: str, body: bytes, *, most: int | None = None) -> int:
        key = self._keys.queue(queue)
        if most is not None and most <= 0:  # LREM takes 0 for all, and less for the other end
            return 0
        try:
            return int(self._links.ask(pack(b"LREM", key, b"%d" % (most or 0), body)))
        except Answered as error:
            raise self._links.explained(error, [(key, "list")]) from None

    def remove_queue(self, queue: str) -> int:
        keys = [self._keys.queue(queue), self._keys.queues, self._keys.paused]
        return int(self._run(_REMOVE_QUEUE, keys, to_bytes(queue)))

    def drain(self, queue: str, count: int) -> Sequence[bytes]:
        keys = [self._keys.queue(queue), self._keys.queues, self._keys.paused]
        bodies: Sequence[bytes] = self._run(_DRAIN, keys, to_bytes(queue), str(max(count, 0)))
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
        names = tuple(queues)
        second = int(self.now())
        text = str(token)
        fence = b"" if settled is None else settled.fence.encode() or b"none"  # another program's has none
        packed, keys = self._pack_reserve(worker, names, limit, text, second, fence)
        if self._wakeup.armed:
            self._wakeup.looking(keys)
        # Who does one job after the other waits for this answer once a job, and an idle one has just been woken for it;
        # who takes several waits seldom. Of several threads the others want the interpreter meanwhile.
        soon = limit == 1 and threading.current_thread() is threading.main_thread()
        answer = self._links.run(_RESERVE, packed, keys=keys, soon=soon)
        if answer[0] == 1:
            return self._reserved(worker, names, text, second, answer)
        if answer[0] == 0:
            return Reserved(settled=False)
        if answer[0] == -1:
            raise NotRegistered(worker)
        return self._held(worker, text, answer[1], answer[2:])

    def reserve_ahead(self, worker: str, queues: Sequence[str], token: Token, *, limit: int) -> Callable[[], Reserved]:
        names = tuple(queues)
        second = int(self.now())
        text = str(token)
        packed, keys = self._pack_reserve(worker, names, limit, text, second, b"ahead")
        if self._wakeup.armed:
            self._wakeup.looking(keys)  # who has a job does not wait: else what its doorbell hears would heap up
        wait = self._links.begin(_RESERVE, packed, keys=keys)

        def answer() -> Reserved:
            answered = wait()
            if answered[0] == -1:
                raise NotRegistered(worker)
            if answered[0] == 2:  # asked again: what was taken then is part of what is held
                ahead = [record.read(worker, one, started=False) for one in answered[2:]]
                return Reserved(tuple(job for job in ahead if job.fence.startswith(text)))
            return Reserved(tuple(self._jobs(worker, names, text, second, answered, started=False)))

        return answer

    def _pack_reserve(
        self, worker: str, names: tuple[str, ...], limit: int, token: str, second: int, settled: bytes
    ) -> tuple[bytes, list[bytes]]:
        which = (worker, names, limit)
        head, keys = self._reserves.get(which) or self._prepare(which)
        # The one call that every job makes: packed but for its end (35 us a job are at stake).
        packed = b"%b$16\r\n%b\r\n$20\r\n%b\r\n$%d\r\n%b\r\n" % (
            head, token.encode(), dates.run_at(second).encode(), len(settled), settled,
        )  # fmt: skip
        return packed, keys

    def _prepare(self, which: tuple[str, tuple[str, ...], int]) -> tuple[bytes, list[bytes]]:
        """All of a reserve's bytes that are the same each time, and its keys."""
        worker, names, limit = which
        keys = self._keys
        all_keys = [
            keys.worker(worker), keys.ahead(worker), keys.token(worker), self._members(worker), keys.pause_all,
            keys.paused, keys.stat_processed, keys.worker_processed(worker), *[keys.queue(name) for name in names],
        ]  # fmt: skip
        args = [to_bytes(worker), b"%d" % limit, self._name_at, *[record.beginning(name) for name in names]]
        packed = pack_script(_RESERVE, all_keys, args)
        words = 3 + len(all_keys) + len(args)
        whole = b"*%d\r\n" % (words + 3) + packed[packed.index(b"\r\n") + 2 :]
        if len(self._reserves) >= _PREPARED:
            self._reserves.clear()
        self._reserves[which] = whole, all_keys
        return whole, all_keys

    def _reserved(self, worker: str, names: tuple[str, ...], token: str, second: int, answer: list[Any]) -> Reserved:
        if len(answer) == 3 and answer[1] > 0:  # one job, as nearly always
            if self._wakeup.armed:
                self._wakeup.looked(True, 0)
            return Reserved((Reservation(worker, names[answer[1] - 1], answer[2], token + ":0001", float(second)),))
        jobs = self._jobs(worker, names, token, second, answer)
        if self._wakeup.armed:
            self._wakeup.looked(bool(jobs), 0 if jobs else answer[-1])
        return Reserved(tuple(jobs))

    def _jobs(
        self,
        worker: str,
        names: tuple[str, ...],
        token: str,
        second: int,
        answer: Sequence[Any],
        *,
        started: bool = True,
    ) -> list[Reservation]:
        """What was taken; whether the first of them counts as started."""
        jobs: list[Reservation] = []
        for place in range(1, len(answer) - 1, 2):
            number, body = answer[place], answer[place + 1]
            if number < 0:
                self._warn_of_wrong_type(self._keys.queue(names[-number - 1]), "this queue is passed over")
            else:
                fence = f"{token}:{len(jobs) + 1:04d}"
                begun = started and not jobs
                jobs.append(Reservation(worker, names[number - 1], body, fence, float(second), started=begun))
        return jobs

    def _held(self, worker: str, token: str, in_hand: bytes | None, ahead: Sequence[bytes]) -> Reserved:
        jobs = [record.read(worker, one, started=False) for one in ahead]
        if in_hand:
            jobs.insert(0, record.read(worker, in_hand))
        # What this very call took is not what was held before it: its answer was lost, and is given again.
        return Reserved(tuple(jobs), held=not jobs[0].fence.startswith(token))

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        return self._wakeup.wait(queues, timeout, interrupts)

    def _any_waiting(self, queues: Sequence[str] | None) -> bool:
        return any(self.sizes(self.queues() if queues is None else queues).values())

    # ---- settling

    def note(self, reservation: Reservation) -> None:
        worker = reservation.worker
        prepared = self._notes.get(worker)
        if prepared is None:
            keys = [
                self._keys.worker(worker), self._keys.ahead(worker), self._members(worker), self._keys.stat_processed,
                self._keys.worker_processed(worker),
            ]  # fmt: skip
            packed = pack_script(_NOTE, keys, [to_bytes(worker), b"-" * _FENCE])
            if len(self._notes) >= _PREPARED:
                self._notes.clear()
            prepared = self._notes[worker] = SKIP + packed[: -_FENCE - 2]
        self._links.tell(_NOTE, b"%b%b\r\n" % (prepared, reservation.fence.encode()))

    def finish(self, reservation: Reservation, token: Token) -> bool:
        worker = reservation.worker
        keys = [
            self._keys.worker(worker), self._keys.ahead(worker), self._keys.token(worker), self._members(worker),
            self._keys.stat_processed, self._keys.worker_processed(worker),
        ]  # fmt: skip
        return bool(self._run(_FINISH, keys, to_bytes(worker), str(token), reservation.fence))

    def _members(self, worker: str) -> bytes:
        """The set that says whether a worker is registered: Resque's, or taskq's own for one that nobody else sees."""
        return self._keys.holders if worker in self._hidden else self._keys.workers

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
        worker = reservations[0].worker
        lists, places = self._places([(job, Again(body, front, at)) for job in reservations])
        begun = "1" if reservations[0].started else "0"
        fences = [job.fence for job in reservations]
        keys = [
            self._keys.worker(worker), self._keys.ahead(worker), self._keys.token(worker), self._members(worker),
            self._keys.stat_processed, self._keys.worker_processed(worker), *lists,
        ]  # fmt: skip
        return bool(self._run(_RELEASE, keys, to_bytes(worker), str(token), begun, str(len(fences)), *fences, *places))

    def fail(
        self,
        reservation: Reservation,
        token: Token,
        entry: bytes,
        *,
        by_queue: bool = False,
        again: Again | None = None,
    ) -> bool:
        worker = reservation.worker
        lists, places = self._places([] if again is None else [(reservation, again)])
        list_key, list_name = self._failed_list(reservation.queue if by_queue else None)
        keys = [
            self._keys.worker(worker), self._keys.ahead(worker), self._keys.token(worker), self._members(worker),
            self._keys.stat_processed, self._keys.worker_processed(worker), self._keys.stat_failed,
            self._keys.worker_failed(worker), list_key, self._keys.failed_queues, *lists,
        ]  # fmt: skip
        settled, length = self._run(
            _FAIL, keys, to_bytes(worker), str(token), reservation.fence, entry, self._failed_max, list_name, *places
        )
        self._warn_of_length(list_key, length)
        return bool(settled)

    def _places(self, jobs: Sequence[tuple[Reservation, Again]]) -> tuple[list[bytes], list[bytes]]:
        """Where jobs go back to: the keys and words at the end of a call of a script that includes `put_back`."""
        lists: list[bytes] = []
        words = [self._name_at, self._keys.timestamps_prefix, self._keys.scheduler_lock]
        for job, again in jobs:
            body = job.body if again.body is None else again.body
            if again.at is None:
                key, where = self._keys.queue(job.queue), b"front" if again.front else b"back"
            else:
                where = self._second(again.at)
                key, body = self._keys.delayed(where), item.join(job.queue, body)
            if key not in lists:
                lists.append(key)
            words += [b"%d" % (lists.index(key) + 1), where, body]
        return [self._keys.queues, self._keys.times, self._keys.scratch, *lists], words

    # ---- workers

    def register(self, registration: Registration) -> bool:
        worker = registration.worker
        clients = self._links.identified()
        self._set_clock()
        now = self.now()
        if registration.hidden:
            self._hidden.add(worker)
        keys = [
            self._keys.worker(worker), self._keys.ahead(worker), self._keys.token(worker), self._members(worker),
            self._keys.heartbeats, self._keys.holders, self._keys.registration(worker), self._keys.started(worker),
            self._keys.worker_processed(worker), self._keys.worker_failed(worker), self._keys.scratch,
        ]  # fmt: skip
        taken = self._run(
            _REGISTER, keys, to_bytes(worker), registration.process_token,
            record.dump_registration(registration, clients), dates.started(now), dates.heartbeat(now),
        )  # fmt: skip
        if taken:
            self._registered[worker] = registration, clients
        return bool(taken)

    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        registration, clients = self._registered.get(worker, (None, []))
        if registration:
            self._links.identified()  # first: in a child that begins with none, each connection is identified at once
        self._set_clock()
        self._wakeup.rest()
        now_clients = self._links.identified() if registration else []
        news = b""
        mine = registration is not None and registration.process_token == process_token
        if speaks and registration is not None and mine and now_clients != clients:
            news = record.dump_registration(registration, now_clients)
        keys = [
            self._keys.token(worker), self._members(worker), self._keys.heartbeats, self._keys.registration(worker)
        ]  # fmt: skip
        beaten = self._run(_HEARTBEAT, keys, to_bytes(worker), process_token, dates.heartbeat(self.now()), news)
        if beaten and news and registration is not None:
            self._registered[worker] = registration, now_clients
        return bool(beaten)

    def hear_out(self, worker: str) -> None:
        said = self._read(b"GET", (self._keys.registration(worker), "string"))
        self._wait_until_gone(record.read_clients(said), None)

    def unregister(self, worker: str, process_token: str) -> bool:
        keys = [*self._own_keys(worker), self._members(worker), self._keys.holders, self._keys.heartbeats]
        gone = bool(self._run(_UNREGISTER, keys, to_bytes(worker), process_token))
        if gone:
            self._registered.pop(worker, None)
            self._hidden.discard(worker)
        return gone

    def _own_keys(self, worker: str) -> list[bytes]:
        """All keys that are about one worker alone."""
        keys = self._keys
        return [
            keys.worker(worker), keys.ahead(worker), keys.token(worker), keys.registration(worker),
            keys.started(worker), keys.worker_processed(worker), keys.worker_failed(worker),
        ]  # fmt: skip

    def workers(self) -> Sequence[WorkerInfo]:
        members, holders, beats = self._read_all([
            (b"SMEMBERS", self._keys.workers, "set"),
            (b"SMEMBERS", self._keys.holders, "set"),
            (b"HGETALL", self._keys.heartbeats, "hash"),
        ])  # fmt: skip
        members, holders = set(members), set(holders)
        heartbeats = dict(zip(beats[::2], beats[1::2], strict=True))
        ids = sorted({*members, *holders, *heartbeats})
        infos: list[WorkerInfo] = []
        for start in range(0, len(ids), _WORKERS_A_STEP):
            step = ids[start : start + _WORKERS_A_STEP]
            packed = b"".join(self._about(from_bytes(one)) for one in step)
            answers = self._links.ask_all(packed, 2 * len(step), repeatable=True)
            for place, one in enumerate(step):
                about = answers[2 * place : 2 * place + 2]
                known = one in members, one in holders
                infos.append(_info(from_bytes(one), *known, heartbeats.get(one), about))
        return infos

    def worker(self, worker: str) -> WorkerInfo | None:
        name = to_bytes(worker)
        packed = self._about(worker) + b"".join([
            pack(b"SISMEMBER", self._keys.workers, name),
            pack(b"SISMEMBER", self._keys.holders, name),
            pack(b"HGET", self._keys.heartbeats, name),
        ])  # fmt: skip
        *about, member, holder, heartbeat = self._links.ask_all(packed, 5, repeatable=True)
        where = [(self._keys.workers, "set"), (self._keys.holders, "set"), (self._keys.heartbeats, "hash")]
        for answer in (member, holder, heartbeat):
            if isinstance(answer, Answered):
                raise self._links.explained(answer, where)
        info = _info(worker, bool(member), bool(holder), heartbeat, about)
        return info if member or holder or heartbeat is not None or info.job or info.ahead else None

    def _about(self, worker: str) -> bytes:
        """Reads all about one worker. Its token comes first: what changes after it is read changes the token too."""
        keys = self._keys
        return b"".join([
            pack(
                b"MGET", keys.token(worker), keys.worker(worker), keys.registration(worker), keys.started(worker),
                keys.worker_processed(worker), keys.worker_failed(worker),
            ),
            pack(b"LRANGE", keys.ahead(worker), b"0", b"-1"),
        ])  # fmt: skip

    def claim_recovery(self, worker: str, seconds: float, *, at_start: bool = False) -> bool:
        unit, how_long = ("EX", _AT_START) if at_start else ("PX", max(int(seconds * 1000), 1))
        lock = self._keys.pruning if at_start else self._keys.looking
        return bool(self._run(_CLAIM, [lock, self._keys.scratch], to_bytes(worker), unit, str(how_long)))

    def recover(
        self, seen: WorkerInfo, entry: bytes | None, *, again: Again | None = None, by_queue: bool = False
    ) -> bool:
        in_hand, heartbeat, token, registration = record.split(seen.raw)
        self._wait_until_gone(record.read_clients(registration), seen.heartbeat)
        back = [(job, Again()) for job in seen.ahead]
        if seen.job is not None and (entry is None or again is not None):
            back.insert(0, (seen.job, again or Again()))
        failed = b"" if seen.job is None or entry is None else entry
        lists, places = self._places(back)
        list_key, list_name = self._failed_list(seen.job.queue if by_queue and seen.job else None)
        keys = [
            *self._own_keys(seen.id), self._keys.workers, self._keys.holders, self._keys.heartbeats,
            self._keys.stat_processed, self._keys.stat_failed, list_key, self._keys.failed_queues, *lists,
        ]  # fmt: skip
        settled, length = self._run(
            _RECOVER, keys, to_bytes(seen.id), in_hand, heartbeat, token, failed, self._failed_max, list_name,
            *places,
        )  # fmt: skip
        self._warn_of_length(list_key, length)
        return bool(settled)

    def _wait_until_gone(self, clients: Sequence[int], heartbeat: float | None) -> None:
        """Return once Redis has read a dead worker's connections to their end, or ended them.

        What it sent last may still lie there unread; it comes before the end that is waited for. An id may be another's
        since, where Redis was restarted: whose connection is younger than the heartbeat is not the dead one's.
        """
        left = set(clients) - own_connection_ids()
        deadline = time.monotonic() + _GONE
        while left:
            age = 0.0 if heartbeat is None else self.now() - heartbeat - 2
            try:
                question = pack(b"CLIENT", b"LIST", b"ID", *[b"%d" % one for one in left])
                listed = self._links.ask(question, repeatable=True)
            except Answered:
                time.sleep(_GRACE)
                return
            left = {one for one, its_age in _clients(listed) if one in left and its_age >= age}
            if left and time.monotonic() > deadline:
                for one in left:
                    with contextlib.suppress(Answered):
                        self._links.ask(pack(b"CLIENT", b"KILL", b"ID", b"%d" % one))
                return
            if left:
                time.sleep(0.005)

    # ---- pause

    def pause(self, queue: str | None = None) -> None:
        if queue is None:
            self._write(b"SET", (self._keys.pause_all, "any"), b"true")
        else:
            self._write(b"SADD", (self._keys.paused, "set"), to_bytes(queue))

    def unpause(self, queue: str | None = None) -> None:
        if queue is None:
            self._write(b"DEL", (self._keys.pause_all, "any"))
        else:
            self._write(b"SREM", (self._keys.paused, "set"), to_bytes(queue))

    def paused(self) -> Paused:
        text, names = self._read_all([
            (b"GET", self._keys.pause_all, "string"), (b"SMEMBERS", self._keys.paused, "set")
        ])  # fmt: skip
        every = text is not None and text.strip(b"\0\t\n\v\f\r ").lower() == b"true"
        return Paused(every, frozenset(from_bytes(name) for name in names))

    # ---- failures

    def failures(self, start: int, count: int, *, queue: str | None = None) -> Sequence[StoredFailure]:
        entries = self._slice(self._keys.failed_list(queue), start, count)
        return [StoredFailure(start + place, entry, queue) for place, entry in enumerate(entries)]

    def failure_count(self, *, queue: str | None = None) -> int:
        return int(self._read(b"LLEN", (self._keys.failed_list(queue), "list")))

    def failed_queues(self) -> Sequence[str]:
        names = self._read(b"SMEMBERS", (self._keys.failed_queues, "set"))
        return [from_bytes(name[: -len(b"_failed")]) for name in sorted(names) if name.endswith(b"_failed")]

    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        keys = [self._keys.failed_list(failure.queue), self._keys.queues, self._keys.queue(queue)]
        for _ in range(_TRIES):
            found = self._find(failure)
            if found.index is None:
                return Requeued.ALREADY if found.retried else Requeued.GONE
            if self._run(_REQUEUE_FAILURE, keys, str(found.index), failure.entry, replacement, to_bytes(queue), body):
                return Requeued.DONE
        return Requeued.GONE

    def requeue_failures(self, requeues: Sequence[FailureRequeue]) -> Sequence[Requeued]:
        answers: list[Requeued] = []
        for some in self._requeue_pace.steps(requeues, lambda one: one.failure):
            names = list(dict.fromkeys(one.queue for one in some))
            keys = [
                self._keys.failed_list(some[0].failure.queue), self._keys.queues, *[self._keys.queue(n) for n in names]
            ]  # fmt: skip
            words: list[bytes | str] = []
            for one in some:
                number = str(3 + names.index(one.queue))
                place = str(one.failure.position)
                words += [place, one.failure.entry, one.replacement, number, to_bytes(one.queue), one.body]
            done = self._run(_REQUEUE_FAILURES, keys, *words)
            answers += [Requeued.DONE if at else self._requeue(one) for one, at in zip(some, done, strict=True)]
        return answers

    def _requeue(self, one: FailureRequeue) -> Requeued:
        return self.requeue_failure(one.failure, queue=one.queue, body=one.body, replacement=one.replacement)

    def remove_failures(self, failures: Sequence[StoredFailure]) -> Sequence[bool]:
        answers: list[bool] = []
        for some in self._remove_pace.steps(failures, lambda one: one):
            words: list[bytes | str] = [_removed_mark()]
            for one in some:
                words += [str(one.position), one.entry]
            done = self._run(_REMOVE_FAILURES, [self._keys.failed_list(some[0].queue), self._keys.scratch], *words)
            answers += [bool(at) or self.remove_failure(one) for one, at in zip(some, done, strict=True)]
        return answers

    def remove_failure(self, failure: StoredFailure) -> bool:
        keys = [self._keys.failed_list(failure.queue), self._keys.scratch]
        for _ in range(_TRIES):
            index = self._find(failure).index
            if index is None:
                return False
            if self._run(_REMOVE_FAILURE, keys, str(index), failure.entry, _removed_mark()):
                return True
        return False

    def _find(self, failure: StoredFailure) -> Found:
        key = self._keys.failed_list(failure.queue)
        length = self.failure_count(queue=failure.queue)
        # Where it was seen, as nearly always; from the nearer end, for a range near the newest is walked to from the
        # oldest: 1 ms of a million.
        at = failure.position if failure.position * 2 < length else failure.position - length
        if self._read(b"LINDEX", (key, "list"), b"%d" % at) == failure.entry:
            return Found(failure.position)

        def read(start: int, stop: int) -> Sequence[bytes]:
            return self._slice(key, start, stop + 1 - start)

        return find(failure, length, read)

    def add_failure(self, entry: bytes, *, queue: str | None = None) -> None:
        key, name = self._failed_list(queue)
        length = self._run(_ADD_FAILURE, [key, self._keys.failed_queues], entry, self._failed_max, name)
        self._warn_of_length(key, length)

    def clear_failures(self, *, queue: str | None = None) -> int:
        return int(self._run(_CLEAR_FAILURES, [self._keys.failed_list(queue)]))

    # ---- statistics

    def stats(self) -> Stats:
        packed = pack(b"GET", self._keys.stat_processed) + pack(b"GET", self._keys.stat_failed)
        processed, failed = self._links.ask_all(packed, 2, repeatable=True)
        return Stats(_count(processed), _count(failed))

    def add_sample(self, series: str, sample: bytes, *, keep: int) -> None:
        self._run(_ADD_SAMPLE, [self._keys.series(series)], sample, str(keep))

    def samples(self, series: str, count: int) -> Sequence[bytes]:
        return self._slice(self._keys.series(series), -count, count) if count > 0 else []

    # ---- the broker itself

    def server(self) -> Sequence[Section]:
        return inspecting.server(self._look)

    def diagnose(self) -> Sequence[Finding]:
        return inspecting.diagnose(self._look)

    def keys(self, cursor: str = "", count: int = 50) -> KeyPage:
        return inspecting.keys(self._look, self._keys.prefix, cursor, count)

    def key(self, name: str, cursor: str = "", count: int = 50) -> KeyValue | None:
        return inspecting.key(self._look, self._keys.prefix, name, cursor, count)

    def _look(self, *commands: Sequence[bytes]) -> Sequence[Any]:
        packed = b"".join(pack(*words) for words in commands)
        return self._links.ask_all(packed, len(commands), repeatable=True)

    def forked(self) -> None:
        """In a forked child: what the threads of the parent were doing is not ours. Connections are `link`'s."""
        self._wakeup.forked()
        self._due.forked()
        self._watch.forked()


def _info(worker: str, member: bool, holder: bool, heartbeat: bytes | None, about: Sequence[Any]) -> WorkerInfo:
    """What Redis knows of a worker; rubbish of other programs counts as nothing there."""
    token, in_hand, said, started, processed, failed = about[0]
    ahead = about[1] if isinstance(about[1], list) else []
    registration = record.read_registration(said)
    return WorkerInfo(
        id=worker,
        registered=member or (holder and registration is not None and registration.hidden),
        heartbeat=None if heartbeat is None else dates.parse_heartbeat(from_bytes(heartbeat)),
        started=None if started is None else dates.parse_started(from_bytes(started)),
        job=record.read(worker, in_hand) if in_hand else None,
        ahead=tuple(record.read(worker, one, started=False) for one in ahead),
        processed=_count(processed),
        failed=_count(failed),
        registration=registration,
        raw=record.join([in_hand or b"", heartbeat or b"", token or b"", said or b""]),
    )


def _removed_mark() -> bytes:
    """What stands in a failed list for an entry that is to go; no entry is like it."""
    return b"\0taskq:removed:" + os.urandom(8).hex().encode()


def _count(answer: object) -> int:
    """A counter; 0 where it is not there or no number."""
    try:
        return int(answer) if isinstance(answer, bytes) else 0
    except ValueError:
        return 0


def _clients(listed: bytes) -> list[tuple[int, float]]:
    """The id and the age in seconds of each connection of a CLIENT LIST."""
    clients: list[tuple[int, float]] = []
    for line in listed.splitlines():
        fields = dict(part.partition(b"=")[::2] for part in line.split())
        with contextlib.suppress(ValueError):
            clients.append((int(fields.get(b"id", b"")), float(fields.get(b"age", b"inf"))))
    return clients


def open_broker(source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> RedisBroker:
    """A broker for a Redis; nothing is connected to yet.

    Args:
        source: a URL (`redis://`, `rediss://`, `unix://`), one of Resque's forms (`host:port:db/namespace` and shorter,
            WIRE.md section 12), or a `redis.Redis`, which also a Sentinel's `master_for` returns.
        namespace: what all keys begin with, where the address itself does not say; `resque` where nobody does.
        failed_max: how many entries a failed list keeps, likewise; None keeps all.

    Raises:
        ConfigurationError: the address cannot be understood. It has no password in it.
    """
    address = parse(source)
    if address.namespace is not None:
        namespace = address.namespace
    return RedisBroker(
        address,
        namespace=NAMESPACE if namespace is None else namespace,
        failed_max=address.failed_max or failed_max,
    )


_everywhere: set[weakref.ref[RedisBroker]] = set()


def _forked() -> None:
    for broker in [ref() for ref in tuple(_everywhere)]:
        if broker is not None:
            broker.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
