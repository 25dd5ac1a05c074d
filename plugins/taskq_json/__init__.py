"""The serializer `json`, the default: arguments stay in place, with the bytes that Ruby writes (WIRE.md section 2).

It carries what JSON gives back equal: str, int, float, bool, None, and lists and dicts with string keys of these. The
rest (tuples, dates, NaN, integer keys, subclasses, ...) would come back as something else and is refused.
"""

from __future__ import annotations

import math
import sys
from datetime import date, datetime

from taskq.arguments import Carries, carried, lone_surrogate, refusal
from taskq.envelope import dump, dump_plain, tag

__all__ = ["JSONSerializer"]

_FLAT = frozenset({str, int, bool, type(None)})
_TAG_BEGINS = '["taskq:'


class JSONSerializer:
    """Carries arguments as plain JSON (see `taskq.serializer.Serializer`)."""

    name = "json"

    def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
        """The arguments as JSON text, as Ruby writes it.

        Raises:
            UnserializableArgument: one of them would not come back equal.
        """
        # Most calls have a handful of strings and numbers: a set operation tells, and nothing is walked through.
        flat = _FLAT.issuperset(map(type, args))
        if not flat and not carried(args, _CARRIES):
            raise refusal(job, names, args, _CARRIES)
        try:
            text = dump_plain(args) if flat else dump(args)
            if not text.isascii():
                text.encode()
        except ValueError as wrong:
            raise refusal(job, names, args, _CARRIES, str(wrong)) from None
        if text.startswith(_TAG_BEGINS) and tag(list(args)) is not None:
            raise refusal(job, names, args, _UNTAGGED)
        return text

    def loads(self, args: list[object]) -> tuple[object, ...] | None:
        """The arguments as they are; None where they bear the tag of another serializer."""
        return None if tag(args) is not None else tuple(args)


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
