"""The lock of a key: whose it is, what the payload says of it, and how it is kept at the broker.

What it holds begins with a token that only its job's payload has. So one whose lock expired, and was taken by another
job, can neither release nor extend that; and a job that lost its token (Ruby drops further keys) leaves its lock to
expire.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Self

from taskq import envelope
from taskq.broker import Broker
from taskq.errors import InvalidPayload
from taskq.hook import Accepted
from taskq.records import Payload

__all__ = ["EXTRA", "Lock", "place_of"]

EXTRA: Final = "taskq:unique"
_PLACE_MOST: Final = 64 * 1024  # bytes of a payload that a lock has room for
_TRIES: Final = 3
_MARK: Final = b"+"  # begins each mark of who may have the job go back; where the job is noted a brace stands there
_MARKS_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock, as its job's payload has it.

    Attributes:
        digest: stands for the key.
        token: its job's own.
        until: how long it is held: until the job begins, or until it ended.
        expires: the seconds that it lives when it is taken or extended.
    """

    digest: str
    token: str
    until: Literal["started", "done"]
    expires: float

    @classmethod
    def new(cls, job: str, key: object, until: Literal["started", "done"], expires: float) -> Self:
        """A lock nobody has, for this key of this job."""
        digest = hashlib.sha256(f"{job}\0{_text(key)}".encode(errors="surrogatepass")).hexdigest()[:32]
        return cls(digest, os.urandom(8).hex(), until, expires)

    @classmethod
    def of(cls, payload: Payload) -> Self | None:
        """The lock that a payload says it has; None where it has none, or somebody else wrote what is there."""
        match payload.extra.get(EXTRA):
            case [str(digest), str(token), "started" | "done" as until, int() | float() as expires] if expires > 0:
                return cls(digest, token, until, float(expires))
        return None

    @classmethod
    def in_body(cls, body: bytes) -> Self | None:
        """As `of`, of the payload's bytes, whatever they are."""
        if b'"taskq:unique"' not in body:
            return None
        try:
            return cls.of(envelope.decode(body))
        except InvalidPayload:
            return None

    @property
    def extra(self) -> list[object]:
        """What the payload says of it."""
        return [self.digest, self.token, self.until, self.expires]

    @property
    def key(self) -> str:
        """Where the broker keeps it."""
        return f"unique:{self.digest}"

    def take(self, broker: Broker, later: float, connection: object | None = None) -> tuple[bytes, float] | None:
        """Take it, `later` seconds longer than it lives otherwise. None where it is ours now.

        With a connection of the application's it is taken in the transaction that is open there.

        Returns:
            What another one's holds, and the seconds until that expires.
        """
        value, seconds = self.token.encode(), self.expires + later
        if connection is None:
            taken = broker.take_key([self.key], value, seconds)
        else:
            taken = broker.take_key_within(connection, [self.key], value, seconds)
        return None if taken.key is not None else (taken.value, taken.left)

    def give_back(self, broker: Broker, connection: object | None = None) -> None:
        """Let it go, which was taken this moment and whose job is not enqueued."""
        if connection is None:
            self.release(broker)
        else:
            broker.swap_key_within(connection, self.key, self.token.encode(), None)

    def note_place(self, broker: Broker, accepted: Accepted, connection: object | None = None) -> None:
        """Note where its job is, for those that come after it. One that began and let it go meanwhile keeps it so."""
        value = self._placed(accepted)
        left = self.expires + (0.0 if accepted.at is None else max(accepted.at - broker.now(), 0.0))
        if len(value) > _PLACE_MOST:
            return
        if connection is None:
            broker.swap_key(self.key, self.token.encode(), value, left)
        else:
            broker.swap_key_within(connection, self.key, self.token.encode(), value, left)

    def release(self, broker: Broker) -> None:
        """Let it go, where it is still this job's."""
        self._change(broker, lambda _: None)

    def extend(self, broker: Broker) -> None:
        """Have it live as long as when it was taken, where it is still this job's."""
        self._change(broker, lambda rest: b"" if rest.startswith(_MARK) else rest)

    def take_again(self, broker: Broker, later: float, accepted: Accepted) -> Callable[[], None] | None:
        """Of a job that is about to go back: hold it for as long again, with the place where the job is then.

        Where another one has it by now, both wait. Several may be about to have the job go back, of whom one does: so
        each who finds it free, or taken by another of them, leaves a mark, and it goes with the last mark.

        Returns:
            What takes that back, for who has not had the job go back; None where the lock was held anyway.
        """
        token, mark, seconds = self.token.encode(), _MARK + os.urandom(4).hex().encode(), self.expires + later
        for _ in range(_TRIES):
            taken = broker.take_key([self.key], token + mark, seconds)
            value = taken.value
            if not value.startswith(token):
                return None
            if taken.key is None:
                rest = value[len(token) :]
                value = self._placed(accepted) if rest[:1] == b"{" else token + _with(mark, rest)
                if not broker.swap_key(self.key, taken.value, value, seconds):
                    continue
            return partial(self._change, broker, partial(_without, mark)) if value.endswith(mark) else None
        return None

    def _change(self, broker: Broker, becomes: Callable[[bytes], bytes | None]) -> None:
        """Where it is this job's, have what it holds behind the token become that, or with None let it go."""
        token = self.token.encode()
        for _ in range(_TRIES):  # its place may be noted this moment
            value = broker.get_key(self.key)
            if value is None or not value.startswith(token):
                return
            rest = becomes(value[len(token) :])
            if broker.swap_key(self.key, value, None if rest is None else token + rest, self.expires):
                return

    def _placed(self, accepted: Accepted) -> bytes:
        where = {"job": accepted.job, "queue": accepted.queue, "at": accepted.at}
        return self.token.encode() + json.dumps(where).encode() + b"\n" + accepted.payload


def _with(mark: bytes, rest: bytes) -> bytes:
    """One mark more, where there is any; of too many none is left: it is held then, whatever becomes of those."""
    return rest + mark if rest and len(rest) < _MARKS_MOST * len(mark) else b""


def _without(mark: bytes, rest: bytes) -> bytes | None:
    if not rest.startswith(_MARK) or mark not in rest:
        return rest
    return rest.replace(mark, b"") or None


def place_of(value: bytes) -> Accepted | None:
    """Where the job is whose lock holds this; None where that was not noted."""
    head, newline, body = value[16:].partition(b"\n")
    if not newline:
        return None
    try:
        where = json.loads(head)
        return Accepted(where["job"], where["queue"], body, where["at"])
    except (ValueError, KeyError, TypeError):
        return None


def _text(key: object) -> str:
    """Equal for what travels as equal: a list and a tuple do. The order of a set is another one in each process."""
    if isinstance(key, set | frozenset):
        key = ["set", *sorted(map(_text, key))]
    try:
        return envelope.dump(key)
    except (TypeError, ValueError):
        return repr(key)
