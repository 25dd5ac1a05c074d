"""The broker's clock, which a test can move."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock"]


class Clock:
    """The time that jobs are stamped with: the broker's own, and as much as a test moved it.

    Attributes:
        ahead: seconds that it is ahead of the broker's own.
    """

    def __init__(self, own: Callable[[], float]) -> None:
        """Not moved yet. `own` is the broker's time."""
        self._own = own
        self.ahead = 0.0

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._own() + self.ahead, UTC)

    def move(self, seconds: float) -> None:
        """Move it on by so many seconds."""
        self.ahead += seconds

    def move_to(self, when: datetime | float) -> None:
        """Move it to a time; it goes on from there.

        Args:
            when: a date with a time zone, or unix seconds.
        """
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise ValueError(f"{when!r} has no time zone; say which: datetime(..., tzinfo=UTC).")
            when = when.timestamp()
        self.ahead = when - self._own()
