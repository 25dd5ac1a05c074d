"""Reserving: what is taken is recorded as in hand, in the same step, and only for who is registered."""

from __future__ import annotations

import pytest

from taskq.broker import Broker
from taskq.errors import NotRegistered
from taskq.records import Reserved, Stats
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Reserving"]


class Reserving(OnABroker):
    """Reserving: what is taken is recorded as in hand, in the same step, and only for who is registered."""

    def test_reserve_records_what_it_took(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """The job is out of its queue, and everybody sees who has it, since when, under which fence."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert taken.worker == holder.id
        assert taken.started
        assert abs(taken.run_at - broker.now()) < 60
        info = other.worker(holder.id)
        assert info is not None
        assert info.job is not None
        assert (info.job.queue, info.job.body, info.job.fence) == ("q", ONE, taken.fence)
        assert abs(info.job.run_at - taken.run_at) <= 1
        assert broker.size("q") == 0

    def test_reserve_of_no_queues_takes_nothing(self, broker: Broker, holder: Holder) -> None:
        """An empty list of queues is not all of them. What is held is answered all the same."""
        broker.push("q", [ONE, TWO])
        assert holder.reserve() == Reserved()
        assert broker.size("q") == 2
        first, second = holder.reserve("q", limit=2).jobs
        answer = holder.reserve()
        assert answer.held
        assert [(one.fence, one.started) for one in answer.jobs] == [(first.fence, True), (second.fence, False)]

    def test_reserve_by_one_who_holds_something_answers_that(self, broker: Broker, holder: Holder) -> None:
        """A worker whose answer was lost finds what it had, and takes nothing more."""
        broker.push("q", [ONE, TWO])
        taken = holder.take("q")
        again = holder.reserve("q")
        assert again.held
        assert [held.fence for held in again.jobs] == [taken.fence]
        assert [held.body for held in again.jobs] == [ONE]
        assert broker.size("q") == 1

    def test_reserve_by_an_unregistered_worker_hears_so(self, broker: Broker) -> None:
        """It takes nothing, and the error names the worker."""
        broker.push("q", [ONE])
        stranger = Holder(broker, "host:9:q")
        with pytest.raises(NotRegistered) as raised:
            stranger.reserve("q")
        assert raised.value.worker == "host:9:q"
        assert broker.size("q") == 1

    def test_reserve_under_another_process_part_hears_so(self, broker: Broker, holder: Holder) -> None:
        """The id alone is not enough: it may be somebody else's by now."""
        broker.push("q", [ONE])
        ghost = Holder(broker, holder.id)
        with pytest.raises(NotRegistered):
            ghost.reserve("q")
        assert broker.size("q") == 1

    def test_reserve_finishes_what_is_settled_in_the_same_step(self, broker: Broker, holder: Holder) -> None:
        """Finishing what is done and taking what comes next is one call."""
        broker.push("q", [ONE, TWO])
        first = holder.take("q")
        answer = holder.reserve("q", settled=[first])
        assert answer.settled
        assert not answer.held
        assert [taken.body for taken in answer.jobs] == [TWO]
        assert broker.stats() == Stats(processed=1, failed=0)
        assert not holder.finish(first)

    def test_reserve_finishes_what_is_settled_where_nothing_is_left(self, broker: Broker, holder: Holder) -> None:
        """Also where no job is there to be taken."""
        broker.push("q", [ONE])
        assert holder.reserve("q", settled=[holder.take("q")]) == Reserved()
        assert broker.stats() == Stats(processed=1, failed=0)
        assert holder.in_hand() is None

    def test_reserve_finishes_several_at_once(self, broker: Broker, holder: Holder) -> None:
        """`settled` says that those held before it ended well, too."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        first, second, third = holder.reserve("q", limit=3).jobs
        answer = holder.reserve("q", limit=3, settled=[first, second, third])
        assert answer.settled
        assert [taken.body for taken in answer.jobs] == [FOUR]
        assert broker.stats().processed == 3

    def test_reserve_with_some_left_ahead_answers_those(self, broker: Broker, holder: Holder) -> None:
        """While something is held nothing is taken."""
        broker.push("q", [ONE, TWO, THREE])
        first, second = holder.reserve("q", limit=2).jobs
        answer = holder.reserve("q", limit=2, settled=[first])
        assert answer.held
        assert [taken.fence for taken in answer.jobs] == [second.fence]
        assert broker.size("q") == 1

    def test_reserve_changes_nothing_where_somebody_else_settled(self, broker: Broker, holder: Holder) -> None:
        """The answer says so, and nothing is taken: the worker has to hear of it first."""
        broker.push("q", [ONE, TWO])
        first = holder.take("q")
        assert holder.release(first, front=False)
        assert holder.reserve("q", settled=[first]) == Reserved(settled=False)
        assert broker.stats() == Stats(0, 0)
        assert list(broker.peek("q", 0, 9)) == [TWO, ONE]
