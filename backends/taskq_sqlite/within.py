"""Enqueueing in a transaction of the application's own, on its own connection.

On that connection there is no BEGIN, COMMIT, ROLLBACK or changing pragma of ours, only a savepoint and what is in it.
What it gives back is read as numbers and bytes, for its row_factory and text_factory may be anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator

from taskq.errors import WrongConnection
from taskq_sqlite import schema
from taskq_sqlite.errors import translated
from taskq_sqlite.statements import SQL

__all__ = ["savepoint"]

_FULL = 2  # what PRAGMA synchronous says

_log = logging.getLogger("taskq.sqlite")
_warned: set[str] = set()


@contextlib.contextmanager
def savepoint(connection: object, path: str) -> Iterator[sqlite3.Cursor]:
    """A cursor on the connection, in a savepoint that what raises undoes.

    Args:
        connection: the application's.
        path: the database that it must be to.

    Raises:
        WrongConnection: it is none to that database, or has another one attached, or no transaction is open on it.
    """
    if not isinstance(connection, sqlite3.Connection):
        raise WrongConnection(
            f"it takes a sqlite3.Connection, and was given {type(connection).__module__}.{type(connection).__name__}",
            "Of Django's it is connection.connection, of an SQLAlchemy session "
            "session.connection().connection.driver_connection.",
        )
    address = f"SQLite at {path}"
    try:
        cursor = sqlite3.Cursor(connection)
        cursor.row_factory = None
        _check_databases(cursor, path)
        if not connection.in_transaction:
            raise WrongConnection(
                "no transaction is open on it, so there is nothing to be a part of",
                'Begin one first: connection.execute("BEGIN IMMEDIATE").',
            )
        _warn_of_durability(cursor, path)
        cursor.execute("SAVEPOINT taskq")
        try:
            if not schema.is_newest(cursor, address):
                schema.upgrade(cursor, address)
            yield cursor
        except BaseException:
            cursor.execute("ROLLBACK TO taskq")
            raise
        finally:
            cursor.execute("RELEASE taskq")
    except sqlite3.ProgrammingError as error:  # closed, or another thread's
        raise WrongConnection(f"it cannot be used here: {error}", "Give one that is open, in its own thread.") from None
    except sqlite3.Error as error:
        raise translated(error, path, "no") from None


def _check_databases(cursor: sqlite3.Cursor, path: str) -> None:
    for name, file in cursor.execute(SQL["databases"]).fetchall():
        if name == b"main" and not _same(os.fsdecode(file), path):
            raise WrongConnection(
                f"it is to {os.fsdecode(file) or 'a database in memory'}, and the queues are in {path}",
                "Open the file that the broker is in.",
            )
        if name not in {b"main", b"temp"}:
            raise WrongConnection(
                f"it has {os.fsdecode(file) or 'a database in memory'} attached as {os.fsdecode(name)}, and a "
                "transaction over several files is not committed as one",
                "Give one that has nothing attached.",
            )


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _warn_of_durability(cursor: sqlite3.Cursor, path: str) -> None:
    (level,) = cursor.execute("PRAGMA synchronous").fetchone()
    if level < _FULL and path not in _warned:
        _warned.add(path)
        _log.warning(
            "%s: a transaction that enqueues does not wait for the disk, and a power cut may take it back. "
            "Set PRAGMA synchronous = FULL on its connection.",
            path,
        )
