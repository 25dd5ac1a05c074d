"""The failed jobs of an application: listed, searched, grouped, edited, requeued, removed.

They lie in one common list, and with the failure handler `multi_queue` in a list for each queue. Here both are one:
first what is in the common list, then list by list. Nothing is ever loaded whole; each listing is paged, each search
bounded, and what acts on all that match says how far it is and can be stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from taskq import attempts, failed_entry, failed_groups, failed_ids, failed_search
from taskq.broker import Broker, FailureRequeue, Requeued
from taskq.cancelling import unheard
from taskq.chain import Hooks
from taskq.envelope import encode
from taskq.errors import BrokerError, BrokerUnavailable, InvalidPayload
from taskq.failed_entry import FailedJob
from taskq.failed_filter import ALL, FailureFilter
from taskq.failed_groups import Groups
from taskq.failed_ids import Missing
from taskq.failed_search import Bounds, Counted, FailedList, FailurePage
from taskq.records import StoredFailure
from taskq.showing import Editable, Showing

__all__ = ["Failures", "Stop", "Tally", "Tell"]

_PAGE: Final = 200
_BOUNDS: Final = Bounds()
_SLICE: Final = Bounds(entries=1_000, seconds=0.2)  # between two looks at whether to stop


@dataclass(frozen=True, slots=True)
class Tally:
    """How far an act on many failed jobs is, or how it ended.

    Attributes:
        total: how many entries there were to look at.
        searched: how many were looked at.
        matched: how many of those were meant.
        done: how many were requeued, or removed.
        already: how many had been requeued before, or were by somebody else meanwhile.
        gone: how many somebody else removed, or changed, meanwhile.
        refused: how many cannot be requeued.
        stopped: whether it was stopped before its end.
    """

    total: int = 0
    searched: int = 0
    matched: int = 0
    done: int = 0
    already: int = 0
    gone: int = 0
    refused: int = 0
    stopped: bool = False


Tell: TypeAlias = Callable[[Tally], None]
"""Is told how far it is, some times a second."""

Stop: TypeAlias = Callable[[], bool]
"""Says whether to stop; asked as often."""


class Failures:
    """What failed and was not removed.

    A job is addressed by the bytes of its entry near the place where it was seen, never by its place alone: whoever
    removes another one meanwhile makes no difference.

    Args:
        broker: gives the broker; asked at each call.
        showing: gives what shows arguments to people; asked at each call.
        hooks: gives the hooks, which are told of each requeue; asked at each.
    """

    __slots__ = ("_broker", "_hooks", "_showing")

    def __init__(
        self, broker: Callable[[], Broker], showing: Callable[[], Showing], hooks: Callable[[], Hooks]
    ) -> None:
        self._broker = broker
        self._showing = showing
        self._hooks = hooks

    # ---- looking

    def lists(self) -> Sequence[FailedList]:
        """The failed lists there are: the common one first, then those of queues, by name."""
        return failed_search.lists_of(self._broker())

    def page(
        self,
        wanted: FailureFilter = ALL,
        cursor: str = "",
        count: int = 20,
        *,
        bounds: Bounds = _BOUNDS,
        top: str = "",
        removing: bool = False,
    ) -> FailurePage:
        """A page of those that are meant, the newest first.

        It reads until it has `count` of them or has reached its bounds, and says how many entries it looked at.

        Args:
            wanted: which are meant.
            cursor: of an earlier page, `older` or `newer`; empty for the newest.
            count: how many at most.
            bounds: how far to look for them.
            top: leaves out what came in since it was taken.
            removing: whether they are about to be removed, which `older` then allows for.

        Raises:
            ValueError: that is no cursor, or no top.
        """
        return failed_search.page(self._broker(), wanted, cursor, count, bounds, self._shown, top, removing)

    def top(self, wanted: FailureFilter = ALL) -> str:
        """A name for all that lies now in the lists that are meant: what comes in later is not among it.

        So what is counted now, and what is acted on later, is the same. It names the newest entry of each list; where
        somebody else removed that one, it holds by its place alone.
        """
        return failed_search.top(self._broker(), wanted.place)

    def oldest(self, wanted: FailureFilter = ALL) -> str:
        """The cursor of the oldest end: who goes on from there by `newer` meets first what failed first.

        Args:
            wanted: in which lists, and from when.
        """
        return failed_search.oldest(self._broker(), wanted)

    def count_slice(
        self, wanted: FailureFilter = ALL, cursor: str = "", *, bounds: Bounds = _BOUNDS, top: str = ""
    ) -> Counted:
        """Count those that are meant, as far as a bounded look goes, the newest first.

        Args:
            wanted: which are meant.
            cursor: `older` of an earlier look; empty to begin.
            bounds: how far to look.
            top: leaves out what came in since it was taken.

        Raises:
            ValueError: that is no cursor.
        """
        return failed_search.count(self._broker(), wanted, cursor, bounds, self._shown, top)

    def cursor_at(self, when: float, wanted: FailureFilter = ALL) -> str:
        """The cursor of what failed before a moment, found by some twenty looks: entries lie in the order of time.

        Args:
            when: unix seconds.
            wanted: in which of the lists; without a place, in the first that has any.
        """
        return failed_search.cursor_at(self._broker(), when, wanted)

    def groups(
        self,
        wanted: FailureFilter = ALL,
        cursor: str = "",
        *,
        bounds: Bounds = _BOUNDS,
        into: Groups | None = None,
    ) -> Groups:
        """Those that are meant in groups of the same problem, as far as a bounded look goes, the newest first.

        Args:
            wanted: which are meant.
            cursor: `older` of an earlier look; empty to begin.
            bounds: how far to look.
            into: what an earlier look found, to be counted in.

        Raises:
            ValueError: that is no cursor.
        """
        return failed_groups.groups(self._broker(), wanted, cursor, bounds, self._shown, self._error, into)

    def find(self, failed_id: str) -> FailedJob | Missing:
        """The one that an id names, wherever it has moved by now; or why there is none.

        Raises:
            ValueError: it is no id.
        """
        parsed = failed_ids.parse(failed_id)
        if parsed is None:
            raise ValueError(f"{failed_id[:60]} is no id of a failed job: those are like 12-8f3a1c, or 12.")
        return failed_ids.find(self._broker(), parsed)

    def id_of(self, failed: FailedJob, digits: int = 6) -> str:
        """The id of one as it was listed: its place, and so many hex digits that tell it from others, 6 to 64."""
        return failed_ids.id_of(failed, digits)

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

    # ---- trying again

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
            TypeError: that is no failed job.
        """
        [answer] = self._put([self._prepared(_listed(failed), queue=queue)])
        return answer

    def editable(self, failed: FailedJob) -> Editable:
        """The arguments of a failed job for editing, what is secret as placeholders."""
        if not _listed(failed).requeueable or failed.body is None:
            return Editable("", f"This failed job cannot be requeued. {failed.why_not}")
        return self._showing().editable(failed.body)

    def requeue_edited(self, failed: FailedJob, text: str, *, queue: str | None = None) -> Requeued:
        """Requeue a failed job with other arguments; all else of its payload, and its entry, stay as they are.

        Args:
            failed: as it was listed.
            text: its arguments as JSON, as `editable` gave them, edited. A placeholder is what it stood for.
            queue: where it goes; None for the queue that it came from.

        Raises:
            InvalidPayload: the text is no list in JSON, or the job cannot be requeued or edited.
            WrongCall: the arguments do not fit the job's signature, where it is known here.
            UnserializableArgument: the payload's serializer does not carry one of them.
            TypeError: that is no failed job.
        """
        if not _listed(failed).requeueable or failed.body is None:
            raise InvalidPayload(f"This failed job cannot be requeued. {failed.why_not}")
        body = self._showing().edited(failed.body, text)
        [answer] = self._put([self._prepared(failed, queue=queue, body=body)])
        return answer

    def _put(self, some: Sequence[FailureRequeue]) -> Sequence[Requeued]:
        """Put these into their queues, as far as the broker agrees.

        Hooks are told before: a worker may perform, and end, at once what is there. Where the broker then says no, they
        take back what they did.
        """
        broker, hooks = self._broker(), self._hooks()
        words = unheard(broker, [one.body for one in some])
        told = hooks.listens("requeueing")
        undoing = [hooks.tell_requeueing(one.queue, one.body) for one in some] if told else []
        try:
            answers = broker.requeue_failures(some)
        except BrokerError as error:
            # Of several some may be in their queues, and where an answer was lost this one may be.
            if len(some) == 1 and not (isinstance(error, BrokerUnavailable) and error.sent == "unknown"):
                for take_back in undoing:
                    take_back()
            raise
        for take_back, answer in zip(undoing, answers, strict=False):
            if answer is not Requeued.DONE:
                take_back()
        _forget(broker, words, answers)
        return answers

    def _prepared(self, failed: FailedJob, *, queue: str | None = None, body: bytes | None = None) -> FailureRequeue:
        if not failed.requeueable or failed.body is None:
            raise InvalidPayload(f"This failed job cannot be requeued. {failed.why_not}")
        body = attempts.uncounted(failed.body if body is None else body)
        if failed.payload is not None and not failed.payload.args and b'"args"' not in body:
            # Ruby's requeue always writes the list (WIRE.md section 7), for some workers insist on it.
            body = attempts.uncounted(encode(failed.payload.job, "[]", failed.payload.extra))
        marked = failed_entry.mark_retried(failed.entry, self._broker().now(), zone=failed.queue is None)
        return FailureRequeue(_stored(failed), failed.job_queue if queue is None else queue, body, marked)

    def requeue_each(self, chosen: Iterable[FailedJob], *, again: bool = True) -> Tally:
        """Requeue these, in few exchanges where the backend can.

        Args:
            chosen: as they were listed.
            again: also those that were retried before.
        """
        found = [_listed(failed) for failed in chosen]
        return self._requeued(Tally(len(found), len(found), len(found)), found, again=again)

    def requeue_matching(
        self,
        wanted: FailureFilter,
        *,
        again: bool = False,
        top: str = "",
        tell: Tell | None = None,
        stop: Stop | None = None,
    ) -> Tally:
        """Requeue all that are meant, the oldest first; those that fail meanwhile are left out.

        Args:
            wanted: which are meant.
            again: also those that were retried before.
            top: leaves out what came in since it was taken; without it, what comes in from now on.
            tell: is told how far it is.
            stop: says whether to stop.
        """

        def act(tally: Tally, found: Sequence[FailedJob]) -> Tally:
            return self._requeued(tally, found[::-1], again=again)

        return self._act(wanted, act, top, tell, stop, oldest_first=True)

    def _requeued(self, tally: Tally, found: Sequence[FailedJob], *, again: bool) -> Tally:
        able: list[FailureRequeue] = []
        refused = already = 0
        for failed in found:
            if failed.retried_at is not None and not again:
                already += 1
                continue
            try:
                able.append(self._prepared(failed))
            except InvalidPayload:
                refused += 1
        answers = self._put(able) if able else ()
        return dataclasses.replace(
            tally,
            done=tally.done + sum(answer is Requeued.DONE for answer in answers),
            already=tally.already + already + sum(answer is Requeued.ALREADY for answer in answers),
            gone=tally.gone + sum(answer is Requeued.GONE for answer in answers),
            refused=tally.refused + refused,
        )

    def requeue_all(self, *, queue: str | None = None, again: bool = False) -> int:
        """Requeue every one that can be, the oldest first.

        Args:
            queue: only those of jobs from this queue.
            again: also those that were retried before.

        Returns:
            How many were requeued; what cannot be requeued stays, and is not counted.
        """
        return self.requeue_matching(FailureFilter(queue=queue), again=again).done

    # ---- removing

    def remove(self, failed: FailedJob) -> bool:
        """Remove one. False where it is not there any more, or was marked as retried since it was listed.

        Raises:
            TypeError: that is no failed job.
        """
        return self._broker().remove_failure(_stored(_listed(failed)))

    def restore(self, failed: FailedJob) -> None:
        """Put back the entry of one that was removed, at the newest end of its list."""
        self._broker().add_failure(_listed(failed).entry, queue=failed.queue)

    def remove_each(self, chosen: Iterable[FailedJob]) -> Tally:
        """Remove these, in few exchanges where the backend can."""
        found = [_listed(failed) for failed in chosen]
        return self._removed(Tally(len(found), len(found), len(found)), found)

    def remove_matching(
        self, wanted: FailureFilter, *, top: str = "", tell: Tell | None = None, stop: Stop | None = None
    ) -> Tally:
        """Remove all that are meant; those that fail meanwhile are left out.

        Args:
            wanted: which are meant: `FailureFilter(retried=True)` clears what was requeued.
            top: leaves out what came in since it was taken; without it, what comes in from now on.
            tell: is told how far it is.
            stop: says whether to stop.
        """
        return self._act(wanted, self._removed, top, tell, stop)

    def _removed(self, tally: Tally, found: Sequence[FailedJob]) -> Tally:
        done = sum(self._broker().remove_failures([_stored(failed) for failed in found]))
        return dataclasses.replace(tally, done=tally.done + done, gone=tally.gone + len(found) - done)

    def clear(self, *, queue: str | None = None) -> int:
        """Remove all of them; with `queue`, those of jobs from that queue. How many there were."""
        broker = self._broker()
        if queue is None:
            return sum(broker.clear_failures(queue=place) for place in _lists(broker))
        removed = self.remove_matching(FailureFilter(queue=queue, place="")).done
        return removed + broker.clear_failures(queue=queue)

    # ---- all that are meant

    def count_matching(
        self, wanted: FailureFilter, *, top: str = "", tell: Tell | None = None, stop: Stop | None = None
    ) -> Tally:
        """Count all that are meant. Where the filter leaves nothing out, nothing is read for it.

        Args:
            wanted: which are meant.
            top: leaves out what came in since it was taken.
            tell: is told how far it is.
            stop: says whether to stop.

        Raises:
            ValueError: that is no top.
        """
        total = failed_search.total(self._broker(), wanted.place, top)
        if not wanted.says_anything:
            return Tally(total=total, searched=total, matched=total)
        tally, cursor = Tally(total), ""
        while True:
            if stop is not None and stop():
                return dataclasses.replace(tally, stopped=True)
            found = self.count_slice(wanted, cursor, bounds=_SLICE, top=top)
            tally = Tally(total, tally.searched + found.searched, tally.matched + found.matched)
            if tell is not None:
                tell(tally)
            cursor = found.older
            if not cursor:
                return tally

    def _act(
        self,
        wanted: FailureFilter,
        act: Callable[[Tally, Sequence[FailedJob]], Tally],
        top: str,
        tell: Tell | None,
        stop: Stop | None,
        *,
        oldest_first: bool = False,
    ) -> Tally:
        """Go through all entries that are there now, page by page, and act on those that are meant."""
        top = top or self.top(wanted)
        tally = Tally(failed_search.total(self._broker(), wanted.place, top))
        cursor = self.oldest(wanted) if oldest_first else ""
        while True:
            if stop is not None and stop():
                return dataclasses.replace(tally, stopped=True)
            page = self.page(wanted, cursor, _PAGE, bounds=_SLICE, top=top, removing=not oldest_first)
            tally = dataclasses.replace(
                tally, searched=tally.searched + page.searched, matched=tally.matched + len(page.jobs)
            )
            if page.jobs:
                tally = act(tally, page.jobs)
            if tell is not None:
                tell(tally)
            cursor = page.newer if oldest_first else page.older
            if not cursor:
                return tally

    def _error(self, failed: FailedJob) -> str:
        return self._showing().briefly(failed).error

    def _shown(self, entry: bytes) -> str:
        """What of an entry may be shown, for a search for a text."""
        return self._showing().searched(failed_entry.decode(StoredFailure(0, entry)))


