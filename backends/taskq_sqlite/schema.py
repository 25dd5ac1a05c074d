"""Bringing a database's schema to the version that this code is written for.

The version is a row of `taskq_meta`, not SQLite's user_version: the file may be the application's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from taskq.errors import BrokerRefused
from taskq_sqlite.statements import SQL

__all__ = ["NEWEST", "is_newest", "migrate", "upgrade"]

Database: TypeAlias = "sqlite3.Connection | sqlite3.Cursor"

_STEPS: Final = Path(__file__).with_name("versions")

NEWEST: Final = max(int(path.stem) for path in _STEPS.glob("*.sql"))
"""The newest version. Each file in `versions/` leads to the version of its name from the one before."""


def is_newest(db: Database) -> bool:
    """Whether there is nothing to do."""
    return _version_of(db) == NEWEST


def migrate(connection: sqlite3.Connection, address: str) -> None:
    """Do what is to be done, in one transaction: two processes that come at once do it once.

    Raises:
        BrokerRefused: a newer taskq made it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        upgrade(connection, address)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def upgrade(db: Database, address: str) -> None:
    """Do it within the transaction that is open.

    Raises:
        BrokerRefused: a newer taskq made it.
    """
    version = _version_of(db)
    if version > NEWEST:
        raise BrokerRefused(
            address,
            f"its schema is of version {version}, and this taskq knows none above {NEWEST}",
            advice="Upgrade taskq here as well.",
        )
    for step in range(version + 1, NEWEST + 1):
        for statement in _statements(step):
            db.execute(statement)
    db.execute(SQL["set_schema_version"], (str(NEWEST),))


def _version_of(db: Database) -> int:
    """The version of the schema in the file; 0 where there is none."""
    if not db.execute(SQL["has_schema"]).fetchone()[0]:
        return 0
    row = db.execute(SQL["schema_version"]).fetchone()
    return int(row[0]) if row is not None else 0


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
