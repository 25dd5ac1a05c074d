"""The few files that a page asks for: a style sheet, a script, an icon. Their names say what is in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["Asset", "find", "path_of"]

_KINDS: Final = {
    "taskq.css": "text/css; charset=utf-8",
    "taskq.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served.

    Attributes:
        path: where, below the dashboard's root; it changes when the file does, so a browser may keep it for ever.
        kind: its content type.
        body: its bytes.
    """

    path: str
    kind: str
    body: bytes


@cache
def _all() -> dict[str, Asset]:
    found = {}
    for name, kind in _KINDS.items():
        body = _without_margins((files("taskq_web") / "static" / name).read_bytes())
        stem, _, ending = name.rpartition(".")
        found[name] = Asset(f"/static/{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{ending}", kind, body)
    return found


def path_of(name: str) -> str:
    """Where a file is served, below the dashboard's root."""
    return _all()[name].path


def find(path: str) -> Asset | None:
    """The file that is served there; None where none is."""
    return next((asset for asset in _all().values() if asset.path == path), None)


def _without_margins(body: bytes) -> bytes:
    """The file without indentation and lines of comment: a browser needs neither, and they are a seventh of it."""
    lines = (line.strip() for line in body.splitlines())
    return b"\n".join(line for line in lines if line and not line.startswith(b"//"))
