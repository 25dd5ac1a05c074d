"""The lock of a key: whose it is, what the payload says of it, and how it is kept at the broker.

What it holds begins with a token that only its job's payload has. So one whose lock expired, and was taken by another
job, can neither release nor extend that; and a job that lost its token (Ruby drops further keys) leaves its lock to
expire.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
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
        self._change(broker, None, 0.0)

    def extend(self, broker: Broker, later: float = 0.0) -> None:
        """Have it live as long as when it was taken, where it is still this job's."""
        self._change(broker, self.expires, later)

    def take_again(self, broker: Broker, later: float, accepted: Accepted) -> bool:
        """Of a job that goes back: hold it for as long again, with the place where the job is then.

        Where another one has it by now, both wait. True where nobody had it.
        """
        if self.take(broker, later) is None:
            return True
        self._change(broker, self.expires, later, accepted)
        return False

    def _change(self, broker: Broker, seconds: float | None, later: float, accepted: Accepted | None = None) -> None:
        for _ in range(_TRIES):  # its place may be noted this moment
            value = broker.get_key(self.key)
            if value is None or not value.startswith(self.token.encode()):
                return
            new, left = (None, 0.0) if seconds is None else (value, seconds + later)
            if accepted is not None and len(value) > len(self.token):  # the place of before was noted
                new = self._placed(accepted)
            if broker.swap_key(self.key, value, new, left):
                return

    def _placed(self, accepted: Accepted) -> bytes:
        where = {"job": accepted.job, "queue": accepted.queue, "at": accepted.at}
        return self.token.encode() + json.dumps(where).encode() + b"\n" + accepted.payload


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
