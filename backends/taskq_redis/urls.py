"""Where a Redis is: every form of address that Resque takes, URLs, and ready client objects (WIRE.md section 12)."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from taskq.errors import ConfigurationError, Problem, nearest
from taskq.spans import is_seconds
from taskq.urls import redacted
from taskq_redis import direct
from taskq_redis.errors import Place
from taskq_redis.link import Connect
from taskq_redis.wire import Connection, Version

__all__ = ["NAMESPACE", "Address", "parse"]

NAMESPACE = "resque"
"""The namespace where none is said."""

READ = 5.0  # seconds that an answer may take; a network that is gone must not hold a worker for longer
CONNECT = 5.0
_LIMITS = {"socket_timeout": READ, "socket_connect_timeout": CONNECT}

Kind: TypeAlias = Literal["tcp", "tls", "unix"]

_log = logging.getLogger("taskq.redis")


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis.

    Attributes:
        connect: makes a connection to it, not yet open.
        place: what to call it.
        namespace: what the address itself says; None where it says nothing.
        failed_max: likewise.
    """

    connect: Connect
    place: Place
    namespace: str | None = None
    failed_max: int | None = None


def _truth(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError(text)


def _seconds(text: str) -> float:
    if is_seconds(value := float(text)):
        return value
    raise ValueError(text)


def _some(text: str) -> int:
    if (value := int(text)) > 0:
        return value
    raise ValueError(text)


# What may stand behind the `?` beside `namespace`, `failed_max` and `db`: redis-py's keywords.
_OPTIONS: dict[str, Callable[[str], object]] = {
    "client_name": str,
    "socket_connect_timeout": _seconds,
    "socket_timeout": _seconds,
}
_TLS_OPTIONS: dict[str, Callable[[str], object]] = {
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_cert_reqs": str,
    "ssl_certfile": str,
    "ssl_check_hostname": _truth,
    "ssl_keyfile": str,
}


def parse(source: object) -> Address:
    """Understand an address. Nothing is connected to.

    Raises:
        ConfigurationError: it is none. The message has no password in it.
    """
    if not isinstance(source, str):
        return _of_client(source)
    scheme, mark, _ = source.partition("://")
    if not mark:
        return _of_short_form(source)
    if scheme.lower() == "unix":
        return _of_socket(source)
    if scheme.lower() in {"redis", "rediss"}:
        return _of_url(source)
    raise _wrong(source, "is no address of a Redis. Write one such as redis://localhost:6379/0.")


# ---- one function a form


def _of_short_form(text: str) -> Address:
    """`host`, `host:port`, `host:port:db`, and each with `/namespace` behind: what follows the first `/`, all of it."""
    server, slash, namespace = text.partition("/")
    found = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^:\[\]]+)(?::(?P<port>[^:]*))?(?::(?P<db>[^:]*))?", server)
    if found is None:
        raise _wrong(text, "is no address of a Redis. Write host:port:db/namespace or redis://localhost:6379/0.")
    if "@" in found["host"]:
        raise _wrong(text, "has no place for a password. Write redis:// and then USER:PASSWORD@HOST:PORT/DATABASE.")
    host = _host(text, found["host"].strip("[]"))
    port = _number(text, found["port"], "port", least=1, most=65535) if found["port"] is not None else 6379
    db = _number(text, found["db"], "database", least=0) if found["db"] is not None else 0
    return _of_host("tcp", host, port, db, {}, namespace if slash else None)


def _of_url(url: str) -> Address:
    """`redis://user:password@host:port/db?namespace=x`; as in Resque, the path is a number and never a namespace."""
    parts = _split(url)
    tls = parts.scheme == "rediss"
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(url, "has no port between 1 and 65535.") from None
    if port == 0:
        raise _wrong(url, "has no port between 1 and 65535.")
    given = _query(url, parts.query, {**_OPTIONS, **(_TLS_OPTIONS if tls else {})})
    if given.pop("db", None) is not None:
        _log.warning("%s: as with Resque, db= sets nothing here. Write redis://host:port/DATABASE.", redacted(url))
    path = unquote(parts.path).strip("/")
    number = re.match(r"\d+", path)
    if path and (number is None or number[0] != path):
        _log.warning("%s: as with Resque, the path sets only the database. Write ?namespace=NAME.", redacted(url))
    db = int(number[0]) if number else 0
    namespace, failed_max = given.pop("namespace", None), given.pop("failed_max", None)
    host = _host(url, unquote(host or "localhost"))
    address = _of_host("tls" if tls else "tcp", host, port or 6379, db, {
        **_credentials(parts.username, parts.password), **given,
    }, cast("str | None", namespace))  # fmt: skip
    return Address(address.connect, address.place, address.namespace, cast("int | None", failed_max))


