"""The hook `limit`: a job takes a place before it is performed, or is postponed where there is none.

Each place is a key of the broker's that expires. What it holds is the fence of the reservation, which nobody else has:
so whoever finds a job's process dead can free its place at once, and where nobody does, it frees itself.
"""

from __future__ import annotations

import copy
import hashlib
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from taskq import postponing
from taskq.broker import Broker, Capability
from taskq.errors import BrokerError, NotNow
from taskq.hook import OF_A_JOB, Hook, PerformContext, Settled
from taskq.parts import Parts
from taskq.records import Crash
from taskq.signature import apart
from taskq_limit.leases import Leases
from taskq_limit.option import Limit

__all__ = ["LimitHook"]


@dataclass(frozen=True)
class _Options:
    limit: Limit | None = field(default=None, metadata=OF_A_JOB)


class LimitHook(Hook):
    """Declares the option `limit`. A job within `enqueue` (inline) takes no place: it could not come back."""

    name = "limit"
    options = _Options
    needs = frozenset({Capability.KEYS, Capability.DELAY})

    def __init__(self) -> None:
        """Of no application yet."""
        self.parts: Parts | None = None
        self.leases = Leases(self._find_broker)

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        bound.leases = Leases(bound._find_broker)  # noqa: SLF001 - it is one of us
        return bound

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        limit = context.options.get("limit")
        if not isinstance(limit, Limit) or not context.reservation.fence:
            return call_next(context)
        me = os.getpid()
        broker, fence = self._find_broker(), context.reservation.fence.encode()
        place = self._take_place(broker, limit, context, fence)
        try:
            self._take_start(broker, limit, context, fence)
            if place is not None:
                self.leases.hold(place, fence, limit.lease)
            return call_next(context)
        finally:
            if place is not None and os.getpid() == me:  # not in a copy of this process that the job made
                self.leases.let_go(place)
                with suppress(BrokerError):  # then it expires
                    broker.swap_key(place, fence, None)

    def settled(self, settled: Settled) -> None:
        """Free the place of a job whose process died: that said nothing any more."""
        context = settled.context
        if context is None or not isinstance(settled.cause, Crash):
            return
        limit = context.options.get("limit")
        if isinstance(limit, Limit) and limit.at_once is not None:
            for key in _places(limit, context):
                if self._find_broker().swap_key(key, settled.reservation.fence.encode(), None):
                    return

    def _take_place(self, broker: Broker, limit: Limit, context: PerformContext, fence: bytes) -> str | None:
        if limit.at_once is None:
            return None
        taken = broker.take_key(_places(limit, context), fence, limit.lease)
        if taken.key is None:
            raise NotNow(_back_off(limit, context), f"{limit.at_once} of its key run at once already")
        return taken.key

    def _take_start(self, broker: Broker, limit: Limit, context: PerformContext, fence: bytes) -> None:
        if limit.starts is None or limit.per is None:
            return
        taken = broker.take_key(_starts(limit, context), fence, limit.per)
        if taken.key is None:
            # When the next place is free is known; the more wait for it, the more they are spread behind it.
            wait = taken.left + random.uniform(0.0, _back_off(limit, context))
            raise NotNow(wait, f"{limit.starts} of its key started within {limit.per:g} s already")

    def _find_broker(self) -> Broker:
        assert self.parts is not None, "the hook was not bound to an application"
        return self.parts.broker


def _places(limit: Limit, context: PerformContext) -> Sequence[str]:
    digest = _digest(limit, context)
    return [f"limit:{digest}:at_once:{number}" for number in range(limit.at_once or 0)]


def _starts(limit: Limit, context: PerformContext) -> Sequence[str]:
    digest = _digest(limit, context)
    return [f"limit:{digest}:starts:{number}" for number in range(limit.starts or 0)]


def _digest(limit: Limit, context: PerformContext) -> str:
    """Stands for the key: what is made of arguments may be long, or secret."""
    key: object = None
    if limit.key is not None:
        args, kwargs = apart(context.payload.args)
        key = limit.key(*args, **kwargs)
    name = context.payload.job if limit.name is None else limit.name
    return hashlib.sha256(f"{name}\0{key!r}".encode(errors="surrogatepass")).hexdigest()[:32]


def _back_off(limit: Limit, context: PerformContext) -> float:
    """The seconds until a job over the limit tries again, drawn so that those which came together part."""
    doubled = min(postponing.times(context.payload), 30)
    return min(limit.wait * 2.0**doubled, limit.wait_most) * random.uniform(0.5, 1.0)
