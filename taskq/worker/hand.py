"""The jobs that a worker took ahead of their turn (`--prefetch`): how many, which comes next, when they go back.

They lie at the broker as this worker's own, in order. One that runs long must not hold up the others: so a batch is
sized to what ran lately, and where a job is overdue all the same, what has not begun goes back to the front.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from taskq.errors import BrokerRefused
from taskq.records import Reservation
from taskq.worker.seat import Ahead, Seat, Tries

__all__ = ["Hand"]

_BATCH: Final = 0.1  # seconds of work that a batch may hold, as far as can be told; and that a job may hold it up
_WORTH: Final = 4  # jobs that a batch must have for some to be asked for before its last has begun
_SOON: Final = 0.25  # of the time since they were asked for: who waits longer gains nothing over one that asks for all
_AGAIN: Final = 1.0  # seconds until an answer that could not be heard is asked for again, while a job is overdue
_RESTS: Final = 64  # batches at most for which nothing is asked ahead, where that was in vain time after time


class Hand:
    """What one worker holds ahead. `look` may be called from another thread than the rest.

    Attributes:
        seconds: that a job takes, as far as can be told; None where nothing is known.
        watch: called when somebody is to begin calling `look`, while a job may be in hand; again when that said None.
    """

    def __init__(
        self,
        seat: Seat,
        *,
        most: int = 1,
        jobs: int | None = None,
        asks: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is held yet.

        Args:
            seat: the worker whose jobs they are.
            most: how many jobs it may hold at once, the one that is performed included.
            jobs: how many will begin here at all; None for any number.
            asks: whether to ask ahead. Of several threads the others perform while one waits for its batch.
            clock: monotonic seconds.
        """
        self._seat = seat
        self._most = most
        self._jobs = jobs
        self._asks = asks
        self._clock = clock
        self.watch: Callable[[], None] = lambda: None
        self._ahead: deque[Reservation] = deque()
        self._asked: Ahead | None = None  # where more are on their way
        self._more, self._asked_at = 0, 0.0  # how many, and since when
        self._again_at = float("-inf")
        self._rests, self._next_rests = 0, 1
        self._ask_below = 0  # held ahead; 0 for never
        self.seconds: float | None = None
        self._begun = 0
        self._watched = False
        self._seen, self._seen_at = -1, 0.0

    def lent(self, seat: Seat, jobs: int) -> Hand:
        """An empty one for a forked child that has the worker's place on loan, for so many jobs."""
        return Hand(seat, most=self._most, jobs=jobs, asks=self._asks, clock=self._clock)

    @property
    def most(self) -> int:
        """How many jobs it may hold at once; 1 is strict."""
        return self._most

    @property
    def limit(self) -> int:
        """How many jobs to take now."""
        if self._most == 1 or self.seconds is None:
            return 1
        most = self._most if self._jobs is None else min(self._most, self._jobs - self._begun)
        return max(1, min(most, int(_BATCH / max(self.seconds, 1e-6))))

    def take(self, jobs: Sequence[Reservation]) -> Reservation:
        """Hold what a reserve answered; the first of it begins."""
        self._reckon(filled=len(jobs) >= self.limit)
        self._rests = max(self._rests - 1, 0)
        self._begun += 1
        if not jobs[0].started:  # one of those that were held ahead of a job which has been settled by itself
            self._seat.note(jobs[0])
        if len(jobs) > 1:
            self._hold(jobs[1:])
        return jobs[0]

    def _reckon(self, *, filled: bool) -> None:
        """When to ask: at half of what may be held, where all came that was asked for last: there may be more."""
        limit = self.limit
        may = filled and self._asks and not self._rests and limit >= _WORTH
        self._ask_below = limit // 2 if may else 0

    def _hold(self, jobs: Sequence[Reservation]) -> None:
        self._ahead.extend(jobs)
        self._have_watched()

    def _have_watched(self) -> None:
        if not self._watched:
            self._watched = True
            self.watch()

    def begin(self) -> Reservation | None:
        """The next of those held, which begins now; None where none is left, or they are not this worker's any more."""
        if not self._ahead:
            return None
        with self._seat.turn:
            if not self._ahead:  # given back this moment
                return None
            if not self._seat.holds():
                self.lost()
                return None
            held = self._ahead.popleft()
            self._begun += 1
            self._seat.note(held)
        return held

    @property
    def low(self) -> bool:
        """Whether it is time to `ask`: so little is left of a batch."""
        return len(self._ahead) < self._ask_below and self._asked is None

    def ask(self, queues: Sequence[str]) -> None:
        """Ask for as many more as may be held: they are looked for while the rest is performed. What came: `fetch`."""
        limit = self.limit
        more = limit - len(self._ahead) - 1
        if limit < _WORTH or 2 * more < limit:  # jobs turned out to be longer than they were
            return
        with self._seat.turn:
            self._more, self._asked_at = more, self._clock()
            self._asked, self._again_at = self._seat.reserve_ahead(queues, more), float("-inf")
            if self._asked is None:
                self._ask_below = 0
            else:
                self._have_watched()

    def fetch(self) -> Sequence[Reservation]:
        """Hold what was asked for. What came.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
            BrokerUnavailable: the broker is away for longer than this worker, a burst, waits.
        """
        if self._asked is None:
            return ()
        with self._seat.turn:
            return self._fetch("always")

    def _fetch(self, tries: Tries) -> Sequence[Reservation]:
        """As `fetch`; where nothing is heard in so many tries, it stays asked."""
        asked = self._asked
        if asked is None:
            return ()
        began = self._clock()
        jobs = asked(tries)
        if jobs is None:
            return ()
        in_vain = self._clock() - began > _SOON * (began - self._asked_at)
        # Where others want the core that the broker is on, two small questions cost more than a large one.
        self._rests = self._next_rests if in_vain else 0
        self._next_rests = min(2 * self._next_rests, _RESTS) if in_vain else 1
        self._asked = None
        self._reckon(filled=len(jobs) >= self._more)
        if jobs:
            self._hold(jobs)
        return jobs

    def ran(self, seconds: float) -> None:
        """Learn how long a job took. A long one counts at once, short ones by and by."""
        if self._most > 1:
            known = self.seconds
            self.seconds = seconds if known is None or seconds > known else 0.8 * known + 0.2 * seconds

    def lost(self) -> None:
        """Somebody else has what was held: none of it begins here."""
        with self._seat.turn:
            self._ahead.clear()
            self._asked = None

    def give_back(self) -> None:
        """Put what has not begun back to the front of its queues, in order.

        Raises:
            GaveUp: the worker was told to end while the broker was away; they are left to recovery.
        """
        with self._seat.turn:
            self._seat.pay()
            self._fetch("while away")
            self._release()
            if self._asked is not None:  # the broker cannot say; but if it had not taken them, now it is too late
                self._fetch("while away")
                self._asked = None  # what it took is answered to who reserves next, or found by recovery
                self._release()

    def _release(self, *, once: bool = False) -> None:
        jobs = tuple(self._ahead)
        self._ahead.clear()
        if jobs:
            self._seat.give_back(jobs, once=once)

    def look(self) -> float | None:
        """Give back where the job in hand is overdue.

        Returns:
            In how many seconds to look again; None: when `watch` is called.
        """
        if not self._watched:
            return None
        now = self._clock()
        if self._seen != self._begun:
            self._seen, self._seen_at = self._begun, now
            return _BATCH
        if now < self._seen_at + _BATCH:
            return self._seen_at + _BATCH - now
        if not self._ahead and self._asked is None:
            self._watched = False
            if not self._ahead and self._asked is None:  # else who has some may not have seen that nobody watches
                return None
            self._watched = True
        # Where the worker is at the broker just now it is not in a job; and it may be there for as long as an outage.
        if self._seat.turn.acquire(blocking=False):
            try:
                if self._seen == self._begun:
                    self._give_back_overdue(now)
            finally:
                self._seat.turn.release()
        return _BATCH

    def _give_back_overdue(self, now: float) -> None:
        """One try. What was asked for goes back with what was held before it, in order.

        So where nothing is heard of that, all of it stays, and a second later there is another try.
        """
        if self._asked is not None:
            if now < self._again_at or self._seat.outage.since is not None:
                return
            self._fetch("once")
            if self._asked is not None:
                self._again_at = now + _AGAIN
                return
        with contextlib.suppress(BrokerRefused):  # what this worker asks next says it, and ends it
            self._release(once=True)
