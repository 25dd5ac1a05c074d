"""What a worker does while the broker is away: it asks again. It says so once when it goes and once when it is back.

A broker may also answer, and not be able to do what it is asked: a key holds what it must not, it takes no writes. Then
what it answers to somebody else does not mean that it is back: that says only the answer to the one who was let down.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final, TypeVar

from taskq import events
from taskq.errors import BrokerInTrouble, BrokerUnavailable, NotRegistered

__all__ = ["GaveUp", "Outage", "last_words"]

T = TypeVar("T")

# From 50 ms, so that a cut connection costs next to nothing, to half a second, so that all are back within a second
# of the broker's return; random, so that a fleet does not come back as one.
_FIRST: Final = 0.05
_MOST: Final = 0.5
# Seconds that a call waits which does not wait for ever, where the broker answers: that seldom mends itself.
_TROUBLE: Final = 5.0


class GaveUp(Exception):
    """The worker was told to end while the broker was away; what it had to say stays unsaid.

    Attributes:
        reason: what came of the last try.
        in_hand: whether it was about a job in hand.
    """

    def __init__(self, error: BrokerUnavailable, in_hand: bool) -> None:
        trouble = isinstance(error, BrokerInTrouble)
        self.reason = error.reason if trouble else f"The broker is away ({error.reason})."
        self.in_hand = in_hand
        super().__init__(self.reason)


def last_words(gave_up: GaveUp) -> str:
    """What a worker says that ends so."""
    return f"{gave_up.reason} {_LEFT if gave_up.in_hand else 'This worker ends; it had no job in hand.'}"


_LEFT: Final = "What this worker still holds there is left to recovery."


class Outage:
    """The state of the connection, as one worker sees it.

    Attributes:
        most: the seconds that one call waits for it at most.
        since: when the broker went away, by the monotonic clock; None while it answers, and does what it is asked.
        steady: since when it has answered without a break; what silences all says nothing of any one worker.
    """

    def __init__(
        self, tell: events.Tell, *, most: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The broker answers, as far as is known.

        Args:
            tell: who is told when it goes and when it is back.
            most: the seconds that one call waits for it at most.
            clock: monotonic seconds.
        """
        self._tell = tell
        self.most = most
        self._clock = clock
        self._lock = threading.Lock()  # a heart beats in a thread of its own
        self._away = False
        # Who asked for what it cannot do, what it said to that, and whether the next job waits for it.
        self._let_down: dict[Hashable, tuple[str, bool]] = {}
        self.since: float | None = None
        self.steady = clock()

    def began(self, at: float) -> None:
        """It was away already when this began, which was said: what is answered next means that it is back."""
        with self._lock:
            self._away, self.since = True, at

    def lost(self, error: BrokerUnavailable, by: Hashable = None, *, in_hand: bool = False, held: bool = False) -> None:
        """Note that it did not answer, or could not do what it was asked.

        Args:
            error: what it came to.
            by: who asked. Only their `answered` ends the trouble that they had.
            in_hand: whether a job is in hand, for the log.
            held: whether the worker's next job waits for it, and it asks until it is answered.
        """
        trouble = isinstance(error, BrokerInTrouble)
        with self._lock:
            if trouble:
                said = self._let_down.values()
                news = (error.reason, True) not in said and (held or (error.reason, False) not in said)
                self._let_down[by] = error.reason, held
                self._away = False
            else:
                news = not self._away
                self._away = True
            if self.since is None:
                self.since = self._clock()
        if news:
            self._tell(events.BrokerLost(error.reason, in_hand=in_hand, trouble=trouble, held=held))

    def answered(self, by: Hashable = None) -> None:
        """Note that it answered, and did what these asked."""
        with self._lock:
            self._away = False
            self._let_down.pop(by, None)
            if self._let_down:
                return
            since, self.since = self.since, None
            if since is not None:
                self.steady = self._clock()
        if since is not None:
            self._tell(events.BrokerBack(self.steady - since))

    def mended(self, by: Hashable) -> None:
        """Note that these were not let down, or are not any more."""
        if by in self._let_down:
            self.answered(by)

    def steady_since(self) -> float:
        """Since when it has answered; now, where it was away when last heard of.

        Several threads share one outage: the one that looks for the dead may be the first to be answered again.
        """
        return self.steady if self.since is None else self._clock()

    def persist(
        self,
        call: Callable[[], T],
        *,
        rest: Callable[[float], None],
        give_up: Callable[[], bool],
        in_hand: bool,
        failed: BrokerUnavailable | None = None,
    ) -> T:
        """Ask until it is answered. The call must be safe to repeat: the same token, or a mere look.

        Args:
            call: what is asked.
            rest: waits so many seconds, hearing what the worker is told meanwhile.
            give_up: whether the worker has been told to end and may wait no longer.
            in_hand: whether a job is in hand, for the log.
            failed: what came of it when it was asked a first time, if it was.

        Raises:
            GaveUp: `give_up` said so.
            BrokerUnavailable: it was waited for as long as it may be.
        """
        me, began, pause = object(), self._clock(), _FIRST
        troubled: float | None = None
        if failed is not None:
            self.lost(failed, me, in_hand=in_hand, held=True)
        while True:
            try:
                answer = call()
            except BrokerUnavailable as error:
                self.lost(error, me, in_hand=in_hand, held=True)
                if give_up():
                    raise GaveUp(error, in_hand) from error
                most, since = self.most, began
                if not isinstance(error, BrokerInTrouble):
                    troubled = None
                elif most < math.inf:
                    most = min(most, _TROUBLE)
                    since = troubled = self._clock() if troubled is None else troubled
                if self._clock() - since > most:
                    left = f" {_LEFT}" if in_hand else ""
                    error.add_note(f"This worker, a burst, waits {most:g} s for it and no longer.{left}")
                    raise
                rest(random.uniform(0.5, 1.0) * pause)
                pause = min(pause * 2, _MOST)
            except NotRegistered:
                if self.since is not None:
                    self.answered(me)
                raise
            else:
                if self.since is not None:
                    self.answered(me)
                return answer
