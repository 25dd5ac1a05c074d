"""Names as they stand in ids, cursors and addresses, where a name of 100,000 characters has no room: those by a digest.

Queues, workers and schedules are named by anybody, in names of any length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["LONG", "short", "whole"]

LONG: Final = 200
"""Characters up to which a name stands as it is."""

_DIGEST: Final = re.compile(r"~[0-9a-f]{32}")


def short(name: str) -> str:
    """What stands for a name: itself, or where it is long, `~` and 32 hex digits that tell it from others."""
    if len(name) <= LONG and not _DIGEST.fullmatch(name):  # a name that looks like a digest is not taken for one
        return name
    return f"~{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"


def whole(said: str, names: Callable[[], Iterable[str]]) -> str | None:
    """The name that something stands for; None where none of the names is meant.

    Args:
        said: what `short` made of a name, or a person typed.
        names: gives those that there are; asked only where there is no other way.
    """
    if not _DIGEST.fullmatch(said):
        return said
    return next((name for name in names() if short(name) == said), None)
