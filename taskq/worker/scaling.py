"""How many workers there should be, by what waits in their queues. It knows no process and no broker.

Up fast: while jobs wait, the number doubles at each look. Down slowly: one fewer for each half minute in which none
did. So neither a few jobs that wait for a moment nor a short lull change anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from taskq.config import Count

__all__ = ["LOOK_EVERY", "Gauge", "Look", "Step", "decide"]

LOOK_EVERY: Final = 1.0  # seconds between two looks at the queues
_UP_AFTER: float = 0.5  # seconds for which jobs must have waited: a second look in a row, whatever the clocks round
_DOWN_AFTER: float = 30.0  # seconds for which none must have
_STALE: Final = 5.0  # seconds between two looks after which nobody knows what was in between: the broker was away
_NAMED: Final = 3  # queues that a reason names


@dataclass(frozen=True, slots=True)
class Look:
    """What a decision is made of.

    Attributes:
        waiting: how many jobs wait in each queue that has any and may be taken from.
        running: the workers that take jobs, those that are about to start included.
        leaving: the workers that were told to end, and still have a job in hand.
        waited: the seconds for which at each look jobs waited; 0 where none do.
        quiet: the seconds for which at each look none waited; 0 where some do.
    """

    waiting: Mapping[str, int]
    running: int
    leaving: int
    waited: float
    quiet: float


@dataclass(frozen=True, slots=True)
class Step:
    """How many workers there should be, and why, in words that a person reads."""

    target: int
    reason: str


def decide(look: Look, count: Count) -> Step | None:
    """The next step; None where all stays as it is. There are never more processes than `count.most`."""
    jobs = sum(look.waiting.values())
    if jobs:
        room = count.most - look.running - look.leaving
        more = min(max(look.running, 1), jobs, room)
        if more > 0 and look.waited >= _UP_AFTER:
            return Step(look.running + more, f"{_so_many(jobs, 'job')} {_wait(jobs)} in {_named(look.waiting)}")
    elif look.running > count.least and look.quiet >= _DOWN_AFTER:
        return Step(look.running - 1, f"nothing has waited for {look.quiet:.0f} s")
    return None


class Gauge:
    """Remembers for how long jobs have waited, or none have. Times by a monotonic clock."""

    def __init__(self, count: Count) -> None:
        """Nothing was seen yet."""
        self.count = count
        self._since = 0.0
        self._waited = False
        self._last = -math.inf

    def step(self, waiting: Mapping[str, int], running: int, leaving: int, now: float) -> Step | None:
        """What is to be done after this look. It counts as done: the next one is a look, or half a minute, later."""
        waits = any(waiting.values())
        if waits != self._waited or now - self._last > _STALE:
            self._since = now
        self._waited, self._last = waits, now
        lasted = now - self._since
        look = Look(waiting, running, leaving, lasted if waits else 0.0, 0.0 if waits else lasted)
        step = decide(look, self.count)
        if step is not None:
            self._since = now
        return step


def _so_many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _wait(jobs: int) -> str:
    return "waits" if jobs == 1 else "wait"


def _named(waiting: Mapping[str, int]) -> str:
    """The fullest queues, and how many there are beside them."""
    full = sorted(((size, name) for name, size in waiting.items() if size), key=lambda pair: (-pair[0], pair[1]))
    if len(full) == 1:
        return full[0][1]
    named = ", ".join(f"{name} ({size})" for size, name in full[:_NAMED])
    return f"{named} and {_so_many(len(full) - _NAMED, 'other queue')}" if len(full) > _NAMED else named
