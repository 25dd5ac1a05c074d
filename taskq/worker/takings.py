"""How many jobs were taken from each queue, told to the broker now and then: what left a queue in a minute.

It is for people who look at a dashboard: the loop pays a few additions a job, the broker one call a queue each ten
seconds, and what a killed process had not told yet is not counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from taskq.broker import Broker, Capability
from taskq.errors import TaskqError
from taskq.history import count_taken
from taskq.records import Reservation

__all__ = ["Takings"]

_EACH: Final = 10.0  # seconds


class Takings:
    """Counts what one worker takes. A worker that lives for less than ten seconds tells nothing.

    Children that run the loop begin with their parent's: it is the worker's age that counts, not theirs.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was taken. `clock` gives monotonic seconds."""
        self._broker = broker
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._known_from = clock() + _EACH
        self._next = self._known_from if Capability.KEYS in broker.capabilities else float("inf")

    def took(self, jobs: Sequence[Reservation]) -> None:
        """These were taken, maybe none."""
        for job in jobs:
            self._counts[job.queue] += 1
        if self._clock() >= self._next:
            self._tell()

    def end(self) -> None:
        """No more is taken for now."""
        if self._known_from <= self._clock() and self._next != float("inf"):
            self._tell()

    def _tell(self) -> None:
        self._next = self._clock() + _EACH
        counts, self._counts = self._counts, Counter()
        try:
            for queue, count in counts.items():
                count_taken(self._broker, queue, count)
        except TaskqError:
            pass  # no job depends on it, and the loop finds out by itself
