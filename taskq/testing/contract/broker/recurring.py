"""Recurring jobs: each tick of a schedule is fired once, however many schedulers there are."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from taskq.broker import Broker, Capability
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.broker.delaying import THEN, waiting_jobs
from taskq.testing.contract.broker.holder import ONE, TWO
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Recurring"]

_ANOTHER: Final = "host:2:scheduler"


class Recurring(OnABroker):
    """Recurring jobs: each tick of a schedule is fired once, however many schedulers there are."""

    capability = Capability.DELAY

    @pytest.fixture
    def master(self, broker: Broker) -> str:
        """The scheduler that holds the lock."""
        return broker.claim_schedule("host:1:scheduler", 60)

    def test_fire_pushes_a_tick_once(self, broker: Broker, other: Broker, master: str) -> None:
        """To the end of the queue; the same tick again, or one that lies before it, is no tick any more."""
        broker.push("q", [TWO])
        assert broker.fire(master, "hourly", THEN, "q", [ONE])
        assert not other.fire(master, "hourly", THEN, "q", [ONE])
        assert not broker.fire(master, "hourly", THEN - 60, "q", [ONE])
        assert list(broker.peek("q", 0, 9)) == [TWO, ONE]
        assert broker.fire(master, "hourly", THEN + 60, "q", [ONE])
        assert broker.size("q") == 3

    def test_fire_of_fractions_of_a_second(self, broker: Broker, master: str) -> None:
        """Ticks of every half second are two a second."""
        ticks = [THEN, THEN + 0.5, THEN + 0.5, THEN + 1]
        assert [broker.fire(master, "often", tick, "q", [ONE]) for tick in ticks] == [True, True, False, True]
        assert broker.last_fired(["often"]) == {"often": THEN + 1}

    def test_fire_side_by_side_pushes_once(self, broker: Broker, other: Broker, master: str) -> None:
        """Of all who fire the same tick one does."""
        fires = [partial(on.fire, master, "hourly", THEN, "q", [ONE]) for on in (broker, other, broker, other)]
        assert sorted(side_by_side(*fires)) == [False, False, False, True]
        assert list(broker.peek("q", 0, 9)) == [ONE]

    def test_fire_without_the_lock_pushes_nothing(self, broker: Broker, other: Broker, master: str) -> None:
        """The tick is as it was: whoever holds the lock fires it."""
        assert not other.fire(_ANOTHER, "hourly", THEN, "q", [ONE])
        assert broker.size("q") == 0
        assert broker.last_fired(["hourly"]) == {}
        broker.give_up_schedule(master)
        assert not broker.fire(master, "hourly", THEN, "q", [ONE])
        assert other.claim_schedule(_ANOTHER, 60) == _ANOTHER
        assert other.fire(_ANOTHER, "hourly", THEN, "q", [ONE])

    def test_fire_of_nothing_notes_the_tick(self, broker: Broker, master: str) -> None:
        """One that is skipped: no job, no queue, and it is over."""
        assert broker.fire(master, "hourly", THEN, "q", [])
        assert broker.last_fired(["hourly"]) == {"hourly": THEN}
        assert not broker.fire(master, "hourly", THEN, "q", [ONE])
        assert list(broker.queues()) == []

    def test_fire_is_work_at_once(self, broker: Broker, other: Broker, master: str) -> None:
        """It wakes who waits, and nothing is delayed by it."""
        broker.fire(master, "hourly", THEN, "q", [ONE])
        assert other.wait(["q"], self.patience)
        assert waiting_jobs(broker) == []

    def test_last_fired_tells_those_that_were(self, broker: Broker, other: Broker, master: str) -> None:
        """By name; one that never fired is left out, and a schedule that is removed has its past."""
        broker.fire(master, "hourly", THEN, "q", [ONE])
        broker.fire(master, "daily ü:x", THEN + 5, "q", [ONE])
        assert other.last_fired(["daily ü:x", "never", "hourly"]) == {"hourly": THEN, "daily ü:x": THEN + 5}
        assert other.last_fired([]) == {}

    def test_schedules_are_those_that_were_put(self, broker: Broker, other: Broker) -> None:
        """As they were written, by name; the last one counts."""
        assert broker.schedules() == {}
        assert not broker.put_schedule("hourly", b'{"cron":"0 * * * *"}')
        assert not broker.put_schedule("daily ü:x", b'{"every":"1d", "args":["\xc3\xbc"]}')
        assert other.put_schedule("hourly", b'{"every":"1h"}')
        assert other.schedules() == {"hourly": b'{"every":"1h"}', "daily ü:x": b'{"every":"1d", "args":["\xc3\xbc"]}'}

    def test_put_schedule_of_none_removes_it(self, broker: Broker, other: Broker) -> None:
        """It answers whether one was there."""
        broker.put_schedule("hourly", b'{"every":"1h"}')
        broker.put_schedule("daily", b'{"every":"1d"}')
        assert other.put_schedule("hourly", None)
        assert not other.put_schedule("hourly", None)
        assert broker.schedules() == {"daily": b'{"every":"1d"}'}
