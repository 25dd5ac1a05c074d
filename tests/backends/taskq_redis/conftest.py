"""Brokers on the private server, straight and through a proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from taskq_redis import RedisBroker, open_broker
from taskq_redis.testing import RedisServer
from tests.support.proxy import Proxy


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A look into Redis beside the broker."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = open_broker(redis_server.url)
    yield broker
    broker.close()


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", redis_server.port)) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy) -> Iterator[RedisBroker]:
    """A broker behind the proxy."""
    broker = open_broker(proxy.url)
    yield broker
    broker.close()
