"""Bringing a database's schema to the version that this code is written for.

The version is a row of `taskq_meta`, not SQLite's user_version: the file may be the application's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taskq.errors import BrokerRefused
from taskq_sqlite.statements import SQL

__all__ = ["NEWEST", "is_newest", "migrate", "version_of"]

_STEPS: Final = Path(__file__).with_name("versions")

NEWEST: Final = max(int(path.stem) for path in _STEPS.glob("*.sql"))
"""The newest version. Each file in `versions/` leads to the version of its name from the one before."""


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the schema in the file; 0 where there is none."""
    if not connection.execute(SQL["has_schema"]).fetchone()[0]:
        return 0
    row = connection.execute(SQL["schema_version"]).fetchone()
    return int(row[0]) if row is not None else 0


def is_newest(connection: sqlite3.Connection) -> bool:
    """Whether there is nothing to do."""
    return version_of(connection) == NEWEST


def migrate(connection: sqlite3.Connection, address: str) -> None:
    """Do what is to be done, in one transaction: two processes that come at once do it once.

    Raises:
        BrokerRefused: a newer taskq made it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)
        if version > NEWEST:
            raise BrokerRefused(
                address,
                f"its schema is of version {version}, and this taskq knows none above {NEWEST}",
                advice="Upgrade taskq here as well.",
            )
        for step in range(version + 1, NEWEST + 1):
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(SQL["set_schema_version"], (str(NEWEST),))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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
