"""Pausing: nothing more is reserved, and jobs in hand go on."""

from __future__ import annotations

from taskq.broker import Broker
from taskq.records import Paused, Reserved
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Pausing"]


class Pausing(OnABroker):
    """Pausing: nothing more is reserved, and jobs in hand go on."""

    def test_pause_of_all_and_of_one_are_two_things(self, broker: Broker, other: Broker) -> None:
        """Each is undone by itself; pausing twice is pausing once."""
        assert broker.paused() == Paused()
        broker.pause()
        broker.pause("a")
        broker.pause("a")
        broker.pause("b")
        assert other.paused() == Paused(all=True, queues=frozenset({"a", "b"}))
        other.unpause()
        other.unpause("a")
        assert broker.paused() == Paused(all=False, queues=frozenset({"b"}))
        broker.unpause("never paused")

    def test_pause_makes_no_queue(self, broker: Broker) -> None:
        """A queue may be paused before there is one."""
        broker.pause("q")
        assert list(broker.queues()) == []

    def test_reserve_takes_nothing_while_all_is_paused(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """From no queue, whoever paused it."""
        broker.push("q", [ONE])
        other.pause()
        assert holder.reserve("q") == Reserved()
        other.unpause()
        assert holder.take("q").body == ONE

    def test_reserve_takes_nothing_from_a_paused_queue(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """It goes on to the next one, and comes back when the pause is over."""
        broker.push("a", [ONE])
        broker.push("b", [TWO])
        other.pause("a")
        taken = holder.take("a", "b")
        assert taken.body == TWO
        other.unpause("a")
        (taken,) = holder.reserve("a", "b", settled=[taken]).jobs
        assert taken.body == ONE

    def test_reserve_settles_also_while_paused(self, broker: Broker, holder: Holder) -> None:
        """What was in hand is finished; nothing new is taken."""
        broker.push("q", [ONE, TWO])
        taken = holder.take("q")
        broker.pause()
        assert holder.reserve("q", settled=[taken]) == Reserved()
        assert broker.stats().processed == 1

    def test_pause_lets_jobs_in_hand_go_on(self, broker: Broker, holder: Holder) -> None:
        """Those held ahead too: each is settled as ever."""
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        broker.pause()
        broker.pause("q")
        assert holder.finish(first)
        assert holder.fail(second, b"{}")
        assert holder.release(third)
        assert broker.stats().processed == 2
        assert list(broker.peek("q", 0, 9)) == [THREE]
