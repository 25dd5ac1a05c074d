"""The names of brokers: which backend a URL, a short form or a client object means, and a URL as it may be shown.

It reads no more of an address than that; the rest is the backend's own. It does not know which backends are installed:
it is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote_plus

from taskq.errors import ConfigurationError, Problem, nearest

__all__ = ["SHORT_FORMS", "backend_name", "redacted"]

SHORT_FORMS = "redis"
"""The backend that Resque's forms without a scheme mean: `host:port:db/namespace` and shorter (WIRE.md section 12)."""

_SECRET = re.compile(r"pass|secret|token|auth|credential", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def redacted(url: str) -> str:
    """A URL as it may be shown: no password in it, whatever it looks like, even if it is no URL at all.

    A password may hold `/`, `?`, `:` or `@` that its owner forgot to escape, and then its beginning looks like a user's
    name. So everything up to the last `@` counts as secret: rather too much is hidden than too little.
    """
    scheme = _SCHEME.match(url)
    rest = url[scheme.end() :] if scheme else url
    _, at, rest = rest.rpartition("@")
    if at:
        at = "***@"
    address, question, query = rest.partition("?")
    parameters = [_redacted_parameter(part) for part in re.split(r"([&;#])", query)]
    return f"{scheme[0] if scheme else ''}{at}{address}{question}{''.join(parameters)}"


def _redacted_parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    return f"{name}=***" if equals and value and _SECRET.search(unquote_plus(name)) else text


def backend_name(source: object, installed: Collection[str], *, place: str = "broker") -> str:
    """The name of the backend (its entry point) that an address means.

    Args:
        source: a URL, whose scheme is the name; one of Resque's short forms; or a client object, known by the package
            that its class or one of its base classes comes from (`redis.Redis`).
        installed: the names of the backends that are installed.
        place: where the address was configured, for the error.

    Raises:
        ConfigurationError: it means none of them. The message has the nearest name and no password.
    """
    if isinstance(source, str):
        return _backend_of_text(source, installed, place)
    for cls in type(source).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in installed:
            return package
    kind = type(source)
    given = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raise _wrong(
        place,
        f"a broker is a URL such as redis://localhost:6379/0, a client object of a backend ({_listed(installed)}), "
        f"or a Broker, and not an object of type {given}.",
    )


def _backend_of_text(text: str, installed: Collection[str], place: str) -> str:
    if not text.strip():
        raise _wrong(place, "the address of the broker is empty. Write one such as redis://localhost:6379/0.")
    scheme, mark, rest = text.partition("://")
    if mark:
        if scheme.lower() in installed:
            return scheme.lower()
        near = nearest(scheme, installed)
        meant = f" Did you mean {redacted(f'{near}://{rest}')}?" if near else ""
        raise _wrong(
            place,
            f"no backend is installed for the scheme of {redacted(text)}.{meant} Installed: {_listed(installed)}.",
        )
    head = re.split("[:/]", text, maxsplit=1)[0]
    tail = text[len(head) :]
    # `redis:6379` is a host named redis, as in many a compose file; `memory` and `redis:/host` are typing mistakes.
    is_host = re.match(r":\d|/(?!/)", tail) or (head == SHORT_FORMS and not tail)
    if (head and tail.startswith("//")) or (head.lower() in installed and not is_host):
        likely = f"{head.lower() if head.lower() in installed else SHORT_FORMS}://{'...' if tail.strip(':/') else ''}"
        raise _wrong(place, f"{redacted(text)} is no URL: after the scheme comes ://, as in {likely}")
    if not head and not text.startswith(":"):
        raise _wrong(place, f"{redacted(text)} names no host. Write one such as redis://localhost:6379/0.")
    return SHORT_FORMS


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _wrong(place: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem("broker", place, message)])
