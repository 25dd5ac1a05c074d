"""Bytes out, answers in, over an open connection.

What every job pays for is one write and one read. Of a plain socket that hiredis reads nothing else is left: not even
the `poll` that Python makes before each write and read of a socket with a time limit. The kernel keeps it instead.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, TypeAlias

from taskq_redis.errors import Cut, Late, answered

__all__ = ["Connection", "Plain", "Version", "Wire", "pack"]

Version: TypeAlias = Literal[2, 3]
"""Of Redis's protocol: 2 needs no HELLO, a round trip less; 3 has it speak without being asked."""

_SIZES = 4096  # lengths of words remembered at most
_BUFFER = 65536  # bytes read at once
_NOT_YET = object()
_LOOKS = 40  # at a socket for an answer that is near, of some 2 us each
_LONG = 0.0002  # seconds for all of them, unless somebody else has the core
_RESTS = 512  # answers that are slept for at most, where looking was in vain, or took that long, time after time


class _Heads(dict[int, bytes]):
    """What stands before a word of so many bytes: made once for each length, which many words have in common."""

    def __missing__(self, size: int) -> bytes:
        head = b"\r\n$%d\r\n" % size
        if len(self) < _SIZES:
            self[size] = head
        return head


_heads = _Heads()


def pack(*words: bytes) -> bytes:
    """A command as it is sent."""
    # Of 1,000 words this takes 0.08 us each, formatting them one by one 0.2.
    parts = [b""] * (2 * len(words))
    parts[::2] = map(_heads.__getitem__, map(len, words))
    parts[1::2] = words
    return b"*%d%b\r\n" % (len(words), b"".join(parts))


class Connection(Protocol):
    """A connection, whoever makes it: `direct` our own, `theirs` redis-py's."""

    @property
    def sock(self) -> socket.socket:
        """The socket beneath it while it is open, to wait on it beside other things."""
        ...

    @property
    def not_yet(self) -> tuple[type[OSError], ...]:
        """What that raises where it does not block and has nothing yet."""
        ...

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...

    def wire(self) -> Wire:
        """The shortest way over it, once it is open; only one, for who reads may have read ahead."""
        ...


class Wire(Protocol):
    """The way over one. What it raises is a `RedisError` or the system's; then nobody knows what is under way on it."""

    def send(self, packed: bytes, *, more: bool = False) -> None:
        """Write it all.

        Args:
            packed: what.
            more: more follows soon: the system may keep this until then, for 0.2 s at most. It is as safe there from
                the death of this process as what is under way; only who reads hears of it later.
        """
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


# Not everywhere there.
_MORE: Final[int] = getattr(socket, "MSG_MORE", 0)
_let_others: Final[Callable[[], None]] = getattr(os, "sched_yield", lambda: None)


class Plain:
    """By the socket itself."""

    def __init__(self, sock: socket.socket) -> None:
        """Of a connection that was just opened: nothing of an answer was read ahead.

        Raises:
            ImportError: there is no hiredis.
        """
        import hiredis

        seconds = sock.gettimeout()
        if seconds is not None:
            limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            sock.settimeout(None)
        self._sock = sock
        self._send = sock.sendall
        self._receive = sock.recv_into
        self._buffer = bytearray(_BUFFER)
        self._rests, self._next_rests = 0, 1
        self._reader = hiredis.Reader(protocolError=Cut, replyError=answered, notEnoughData=_NOT_YET)

    def send(self, packed: bytes, *, more: bool = False) -> None:
        try:
            self._send(packed, _MORE if more else 0)
        except BlockingIOError:
            raise Late("writing") from None

    def read(self, *, soon: bool = False) -> Any:
        answer = self._reader.gets()
        while answer is _NOT_YET:
            try:
                size = self._look() if soon else self._receive(self._buffer)
            except BlockingIOError:
                raise Late("reading") from None
            if not size:
                raise Cut("closed by Redis")
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
        if self._reader.has_data():
            return True
        try:
            there = self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        if not there:
            raise Cut("closed by Redis")
        return True
