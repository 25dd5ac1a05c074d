"""How values are shown to people: counts, sizes, times, durations, arguments, and text that a stranger wrote.

Everything here gives plain text; the templates escape it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

__all__ = [
    "ago",
    "args",
    "brief",
    "count",
    "duration",
    "exact",
    "first_line",
    "iso",
    "named",
    "pretty",
    "rate",
    "short_id",
    "size",
    "visible",
]

# Control characters have no picture of their own; what turns the direction of writing makes a text read as another.
_HIDDEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """A stranger's text with nothing in it that is not seen: control characters as pictures or escapes."""
    return _HIDDEN.sub(_picture, text)


def named(name: str) -> str:
    """A name that is to be seen, and clicked on, also where it is blank."""
    return visible(name) if name.strip() else "(no name)"


def brief(name: str) -> str:
    """A name within a sentence: its beginning, where it is long."""
    return named(name) if len(name) <= 120 else f"{named(name[:120])}…"


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def count(number: float) -> str:
    """A count with thin spaces: `66 667`."""
    return f"{number:,.0f}".replace(",", "\u202f")


def size(number: int | None) -> str:
    """Bytes: `512 B`, `1.4 MB`."""
    if number is None:
        return "\u2013"
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """A span of time in at most two units: `0.4 s`, `42 s`, `3 min 20 s`, `5 h 10 min`, `12 d 3 h`."""
    if not math.isfinite(seconds):
        return "\u2013"
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, unit, under in ((60, 1, "min", "s"), (3600, 60, "h", "min"), (86400, 3600, "d", "h")):
        if whole < big * (60 if big < 3600 else 24 if big == 3600 else 10**9):
            rest = whole % big // small
            return f"{whole // big} {unit} {rest} {under}" if rest else f"{whole // big} {unit}"
    return f"{whole} s"


def coarse(seconds: float) -> str:
    """A span of time in its largest unit alone, for what is looked at again and again: `3 min`, `5 h`."""
    number, unit, *_ = duration(float(int(seconds))).split(" ")
    return f"{number} {unit}"


def change(number: float) -> str:
    """By how much something grew: `+12`, `0`, and with a minus."""
    whole = rate(abs(number))
    return whole if whole == "0" else f"+{whole}" if number > 0 else f"\u2212{whole}"


def ago(seconds: float) -> str:
    """How long ago, in one unit: `now`, `12 s ago`, `in 3 min`. The exact time stands beside it."""
    if abs(seconds) < 1:
        return "now"
    whole = coarse(abs(seconds))
    return f"{whole} ago" if seconds > 0 else f"in {whole}"


def iso(seconds: float) -> str:
    """Unix seconds as a machine reads them in `<time datetime>`; empty where there is no such time."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""


def exact(seconds: float) -> str:
    """Unix seconds as people read them: `2026-11-28 11:55:02 UTC`; as a number where no calendar goes so far."""
    return iso(seconds).replace("T", " ").replace("Z", " UTC") or f"{seconds:.15g}"


def rate(number: float) -> str:
    """A number a minute: `0`, `0.4`, `12`, `1 250`."""
    return count(number) if number >= 9.95 or number == int(number) else f"{number:.1f}"


def args(value: Sequence[object]) -> str:
    """Arguments on one line, as they would be written in a call: `"a@example.com", 3, quality=80`."""
    *placed, last = value or [None]
    named = last.get("taskq:kw") if isinstance(last, dict) and len(last) == 1 else None
    parts = [_json(each, None) for each in (placed if isinstance(named, dict) else value)]
    if isinstance(named, dict):
        parts += [f"{name}={_json(each, None)}" for name, each in named.items()]
    return visible(", ".join(parts))


def short_id(worker: str) -> str:
    """A worker's id without its queues: `web-1:4711`."""
    return ":".join(worker.split(":", 2)[:2])


def first_line(text: str) -> str:
    """The first line of a text, and whether there were more."""
    first, more, _ = text.strip().partition("\n")
    return f"{first} …" if more else first


def pretty(value: object) -> str:
    """A value as JSON, indented."""
    return visible(_json(value, 2))


def _json(value: object, indent: int | None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
