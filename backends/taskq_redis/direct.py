"""A connection of our own, over TCP or a Unix socket, so that a worker need not hold redis-py in memory.

Importing redis-py brings its asynchronous half, its cluster and asyncio: more memory than all of taskq takes, and much
of the time that a command takes to start. Of its ways of connecting these two are a socket and a few words (AUTH,
SELECT); for the others, TLS and Sentinel, it is asked (see `theirs`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Final

from taskq_redis.errors import Answered, Unserved
from taskq_redis.wire import Plain, Version, pack

__all__ = ["Direct", "Server", "possible"]


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect to, and as whom.

    Attributes:
        path: of a Unix socket; empty for TCP.
        host: of TCP.
        port: likewise.
        db: the number of the database.
        username: None for the one that Redis calls default.
        password: None where none is needed.
        client_name: what CLIENT LIST calls the connection.
        socket_timeout: seconds that an answer may take.
        socket_connect_timeout: seconds that connecting may take.
    """

    path: str = ""
    host: str = "localhost"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_name: str | None = None
    socket_timeout: float = 5.0
    socket_connect_timeout: float = 5.0


def possible() -> bool:
    """Whether the short way over a socket is to be had here."""
    if sys.platform != "linux":  # elsewhere a socket keeps its limit of time in other forms
        return False
    return find_spec("hiredis") is not None


class Direct:
    """One such connection. What it raises is `errors.RedisError`, or the system's."""

    not_yet: Final = (BlockingIOError,)

    def __init__(self, server: Server, *, protocol: Version = 2, seconds: float | None = None) -> None:
        """Not open yet.

        Args:
            server: where to.
            protocol: of Redis.
            seconds: that connecting may take, and each answer; None for what the server says.
        """
        if seconds is not None:
            server = replace(server, socket_timeout=seconds, socket_connect_timeout=seconds)
        self._server = server
        self._protocol = protocol
        self._sock: socket.socket | None = None
        self._pid = 0

    @property
    def sock(self) -> socket.socket:
        """The socket, while it is open."""
        if self._sock is None:
            raise OSError("not connected")
        return self._sock

    def connect(self) -> None:
        """Open it, and say who we are."""
        server = self._server
        self._sock, self._pid = _opened(server), os.getpid()
        try:
            self._sock.settimeout(server.socket_timeout)
            self._greet()
        except BaseException:
            self.disconnect()
            raise

    def wire(self) -> Plain:
        """The way over it; once only, for who reads may have read ahead."""
        return Plain(self.sock)

    def disconnect(self) -> None:
        """Close it. A copy that a fork made says no goodbye in the parent's name."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                if self._pid == os.getpid():
                    sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                sock.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be half gone
            self.disconnect()

    def _greet(self) -> None:
        commands = _greeting(self._server, self._protocol)
        if not commands:
            return
        wire = self.wire()
        wire.send(b"".join(commands))
        refused: list[Answered | Unserved] = []
        for _ in commands:
            try:
                wire.read()
            except (Answered, Unserved) as error:
                refused.append(error)
        if refused:
            raise refused[0]  # what is refused after it may be so because of it


def _opened(server: Server) -> socket.socket:
    if server.path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(server.socket_connect_timeout)
            sock.connect(server.path)
        except BaseException:
            sock.close()
            raise
        return sock
    sock = socket.create_connection((server.host, server.port), server.socket_connect_timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def _greeting(server: Server, protocol: Version) -> list[bytes]:
    """What is sent first: nothing, where the defaults are meant."""
    commands: list[bytes] = []
    password = None if server.password is None else server.password.encode()
    user = None if server.username is None else server.username.encode()
    if protocol == 3:
        commands.append(pack(b"HELLO", b"3", *([] if password is None else [b"AUTH", user or b"default", password])))
    elif password is not None:
        commands.append(pack(b"AUTH", *([] if user is None else [user]), password))
    if server.client_name:
        commands.append(pack(b"CLIENT", b"SETNAME", server.client_name.encode()))
    if server.db:
        commands.append(pack(b"SELECT", b"%d" % server.db))
    return commands
