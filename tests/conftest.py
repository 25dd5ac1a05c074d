"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.redis_server import RedisServer

# An example is slow because the machine is busy, not because the code is: no test here is timed.
hypothesis.settings.register_profile("taskq", deadline=None, print_blob=True)
hypothesis.settings.load_profile("taskq")


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    """One private redis-server for all tests of a run. Ask for `redis_server`, which is empty."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """A private redis-server with nothing in it."""
    with redis_process.client() as client:
        client.flushall()
    return redis_process
