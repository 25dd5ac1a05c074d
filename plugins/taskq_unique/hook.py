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
from taskq.errors import BrokerError, BrokerUnavailable
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

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        return bound

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        said = request.options.get("unique")
        if not isinstance(said, Unique):
            return call_next(request)
        broker = self._broker
        lock = Lock.new(request.job, _key(said, request), said.until, said.expires)
        later = 0.0 if request.at is None else max(request.at - broker.now(), 0.0)
        try:
            there = lock.take(broker, later)
        except BrokerUnavailable as error:
            error.sent = "no"  # the lock may have been taken, and expires; the job was not enqueued
            raise
        if there is not None:
            return self._duplicate(request, said, *there)
        try:
            answer = call_next(dataclasses.replace(request, extra={**request.extra, EXTRA: lock.extra}))
        except BrokerUnavailable as error:
            if error.sent == "no":
                _quietly(lock.release, broker)
            raise  # else it may be there, with its lock
        except BaseException:
            _quietly(lock.release, broker)
            raise
        if isinstance(answer, Vetoed):
            lock.release(broker)
        elif isinstance(answer, Accepted) and said.on_duplicate == "existing":
            _quietly(lock.note_place, broker, answer)
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

    def settled(self, settled: Settled) -> None:
        lock = Lock.in_body(settled.reservation.body)
        if lock is None:
            return
        broker = self._broker
        if settled.outcome in {"done", "failed", "discarded"}:
            lock.release(broker)
        elif settled.outcome in {"retried", "postponed"}:
            at = settled.decision.at if isinstance(settled.decision, Retry) else None
            later = 0.0 if at is None else max(at - broker.now(), 0.0)
            if lock.until == "started":  # it waits again; where another one of its key waits by now, both do
                lock.take(broker, later)
            lock.extend(broker, later)

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
    except BrokerError:
        pass
