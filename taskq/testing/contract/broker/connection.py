"""The connection and the clock."""

from __future__ import annotations

import time

from taskq.broker import Broker
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Connection"]


class Connection(OnABroker):
    """The connection and the clock."""

    def test_check_returns_where_the_broker_answers(self, broker: Broker) -> None:
        """`check` raises nothing where all is well."""
        broker.check()

    def test_now_is_unix_seconds_and_goes_on(self, broker: Broker) -> None:
        """The broker's time may differ from ours; it does not go back between two looks."""
        first = broker.now()
        assert abs(first - time.time()) < 366 * 86_400, "that is no time in unix seconds"
        assert broker.now() >= first

    def test_close_may_come_twice_or_first(self) -> None:
        """A broker that was never used is closed like any other."""
        broker = self.make_broker()
        broker.close()
        broker.close()

    def test_close_leaves_the_store_to_others(self, broker: Broker, other: Broker) -> None:
        """What was pushed before is there for whoever comes next."""
        broker.push("q", [b"{}"])
        if other is not broker:
            other.close()
        assert broker.size("q") == 1

    def test_name_and_address_are_for_people(self, broker: Broker) -> None:
        """Both say something, and fit on a line."""
        for text in (broker.name, broker.address):
            assert text
            assert text.isprintable()
