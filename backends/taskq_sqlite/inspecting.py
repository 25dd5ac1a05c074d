"""What a database file tells of itself: its size, its settings, and whether its disk has room."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taskq.inspection import Finding, Section

__all__ = ["diagnose", "server"]

_PRAGMAS: Final = (
    "journal_mode", "page_size", "page_count", "freelist_count", "cache_size", "wal_autocheckpoint", "auto_vacuum",
    "encoding", "application_id", "user_version",
)  # fmt: skip
_LITTLE: Final = 0.05  # of a disk, below which a file that grows is in danger
_LITTLE_BYTES: Final = 256 * 1024 * 1024


def server(db: sqlite3.Connection, path: str) -> Sequence[Section]:
    """The file, and SQLite's settings for it."""
    pragmas = {name: str(_pragma(db, name)) for name in _PRAGMAS}
    pages = int(pragmas["page_count"]) or 1
    important = (
        ("sqlite_version", sqlite3.sqlite_version),
        ("file", path),
        ("file_size", _bytes(_size(path))),
        ("log_size", _bytes(_size(f"{path}-wal"))),
        ("free_pages", f"{int(pragmas['freelist_count']) / pages:.0%}"),
        ("disk_free", _bytes(shutil.disk_usage(Path(path).parent).free)),
        ("journal_mode", pragmas["journal_mode"]),
    )
    return Section("important", important), Section("pragmas", tuple(pragmas.items()))


def diagnose(db: sqlite3.Connection, path: str) -> Sequence[Finding]:
    """Whether the log is as it should be, and the disk has room."""
    found = [Finding("ok", "version", f"SQLite {sqlite3.sqlite_version}.")]
    mode = str(_pragma(db, "journal_mode"))
    if mode == "wal":
        found.append(Finding("ok", "persistence", "What was pushed is on the disk (journal_mode wal)."))
    else:
        said = f"The journal mode is {mode}, so that readers and writers hold one another up."
        found.append(Finding("warning", "persistence", said, "Who set it? taskq uses wal: PRAGMA journal_mode = wal;"))
    usage = shutil.disk_usage(Path(path).parent)
    if usage.free < min(_LITTLE * usage.total, _LITTLE_BYTES):
        said = f"The disk of {path} has {_bytes(usage.free)} left; where it is full, nothing can be enqueued."
        found.append(Finding("error", "disk", said, "Make room, or move the file."))
    else:
        found.append(Finding("ok", "disk", f"The disk has {_bytes(usage.free)} left."))
    return found


def _pragma(db: sqlite3.Connection, name: str) -> object:
    row = db.execute(f"PRAGMA {name}").fetchone()
    return row[0] if row is not None else ""


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
