"""The journal outside of the broker that the law of conservation is read from, and the balance at a test's end.

Each job has a number and appends two lines, its start and its end. At the end every number is, in the broker, in
exactly one place: settled, failed, queued or in flight; the journal says what ran twice, or ran and is failed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from taskq.broker import Broker
from taskq.records import StoredFailure


class Journal:
    """A file that many processes append to; `O_APPEND` keeps their short lines whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[tuple[str, int]]:
        """What was noted, in order: ("start" or "end", number)."""
        pairs = (line.split() for line in self.path.read_text().splitlines())
        return [(what, int(number)) for what, number, *_ in pairs]

    def counts(self, what: str) -> Counter[int]:
        """How often each number was noted so."""
        return Counter(number for noted, number in self.lines() if noted == what)


def note(path: str, what: str, number: int) -> None:
    """Append a line, from within a job. Not buffered: a kill right after it keeps it."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, f"{what} {number} {os.getpid()}\n".encode())
    finally:
        os.close(fd)


def number_of(body: bytes) -> int:
    """The number of a job: its first argument."""
    number = json.loads(body)["args"][0]
    assert isinstance(number, int)
    return number


@dataclass(frozen=True)
class Balance:
    """Where every job is. Numbers may stand more than once."""

    queued: list[int]
    in_flight: list[int]
    failed: list[int]
    started: Counter[int]
    ended: Counter[int]
    processed: int
    stat_failed: int
    journal: list[tuple[str, int]] = field(repr=False)

    @property
    def settled(self) -> int:
        """How many were settled as done."""
        return self.processed - len(self.failed)

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those that are in no place: neither waiting, nor held, nor failed, nor did their end reach the journal."""
        there = Counter(self.queued + self.in_flight + self.failed)
        return [number for number in numbers if not there[number] and not self.ended[number]]

    def in_two_places(self) -> list[int]:
        """Those that wait, are held, or have failed, more than once altogether."""
        return [n for n, count in Counter(self.queued + self.in_flight + self.failed).items() if count > 1]

    def ran_twice(self) -> list[int]:
        """Those that started more than once."""
        return sorted(number for number, count in self.started.items() if count > 1)

    def assert_kept(self, numbers: Iterable[int], *, twice_most: int = 0) -> None:
        """Nothing lost, nothing in two places, the statistics exact, and at most so many performed twice."""
        wanted = list(numbers)
        assert self.missing(wanted) == []
        assert self.in_two_places() == []
        assert len(self.ran_twice()) <= twice_most, self.ran_twice()
        assert self.processed == len(wanted) - len(self.queued) - len(self.in_flight)
        assert self.stat_failed == len(self.failed)


def balance(broker: Broker, journal: Journal, queues: Iterable[str]) -> Balance:
    """Count everything."""
    queued = [number_of(body) for queue in queues for body in broker.peek(queue, 0, 1_000_000)]
    in_flight = [
        number_of(held.body) for info in broker.workers() for held in [*([info.job] if info.job else []), *info.ahead]
    ]
    failed = [_failed_number(entry) for entry in broker.failures(0, 1_000_000)]
    stats = broker.stats()
    return Balance(
        queued,
        in_flight,
        failed,
        journal.counts("start"),
        journal.counts("end"),
        stats.processed,
        stats.failed,
        journal.lines(),
    )


def _failed_number(failure: StoredFailure) -> int:
    number = json.loads(failure.entry)["payload"]["args"][0]
    assert isinstance(number, int)
    return number
