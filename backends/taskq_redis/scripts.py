"""The Lua scripts, one a method of the broker, each in a file of its own whose head says what it promises.

A script is called by its SHA; only a Redis that does not know it yet is sent the text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Script", "load"]

_DIRECTORY = Path(__file__).with_name("scripts")
_PART = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is sent.

    Attributes:
        name: the name of its file.
        text: the Lua source, the parts that it includes in place, without comment lines.
        sha: what EVALSHA calls it by, 40 hex digits.
        types: the type that each of its first keys has; the keys behind them are lists.
    """

    name: str
    text: bytes
    sha: bytes
    types: tuple[str, ...]

    def type_of(self, place: int) -> str:
        """The type that the key at this place must have: a name of the command TYPE, or "any"."""
        return self.types[place] if place < len(self.types) else "list"


def load(name: str, types: str) -> Script:
    """Read a script.

    Args:
        name: the name of its file, without `.lua`.
        types: the types of its fixed keys, in order, with spaces between; `any` for one whose type is no matter.
    """
    source = (_DIRECTORY / f"{name}.lua").read_text("utf-8")
    source = _PART.sub(lambda part: (_DIRECTORY / "parts" / f"{part[1]}.lua").read_text("utf-8"), source)
    text = _COMMENT.sub("", source).encode()
    sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
    return Script(name, text, sha, tuple(types.split()))
