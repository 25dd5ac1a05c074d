"""Jobs that go back to be performed later though nothing failed: a hook said so, or this worker does not know them.

How often, or since when, is noted in further keys. Where Ruby drops those the count starts anew: a job is never lost
for that.
"""

from __future__ import annotations

from typing import Final

from taskq import attempts
from taskq.errors import NotNow
from taskq.outcome import Postponed
from taskq.records import Payload

__all__ = ["UNKNOWN_MOST", "of_unknown", "postponed", "times"]

UNKNOWN_MOST: Final = 3600.0
"""Seconds for which a job that a worker does not know is given back: longer than any deploy rolls."""

_TIMES: Final = "taskq:postponed"
_UNKNOWN: Final = "taskq:unknown"
_WAIT: Final = (1.0, 60.0)  # seconds until an unknown job is tried again: at least, at most


def times(payload: Payload) -> int:
    """How often it was postponed by a hook so far, as far as its payload tells."""
    return attempts.read(payload, _TIMES)


def postponed(payload: Payload, body: bytes, said: NotNow) -> Postponed:
    """The outcome of a job that a hook, or the job itself, does not want performed now."""
    counted = attempts.written(body, {_TIMES: str(times(payload) + 1)})
    return Postponed(said.seconds, said.reason or "it said so itself", counted)


def of_unknown(payload: Payload, body: bytes, reason: str, now: float) -> Postponed | None:
    """The outcome of a job that this worker does not know; None where that has been so for too long.

    Args:
        payload: the job.
        body: its bytes.
        reason: what is said of it in the log.
        now: unix seconds by the broker's clock.
    """
    since = attempts.read(payload, _UNKNOWN)
    if not since or since > now + UNKNOWN_MOST:  # none yet, or nothing that we wrote
        since = int(now)
    waited = max(now - since, 0.0)
    if waited >= UNKNOWN_MOST:
        return None
    seconds = min(max(waited / 4, _WAIT[0]), _WAIT[1])
    return Postponed(seconds, reason, attempts.written(body, {_UNKNOWN: str(since)}))
