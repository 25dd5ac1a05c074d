"""The hook `unique`: takes the lock where a job is enqueued, lets it go where the job begins, or when it is settled.

What is needed for that travels in the payload, so that any worker with this hook can do it, whatever it knows of the
job; and whoever finds a dead worker's job does it in the dead one's place.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from taskq.broker import Broker, Capability
from taskq.envelope import job_of
from taskq.errors import BrokerError, BrokerUnavailable, EnqueueError
from taskq.failure_handler import Retry
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, PerformContext, Settled, Vetoed
from taskq.parts import Parts
from taskq.signature import apart
from taskq_unique.lock import EXTRA, Lock, place_of
from taskq_unique.option import AlreadyEnqueued, Unique

__all__ = ["UniqueHook"]


@dataclass(frozen=True)
class _Options:
    unique: Unique | None = None


class UniqueHook(Hook):
    """Declares the option `unique`. It stands within `limit`, which has jobs postponed that must stay locked."""

    name = "unique"
    after = ("limit",)
    options = _Options
    needs = frozenset({Capability.KEYS})

    def __init__(self) -> None:
        """Of no application yet."""
        self.parts: Parts | None = None
        # By the fence of a job that is about to go back: what gives back the lock that was taken for that.
        self._taken: dict[str, Callable[[], None]] = {}

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        bound._taken = {}  # noqa: SLF001 - it is one of us
        return bound

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        said = request.options.get("unique")
        if not isinstance(said, Unique):
            return call_next(request)
        broker = self._broker
        lock = Lock.new(request.job, _key(said, request), said.until, said.expires)
        later = 0.0 if request.at is None else max(request.at - broker.now(), 0.0)
        connection = request.connection
        try:
            there = lock.take(broker, later, connection)
        except BrokerUnavailable as error:
            error.sent = "no"  # the lock may have been taken, and expires; the job was not enqueued
            raise
        if there is not None:
            return self._duplicate(request, said, *there)
        try:
            answer = call_next(dataclasses.replace(request, extra={**request.extra, EXTRA: lock.extra}))
        except BrokerUnavailable as error:
            if error.sent == "no":
                _quietly(lock.give_back, broker, connection)
            raise  # else it may be there, with its lock
        except BaseException:
            _quietly(lock.give_back, broker, connection)
            raise
        if isinstance(answer, Vetoed):
            lock.give_back(broker, connection)
        elif isinstance(answer, Accepted) and said.on_duplicate == "existing":
            _quietly(lock.note_place, broker, answer, connection)
        return answer

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        lock = Lock.of(context.payload)
        if lock is None:
            return call_next(context)
        if lock.until == "started":
            lock.release(self._broker)
        else:
            lock.extend(self._broker)
        try:
            return call_next(context)
        finally:
            if not context.reservation.fence:  # within enqueue: nobody settles it
                _quietly(lock.release, self._broker)

    def settling(self, settling: Settled) -> None:
        # Before it waits again: taken afterwards, it might be taken for a job that was performed, and ended, meanwhile.
        held = settling.reservation
        lock = Lock.in_body(held.body)
        if lock is not None:
            decision = settling.decision if isinstance(settling.decision, Retry) else Retry()
            body = held.body if decision.body is None else decision.body
            give_back = self._take_again(lock, Accepted(job_of(body) or "", held.queue, body, decision.at))
            if give_back is not None:
                self._taken[held.fence] = give_back

    def settled(self, settled: Settled) -> None:
        held = settled.reservation
        give_back = self._taken.pop(held.fence, None)
        if settled.outcome in {"done", "failed", "discarded"}:
            lock = Lock.in_body(held.body)
            if lock is not None:
                lock.release(self._broker)
        elif settled.outcome == "refused" and give_back is not None:
            give_back()  # somebody else settled it, whose the lock is now, or who released it

    def requeueing(self, queue: str, body: bytes) -> Callable[[], None] | None:
        lock = Lock.in_body(body)
        return None if lock is None else self._take_again(lock, Accepted(job_of(body) or "", queue, body))

    def _take_again(self, lock: Lock, waits: Accepted) -> Callable[[], None] | None:
        later = 0.0 if waits.at is None else max(waits.at - self._broker.now(), 0.0)
        return lock.take_again(self._broker, later, waits)

    def cancelled(self, queue: str, body: bytes) -> None:
        lock = Lock.in_body(body)
        if lock is not None:
            lock.release(self._broker)

    def _duplicate(self, request: EnqueueRequest, said: Unique, value: bytes, left: float) -> Vetoed:
        if said.on_duplicate == "error":
            raise AlreadyEnqueued(request.job, left)
        waits = "waits" if said.until == "started" else "waits or runs"
        reason = f"one of the same key {waits} already; its lock expires in {left:.0f} s at the latest"
        instead = place_of(value) if said.on_duplicate == "existing" else None
        return Vetoed(request.job, self.name, reason, instead)

    @property
    def _broker(self) -> Broker:
        assert self.parts is not None, "the hook was not bound to an application"
        return self.parts.broker


def _key(said: Unique, request: EnqueueRequest) -> object:
    if said.key is None:
        return list(request.args)
    args, kwargs = apart(request.args)
    return said.key(*args, **kwargs)


def _quietly(call: Callable[..., None], *args: object) -> None:
    """What does not succeed is made up for by the lock's end."""
    try:
        call(*args)
    except (BrokerError, EnqueueError):  # an application's own connection may be of no use any more
        pass
