"""Going through the failed lists, newest first, a bounded slice at a time, with cursors to go on by.

A cursor names the entry that was looked at last: its place, and a mark of its content by which it is found again where
others removed entries meanwhile. Who removes what is looked at goes by cursors that name the next one instead. Several
lists are one behind another: the common one, then queue by queue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote

from taskq import failed_entry
from taskq.broker import Broker
from taskq.failed_entry import FailedJob
from taskq.failed_filter import FailureFilter
from taskq.failed_ids import mark
from taskq.failed_parts import AT_ONCE, at_once, backwards
from taskq.records import StoredFailure
from taskq.short_names import short, whole

__all__ = [
    "Bounds",
    "Counted",
    "FailedList",
    "FailurePage",
    "Slice",
    "count",
    "cursor_at",
    "lists_of",
    "look_through",
    "oldest",
    "page",
    "top",
    "total",
]

_CHUNK: Final = 250  # entries read at once: a megabyte or less, nearly always
_MARK: Final = 12  # hex digits of a cursor's mark
_SPACES: Final = b" \t\n\r"
_NEAR: Final = 1000  # entries before its place in which the one that a cursor names is looked for
_STALE: Final = 500  # entries in a row that are too old, or too young, after which no other is expected
_DISORDER: Final = 3600.0  # seconds by which entries may lie out of order: clocks and zones of many hosts
_NOTHING: Final = "none"  # the top of lists that are empty
_FORM: Final = re.compile(r"([ofn])(\d{1,12})(?:-([0-9a-f]{12}))?(?:@(.*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FailedList:
    """A failed list: of a queue, or the common one, whose `queue` is None; and how many entries it has."""

    queue: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes before it gives what it has, whichever is first.

    Attributes:
        entries: so many of them.
        seconds: so long, once it has looked at some; without a filter there is nothing to look for, and no such end.
        size: so many bytes of entries, and the one that goes beyond.
    """

    entries: int = 10_000
    seconds: float = 0.03
    size: int = 32_000_000


@dataclass(frozen=True, slots=True)
class FailurePage:
    """A page of failed jobs.

    Attributes:
        jobs: the newest first.
        searched: how many entries were looked at for them.
        left: how many older ones were not looked at.
        total: how many entries there are, meant or not.
        older: the cursor of what is older; empty where there is nothing.
        newer: the cursor of what is newer; empty where there is nothing.
    """

    jobs: tuple[FailedJob, ...]
    searched: int
    left: int
    total: int
    older: str
    newer: str


@dataclass(frozen=True, slots=True)
class Slice:
    """What a bounded look through the lists passed.

    Attributes:
        searched: how many entries.
        left: how many older ones were not looked at.
        total: how many there are.
        older: the cursor of what is older; empty where there is nothing, or nothing that could be meant.
    """

    searched: int
    left: int
    total: int
    older: str


@dataclass(frozen=True, slots=True)
class Counted:
    """How many of a slice of the entries are meant.

    Attributes:
        searched: how many entries were looked at.
        total: how many there are.
        matched: how many of those looked at are meant.
        retried: how many of these were requeued already.
        older: the cursor of what is older; empty where there is nothing, or nothing that could be meant.
    """

    searched: int
    total: int
    matched: int
    retried: int
    older: str


@dataclass(frozen=True, slots=True)
class _Spot:
    """Between two entries: those of list number `list` from `position` on are newer, the others older."""

    list: int
    position: int


def lists_of(broker: Broker, place: str | None = None) -> Sequence[FailedList]:
    """The failed lists, the common one first, or only that one which `place` names (see `FailureFilter`)."""
    queues: Sequence[str | None]
    queues = (None, *broker.failed_queues()) if place is None else (_named_list(broker, place) or None,)
    return [FailedList(queue, broker.failure_count(queue=queue)) for queue in queues]


def _named_list(broker: Broker, place: str) -> str:
    """The list that is meant by its name, or by a digest of that; one that is gone since stays what it is: empty."""
    found = whole(place, broker.failed_queues) or place
    # A list may be called what is the digest of another: then it is meant itself.
    return place if found != place and place in broker.failed_queues() else found


