"""Steps of a transaction about keys that expire."""

from __future__ import annotations

from collections.abc import Sequence

from taskq.records import Taken
from taskq_sqlite.queues import Database
from taskq_sqlite.statements import SQL

__all__ = ["add", "held", "put", "swap", "take"]


def held(db: Database, key: str, now: float) -> tuple[bytes, float] | None:
    """What a key holds, and until when; None where it is not there, or its time is over."""
    found: tuple[bytes, float] | None = db.execute(SQL["key"], (key, now)).fetchone()
    return found


def put(db: Database, key: str, value: bytes, until: float, now: float) -> None:
    """Set it. A few whose time is over go with it, so that there are never many."""
    db.execute(SQL["drop_ended_keys"], (now,))
    db.execute(SQL["set_key"], (key, value, until))


def take(db: Database, keys: Sequence[str], value: bytes, seconds: float, now: float) -> Taken:
    """Set the first that is not there."""
    there: list[tuple[bytes, float]] = []
    for key in keys:
        if (found := held(db, key, now)) is None:
            put(db, key, value, now + seconds, now)
            return Taken(key, value)
        there.append(found)
    return Taken(None, there[0][0], min(until for _, until in there) - now)


def swap(db: Database, key: str, old: bytes, new: bytes | None, seconds: float, now: float) -> bool:
    """Set or remove it where it holds `old`."""
    found = held(db, key, now)
    if found is None or found[0] != old:
        return False
    if new is None:
        db.execute(SQL["drop_key"], (key,))
    else:
        put(db, key, new, now + seconds, now)
    return True


def add(db: Database, key: str, amount: int, seconds: float, now: float) -> int:
    """Add to a counter, which keeps its time; what it is then."""
    found = held(db, key, now)
    count, until = (amount, now + seconds) if found is None else (int(found[0]) + amount, found[1])
    put(db, key, b"%d" % count, until, now)
    return count
