"""The payload's bytes: written as Ruby writes them, read from whoever wrote them (WIRE.md section 2).

`encode` and `decode` are on the path of every single job, so the common case of each is straight C: a kept encoder, a
kept decoder. What is out of the ordinary goes to a careful second look. Bytes that are no payload raise
`InvalidPayload` and nothing else, whatever they are. This module knows neither serializers nor what a job is.
"""

from __future__ import annotations

import base64
import binascii
import json
import json.encoder
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate, islice
from typing import Any, cast

from taskq.errors import InvalidPayload
from taskq.records import JSON, Payload

__all__ = [
    "MAX_DEPTH",
    "beginning",
    "completed",
    "decode",
    "dump",
    "encode",
    "inspect",
    "job_of",
    "parse",
    "quote",
    "tag",
    "tagged",
    "too_deep",
    "untagged",
]

MAX_DEPTH = 99
"""How deep a payload's JSON may nest, the payload itself counted.

Ruby's JSON refuses more than 100 levels, and the records of a worker and of a failure put one around the payload. A
fixed bound also makes the answer the same whatever is on the stack, and keeps what is decoded safe for recursion.
"""


# --- writing ----------------------------------------------------------------------------------------------------------


def _kept_encoder() -> Callable[[object, int], Iterable[str]]:
    # A JSONEncoder builds this C encoder anew at each call, which is half of its time (1.2 us, this 0.6 us). Without
    # markers it looks for no circles, which end in RecursionError instead; so it has no state that threads could share.
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
        return lambda value, _indent: plain.iterencode(value)
    quote = json.encoder.encode_basestring
    return cast(
        "Callable[[object, int], Iterable[str]]", make(None, _refuse, quote, None, ":", ",", False, False, False)
    )


def _refuse(value: object) -> object:
    raise TypeError(f"JSON cannot carry a {type(value).__name__}")


_encode = _kept_encoder()
quote: Callable[[str], str] = json.encoder.encode_basestring
"""A text as JSON, with the bytes that Ruby writes."""

# Types whose JSON needs no second look: Python writes them as Ruby does.
_PLAIN = frozenset({str, int, bool, type(None)})

# A float that Ruby may write otherwise has an exponent, or 16 digits before its point.
_ODD_FLOAT = re.compile(r"\de[+-]|\d{16}\.", re.ASCII)
_STRING_OR_ODD_FLOAT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(-?\d)(\d{15})\.0(?!\d)|(?<![\d.])(-?\d+)e', re.ASCII)


def dump(value: object) -> str:
    """The JSON text of a value, with the bytes that Ruby's json gem 2.6.1 writes (WIRE.md section 2).

    Args:
        value: str, int, float, bool, None, and lists (tuples), dicts with str keys of them.

    Raises:
        TypeError: something in it is none of these.
        ValueError: NaN, an infinity, an integer of more digits than Python converts, or nested without end.
    """
    try:
        text = "".join(_encode(value, 0))
    except RecursionError:
        raise ValueError("nested too deeply, or contains itself") from None
    if isinstance(value, (list, tuple)) and _PLAIN.issuperset(map(type, value)):
        return text
    return _STRING_OR_ODD_FLOAT.sub(_as_ruby, text) if _ODD_FLOAT.search(text) else text


def _as_ruby(found: re.Match[str]) -> str:
    """Ruby's form of a float that Python wrote; a string stays.

    Ruby wants a point in every mantissa, and takes to exponents at 1e16, for whole numbers at 1e15 already.
    """
    if found[3] is not None:
        return f"{found[3]}.0e"
    if found[1] is not None:
        return f"{found[1]}.{found[2].rstrip('0') or '0'}e+15"
    return found[0]


def encode(job: str, args_json: str, extra: Mapping[str, object] = {}) -> bytes:
    """The payload `{"class":...,"args":[...]}` as bytes (WIRE.md section 2).

    Args:
        job: the job's name on the wire.
        args_json: the JSON text of the list of arguments.
        extra: further keys, written behind `args` in their order.

    Raises:
        InvalidPayload: no name, a lone surrogate anywhere, or `extra` names `class` or `args`.
    """
    return completed(beginning(job), args_json, extra)


def beginning(job: str) -> str:
    """What every payload of a job begins with, up to its arguments: half of `encode`, for who has many to make.

    Raises:
        InvalidPayload: there is no name.
    """
    if not job:
        raise InvalidPayload("A payload needs the name of a job; it is empty.")
    return f'{{"class":{quote(job)},"args":'


def completed(begins: str, args_json: str, extra: Mapping[str, object]) -> bytes:
    """The payload that begins so: the other half of `encode`, and what that raises but for the name."""
    further = _further(extra) if extra else ""
    try:
        return f"{begins}{args_json}{further}}}".encode()
    except UnicodeEncodeError:
        raise InvalidPayload("A lone surrogate is no text: UTF-8 cannot carry it.") from None