def top(broker: Broker, place: str | None = None) -> str:
    """What is the newest now in each list; see `Failures.top`."""
    newest = (broker.failures(one.count - 1, 1, queue=one.queue) for one in lists_of(broker, place) if one.count)
    return " ".join(_cursor("n", found[0]) for found in newest if found) or _NOTHING


def total(broker: Broker, place: str | None, top: str) -> int:
    """How many entries there are; with `top`, how many there were of them when it was taken."""
    return sum(one.count for one in _until_top(broker, lists_of(broker, place), top))


def oldest(broker: Broker, wanted: FailureFilter) -> str:
    """The cursor of the oldest end; see `Failures.oldest`."""
    lists = lists_of(broker, wanted.place)
    if wanted.since is None or len(lists) > 1 or not lists[0].count:
        return _named("n", 0, "", lists[-1].queue)
    return _named("n", _before(broker, lists[0], wanted.since - _DISORDER), "", lists[0].queue)


def _until_top(broker: Broker, lists: Sequence[FailedList], said: str, passed: int = -1) -> Sequence[FailedList]:
    """The lists without what came in since their top was taken. Raises ValueError where it is none.

    Args:
        broker: where they are.
        lists: all of them.
        said: their top; empty for all that is there.
        passed: the number of the last list that needs none.
    """
    if not said:
        return lists
    counts: dict[str | None, int] = {_called(one): one.count for one in lists[: passed + 1]}
    for cursor in said.split(" ") if said != _NOTHING else ():
        if not cursor.startswith("n"):
            raise ValueError(f'"{cursor[:60]}" is no cursor of a failed list.')
        queue = _queue_of(cursor)
        if queue not in counts and any(_called(one) == queue for one in lists):
            counts[queue] = _spot(broker, lists, cursor).position
    return [FailedList(one.queue, min(one.count, counts.get(_called(one), 0))) for one in lists]


def page(
    broker: Broker,
    wanted: FailureFilter,
    cursor: str,
    count: int,
    bounds: Bounds,
    shown: Callable[[bytes], str],
    top: str = "",
    removing: bool = False,
) -> FailurePage:
    """A page of those that are meant; see `Failures.page`."""
    lists = lists_of(broker, wanted.place)
    # The entry that a top names is removed with the others; from then on the cursor alone bounds that list.
    passed = _number_of(lists, cursor) if removing and cursor else None
    lists = _until_top(broker, lists, top, -1 if passed is None else passed)
    towards_newer = cursor.startswith("n")
    spot = _spot(broker, lists, cursor) if cursor else _start(broker, lists, wanted)
    if not wanted.says_anything:
        bounds = replace(bounds, seconds=float("inf"))
    walk = _Walk(broker, lists, wanted, bounds, _CHUNK if wanted.says_anything else min(count, _CHUNK))
    found: list[StoredFailure] = []
    for stored in walk.newer(spot) if towards_newer else walk.older(spot):
        if wanted.matches(stored.entry, shown) if wanted.says_anything else True:
            found.append(stored)
            if len(found) >= count:
                break
    if towards_newer:
        found.reverse()
    low, high = (walk.first, walk.last) if towards_newer else (walk.last, walk.first)
    total = sum(one.count for one in lists)
    left = _left(lists, low) if low is not None else _left_at(lists, spot)
    # The bound of a filter closes the end that it was walked to, and says nothing of the other.
    ends_old, ends_new = walk.stale and not towards_newer, walk.stale and towards_newer
    return FailurePage(
        jobs=tuple(map(failed_entry.decode, found)),
        searched=walk.searched,
        left=0 if ends_old else left,
        total=total,
        older=(_below(broker, low) if removing else _cursor("o", low))
        if low is not None and left and not ends_old
        else "",
        newer=_cursor("n", high) if high is not None and total - _left(lists, high) > 1 and not ends_new else "",
    )


def count(
    broker: Broker, wanted: FailureFilter, cursor: str, bounds: Bounds, shown: Callable[[bytes], str], top: str = ""
) -> Counted:
    """Count those of a slice that are meant; see `Failures.count_slice`."""
    matched = retried = 0

    def visit(stored: StoredFailure) -> None:
        nonlocal matched, retried
        if wanted.matches(stored.entry, shown):
            matched += 1
            retried += failed_entry.glance(stored.entry).retried

    found = look_through(broker, wanted, cursor, bounds, visit, top)
    return Counted(found.searched, found.total, matched, retried, found.older)


