"""What a worker does while the broker is away: it asks again. It says so once when it goes and once when it is back."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from taskq import events
from taskq.errors import BrokerInTrouble, BrokerUnavailable

__all__ = ["GaveUp", "Outage"]

T = TypeVar("T")

# From 50 ms, so that a cut connection costs next to nothing, to half a second, so that all are back within a second
# of the broker's return; random, so that a fleet does not come back as one.
_FIRST: Final = 0.05
_MOST: Final = 0.5


class GaveUp(Exception):
    """The worker was told to end while the broker was away; what it had to say stays unsaid."""


class Outage:
    """The state of the connection, as one worker sees it.

    Attributes:
        since: when the broker went away, by the monotonic clock; None while it answers.
        steady: since when it has answered without a break; what silences all says nothing of any one worker.
    """

    def __init__(self, tell: events.Tell, *, clock: Callable[[], float] = time.monotonic) -> None:
        """The broker answers, as far as is known."""
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()  # a heart beats in a thread of its own
        self.since: float | None = None
        self.steady = clock()

    def lost(self, error: BrokerUnavailable, *, in_hand: bool = False) -> None:
        """Note that it did not answer."""
        with self._lock:
            news = self.since is None
            if news:
                self.since = self._clock()
        if news:
            trouble = isinstance(error, BrokerInTrouble)
            self._tell(events.BrokerLost(error.reason, in_hand=in_hand, trouble=trouble))

    def answered(self) -> None:
        """Note that it answered."""
        with self._lock:
            since, self.since = self.since, None
            if since is not None:
                self.steady = self._clock()
        if since is not None:
            self._tell(events.BrokerBack(self.steady - since))

    def steady_since(self) -> float:
        """Since when it has answered; now, where it was away when last heard of.

        Several threads share one outage: the one that looks for the dead may be the first to be answered again.
        """
        return self.steady if self.since is None else self._clock()

    def persist(
        self, call: Callable[[], T], *, rest: Callable[[float], None], give_up: Callable[[], bool], in_hand: bool
    ) -> T:
        """Ask until it is answered. The call must be safe to repeat: the same token, or a mere look.

        Args:
            call: what is asked.
            rest: waits so many seconds, hearing what the worker is told meanwhile.
            give_up: whether the worker has been told to end and may wait no longer.
            in_hand: whether a job is in hand, for the log.

        Raises:
            GaveUp: `give_up` said so.
        """
        pause = _FIRST
        while True:
            try:
                answer = call()
            except BrokerUnavailable as error:
                self.lost(error, in_hand=in_hand)
                if give_up():
                    raise GaveUp from error
                rest(random.uniform(0.5, 1.0) * pause)
                pause = min(pause * 2, _MOST)
            else:
                if self.since is not None:
                    self.answered()
                return answer