def _further(extra: Mapping[str, object]) -> str:
    for key in extra:
        if key in ("class", "args"):
            raise InvalidPayload(f'A further key of a payload cannot be named "{key}".')
    return "".join(f",{quote(key)}:{dump(value)}" for key, value in extra.items())


# --- reading ----------------------------------------------------------------------------------------------------------


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    # Called for floats alone: most payloads have none, and pay nothing.
    value = float(digits)
    if value - value != 0.0:
        raise ValueError(f"{digits if len(digits) < 40 else 'a number'} is beyond what a float can be")
    return value


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
# The C scanners themselves: each reads one value and says where it ended, in a quarter of the time of json.loads.
_scan: Callable[[str, int], tuple[Any, int]] = vars(_decoder)["scan_once"]
_scan_string: Callable[[str, int], tuple[str, int]] = vars(json.decoder)["scanstring"]

_LOOKS = 'A payload looks like {"class":"Emailer","args":[1,"two"]}.'


def decode(body: bytes) -> Payload:
    """The payload that these bytes are.

    Accepted, as by a Ruby worker: further keys, any order, white space, escapes, no `args` or `null` for none
    (WIRE.md section 2). Not accepted, though Ruby would: `args` that is no list, `class` or `args` twice.

    Raises:
        InvalidPayload: saying what is wrong. No bytes raise anything else.
    """
    try:
        text = body.decode()
        odd = ("\\" in text and "\\u" in text) or (len(body) > 2 * MAX_DEPTH and too_deep(body))
        if not odd and text.startswith(_HEAD):
            # What every producer writes. Read piece by piece it cannot hide a key twice, and needs no dict.
            job, end = _scan_string(text, len(_HEAD))
            if job and text.startswith(_NECK, end):
                args, end = _scan(text, end + len(_NECK) - 1)
                if text[end:] == "}":
                    return Payload(job, tuple(args), {})
    except (ValueError, RecursionError, StopIteration):
        pass
    return _careful(body)


_HEAD = '{"class":"'
_NECK = ',"args":['


def job_of(body: bytes) -> str | None:
    """The job that a payload names; None where it is no payload."""
    try:
        return decode(body).job
    except InvalidPayload:
        return None


def _careful(body: bytes) -> Payload:
    value = parse(body)
    if type(value) is not dict:
        raise InvalidPayload(f"The payload is {_kind(value)}, not an object. {_LOOKS}")
    for key in ("class", "args"):
        if _may_be_twice(body, key) and _top_keys(body).count(key) > 1:
            raise InvalidPayload(f'The payload has the key "{key}" twice.')
    if "class" not in value:
        raise InvalidPayload(f'The payload names no job: it has no "class". {_LOOKS}')
    job = value.pop("class")
    if type(job) is not str:
        raise InvalidPayload(f'The payload\'s "class" is {_kind(job)}, not a string. {_LOOKS}')
    if not job:
        raise InvalidPayload(f'The payload names no job: its "class" is empty. {_LOOKS}')
    args = value.pop("args", None)
    if args is None:
        args = []
    if type(args) is not list:
        raise InvalidPayload(f'The payload\'s "args" is {_kind(args)}, not a list. {_LOOKS}')
    return Payload(job, tuple(args), value)


def parse(body: bytes) -> JSON:
    """The JSON value that these bytes are, by the strict reading that a payload gets.

    Raises:
        InvalidPayload: they are not UTF-8, not JSON, nested deeper than `MAX_DEPTH`, or have NaN, a float beyond all, a
            lone surrogate or an integer of more digits than Python converts. No bytes raise anything else.
    """
    if not body:
        raise InvalidPayload(f"The payload is empty. {_LOOKS}")
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        raise InvalidPayload(f"The payload is not UTF-8 (byte {wrong.start}). {_LOOKS}") from None
    if too_deep(body):
        raise InvalidPayload(f"The payload is nested more than {MAX_DEPTH} deep.")
    try:
        value = _decoder.decode(text)
        if "\\u" in text:
            # Only an escape can bring in a lone surrogate; writing the value again finds it, wherever it is.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as wrong:
        raise InvalidPayload(f"The payload is not JSON: {wrong.msg} (character {wrong.pos}). {_LOOKS}") from None
    except UnicodeEncodeError:
        raise InvalidPayload("The payload has a lone surrogate in a string, which is no text.") from None
    except RecursionError:
        raise InvalidPayload("The payload is nested too deeply to be read here.") from None
    except ValueError as wrong:
        raise InvalidPayload(f"The payload cannot be read: {wrong}.") from None
    return cast("JSON", value)


def _may_be_twice(body: bytes, key: str) -> bool:
    # Escapes may hide a key; nested objects may well have one of that name.
    return b"\\u" in body or body.count(f'"{key}"'.encode()) > 1


