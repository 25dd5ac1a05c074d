"""The hook `limit`: a job takes a place before it is performed, or is postponed where there is none.

Each place is a key of the broker's that expires. What it holds is the fence of the reservation, which nobody else has:
so whoever finds a job's process dead can free its place at once, and where nobody does, it frees itself. Whoever frees
a place calls the next one that waits for it; those that wait for a start are told when they may.
"""

from __future__ import annotations

import copy
import hashlib
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from taskq import postponing
from taskq.broker import Broker, Capability
from taskq.errors import BrokerError, NotNow
from taskq.failure_handler import Retry
from taskq.hook import OF_A_JOB, Hook, PerformContext, Settled
from taskq.parts import Parts
from taskq.records import Crash
from taskq.signature import apart
from taskq_limit.leases import Leases
from taskq_limit.line import Line, Waiting
from taskq_limit.option import Limit
from taskq_limit.turns import tell_turn

__all__ = ["LimitHook"]

_PLACES_LOOKED_AT: Final = 16  # by who stands in line: where there are more, one is free again soon
_MOMENT: Final = 0.2  # seconds that a worker waits for a start with the job in hand


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
        began = False
        try:
            self._take_start(broker, limit, context, fence)
            began = True
            if place is not None:
                self.leases.hold(place, fence, limit.lease)
            return call_next(context)
        finally:
            if place is not None and os.getpid() == me:  # not in a copy of this process that the job made
                self.leases.let_go(place)
                with suppress(BrokerError):  # then it expires, and who waits comes back by itself
                    if broker.swap_key(place, fence, None) and began:
                        _line(broker, limit, context).call_next()

    def settled(self, settled: Settled) -> None:
        """Free the place of a job whose process died: that said nothing any more. Who is postponed stands in line."""
        context = settled.context
        limit = None if context is None else context.options.get("limit")
        if context is None or not isinstance(limit, Limit) or limit.at_once is None:
            return
        broker = self._find_broker()
        if isinstance(settled.decision, Retry) and (settled.outcome, settled.reason) == ("postponed", _full(limit)):
            self._stand_in_line(broker, limit, context, settled.decision)
        elif isinstance(settled.cause, Crash):
            for key in _places(limit, context):
                if broker.swap_key(key, settled.reservation.fence.encode(), None):
                    _line(broker, limit, context).call_next()
                    return

    def _stand_in_line(self, broker: Broker, limit: Limit, context: PerformContext, goes_back: Retry) -> None:
        line, held = _line(broker, limit, context), context.reservation
        body = held.body if goes_back.body is None else goes_back.body
        line.join(Waiting(held.queue, body, postponing.times(context.payload)))
        # Who freed a place since this one found none may have found nobody in line.
        if any(broker.get_key(key) is None for key in _places(limit, context)[:_PLACES_LOOKED_AT]):
            line.call_next()

    def _take_place(self, broker: Broker, limit: Limit, context: PerformContext, fence: bytes) -> str | None:
        if limit.at_once is None:
            return None
        taken = broker.take_key(_places(limit, context), fence, limit.lease)
        if taken.key is None:
            raise NotNow(_back_off(limit, context), _full(limit))
        return taken.key

    def _take_start(self, broker: Broker, limit: Limit, context: PerformContext, fence: bytes) -> None:
        if limit.starts is None or limit.per is None:
            return
        for last in (False, True):
            taken = broker.take_key(_starts(limit, context), fence, limit.per)
            if taken.key is not None:
                return
            if last or taken.left > _MOMENT:
                break
            time.sleep(taken.left)  # less trouble than to go back and come again
        if postponing.times(context.payload) and taken.left <= limit.per / 2:
            wait = taken.left  # it was told its turn, and is early
        else:
            now = broker.now()
            key = f"limit:{_digest(limit, context)}:turn"
            wait = tell_turn(broker, key, now + taken.left, limit.starts, limit.per) - now
        raise NotNow(wait, f"{limit.starts} of its key started within {limit.per:g} s already")

    def _find_broker(self) -> Broker:
        assert self.parts is not None, "the hook was not bound to an application"
        return self.parts.broker


def _full(limit: Limit) -> str:
    """Why a job is postponed that stands in line then; others are postponed for other reasons, and do not."""
    return f"{limit.at_once} of its key run at once already"


def _line(broker: Broker, limit: Limit, context: PerformContext) -> Line:
    return Line(broker, f"limit:{_digest(limit, context)}:line")


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