def look_through(
    broker: Broker,
    wanted: FailureFilter,
    cursor: str,
    bounds: Bounds,
    visit: Callable[[StoredFailure], None],
    top: str = "",
) -> Slice:
    """Show `visit` a slice of the entries, meant or not, the newest first.

    Args:
        broker: where they are.
        wanted: in which lists, and from when.
        cursor: where to go on; empty to begin.
        bounds: how far to go.
        visit: sees each of them.
        top: leaves out what came in since; see `Failures.top`.
    """
    lists = _until_top(broker, lists_of(broker, wanted.place), top)
    spot = _spot(broker, lists, cursor) if cursor else _start(broker, lists, wanted)
    walk = _Walk(broker, lists, wanted, bounds, _CHUNK)
    for stored in walk.older(spot):
        visit(stored)
    left = _left(lists, walk.last) if walk.last is not None else _left_at(lists, spot)
    older = _cursor("o", walk.last) if walk.last is not None and left and not walk.stale else ""
    return Slice(walk.searched, left if older else 0, sum(one.count for one in lists), older)


def cursor_at(broker: Broker, when: float, wanted: FailureFilter) -> str:
    """The cursor of what failed before a moment; see `Failures.cursor_at`."""
    lists = lists_of(broker, wanted.place)
    number = next((number for number, one in enumerate(lists) if one.count), 0)
    return _named("o", _before(broker, lists[number], when), "", lists[number].queue)


class _Walk:
    """One way through the lists, until the bounds are reached."""

    def __init__(
        self, broker: Broker, lists: Sequence[FailedList], wanted: FailureFilter, bounds: Bounds, chunk: int
    ) -> None:
        self._broker = broker
        self._lists = lists
        self._since = wanted.since
        self._until = wanted.until
        self._bounds = bounds
        self._chunk = max(chunk, 1)
        self._ends = time.monotonic() + bounds.seconds
        self._beyond = 0
        self._read = 0
        self.searched = 0
        self.first: StoredFailure | None = None
        self.last: StoredFailure | None = None
        self.stale = False

    def older(self, spot: _Spot) -> Iterator[StoredFailure]:
        for number in range(spot.list, len(self._lists)):
            one = self._lists[number]
            stop = spot.position if number == spot.list else one.count
            while stop > 0:
                start = max(stop - self._size(), 0)
                entries = self._broker.failures(start, stop - start, queue=one.queue)
                for stored in reversed(entries):
                    self._pass(stored)
                    yield stored
                    if self._is_beyond(stored, self._since, 1):
                        return
                if self._is_over:
                    return
                stop = start

    def newer(self, spot: _Spot) -> Iterator[StoredFailure]:
        for number in range(spot.list, -1, -1):
            one = self._lists[number]
            start = spot.position if number == spot.list else 0
            while start < one.count:
                entries = self._broker.failures(start, min(self._size(), one.count - start), queue=one.queue)
                for stored in entries:
                    self._pass(stored)
                    yield stored
                    if self._is_beyond(stored, self._until, -1):
                        return
                if self._is_over or not entries:
                    return
                start += len(entries)

    def _size(self) -> int:
        return max(min(self._chunk, self._bounds.entries - self.searched, at_once(self.searched, self._read)), 1)

    def _pass(self, stored: StoredFailure) -> None:
        self.searched += 1
        self._read += len(stored.entry)
        self.first = self.first or stored
        self.last = stored

    @property
    def _is_over(self) -> bool:
        if self.searched >= self._bounds.entries or self._read >= self._bounds.size:
            return True
        some = self.searched >= min(self._chunk, _CHUNK) or self._read >= AT_ONCE
        return some and time.monotonic() >= self._ends

    def _is_beyond(self, stored: StoredFailure, bound: float | None, way: int) -> bool:
        """Whether so many in a row lay beyond a bound that none within it is to be expected any more.

        Args:
            stored: the one that was looked at now.
            bound: in unix seconds; None is none.
            way: 1 where what is older lies beyond it, -1 where what is younger does.
        """
        if bound is None:
            return False
        at = failed_entry.glance(stored.entry).at
        self._beyond = self._beyond + 1 if at is not None and (bound - at) * way > _DISORDER else 0
        self.stale = self._beyond >= _STALE
        return self.stale


