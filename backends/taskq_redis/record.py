"""The texts that lie in `worker:ID` and `taskq:registration:ID`: written exactly, read from whoever wrote them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from taskq.dates import parse_run_at
from taskq.records import ProcessIdentity, Registration, Reservation
from taskq_redis.keys import from_bytes, to_bytes

__all__ = ["beginning", "dump_registration", "join", "read", "read_clients", "read_registration", "split"]

_RAW = b'{"class":"","args":[],"raw":"'
_OURS = re.compile(
    rb'\{"queue":("(?:[^"\\]|\\.)*")(?:,"queue_bytes":"([^"]*)")?,"run_at":"([^"]*)","payload":'
    rb'(.*),"fence":"([0-9a-f]{16}:\d{4})"\}',
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n\r]*")


def beginning(queue: str) -> bytes:
    """A record up to the time in it: `{"queue":"emails","run_at":"` (WIRE.md section 4, step 5).

    A name that is not UTF-8 stands beside it as base64, for the record must be JSON to everybody.
    """
    name = to_bytes(queue)
    shown = json.dumps(name.decode("utf-8", "replace"), ensure_ascii=False).encode()
    try:
        name.decode()
    except UnicodeDecodeError:
        shown += b',"queue_bytes":"' + base64.b64encode(name) + b'"'
    return b'{"queue":' + shown + b',"run_at":"'


def read(worker: str, record: bytes, *, started: bool = True) -> Reservation:
    """The job that a record tells of, whoever wrote it. What is no record becomes a job of these very bytes."""
    ours = _OURS.fullmatch(record)
    if ours is None:
        return _foreign(worker, record, started)
    name, name_bytes, run_at, body, fence = ours.groups()
    queue = from_bytes(base64.b64decode(name_bytes)) if name_bytes is not None else json.loads(name)
    return Reservation(worker, queue, _body(body), fence.decode(), parse_run_at(run_at.decode()) or 0.0, started)


def _body(shown: bytes) -> bytes:
    if shown.startswith(_RAW):
        try:
            return base64.b64decode(shown[len(_RAW) : -2], validate=True)
        except binascii.Error:
            pass
    return shown


def _foreign(worker: str, record: bytes, started: bool) -> Reservation:
    """Ruby's record, which has no fence, or node-resque's: other order, further keys, JavaScript's dates."""
    try:
        members = dict(_members(record.decode()))
        queue, text = json.loads(members["queue"]), members["payload"]
    except (ValueError, KeyError, RecursionError):
        return Reservation(worker, "", record, "", 0.0, started)
    run_at = json.loads(members.get("run_at", '""'))
    at = parse_run_at(run_at) if isinstance(run_at, str) else None
    return Reservation(worker, str(queue), _body(text.encode("utf-8", "surrogatepass")), "", at or 0.0, started)


def _members(text: str) -> list[tuple[str, str]]:
    """The keys of a JSON object, each with the very text of its value. Raises ValueError where it is none."""
    decoder = json.JSONDecoder()
    members: list[tuple[str, str]] = []

    def skip(at: int, character: str) -> int:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] != character:
            raise ValueError(f"no {character} at {at}")
        return _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]

    at = skip(0, "{")
    while True:
        key, at = decoder.raw_decode(text, at)
        at = skip(at, ":")
        _, end = decoder.raw_decode(text, at)
        members.append((str(key), text[at:end]))
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        if text[at : at + 1] != ",":
            break
        at = skip(at, ",")
    skip(at, "}")
    return members


def dump_registration(registration: Registration, clients: Sequence[int]) -> bytes:
    """What a worker says of itself, and the CLIENT IDs of its connections, for who recovers it."""
    return json.dumps({**asdict(registration), "clients": list(clients)}, separators=(",", ":")).encode()


def read_registration(data: bytes | None) -> Registration | None:
    """What `dump_registration` wrote; None for anything else."""
    fields = _fields(data)
    try:
        process = ProcessIdentity(**fields["process"])
        return Registration(
            worker=str(fields["worker"]),
            process=process,
            dead_after=float(fields["dead_after"]),
            beat=float(fields["beat"]),
            process_token=str(fields["process_token"]),
            requeues={str(name): int(times) for name, times in fields.get("requeues", {}).items()},
            hidden=bool(fields.get("hidden", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_clients(data: bytes | None) -> list[int]:
    """The CLIENT IDs in a registration."""
    clients = _fields(data).get("clients")
    return [one for one in clients if isinstance(one, int)] if isinstance(clients, list) else []


def _fields(data: bytes | None) -> Mapping[str, Any]:
    try:
        fields = json.loads(data or b"{}")
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def join(parts: Sequence[bytes]) -> bytes:
    """Several texts as one, whatever is in them."""
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def split(joined: bytes) -> list[bytes]:
    """What `join` was given."""
    parts: list[bytes] = []
    while joined:
        length, _, joined = joined.partition(b":")
        parts.append(joined[: int(length)])
        joined = joined[int(length) :]
    return parts
