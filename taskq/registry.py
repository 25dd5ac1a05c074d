"""The names that jobs are performed under. A worker performs only what stands here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from taskq.definition import JobDefinition
from taskq.errors import DuplicateJob

__all__ = ["DEFAULT", "Registry"]


class Registry:
    """Jobs by name and alias. Safe to use from several threads."""

    __slots__ = ("_by_name", "_lock")

    def __init__(self) -> None:
        self._by_name: dict[str, JobDefinition] = {}
        self._lock = threading.Lock()

    def add(self, definition: JobDefinition) -> None:
        """Register a job under its name and its aliases.

        The same source executed again (a module reloaded) takes the place of what it defined before.

        Raises:
            DuplicateJob: another job has one of the names; nothing was registered.
        """
        names = (definition.name, *definition.aliases)
        with self._lock:
            for name in names:
                other = self._by_name.get(name)
                if other is not None and not other.is_same(definition):
                    raise DuplicateJob(name, other.target, definition.target)
            # A new dict instead of a changed one: whoever reads needs no lock.
            self._by_name = self._by_name | dict.fromkeys(names, definition)

    def find(self, name: str) -> JobDefinition | None:
        """The job that a payload names; None where none is registered.

        Ruby's two other spellings are understood too: `::Name`, and `dashed-name` for `DashedName` (WIRE.md section 2).
        """
        return self._by_name.get(name) or self._by_name.get(_as_ruby_resolves(name))

    def names(self) -> tuple[str, ...]:
        """Every name, aliases included, sorted."""
        return tuple(sorted(self._by_name))

    def __iter__(self) -> Iterator[JobDefinition]:
        """Every job once, in the order of their definition."""
        return iter(dict.fromkeys(self._by_name.values()))


def _as_ruby_resolves(name: str) -> str:
    name = name.removeprefix("::")
    return "".join(part[:1].upper() + part[1:].lower() for part in name.split("-")) if "-" in name else name


DEFAULT: Final = Registry()
"""The registry of `@taskq.job` where none is said; one a process."""
