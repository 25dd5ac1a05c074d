"""A connection on which Redis says which keys were written (CLIENT TRACKING, RESP3). Not thread-safe."""

from __future__ import annotations

import socket
from typing import Any

from taskq_redis.link import Links
from taskq_redis.wire import Connection, pack

__all__ = ["Lost", "Refused", "Tracker", "has_read_ahead"]

_ANSWER = 5.0  # seconds


class Lost(Exception):
    """The connection is gone."""


class Refused(Exception):
    """This Redis does not tell us: no hiredis, a client that only plays Redis, a right that is missing."""


class Tracker:
    """One such connection. What it hears is kept until it is asked for."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.socket: socket.socket | None = None
        self._reader: Any = None
        self._heard: list[bytes | None] = []

    def connect(self, links: Links) -> None:
        """Open the connection, if it is not. Raises `Refused`, or what connecting raises."""
        if self.connection is None:
            self.connection = links.open(protocol=3)
            self.socket = self.connection.sock
            if not isinstance(self.socket, socket.socket):  # a client that only plays Redis
                raise Refused
            self._reader = _reader()

    def drop(self) -> None:
        """Close it, and forget what was heard."""
        if self.connection is not None:
            self.connection.disconnect()
        self.connection = self.socket = self._reader = None
        self._heard.clear()

    def heard(self) -> list[bytes | None]:
        """The keys that were written since the last time, None for all of them. Raises `Lost`."""
        assert self.connection is not None
        assert self.socket is not None
        not_yet = self.connection.not_yet
        while True:
            try:
                data = self.socket.recv(65536)
            except not_yet:
                break
            except OSError as error:
                raise Lost from error
            if not data:
                raise Lost
            self._feed(data)
        heard, self._heard = self._heard, []
        return heard

    def ask(self, packed: bytes, answers: int = 1) -> list[Any]:
        """Send commands; their answers, an exception for one that was refused. Raises `Lost`."""
        assert self.socket is not None
        got: list[Any] = []
        try:
            self.socket.settimeout(_ANSWER)
            self.socket.sendall(packed)
            while len(got) < answers:
                got += self._feed(self.socket.recv(65536))
            self.socket.setblocking(False)
        except OSError as error:
            raise Lost from error
        return got

    def command(self, *words: bytes) -> None:
        """Send a command whose answer is no matter. Raises `Lost`, and `Refused` where it was refused."""
        (answer,) = self.ask(pack(*words))
        if isinstance(answer, Exception):
            raise Refused(str(answer))

    def forget(self) -> None:
        """Forget what was heard."""
        self._heard.clear()

    def _feed(self, data: bytes) -> list[Any]:
        """Take in bytes: what was pushed is kept, answers are returned."""
        if not data:
            raise Lost
        self._reader.feed(data)
        answers: list[Any] = []
        while (message := self._reader.gets()) is not _NOTHING:
            if isinstance(message, list) and message and message[0] == b"invalidate":
                self._heard.extend([None] if message[1] is None else message[1])
            else:
                answers.append(message)
        return answers


def has_read_ahead(sock: socket.socket) -> bool:
    """Whether there are bytes that TLS has read already, for which a socket is not readable any more."""
    pending = getattr(sock, "pending", None)  # of an SSLSocket; where there is none, `ssl` need not be loaded for this
    return pending is not None and pending() > 0


_NOTHING = object()


def _reader() -> Any:
    try:
        import hiredis
    except ImportError:
        raise Refused from None
    return hiredis.Reader(notEnoughData=_NOTHING)
