"""The in-memory backend keeps every promise."""

from __future__ import annotations

from taskq.broker import Broker
from taskq_memory import MemoryBroker
from tests.contract.broker import BrokerContract


class TestMemory(BrokerContract):
    def make_broker(self) -> Broker:
        return MemoryBroker()
