"""What goes wrong on a connection, and what Redis answers, as taskq's own errors: the one place that knows both.

No message repeats what a library says where that might hold a password.
"""

from __future__ import annotations

import re
import socket
from typing import Literal

from taskq.errors import BrokerError, BrokerInTrouble, BrokerRefused, BrokerUnavailable

__all__ = [
    "Answered",
    "Cut",
    "Late",
    "NoMaster",
    "NoTLS",
    "Place",
    "RedisError",
    "Unserved",
    "Untrusted",
    "answered",
    "error_code",
    "refused_by_server",
    "translated",
]

Sent = Literal["no", "unknown"]


class RedisError(Exception):
    """What goes wrong with a Redis, before it is said in taskq's own errors; beside it the system raises its own."""


class Answered(RedisError):
    """Redis answered with an error: its text, the code in front. The command was not carried out."""


class Unserved(RedisError):
    """Redis answered that it serves nobody, or not us, whatever is asked: likewise."""


class Cut(RedisError):
    """The connection was lost, or what came over it is no answer."""


class Late(RedisError):
    """No answer came in time."""


class NoMaster(RedisError):
    """No Sentinel knows a master of that name."""


class NoTLS(RedisError):
    """The other end speaks no TLS, or another one."""


class Untrusted(RedisError):
    """The other end's certificate is not trusted: why."""


_AWAY = {
    "LOADING": "Redis is loading",
    "BUSY": "busy with a script",
    "MASTERDOWN": "a replica that lost its master",
    "CLUSTERDOWN": "the cluster is down",
    "MOVED": "the key moved to another node",
    "ASK": "the key is moving to another node",
    "TRYAGAIN": "the keys are moving to another node",
    "MAXCLIENTS": "too many clients",
}
_UNSERVED = {"LOADING", "MAXCLIENTS", "NOAUTH", "WRONGPASS"}
_NO_WRITES = {
    "READONLY": ("it is a read-only replica", "Name its master, or wait until a failover is over."),
    "OOM": ("out of memory", "Give it more (maxmemory), or remove what need not be there."),
    "MISCONF": ("it cannot write to its disk", "Its log says why; is the disk full?"),
    "NOREPLICAS": ("too few of its replicas are there", "Bring them back, or lower min-replicas-to-write."),
}
# In two words: a whole URL with an @ in it is taken for one that holds a password, and masked.
_URL = "redis:// and then USER:PASSWORD@HOST:6379/0"
_NO = {
    "NOAUTH": ("a password is needed", f"Put it into the URL: {_URL}."),
    "WRONGPASS": ("wrong user or password", f"Check the URL: {_URL}."),
    "NOPERM": ("this user may not run all that taskq needs", "Redis says what was refused: ACL LOG."),
    "SELECT": ("it has no database of that number", "They count from 0, and its setting `databases` says how many."),
    "CROSSSLOT": ("Redis Cluster is not supported", "Use a Redis that is no cluster."),
}
# The code stands in front; Redis 6 puts a script's own error behind words of its own.
_CODE = re.compile(rf"(?:^|[-\s])({'|'.join([*_AWAY, *_NO_WRITES, *_NO, 'WRONGTYPE', 'NOSCRIPT'])})\b")
_TEXTS = {
    "max number of clients": "MAXCLIENTS",
    "user executing the script can't": "NOPERM",
    "ACL failure in script": "NOPERM",  # Valkey's words
    "DB index": "SELECT",
    "SELECT is not allowed in cluster mode": "CROSSSLOT",
    "invalid password": "WRONGPASS",  # Redis 5's words; then of a user, and of a password where none is needed
    "for 'auth' command": "WRONGPASS",
    "AUTH, but no password is set": "WRONGPASS",
    "without any password configured": "WRONGPASS",
}
_FORBIDDEN = re.compile(r"run the '([\w|-]+)' command")


def answered(text: str) -> Answered | Unserved:
    """The error that Redis answered, of its text."""
    error = Answered(text.removeprefix("ERR "))
    return Unserved(*error.args) if error_code(error) in _UNSERVED else error


class Place:
    """Where a Redis is, for people, and how they can reach it themselves."""

    __slots__ = ("address", "probe")

    def __init__(self, address: str, probe: str) -> None:
        self.address = address
        self.probe = probe

    @property
    def advice(self) -> str:
        """What to do where nobody answers."""
        return f"Is it running? Try: {self.probe}. Another broker: --broker or TASKQ_BROKER."


def error_code(error: Exception) -> str:
    """The word that an answer of Redis begins with, as far as we know it; empty otherwise."""
    text = str(error)
    for part, code in _TEXTS.items():
        if part in text:
            return code
    found = _CODE.search(text)
    return found[1] if found else ""


def refused_by_server(error: Exception) -> bool:
    """Whether this is an answer of Redis, so that it is known that nothing was done."""
    return isinstance(error, Answered) or bool(error_code(error))


def translated(error: Exception, place: Place, sent: Sent) -> BrokerError:
    """The error of taskq's for one of a connection's or of the system's.

    Args:
        error: what was raised while connecting, sending or reading, or what Redis answered.
        place: where that was.
        sent: whether the call may have been carried out.
    """
    code = error_code(error)
    if code in _AWAY:
        return BrokerUnavailable(place.address, _AWAY[code], sent="no")
    if code in _NO_WRITES:
        reason, advice = _NO_WRITES[code]
        return BrokerInTrouble(place.address, f"{place.address} refuses writes: {reason}. {advice}")
    if code in _NO:
        reason, advice = _NO[code] if code != "NOPERM" else _missing_right(str(error))
        return BrokerRefused(place.address, reason, advice=advice)
    if isinstance(error, Answered):
        return BrokerInTrouble(place.address, f"{place.address} answered: {error}.")
    cause = _system_error(error)
    if isinstance(error, Untrusted):
        return BrokerRefused(
            place.address,
            f"its certificate is not trusted ({error})",
            advice="Name the authority's file: rediss://...?ssl_ca_certs=ca.pem.",
        )
    if isinstance(cause, PermissionError):
        return BrokerRefused(place.address, "permission denied by the system")
    return BrokerUnavailable(place.address, _reason(error, cause), sent=sent, advice=place.advice)


def _missing_right(text: str) -> tuple[str, str]:
    """What this user may not do, and what to grant it, as far as Redis says it: of a script it names no command."""
    command = _FORBIDDEN.search(text)
    if command:
        return (
            f"this user may not run {command[1].upper().replace('|', ' ')}",
            f"Allow it: ACL SETUSER ... +{command[1]}.",
        )
    if "the keys" in text or "access a key" in text:  # Redis 6 and 7; Valkey
        return (
            "this user may not use the keys of this namespace",
            "Allow all of them: ACL SETUSER ... ~NAMESPACE:*, where the namespace is resque unless another was said.",
        )
    return _NO["NOPERM"]


def _system_error(error: BaseException) -> OSError | None:
    """The system's error beneath it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: Exception, cause: OSError | None) -> str:
    if isinstance(error, Late) or isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, socket.gaierror):
        return "unknown host"
    if isinstance(cause, FileNotFoundError):
        return "no such socket"
    if isinstance(error, NoTLS):
        return "no TLS there"
    if isinstance(error, NoMaster):
        return "no master found"
    if isinstance(cause, ConnectionError) or cause is None:
        return "connection lost"
    return (cause.strerror or "connection lost").lower()
