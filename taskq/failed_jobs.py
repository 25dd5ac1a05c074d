"""The failed jobs of an application: listed, requeued, removed.

They lie in one common list, and with the failure handler `multi_queue` in a list for each queue. Here both are one:
first what is in the common list, then list by list. Nothing is ever loaded whole; each listing is paged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from taskq import attempts, failed_entry
from taskq.broker import Broker, Requeued
from taskq.envelope import encode
from taskq.errors import InvalidPayload
from taskq.failed_entry import FailedJob
from taskq.records import StoredFailure

__all__ = ["Failures"]

_PAGE: Final = 200


class Failures:
    """What failed and was not removed.

    A job is addressed by the bytes of its entry near the place where it was seen, never by its place alone: whoever
    removes another one meanwhile makes no difference.

    Args:
        broker: gives the broker; asked at each call.
    """

    __slots__ = ("_broker",)

    def __init__(self, broker: Callable[[], Broker]) -> None:
        self._broker = broker

    def count(self, *, queue: str | None = None) -> int:
        """How many there are; with `queue`, of jobs from that queue, for which the common list has to be read."""
        if queue is not None:
            return sum(1 for _ in self.each(queue=queue))
        broker = self._broker()
        return sum(broker.failure_count(queue=place) for place in _lists(broker))

    def list(
        self, start: int = 0, count: int = 20, *, queue: str | None = None, newest_first: bool = True
    ) -> Sequence[FailedJob]:
        """Up to `count` of them, after `start` others. Whatever lies there is listed, be it rubbish.

        Args:
            start: how many to pass over.
            count: how many at most.
            queue: only those of jobs from this queue.
            newest_first: the order within each list.
        """
        if start < 0 or count < 0:
            raise ValueError(f"start and count are 0 or more, not {start} and {count}.")
        if queue is not None:
            return [*islice(self.each(queue=queue, newest_first=newest_first), start, start + count)]
        broker = self._broker()
        found: list[FailedJob] = []
        for place in _lists(broker):
            size = broker.failure_count(queue=place)
            wanted = min(count - len(found), max(size - start, 0))
            if wanted:
                first = size - start - wanted if newest_first else start
                page = [failed_entry.decode(stored) for stored in broker.failures(first, wanted, queue=place)]
                found += reversed(page) if newest_first else page
            start = max(start - size, 0)
        return found

    def each(self, *, queue: str | None = None, newest_first: bool = True) -> Iterator[FailedJob]:
        """All of them, one by one, read page by page; those that fail meanwhile are left out.

        Args:
            queue: only those of jobs from this queue.
            newest_first: the order within each list.
        """
        broker = self._broker()
        for place in _lists(broker) if queue is None else (None, queue):
            for stored in _paged(broker, place, newest_first=newest_first):
                failed = failed_entry.decode(stored)
                if queue is None or place == queue or failed.job_queue == queue:
                    yield failed

    def requeue(self, failed: FailedJob, *, queue: str | None = None) -> Requeued:
        """Put a failed job into its queue again, and mark its entry as retried, in one step; the entry stays.

        What is pushed are the very bytes that failed, but for the count of the processes that it killed, which starts
        anew. One that was retried before may be requeued again.

        Args:
            failed: as it was listed.
            queue: where it goes; None for the queue that it came from.

        Returns:
            DONE; or ALREADY where somebody requeued it since it was listed, GONE where somebody removed it.

        Raises:
            InvalidPayload: what failed is no job that could be performed; the message says why.
        """
        if not failed.requeueable or failed.body is None:
            raise InvalidPayload(f"This failed job cannot be requeued. {failed.why_not}")
        broker = self._broker()
        body = attempts.uncounted(failed.body)
        if failed.payload is not None and not failed.payload.args and b'"args"' not in body:
            # Ruby's requeue always writes the list (WIRE.md section 7), for some workers insist on it.
            body = attempts.uncounted(encode(failed.payload.job, "[]", failed.payload.extra))
        marked = failed_entry.mark_retried(failed.entry, broker.now(), zone=failed.queue is None)
        return broker.requeue_failure(
            _stored(failed), queue=failed.job_queue if queue is None else queue, body=body, replacement=marked
        )

    def requeue_all(self, *, queue: str | None = None, again: bool = False) -> int:
        """Requeue every one that can be, the oldest first.

        Args:
            queue: only those of jobs from this queue.
            again: also those that were retried before.

        Returns:
            How many were requeued; what cannot be requeued stays, and is not counted.
        """
        done = 0
        for failed in self.each(queue=queue, newest_first=False):
            if failed.requeueable and (again or failed.retried_at is None):
                done += self.requeue(failed) is Requeued.DONE
        return done

    def remove(self, failed: FailedJob) -> bool:
        """Remove one. False where it is not there any more, or was marked as retried since it was listed."""
        return self._broker().remove_failure(_stored(failed))

    def clear(self, *, queue: str | None = None) -> int:
        """Remove all of them; with `queue`, those of jobs from that queue. How many there were."""
        broker = self._broker()
        if queue is None:
            return sum(broker.clear_failures(queue=place) for place in _lists(broker))
        # The newest first: what is removed then shifts nothing that is still to be read.
        removed = sum(
            broker.remove_failure(stored)
            for stored in _paged(broker, None, newest_first=True)
            if failed_entry.decode(stored).job_queue == queue
        )
        return removed + broker.clear_failures(queue=queue)


def _lists(broker: Broker) -> tuple[str | None, ...]:
    return (None, *broker.failed_queues())


def _paged(broker: Broker, place: str | None, *, newest_first: bool) -> Iterator[StoredFailure]:
    size = broker.failure_count(queue=place)
    for start in range(0, size, _PAGE):
        count = min(_PAGE, size - start)
        page = broker.failures(size - start - count if newest_first else start, count, queue=place)
        yield from reversed(page) if newest_first else page


def _stored(failed: FailedJob) -> StoredFailure:
    return StoredFailure(failed.position, failed.entry, failed.queue)
