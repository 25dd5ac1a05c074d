"""Queue lists: what a worker is told (`mail,*,!low`), resolved to the plain names that a broker is asked for.

The rules are Ruby's to the letter, `File.fnmatch?` included (WIRE.md section 4, "Queue lists"). Weights (`mail=5`) are
ours, and read only where the worker's order wants them: everywhere else `mail=5` is a queue's name.
It knows no broker: it is told which queues there are. In which of them a worker looks first is `worker.orders`'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from taskq.errors import ConfigurationError, Problem

__all__ = ["QueueList", "parse", "weighted_looking"]

_WILDCARDS: Final = frozenset("*?[]{}")
_HEAVIEST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class QueueList:
    """What a worker serves.

    Attributes:
        patterns: names and patterns in their order, as they were given, trimmed; without exclusions.
        excluded: the patterns that were given with a `!`, without it.
        weighing: the weight of each of `patterns`; empty where none has any.
    """

    patterns: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    weighing: tuple[int, ...] = ()

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

    def weights(self, names: Sequence[str]) -> Sequence[int]:
        """The weight of each of these queues: that of the first entry of the list which it matches, else 1."""
        if not self.weighing:
            return [1] * len(names)
        same = _matches if self.is_dynamic else str.__eq__
        entries = list(zip(self.patterns, self.weighing, strict=True))
        return [next((weight for pattern, weight in entries if same(pattern, name)), 1) for name in names]

    def title(self, known: Iterable[str]) -> str:
        """What a process title says that the worker waits for: the names that match now, not the patterns."""
        return ",".join(self.expand(known))


def parse(queues: str | Iterable[str], *, weighted: bool = False, source: str = "queues") -> QueueList:
    """The queue list that a text with commas, or several such texts, describe. Empty entries are dropped.

    Args:
        queues: as given on the command line, in `QUEUE` or in a file.
        weighted: whether an entry may end with a weight: `mail=5`. What follows its last `=` is one then, so a queue
            whose own name has a `=` is written with its weight: `a=b=1`.
        source: the place it came from, for the error.

    Raises:
        ConfigurationError: there is no queue in it, or only exclusions, or something that is no weight.
    """
    texts = [queues] if isinstance(queues, str) else queues
    entries = [entry for text in texts for part in text.split(",") if (entry := part.strip())]
    patterns = tuple(entry for entry in entries if not entry.startswith("!"))
    if not patterns:
        only = f" There are only exclusions; to serve all else: *,{','.join(entries)}" if entries else ""
        raise ConfigurationError([Problem("queues", source, f"Please give each worker at least one queue.{only}")])
    excluded = tuple(entry[1:] for entry in entries if entry.startswith("!"))
    if not weighted:
        return QueueList(patterns, excluded)
    weights: dict[str, int] = {}
    wrong = []
    for entry in patterns:
        name, weight = _parted(entry)
        weights.setdefault(name, weight or 1)
        if weight is None:
            wrong.append(Problem("queues", source, _no_weight(entry)))
    if wrong:
        raise ConfigurationError(wrong)
    return QueueList(tuple(weights), excluded, tuple(weights.values()))


def weighted_looking(queues: Iterable[str]) -> Sequence[str]:
    """Those entries that would be a queue and its weight, for a worker whose order has none: somebody forgot it."""
    return [entry for entry in queues if not entry.startswith("!") and re.fullmatch(r".+=[0-9]+", entry, re.DOTALL)]


def _parted(entry: str) -> tuple[str, int | None]:
    """An entry's queue or pattern, and its weight; None where what stands there is none."""
    name, sign, weight = entry.rpartition("=")
    if not sign:
        return entry, 1
    number = int(weight) if re.fullmatch(r" *[0-9]{1,9} *", weight) else 0
    return name.strip(), number if name.strip() and 0 < number <= _HEAVIEST else None


def _no_weight(entry: str) -> str:
    return (
        f'in "{entry}" what follows the last = must be its weight, a whole number from 1 to {_HEAVIEST}. '
        f"A queue whose own name has a = is written with its weight: {entry}=1."
    )


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
