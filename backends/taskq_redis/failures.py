"""Finding entries of a failed list by their bytes, near where they were seen, without holding Redis up.

A list of a million entries takes LPOS 70 to 160 ms, in which Redis does nothing else; 200 entries take .5 ms. So they
are read in slices, each a step of its own, from around the position and then from the nearer end. Changing an entry
takes from a microsecond near an end to .3 ms in the middle, so how many one step changes goes by the steps before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Protocol, TypeVar

from taskq.records import StoredFailure

__all__ = ["Found", "Pace", "find"]

_SLICE = 200
_OVERLAP = 20  # entries that others may remove between two slices before one slips through
_STEP: Final = 0.0015  # seconds that a step should take, its way there and back included; 5 ms at most
_MOST: Final = 200  # entries that a step changes
_NEAR: Final = 1_000  # entries

T = TypeVar("T")


class _Read(Protocol):
    def __call__(self, start: int, stop: int) -> Sequence[bytes]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        index: where the entry is; None where it is not.
        retried: it is not there, but marked as retried it is.
    """

    index: int | None
    retried: bool = False


def find(failure: StoredFailure, length: int, read: _Read) -> Found:
    """Look for an entry.

    Args:
        failure: the entry and where it was seen.
        length: how many entries the list has.
        read: the entries from one index to another, that one included.
    """
    mark = failure.entry[:-1] + b',"retried_at":'
    retried = False
    for start, stop in _slices(failure.position, length):
        entries = read(start, stop)
        places = [start + offset for offset, entry in enumerate(entries) if entry == failure.entry]
        if places:
            return Found(min(places, key=lambda place: abs(place - failure.position)))
        retried = retried or any(entry.startswith(mark) for entry in entries)
        if retried:
            break
    return Found(None, retried)


def _slices(position: int, length: int) -> Iterator[tuple[int, int]]:
    if length == 0:
        return
    low = max(min(position, length) - _SLICE // 2, 0)
    yield low, low + _SLICE - 1
    rest: Any = range(0, length, _SLICE - _OVERLAP)
    for start in rest if position < length / 2 else reversed(rest):
        yield start, start + _SLICE - 1


class Pace:
    """How many entries a step changes, so that Redis does nothing else for 5 ms at most."""

    def __init__(self, least: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """Nothing is known yet.

        Args:
            least: entries that a step has however long it takes, and has where nothing is known of the place.
            clock: the time, in seconds.
        """
        self._clock = clock
        self._least = self._size = least
        self._last: StoredFailure | None = None

    def steps(self, items: Sequence[T], entry_of: Callable[[T], StoredFailure]) -> Iterator[Sequence[T]]:
        """So many of them as one step takes, behind one another and of one failed list.

        The time until the next is asked for is what the step took.
        """
        for _, same in groupby(items, lambda item: entry_of(item).queue):
            left = list(same)
            while left:
                if not self._near(entry_of(left[0])):
                    self._size = self._least
                some, left = left[: self._size], left[self._size :]
                began = self._clock()
                yield some
                self._took(len(some), self._clock() - began)
                self._last = entry_of(some[-1])

    def _near(self, entry: StoredFailure) -> bool:
        """Whether an entry there takes what those of the last step took: the same list, and no long way from them."""
        last = self._last
        return last is not None and last.queue == entry.queue and abs(last.position - entry.position) <= _NEAR

    def _took(self, count: int, seconds: float) -> None:
        fitting = int(count * _STEP / max(seconds, 1e-6))
        self._size = max(self._least, min(fitting, 2 * count, _MOST))
