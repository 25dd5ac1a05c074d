"""Where the entries of failed lists were seen, so that a place in a million of them is found without counting there.

Guesses only: every one is checked against what the database says, by the list's count of removals or the entry itself.
It knows no connection.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final

__all__ = ["Places"]

_IDS: Final = 2000  # entries whose ids are remembered: some pages
_MARKS: Final = 64  # places of a list to walk from


class Places:
    """Places and ids that one process saw last. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[tuple[str | None, int], int] = {}
        self._marks: dict[str | None, tuple[int, list[tuple[int, int]]]] = {}

    def saw(self, queue: str | None, removed: int, start: int, ids: Sequence[int]) -> None:
        """Note a page: from place `start` on these ids, when so many had ever been removed from its list."""
        if not ids:
            return
        with self._lock:
            if len(self._ids) + len(ids) > _IDS:
                self._ids.clear()
            self._ids.update({(queue, start + place): number for place, number in enumerate(ids)})
            known, marks = self._marks.get(queue, (removed, []))
            if known != removed or len(marks) >= _MARKS:
                marks = []
            for mark in {(start, ids[0]), (start + len(ids) - 1, ids[-1])} - set(marks):
                insort(marks, mark)
            self._marks[queue] = removed, marks

    def id_at(self, queue: str | None, place: int) -> int | None:
        """The id that was last seen at a place; None where none was."""
        with self._lock:
            return self._ids.get((queue, place))

    def nearest(self, queue: str | None, removed: int, place: int) -> tuple[int, int] | None:
        """The place nearest to this one of which the id is still known, and that id."""
        with self._lock:
            known, marks = self._marks.get(queue, (removed, []))
            if known != removed or not marks:
                return None
            at = bisect_left(marks, (place, 0))
            return min(marks[max(at - 1, 0) : at + 1], key=lambda mark: abs(mark[0] - place))
