"""The private redis-server of taskq's own tests: the one that the kit starts."""

from __future__ import annotations

from taskq_redis.testing import RedisServer, bundled, executable

__all__ = ["RedisServer", "bundled", "executable"]