def _top_keys(body: bytes) -> list[str]:
    """The keys of the outermost object, doubled ones too, in order."""
    outermost: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        # Objects end from the inside out, so the last one told is the outermost.
        outermost[:] = [key for key, _ in pairs]

    json.loads(body, object_pairs_hook=note)
    return outermost


def _kind(value: object) -> str:
    """What a JSON value is, in JSON's words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = tuple(1 if byte in b"[{" else -1 for byte in range(256))
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*+"?')


def too_deep(body: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether JSON nests deeper than `most`, told from its bytes, before anything recurses into it.

    Exact for JSON. What is no JSON may be judged by more than a parser would read of it, never by less.
    """
    # Half of its bytes at most open something, or it is no JSON, and harmless to read at that size.
    if len(body) <= 2 * most or body.count(b"[") + body.count(b"{") <= most:
        return False
    if b"\\" in body:
        body = _ESCAPE.sub(b"", body)
    # Taking away two quotes side by side leaves every other byte inside or outside of a string as it was; most strings
    # hold no bracket and go by this, at memory speed.
    structure = body.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' in structure:
        structure = _STRING.sub(b"", structure)
    # Without its innermost pairs, two levels at most, a wide value has few brackets left, and no more depth than those.
    core = structure.replace(b"[]", b"").replace(b"{}", b"")
    if core.count(b"[") + core.count(b"{") + 2 <= most:
        return False
    return max(accumulate(map(_STEPS.__getitem__, structure)), default=0) > most


# --- the tag of another serializer ------------------------------------------------------------------------------------

_TAG = re.compile(r"taskq:([A-Za-z0-9_.-]+):")


def tagged(name: str, data: bytes) -> str:
    """The JSON text of the `args` that carry another serializer's bytes: `["taskq:NAME:<base64>"]`.

    Args:
        name: the serializer's name: ASCII letters, digits, `_`, `.`, `-`.
        data: what it made of the arguments.
    """
    return f'["taskq:{name}:{base64.b64encode(data).decode()}"]'


def tag(args: list[object]) -> str | None:
    """The name of the serializer that made these `args`; None where they carry no tag and are plain JSON."""
    if len(args) != 1 or not isinstance(args[0], str):
        return None
    found = _TAG.match(args[0])
    return found[1] if found else None


def untagged(args: list[object]) -> bytes:
    """The bytes that `tagged` was given.

    Raises:
        InvalidPayload: there is no tag, or no base64 behind it.
    """
    name = tag(args)
    if name is None:
        raise InvalidPayload("The arguments carry no serializer's tag.")
    text = cast("str", args[0])
    try:
        return base64.b64decode(text[len(name) + 7 :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidPayload(f"The arguments are tagged {name}, but what follows is no base64.") from None


# --- showing ----------------------------------------------------------------------------------------------------------

_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\v": "\\v", "\b": "\\b",
    "\a": "\\a", "\x1b": "\\e", "\x7f": "\\x7F",
}  # fmt: skip
# A "#" is escaped where Ruby would read the start of an interpolation; the rest is told apart one by one.
_UNUSUAL = re.compile(r'["\\\x00-\x1f\x7f-\x9f]|#(?=[{$@])|[^\x00-\xff]')


def inspect(args: Iterable[object], *, limit: int | None = None) -> str:
    """Arguments as Ruby's `inspect` shows a list, for log lines: `["a@b", 1, nil, 1.0, {"k"=>1}]` (WIRE.md section 14).

    Never raises: what is none of JSON's types is shown by its `repr`, or by its type where that fails.

    Args:
        args: the arguments.
        limit: how many characters at most, the rest shown as `...`; None for all.
    """
    try:
        text = _inspect(list(args), limit)
    except RecursionError:
        text = "[...]"
    return text if limit is None or len(text) <= limit else f"{text[:limit]}..."


def _inspect(value: object, limit: int | None) -> str:
    # Exact types: a subclass may do anything in its methods, and goes by its guarded repr.
    kind = type(value)
    if kind is str:
        return _inspect_text(cast("str", value)[:limit])
    if value is None:
        return "nil"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return _inspect_float(cast("float", value))
    if kind is list or kind is tuple:
        items = islice(cast("list[object]", value), limit)
        return f"[{', '.join(_inspect(item, limit) for item in items)}]"
    if kind is dict:
        pairs = islice(cast("dict[object, object]", value).items(), limit)
        return f"{{{', '.join(f'{_inspect(k, limit)}=>{_inspect(v, limit)}' for k, v in pairs)}}}"
    try:
        return repr(value)
    except Exception:  # whatever a stranger's repr, or an integer of too many digits, raises
        return f"#<{kind.__name__}>"


def _inspect_float(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return dump(value)


def _inspect_text(text: str) -> str:
    return f'"{_UNUSUAL.sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char == "#":
        return "\\#"
    if unicodedata.category(char) not in ("Cc", "Cn", "Cs", "Zl", "Zp"):
        return char
    code = ord(char)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\u{{{code:X}}}"
