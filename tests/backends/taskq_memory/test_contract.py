"""The in-memory backend keeps every promise."""

from __future__ import annotations

from taskq.broker import Broker
from taskq.testing.contract import BrokerContract
from taskq_memory import MemoryBroker


class TestMemory(BrokerContract):
    def make_broker(self) -> Broker:
        return MemoryBroker()
