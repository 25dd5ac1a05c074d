"""What a broker tells of itself: its own figures, the keys that it is made of, and what is wrong with its set-up.

Records only. What is in a key comes from anybody; whoever shows it masks it first (`taskq.showing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "KeyInfo", "KeyPage", "KeyValue", "Level", "Section"]

Level: TypeAlias = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together, in the server's own words; the first section has the important ones."""

    name: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key of the namespace.

    Attributes:
        name: its whole name.
        type: what the server calls its type: `list`, `hash`.
        size: how many elements it has, bytes for a string; None where the type has no size.
        memory: the bytes that it takes; None where the server does not say.
        expires_in: seconds until it goes; None where it stays.
    """

    name: str
    type: str
    size: int | None
    memory: int | None
    expires_in: float | None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys, in no order; `cursor` asks for the next ones, and is empty where these are the last.

    A page may be short or empty and not be the last: keys of others lie between.
    """

    keys: tuple[KeyInfo, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A part of what a key holds.

    Attributes:
        key: which.
        items: its elements: one text for a list, set or string; field and value for a hash; member and score for a
            sorted set.
        cursor: asks for the next ones; empty where these are the last.
    """

    key: KeyInfo
    items: tuple[tuple[bytes, ...], ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at the set-up found.

    Attributes:
        level: `ok`, or how bad it is: a `warning` will hurt some day, an `error` does now.
        check: what was looked at, in a word or two.
        said: what was found, in a sentence.
        advice: what to do about it; empty where nothing is to be done.
    """

    level: Level
    check: str
    said: str
    advice: str = ""
