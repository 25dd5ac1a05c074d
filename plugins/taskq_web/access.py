"""Who may do what: three roles, given for each request by the host's hook, or by basic authentication.

It knows neither pages nor templates; a route says which role it needs, and the dashboard asks here.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from taskq.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = [
    "ANYBODY",
    "Access",
    "Account",
    "BasicAuth",
    "Role",
    "Visitor",
    "accounts",
    "everybody",
    "is_loopback",
    "this_machine",
]


class Role(enum.IntEnum):
    """What a visitor may do; each one includes those before it."""

    READ = 1
    """Look at everything. Secrets are masked for everybody."""
    RETRY = 2
    """Also try again what failed, as it is, and perform now what is delayed."""
    ALL = 3
    """Also remove, pause, edit, enqueue, prune."""

    @property
    def word(self) -> str:
        """As it is written in settings: `read`, `retry`, `all`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    Attributes:
        role: what they may do.
        name: who they are, as far as it is known; it is shown, and their forms' tokens are theirs alone.
    """

    role: Role
    name: str = ""


ANYBODY: Final = Visitor(Role.ALL)

Access: TypeAlias = "Callable[[WSGIEnvironment], Visitor | Role | None]"
"""The host's hook, asked at each request: the visitor or only their role; None turns them away."""


@dataclass(frozen=True, slots=True)
class Account:
    """Someone who signs in with a name and a password."""

    name: str
    password: str = field(repr=False)
    role: Role


_VARIABLES: Final = {
    "TASKQ_WEB_AUTH": Role.ALL,
    "TASKQ_WEB_AUTH_RETRY": Role.RETRY,
    "TASKQ_WEB_AUTH_READ": Role.READ,
}


def accounts(environ: Mapping[str, str]) -> Sequence[Account]:
    """The accounts that the environment names, `user:password` each: TASKQ_WEB_AUTH, _AUTH_RETRY and _AUTH_READ.

    Raises:
        ConfigurationError: one is set and is no `user:password`. The message does not show it.
    """
    found: list[Account] = []
    problems: list[Problem] = []
    for variable, role in _VARIABLES.items():
        said = environ.get(variable, "")
        if not said:
            continue
        name, colon, password = said.partition(":")
        if not (name and colon and password):
            problems.append(Problem("auth", variable, "a user and a password with a colon between: user:password."))
        else:
            found.append(Account(name, password, role))
    if problems:
        raise ConfigurationError(problems)
    return found


class BasicAuth:
    """Basic authentication, as an `Access`. Names and passwords are compared in constant time, all of them each time.

    Args:
        known: who may come in.
    """

    __slots__ = ("_known",)

    def __init__(self, known: Sequence[Account]) -> None:
        self._known = tuple(known)

    def __call__(self, environ: WSGIEnvironment) -> Visitor | None:
        """Who signs in with this request; None where nobody does, or with a wrong password."""
        given = _given(str(environ.get("HTTP_AUTHORIZATION", "")))
        found: Visitor | None = None
        for account in self._known:
            wanted = f"{account.name}:{account.password}".encode()
            if hmac.compare_digest(wanted, given) and (found is None or found.role < account.role):
                found = Visitor(account.role, account.name)
        return found


def _given(header: str) -> bytes:
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def everybody(environ: WSGIEnvironment) -> Visitor:
    """An `Access` for whoever reaches the dashboard. Where that is more than yourself, anyone can delete jobs."""
    return ANYBODY


def this_machine(environ: WSGIEnvironment) -> Visitor | None:
    """An `Access` for this machine only: what holds where nobody said anything else.

    The name that the browser asked for must be this machine's too: else a page of another site, whose name is made to
    lead here, could read and steer all there is.
    """
    remote = str(environ.get("REMOTE_ADDR", ""))
    name = re.sub(r":\d*\Z", "", str(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")))
    forwarded = any(f"HTTP_{header}" in environ for header in ("X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP"))
    here = is_loopback(remote) and not forwarded and is_loopback(name.strip("[]"))
    return ANYBODY if here else None


def is_loopback(host: str) -> bool:
    """Whether an address, or the name of a host, means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
