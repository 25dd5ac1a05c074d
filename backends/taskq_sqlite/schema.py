"""Bringing a database's schema to the version that this code is written for.

The version is a row of `taskq_meta`, not SQLite's user_version: the file may be the application's own, and so are its
user_version and its application_id. That one says whose format a file has: another program's is not made taskq's by a
slip in an address.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from taskq.errors import BrokerRefused
from taskq_sqlite.statements import SQL

__all__ = ["NEWEST", "check_owner", "is_newest", "migrate", "upgrade"]

Database: TypeAlias = "sqlite3.Connection | sqlite3.Cursor"

_log = logging.getLogger("taskq.sqlite")

_SHOWN: Final = 5  # names of tables

_STEPS: Final = Path(__file__).with_name("versions")

NEWEST: Final = max(int(path.stem) for path in _STEPS.glob("*.sql"))
"""The newest version. Each file in `versions/` leads to the version of its name from the one before."""


def is_newest(db: Database, address: str) -> bool:
    """Whether there is nothing to do.

    Raises:
        BrokerRefused: its tables are another's.
    """
    return _version_of(db, address) == NEWEST


def check_owner(db: Database, address: str, path: str, application_id: int | None) -> None:
    """Return where taskq's tables are, or may be made. Asked before anything in the file is changed.

    Args:
        db: the database.
        address: what to call it.
        path: its file.
        application_id: the application's that shares its file with taskq; None where the address does not say.

    Raises:
        BrokerRefused: it is another program's.
    """
    if db.execute(SQL["has_schema"]).fetchone()[0]:
        return
    (found,) = db.execute("PRAGMA application_id").fetchone()
    if found not in {0, application_id}:
        raise BrokerRefused(
            address,
            f"it is another program's file: its application_id is {found}{_as_text(found)}, and it has no tables of "
            "taskq's",
            advice="Name another file. If it is your own application's, and taskq is to have its tables in it too: "
            f"sqlite:///{path}?application_id={found}",
        )


def _as_text(application_id: int) -> str:
    """What the four bytes say, where they are letters, as they mostly are."""
    letters = (application_id & 0xFFFFFFFF).to_bytes(4, "big")
    return f' ("{letters.decode()}")' if letters.isascii() and letters.decode().isprintable() else ""


def migrate(connection: sqlite3.Connection, address: str) -> None:
    """Do what is to be done, in one transaction: two processes that come at once do it once.

    Raises:
        BrokerRefused: a newer taskq made it, or its tables are another's.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        others = [name for (name,) in connection.execute(SQL["other_tables"])]
        joins = _version_of(connection, address) == 0 and bool(others)
        upgrade(connection, address)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if joins:
        shown = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
        _log.warning("%s: it had tables already (%s), and now has taskq's beside them.", address, shown)


def upgrade(db: Database, address: str) -> None:
    """Do it within the transaction that is open.

    Raises:
        BrokerRefused: a newer taskq made it, or its tables are another's.
    """
    version = _version_of(db, address)
    if version > NEWEST:
        raise BrokerRefused(
            address,
            f"its schema is of version {version}, and this taskq knows none above {NEWEST}",
            advice="Upgrade taskq here as well.",
        )
    try:
        for step in range(version + 1, NEWEST + 1):
            for statement in _statements(step):
                db.execute(statement)
        db.execute(SQL["set_schema_version"], (str(NEWEST),))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_ERROR":
            raise
        raise _anothers(address, error) from None


def _version_of(db: Database, address: str) -> int:
    """The version of the schema in the file; 0 where there is none."""
    if not db.execute(SQL["has_schema"]).fetchone()[0]:
        return 0
    try:
        row = db.execute(SQL["schema_version"]).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_ERROR":
            raise
        raise _anothers(address, error) from None
    return int(row[0]) if row is not None else 0


def _anothers(address: str, error: sqlite3.Error) -> BrokerRefused:
    return BrokerRefused(
        address,
        f"it has tables that are named as taskq's are, and are another's: {error}",
        advice="Name another file.",
    )


def _statements(version: int) -> Sequence[str]:
    """One by one: `executescript` would commit what was begun."""
    statements: list[str] = []
    text = ""
    for line in (_STEPS / f"{version}.sql").read_text("utf-8").splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