# ---- where to begin


def _start(broker: Broker, lists: Sequence[FailedList], wanted: FailureFilter) -> _Spot:
    """The newest end; where only what is older than a moment is meant, there."""
    if wanted.until is None or len(lists) > 1 or not lists[0].count:
        return _Spot(0, lists[0].count)
    return _Spot(0, _before(broker, lists[0], wanted.until + _DISORDER))


def _before(broker: Broker, one: FailedList, when: float) -> int:
    """How many entries of a list failed before a moment, taking them to lie in order. Reads some twenty of them."""
    low, high = 0, one.count
    while low < high:
        middle = (low + high) // 2
        at = _time_near(broker, one, middle)
        if at is not None and at >= when:
            high = middle
        else:
            low = middle + 1
    return low


def _time_near(broker: Broker, one: FailedList, position: int) -> float | None:
    entries = broker.failures(position, 5, queue=one.queue)
    return next((at for stored in entries if (at := failed_entry.glance(stored.entry).at) is not None), None)


def _spot(broker: Broker, lists: Sequence[FailedList], cursor: str) -> _Spot:
    """Where a cursor leads. Raises ValueError where it is none."""
    form = _FORM.fullmatch(cursor)
    if form is None:
        raise ValueError(f'"{cursor[:60]}" is no cursor of a failed list.')
    towards, position, wanted = form[1], int(form[2]), form[3]
    number = _number_of(lists, cursor)
    if number is None:  # its list is gone, and with it all that was in it
        return _Spot(0, lists[0].count) if towards == "n" else _Spot(len(lists) - 1, 0)
    count = lists[number].count
    if wanted is not None:
        seen = _found_again(broker, lists[number], position, wanted)
        if seen is not None:
            return _Spot(number, seen if towards == "o" else seen + 1)
    return _Spot(number, min(position, count))


def _queue_of(cursor: str) -> str | None:
    """What its list is called; see `_called`. None for the common one."""
    _, at, queue = cursor.partition("@")
    return unquote(queue, errors="surrogateescape") if at else None


def _called(one: FailedList) -> str | None:
    return None if one.queue is None else short(one.queue)


def _number_of(lists: Sequence[FailedList], cursor: str) -> int | None:
    queue = _queue_of(cursor)
    return next((number for number, one in enumerate(lists) if _called(one) == queue), None)


def _found_again(broker: Broker, one: FailedList, position: int, wanted: str) -> int | None:
    # Where it was, before that, where removals moved it; hardly ever behind it.
    for start, stop in ((position, position + 1), (max(position - _NEAR, 0), position), (position + 1, position + 50)):
        for stored in backwards(broker, one.queue, start, stop):
            if _marked(stored.entry) == wanted:
                return stored.position
    return None


def _marked(entry: bytes) -> str:
    # Retried since, it is still the one that was seen, and also where others wrote white space between its members,
    # which a retry takes out.
    return mark(failed_entry.before_retry(entry.translate(None, _SPACES)), _MARK)


def _cursor(towards: str, stored: StoredFailure) -> str:
    return _named(towards, stored.position, f"-{_marked(stored.entry)}", stored.queue)


def _below(broker: Broker, stored: StoredFailure) -> str:
    """The cursor of what is older than an entry that is about to be removed: it begins with the next one."""
    if not stored.position:
        return _named("o", 0, "", stored.queue)
    following = broker.failures(stored.position - 1, 1, queue=stored.queue)
    return _cursor("f", following[0]) if following else _named("o", stored.position, "", stored.queue)


def _named(towards: str, position: int, wanted: str, queue: str | None) -> str:
    return f"{towards}{position}{wanted}" + (
        "" if queue is None else f"@{quote(short(queue), safe='', errors='surrogateescape')}"
    )


def _left(lists: Sequence[FailedList], low: StoredFailure) -> int:
    """How many entries are older than this one."""
    number = next(number for number, one in enumerate(lists) if one.queue == low.queue)
    return _left_at(lists, _Spot(number, low.position))


def _left_at(lists: Sequence[FailedList], spot: _Spot) -> int:
    return spot.position + sum(one.count for one in lists[spot.list + 1 :])
