"""The hook `results`: gives a job an id, and notes under it how the job stands, wherever that changes.

What it returned is noted where it was performed, before it is settled; how it failed where that is decided. Both only
for jobs with an id. What cannot be noted, for the broker is away, is no reason to fail a job: its handle then waits.
"""

from __future__ import annotations

import copy
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self

from taskq import envelope, in_job
from taskq.broker import Broker, Capability
from taskq.errors import BrokerError, BrokerUnavailable, EnqueueError, InvalidPayload
from taskq.failed_entry import dying, last_words
from taskq.failure_handler import Discard, Retry
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, PerformContext, Settled, Vetoed
from taskq.parts import Parts
from taskq.records import ErrorRecord
from taskq_results.handle import Kept
from taskq_results.option import Results
from taskq_results.record import Record, begun, encoded, key_of, lost, not_requeued, put_back, requeued, returned

__all__ = ["ResultsHook"]

_log: Final = logging.getLogger("taskq.results")

_DEFAULT: Final = Results()
_PACE: Final = 0.2  # seconds between two notes of one job's progress
_TRIES: Final = 5  # others may note something of the same job this moment


@dataclass(frozen=True)
class _Options:
    results: Results | None = None


@dataclass(slots=True)
class _Noted:
    """What this process noted last of a job that it performs, and when it noted progress, by the monotonic clock."""

    record: Record
    at: float = float("-inf")


