"""Finding an entry of a failed list by its bytes, near where it was seen, without holding Redis up.

A list of a million entries takes LPOS 70 to 160 ms, in which Redis does nothing else; 200 entries take .5 ms. So they
are read in slices, each a step of its own, from around the position and then from the nearer end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from taskq.records import StoredFailure

__all__ = ["Found", "find"]

_SLICE = 200
_OVERLAP = 20  # entries that others may remove between two slices before one slips through


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