def _of_socket(url: str) -> Address:
    """`unix:///path/of/the/socket?db=0&namespace=x`."""
    parts = _split(url)
    given = _query(url, parts.query, _OPTIONS)
    path = unquote(parts.path)
    if not path.startswith("/") or parts.hostname:
        raise _wrong(url, "has no path of a socket. Write unix:///run/redis.sock.")
    namespace, failed_max = given.pop("namespace", None), given.pop("failed_max", None)
    db = cast("int", given.pop("db", 0))
    options = {"path": path, "db": db, **_credentials(parts.username, parts.password), **given}
    place = Place(f"Redis at {path}{f' (database {db})' if db else ''}", f"redis-cli -s {path} ping")
    connect = _maker("unix", options)
    return Address(connect, place, cast("str | None", namespace), cast("int | None", failed_max))


def _of_host(kind: Kind, host: str, port: int, db: int, options: dict[str, object], namespace: str | None) -> Address:
    connect = _maker(kind, {"host": host, "port": port, "db": db, **options})
    return Address(connect, _place(host, port, db, tls=kind == "tls"), namespace)


def _of_client(client: object) -> Address:
    """A `redis.Redis`, one of a Sentinel's `master_for` among them: its address and credentials, not its retries."""
    from taskq_redis import theirs

    known = theirs.of_client(client, _LIMITS)
    if known is None:
        name = f"{type(client).__module__}.{type(client).__qualname__}"
        more = " Give what its master_for(...) returns." if name == "redis.sentinel.Sentinel" else ""
        raise _wrong(name, f"is no client of one Redis that taskq can use.{more} It takes a URL or a redis.Redis.")
    if known.master is not None:
        place = Place(f"Redis (Sentinel's {known.master})", f"redis-cli -p 26379 sentinel master {known.master}")
    elif path := known.options.get("path"):
        place = Place(f"Redis at {path}", f"redis-cli -s {path} ping")
    else:
        host, port = str(known.options.get("host", "localhost")), int(known.options.get("port", 6379))
        place = _place(host, port, int(known.options.get("db") or 0), tls=known.tls)
    return Address(known.connect, place)


# ---- making connections


def _place(host: str, port: int, db: int, *, tls: bool) -> Place:
    host = redacted(host)  # that of a client object may be anything
    shown = f"[{host}]" if ":" in host else host
    cli = ["redis-cli", *(["-h", host] if host not in {"localhost", "127.0.0.1"} else []), "-p", str(port)]
    probe = " ".join([*cli, *(["--tls"] if tls else []), "ping"])
    return Place(f"Redis at {shown}:{port}{f' (database {db})' if db else ''}", probe)


def _credentials(user: str | None, password: str | None) -> dict[str, object]:
    return {
        **({"username": unquote(user)} if user else {}),
        **({"password": unquote(password)} if password else {}),
    }


def _maker(kind: Kind, options: Mapping[str, object]) -> Connect:
    """Our own connections where they are to be had, else redis-py's, which is imported with the first of them."""
    options = {**_LIMITS, **options}
    if kind != "tls" and direct.possible():
        return functools.partial(direct.Direct, direct.Server(**cast("dict[str, Any]", options)))
    return functools.partial(_theirs, kind, options)


def _theirs(
    kind: Kind, options: Mapping[str, object], *, protocol: Version = 2, seconds: float | None = None
) -> Connection:
    from taskq_redis import theirs

    return theirs.make(kind, options, protocol=protocol, seconds=seconds)


# ---- reading text


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        parts.hostname  # noqa: B018
    except ValueError:
        raise _wrong(url, "is no URL. Write one such as redis://localhost:6379/0.") from None
    return parts


def _query(url: str, query: str, known: dict[str, Callable[[str], object]]) -> dict[str, object]:
    known = {"namespace": str, "failed_max": _some, "db": int, **known}
    problems: list[str] = []
    given: dict[str, object] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            near = nearest(name, known)
            meant = f" Did you mean {near}?" if near else ""
            problems.append(f'does not know "{name}".{meant} Known: {", ".join(sorted(known))}.')
            continue
        try:
            given[name] = known[name](text)
        except ValueError:
            problems.append(f'has a wrong value for "{name}".')
    if problems:
        raise ConfigurationError([Problem("broker", "broker", f"{redacted(url)} {problem}") for problem in problems])
    return given


def _host(address: str, host: str) -> str:
    """The host, where the system can be asked for one of that name at all."""
    try:
        host.encode("idna")
    except UnicodeError:
        possible = False
    else:
        possible = host.isprintable() and not re.search(r"[\s@/]", host)
    if possible:
        return host
    if "@" in host:
        address = unquote(address)  # what is before it is likely a password, and is to be found as one
    raise _wrong(address, "has a host that can be none: a name is parts of 1 to 63 characters with dots between them.")


def _number(address: str, text: str, what: str, *, least: int, most: int = 2**31) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise _wrong(address, f'has "{redacted(text)}" for a {what}, which is no number from {least} on.')


def _wrong(address: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem("broker", "broker", f"{redacted(address) or 'an empty text'} {message}")])
