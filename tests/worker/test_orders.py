"""The orders by themselves: all names come back, nobody starves but by the strict one, and shares are as said."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq.worker import orders
from taskq.worker.orders import ORDERS, Order

NAMES = ("a", "b", "c")
EVEN = (1, 1, 1)
DRAWS = 6000


@pytest.fixture
def chance() -> Callable[[], float]:
    seed = int(os.environ.get("TASKQ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed: TASKQ_SEED={seed}")
    return random.Random(seed).random


def served(
    order: Order, waiting: dict[str, int], names: tuple[str, ...] = NAMES, weights: tuple[int, ...] = EVEN
) -> str:
    """From which queues a worker takes its jobs, one after the other, where these wait."""
    took, last = "", ""
    while any(waiting.values()):
        last = next(name for name in order(names, weights, last) if waiting.get(name))
        waiting[last] -= 1
        took += last
    return took


def shares(order: Order, weights: tuple[int, ...], among: str = "abc") -> dict[str, float]:
    """How often each comes first, of those that have jobs without end."""
    first = Counter(next(name for name in order(NAMES, weights, "") if name in among) for _ in range(DRAWS))
    return {name: count / DRAWS for name, count in first.items()}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@given(data=st.data())
def test_every_order_gives_each_name_once(order: Order, data: st.DataObject) -> None:
    names = tuple(data.draw(st.lists(st.text(max_size=3), unique=True, max_size=8)))
    weights = tuple(data.draw(st.integers(1, 10**6)) for _ in names)
    found = order(names, weights, data.draw(st.sampled_from([*names, "", "gone"])))
    assert sorted(found) == sorted(names)


def test_strict_empties_the_first_before_it_comes_to_the_next() -> None:
    assert served(orders.strict, {"a": 2, "b": 1, "c": 2}) == "aabcc"


class TestWeighted:
    def test_each_comes_first_as_often_as_its_weight_says(self, chance: Callable[[], float]) -> None:
        found = shares(partial(orders.weighted, chance=chance), (5, 2, 1))
        assert found == pytest.approx({"a": 5 / 8, "b": 2 / 8, "c": 1 / 8}, abs=0.04)

    def test_the_shares_hold_among_those_that_have_jobs(self, chance: Callable[[], float]) -> None:
        """Not so where only the first is drawn, and the list says who follows: then b had six of eight here."""
        found = shares(partial(orders.weighted, chance=chance), (5, 2, 1), among="bc")
        assert found == pytest.approx({"b": 2 / 3, "c": 1 / 3}, abs=0.04)

    def test_a_light_one_is_served_while_a_heavy_one_has_jobs(self, chance: Callable[[], float]) -> None:
        took = served(partial(orders.weighted, chance=chance), {"a": 3000, "c": 1}, weights=(50, 1, 1))
        assert took.index("c") < 2000


class TestRoundRobin:
    def test_goes_on_behind_the_queue_of_the_last_job(self) -> None:
        assert [orders.round_robin(NAMES, EVEN, last) for last in NAMES] == [
            ("b", "c", "a"),
            ("c", "a", "b"),
            ("a", "b", "c"),
        ]

    def test_a_queue_behind_an_empty_one_has_no_more_than_its_turn(self) -> None:
        """Where the start moves on by one each time, c has its own turn and that of b, which is empty."""
        took = served(orders.round_robin, {"a": 300, "b": 0, "c": 300})
        assert took in ("ac" * 300, "ca" * 300)

    def test_begins_anywhere_where_nothing_came_yet_or_its_queue_is_gone(self, chance: Callable[[], float]) -> None:
        for last in ("", "gone"):
            first = Counter(orders.round_robin(NAMES, EVEN, last, chance)[0] for _ in range(DRAWS))
            assert all(count / DRAWS == pytest.approx(1 / 3, abs=0.04) for count in first.values())

    def test_of_no_queue_is_none(self) -> None:
        assert orders.round_robin((), (), "") == ()


def test_random_gives_each_order_alike(chance: Callable[[], float]) -> None:
    found = Counter(orders.shuffled(NAMES, (50, 1, 1), "a", chance) for _ in range(DRAWS))
    assert len(found) == 6
    assert all(count / DRAWS == pytest.approx(1 / 6, abs=0.03) for count in found.values())


@pytest.mark.parametrize("order", [orders.weighted, orders.round_robin, orders.shuffled])
def test_a_forked_child_draws_for_itself(order: Order) -> None:
    """Children of a few jobs each that all drew as their parent would, would all serve the same queues."""
    names = tuple(str(number) for number in range(1000))
    drawn = []
    for _ in range(2):
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writer, order(names, [1] * 1000, "")[0].encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as said:
            drawn.append(said.read())
        os.waitpid(pid, 0)
    mine = order(names, [1] * 1000, "")[0]
    assert len({mine, *drawn}) > 1
