"""Throughput and failures over time, on every backend: totals sampled each minute into two short lists of the broker's.

One process of a namespace samples, the one that looks for the dead. Totals count Ruby's work too. Both lists are
bounded: the last twelve hours by the minute, the last 31 days by the hour. What is taken from each queue is counted by
workers of taskq alone, in keys that expire; what comes in is nowhere counted, and is what was taken and by how much the
queue grew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from taskq.broker import Broker, Capability
from taskq.records import WorkerInfo

__all__ = ["Flow", "History", "Rate", "Sample", "Sampler", "Span", "count_taken", "history", "take"]

Span: TypeAlias = Literal["hours", "days"]
"""The last twelve hours by the minute, or the last 31 days by the hour."""

_STEPS: Final[Mapping[Span, float]] = {"hours": 60.0, "days": 3600.0}
_KEPT: Final[Mapping[Span, int]] = {"hours": 12 * 60, "days": 31 * 24}
_EARLY: Final = (
    2.0  # seconds before its time that a sample is taken all the same: looks come at beats, not to the second
)
_QUEUES: Final = 30  # the largest queues, of which the size is kept
_COUNTED: Final = 100  # queues of which it is looked up how much was taken: each costs an exchange
_KEPT_COUNTS: Final = 86_400.0  # seconds after which a queue's count begins anew


@dataclass(frozen=True, slots=True)
class Sample:
    """The totals at one moment.

    Attributes:
        at: when, unix seconds by the broker's clock.
        processed: how many jobs had been processed, failed ones too.
        failed: how many of them had failed.
        pending: how many jobs waited in all queues.
        failures: how many entries the failed lists had.
        workers: how many workers were registered.
        working: how many of them had a job in hand.
        queues: how many jobs waited in each queue, the largest thirty.
        taken: how many jobs workers of taskq had taken from each queue; None where that is not known.
    """

    at: float
    processed: int
    failed: int
    pending: int
    failures: int
    workers: int
    working: int
    queues: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, int] | None = None

    def size(self, queue: str) -> int | None:
        """How many jobs waited in a queue; None where that was not kept."""
        return self.queues.get(queue, 0 if len(self.queues) < _QUEUES else None)


@dataclass(frozen=True, slots=True)
class Rate:
    """What happened between two samples.

    Attributes:
        at: when the second one was taken.
        seconds: how long after the first.
        done: jobs that ended well.
        failed: jobs that failed.
        enqueued: jobs that came into the queues, by the totals: those that left, and by how much the queues grew.
    """

    at: float
    seconds: float
    done: int
    failed: int
    enqueued: int


@dataclass(frozen=True, slots=True)
class Flow:
    """How many jobs came into a queue and left it in a minute.

    Attributes:
        came: enqueued, or put back.
        left: taken by workers of taskq.
    """

    came: float
    left: float


@dataclass(frozen=True, slots=True)
class History:
    """Samples, the oldest first, `step` seconds apart where a worker of taskq ran."""

    samples: tuple[Sample, ...]
    step: float

    def rates(self) -> Sequence[Rate]:
        """What happened between each two samples. Where the totals were set back, nothing did."""
        return [_rate(one, other) for one, other in pairwise(self.samples)]

    def before(self, seconds: float) -> Sample | None:
        """The sample nearest to so long before the newest; None where there is none that old, by half."""
        if not self.samples:
            return None
        wanted = self.samples[-1].at - seconds
        nearest = min(self.samples, key=lambda sample: abs(sample.at - wanted))
        return nearest if abs(nearest.at - wanted) <= seconds / 2 else None

    def flow(self, queue: str) -> Flow | None:
        """What came into a queue and left it in a minute, over the last five or so; None where that is not known."""
        newest = self.samples[-1] if self.samples else None
        if newest is None or newest.taken is None:
            return None
        past = (one for one in self.samples if one.taken is not None and 30 <= newest.at - one.at <= 330)
        old = next(past, None)
        if old is None or old.taken is None:
            return None
        before, after = old.size(queue), newest.size(queue)
        if before is None or after is None:
            return None
        left, began = newest.taken.get(queue, 0), old.taken.get(queue, 0)
        left = left - began if left >= began else left  # it expired meanwhile, and began anew
        minutes = (newest.at - old.at) / 60
        return Flow(max(left + after - before, 0) / minutes, left / minutes)


def _rate(one: Sample, other: Sample) -> Rate:
    processed = max(other.processed - one.processed, 0)
    failed = min(max(other.failed - one.failed, 0), processed)
    grown = other.pending + other.working - one.pending - one.working
    return Rate(other.at, other.at - one.at, processed - failed, failed, max(processed + grown, 0))


def history(broker: Broker, span: Span) -> History:
    """What was sampled over a span."""
    read = (_read(data) for data in broker.samples(span, _KEPT[span]))
    samples: list[Sample] = []
    for sample in sorted((sample for sample in read if sample is not None), key=lambda sample: sample.at):
        # Two processes may sample at once where one took over from the other.
        if not samples or sample.at - samples[-1].at >= _STEPS[span] / 2:
            samples.append(sample)
    return History(tuple(samples), _STEPS[span])


def count_taken(broker: Broker, queue: str, count: int) -> None:
    """So many more jobs were taken from a queue; on a broker with the capability KEYS.

    Raises:
        BrokerError: it was not counted, or nobody heard whether it was.
    """
    broker.add_key(_count_key(queue), count, _KEPT_COUNTS)


def _count_key(queue: str) -> str:
    return f"taken:{queue}"


def _taken(broker: Broker, queues: Sequence[str]) -> Mapping[str, int] | None:
    if Capability.KEYS not in broker.capabilities:
        return None
    counts = {queue: broker.get_key(_count_key(queue)) for queue in queues[:_COUNTED]}
    return {queue: int(count) for queue, count in counts.items() if count is not None and count.isdigit()}


def take(broker: Broker, workers: Sequence[WorkerInfo] | None = None, *, counts: bool = False) -> Sample:
    """The totals now.

    Args:
        broker: whose.
        workers: those there are, where the caller has just looked.
        counts: whether to look up what was taken from each queue as well.
    """
    sizes = broker.sizes(broker.queues())
    workers = [one for one in (broker.workers() if workers is None else workers) if one.registered]
    stats = broker.stats()
    failures = sum(broker.failure_count(queue=queue) for queue in (None, *broker.failed_queues()))
    largest = sorted(sizes.items(), key=lambda size: -size[1])[:_QUEUES]
    return Sample(
        at=broker.now(),
        processed=stats.processed,
        failed=stats.failed,
        pending=sum(sizes.values()),
        failures=failures,
        workers=len(workers),
        working=sum(one.job is not None for one in workers),
        queues={queue: size for queue, size in largest if size},
        taken=_taken(broker, sorted(sizes)) if counts else None,
    )


class Sampler:
    """Takes samples when they are due.

    Args:
        broker: where they are kept.
        clock: monotonic seconds.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._next = 0.0  # before this there is nothing to do, by the monotonic clock

    def sample(self, workers: Sequence[WorkerInfo] | None = None) -> bool:
        """Take a sample if it is time, by what lies there; whether one was taken.

        Args:
            workers: those there are, where the caller has just looked.
        """
        if self._clock() < self._next:
            return False
        now = self._broker.now()
        due = [span for span in _STEPS if self._is_due(span, now)]
        if due:
            data = _written(take(self._broker, workers, counts=True))
            for span in due:
                self._broker.add_sample(span, data, keep=_KEPT[span])
        self._next = self._clock() + _STEPS["hours"] - _EARLY if due else self._clock() + _EARLY
        return bool(due)

    def _is_due(self, span: Span, now: float) -> bool:
        newest = self._broker.samples(span, 1)
        sample = _read(newest[-1]) if newest else None
        # One of the future is of a clock that was set back, and holds nobody up.
        return sample is None or not now - _STEPS[span] + _EARLY < sample.at <= now + _EARLY


_KEYS: Final = ("at", "processed", "failed", "pending", "failures", "workers", "working")


def _written(sample: Sample) -> bytes:
    numbers = [round(sample.at), *(getattr(sample, key) for key in _KEYS[1:])]
    return json.dumps([numbers, sample.queues, sample.taken], separators=(",", ":")).encode()


def _read(data: bytes) -> Sample | None:
    """A sample as it was written; None for anything else."""
    try:
        numbers, queues, *more = json.loads(data)
        at, *rest = numbers
        processed, failed, pending, failures, workers, working = map(int, rest)
        sizes = {str(queue): int(size) for queue, size in queues.items()}
        taken = {str(queue): int(count) for queue, count in more[0].items()} if more and more[0] is not None else None
        return Sample(float(at), processed, failed, pending, failures, workers, working, sizes, taken)
    except (ValueError, TypeError, AttributeError):
        return None
