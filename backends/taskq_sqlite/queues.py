"""Steps of a transaction that put jobs into queues."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from taskq_sqlite.statements import SQL

__all__ = ["Database", "add", "put_back"]

Database: TypeAlias = "sqlite3.Connection | sqlite3.Cursor"


def add(db: Database, queue: str, bodies: Sequence[bytes], *, front: bool) -> None:
    """Add jobs behind what is there or ahead of it, in their own order."""
    row = db.execute(SQL["queue_id"], (queue,)).fetchone()
    number = db.execute(SQL["add_queue"], (queue,)).lastrowid if row is None else row[0]
    (edge,) = db.execute(SQL["first_pos" if front else "last_pos"], (number,)).fetchone()
    first = edge - len(bodies) if front else edge + 1
    db.executemany(SQL["add_job"], ((number, first + place, body) for place, body in enumerate(bodies)))


def put_back(db: Database, jobs: Iterable[tuple[str, bytes]], *, front: bool) -> None:
    """Add jobs to their queues, each queue's in their own order."""
    by_queue: dict[str, list[bytes]] = {}
    for queue, body in jobs:
        by_queue.setdefault(queue, []).append(body)
    for queue, bodies in by_queue.items():
        add(db, queue, bodies, front=front)
