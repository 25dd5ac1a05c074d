"""Capabilities: what is declared is kept, and what is not declared is refused with `NotSupported`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from taskq.broker import Broker, Capability
from taskq.errors import NotSupported, WrongConnection
from taskq.records import Again, ScheduledJob, Stats
from taskq.testing.contract.alongside import in_child
from taskq.testing.contract.broker.delaying import THEN, waiting_jobs
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder
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
        self.needs(broker, Capability.IN_TRANSACTION)
        with pytest.raises(WrongConnection):
            broker.push_within(object(), "q", [ONE])
        assert broker.size("q") == 0

    @pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
    def test_push_within_is_there_with_the_transaction_or_not_at_all(self, broker: Broker, commits: bool) -> None:
        """Nobody sees the jobs before it commits; then they stand in their order; rolled back they never were."""
        self.needs(broker, Capability.IN_TRANSACTION)
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

    @pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
    def test_push_within_at_is_delayed_with_the_transaction_or_not_at_all(self, broker: Broker, commits: bool) -> None:
        """With `at` it is `schedule`: nobody sees it before it commits, and it is in no queue."""
        self.needs(broker, Capability.IN_TRANSACTION)
        self.needs(broker, Capability.DELAY)
        broker.push("r", [])
        connection = self.make_connection()
        broker.push_within(connection, "q", [ONE, TWO], at=THEN)
        broker.push_within(connection, "r", [THREE])
        assert waiting_jobs(broker) == []
        if commits:
            connection.commit()
        else:
            connection.rollback()
        connection.close()
        assert waiting_jobs(broker) == ([(THEN, "q", ONE), (THEN, "q", TWO)] if commits else [])
        assert (broker.size("q"), broker.size("r")) == (0, 1 if commits else 0)

    @pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
    def test_keys_within_are_there_with_the_transaction_or_not_at_all(self, broker: Broker, commits: bool) -> None:
        """So that what a plugin keeps of a job comes with it; the transaction itself sees what it did."""
        self.needs(broker, Capability.IN_TRANSACTION)
        self.needs(broker, Capability.KEYS)
        broker.put_key("there", b"1", 60)
        connection = self.make_connection()
        broker.put_key_within(connection, "put", b"1", 60)
        assert broker.take_key_within(connection, ["there", "taken"], b"2", 60).key == "taken"
        assert broker.take_key_within(connection, ["taken"], b"3", 60).value == b"2"
        assert broker.swap_key_within(connection, "there", b"1", None)
        assert not broker.swap_key_within(connection, "put", b"2", b"3", 60)
        if commits:
            connection.commit()
        else:
            connection.rollback()
        connection.close()
        found = [broker.get_key(key) for key in ("there", "put", "taken")]
        assert found == ([None, b"1", b"2"] if commits else [b"1", None, None])

    def test_keys_within_are_refused_where_there_are_no_transactions(self, broker: Broker) -> None:
        """Where IN_TRANSACTION is not declared, nothing is changed, and the error names the backend."""
        if Capability.IN_TRANSACTION in broker.capabilities:
            pytest.skip(f"{broker.name} is IN_TRANSACTION")
        for call in (
            lambda: broker.put_key_within(object(), "a", b"1", 60),
            lambda: broker.take_key_within(object(), ["a"], b"1", 60),
            lambda: broker.swap_key_within(object(), "a", b"1", None),
        ):
            with pytest.raises(NotSupported) as raised:
                call()
            assert (raised.value.backend, raised.value.capability) == (broker.name, Capability.IN_TRANSACTION.value)

    def test_delay_is_refused_where_it_is_not_declared(self, broker: Broker) -> None:
        """Each of its calls says so, naming the backend, and a job that was to wait is neither lost nor run early."""
        if Capability.DELAY in broker.capabilities:
            pytest.skip(f"{broker.name} has DELAY")
        waiting = ScheduledJob(THEN, "q", ONE)
        calls: list[Callable[[], object]] = [
            lambda: broker.schedule(THEN, "q", [ONE]),
            lambda: broker.claim_schedule("me", 60),
            lambda: broker.give_up_schedule("me"),
            lambda: broker.promote_due("me", THEN, 9),
            broker.next_due,
            lambda: broker.wait_due(None, 0),
            lambda: broker.scheduled(0, 0, 9),
            lambda: broker.scheduled_times(0, 9),
            broker.scheduled_time_count,
            lambda: broker.scheduled_at("q", ONE),
            lambda: broker.unschedule("q", ONE),
            lambda: broker.promote(waiting),
            lambda: broker.bury(waiting, b"{}"),
            lambda: broker.withdraw(waiting),
            broker.clear_scheduled,
            lambda: broker.fire("me", "hourly", THEN, "q", [ONE]),
            lambda: broker.last_fired(["hourly"]),
            broker.schedules,
            lambda: broker.put_schedule("hourly", b"{}"),
        ]
        self.refused(broker, calls, Capability.DELAY)
        assert broker.size("q") == 0

    def test_delay_that_is_not_declared_is_refused_in_settling(self, broker: Broker, holder: Holder) -> None:
        """A job that was to wait for its next try stays in hand, with nothing counted and nothing written."""
        if Capability.DELAY in broker.capabilities:
            pytest.skip(f"{broker.name} has DELAY")
        broker.push("q", [ONE])
        taken, again = holder.take("q"), Again(at=THEN)
        calls: list[Callable[[], object]] = [
            lambda: holder.release(taken, at=THEN),
            lambda: broker.fail(taken, holder.tokens.next(), b"{}", again=again),
            lambda: broker.recover(holder.seen(), None, again=again),
            lambda: broker.recover(holder.seen(), b"{}", again=again),
        ]
        self.refused(broker, calls, Capability.DELAY)
        assert (holder.in_hand(), broker.size("q"), broker.failure_count()) == (ONE, 0, 0)
        assert broker.stats() == Stats(0, 0)
        assert holder.finish(taken)

    def test_keys_are_refused_where_they_are_not_declared(self, broker: Broker) -> None:
        """Each of their calls says so: a lock that nobody keeps is worse than none."""
        if Capability.KEYS in broker.capabilities:
            pytest.skip(f"{broker.name} has KEYS")
        calls: list[Callable[[], object]] = [
            lambda: broker.get_key("a"),
            lambda: broker.put_key("a", b"1", 60),
            lambda: broker.take_key(["a"], b"1", 60),
            lambda: broker.swap_key("a", b"1", b"2", 60),
            lambda: broker.add_key("a", 1, 60),
            lambda: broker.await_key("a", None, 0),
        ]
        self.refused(broker, calls, Capability.KEYS)
        assert broker.foreign_key("a") is None

    def test_ahead_is_refused_where_it_is_not_declared(self, broker: Broker, holder: Holder) -> None:
        """And nothing is taken."""
        if Capability.AHEAD in broker.capabilities:
            pytest.skip(f"{broker.name} has AHEAD")
        broker.push("q", [ONE, TWO])
        holder.take("q")
        self.refused(broker, [lambda: holder.reserve_ahead("q")], Capability.AHEAD)
        assert (broker.size("q"), holder.ahead()) == (1, [])

    def refused(self, broker: Broker, calls: Sequence[Callable[[], object]], capability: Capability) -> None:
        """Each of these calls is refused for want of that."""
        for call in calls:
            with pytest.raises(NotSupported) as raised:
                call()
            assert raised.value.backend == broker.name
            assert raised.value.capability == capability.value
