"""When a recurring job is due: by a cron expression in a time zone, or every so often.

A rule is a plain function of time: whoever asks, whenever it was started, gets the same ticks. So several schedulers
agree without a word, and none needs to have been there for the tick before. Times are unix seconds.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from cronsim import CronSim

__all__ = ["Cron", "Every", "NeedsExtra", "Rule", "WrongRule", "seconds_of", "zone_of_machine"]

_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@noon": "0 12 * * *",
    "@hourly": "0 * * * *",
}
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z_]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?) ?(y|M|w|d|h|m|s)", re.ASCII)
_DAY: Final = 86400.0
_UNITS: Final = {"y": 365 * _DAY, "M": 30 * _DAY, "w": 7 * _DAY, "d": _DAY, "h": 3600.0, "m": 60.0, "s": 1.0}
_LEAST: Final = 1.0  # seconds between two ticks
_SECOND: Final = timedelta(seconds=1)
_SHIFT: Final = timedelta(hours=3)  # no clock is put forward or back further for the summer (cron's own bound)
_LOOK: Final = timedelta(days=1)  # no clock changes twice within that


class WrongRule(ValueError):
    """A rule that cannot be; the message says why and what to write."""


class NeedsExtra(WrongRule):
    """What reads rules is not installed."""


class Rule(Protocol):
    """When something is due, again and again."""

    def after(self, t: float) -> float | None:
        """The first tick that is later than `t`; None where there is none any more."""

    def before(self, t: float) -> float | None:
        """The last tick that is not later than `t`; None where there is none."""

    @property
    def words(self) -> str:
        """What it says, for people."""


@dataclass(frozen=True)
class Every:
    """Every so often, counted from the beginning of 1970: every 300 s is at minute 0, 5, 10, ... of each hour of UTC.

    Attributes:
        seconds: between two ticks.
        first_in: seconds from when a scheduler first sees it to its first tick, once; None for the next one of those.
    """

    seconds: float
    first_in: float | None = None

    def __post_init__(self) -> None:
        if not _LEAST <= self.seconds < math.inf:
            raise WrongRule(f"every {self.seconds:g} s: it can be every second and no more often.")
        if self.first_in is not None and not 0 <= self.first_in < math.inf:
            raise WrongRule(f"first_in is a number of seconds from now on, not {self.first_in:g}.")

    def after(self, t: float) -> float:
        """See `Rule`."""
        return (math.floor(t / self.seconds) + 1) * self.seconds

    def before(self, t: float) -> float:
        """See `Rule`."""
        return math.floor(t / self.seconds) * self.seconds

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"Every {_span_in_words(self.seconds)}"


@dataclass(frozen=True)
class Cron:
    """By a cron expression, in a time zone.

    Where clocks are put forward, what would be in the hour that is missing is due right after it; where they are put
    back, what is in the hour that comes twice is due in the first one. What has a star for its minutes or hours goes by
    the hours that there are: in none of the one that is missing, in both of the one that comes twice. That is how
    Debian's cron has it.

    Attributes:
        expression: five fields, or six with the seconds first.
        zone: the time zone whose clocks it means.
    """

    expression: str
    zone: str

    def __post_init__(self) -> None:
        _ = self._parts

    @classmethod
    def parsed(cls, text: str, zone: str | None = None) -> Cron:
        """A rule as rufus-scheduler writes it: fields, or a name such as `@daily`, and after them a time zone or none.

        Args:
            text: the rule.
            zone: the time zone, where it was said apart.

        Raises:
            WrongRule: it cannot be understood, or says two zones.
        """
        fields = text.split()
        last = fields[-1] if len(fields) > 1 and _ZONE.fullmatch(fields[-1]) else ""
        said = last if last and ("/" in last or _zone(last)) else None  # no weekday has a name that is a zone's
        if said is not None:
            fields = fields[:-1]
        if said is not None and zone is not None and said != zone:
            raise WrongRule(f'"{text}" is of the zone {said}, and tz says {zone}. Leave one of them out.')
        return cls(_NAMED.get(" ".join(fields).lower(), " ".join(fields)), said or zone or zone_of_machine())

    def after(self, t: float) -> float | None:
        """See `Rule`."""
        return next((tick for tick in self._ticks(t, back=False) if tick > t), None)

    def before(self, t: float) -> float | None:
        """See `Rule`."""
        return next((tick for tick in self._ticks(t, back=True) if tick <= t), None)

    @property
    def words(self) -> str:
        """See `Rule`."""
        said: str = _library().CronSim(self.expression, datetime.now(UTC)).explain()
        return f"{said}, {self.zone}"

    @cached_property
    def _parts(self) -> tuple[str, Sequence[int], ZoneInfo]:
        """Five fields for the library, the seconds of each of their minutes, the zone. Raises WrongRule."""
        zone = _zone(self.zone)
        if zone is None:
            raise WrongRule(f'"{self.zone}" is no time zone that is known here; they are like Europe/Berlin.')
        library = _library()
        try:
            whole = library.CronSim(self.expression, datetime.now(zone))
        except library.CronSimError as wrong:
            raise WrongRule(
                f'"{self.expression}" is no cron expression ({wrong}). It has five fields (minute to weekday), as '
                'in "0 6 * * 1-5", or six with the seconds first.'
            ) from None
        return " ".join(self.expression.split()[-5:]), sorted(whole.seconds), zone

    def _ticks(self, t: float, *, back: bool) -> Iterator[float]:
        """The ticks from about `t` on, or back from it: some on its other side may come first."""
        text, seconds, zone = self._parts
        start = datetime.fromtimestamp(math.floor(t) - (seconds[0] if back else seconds[-1]), UTC)
        start += _SECOND if back else timedelta(0)
        star = any(field.startswith("*") for field in text.split()[:2])
        for minute in (self._by_hours if star else self._by_clock)(start, zone, back=back):
            for second in reversed(seconds) if back else seconds:
                yield minute.timestamp() + second

    def _by_hours(self, start: datetime, zone: ZoneInfo, *, back: bool) -> Iterator[datetime]:
        """Minutes by the hours that there are: from one change of the clocks to the next the wall's time is a count."""
        here = begins = start
        while True:
            offset = _offset(here, zone)
            for wall in self._on_the_wall(begins, offset, back=back):
                there = wall.replace(tzinfo=UTC) - offset
                turn = _turn(here, there, zone)
                if turn is not None:
                    here, begins = turn, turn + (_SECOND if back else -_SECOND)  # itself may be one
                    break
                yield there
                here = there
            else:
                return

    def _by_clock(self, start: datetime, zone: ZoneInfo, *, back: bool) -> Iterator[datetime]:
        """Minutes by what the clock on the wall shows: each once, what it never shows when it is put forward."""
        # In the hour that comes twice the clock does not say when it is.
        away = start + (_SHIFT if back else -_SHIFT)
        for wall in self._on_the_wall(away, _offset(away, zone), back=back):
            before, after = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0) for fold in (0, 1))
            there = wall.replace(tzinfo=UTC)
            yield there - before if before >= after else _turn(there - after, there - before, zone) or there - before

    def _on_the_wall(self, here: datetime, offset: timedelta, *, back: bool) -> CronSim:
        """The times without a zone, on or back from where a clock that is that far from UTC shows this moment."""
        return cast("CronSim", _library().CronSim(self._parts[0], (here + offset).replace(tzinfo=None), reverse=back))


