"""Bytes out, answers in, over an open connection of redis-py's: past its layers where that can be.

redis-py makes the connection, with all its ways (TLS, ACL, Sentinel). What every job pays for is one write and one
read, and of these its layers are a third: of a plain socket that hiredis reads they are left out, and so is the `poll`
that Python makes before each write and read of a socket with a time limit. The kernel keeps that limit instead.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import redis

__all__ = ["Connection", "Plain", "Wire", "socket_of", "wire"]

_BUFFER = 65536  # bytes read at once
_NOT_YET = object()
_LOOKS = 40  # at a socket for an answer that is near, of some 2 us each
_LONG = 0.0002  # seconds for all of them, unless somebody else has the core
_RESTS = 512  # answers that are slept for at most, where looking was in vain, or took that long, time after time


class Connection(Protocol):
    """What we use of redis-py's `Connection`, which has no types of its own."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def can_read(self, timeout: float = 0) -> bool: ...
    def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None: ...
    def read_response(self) -> Any: ...


class Wire(Protocol):
    """An open connection. What it raises is redis-py's, or the system's; then nobody knows what is under way on it."""

    def send(self, packed: bytes) -> None:
        """Write it all."""
        ...

    def read(self, *, soon: bool = False) -> Any:
        """Wait for an answer. An error that Redis answered is raised.

        Args:
            soon: it is worth some work not to sleep until it comes.
        """
        ...

    def stale(self) -> bool:
        """Whether the other end is gone, or it holds an answer that nobody waits for."""
        ...


def socket_of(connection: Connection) -> socket.socket:
    """The socket beneath an open connection, to wait on it beside other things; redis-py has no public name for it."""
    sock: socket.socket = connection._sock  # type: ignore[attr-defined]  # noqa: SLF001
    return sock


def wire(connection: Connection) -> Wire:
    """The shortest way over this connection, which was just opened: nothing of an answer was read ahead."""
    if type(connection) in (redis.Connection, redis.UnixDomainSocketConnection) and sys.platform == "linux":
        sock = socket_of(connection)
        with contextlib.suppress(ImportError):
            return Plain(connection, sock)
    return _Through(connection)


# Not everywhere there.
_let_others: Final[Callable[[], None]] = getattr(os, "sched_yield", lambda: None)


class _Through:
    """By redis-py's own way."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, packed: bytes) -> None:
        self._connection.send_packed_command((packed,), check_health=False)

    def read(self, *, soon: bool = False) -> Any:
        return self._connection.read_response()

    def stale(self) -> bool:
        return self._connection.can_read(0)


class Plain:
    """By the socket itself."""

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        import hiredis

        seconds = sock.gettimeout()
        if seconds is not None:
            limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            sock.settimeout(None)
        self._connection = connection
        self._send = sock.sendall
        self._receive = sock.recv_into
        self._buffer = bytearray(_BUFFER)
        # Redis' errors become redis-py's own, as `errors` knows them.
        as_error = connection._parser.parse_error  # type: ignore[attr-defined]  # noqa: SLF001
        self._rests, self._next_rests = 0, 1
        self._reader = hiredis.Reader(protocolError=redis.InvalidResponse, replyError=as_error, notEnoughData=_NOT_YET)

    def send(self, packed: bytes) -> None:
        try:
            self._send(packed)
        except BlockingIOError:
            raise redis.TimeoutError("Timeout writing to socket") from None

    def read(self, *, soon: bool = False) -> Any:
        answer = self._reader.gets()
        while answer is _NOT_YET:
            try:
                size = self._look() if soon else self._receive(self._buffer)
            except BlockingIOError:
                raise redis.TimeoutError("Timeout reading from socket") from None
            if not size:
                raise redis.ConnectionError("Connection closed by server.")
            self._reader.feed(self._buffer, 0, size)  # type: ignore[arg-type]  # it takes any buffer
            answer = self._reader.gets()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _look(self) -> int:
        """Read, and sleep only if nothing comes soon.

        To wake up a core that went to sleep takes longer than Redis takes for most answers. Between two looks whoever
        waits for the core has it, Redis itself among them. Where others want it all the time it does not sleep, and he
        who looks gets it back later than he who is woken; where the answer comes from afar, looking is in vain. So
        after looks that were either, more and more answers are slept for.
        """
        if self._rests:
            self._rests -= 1
            return self._receive(self._buffer)
        began, size = time.monotonic(), -1
        for _ in range(_LOOKS):
            try:
                size = self._receive(self._buffer, 0, socket.MSG_DONTWAIT)
                break
            except BlockingIOError:
                _let_others()
        if size >= 0 and time.monotonic() - began < _LONG:
            self._next_rests = 1
        else:
            self._rests = self._next_rests
            self._next_rests = min(2 * self._rests, _RESTS)
        return self._receive(self._buffer) if size < 0 else size

    def stale(self) -> bool:
        return self._reader.has_data() or self._connection.can_read(0)
