"""Brokers that stand before a real one: with a switch that cuts it off, or picking which jobs are reserved.

What a broker is asked they hand on as it is, whatever the interface grows to; so they are made of `__getattr__`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from taskq.broker import Broker
from taskq.errors import BrokerUnavailable
from taskq.records import Reserved
from taskq.testing.clock import Clock

__all__ = ["News", "Picking", "Switched"]

T = TypeVar("T")

_ALWAYS: Final = frozenset({"close"})  # what a broker does without asking whatever is behind it
_NEWS: Final = frozenset(
    {
        "push",
        "push_within",
        "requeue_failure",
        "release",
        "fail",
        "recover",
        "schedule",
        "promote_due",
        "promote",
        "fire",
    }
)


class News:
    """Wakes who waits for something to be enqueued or settled. From any thread.

    Attributes:
        count: how often something was.
    """

    def __init__(self) -> None:
        """Nothing was, yet."""
        self._came = threading.Condition()
        self.count = 0

    def tell(self) -> None:
        """Something was enqueued or settled."""
        with self._came:
            self.count += 1
            self._came.notify_all()

    def until(self, look: Callable[[], T], enough: Callable[[T], bool], seconds: float) -> T:
        """Look, and again at each news, until it is enough or the time is over. What was seen last."""
        ends = time.monotonic() + seconds
        while True:
            seen = self.count
            found = look()
            if enough(found):
                return found
            with self._came:
                news = self._came.wait_for(lambda: self.count != seen, max(ends - time.monotonic(), 0.0))  # noqa: B023
            if not news:
                return look() if seconds > 0 else found  # what another process enqueued brings no news


class Switched:
    """A broker with a switch: `away` cuts it off. Its time is the kit's clock, and who waits hears of each push.

    Attributes:
        away: whether every call finds it away.
        deaf: whether every call reaches it, and its answer is lost.
    """

    def __init__(self, broker: Broker, clock: Clock, news: News) -> None:
        self._broker = broker
        self._clock = clock
        self._news = news
        self.away = False
        self.deaf = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if not callable(found) or name in _ALWAYS:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.away:
                raise BrokerUnavailable(self._broker.address, "the test's outage()", sent="no")
            try:
                answer = found(*args, **kwargs)
            finally:
                if name in _NEWS:
                    self._news.tell()
            if self.deaf:
                raise BrokerUnavailable(self._broker.address, "the test's outage(answers=True)", sent="unknown")
            return answer

        return call

    def reserve_ahead(self, *args: Any, **kwargs: Any) -> Callable[[], Reserved]:
        """As `Broker.reserve_ahead`: it does not raise, and its answer may be lost."""
        asked = None if self.away else self._broker.reserve_ahead(*args, **kwargs)

        def answer() -> Reserved:
            nonlocal asked
            if self.away:
                raise BrokerUnavailable(self._broker.address, "the test's outage()", sent="no")
            asked = asked or self._broker.reserve_ahead(*args, **kwargs)
            reserved = asked()
            if self.deaf:
                raise BrokerUnavailable(self._broker.address, "the test's outage(answers=True)", sent="unknown")
            return reserved

        return answer

    def now(self) -> float:
        """As `Broker.now`, by the kit's clock."""
        return self._broker.now() + self._clock.ahead


class Picking:
    """A broker of which only some jobs are reserved; the others are set aside until `put_back`."""

    def __init__(self, broker: Broker, wanted: Callable[[str, bytes], bool]) -> None:
        """Nothing was set aside yet.

        Args:
            broker: where the jobs are.
            wanted: whether a job of this queue with this body may be reserved.
        """
        self._broker = broker
        self._wanted = wanted
        self._aside: dict[str, list[bytes]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def reserve(self, worker: str, queues: Sequence[str], *args: Any, **kwargs: Any) -> Reserved:
        """As `Broker.reserve`, of the wanted jobs."""
        for queue in queues:
            self._set_aside(queue)
        return self._broker.reserve(worker, queues, *args, **kwargs)

    def reserve_ahead(self, worker: str, queues: Sequence[str], *args: Any, **kwargs: Any) -> Callable[[], Reserved]:
        """As `Broker.reserve_ahead`, of the wanted jobs."""
        for queue in queues:
            self._set_aside(queue)
        return self._broker.reserve_ahead(worker, queues, *args, **kwargs)

    def _set_aside(self, queue: str) -> None:
        waiting = self._broker.peek(queue, 0, self._broker.size(queue))
        unwanted = [body for body in waiting if not self._wanted(queue, body)]
        taken = Counter({body: self._broker.remove(queue, body) for body in dict.fromkeys(unwanted)})
        aside = self._aside.setdefault(queue, [])
        for body in unwanted:
            if taken[body] > 0:  # else another thread of the application took it back meanwhile
                taken[body] -= 1
                aside.append(body)
        aside += taken.elements()  # equal ones that came between the look and the removal

    def put_back(self) -> None:
        """Put what was set aside back, ahead of what came since."""
        while self._aside:
            queue, bodies = self._aside.popitem()
            if bodies:
                self._broker.push(queue, bodies, front=True)
