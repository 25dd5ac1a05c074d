"""resque-retry's own count, for a job that a Ruby worker tried before (WIRE.md section 10)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from taskq import envelope

__all__ = ["failed_attempts", "retry_key"]

_SPACE: Final = re.compile(r"[ \t\r\n\f\v]")


def retry_key(job: str, args: Iterable[object]) -> str:
    """The key in which resque-retry counts the attempts of a job, without the namespace."""
    text = _joined(args)
    digest = f":{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}" if text else ""
    return _SPACE.sub("", f"resque-retry:{job}{digest}")


def failed_attempts(counted: bytes | None) -> int:
    """How many attempts failed by that count: it is 0 during the first one, and stays while the next one waits."""
    if counted is None or not re.fullmatch(rb"-?[0-9]{1,9}", counted):
        return 0
    return max(int(counted) + 1, 0)


def _joined(args: Iterable[object]) -> str:
    """As `Array#join("-")`: lists within are joined too, everything else is as `to_s` has it."""
    return "-".join(_text(value) for value in args)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return _joined(value)
    return "" if value is None else envelope.inspect([value])[1:-1]
