"""How often a job was performed in vain, counted in its payload for whoever has it performed again.

The count is a further key: `{"class":"Charge","args":[7],"taskq:attempts":2}`. Ruby drops such keys where it requeues
or delays, and an operator's requeue takes this one out: the count then starts anew. A job that is performed for the
first time has none, and keeps Resque's own bytes.
"""

from __future__ import annotations

from typing import Final

from taskq.members import join, members
from taskq.records import Payload

__all__ = ["KEY", "count", "counted", "read", "uncounted", "written"]

KEY: Final = "taskq:attempts"
_COUNTS: Final = frozenset({KEY, "taskq:crashes", "taskq:postponed", "taskq:unknown"})


def count(payload: Payload) -> int:
    """How often it was performed in vain before, as far as its payload tells; what is no count counts for none."""
    return read(payload, KEY)


def counted(body: bytes, attempts: int) -> bytes:
    """The payload's bytes with this count. Those of a crash (`taskq:crashes`) are a part of it from then on.

    How often it was postponed (`taskq:postponed`) counts no more: it was performed.

    Args:
        body: bytes that are a payload.
        attempts: how often it has been performed in vain by now: `Failure.attempts`.
    """
    return written(body, {KEY: str(attempts)}, without=("taskq:crashes", "taskq:postponed"))


def uncounted(body: bytes) -> bytes:
    """The payload's bytes without any count of taskq's own; the very same ones where there is none."""
    if b'"taskq:' not in body:
        return body  # nearly always
    found = members(body)
    kept = [member.text for member in found if member.key not in _COUNTS]
    return body if len(kept) == len(found) else join(kept)


def read(payload: Payload, key: str) -> int:
    """A count that a further key of the payload may have; what is no count counts for none."""
    found = payload.extra.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def written(body: bytes, keys: dict[str, str], *, without: tuple[str, ...] = ()) -> bytes:
    """The payload's bytes with these further keys as its last ones, and without some others; all else as it is.

    Args:
        body: bytes that are a payload.
        keys: the JSON text of each key's value.
        without: further keys that are left out.
    """
    kept = [member.text for member in members(body) if member.key not in keys and member.key not in without]
    return join([*kept, *(f'"{key}":{value}' for key, value in keys.items())])
