"""Paging: every listing gives a part, and nothing loads a whole queue."""

from __future__ import annotations

from taskq.broker import Broker
from taskq.testing.contract.broker.failures import fill
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder, job
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Paging"]


class Paging(OnABroker):
    """Paging: every listing gives a part."""

    def test_push_of_many_is_whole(self, broker: Broker) -> None:
        """Thousands of jobs in one push are all there, and the last page is no larger than it is."""
        bodies = [job(number) for number in range(5000)]
        broker.push("q", bodies)
        assert broker.size("q") == 5000
        assert list(broker.peek("q", 4998, 10)) == bodies[4998:]

    def test_peek_pages(self, broker: Broker) -> None:
        """From `start`, `count` at most; behind the end there is nothing, and no error."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        assert list(broker.peek("q", 1, 2)) == [TWO, THREE]
        assert list(broker.peek("q", 3, 2)) == [FOUR]
        assert list(broker.peek("q", 4, 2)) == []
        assert list(broker.peek("q", 0, 0)) == []
        assert list(broker.peek("none", 0, 5)) == []

    def test_peek_removes_nothing(self, broker: Broker, holder: Holder) -> None:
        """What was looked at is reserved as if nobody had looked."""
        broker.push("q", [ONE, TWO])
        broker.peek("q", 0, 2)
        assert broker.size("q") == 2
        assert holder.take("q").body == ONE

    def test_failures_page(self, broker: Broker, holder: Holder) -> None:
        """From `start`, 0 being the oldest, `count` at most, each with the position where it was seen."""
        entries = fill(broker, holder, 5)
        page = broker.failures(1, 3)
        assert [failure.entry for failure in page] == entries[1:4]
        assert [failure.position for failure in page] == [1, 2, 3]
        assert list(broker.failures(5, 3)) == []
        assert list(broker.failures(0, 0)) == []
        assert broker.failure_count() == 5
