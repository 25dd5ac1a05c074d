"""Times and spans as they are typed."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from taskq.cli.endings import USAGE, Stop
from taskq.recurring import WrongRule, seconds_of
from taskq.spans import is_seconds

if TYPE_CHECKING:
    _Float = click.ParamType[float]
else:  # of which older releases of click have one for all
    _Float = click.ParamType

__all__ = ["Seconds", "read_span", "read_time"]


class Seconds(_Float):
    """A number of seconds from `least` on, or above 0 without, and no more than a century."""

    name = "seconds"

    def __init__(self, least: float = 0.0) -> None:
        """Of `least` at least."""
        self._least = least

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not is_seconds(seconds) or seconds < self._least:
            least = f"of at least {self._least:g}" if self._least else "above 0"
            self.fail(f"{value!r} is no number of seconds {least}, a century at most.", param, ctx)
        return seconds


def read_time(text: str) -> float:
    """Unix seconds, said as they are or as a time with its zone. Raises Stop where it is none, or has no zone."""
    try:
        at = float(text)
        if math.isfinite(at):
            return at
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        raise Stop(USAGE, f"{text} is no time. As in: 1900000000, or '2030-01-31 09:00+01:00'") from None
    if when.tzinfo is None:
        raise Stop(USAGE, f"{text} has no time zone. As in: '{text}+01:00', or '{text} UTC'")
    return when.timestamp()


def read_span(text: str) -> timedelta:
    """As `30s`, `5m`, `1h30m`, `2d`, or seconds. Raises Stop where it is none."""
    try:
        return timedelta(seconds=seconds_of(text))
    except WrongRule as wrong:
        raise Stop(USAGE, str(wrong)) from None
    except OverflowError:
        raise Stop(USAGE, f"{text} is longer than a job could wait.") from None
