"""Stores for tests on SQLite: each a file of its own. It is what `taskq.testing` finds under the name `sqlite`."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from taskq.testing.stores import Fresh

__all__ = ["private_stores"]


@contextlib.contextmanager
def private_stores(directory: Path) -> Iterator[Fresh]:
    """Each test has a file of its own."""
    number = itertools.count(1)
    yield lambda: f"sqlite:///{directory / f'test{next(number)}.db'}"
