"""What lies in the list of a time: the payload with its queue as the last key, as resque-scheduler writes it.

`{"class":"Emailer","args":[1],"queue":"emails"}` (WIRE.md section 9). The queue is put in and cut out again, so that
the payload's own bytes stay what they are. Ruby's scheduler ends where it meets an item that is no JSON, and ends again
at each start; so what Ruby's parser would not take lies there as
`{"class":"","args":[],"raw":"BASE64","queue":"emails"}`.

`scripts/parts/item.lua` reads the same within Redis; the two must agree.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import NoReturn

from taskq_redis.keys import from_bytes, to_bytes

__all__ = ["join", "split"]

_DEEPEST = 90  # levels of nesting; Ruby's parser takes 100
_RAW = b'{"class":"","args":[],"raw":"'
_WRAPPED = re.compile(
    rb'\{"class":"","args":\[\],"raw":"([A-Za-z0-9+/=]*)",(?:"queue_bytes":"([A-Za-z0-9+/=]*)",)?"queue":"([^"\\]+)"\}'
)
_LAST = re.compile(rb',"queue":"([^"\\]*)"\}([ \t\n\r]*)\Z')
_MARKS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_QUEUE = re.compile(rb'[ \t\n\r]*:[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
_COMMA_BEFORE = re.compile(rb",[ \t\n\r]*\Z")
_COMMA_BEHIND = re.compile(rb"[ \t\n\r]*,[ \t\n\r]*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# An integer of 5,000 digits cannot be converted to one, and need not.
_strict = json.JSONDecoder(parse_constant=_refuse, parse_int=float)
_lenient = json.JSONDecoder(parse_int=float, strict=False)


def join(queue: str, body: bytes) -> bytes:
    """The item for a job of this queue."""
    name = to_bytes(queue)
    try:
        shown = json.dumps(name.decode(), ensure_ascii=False).encode()
        parsed = _object(body)
    except (ValueError, RecursionError):
        return _wrapped(name, body)
    end = body.rindex(b"}")
    comma = b"," if parsed else b""
    return b'%b%b"queue":%b%b' % (body[:end], comma, shown, body[end:])


def _object(body: bytes) -> dict[str, object]:
    """The JSON object that these bytes are to Ruby's parser too. Raises ValueError where they are none."""
    parsed = _strict.decode(body.decode())
    if not isinstance(parsed, dict) or body.startswith(_RAW):
        raise ValueError("no object, or one that looks like a wrapped item")
    if _SURROGATE.search(body):
        json.dumps(parsed, ensure_ascii=False).encode()  # half a pair is no UTF-8
    if body.count(b"{") + body.count(b"[") > _DEEPEST and _depth(body) > _DEEPEST:
        raise ValueError("nested too deeply")
    return parsed


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for mark in _MARKS.finditer(body):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(mark[0], 0)
        deepest = max(depth, deepest)
    return deepest


def _wrapped(name: bytes, body: bytes) -> bytes:
    # A name that is no plain text stands beside it as base64: whoever reads this back looks for no escapes.
    shown = re.sub(r'["\\\x00-\x1f]', "\ufffd", name.decode("utf-8", "replace")).encode()
    exact = b"" if shown == name else b'"queue_bytes":"%b",' % base64.b64encode(name)
    return b'%b%b",%b"queue":"%b"}' % (_RAW, base64.b64encode(body), exact, shown)


def split(item: bytes) -> tuple[str, bytes]:
    """The queue and the payload of an item, whoever wrote it; no queue and the item itself where it says none."""
    wrapped = _WRAPPED.fullmatch(item)
    if wrapped is not None:
        try:
            body = base64.b64decode(wrapped[1], validate=True)
            exact = None if wrapped[2] is None else base64.b64decode(wrapped[2], validate=True)
        except binascii.Error:
            pass
        else:
            return from_bytes(wrapped[3] if exact is None else exact), body
    try:
        parsed = _lenient.decode(from_bytes(item))
        queue = parsed.get("queue") if isinstance(parsed, dict) else None
        if not isinstance(queue, str) or not queue:
            return "", item
        to_bytes(queue)  # half a pair of surrogates names no queue
    except (ValueError, RecursionError):
        return "", item
    last = _LAST.search(item)
    if last is not None:
        return queue, item[: last.start()] + b"}" + last[2]
    return queue, _without_queue(item)


def _without_queue(item: bytes) -> bytes:
    """A JSON object without its member `queue`, of several the last, which is the one that counts."""
    depth, start, end = 0, 0, 0
    for mark in _MARKS.finditer(item):
        text = mark[0]
        if text == b'"queue"' and depth == 1:
            value = _QUEUE.match(item, mark.end())
            if value is not None:
                start, end = mark.start(), value.end()
        else:
            depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(text, 0)
    head, tail = item[:start], item[end:]
    comma = _COMMA_BEFORE.search(head)
    if comma is not None:
        return head[: comma.start()] + tail
    behind = _COMMA_BEHIND.match(tail)
    return head + tail[behind.end() if behind else 0 :]
