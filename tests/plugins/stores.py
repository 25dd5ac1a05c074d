"""The backends that the plugins of tests/plugins are tried on, and the application of such a test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import taskq
from taskq.testing import Queue, swapped
from taskq.testing.queue import Mode

__all__ = ["BACKENDS", "ON_EACH", "trying", "within_transaction"]

BACKENDS = ["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)]
ON_EACH = pytest.mark.parametrize("backend", BACKENDS)


@contextmanager
def trying(backend: str, registry: taskq.Registry, *, mode: Mode = "queued", **settings: Any) -> Iterator[Queue]:
    """An application with these settings, on a store of its own, and the test kit's hold of it."""
    with (
        taskq.TaskQ(broker="memory://", registry=registry, **settings) as app,
        taskq.using(app),
        swapped(mode=mode, backend=backend, leftover="ignore") as queue,
    ):
        queue.app.load()
        yield queue


@contextmanager
def within_transaction(
    hook: str, registry: taskq.Registry, folder: Path
) -> Iterator[tuple[taskq.TaskQ, sqlite3.Connection]]:
    """An application whose queues are in one file with other tables, and a connection to that in a transaction."""
    path = folder / "shop.db"
    with taskq.TaskQ(broker=f"sqlite:///{path}", registry=registry, hooks=[hook]) as app, taskq.using(app):
        assert app.size("q") == 0
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield app, connection
