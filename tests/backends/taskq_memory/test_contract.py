"""The in-memory backend keeps every promise; so does one that promises less."""

from __future__ import annotations

from typing import Any

from taskq.broker import Broker, Capability
from taskq.records import Again
from taskq.testing.contract import BrokerContract
from taskq.testing.contract.broker import Capabilities, Conservation, Recurring
from taskq_memory import MemoryBroker


class TestMemory(BrokerContract):
    def make_broker(self) -> Broker:
        return MemoryBroker()


class Plain(MemoryBroker):
    """A broker whose author left out what is left to authors."""

    capabilities = frozenset()
    schedule = Broker.schedule
    claim_schedule = Broker.claim_schedule
    give_up_schedule = Broker.give_up_schedule
    promote_due = Broker.promote_due
    next_due = Broker.next_due
    wait_due = Broker.wait_due
    scheduled = Broker.scheduled
    scheduled_times = Broker.scheduled_times
    scheduled_time_count = Broker.scheduled_time_count
    scheduled_at = Broker.scheduled_at
    unschedule = Broker.unschedule
    promote = Broker.promote
    bury = Broker.bury
    withdraw = Broker.withdraw
    clear_scheduled = Broker.clear_scheduled
    drain_scheduled = Broker.drain_scheduled
    fire = Broker.fire
    last_fired = Broker.last_fired
    schedules = Broker.schedules
    put_schedule = Broker.put_schedule
    get_key = Broker.get_key
    put_key = Broker.put_key
    take_key = Broker.take_key
    swap_key = Broker.swap_key
    add_key = Broker.add_key
    await_key = Broker.await_key
    reserve_ahead = Broker.reserve_ahead

    def release(self, *args: Any, at: float | None = None, **kwargs: Any) -> bool:
        if at is not None:
            raise self._has_no(Capability.DELAY)
        return super().release(*args, **kwargs)

    def fail(self, *args: Any, again: Again | None = None, **kwargs: Any) -> bool:
        if again is not None and again.at is not None:
            raise self._has_no(Capability.DELAY)
        return super().fail(*args, again=again, **kwargs)

    def recover(self, *args: Any, again: Again | None = None, **kwargs: Any) -> bool:
        if again is not None and again.at is not None:
            raise self._has_no(Capability.DELAY)
        return super().recover(*args, again=again, **kwargs)


class TestOneWithoutCapabilities(Capabilities, Recurring, Conservation):
    def make_broker(self) -> Broker:
        return Plain()
