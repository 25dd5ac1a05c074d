"""Stores of a test's own, by the name of their backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskq import plugins
from taskq.broker import Broker
from taskq.testing import stores, swapped
from taskq_memory import MemoryBroker


@pytest.mark.parametrize("name", ["memory", "sqlite", "fakeredis", "redis"])
def test_two_stores_share_nothing(name: str) -> None:
    first, second = (plugins.open_broker(stores.fresh(name)) for _ in range(2))
    first.push("jobs", [b"one"])
    assert list(second.queues()) == []
    first.close()
    second.close()


def test_every_backend_can_be_asked_for() -> None:
    assert {"memory", "sqlite", "redis", "fakeredis"} <= set(stores.names())


def test_a_backend_without_stores_is_opened_by_its_bare_address() -> None:
    opened: list[object] = []

    def open_broker(source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> Broker:
        opened.append(source)
        return MemoryBroker()

    with plugins.override(plugins.BACKENDS, "mine", open_broker), swapped(backend="mine") as queue:
        queue.assert_not_enqueued()
    assert opened == ["mine://"]


def test_what_was_started_ends_and_can_start_anew() -> None:
    def path() -> Path:
        address = str(stores.fresh("redis")).partition("?")[0]
        return Path(address.removeprefix("unix://"))

    first = path()
    assert first.exists()
    stores.close()
    assert not first.parent.exists()
    assert path().exists()
    stores.close()
    stores.close()
