"""What sqlite3 raises, as taskq's own errors: the one place that knows both.

Errors are told apart by SQLite's name for them, never by text.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Final, Literal

from taskq.errors import BrokerError, BrokerInTrouble, BrokerRefused, BrokerUnavailable

__all__ = ["BUSY", "is_busy", "replaced", "translated"]

BUSY: Final = 5.0
"""Seconds that a write waits for one who holds SQLite's lock, an application's own transaction for instance."""

# By the first words of SQLite's names; a longer one (SQLITE_IOERR_WRITE) says more of the same.
_AWAY: Final = {
    "SQLITE_BUSY_SNAPSHOT": "somebody else wrote after this transaction had read",
    "SQLITE_BUSY": f"somebody held its lock for more than {BUSY:.0f} s",
    "SQLITE_LOCKED": "somebody in this process holds its lock",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR_SHMSIZE": "the disk is full, or it failed",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_NOMEM": "no memory is left",
    "SQLITE_PROTOCOL": "its locks are contended",
    "SQLITE_INTERRUPT": "interrupted",
}
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_NOT_OURS: Final = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether it says only that somebody else has the lock."""
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def translated(error: sqlite3.Error, path: str, sent: Literal["no", "unknown"]) -> BrokerError:
    """The error of taskq's for one of sqlite3's.

    Args:
        error: what was raised.
        path: the database.
        sent: whether what was asked may have been done all the same.
    """
    name, address = _name(error), f"SQLite at {path}"
    for known, reason in _AWAY.items():
        if name.startswith(known):
            more = f": {name}" if known == "SQLITE_IOERR" else ""
            return BrokerUnavailable(address, f"{reason}{more}", sent=sent, advice=_advice(known))
    if name.startswith(_DAMAGED):
        return BrokerRefused(
            address,
            f"the file is damaged, or no database ({name})",
            advice=f"Look at it: sqlite3 {path} 'PRAGMA quick_check'. Restore it, or move it away to begin a new one.",
        )
    if name.startswith(_NOT_OURS):
        return BrokerRefused(address, _why_not_writable(path, name), advice="Give this user the right to write there.")
    if name.startswith("SQLITE_CANTOPEN"):
        return _not_opened(path, address, name)
    return BrokerError(f"{address}: {name or type(error).__name__}: {error}")


def replaced(path: str, what: str) -> BrokerInTrouble:
    """The error where the file is not the one that this process opened."""
    return BrokerInTrouble(
        f"SQLite at {path}",
        f"The database {path} was {what} while this process used it; what the old one held is not in the new one.",
    )


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")


def _advice(known: str) -> str:
    if known == "SQLITE_FULL":
        return "Make room there: what is to be settled is kept and asked again."
    if known == "SQLITE_BUSY_SNAPSHOT":
        return "Begin it by BEGIN IMMEDIATE, which waits for its turn."
    if known == "SQLITE_BUSY":
        return "Keep transactions on this file short."
    return ""


def _why_not_writable(path: str, name: str) -> str:
    directory = os.path.dirname(path)
    if not os.access(directory, os.W_OK):
        return f"the directory {directory} is read-only for this user, and SQLite keeps its log there"
    return f"the file is read-only for this user ({name})"


def _not_opened(path: str, address: str, name: str) -> BrokerError:
    directory = os.path.dirname(path)
    if os.path.isdir(path):
        return BrokerRefused(address, "it is a directory", advice="Name a file in it.")
    if not os.path.isdir(directory):
        return BrokerRefused(address, f"there is no directory {directory}", advice=f"Make it: mkdir -p {directory}.")
    if not os.access(path if os.path.exists(path) else directory, os.R_OK | os.W_OK):
        return BrokerRefused(address, _why_not_writable(path, name), advice="Give this user the right to write there.")
    return BrokerUnavailable(address, f"it cannot be opened: {name}", sent="no")
