"""Who waits for a place of a key, and who of them is next: so that whoever frees a place has somebody take it at once.

Those that wait lie among the delayed jobs, as ever, and come back by themselves when their time has come. The line is
a key of the broker's with the payloads of the first of them. Who frees a place takes the next one out of it and moves
that job into its queue. A line that is lost, or not up to date, costs time, and never a job.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final

from taskq.broker import Broker
from taskq.records import ScheduledJob

__all__ = ["Line", "Waiting"]

_MOST: Final = 100  # jobs in a line; those beyond come back by themselves, and stand in line then
_BYTES_MOST: Final = 64 * 1024  # of all of it: the whole line is written at each step
_LIVES: Final = 3600.0  # seconds after which a line in which nothing moves is forgotten
_TRIES: Final = 10  # others stand in the same line this moment


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in the line.

    Attributes:
        queue: where it goes.
        body: its payload, as it lies among the delayed jobs.
        times: how often it was postponed by now. Those that were more often go first.
    """

    queue: str
    body: bytes
    times: int


class Line:
    """The line of a key.

    Args:
        broker: where it is kept.
        key: its name.
    """

    def __init__(self, broker: Broker, key: str) -> None:
        self._broker = broker
        self._key = key

    def join(self, who: Waiting) -> None:
        """Stand in line, behind those that were postponed as often."""
        for _ in range(_TRIES):
            kept = self._broker.get_key(self._key)
            line = _load(kept)
            place = next((at for at, one in enumerate(line) if one.times < who.times), len(line))
            line.insert(place, who)
            if self._swap(kept, line):
                return

    def call_next(self) -> bool:
        """Move the first that still waits into its queue. False where there is none."""
        for _ in range(_TRIES):
            kept = self._broker.get_key(self._key)
            if kept is None:
                return False
            line = _load(kept)
            if not self._swap(kept, line[1:]):
                continue
            if line and self._move(line[0]):
                return True
        return False

    def _move(self, who: Waiting) -> bool:
        times = self._broker.scheduled_at(who.queue, who.body)
        return any(self._broker.promote(ScheduledJob(at, who.queue, who.body)) for at in times)

    def _swap(self, kept: bytes | None, line: list[Waiting]) -> bool:
        new = _dump(line)
        if kept is None:
            return self._broker.take_key([self._key], new, _LIVES).key is not None
        return self._broker.swap_key(self._key, kept, new if line else None, _LIVES)


def _load(kept: bytes | None) -> list[Waiting]:
    if kept is None:
        return []
    try:
        return [Waiting(queue, base64.b64decode(body), times) for queue, body, times in json.loads(kept)]
    except (ValueError, TypeError):  # nothing of ours
        return []


def _dump(line: list[Waiting]) -> bytes:
    """The line less those at its end for which there is no room."""
    rows: list[bytes] = []
    room = _BYTES_MOST
    for one in line[:_MOST]:
        row = json.dumps([one.queue, base64.b64encode(one.body).decode(), one.times]).encode()
        room -= len(row) + 1
        if room < 0:
            break
        rows.append(row)
    return b"[" + b",".join(rows) + b"]"