class ResultsHook(Hook):
    """Declares the option `results`. It stands within `limit`: what is postponed does not run."""

    name = "results"
    after = ("limit",)
    options = _Options
    needs = frozenset({Capability.KEYS})

    def __init__(self) -> None:
        """Of no application yet."""
        self.parts: Parts | None = None
        self._noted: dict[str, _Noted] = {}

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        bound._noted = {}  # noqa: SLF001 - it is one of us
        return bound

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        said = request.options.get("results")
        if not isinstance(said, Results):
            return call_next(request)
        parts = self._found()
        broker, extra = parts.broker, dict(request.extra)
        job = str(extra.setdefault(in_job.ID, secrets.token_hex(12)))
        later = 0.0 if request.at is None else max(request.at - broker.now(), 0.0)
        queued = Record("queued").dump()
        key, seconds, connection = key_of(job), said.pending + later, request.connection
        try:
            if connection is None:
                broker.put_key(key, queued, seconds)
            else:
                broker.put_key_within(connection, key, queued, seconds)
        except BrokerUnavailable as error:
            error.sent = "no"  # that may be noted; the job was not enqueued
            raise
        try:
            answer = call_next(replace(request, extra=extra))
        except BaseException as error:
            if not isinstance(error, BrokerUnavailable) or error.sent == "no":
                self._quietly(lambda: _forget(broker, key, queued, connection))
            raise
        if isinstance(answer, Vetoed):
            self._quietly(lambda: _forget(broker, key, queued, connection))
        return Kept.of(answer, parts) if isinstance(answer, Accepted) else answer

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        job = in_job.id_of(context.payload)
        if job is None:
            return call_next(context)
        said, run = _said(context), context.reservation.fence
        begins = partial(begun, run=run, worker=context.reservation.worker)
        self._change(job, begins, said.pending, expected=Record("queued"))
        mine = self._noted[job] = _Noted(begins(None) or Record("running"))
        try:
            value = call_next(context)
        except BaseException as error:
            if not run:  # within enqueue: nobody settles it
                self._put(job, Record("failed", error=(type(error).__qualname__, str(error))), said.keep)
            raise
        finally:
            self._noted.pop(job, None)
        done = replace(encoded(context.payload.job, value, self._found().serializer, said.max_bytes), run=run)
        if done.problem:
            _log.warning("What job %s of %s returned is not kept: %s.", job, context.payload.job, done.problem)
        self._change(job, partial(returned, new=done), said.keep, expected=mine.record)
        return value

    def progressed(self, context: PerformContext, done: float, total: float | None) -> None:
        job = in_job.id_of(context.payload)
        mine = None if job is None else self._noted.get(job)
        now = time.monotonic()
        if job is None or mine is None or (done != total and now - mine.at < _PACE):
            return
        far = replace(mine.record, progress=(done, total))
        self._change(job, partial(returned, new=far), _said(context).pending, expected=mine.record)
        mine.record, mine.at = far, now

    def settled(self, settled: Settled) -> None:
        job = _id_in(settled.reservation.body)
        if job is None:
            return
        said, held = _DEFAULT if settled.context is None else _said(settled.context), settled.reservation
        begun_as = Record("running", run=held.fence, worker=held.worker)
        match settled.outcome:
            case "failed":
                new = Record("failed", error=_error(settled), run=held.fence)
                self._change(job, partial(lost, new=new), said.keep, expected=begun_as)
            case "discarded":
                reason = settled.decision.reason if isinstance(settled.decision, Discard) else ""
                new = Record("failed", error=("discarded", reason), run=held.fence)
                self._change(job, partial(lost, new=new), said.keep, expected=begun_as)
            case "retried" | "postponed":
                at = settled.decision.at if isinstance(settled.decision, Retry) else None
                later = 0.0 if at is None else max(at - self._broker.now(), 0.0)
                expected = begun_as if settled.outcome == "retried" else Record("queued")
                self._change(job, partial(put_back, run=held.fence), said.pending + later, expected=expected)
            case "done" | "refused":
                pass  # it was noted where it was performed; or somebody else settles it

    def requeueing(self, queue: str, body: bytes) -> Callable[[], None] | None:
        job, mark = _id_in(body), secrets.token_hex(4)
        if job is None:
            return None
        self._quietly(lambda: self._claim(job, mark))
        return lambda: self._quietly(lambda: self._take_back(job, mark))

    def _claim(self, job: str, mark: str) -> None:
        broker, key = self._broker, key_of(job)
        alone = Record("queued", claims=(mark,)).dump()
        for _ in range(_TRIES):
            taken = broker.take_key([key], alone, _DEFAULT.pending)
            if taken.key is not None:
                return
            new = requeued(taken.value, mark, broker.now() + taken.left)
            if new is None or broker.swap_key(key, taken.value, new.dump(), _DEFAULT.pending):
                return

    def _take_back(self, job: str, mark: str) -> None:
        broker, key = self._broker, key_of(job)
        for _ in range(_TRIES):
            kept = broker.get_key(key)
            new = not_requeued(Record.load(kept), mark)
            if kept is None or new is None:
                return
            if isinstance(new, Record):
                value, seconds = new.dump(), _DEFAULT.pending
            else:
                value, seconds = new[0].encode(), new[1] - broker.now()
            if broker.swap_key(key, kept, value if seconds > 0 else None, max(seconds, 0.0)):
                return

    def cancelled(self, queue: str, body: bytes) -> None:
        job = _id_in(body)
        if job is not None:
            why = ("taskq.errors.JobCancelled", "it was cancelled before it began, or removed")
            self._put(job, Record("failed", error=why), _DEFAULT.keep)

    def _put(self, job: str, record: Record, seconds: float) -> None:
        self._quietly(lambda: self._broker.put_key(key_of(job), record.dump(), seconds))

    def _change(
        self,
        job: str,
        becomes: Callable[[Record | None], Record | None],
        seconds: float,
        *,
        expected: Record | None = None,
    ) -> None:
        """Make of what is kept what it becomes. With what is expected there, that takes one exchange as a rule."""

        def change() -> None:
            broker, key = self._broker, key_of(job)
            new = None if expected is None else becomes(expected)
            if expected is not None and new is not None and broker.swap_key(key, expected.dump(), new.dump(), seconds):
                return
            for _ in range(_TRIES):
                kept = broker.get_key(key)
                new = becomes(Record.load(kept))
                if new is None:
                    return
                if kept is None:
                    if broker.take_key([key], new.dump(), seconds).key is not None:
                        return
                elif broker.swap_key(key, kept, new.dump(), seconds):
                    return

        self._quietly(change)

    def _quietly(self, call: Callable[[], object]) -> None:
        try:
            call()
        except (BrokerError, EnqueueError) as error:  # an application's own connection may be of no use any more
            _log.warning("How a job stands could not be noted: %s", error)

    @property
    def _broker(self) -> Broker:
        return self._found().broker

    def _found(self) -> Parts:
        assert self.parts is not None, "the hook was not bound to an application"
        return self.parts


def _forget(broker: Broker, key: str, value: bytes, connection: object | None) -> None:
    if connection is None:
        broker.swap_key(key, value, None)
    else:
        broker.swap_key_within(connection, key, value, None)


def _said(context: PerformContext) -> Results:
    """What the job says; what a single call said does not travel, but for that it wants a result."""
    said = context.options.get("results")
    return said if isinstance(said, Results) else _DEFAULT


def _id_in(body: bytes) -> str | None:
    if b'"taskq:id"' not in body:
        return None
    try:
        return in_job.id_of(envelope.decode(body))
    except InvalidPayload:
        return None


def _error(settled: Settled) -> tuple[str, str]:
    cause = settled.cause
    if cause is None:
        return "", ""
    return (cause.type, cause.message) if isinstance(cause, ErrorRecord) else (dying(cause), last_words(cause))
