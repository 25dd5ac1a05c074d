"""The date forms that lie in Resque's keys (WIRE.md section 11): written exactly, read with tolerance.

Everything here is text and unix seconds; which key holds which form, and whose clock it is, others know.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

__all__ = [
    "failed_at",
    "heartbeat",
    "parse_failed_at",
    "parse_heartbeat",
    "parse_run_at",
    "parse_started",
    "parse_when",
    "run_at",
    "started",
]


def run_at(t: float) -> str:
    """When a job was reserved, for the record `worker:ID`: `2026-11-23T18:47:40Z`, always UTC (WIRE.md section 11).

    Args:
        t: unix seconds; the fraction is dropped.
    """
    return _utc(int(t))


# A busy worker asks for the same second thousands of times; formatting it anew costs 2 us, this 0.1 us.
@lru_cache(maxsize=4)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def failed_at(t: float, *, zone: bool = True) -> str:
    """When a job failed or was retried: `2026/11/23 18:47:40 UTC`, local time (WIRE.md sections 6 and 11).

    Args:
        t: unix seconds; the fraction is dropped.
        zone: with the zone's name behind; False is how Resque's RedisMultiQueue writes `retried_at`.
    """
    local = time.localtime(t)
    text = time.strftime("%Y/%m/%d %H:%M:%S", local)
    return f"{text} {local.tm_zone}" if zone else text


def heartbeat(t: float) -> str:
    """A worker's sign of life: `2026-11-24T05:19:55+09:00`, with the local offset (WIRE.md section 11).

    Args:
        t: unix seconds by the broker's clock; the fraction is dropped.
    """
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(t))
    return f"{text[:-2]}:{text[-2:]}"


def started(t: float) -> str:
    """When a worker registered: `2026-11-24 05:19:55 +0900`, local time and offset (WIRE.md section 11).

    Args:
        t: unix seconds; the fraction is dropped.
    """
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(t))


_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)? ?(?:(Z|UTC)|([+-])(\d\d):?(\d\d))", re.ASCII
)
# What JavaScript's Date prints, which node-resque writes for `run_at`; the zone's name in brackets says nothing new.
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d{4}) (\d\d):(\d\d):(\d\d) GMT([+-])(\d\d)(\d\d)(?: \(.*\))?", re.ASCII
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNIX = re.compile(r"\d{1,11}(?:\.\d+)?", re.ASCII)


def parse_heartbeat(text: str) -> float | None:
    """The unix seconds of a heartbeat, any offset or `Z` (WIRE.md section 11); None where it is no time.

    A time without an offset is none either: a wrong guess at the zone would take a living worker for dead.
    """
    return _iso(text)


def parse_run_at(text: str) -> float | None:
    """The unix seconds of a `run_at`, Ruby's or node-resque's; None where it is no time."""
    return _iso_or_javascript(text)


def parse_started(text: str) -> float | None:
    """The unix seconds of a `worker:ID:started`, Ruby's or node-resque's (digits); None where it is none."""
    if _UNIX.fullmatch(text.strip()):
        return float(text)
    return _iso_or_javascript(text)


_FAILED = re.compile(
    r"(\d{4})[/-](\d\d)[/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?: ([A-Za-z]{1,5}|[+-]\d\d(?:\d\d)?))?", re.ASCII
)
_EVERYWHERE = frozenset({"UTC", "GMT", "Z"})


def parse_failed_at(text: str) -> float | None:
    """The unix seconds of a `failed_at`, Ruby's or node-resque's; None where it is no time.

    Ruby writes the zone's name, which is no safe way to say a zone (WIRE.md section 11): one that is neither UTC nor
    this machine's own is taken for this machine's own.
    """
    return _failed_at(text.strip())


@lru_cache(maxsize=1024)  # failures come many a second, and parsing one takes 5 us
def _failed_at(text: str) -> float | None:
    found = _FAILED.fullmatch(text)
    if found is None:
        return _iso_or_javascript(text)
    *date, zone = found.groups()
    year, month, day, hour, minute, second = map(int, date)
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - as this machine has it
        if zone in _EVERYWHERE:
            moment = moment.replace(tzinfo=UTC)
        elif zone is not None and zone[0] in "+-":
            offset = _offset(zone[0], zone[1:3], zone[3:5] or "0")
            if offset is None:
                return None
            moment = moment.replace(tzinfo=offset)
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(s|sec|min|m|h|d|w)", re.ASCII)
_SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_when(text: str, now: float) -> float:
    """The moment that a person means: `2h` and `30min` are so long ago; else a date, a date with a time, unix seconds.

    Args:
        text: as it was typed. Without a zone it is this machine's.
        now: unix seconds.

    Raises:
        ValueError: it is none of these; the message says what is understood.
    """
    text = text.strip()
    span = _SPAN.fullmatch(text)
    if span is not None:
        return now - float(span[1]) * _SECONDS[span[2]]
    if re.fullmatch(r"\d{9,11}(?:\.\d+)?", text, re.ASCII):
        return float(text)
    try:
        return datetime.fromisoformat(text.replace("/", "-")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f'"{text[:60]}" is no moment. Understood are 30min, 2h or 3d (so long ago), 2026-11-23, '
            '"2026-11-23 18:00", and unix seconds.'
        ) from None


def _iso_or_javascript(text: str) -> float | None:
    moment = _iso(text)
    return moment if moment is not None else _javascript(text)


def _iso(text: str) -> float | None:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    *date, fraction, utc, sign, hours, minutes = found.groups()
    year, month, day, hour, minute, second = map(int, date)
    micro = int((fraction or "0").ljust(6, "0"))
    zone = UTC if utc else _offset(sign, hours, minutes)
    return _seconds(year, month, day, hour, minute, second, micro, zone)


def _javascript(text: str) -> float | None:
    found = _JAVASCRIPT.fullmatch(text.strip())
    if found is None or found[1] not in _MONTHS:
        return None
    _, day, year, hour, minute, second, sign, hours, minutes = found.groups()
    month = _MONTHS.index(found[1]) + 1
    zone = _offset(sign, hours, minutes)
    return _seconds(int(year), month, int(day), int(hour), int(minute), int(second), 0, zone)


def _offset(sign: str, hours: str, minutes: str) -> timezone | None:
    size = timedelta(hours=int(hours), minutes=int(minutes))
    if size >= timedelta(hours=24):
        return None
    return timezone(-size if sign == "-" else size)


def _seconds(
    year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int, zone: timezone | None
) -> float | None:
    if zone is None:
        return None
    try:
        # A leap second is written :60; the second before it is near enough.
        moment = datetime(year, month, day, hour, minute, min(second, 59) if second == 60 else second, micro, zone)
    except ValueError:
        return None
    return moment.timestamp()
