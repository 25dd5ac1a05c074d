"""In which order a worker looks at its queues: plain functions, asked anew for each reserve.

They know neither the broker nor patterns: each is given plain names as they stand in the list, and gives all of them
back. So what has jobs is always found; an order says only who comes first.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

__all__ = ["ORDERS", "Order", "round_robin", "shuffled", "strict", "weighted"]

Order: TypeAlias = Callable[[tuple[str, ...], Sequence[int], str], tuple[str, ...]]
"""Gives the names in the order in which to look: of the names in the list's order, the weight of each, and the queue
that this worker's last job came from (empty where there was none)."""

# The module's own generator, which Python seeds anew in a forked child: with a copy of its parent's every child would
# draw the same queues, and children of few jobs each would never come to the others.
_CHANCE: Final[Callable[[], float]] = random.random


def strict(names: tuple[str, ...], weights: Sequence[int], last: str) -> tuple[str, ...]:
    """As the list has them: the first is served as long as it has jobs. The one order that lets a queue starve."""
    return names


def weighted(
    names: tuple[str, ...], weights: Sequence[int], last: str, chance: Callable[[], float] = _CHANCE
) -> tuple[str, ...]:
    """By lot: a queue comes first as often as its weight says, and each next one so among those that are left.

    So the shares hold among the queues that have jobs, whichever those are.
    """
    # The least of exponential times with these rates is each one's with a probability in proportion to its rate, and
    # what is left is such a draw again.
    drawn = [(-math.log(1.0 - chance()) / weight, name) for name, weight in zip(names, weights, strict=True)]
    drawn.sort()
    return tuple([name for _, name in drawn])


def round_robin(
    names: tuple[str, ...], weights: Sequence[int], last: str, chance: Callable[[], float] = _CHANCE
) -> tuple[str, ...]:
    """From the queue after the one that the last job came from, and round.

    Where there was none, or it is gone, from anywhere: a child that begins at the first queue for its few jobs, and
    its successor again, would never come to the last.
    """
    at = names.index(last) + 1 if last in names else int(chance() * len(names))
    return names[at:] + names[:at]


def shuffled(
    names: tuple[str, ...], weights: Sequence[int], last: str, chance: Callable[[], float] = _CHANCE
) -> tuple[str, ...]:
    """By lot, all alike."""
    drawn = [(chance(), name) for name in names]
    drawn.sort()
    return tuple([name for _, name in drawn])


ORDERS: Final[Mapping[str, Order]] = {
    "strict": strict,
    "weighted": weighted,
    "round-robin": round_robin,
    "random": shuffled,
}
"""By the names that the configuration has."""
