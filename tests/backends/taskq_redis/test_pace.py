"""How many failed entries one step changes: by what the steps before it took, where they were."""

from __future__ import annotations

import pytest

from taskq.records import StoredFailure
from taskq_redis.failures import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def entries(start: int, count: int, queue: str | None = None) -> list[StoredFailure]:
    return [StoredFailure(place, b"%d" % place, queue) for place in range(start, start + count)]


def sizes(pace: Pace, clock: Clock, some: list[StoredFailure], seconds: float) -> list[int]:
    found = []
    seen: list[StoredFailure] = []
    for step in pace.steps(some, lambda one: one):
        found.append(len(step))
        seen += step
        clock.now += seconds * len(step)
    assert seen == some
    return found


def test_steps_grow_while_they_are_quick_and_shrink_where_they_are_not(clock: Clock) -> None:
    pace = Pace(4, clock=clock)
    assert sizes(pace, clock, entries(0, 300), 1e-6) == [4, 8, 16, 32, 64, 128, 48]
    assert sizes(pace, clock, entries(300, 120), 0.00028) == [96, 5, 5, 5, 5, 4]


def test_far_from_where_it_was_nothing_is_known(clock: Clock) -> None:
    pace = Pace(4, clock=clock)
    sizes(pace, clock, entries(0, 1_000), 1e-6)
    assert sizes(pace, clock, entries(500_000, 10), 0.00028) == [4, 5, 1]
    sizes(pace, clock, entries(0, 1_000), 1e-6)
    assert sizes(pace, clock, entries(1_000, 10, "mail"), 0.00028) == [4, 5, 1]


def test_a_step_is_of_one_list(clock: Clock) -> None:
    mixed = [*entries(0, 2), *entries(0, 3, "mail"), *entries(2, 1)]
    assert sizes(Pace(4, clock=clock), clock, mixed, 1e-6) == [2, 3, 1]
