"""The application in force: the default one of the process, or the one that `using(...)` put in its place.

Jobs and the module-level verbs ask here at each call. That is what makes swapping the backend one line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

from taskq.app import TaskQ
from taskq.config import Config
from taskq.in_force import applications
from taskq.scoped import Scoped

__all__ = ["application_in_force", "configure", "current_app", "using"]

_replacing: Final[Scoped[TaskQ]] = Scoped("taskq_application")
_lock: Final = threading.RLock()


class _Process:
    """What holds for the whole process: the default application."""

    __slots__ = ("default", "made_here")

    def __init__(self) -> None:
        self.default: TaskQ | None = None
        self.made_here = False


_process: Final = _Process()


def current_app() -> TaskQ:
    """The application in force; where there is none yet, one is made from the environment and the nearest file.

    Raises:
        ConfigurationError: what the environment and the file say cannot be.
    """
    found = application_in_force()
    if found is not None:
        return found
    with _lock:
        if _process.default is None:
            _process.default, _process.made_here = TaskQ(), True
        return _process.default


def configure(app: TaskQ | Config | None = None, /, **settings: Any) -> TaskQ:
    """Set the default application of this process.

    Args:
        app: the application, or a configuration for one; None makes one of the settings.
        settings: settings by name (see `taskq.config.Config`); they win over the environment and the file.

    Returns:
        The application, which is in force from now on wherever `using(...)` says nothing else.

    Raises:
        ConfigurationError: all that is wrong in the settings, the environment and the file.
    """
    if app is not None and settings:
        raise TypeError("Give an application (or a configuration), or settings, not both.")
    made = app if isinstance(app, TaskQ) else TaskQ(app, **settings)
    with _lock:
        former, mine = _process.default, _process.made_here
        _process.default, _process.made_here = made, made is not app
    if former is not None and mine and former is not made:
        former.close()
    return made


@contextlib.contextmanager
def using(what: TaskQ | object, /) -> Iterator[TaskQ]:
    """Put another application, or another broker, in force for a while: `with taskq.using("memory://"):`.

    A broker is used with everything else as it is configured: serializer, hooks, failure handlers, inline.

    Who sees it: the code within, and what runs in its context (`asyncio` tasks, `asyncio.to_thread`). Entered in the
    main thread outside of an event loop, as test suites and scripts do, it also holds for every thread of the process
    that has not entered one of its own. Entered in another thread or within an event loop, as request handlers do, it
    is nobody else's.

    Args:
        what: an application; or a broker: its URL, a client object, or a `Broker`.

    Raises:
        ConfigurationError: the address means no installed backend.
    """
    app = what if isinstance(what, TaskQ) else _with_broker(what)
    try:
        with _replacing.within(app):
            yield app
    finally:
        if app is not what:
            app.close()


def application_in_force() -> TaskQ | None:
    """The application in force, if there is one already."""
    return _replacing.value() or _process.default


def _with_broker(broker: object) -> TaskQ:
    former = application_in_force()
    if former is None:
        app = TaskQ(broker=broker)
    else:
        sources = MappingProxyType({**former.config.sources, "broker": "using(...)"})
        app = TaskQ(dataclasses.replace(former.config, broker=broker, sources=sources), registry=former.registry)
    _ = app.broker  # a mistyped address shows here, not at the first enqueue
    return app


# From now on without the detour by which the package `taskq` finds this module.
applications.current = current_app
applications.built = application_in_force
