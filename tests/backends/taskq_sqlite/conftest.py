"""Brokers on a file of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskq_sqlite import SQLiteBroker, open_broker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def make_broker(path: Path) -> Iterator[Callable[..., SQLiteBroker]]:
    """Makes brokers on the file; all are closed at the end."""
    made: list[SQLiteBroker] = []

    def make(query: str = "", *, at: Path = path) -> SQLiteBroker:
        made.append(open_broker(f"sqlite:///{at}{query}"))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def broker(make_broker: Callable[..., SQLiteBroker]) -> SQLiteBroker:
    return make_broker()
