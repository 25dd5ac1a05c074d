"""Stores that belong to one test: of each installed backend, by the name that a test calls it.

A backend says how its stores are made by an entry point of `taskq.test_stores`. One that says nothing is asked for
`NAME://`, which is right where nothing outlives the process.
"""

from __future__ import annotations

import atexit
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast

from taskq import plugins
from taskq.errors import nearest

__all__ = ["Fresh", "NoStore", "Stores", "close", "fresh", "names"]

Fresh: TypeAlias = Callable[[], object]
"""Gives the address of a store that is empty and nobody else's: a URL, or a client object."""


class NoStore(Exception):
    """No store of this backend can be had here; the message says why, and what to install."""


class Stores(Protocol):
    """What an entry point of `taskq.test_stores` names: it makes stores of one backend."""

    def __call__(self, directory: Path, /) -> AbstractContextManager[Fresh]:
        """Make ready, once for all tests of a process; what was started ends with the context.

        Args:
            directory: an empty one, whose path is short, and which goes with the context.

        Raises:
            NoStore: something is missing here.
        """
        ...


_lock: Final = threading.Lock()
_open: Final[dict[str, Fresh]] = {}
_at_end: Final = ExitStack()


def fresh(name: str) -> object:
    """The address of a store of this backend, empty and of whoever asked.

    Raises:
        NoStore: none can be had here; the message says why.
        ValueError: there is no such backend.
    """
    with _lock:
        if name not in _open:
            _open[name] = _opened(name)
        return _open[name]()


def names() -> list[str]:
    """What `fresh` can be asked for, sorted."""
    return sorted({*plugins.names(plugins.TEST_STORES), *plugins.names(plugins.BACKENDS)})


def close() -> None:
    """End what was started for the tests. It may be asked again, and starts anew."""
    with _lock:
        _open.clear()
        _at_end.close()


def _opened(name: str) -> Fresh:
    if name in plugins.names(plugins.TEST_STORES):
        stores = cast("Stores", plugins.load(plugins.TEST_STORES, name))
        # Short, for the path of a Unix socket has 107 bytes at most.
        directory = _at_end.enter_context(tempfile.TemporaryDirectory(prefix="tq", ignore_cleanup_errors=True))
        return _at_end.enter_context(stores(Path(directory)))
    if name in plugins.names(plugins.BACKENDS):
        return lambda: f"{name}://"
    near = nearest(name, names())
    meant = f" Did you mean {near}?" if near else ""
    raise ValueError(f'There is no backend "{name}" to test on.{meant} Known: {", ".join(names())}.')


atexit.register(close)
