"""Connections that redis-py makes: TLS, Sentinel, a client that somebody gave us, and all where ours are not to be had.

The one module that imports it, and that knows what it raises. Its retries are left out: it repeats every command up to
10 times after a cut, which pushes jobs twice and performs reserved ones never.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection
from redis.connection import Connection as TCPConnection
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, SentinelConnectionPool

from taskq_redis.errors import Answered, Cut, Late, NoMaster, NoTLS, RedisError, Unserved, Untrusted, answered
from taskq_redis.link import Connect
from taskq_redis.wire import Plain, Version, Wire

__all__ = ["Client", "Theirs", "make", "of_client"]

_KINDS: Final[Mapping[str, Callable[..., Any]]] = {
    "tcp": TCPConnection, "tls": SSLConnection, "unix": UnixDomainSocketConnection
}  # fmt: skip
_FAKE_NAMES = ("maint_", "oss_", "orig_")  # of a pool's own keywords those that would make it talk to its connections
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.BusyLoadingError, "LOADING"),
    (redis.exceptions.NoScriptError, "NOSCRIPT"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.MovedError, "MOVED"),
    (redis.exceptions.AskError, "ASK"),
    (redis.exceptions.TryAgainError, "TRYAGAIN"),
    (redis.exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (redis.exceptions.AuthenticationWrongNumberOfArgsError, "WRONGPASS"),
)
"""Of these redis-py keeps what Redis said without the word that it began with."""


class Theirs:
    """A connection of redis-py's. What it raises is `errors.RedisError`, or the system's."""

    not_yet: Final = (BlockingIOError, ssl.SSLWantReadError)

    def __init__(self, connection: Any) -> None:
        """Not open yet.

        Args:
            connection: redis-py's, which has no types of its own.
        """
        self._connection = connection

    @property
    def sock(self) -> socket.socket:
        """The socket, while it is open; redis-py has no public name for it."""
        sock: socket.socket | None = self._connection._sock  # noqa: SLF001
        if sock is None:
            raise OSError("not connected")
        return sock

    def connect(self) -> None:
        """Open it."""
        with _as_ours():
            self._connection.connect()

    def disconnect(self) -> None:
        """Close it."""
        self._connection.disconnect()

    def wire(self) -> Wire:
        """The shortest way over it, where it is no more than a socket: past redis-py's layers."""
        if type(self._connection) in (TCPConnection, UnixDomainSocketConnection) and sys.platform == "linux":
            with contextlib.suppress(ImportError):
                return Plain(self.sock)
        return _Through(self._connection)


class _Through:
    """By redis-py's own way."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, packed: bytes, *, more: bool = False) -> None:  # more or not, it goes out now
        with _as_ours():
            self._connection.send_packed_command((packed,), check_health=False)

    def read(self, *, soon: bool = False) -> Any:
        with _as_ours():
            return _answer(self._connection.read_response())

    def stale(self) -> bool:
        with _as_ours():
            return bool(self._connection.can_read(0))


def make(
    kind: Literal["tcp", "tls", "unix"],
    options: Mapping[str, object],
    *,
    protocol: Version = 2,
    seconds: float | None = None,
) -> Theirs:
    """A connection to an address.

    Args:
        kind: how it is reached.
        options: redis-py's keywords.
        protocol: of Redis.
        seconds: that connecting may take, and each answer; None for what the options say.
    """
    if kind != "unix":
        options = {"socket_keepalive": True, **options}
    return _made(_KINDS[kind], options, protocol, seconds)


@dataclass(frozen=True, slots=True)
class Client:
    """What we take from a client: its address and credentials, not its retries.

    Attributes:
        connect: makes a connection, not yet open.
        options: the keywords that its own are made with.
        tls: whether they speak TLS.
        master: the name under which a Sentinel knows its Redis; None where none is asked.
    """

    connect: Connect
    options: Mapping[str, Any]
    tls: bool
    master: str | None


def of_client(client: object, limits: Mapping[str, float]) -> Client | None:
    """Understand a `redis.Redis`, one of a Sentinel's `master_for` among them; None where it is no client of one Redis.

    Args:
        client: the client.
        limits: limits of time in seconds, for those that it sets to none, which to redis-py means for ever.
    """
    pool = getattr(client, "connection_pool", None)
    kind: Any = getattr(pool, "connection_class", None)
    if not isinstance(client, redis.Redis) or not _is_connection(kind):
        return None
    assert pool is not None
    options = {name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_FAKE_NAMES)}
    limited = {**options, **{name: value for name, value in limits.items() if options.get(name) is None}}

    def connect(
        *, keep: object = pool, protocol: Version = 2, seconds: float | None = None
    ) -> Theirs:  # a Sentinel's connections ask their pool
        return _made(kind, limited, protocol, seconds)

    master = str(pool.service_name) if isinstance(pool, SentinelConnectionPool) else None
    return Client(connect, options, issubclass(kind, SSLConnection), master)


def _made(kind: Callable[..., Any], options: Mapping[str, object], protocol: Version, seconds: float | None) -> Theirs:
    own: dict[str, object] = {
        "protocol": protocol,
        "decode_responses": False,
        "encoding": "utf-8",
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        **_silence(),
    }
    if seconds is not None:
        own |= {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    return Theirs(kind(**{**options, **own}))


def _is_connection(kind: object) -> bool:
    return isinstance(kind, type) and any(base.__name__ == "AbstractConnection" for base in kind.__mro__)


@functools.cache
def _silence() -> dict[str, object]:
    """The keyword that keeps redis-py from two CLIENT SETINFO, two round trips, for each connection."""
    known = inspect.signature(AbstractConnection.__init__).parameters
    return {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}


# ---- what it raises


@contextlib.contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        _raise_ours(error)
    except ssl.SSLError as error:
        _raise_ours(error)


def _answer(answer: object) -> object:
    """An answer, where it is a list with errors in it: those as ours."""
    if isinstance(answer, list):
        return [_answered(one) if isinstance(one, redis.ResponseError) else one for one in answer]
    return answer


def _answered(error: Exception) -> Answered | Unserved:
    text = str(error)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    if not code and isinstance(error, redis.AuthenticationError):
        code = "NOAUTH" if "required" in text else "WRONGPASS"
    return answered(f"{code} {text}" if code and not text.startswith(code) else text)


def _raise_ours(error: Exception) -> NoReturn:
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, ssl.SSLCertVerificationError):
            raise Untrusted(beneath.verify_message) from error
        if isinstance(beneath, ssl.SSLError):
            raise NoTLS(str(beneath)) from error
        beneath = beneath.__cause__ or beneath.__context__
    raise _ours(error) from error


def _ours(error: Exception) -> RedisError:
    # Some errors that Redis answers while connecting are no ResponseError to redis-py.
    if isinstance(error, (redis.ResponseError, redis.AuthenticationError, *(kind for kind, _ in _CODES))):
        return _answered(error)
    if isinstance(error, redis.TimeoutError):
        return Late(str(error))
    if isinstance(error, MasterNotFoundError):
        return NoMaster(str(error))
    return Cut(str(error))