def _listed(failed: object) -> FailedJob:
    """Itself, where it is a failed job as `list` and the others give them.

    Raises:
        TypeError: it is something else: an id, or what a search that found none returned.
    """
    if isinstance(failed, FailedJob):
        return failed
    shown = "None" if failed is None else repr(failed[:60]) if isinstance(failed, str) else type(failed).__name__
    if isinstance(failed, Missing):
        raise TypeError(f"What is given must be a failed job, and none was found: {failed.why}")
    raise TypeError(
        f"What is given must be a failed job, as failures.list() and failures.each() give them, and not {shown}. "
        "The one of an id: failures.find(id)."
    )


def _lists(broker: Broker) -> tuple[str | None, ...]:
    return (None, *broker.failed_queues())


def _pages(broker: Broker, one: FailedList, *, newest_first: bool) -> Iterator[Sequence[StoredFailure]]:
    # The newest first where they are removed: what is removed then shifts nothing that is still to be read.
    for start in range(0, one.count, _PAGE):
        count = min(_PAGE, one.count - start)
        page = broker.failures(one.count - start - count if newest_first else start, count, queue=one.queue)
        yield page[::-1] if newest_first else page


def _paged(broker: Broker, place: str | None, *, newest_first: bool) -> Iterator[StoredFailure]:
    for page in _pages(broker, FailedList(place, broker.failure_count(queue=place)), newest_first=newest_first):
        yield from page


def _forget(broker: Broker, words: Sequence[tuple[str, bytes] | None], answers: Sequence[Requeued]) -> None:
    """What was said about the end of those that are requeued now is no word about what they do from now on."""
    for word, answer in zip(words, answers, strict=False):
        if word is not None and answer is Requeued.DONE:
            broker.swap_key(*word, None)


def _stored(failed: FailedJob) -> StoredFailure:
    return StoredFailure(failed.position, failed.entry, failed.queue)
