"""A failed list read in parts that fit into memory: most entries have a kilobyte or two, and some have megabytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from taskq.broker import Broker
from taskq.records import StoredFailure

__all__ = ["AT_ONCE", "at_once", "backwards"]

AT_ONCE: Final = 2_000_000
"""Bytes that are read at once, more or less."""

_FIRST: Final = 2  # entries, before it is known how large they are
_MOST: Final = 250
_ALL: Final = 64_000_000  # bytes, after which what is looked for is given up


def at_once(seen: int, size: int) -> int:
    """How many entries to read at once, when so many had this size together."""
    return _FIRST if not seen else max(AT_ONCE * seen // max(size, 1), 1)


def backwards(broker: Broker, queue: str | None, start: int, stop: int) -> Iterator[StoredFailure]:
    """The entries from a place up to another, the last one first; where they are huge, as many of them as is bearable.

    Args:
        broker: where they are.
        queue: of whose failed list; None for the common one.
        start: the lowest place.
        stop: the place behind the highest one.
    """
    seen = size = 0
    while stop > start and size < _ALL:
        begin = max(start, stop - min(at_once(seen, size), _MOST))
        entries = broker.failures(begin, stop - begin, queue=queue)
        yield from reversed(entries)
        seen += len(entries)
        size += sum(len(stored.entry) for stored in entries)
        stop = begin
