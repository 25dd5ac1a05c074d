"""Keys: what locks, limits and results are made of; each changes in one step, and expires."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from taskq.broker import Broker, Capability
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.broker.stage import Doing, OnABroker

__all__ = ["Keys"]

_VALUES: Final = [b"", b"\0", b"\xff\xfe", b"17", b"-1", b'{"a":[1.0]}', b"x" * 20_000]
_NAMES: Final = ["", "a:b", "sp ace", "new\nline", "ü✓", "*", "{tag}", "nul\0"]


class Keys(OnABroker):
    """Keys: what locks, limits and results are made of; each changes in one step, and expires."""

    capability = Capability.KEYS

    # ---- one key

    def test_get_key_of_none_is_none(self, broker: Broker) -> None:
        """So it is of no other program's."""
        assert broker.get_key("unique:a") is None
        assert broker.foreign_key("unique:a") is None

    @pytest.mark.parametrize("value", _VALUES, ids=lambda value: repr(value[:8]))
    def test_put_key_keeps_bytes_exactly(self, broker: Broker, other: Broker, value: bytes) -> None:
        """Whatever they are, for everybody."""
        broker.put_key("results:1", value, 60)
        assert other.get_key("results:1") == value

    @pytest.mark.parametrize("key", _NAMES, ids=repr)
    def test_put_key_takes_any_name(self, broker: Broker, key: str) -> None:
        """A name is any text; what is called so elsewhere, a queue or another key, is another thing."""
        broker.put_key(key, b"1", 60)
        broker.put_key(f"{key}:", b"2", 60)
        assert broker.get_key(key) == b"1"
        assert list(broker.queues()) == []
        assert broker.swap_key(key, b"1", None)
        assert (broker.get_key(key), broker.get_key(f"{key}:")) == (None, b"2")

    def test_put_key_sets_it_whatever_it_held(self, broker: Broker, other: Broker) -> None:
        """With the time that is given with it."""
        broker.put_key("a", b"1", 5)
        other.put_key("a", b"2", 60)
        assert broker.get_key("a") == b"2"
        assert self.left(broker, "a") > 5

    def test_put_key_expires(self, broker: Broker) -> None:
        """By itself, after its time; what has longer stays."""
        broker.put_key("long", b"1", 60)
        broker.put_key("short", b"1", 0.05)
        self.until(lambda: broker.get_key("short") is None)
        assert broker.get_key("long") == b"1"

    # ---- taking

    def test_take_key_gives_it_to_one(self, broker: Broker, other: Broker) -> None:
        """The second hears what it holds, and how long that stays at most."""
        mine = broker.take_key(["unique:a"], b"me", 60)
        assert (mine.key, mine.value, mine.left) == ("unique:a", b"me", 0.0)
        theirs = other.take_key(["unique:a"], b"them", 60)
        assert (theirs.key, theirs.value) == (None, b"me")
        assert 0 < theirs.left <= 60
        assert broker.get_key("unique:a") == b"me"

    def test_take_key_takes_the_first_that_is_free(self, broker: Broker) -> None:
        """Of several, as many hold one each as there are; the next hears when the first of them expires."""
        seats = ["limit:1", "limit:2", "limit:3"]
        broker.put_key("limit:2", b"other", 30)
        assert [broker.take_key(seats, b"me", 60).key for _ in range(3)] == ["limit:1", "limit:3", None]
        full = broker.take_key(seats, b"late", 60)
        assert full.value == b"me"
        assert 0 < full.left <= 30
        assert [broker.get_key(seat) for seat in seats] == [b"me", b"other", b"me"]

    def test_take_key_of_one_that_expired_takes_it(self, broker: Broker) -> None:
        """Whose holder died is free again after its time."""
        broker.take_key(["a"], b"dead", 0.05)
        self.until(lambda: broker.take_key(["a"], b"me", 60).key == "a")
        assert broker.get_key("a") == b"me"

    def test_take_key_side_by_side_gives_each_to_one(self, broker: Broker, other: Broker) -> None:
        """Of many who ask at once as many get one as there are."""
        takes = [
            partial(on.take_key, ["a", "b"], b"%d" % number, 60)
            for number, on in enumerate([broker, other, broker, other])
        ]
        taken = [one.key for one in side_by_side(*takes)]
        assert sorted(key for key in taken if key is not None) == ["a", "b"]

    # ---- swapping

    def test_swap_key_changes_what_holds_the_old_value(self, broker: Broker, other: Broker) -> None:
        """And nothing else: what belongs to somebody else by now is left alone."""
        broker.put_key("a", b"1", 60)
        assert other.swap_key("a", b"1", b"2", 60)
        assert not broker.swap_key("a", b"1", b"3", 60)
        assert broker.get_key("a") == b"2"
        assert not broker.swap_key("none", b"1", b"2", 60)
        assert broker.get_key("none") is None

    def test_swap_key_with_the_same_extends_it(self, broker: Broker) -> None:
        """It lives for so many seconds from then; who holds it no more extends nothing."""
        broker.put_key("a", b"me", 5)
        assert not broker.swap_key("a", b"another", b"another", 600)
        assert self.left(broker, "a") <= 5
        assert broker.swap_key("a", b"me", b"me", 600)
        assert self.left(broker, "a") > 300

    def test_swap_key_with_none_removes_it(self, broker: Broker, other: Broker) -> None:
        """A holder that lost it releases nobody else's."""
        broker.put_key("a", b"me", 60)
        assert not other.swap_key("a", b"another", None)
        assert broker.get_key("a") == b"me"
        assert other.swap_key("a", b"me", None)
        assert broker.get_key("a") is None
        assert not broker.swap_key("a", b"me", None)

    def test_swap_key_of_one_that_expired_changes_nothing(self, broker: Broker) -> None:
        """It is not there any more."""
        broker.put_key("a", b"me", 0.05)
        self.until(lambda: broker.get_key("a") is None)
        assert not broker.swap_key("a", b"me", b"me", 60)
        assert broker.get_key("a") is None

    def test_swap_key_side_by_side_changes_it_once(self, broker: Broker, other: Broker) -> None:
        """Of many who saw the same one is right."""
        broker.put_key("a", b"old", 60)
        swaps = [partial(on.swap_key, "a", b"old", b"new", 60) for on in (broker, other, broker, other)]
        assert sorted(side_by_side(*swaps)) == [False, False, False, True]

    # ---- counting

    def test_add_key_counts(self, broker: Broker, other: Broker) -> None:
        """From 0; what is taken away is added too, also below."""
        assert broker.add_key("n", 2, 60) == 2
        assert other.add_key("n", 3, 60) == 5
        assert broker.add_key("n", -6, 60) == -1
        assert int(broker.get_key("n") or b"") == -1

    def test_add_key_lives_from_its_first_on(self, broker: Broker) -> None:
        """Later ones do not keep it alive; after its time it begins at 0 again."""
        broker.add_key("n", 1, 5)
        broker.add_key("n", 1, 600)
        assert self.left(broker, "n") <= 5
        broker.add_key("short", 5, 0.05)
        self.until(lambda: broker.get_key("short") is None)
        assert broker.add_key("short", 1, 60) == 1

    def test_add_key_side_by_side_loses_none(self, broker: Broker, other: Broker) -> None:
        """All that many add at once is in it, and each hears another sum."""

        def add(on: Broker) -> list[int]:
            return [on.add_key("n", 1, 60) for _ in range(10)]

        heard = side_by_side(*(partial(add, on) for on in (broker, other, broker, other)))
        assert sorted(number for numbers in heard for number in numbers) == list(range(1, 41))

    # ---- waiting

    def test_await_key_wakes_when_it_is_set(self, broker: Broker, other: Broker, doing: Doing) -> None:
        """By another; where it was set before the call, at once."""
        waiting = doing(lambda: broker.await_key("results:1", None, 2 * self.patience))
        other.put_key("results:1", b"done", 60)
        assert waiting.result(timeout=self.patience) == b"done"
        began = time.monotonic()
        assert broker.await_key("results:1", None, self.patience) == b"done"
        assert time.monotonic() - began < self.patience / 2

    def test_await_key_wakes_on_every_change(self, broker: Broker, other: Broker, doing: Doing) -> None:
        """Put, swapped, counted, removed, taken."""
        changes: list[tuple[Callable[[], object], bytes | None]] = [
            (lambda: other.put_key("a", b"1", 60), b"1"),
            (lambda: other.swap_key("a", b"1", b"2", 60), b"2"),
            (lambda: other.add_key("a", 1, 60), b"3"),
            (lambda: other.swap_key("a", b"3", None), None),
            (lambda: other.take_key(["a"], b"4", 60), b"4"),
        ]
        seen: bytes | None = None
        for change, becomes in changes:
            waiting = doing(partial(broker.await_key, "a", seen, 2 * self.patience))
            change()
            assert waiting.result(timeout=self.patience) == becomes
            seen = becomes

    def test_await_key_sees_it_expire(self, broker: Broker) -> None:
        """Which nobody tells of."""
        broker.put_key("a", b"1", 0.3)
        began = time.monotonic()
        assert broker.await_key("a", b"1", self.patience) is None
        assert time.monotonic() - began < self.patience / 2

    def test_await_key_ends_at_its_timeout(self, broker: Broker, other: Broker) -> None:
        """With what it holds, though that is what was seen; what becomes of other keys is nothing to it."""
        broker.put_key("a", b"1", 60)
        other.put_key("b", b"1", 60)
        began = time.monotonic()
        assert broker.await_key("a", b"1", 0.2) == b"1"
        assert broker.await_key("none", None, 0.01) is None
        assert 0.2 <= time.monotonic() - began < self.patience / 2

    # ---- what the tests above are made of

    def left(self, broker: Broker, key: str) -> float:
        """Seconds that a key has left, which must be there."""
        taken = broker.take_key([key], b"", 1)
        assert taken.key is None
        return taken.left

    def until(self, so: Callable[[], bool]) -> None:
        """Wait until something is so, which must come."""
        deadline = time.monotonic() + self.patience
        while not so():
            assert time.monotonic() < deadline
