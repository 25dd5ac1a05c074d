"""Which failed jobs are meant, and which of them are the same problem: the words of the pages and of the commands.

A filter is asked of every entry that a search passes, so what decides quickly comes first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

from taskq import dates
from taskq.failed_entry import Glance, glance

__all__ = ["ALL", "FailureFilter", "folded", "group_of"]

_MESSAGE_MOST: Final = 300  # characters of a message that tell problems apart

# The order matters: what is longer and surer comes first.
_FOLDS: Final = (
    (re.compile(r"""(?<!\w)(["'`])(?:(?!\1)[^\\\n]|\\.){0,2000}\1"""), "<text>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "<address>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"\b0x[0-9a-f]+", re.IGNORECASE), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"(?:(?<![A-Za-z_\d])[+-])?\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureFilter:
    """Which failed jobs are meant. What is None does not matter.

    Attributes:
        job: the job's name.
        exception: the exception's class; its last part alone will do, `Timeout` for `Net::Timeout` too.
        queue: the queue that the job came from.
        text: what is somewhere in the error, the exception, the job's name or its arguments as they are shown, in
            whatever case.
        since: when it failed at the earliest, unix seconds.
        until: when it failed before, unix seconds.
        retried: whether it was requeued.
        group: the key of a group of equal errors.
        place: the failed list that it lies in: a queue that has one of its own, or the empty text for the common one.
    """

    job: str | None = None
    exception: str | None = None
    queue: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None
    retried: bool | None = None
    group: str | None = None
    place: str | None = None

    @property
    def says_anything(self) -> bool:
        """Whether it leaves any entry of its lists out."""
        return any(getattr(self, one.name) is not None for one in fields(self) if one.name != "place")

    @classmethod
    def of(cls, words: Mapping[str, str], *, now: float) -> FailureFilter:
        """The filter that these words say, as a page's address and a command's options have them. Others are passed.

        Args:
            words: class, exception, queue, text, since, until, retried (yes, no), group, list.
            now: unix seconds, for what is said as `2h`.

        Raises:
            ValueError: a moment is none, or `retried` is neither yes nor no.
        """
        said = {word: value for word, value in words.items() if value}
        retried = said.get("retried")
        if retried not in {None, "yes", "no"}:
            raise ValueError(f'retried is yes or no, not "{retried}".')
        return cls(
            job=said.get("class"),
            exception=said.get("exception"),
            queue=said.get("queue"),
            text=said.get("text"),
            since=dates.parse_when(said["since"], now) if "since" in said else None,
            until=dates.parse_when(said["until"], now) if "until" in said else None,
            retried=None if retried is None else retried == "yes",
            group=said.get("group"),
            place=words.get("list"),
        )

    def words(self) -> Mapping[str, str]:
        """What `of` makes this filter of; moments as unix seconds."""
        said = {
            "class": self.job,
            "exception": self.exception,
            "queue": self.queue,
            "text": self.text,
            "since": None if self.since is None else f"{self.since:.0f}",
            "until": None if self.until is None else f"{self.until:.0f}",
            "retried": None if self.retried is None else "yes" if self.retried else "no",
            "group": self.group,
            "list": self.place,
        }
        return {word: value for word, value in said.items() if value is not None}

    def matches(self, entry: bytes, shown: Callable[[bytes], str]) -> bool:
        """Whether an entry is meant.

        Args:
            entry: its bytes.
            shown: arguments and error of an entry as they may be shown: asked only where the text may be there.
        """
        # The name is in the entry letter by letter, unless it is escaped: that rules most others out unread.
        for name in (self.job, self.queue):
            if name is not None and name.isalnum() and name.encode() not in entry and b"\\u" not in entry:
                return False
        seen = glance(entry)
        if self.job is not None and seen.job != self.job:
            return False
        if self.queue is not None and seen.queue != self.queue:
            return False
        if self.retried is not None and seen.retried is not self.retried:
            return False
        if self.exception is not None and not _is_called(seen.exception, self.exception):
            return False
        if (self.since is not None or self.until is not None) and not self._is_within(seen.at):
            return False
        if self.group is not None and group_of(seen) != self.group:
            return False
        return self.text is None or self._has_text(seen, entry, shown)

    def _is_within(self, at: float | None) -> bool:
        if at is None:
            return False
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def _has_text(self, seen: Glance, entry: bytes, shown: Callable[[bytes], str]) -> bool:
        assert self.text is not None
        wanted = self.text.casefold()
        if wanted in seen.exception.casefold() or wanted in seen.job.casefold():
            return True
        if wanted in seen.error.casefold():
            # What is hidden there is not found either: else letter by letter anybody could find out what it is.
            return wanted in shown(entry).casefold()
        # Letters of ASCII are in the entry as they are, or escaped; so most arguments need not be read.
        if wanted.isascii() and wanted.isalnum() and b"\\u" not in entry and wanted.encode() not in entry.lower():
            return False
        return wanted in shown(entry).casefold()


ALL: Final = FailureFilter()
"""Every failed job."""


def group_of(seen: Glance) -> str:
    """The key of the group of equal errors that an entry belongs to."""
    return _key(seen.job, seen.exception, folded(seen.error))


@lru_cache(maxsize=4096)
def _key(job: str, exception: str, message: str) -> str:
    return hashlib.sha256(f"{job}\0{exception}\0{message}".encode(errors="replace")).hexdigest()[:12]


@lru_cache(maxsize=4096)
def folded(message: str) -> str:
    """A message without what differs from one failure of a kind to the next: numbers, ids, addresses, quoted parts."""
    text = message[: 4 * _MESSAGE_MOST]
    for pattern, instead in _FOLDS:
        text = pattern.sub(instead, text)
    text = text.strip()
    return text if len(text) <= _MESSAGE_MOST else f"{text[:_MESSAGE_MOST]} ..."


def _is_called(exception: str, wanted: str) -> bool:
    """`ValueError` means Ruby's `My::ValueError` and Python's `shop.errors.ValueError` too."""
    return wanted in {exception, exception.rpartition(".")[2], exception.rpartition("::")[2]}
