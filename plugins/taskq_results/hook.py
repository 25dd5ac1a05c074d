"""The hook `results`: gives a job an id, and notes under it how the job stands, wherever that changes.

What it returned is noted where it was performed, before it is settled; how it failed where that is decided. Both only
for jobs with an id. What cannot be noted, for the broker is away, is no reason to fail a job: its handle then waits.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from taskq import envelope, in_job
from taskq.broker import Broker, Capability
from taskq.errors import BrokerError, BrokerUnavailable, InvalidPayload
from taskq.failed_entry import dying, last_words
from taskq.failure_handler import Discard, Retry
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, PerformContext, Settled, Vetoed
from taskq.parts import Parts
from taskq.records import ErrorRecord
from taskq_results.handle import Kept
from taskq_results.option import Results
from taskq_results.record import Record, encoded, key_of

__all__ = ["ResultsHook"]

_log: Final = logging.getLogger("taskq.results")

_DEFAULT: Final = Results()
_PACE: Final = 0.2  # seconds between two notes of one job's progress


@dataclass(frozen=True)
class _Options:
    results: Results | None = None


class ResultsHook(Hook):
    """Declares the option `results`. It stands within `limit`: what is postponed does not run."""

    name = "results"
    after = ("limit",)
    options = _Options
    needs = frozenset({Capability.KEYS})

    def __init__(self) -> None:
        """Of no application yet."""
        self.parts: Parts | None = None
        self._noted: dict[str, float] = {}

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
        try:
            broker.put_key(key_of(job), queued, said.pending + later)
        except BrokerUnavailable as error:
            error.sent = "no"  # that may be noted; the job was not enqueued
            raise
        try:
            answer = call_next(dataclasses.replace(request, extra=extra))
        except BaseException as error:
            if not isinstance(error, BrokerUnavailable) or error.sent == "no":
                self._quietly(lambda: broker.swap_key(key_of(job), queued, None))
            raise
        if isinstance(answer, Vetoed):
            self._quietly(lambda: broker.swap_key(key_of(job), queued, None))
        return Kept.of(answer, parts) if isinstance(answer, Accepted) else answer

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        job = in_job.id_of(context.payload)
        if job is None:
            return call_next(context)
        said = _said(context)
        self._note(job, Record("running"), said.pending)
        try:
            value = call_next(context)
        except BaseException as error:
            if not context.reservation.fence:  # within enqueue: nobody settles it
                self._note(job, Record("failed", error=(type(error).__qualname__, str(error))), said.keep)
            raise
        finally:
            self._noted.pop(job, None)
        self._note(job, encoded(context.payload.job, value, self._found().serializer, said.max_bytes), said.keep)
        return value

    def progressed(self, context: PerformContext, done: float, total: float | None) -> None:
        job = in_job.id_of(context.payload)
        now = time.monotonic()
        if job is None or (done != total and now - self._noted.get(job, float("-inf")) < _PACE):
            return
        self._noted[job] = now
        self._note(job, Record("running", progress=(done, total)), _said(context).pending)

    def settled(self, settled: Settled) -> None:
        job = _id_in(settled.reservation.body)
        if job is None:
            return
        said = _DEFAULT if settled.context is None else _said(settled.context)
        match settled.outcome:
            case "failed":
                self._note(job, Record("failed", error=_error(settled)), said.keep)
            case "discarded":
                reason = settled.decision.reason if isinstance(settled.decision, Discard) else ""
                self._note(job, Record("failed", error=("discarded", reason)), said.keep)
            case "retried" | "postponed":
                at = settled.decision.at if isinstance(settled.decision, Retry) else None
                later = 0.0 if at is None else max(at - self._broker.now(), 0.0)
                self._note(job, Record("queued"), said.pending + later)
            case "done" | "refused":
                pass  # it was noted where it was performed; or somebody else settles it

    def cancelled(self, queue: str, body: bytes) -> None:
        job = _id_in(body)
        if job is not None:
            why = ("taskq.errors.JobCancelled", "it was cancelled before it began")
            self._note(job, Record("failed", error=why), _DEFAULT.keep)

    def _note(self, job: str, record: Record, seconds: float) -> None:
        self._quietly(lambda: self._broker.put_key(key_of(job), record.dump(), seconds))

    def _quietly(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BrokerError as error:
            _log.warning("How a job stands could not be noted: %s", error)

    @property
    def _broker(self) -> Broker:
        return self._found().broker

    def _found(self) -> Parts:
        assert self.parts is not None, "the hook was not bound to an application"
        return self.parts


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
