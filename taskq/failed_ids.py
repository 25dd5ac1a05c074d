"""Names for failed jobs: `12-8f3a1c`, the entry's place and a mark of its content.

A place alone shifts whenever somebody removes an older entry. The mark says whether what is found is what was seen; it
is looked for near its place. A place alone is taken as it stands. In a queue's own list the queue comes first, and a
colon: `emails:12-8f3a1c`; a digest of it where its name is long. Six digits are what a person types; a page that acts
on a click gives more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from taskq import failed_entry
from taskq.broker import Broker
from taskq.failed_entry import FailedJob
from taskq.failed_parts import backwards
from taskq.records import StoredFailure
from taskq.short_names import short, whole

__all__ = ["FailedId", "Missing", "find", "id_of", "mark", "parse"]

_FORM: Final = re.compile(r"(?:(?P<queue>.+):)?(?P<place>[0-9]{1,12})(?:-(?P<mark>[0-9a-f]{6,64}))?", re.DOTALL)

# How far an entry is followed: entries before it may have been removed, and hardly any come in before it.
_BEFORE: Final = 1000
_BACK: Final = 10  # times as far, where it is not there
_BEHIND: Final = 50


@dataclass(frozen=True, slots=True)
class FailedId:
    """What was typed.

    Attributes:
        text: as it was typed.
        queue: whose failed list is meant; None for the common one.
        place: the place in it, 0 the oldest.
        mark: of the content; None where only a place was typed.
    """

    text: str
    queue: str | None
    place: int
    mark: str | None

    def means(self, entry: bytes) -> bool:
        """Whether this is the mark of an entry."""
        return self.mark is not None and mark(entry, len(self.mark)) == self.mark


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such entry; `why` is a sentence. `retried` says that it is there, but was retried since."""

    why: str
    retried: bool = False


def id_of(failed: FailedJob, digits: int = 6) -> str:
    """The id of an entry as it was listed.

    Args:
        failed: as it was listed.
        digits: how many hex digits its mark has, 6 to 64; 32 cannot mean another entry.
    """
    queue = "" if failed.queue is None else f"{short(failed.queue)}:"
    return f"{queue}{failed.position}-{mark(failed.entry, digits)}"


def mark(entry: bytes, digits: int = 6) -> str:
    """So many hex digits that tell an entry from others."""
    return hashlib.sha256(entry).hexdigest()[:digits]


def parse(text: str) -> FailedId | None:
    """The id that a text is; None where it is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    return FailedId(text, found["queue"], int(found["place"]), found["mark"])


def find(broker: Broker, wanted: FailedId) -> FailedJob | Missing:
    """The entry that is meant. Reads some pages of the list at most."""
    if wanted.queue is not None:
        queue = whole(wanted.queue, broker.failed_queues)
        if queue is None:
            return Missing(f"{wanted.text} is gone, and the failed list that it was in.")
        wanted = replace(wanted, queue=queue)
    here = broker.failures(wanted.place, 1, queue=wanted.queue)
    if here and (wanted.mark is None or wanted.means(here[0].entry)):
        return failed_entry.decode(here[0])
    if wanted.mark is None:
        size = broker.failure_count(queue=wanted.queue)
        last = f"the last one is {size - 1}" if size else "there is none"
        return Missing(f"There is no failed job {wanted.text}: {last}.")
    stop = wanted.place + _BEHIND
    for _ in range(_BACK):
        start = max(0, min(stop, wanted.place) - _BEFORE)
        found = _among(wanted, backwards(broker, wanted.queue, start, stop))
        if found is not None:
            return found
        stop = start
        if not start:
            return Missing(f"{wanted.text} is gone: somebody removed it.")
    return Missing(
        f"{wanted.text} was not found near its place: it is gone, or more than "
        f"{wanted.place - stop:,} older ones were removed."
    )


def _among(wanted: FailedId, near: Iterable[StoredFailure]) -> FailedJob | Missing | None:
    found = retried = None
    for stored in near:
        if wanted.means(stored.entry):
            found = _nearer(wanted, found, stored)
        elif (before := failed_entry.before_retry(stored.entry)) is not stored.entry and wanted.means(before):
            retried = _nearer(wanted, retried, stored)
    if found is not None:
        return failed_entry.decode(found)
    if retried is not None:
        failed = failed_entry.decode(retried)
        why = f"{wanted.text} was already retried at {failed.retried_at}; it is {id_of(failed)} now."
        return Missing(why, retried=True)
    return None


def _nearer(wanted: FailedId, one: StoredFailure | None, other: StoredFailure) -> StoredFailure:
    if one is None:
        return other
    return min(one, other, key=lambda stored: abs(stored.position - wanted.place))
