"""The serializer `msgpack`: bytes, dates and integer keys besides what JSON carries, as tagged text.

On the wire the arguments are `["taskq:msgpack:<base64>"]`, so that the payload is JSON still, and Ruby, dashboards and
workers that do not accept it read the job's name. It needs the extra: `pip install "taskq[msgpack]"`.
"""

from __future__ import annotations

import math
from datetime import date, datetime

from taskq.arguments import Carries, carried, lone_surrogate, refusal
from taskq.envelope import tag, tagged, untagged
from taskq.errors import InvalidPayload

try:
    import msgpack  # type: ignore[import-untyped]
except ModuleNotFoundError as missing:
    if missing.name != "msgpack":
        raise
    raise ModuleNotFoundError(
        'The serializer msgpack needs the package msgpack: pip install "taskq[msgpack]".', name="msgpack"
    ) from None

__all__ = ["MsgpackSerializer"]

# Types of our own within msgpack. Its timestamps would lose the offset, and know no time without one.
_DATETIME = 1
_DATE = 2


class MsgpackSerializer:
    """Carries arguments as msgpack in base64 (see `taskq.serializer.Serializer`)."""

    name = "msgpack"

    def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
        """The arguments as the JSON text of a list of one tagged text.

        Raises:
            UnserializableArgument: one of them would not come back equal.
        """
        if not carried(args, _CARRIES):
            raise refusal(job, names, args, _CARRIES)
        try:
            data = msgpack.packb(list(args), default=_extension, strict_types=True)
        except (ValueError, OverflowError) as wrong:  # a lone surrogate, an integer of more than 64 bits
            raise refusal(job, names, args, _CARRIES, str(wrong)) from None
        # Reading it back is the one test that knows no list of exceptions: NaN, a time told twice when clocks go back.
        if _unpacked(data) != list(args):
            raise refusal(job, names, args, _CARRIES, "it would not come back equal")
        return tagged(self.name, data)

    def loads(self, args: list[object]) -> tuple[object, ...] | None:
        """The arguments; None where they do not bear this serializer's tag.

        Raises:
            InvalidPayload: they bear it, and cannot be read.
        """
        if tag(args) != self.name:
            return None
        data = untagged(args)
        try:
            values = _unpacked(data)
        except Exception as wrong:
            # msgpack raises its own, ValueError, TypeError (a key that is a list), UnicodeDecodeError, OverflowError.
            raise InvalidPayload(f"The arguments are tagged msgpack, but cannot be read: {wrong!r}.") from wrong
        if type(values) is not list:
            raise InvalidPayload("The arguments are tagged msgpack, but are no list.")
        return tuple(values)


def _unpacked(data: bytes) -> object:
    values: object = msgpack.unpackb(data, ext_hook=_from_extension, strict_map_key=False, timestamp=3)
    return values


def _extension(value: object) -> msgpack.ExtType:
    if type(value) is datetime:
        return msgpack.ExtType(_DATETIME, value.isoformat().encode())
    if type(value) is date:
        return msgpack.ExtType(_DATE, value.isoformat().encode())
    raise OverflowError  # an integer of more than 64 bits is asked about too


def _from_extension(code: int, data: bytes) -> object:
    if code == _DATETIME:
        return datetime.fromisoformat(data.decode())
    if code == _DATE:
        return date.fromisoformat(data.decode())
    raise ValueError(f"unknown extension type {code}")


def _flaw(value: object, path: str) -> tuple[str, str] | None:
    """What keeps a value of a type that msgpack carries from coming back, and what to send instead."""
    if type(value) is float and math.isnan(value):
        return "float that is not a number", "Send None in its place."
    if type(value) is str and lone_surrogate(value):
        return "str with a lone surrogate", f'Send {path}.encode("utf-8", "surrogatepass").'
    if type(value) is int and not -(2**63) <= value < 2**64:
        return "number of more than 64 bits", f"Send str({path}), or use the serializer json."
    if type(value) is datetime and datetime.fromisoformat(value.isoformat()) != value:
        return "datetime that the clocks tell twice", f"Send {path}.astimezone(datetime.UTC)."
    return None


_CARRIES = Carries(
    serializer="msgpack",
    leaves=frozenset({str, int, float, bool, type(None), bytes, datetime, date}),
    keys=frozenset({str, int}),
    flaw=_flaw,
)
