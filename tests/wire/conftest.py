"""What the replays start from: an empty private Redis, a client of it, an application with the recordings' jobs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from taskq import TaskQ
from taskq_redis.testing import RedisServer
from tests.wire import jobs


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The recordings were made in UTC, but for 33."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[TaskQ]:
    """An application on that Redis."""
    with TaskQ(broker=redis_server.unix_url, registry=jobs.REGISTRY) as app:
        yield app


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The pipe that a job waits at; see `jobs.work_for` and `workers.open_gate`."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path