def _offset(when: datetime, zone: ZoneInfo) -> timedelta:
    return when.astimezone(zone).utcoffset() or timedelta(0)


def _turn(here: datetime, there: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment on the way, its end included, at which clocks are otherwise than where it begins."""
    offset, step = _offset(here, zone), _LOOK if there >= here else -_LOOK
    while here != there:
        following = there if abs(there - here) <= _LOOK else here + step
        if _offset(following, zone) != offset:
            while abs(following - here) > _SECOND:
                middle = here + timedelta(seconds=(following - here).total_seconds() // 2)
                here, following = (middle, following) if _offset(middle, zone) == offset else (here, middle)
            return following
        here = following
    return None


def seconds_of(text: object) -> float:
    """A span of time as rufus-scheduler writes it: `30s`, `5m`, `1h30m`, `2d`, or a number of seconds.

    Raises:
        WrongRule: it is none.
    """
    if isinstance(text, timedelta):
        return text.total_seconds()
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    if isinstance(text, str):
        text = text.strip()
        if text and not _SPAN.sub("", text).strip():
            return sum(float(number) * _UNITS[unit] for number, unit in _SPAN.findall(text))
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
    raise WrongRule(f"{text!r} is no span of time: those are like 30s, 5m, 1h30m, 2d, or a number of seconds.")


def zone_of_machine() -> str:
    """The time zone that a rule means which says none: this machine's, as cron's own do; UTC where it says none."""
    said = os.environ.get("TZ", "").removeprefix(":")
    if said and _zone(said):
        return said
    try:
        _, found, name = os.readlink("/etc/localtime").rpartition("zoneinfo/")
    except OSError:
        return "UTC"
    return name if found and _zone(name) else "UTC"


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _library() -> ModuleType:
    try:
        import cronsim
    except ImportError:
        raise NeedsExtra('Cron expressions need the package cronsim: pip install "taskq[scheduler]".') from None
    return cronsim


def _span_in_words(seconds: float) -> str:
    said = []
    left = seconds
    for unit, length in (("week", 604800.0), ("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
        count, left = divmod(left, length) if unit != "second" else (left, 0.0)
        if count:
            said.append(f"{count:g} {unit}{'' if count == 1 else 's'}")
    words = " ".join(said)
    return words[2:] if words.startswith("1 ") and len(said) == 1 else words
