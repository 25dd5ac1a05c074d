"""The SQL that the broker runs, which lies in `statements.sql`: each statement by its name."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["MOST_WANTED", "SQL", "over"]

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT: Final = re.compile(r"^ *--.*\n", re.MULTILINE)

MOST_WANTED: Final = 400
"""Queues that one statement looks at: each takes two parameters, and SQLite before 3.32 takes 999."""


def _load() -> Mapping[str, str]:
    _, *parts = _NAME.split(Path(__file__).with_suffix(".sql").read_text("utf-8"))
    texts = (_COMMENT.sub("", text).strip().removesuffix(";") for text in parts[1::2])
    return MappingProxyType(dict(zip(parts[::2], texts, strict=True)))


SQL: Final = _load()
"""The statements by name."""


@functools.cache
def over(name: str, queues: int) -> str:
    """A statement that looks at so many queues, `MOST_WANTED` at most."""
    return SQL[name].replace("{wanted}", ", ".join(["(?, ?)"] * queues))
