"""Queue lists: what a worker is told (`mail,*,!low`), resolved to the plain names that a broker is asked for.

Order is priority. The rules are Ruby's to the letter, `File.fnmatch?` included (WIRE.md section 4, "Queue lists").
It knows no broker: it is told which queues there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from taskq.errors import ConfigurationError, Problem

__all__ = ["QueueList", "parse"]

_WILDCARDS = frozenset("*?[]{}")


@dataclass(frozen=True, slots=True)
class QueueList:
    """What a worker serves.

    Attributes:
        patterns: names and patterns in their order, as they were given, trimmed; without exclusions.
        excluded: the patterns that were given with a `!`, without it.
    """

    patterns: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    @property
    def is_dynamic(self) -> bool:
        """Whether `expand` depends on which queues there are: it has a pattern or an exclusion."""
        return bool(self.excluded) or any(not _WILDCARDS.isdisjoint(pattern) for pattern in self.patterns)

    @property
    def id(self) -> str:
        """The queue part of a worker's id: the list as given, patterns kept, exclusions left out (section 3)."""
        return ",".join(self.patterns)

    def expand(self, known: Iterable[str]) -> tuple[str, ...]:
        """The plain names to reserve from, in order, each once.

        A pattern stands for the queues that it matches, sorted bytewise, at its place. A list without patterns and
        exclusions is itself, known or not; any other holds known queues only.

        Args:
            known: the queues that there are (`Broker.queues`).
        """
        if not self.is_dynamic:
            return tuple(dict.fromkeys(self.patterns))
        candidates = [
            name for name in sorted(known, key=_bytes) if not any(_matches(skip, name) for skip in self.excluded)
        ]
        return tuple(dict.fromkeys(name for pattern in self.patterns for name in candidates if _matches(pattern, name)))

    def title(self, known: Iterable[str]) -> str:
        """What a process title says that the worker waits for: the names that match now, not the patterns."""
        return ",".join(self.expand(known))


def parse(queues: str | Iterable[str], *, source: str = "queues") -> QueueList:
    """The queue list that a text with commas, or several such texts, describe. Empty entries are dropped.

    Args:
        queues: as given on the command line, in `QUEUE` or in a file.
        source: the place it came from, for the error.

    Raises:
        ConfigurationError: there is no queue in it, or only exclusions.
    """
    texts = [queues] if isinstance(queues, str) else queues
    entries = [entry for text in texts for part in text.split(",") if (entry := part.strip())]
    patterns = tuple(entry for entry in entries if not entry.startswith("!"))
    if not patterns:
        only = f" There are only exclusions; to serve all else: *,{','.join(entries)}" if entries else ""
        raise ConfigurationError([Problem("queues", source, f"Please give each worker at least one queue.{only}")])
    return QueueList(patterns, tuple(entry[1:] for entry in entries if entry.startswith("!")))


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""Ruby's `File.fnmatch?` without flags, as a regular expression.

    Python's fnmatch differs: there a backslash escapes nothing, `[^a]` is no negation, `[]a]` is a set, an unclosed `[`
    is a letter, and `*` matches a leading dot.
    """
    parts: list[str] = []
    if not pattern.removeprefix("\\").startswith("."):
        parts.append(r"(?!\.)")
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            parts.append(".*")
        elif letter == "?":
            parts.append(".")
        elif letter == "[":
            one_of, at = _set(pattern, at)
            parts.append(one_of)
        else:
            if letter == "\\" and at < len(pattern):
                letter = pattern[at]
                at += 1
            parts.append(re.escape(letter))
    return re.compile("".join(parts), re.DOTALL)


def _set(pattern: str, at: int) -> tuple[str, int]:
    """A set that begins after the `[` before `at`, as a regular expression, and where it ends."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    while at < len(pattern) and pattern[at] != "]":
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("]", ""):
            high, at = _member(pattern, at + 1)
        # Ruby compares the ends first, so that even `[z-a]` has two members.
        members += [re.escape(low), re.escape(high)]
        if low < high:
            members.append(f"{re.escape(low)}-{re.escape(high)}")
    if at >= len(pattern):
        return "(?!)", at  # not closed: matches nothing
    if not members:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{''.join(members)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] == "\\" and at + 1 < len(pattern):
        at += 1
    return pattern[at], at + 1
