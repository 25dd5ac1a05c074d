"""Where a database is: `sqlite:///jobs.db` beside the working directory, `sqlite:////var/lib/app/jobs.db` anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, unquote, urlsplit

from taskq.errors import ConfigurationError, Problem, nearest
from taskq.urls import redacted

__all__ = ["Address", "parse"]


@dataclass(frozen=True, slots=True)
class Address:
    """One database.

    Attributes:
        path: the file, absolute: the working directory may change.
        strict: whether every settle is on the disk when it returns, instead of soon after.
        failed_max: how many entries a failed list keeps; None where the address does not say.
        application_id: what the application says of its file (`PRAGMA application_id`) that taskq shares; None where
            the address does not say.
    """

    path: str
    strict: bool = False
    failed_max: int | None = None
    application_id: int | None = None


def _some(text: str) -> int:
    if (value := int(text)) > 0:
        return value
    raise ValueError(text)


def _is_full(text: str) -> bool:
    return {"full": True, "default": False}[text.lower()]


def _id(text: str) -> int:
    value = int(text, 0)
    if -(2**31) <= value < 2**31:
        return value
    raise ValueError(text)


_OPTIONS: dict[str, tuple[Callable[[str], object], str]] = {
    "application_id": (_id, "a number of 32 bits, as PRAGMA application_id tells it"),
    "failed_max": (_some, "a number from 1 on"),
    "synchronous": (_is_full, "full, or default"),
}


def parse(source: object) -> Address:
    """Understand an address. Nothing is opened.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(source, os.PathLike):
        return Address(os.path.abspath(os.fspath(source)))
    if not isinstance(source, str):
        name = f"{type(source).__module__}.{type(source).__qualname__}"
        raise _wrong(name, "is no address of a database. Write one such as sqlite:///jobs.db.")
    parts = urlsplit(source)
    path = unquote(parts.path)
    if parts.netloc:
        raise _wrong(source, f"has two slashes where three belong. Write sqlite:///{parts.netloc}{path}.")
    if path in {"", "/"}:
        raise _wrong(source, "names no file. Write sqlite:///jobs.db, or memory:// for a store in this process.")
    name = path[1:]  # the third slash; a fourth begins an absolute path
    if name == ":memory:":
        raise _wrong(source, "would be seen by nobody else. Write memory:// for a store in this process.")
    if "\0" in name or parts.fragment:
        raise _wrong(source, "has a character that must be escaped in a path: %00 is none, # is %23.")
    given = _query(source, parts.query)
    return Address(
        os.path.abspath(name),
        bool(given.get("synchronous")),
        cast("int | None", given.get("failed_max")),
        cast("int | None", given.get("application_id")),
    )


def _query(url: str, query: str) -> dict[str, object]:
    problems: list[str] = []
    given: dict[str, object] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name == "namespace":
            problems.append("says a namespace; SQLite has none: a file is one. Give each application its own file.")
        elif name not in _OPTIONS:
            near = nearest(name, _OPTIONS)
            meant = f" Did you mean {near}?" if near else ""
            problems.append(f'does not know "{name}".{meant} Known: {", ".join(sorted(_OPTIONS))}.')
        else:
            read, expected = _OPTIONS[name]
            try:
                given[name] = read(text)
            except (ValueError, KeyError):
                problems.append(f'has a wrong value for "{name}": {expected}, not "{text}".')
    if problems:
        raise ConfigurationError([Problem("broker", "broker", f"{redacted(url)} {problem}") for problem in problems])
    return given


def _wrong(address: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem("broker", "broker", f"{redacted(address)} {message}")])
