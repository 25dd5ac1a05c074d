"""The backend on Redis, the reference: it shares Resque's keys with Ruby's workers, producers and dashboards."""

from __future__ import annotations

from taskq_redis.broker import RedisBroker, open_broker

__all__ = ["RedisBroker", "open_broker"]
