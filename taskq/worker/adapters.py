"""What other libraries opened before a fork, and a child must not share: it is dropped there, without a word on it.

Two processes on one socket ruin what either says, and a child that closed its copy in due form would say goodbye in its
parent's name. So a child forgets what was open, keeps it from being collected, and opens its own when it needs one.

Each adapter is for a library that is loaded, and loads none. Redis clients need none: the pools of redis-py look at the
process that they are in.
"""

from __future__ import annotations

import logging
import os
import sys
from types import ModuleType
from typing import Any, Final

__all__ = ["after_fork", "before_fork"]

_log = logging.getLogger("taskq.worker")

_PID: Final = "taskq pid"  # of the process that opened a connection, in SQLAlchemy's notes on it
_kept: list[object] = []  # what a child forgot: collected, it might be closed
_heard: int | None = None  # the process in which SQLAlchemy began to tell us of connections


def before_fork() -> None:
    """In the parent: make ready what a child could not put right alone."""
    if (django := sys.modules.get("django.db")) is not None:
        _quietly(_close_idle_files, django)
    if _heard is None and (sqlalchemy := sys.modules.get("sqlalchemy.pool")) is not None:
        _quietly(_listen, sqlalchemy)


def after_fork() -> None:
    """In the child, before its job."""
    if (django := sys.modules.get("django.db")) is not None:
        _quietly(_forget_connections, django)


def _quietly(adapt: Any, library: ModuleType) -> None:
    """A library that is not as we know it fails no job of an application that may not even use it."""
    try:
        adapt(library)
    except Exception:
        _log.exception("What %s holds open could not be made ready for a fork.", library.__name__)


# ---- Django: https://docs.djangoproject.com/en/stable/ref/databases/


def _wrappers(django: ModuleType) -> list[Any]:
    """What stands for a database that this thread asked for, connected or not."""
    if not sys.modules["django.conf"].settings.configured:
        return []
    return list(django.connections.all(initialized_only=True))


def _close_idle_files(django: ModuleType) -> None:
    """SQLite's locks belong to a process, and are noted in its memory: a child's copy of the note is no lock."""
    for wrapper in _wrappers(django):
        if wrapper.vendor == "sqlite" and wrapper.connection is not None and not wrapper.in_atomic_block:
            wrapper.close()  # one in memory knows that this is not for it


def _forget_connections(django: ModuleType) -> None:
    for wrapper in _wrappers(django):
        if wrapper.vendor == "sqlite" and wrapper.is_in_memory_db():
            continue  # the child's copy is its own, and all there is
        _kept.append(wrapper)
        del django.connections[wrapper.alias]
        pools = getattr(type(wrapper), "_connection_pools", None)  # of PostgreSQL, where the settings ask for one
        if pools:
            _kept.append(dict(pools))
            pools.clear()


# ---- SQLAlchemy: https://docs.sqlalchemy.org/en/20/core/pooling.html#using-connection-pools-with-multiprocessing


def _listen(sqlalchemy: ModuleType) -> None:
    """Have every pool, those that are there and those to come, look whose a connection is when it hands one out.

    The library has no list of its engines, which could be disposed of one by one.
    """
    global _heard
    _heard = os.getpid()
    disconnected = sys.modules["sqlalchemy.exc"].DisconnectionError

    def opened(connection: object, record: Any) -> None:
        record.info[_PID] = os.getpid()

    def handed_out(connection: object, record: Any, proxy: Any) -> None:
        # One that was opened before anybody noted it was so in the process that forks.
        if record.info.get(_PID, _heard) != os.getpid():
            _kept.append(record.dbapi_connection)
            record.dbapi_connection = proxy.dbapi_connection = None
            raise disconnected("It was opened by the worker, before the fork.")

    event = sys.modules["sqlalchemy.event"]
    event.listen(sqlalchemy.Pool, "connect", opened)
    event.listen(sqlalchemy.Pool, "checkout", handed_out)
