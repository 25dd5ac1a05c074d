"""A JSON object taken apart into its members, each with the very text that it was written as.

For whoever changes one key of an object that somebody else wrote, and must leave every other byte of it as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from taskq import envelope

__all__ = ["Member", "join", "members"]


@dataclass(frozen=True, slots=True)
class Member:
    """A key of the outermost object: its value, the text of that value, the text of both."""

    key: str
    value: Any
    written: str
    text: str


# Numbers stay text: what is shown is not computed with, and no number is then too long to be read.
_lenient = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)


def members(data: bytes, *, most: int = envelope.MAX_DEPTH) -> list[Member]:
    """The members of the object that these bytes are, in order, doubled keys too.

    By hand, one value at a time, because nothing else tells where each of them lies.

    Args:
        data: the JSON of an object.
        most: how deep it may nest.

    Raises:
        ValueError: they are no JSON object.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as wrong:
        raise ValueError(f"it is not UTF-8 (byte {wrong.start})") from None
    if envelope.too_deep(data, most):
        raise ValueError("it is nested too deeply")
    found: list[Member] = []
    place = _expect(text, 0, "{")
    if text[place : place + 1] == "}":
        _end(text, place + 1)
        return found
    while True:
        start = place
        key, place = _value(text, place)
        if not isinstance(key, str) or text[start] != '"':
            raise ValueError(f"a key was expected at character {start}")
        begin = _expect(text, place, ":")
        value, place = _value(text, begin)
        found.append(Member(key, value, text[begin:place], text[start:place]))
        ending = _space(text, place)
        if text[ending : ending + 1] == "}":
            _end(text, ending + 1)
            return found
        place = _expect(text, place, ",")


def join(texts: list[str]) -> bytes:
    """The object of these members' texts, `"key":value` each."""
    return f"{{{','.join(texts)}}}".encode()


def _value(text: str, place: int) -> tuple[Any, int]:
    try:
        return _lenient.raw_decode(text, place)
    except json.JSONDecodeError as wrong:
        raise ValueError(f"{wrong.msg} (character {wrong.pos})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _space(text: str, place: int) -> int:
    while text[place : place + 1] in _SPACES:
        place += 1
    return place


_SPACES = frozenset(" \t\n\r")


def _expect(text: str, place: int, char: str) -> int:
    """The place of what comes after `char` and the white space around it."""
    place = _space(text, place)
    if text[place : place + 1] != char:
        raise ValueError(f'"{char}" was expected at character {place}')
    return _space(text, place + 1)


def _end(text: str, place: int) -> None:
    if _space(text, place) != len(text):
        raise ValueError(f"there is more behind its end, at character {place}")
