"""The queues a worker looks at now: plain names in the order to look, for a list that may hold patterns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from taskq.queue_lists import QueueList
from taskq.worker.orders import Order, strict

__all__ = ["Line"]

_FRESH: Final = 1.0  # seconds that a busy worker goes by the names it looked up


class Line:
    """Resolves a queue list. Patterns are looked up again after a reserve came back empty, and each second."""

    def __init__(
        self,
        queues: QueueList,
        known: Callable[[], Sequence[str]],
        *,
        order: Order = strict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known` asks the broker for the names of all queues; it is never called for a list without patterns."""
        self._queues = queues
        self._known = known
        self._order = order
        self._clock = clock
        self._is_dynamic = queues.is_dynamic
        self._names: tuple[str, ...] = () if self._is_dynamic else queues.expand(())
        self._weights = queues.weights(self._names)
        self._last = ""
        self._fresh_until = float("-inf")
        self._just_looked_up = False
        self.title = queues.title(())

    @property
    def at_hand(self) -> tuple[str, ...] | None:
        """The queues to look at, in order, where nobody has to be asked; None where `names` would ask the broker."""
        self._just_looked_up = False
        return None if self._is_dynamic and self._clock() >= self._fresh_until else self._in_order()

    def names(self) -> tuple[str, ...]:
        """The queues to look at, in order."""
        if self._is_dynamic and self._clock() >= self._fresh_until:
            known = self._known()
            self._names = self._queues.expand(known)
            self._weights = self._queues.weights(self._names)
            self.title = self._queues.title(known)
            self._fresh_until = self._clock() + _FRESH
            self._just_looked_up = True
        return self._in_order()

    def _in_order(self) -> tuple[str, ...]:
        return self._order(self._names, self._weights, self._last)

    def took(self, queue: str) -> None:
        """A job came from this queue."""
        self._last = queue

    def came_back_empty(self) -> bool:
        """A reserve found nothing in them. Whether looking up the names anew may find more: there may be new queues."""
        may_find_more = self._is_dynamic and not self._just_looked_up
        self._fresh_until = float("-inf")
        return may_find_more

    @property
    def to_wait_for(self) -> tuple[str, ...] | None:
        """What to wait for: these queues, or any, where a new one may match."""
        return None if self._is_dynamic else self._names
