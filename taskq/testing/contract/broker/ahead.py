"""Asking ahead: what is taken lies behind what is held, and the answer is heard when it is wanted."""

from __future__ import annotations

import pytest

from taskq.broker import Broker, Capability
from taskq.errors import NotRegistered
from taskq.records import Stats
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Ahead"]


class Ahead(OnABroker):
    """Asking ahead: what is taken lies behind what is held, and the answer is heard when it is wanted."""

    capability = Capability.AHEAD

    def test_reserve_ahead_holds_behind_what_is_held(self, broker: Broker, holder: Holder) -> None:
        """In the order of the queue; none of it has begun."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        first, _ = holder.reserve("q", limit=2).jobs
        answer = holder.reserve_ahead("q", limit=1)()
        assert [(held.worker, held.queue, held.body, held.started) for held in answer.jobs] == [
            (holder.id, "q", THREE, False)
        ]
        assert abs(answer.jobs[0].run_at - broker.now()) < 60
        assert (holder.in_hand(), holder.ahead(), list(broker.peek("q", 0, 9))) == (ONE, [TWO, THREE], [FOUR])
        assert holder.seen().ahead[1].fence == answer.jobs[0].fence != first.fence

    def test_reserve_ahead_looks_at_the_queues_in_order(self, broker: Broker, holder: Holder) -> None:
        """The next queue fills what the one before it left."""
        broker.push("q", [ONE, TWO])
        broker.push("r", [THREE, FOUR])
        holder.take("q")
        jobs = holder.reserve_ahead("empty", "q", "r", limit=2)().jobs
        assert [(held.queue, held.body) for held in jobs] == [("q", TWO), ("r", THREE)]

    def test_reserve_ahead_is_performed_in_its_turn(self, broker: Broker, holder: Holder) -> None:
        """Who begins or ends one of them says that all before it ended well."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        holder.reserve("q", limit=2)
        third, fourth = holder.reserve_ahead("q")().jobs
        broker.note(third)
        assert (holder.in_hand(), holder.ahead()) == (THREE, [FOUR])
        assert holder.reserve("q", settled=[fourth]).settled
        assert broker.stats() == Stats(processed=4, failed=0)
        assert (holder.in_hand(), holder.ahead()) == (None, [])

    def test_reserve_ahead_that_failed_ends_those_before_it(self, broker: Broker, holder: Holder) -> None:
        """Also those that another call took."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        holder.reserve("q", limit=2)
        third, _ = holder.reserve_ahead("q")().jobs
        assert holder.fail(third, b"{}")
        assert broker.stats() == Stats(processed=3, failed=1)
        assert (holder.in_hand(), holder.ahead()) == (None, [FOUR])

    def test_reserve_ahead_takes_nothing_where_nothing_is_in_hand(self, broker: Broker, holder: Holder) -> None:
        """Whoever has none waits for `reserve`, which says that one begins."""
        broker.push("q", [ONE, TWO, THREE])
        assert holder.reserve_ahead("q")().jobs == ()
        first, second = holder.reserve("q", limit=2).jobs
        assert holder.fail(first, b"{}")
        assert holder.reserve_ahead("q")().jobs == ()
        assert (holder.ahead(), broker.size("q")) == ([second.body], 1)

    def test_reserve_ahead_heard_again_is_the_same(self, broker: Broker, holder: Holder) -> None:
        """Where an answer was lost, it is asked for again, and nothing more is taken."""
        broker.push("q", [ONE, TWO, THREE])
        holder.take("q")
        answer = holder.reserve_ahead("q", limit=1)
        first, again = answer(), answer()
        assert [held.fence for held in first.jobs] == [held.fence for held in again.jobs]
        assert [held.body for held in again.jobs] == [TWO]
        assert (holder.ahead(), broker.size("q")) == ([TWO], 1)

    def test_reserve_ahead_that_was_overtaken_takes_nothing(self, broker: Broker, holder: Holder) -> None:
        """A later call was heard before it: whoever made that reckons with what it held then."""
        broker.push("q", [ONE, TWO, THREE])
        first, _ = holder.reserve("q", limit=2).jobs
        token = holder.tokens.next()
        assert holder.fail(first, b"{}")
        assert holder.reserve_ahead("q", token=token)().jobs == ()
        assert (holder.ahead(), broker.size("q")) == ([TWO], 1)

    def test_reserve_ahead_heard_after_a_later_call_is_the_same(self, broker: Broker, holder: Holder) -> None:
        """What it took before that stays taken."""
        broker.push("q", [ONE, TWO, THREE])
        first = holder.take("q")
        answer = holder.reserve_ahead("q")
        assert [held.body for held in answer().jobs] == [TWO, THREE]
        assert holder.fail(first, b"{}")
        assert [held.body for held in answer().jobs] == [TWO, THREE]

    def test_reserve_ahead_takes_nothing_from_what_is_paused(self, broker: Broker, holder: Holder) -> None:
        """Neither from a paused queue, nor from any while all is paused."""
        broker.push("q", [ONE, TWO])
        broker.push("r", [THREE])
        holder.take("q")
        broker.pause("q")
        assert [held.body for held in holder.reserve_ahead("q", "r")().jobs] == [THREE]
        broker.unpause("q")
        broker.pause()
        assert holder.reserve_ahead("q", "r")().jobs == ()
        assert broker.size("q") == 1

    def test_reserve_ahead_of_one_not_registered_says_so(self, broker: Broker, holder: Holder) -> None:
        """When the answer is heard."""
        broker.push("q", [ONE, TWO])
        holder.take("q")
        ghost = Holder(broker, holder.id)
        answer = ghost.reserve_ahead("q")
        with pytest.raises(NotRegistered):
            answer()
        assert (holder.ahead(), broker.size("q")) == ([], 1)

    def test_reserve_ahead_goes_back_in_order(self, broker: Broker, holder: Holder) -> None:
        """With what was held before it: the queue is as it was."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        _, second = holder.reserve("q", limit=2).jobs
        (third,) = holder.reserve_ahead("q", limit=1)().jobs
        assert holder.release(second, third)
        assert list(broker.peek("q", 0, 9)) == [TWO, THREE, FOUR]
        assert (holder.in_hand(), holder.ahead()) == (ONE, [])

    def test_reserve_ahead_of_a_dead_worker_goes_back_in_order(
        self, broker: Broker, other: Broker, holder: Holder
    ) -> None:
        """None of it had begun, whether its answer was heard or not."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        holder.reserve("q", limit=2)
        holder.reserve_ahead("q", limit=1)()
        assert holder.ahead() == [TWO, THREE]
        assert other.recover(holder.seen(), b"{}")
        assert list(broker.peek("q", 0, 9)) == [TWO, THREE, FOUR]
        assert broker.failure_count() == 1
