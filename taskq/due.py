"""When a job is due: the times that people say, as unix seconds or as a span from the moment of enqueueing.

Whose clock it is, the application knows; here is what can be a time at all, and what to say where something is none.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from taskq.errors import WrongTime

__all__ = ["When", "moment", "on_the_clock", "seconds_of", "shown", "span"]

When: TypeAlias = float | timedelta
"""Unix seconds, or a span that begins when the job is enqueued."""

_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def moment(when: datetime) -> float:
    """The unix seconds of a time with a zone.

    Raises:
        WrongTime: it is no `datetime`, or has no zone: then it would be another moment on another machine.
    """
    if not isinstance(when, datetime):
        raise WrongTime(
            f"{when!r} is of type {type(when).__name__} and no datetime.",
            "As in: enqueue_at(datetime(2030, 1, 31, 9, 0, tzinfo=UTC), ...); in 5 minutes: enqueue_in(300, ...).",
        )
    if when.utcoffset() is None:
        raise WrongTime(
            f"{when.isoformat(' ')} has no time zone, so that it is another moment on another machine.",
            'Say it: datetime(..., tzinfo=ZoneInfo("Europe/Berlin")), or datetime.now(UTC) + timedelta(hours=1).',
        )
    return when.timestamp()


def span(delta: timedelta | float) -> timedelta:
    """A span as it was said: as a `timedelta`, or in seconds. One that is negative is over already.

    Raises:
        WrongTime: it is neither, or no number.
    """
    if isinstance(delta, timedelta):
        return delta
    if isinstance(delta, bool) or not isinstance(delta, int | float):
        raise WrongTime(
            f"{delta!r} is of type {type(delta).__name__}, and neither a timedelta nor a number of seconds.",
            "As in: enqueue_in(timedelta(minutes=5), send_email, ...), or enqueue_in(300, send_email, ...).",
        )
    try:
        return timedelta(seconds=delta)
    except (OverflowError, ValueError):
        raise WrongTime(f"{delta!r} seconds are no span of time that a job could wait.", _SOONER) from None


def on_the_clock(when: When, now: float) -> float:
    """The unix seconds of what was said, where it is `now`.

    Raises:
        WrongTime: it is after the year 9999, or no number.
    """
    at = now + when.total_seconds() if isinstance(when, timedelta) else when
    if not at <= _LAST or at == -math.inf:
        raise WrongTime("That is after the year 9999.", _SOONER)
    return at


def seconds_of(when: datetime | float) -> float:
    """The unix seconds of a time, said as itself or in them.

    Raises:
        WrongTime: it has no zone, or is neither.
    """
    if isinstance(when, datetime):
        return moment(when)
    if isinstance(when, bool) or not isinstance(when, int | float) or when != when:
        raise WrongTime(
            f"{when!r} is of type {type(when).__name__}, and neither a datetime nor unix seconds.",
            "As in: datetime(2030, 1, 31, 9, 0, tzinfo=UTC).",
        )
    return float(when)


def shown(at: float) -> str:
    """A time for people: `2026-11-23 18:47:40 UTC`, of the machine's own zone; the fraction is dropped."""
    try:
        local = datetime.fromtimestamp(int(at), UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return f"{at:.0f}"
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


_SOONER: Final = "Say a sooner time."
