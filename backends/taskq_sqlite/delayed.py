"""Steps of a transaction about jobs that wait for a time, and about the lock of who moves them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from taskq.records import ScheduledJob
from taskq_sqlite.queues import Database, put_back
from taskq_sqlite.statements import SQL

__all__ = ["delay", "drain", "find", "give_up", "master", "page", "promote_due", "take", "take_many"]

_LOCK: Final = "the scheduler"


def delay(db: Database, at: float, jobs: Iterable[tuple[str, bytes]]) -> None:
    """Keep jobs, each with its queue, until a time; behind those that wait for the same."""
    db.executemany(SQL["delay"], ((float(at), queue, body) for queue, body in jobs))


def page(db: Database, since: float, skip: int, count: int) -> list[ScheduledJob]:
    """Up to `count` of them from a time on, less the first `skip` of just that time."""
    count = max(count, 0)
    rows = db.execute(SQL["delayed_at"], (since, count, skip)).fetchall()
    rows += db.execute(SQL["delayed_after"], (since, count - len(rows))).fetchall()
    return [ScheduledJob(at, queue, body) for at, queue, body in rows]


def promote_due(db: Database, now: float, limit: int) -> int:
    """Move those that are due to the ends of their queues, the earliest first; how many that were."""
    due = db.execute(SQL["due"], (now, limit)).fetchall()
    db.executemany(SQL["drop_delayed"], ((number,) for number, _, _ in due))
    put_back(db, ((queue, body) for _, queue, body in due), front=False)
    return len(due)


def take(db: Database, job: ScheduledJob) -> bool:
    """Take one away that is like this one. False where there is none."""
    return db.execute(SQL["take_delayed"], (job.at, job.queue, job.body)).rowcount == 1


def take_many(db: Database, jobs: Sequence[ScheduledJob]) -> list[bool]:
    """Take one away for each of these that is like it; whether there was one, for each in order."""
    taken = [False] * len(jobs)
    wanted: dict[float, dict[tuple[str, bytes], deque[int]]] = {}
    for place, job in enumerate(jobs):
        wanted.setdefault(job.at, {}).setdefault((job.queue, job.body), deque()).append(place)
    for at, places in wanted.items():
        left = sum(map(len, places.values()))
        found = []
        # Each time is walked once, as far as the last of those that are wanted: one by one it would be once for each.
        for number, queue, body in db.execute(SQL["delayed_of"], (at,)):
            if places.get((queue, body)):
                taken[places[queue, body].popleft()] = True
                found.append(number)
                left -= 1
                if not left:
                    break
        db.executemany(SQL["drop_delayed"], ((number,) for number in found))
    return taken


def drain(db: Database, count: int) -> list[ScheduledJob]:
    """Take up to `count` of them away, the earliest first; which those were."""
    first = db.execute(SQL["first_delayed"], (max(count, 0),)).fetchall()
    db.executemany(SQL["drop_delayed"], ((number,) for number, _, _, _ in first))
    return [ScheduledJob(at, queue, body) for _, at, queue, body in first]


def find(db: Database, queue: str, body: bytes, at: float | None) -> Sequence[tuple[int, float]]:
    """The ids and times of those with exactly these bytes for this queue, of one time or of all, in order."""
    if at is None:
        return db.execute(SQL["find_delayed"], (queue, body)).fetchall()
    return db.execute(SQL["find_delayed_at"], (at, queue, body)).fetchall()


def master(db: Database, now: float, *, claimed_by: str = "", seconds: float = 0.0) -> str:
    """Whose the scheduler's lock is; it goes to who claims it where it is nobody's, or is theirs."""
    row = db.execute(SQL["claim"], (_LOCK, now)).fetchone()
    holder = "" if row is None else str(row[0])
    if claimed_by and holder in {"", claimed_by}:
        db.execute(SQL["set_claim"], (_LOCK, claimed_by, now, seconds))
        return claimed_by
    return holder


def give_up(db: Database, scheduler: str) -> None:
    """The lock is nobody's, where it was this one's."""
    db.execute(SQL["give_up_claim"], (_LOCK, scheduler))
