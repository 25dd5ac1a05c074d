"""The serializer `json`, the default: arguments stay in place, with the bytes that Ruby writes (WIRE.md section 2).

It carries what JSON gives back equal: str, int, float, bool, None, and lists and dicts with string keys of these. The
rest (tuples, dates, NaN, integer keys, subclasses, ...) would come back as something else and is refused.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from taskq.arguments import Carries, carried, lone_surrogate, refusal
from taskq.envelope import dump, quote, tag

__all__ = ["JSONSerializer"]

_TAG_BEGINS = '["taskq:'
_WRITERS: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}


class JSONSerializer:
    """Carries arguments as plain JSON (see `taskq.serializer.Serializer`)."""

    name = "json"

    def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
        """The arguments as JSON text, as Ruby writes it.

        Raises:
            UnserializableArgument: one of them would not come back equal.
        """
        # Most calls have a handful of strings and numbers. Each is written at once, and nothing is walked through: all
        # else that a job of `enqueue_many` costs is little more than this.
        texts = []
        try:
            for value in args:
                if type(value) is str:
                    texts.append(quote(value))
                elif (write := _WRITERS.get(type(value))) is not None:
                    texts.append(write(value))
                else:
                    return _dumped(job, names, args)
            text = f"[{','.join(texts)}]"
            if not text.isascii():
                text.encode()
        except ValueError as wrong:
            raise refusal(job, names, args, _CARRIES, str(wrong)) from None
        if len(args) == 1 and text.startswith(_TAG_BEGINS) and tag(list(args)) is not None:
            raise refusal(job, names, args, _UNTAGGED)
        return text

    def loads(self, args: list[object]) -> tuple[object, ...] | None:
        """The arguments as they are; None where they bear the tag of another serializer."""
        return None if tag(args) is not None else tuple(args)


def _dumped(job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
    """As `dumps`, of arguments that need a look at what is within them."""
    if not carried(args, _CARRIES):
        raise refusal(job, names, args, _CARRIES)
    text = dump(args)
    if not text.isascii():
        text.encode()
    return text


def _flaw(value: object, path: str) -> tuple[str, str] | None:
    """What keeps a value of a type that JSON carries from coming back, and what to send instead."""
    if isinstance(value, float) and not math.isfinite(value):
        return ("float that is not a number" if value != value else "float that is infinite"), "Send None in its place."
    if isinstance(value, str) and lone_surrogate(value):
        return "str with a lone surrogate", f'Send {path}.encode("utf-8", "replace").decode().'
    if type(value) is int and 0 < sys.get_int_max_str_digits() * 3.3 < value.bit_length():
        try:
            str(value)
        except ValueError:
            return f"number of more than {sys.get_int_max_str_digits()} digits", f"Send hex({path})."
    return None


def _taken_for_a_tag(value: object, path: str) -> tuple[str, str] | None:
    return "str that begins like a serializer's tag", "Send a second argument with it, or another text."


_JSON_TYPES: frozenset[type] = frozenset({str, int, float, bool, type(None)})
_CARRIES = Carries(
    serializer="JSON",
    leaves=_JSON_TYPES,
    keys=frozenset({str}),
    flaw=_flaw,
    elsewhere={datetime: "msgpack", date: "msgpack", bytes: "msgpack"},
)
_UNTAGGED = Carries(serializer="JSON", leaves=_JSON_TYPES, keys=frozenset({str}), flaw=_taken_for_a_tag)
