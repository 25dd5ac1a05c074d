"""Capabilities: what is declared is kept, and what is not declared is refused with `NotSupported`."""

from __future__ import annotations

from typing import Protocol

import pytest

from taskq.broker import Broker, Capability
from taskq.errors import NotSupported, WrongConnection
from taskq.testing.contract.alongside import in_child
from taskq.testing.contract.broker.holder import ONE, THREE, TWO
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Capabilities", "Connection"]


class Connection(Protocol):
    """What the tests need of an application's own connection, as PEP 249 has it."""

    def commit(self) -> object:
        """Commit the open transaction."""

    def rollback(self) -> object:
        """Roll it back."""

    def close(self) -> object:
        """Give it back."""


class Capabilities(OnABroker):
    """Capabilities: what is declared is kept, and what is not declared is refused with `NotSupported`."""

    def make_connection(self) -> Connection:
        """Where the backend is IN_TRANSACTION: an application's own connection to the store, in a transaction."""
        raise NotImplementedError(
            f"{type(self).__name__} has no make_connection(), and its backend declares IN_TRANSACTION: give one that "
            "returns a connection with a transaction open"
        )

    def test_capabilities_are_declared(self, broker: Broker) -> None:
        """A frozen set, known before anything is connected to."""
        assert isinstance(broker.capabilities, frozenset)
        assert all(isinstance(capability, Capability) for capability in broker.capabilities)

    def test_shared_is_seen_by_another_broker(self, broker: Broker) -> None:
        """Where SHARED is declared, a broker that is made anew sees the same store."""
        if Capability.SHARED not in broker.capabilities:
            pytest.skip(f"{broker.name} is not SHARED")
        broker.push("q", [ONE])
        another = self.make_broker()
        assert list(another.peek("q", 0, 9)) == [ONE]
        another.push("q", [TWO])
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]
        another.close()

    def test_shared_is_seen_by_other_processes(self, broker: Broker) -> None:
        """In both directions, with a broker of the other process's own."""
        self.needs_processes(broker)
        broker.push("q", [ONE])

        def in_the_child() -> None:
            mine = self.make_broker()
            assert list(mine.peek("q", 0, 9)) == [ONE]
            mine.push("q", [TWO])
            mine.close()

        in_child(in_the_child, patience=self.patience)
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]

    def test_not_shared_refuses_another_process(self, broker: Broker) -> None:
        """Where SHARED is not declared, use in a forked child is refused: jobs would vanish with it."""
        if Capability.SHARED in broker.capabilities:
            pytest.skip(f"{broker.name} is SHARED")

        def in_the_child() -> None:
            for call in (lambda: broker.push("q", [ONE]), lambda: broker.size("q"), broker.check):
                with pytest.raises(NotSupported) as raised:
                    call()
                assert raised.value.backend == broker.name
                assert raised.value.capability

        broker.push("q", [TWO])
        in_child(in_the_child, patience=self.patience)
        assert list(broker.peek("q", 0, 9)) == [TWO]

    def test_push_within_is_refused_where_there_are_no_transactions(self, broker: Broker) -> None:
        """Where IN_TRANSACTION is not declared, nothing is pushed, and the error names the backend."""
        if Capability.IN_TRANSACTION in broker.capabilities:
            pytest.skip(f"{broker.name} is IN_TRANSACTION")
        with pytest.raises(NotSupported) as raised:
            broker.push_within(object(), "q", [ONE])
        assert raised.value.backend == broker.name
        assert raised.value.capability == Capability.IN_TRANSACTION.value
        assert broker.size("q") == 0

    def test_push_within_refuses_what_is_no_connection(self, broker: Broker) -> None:
        """Where it is declared, what is no connection to this store is told so, and nothing is pushed."""
        self.needs_transactions(broker)
        with pytest.raises(WrongConnection):
            broker.push_within(object(), "q", [ONE])
        assert broker.size("q") == 0

    @pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
    def test_push_within_is_there_with_the_transaction_or_not_at_all(self, broker: Broker, commits: bool) -> None:
        """Nobody sees the jobs before it commits; then they stand in their order; rolled back they never were."""
        self.needs_transactions(broker)
        broker.push("q", [THREE])
        connection = self.make_connection()
        broker.push_within(connection, "q", [ONE, TWO], front=True)
        assert list(broker.peek("q", 0, 9)) == [THREE]
        if commits:
            connection.commit()
        else:
            connection.rollback()
        connection.close()
        assert list(broker.peek("q", 0, 9)) == ([ONE, TWO, THREE] if commits else [THREE])

    def needs_transactions(self, broker: Broker) -> None:
        """Skip where an application cannot share its transaction with this backend."""
        if Capability.IN_TRANSACTION not in broker.capabilities:
            pytest.skip(f"{broker.name} is not IN_TRANSACTION")
