"""The backends that the plugins of tests/plugins are tried on, and the application of such a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import taskq
from taskq.testing import Queue, swapped
from taskq.testing.queue import Mode

__all__ = ["BACKENDS", "ON_EACH", "trying"]

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
