"""Failed jobs in groups of the same problem: 100,000 failures are usually three of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from taskq import failed_entry, failed_search
from taskq.broker import Broker
from taskq.failed_entry import FailedJob, glance
from taskq.failed_filter import FailureFilter, folded, group_of
from taskq.failed_search import Bounds
from taskq.records import StoredFailure

__all__ = ["FailureGroup", "Groups", "groups"]

_MOST: Final = 1000  # groups that are told apart; messages may be such that each failure is one of its own


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of the same job with the same exception and, but for numbers and the like, the same message.

    Attributes:
        key: what `FailureFilter(group=...)` finds them by.
        job: the job's name; empty where it could not be read.
        exception: the exception's class.
        message: what all of them said; what differs stands there as `<n>`, `<id>`, `<text>`.
        count: how many there are, as far as was looked.
        retried: how many of those were requeued.
        first: when the oldest of them failed; None where that cannot be told.
        last: when the newest did.
        example: the newest of them.
    """

    key: str
    job: str
    exception: str
    message: str
    count: int
    retried: int
    first: float | None
    last: float | None
    example: FailedJob


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups, as far as was looked.

    Attributes:
        groups: the largest first.
        others: how many failures belong to further groups, beyond those that are kept apart.
        searched: how many entries were looked at.
        left: how many older ones were not.
        total: how many there are.
        older: the cursor to go on by; empty where all is done.
    """

    groups: tuple[FailureGroup, ...]
    others: int
    searched: int
    left: int
    total: int
    older: str


def groups(
    broker: Broker,
    wanted: FailureFilter,
    cursor: str,
    bounds: Bounds,
    shown: Callable[[bytes], str],
    into: Groups | None,
) -> Groups:
    """The groups of a slice; see `Failures.groups`."""
    found = {group.key: group for group in into.groups} if into is not None else {}
    others = into.others if into is not None else 0

    def visit(stored: StoredFailure) -> None:
        nonlocal others
        if wanted.says_anything and not wanted.matches(stored.entry, shown):
            return
        seen = glance(stored.entry)
        key = group_of(seen)
        group = found.get(key)
        if group is None and len(found) >= _MOST:
            others += 1
            return
        at = seen.at
        if group is None:
            found[key] = FailureGroup(
                key, seen.job, seen.exception, folded(seen.error), 1, int(seen.retried), at, at,
                failed_entry.decode(stored),
            )  # fmt: skip
        else:
            found[key] = replace(
                group,
                count=group.count + 1,
                retried=group.retried + seen.retried,
                first=_least(group.first, at),
                last=_most(group.last, at),
            )

    part = failed_search.look_through(broker, wanted, cursor, bounds, visit)
    return Groups(
        groups=tuple(sorted(found.values(), key=lambda group: (-group.count, -(group.last or 0.0)))),
        others=others,
        searched=part.searched + (into.searched if into is not None else 0),
        left=part.left,
        total=part.total,
        older=part.older,
    )


def _least(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)
