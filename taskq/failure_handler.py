"""The interface that decides what becomes of a failed job.

Handlers are an ordered list. Each is asked in turn and may pass; the first decision counts. Then every handler is told.
One that raises stops neither the others nor the worker, and is never silent: it is logged, and the next one is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeAlias

from taskq.broker import Capability
from taskq.parts import Parts
from taskq.records import Crash, ErrorRecord, Payload

__all__ = ["Decision", "Discard", "Fail", "Failure", "FailureHandler", "Quarantine", "Retry"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that did not end well.

    Attributes:
        payload: the decoded payload; None where the bytes are none.
        body: the payload's bytes.
        queue: the queue it came from.
        worker: the id of the worker that had it in hand.
        cause: the exception, or the crash. Of which class an exception was is asked by `cause.is_a(OSError)`.
        run_at: when it was reserved, unix seconds.
        failed_at: when it failed, unix seconds by the broker's clock.
        attempts: how many times it has been performed, this time included, as far as is known. A policy that has it
            performed again counts this one: `Retry(body=taskq.attempts.counted(failure.body, failure.attempts))`.
        on_crash: what the job's `on_crash` makes of it, and what becomes of it where no handler says otherwise; None
            where that says nothing: of an exception, a kill that was asked for, a time limit.
        options: what the job said for options that hooks declare, by name; empty where whoever decides does not know
            the job.
    """

    payload: Payload | None
    body: bytes
    queue: str
    worker: str
    cause: ErrorRecord | Crash
    run_at: float
    failed_at: float
    attempts: int = 1
    on_crash: Retry | Quarantine | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """Put it back into its queue, to be performed again.

    Attributes:
        front: ahead of what waits there, instead of behind. The job of a worker that was found dead always goes ahead.
        body: bytes to put back instead of those it came with; None keeps them.
        at: when, unix seconds: until then it waits among the delayed jobs (capability DELAY); None for at once.
        recorded: whether this failure goes into the failed list all the same, and counts as one.
    """

    front: bool = False
    body: bytes | None = None
    at: float | None = None
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget it; it counts as processed. `reason` is for the log.

    The job of a worker that was found dead is never forgotten: there it means `Fail`, for nobody saw how far it got.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Put it into the failed list, or with `by_queue` into the failed list of its own queue."""

    by_queue: bool = False


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Put it into the failed list, marked as a job that should not be performed again as it is.

    With `by_queue` into the failed list of its own queue.
    """

    reason: str
    by_queue: bool = False


Decision: TypeAlias = Retry | Discard | Fail | Quarantine


class FailureHandler:
    """What every handler can do; a handler overrides what it needs. This base is their documentation."""

    name: str = ""
    """The name of its entry point."""

    needs: ClassVar[frozenset[Capability]] = frozenset()
    """What the backend must have; checked when an application is loaded that enables this handler."""

    def bound(self, parts: Parts) -> Self:
        """The handler that is to work for an application: this one, or one made of it that knows those parts.

        Asked once an application. One handler may be given to several, so one that keeps them answers a copy.
        """
        return self

    def decide(self, failure: Failure) -> Decision | None:
        """What becomes of this failure; None to leave it to the next handler.

        Called in the process that performed the job, or, after a crash, in the one that found it. It must not block
        for long: the worker waits.
        """
        return None

    def decided(self, failure: Failure, decision: Decision) -> None:
        """Told what was decided, by whichever handler, before it is carried out. It can change nothing."""
