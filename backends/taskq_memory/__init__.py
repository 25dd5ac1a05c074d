"""The in-memory backend: for tests, and the promises of `taskq.broker.Broker` in their most readable form."""

from __future__ import annotations

from taskq_memory.broker import MemoryBroker, open_broker

__all__ = ["MemoryBroker", "open_broker"]
