"""Order: a queue is first in, first out, and what goes to the front goes ahead of all."""

from __future__ import annotations

from taskq.broker import Broker
from taskq.records import Reserved
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Order"]


class Order(OnABroker):
    """Order and front: a queue is first in, first out, and what goes to the front goes ahead of all."""

    def test_push_keeps_order(self, broker: Broker) -> None:
        """Jobs of one push and of several stand in the order in which they came."""
        broker.push("q", [ONE, TWO])
        broker.push("q", [THREE])
        assert list(broker.peek("q", 0, 10)) == [ONE, TWO, THREE]

    def test_push_to_the_front_goes_ahead_in_its_own_order(self, broker: Broker) -> None:
        """Several that go ahead stand in their own order before what was there."""
        broker.push("q", [THREE])
        broker.push("q", [ONE, TWO], front=True)
        assert list(broker.peek("q", 0, 10)) == [ONE, TWO, THREE]

    def test_reserve_takes_the_first_of_the_first_queue_that_has_one(self, broker: Broker, holder: Holder) -> None:
        """The queues are looked at in the order given, each from its front."""
        broker.push("low", [ONE])
        broker.push("high", [TWO, THREE])
        for expected in [("high", TWO), ("high", THREE), ("low", ONE)]:
            taken = holder.take("none", "high", "low")
            assert (taken.queue, taken.body) == expected
            assert holder.finish(taken)
        assert holder.reserve("none", "high", "low") == Reserved()

    def test_reserve_of_many_keeps_their_order(self, broker: Broker, holder: Holder) -> None:
        """Up to `limit`, the first queue's before the second's; the first counts as begun, the rest as held ahead."""
        broker.push("b", [THREE, FOUR])
        broker.push("a", [ONE, TWO])
        jobs = holder.reserve("a", "b", limit=3).jobs
        assert [(taken.queue, taken.body) for taken in jobs] == [("a", ONE), ("a", TWO), ("b", THREE)]
        assert [taken.started for taken in jobs] == [True, False, False]
        assert len({taken.fence for taken in jobs}) == 3
        assert broker.size("b") == 1
        assert holder.in_hand() == ONE
        assert holder.ahead() == [TWO, THREE]

    def test_release_puts_back_to_the_front_or_the_back(self, broker: Broker, holder: Holder) -> None:
        """To the front where nothing else is said; behind all with `front=False`."""
        broker.push("q", [ONE, TWO])
        assert holder.release(holder.take("q"))
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]
        assert holder.release(holder.take("q"), front=False)
        assert list(broker.peek("q", 0, 9)) == [TWO, ONE]

    def test_release_of_several_keeps_their_order_ahead_of_what_is_there(self, broker: Broker, holder: Holder) -> None:
        """Each goes to the front of its own queue, those of one queue in their order."""
        broker.push("a", [ONE, TWO, FOUR])
        broker.push("b", [THREE])
        jobs = holder.reserve("b", "a", limit=3).jobs
        assert [taken.body for taken in jobs] == [THREE, ONE, TWO]
        assert holder.release(*jobs)
        assert list(broker.peek("a", 0, 9)) == [ONE, TWO, FOUR]
        assert list(broker.peek("b", 0, 9)) == [THREE]
        assert holder.in_hand() is None

    def test_release_of_several_to_the_back_keeps_their_order(self, broker: Broker, holder: Holder) -> None:
        """Behind what is there, in their order."""
        broker.push("q", [ONE, TWO, THREE])
        assert holder.release(*holder.reserve("q", limit=2).jobs, front=False)
        assert list(broker.peek("q", 0, 9)) == [THREE, ONE, TWO]

    def test_recover_gives_back_what_never_started_in_order(self, broker: Broker, holder: Holder) -> None:
        """Those that a dead worker held ahead stand at the front of their queues again, as they stood."""
        broker.push("a", [ONE, TWO])
        broker.push("b", [THREE, FOUR])
        holder.reserve("a", "b", limit=3)
        assert broker.recover(holder.seen(), b'{"dead":1}')
        assert list(broker.peek("a", 0, 9)) == [TWO]
        assert list(broker.peek("b", 0, 9)) == [THREE, FOUR]

    def test_recover_requeues_ahead_of_what_never_started(self, broker: Broker, holder: Holder) -> None:
        """The one in hand comes first again."""
        broker.push("q", [ONE, TWO, THREE])
        holder.reserve("q", limit=2)
        assert broker.recover(holder.seen(), None)
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO, THREE]
