"""The interface of what wraps `enqueue` and `perform`, and of what is told the moments of a worker's life.

A hook is any object that defines some of the methods of `Hook`; only those it defines itself are called. The order of
the configuration's `hooks` is the order of nesting: the first is the outermost.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, Self, TypeAlias

from taskq.broker import Capability
from taskq.failure_handler import Decision
from taskq.job_options import OF_A_JOB
from taskq.parts import Parts
from taskq.records import Crash, ErrorRecord, Payload, Reservation

__all__ = [
    "OF_A_JOB",
    "Accepted",
    "Deferred",
    "EnqueueRequest",
    "Enqueued",
    "Hook",
    "PerformContext",
    "Settled",
    "Vetoed",
]


@dataclass(frozen=True, slots=True)
class EnqueueRequest:
    """A job about to be enqueued.

    Attributes:
        job: its name on the wire.
        args: its positional arguments, bound to the signature; keyword-only ones in a last `{"taskq:kw": {...}}`.
        queue: where it will go.
        front: whether it goes ahead of what is there.
        extra: further keys for the payload. Ruby may drop them at any time; see the design.
        options: what hooks declared and the job or the call said, by option name.
        connection: whose transaction it is to be a part of; None for a push of its own. Change a request by
            `dataclasses.replace`, so that this and `at` stay.
        at: when it goes into its queue, unix seconds by the broker's clock; None for at once. A hook may set it: then
            the job waits among the delayed ones, and `front` means nothing.
    """

    job: str
    args: tuple[object, ...]
    queue: str
    front: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    connection: object | None = None
    at: float | None = None


class Accepted(NamedTuple):  # made for every enqueue, in half the time of a frozen dataclass
    """The job is in its queue, or waits for its time (inline: it was performed). True as a condition.

    Attributes:
        job: its name on the wire.
        queue: where it is, or will be.
        payload: its bytes.
        at: when it goes into its queue, unix seconds by the broker's clock; None where it is there.
    """

    job: str
    queue: str
    payload: bytes
    at: float | None = None

    @property
    def id(self) -> str | None:
        """The job's own id; None where nobody asked for one."""
        if b'"taskq:id"' not in self.payload:
            return None
        found = json.loads(self.payload).get("taskq:id")
        return found if isinstance(found, str) else None

    def __repr__(self) -> str:
        """Without the payload: it has the arguments, secret ones too, and this ends up in logs."""
        at = "" if self.at is None else f", at={self.at!r}"
        return f"Accepted(job={self.job!r}, queue={self.queue!r}, payload=<{len(self.payload)} bytes>{at})"


@dataclass(frozen=True, slots=True)
class Vetoed:
    """A hook, or the job's own `before_enqueue`, said no. Nothing was enqueued. False as a condition.

    Attributes:
        job: its name on the wire.
        by: who said no.
        reason: why.
        instead: the job that stands for it, where there is one and who said no knows it.
    """

    job: str
    by: str
    reason: str
    instead: Accepted | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Deferred:
    """A hook took the job over and will enqueue it itself, for instance when a transaction commits."""

    job: str
    by: str
    reason: str


Enqueued: TypeAlias = Accepted | Vetoed | Deferred


@dataclass(frozen=True, slots=True)
class PerformContext:
    """A job about to be performed.

    Attributes:
        payload: what was enqueued.
        reservation: where it came from, and who holds it.
        options: what hooks declared and the job said, by option name.
        shown_args: the arguments as they may be shown: secret ones as `[secret]`.
    """

    payload: Payload
    reservation: Reservation
    options: Mapping[str, object]
    shown_args: tuple[object, ...]


class Settled(NamedTuple):  # made for every job, as `Accepted`
    """How a job ended, told after the broker was; or, to `settling`, how it is about to.

    Attributes:
        reservation: the job.
        outcome: "done", "failed", "retried", "discarded", "postponed" where it goes back and nothing failed, or
            "refused" where somebody else had settled it.
        cause: why, where it is not done.
        decision: what a failure handler decided, where one was asked; of a postponed one how it goes back, a `Retry`.
        seconds: how long `perform` took; None where nobody could measure it.
        context: the job, as those around it saw it; None where nobody here knows it, or it cannot be read.
        reason: of a postponed one, what whoever said `NotNow` gave as its reason.
    """

    reservation: Reservation
    outcome: Literal["done", "failed", "retried", "discarded", "postponed", "refused"]
    cause: ErrorRecord | Crash | None = None
    decision: Decision | None = None
    seconds: float | None = None
    context: PerformContext | None = None
    reason: str = ""


class Hook:
    """What a hook can do; a hook defines what it needs. This base is their documentation, and does nothing."""

    name: str = ""
    """The name of its entry point."""

    before: ClassVar[tuple[str, ...]] = ()
    """Names of hooks that must come after this one; checked against the configuration's order."""

    after: ClassVar[tuple[str, ...]] = ()
    """Names of hooks that must come before this one."""

    options: ClassVar[type | None] = None
    """A dataclass whose fields are the options that this hook adds to `@taskq.job(...)` and `options(...)`.

    A field with `metadata=OF_A_JOB` is none that a call can say.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset()
    """What the backend must have; checked when an application is loaded that enables this hook."""

    needs_handlers: ClassVar[tuple[str, ...]] = ()
    """Names of failure handlers without which its options mean nothing; checked when an application is loaded."""

    def bound(self, parts: Parts) -> Self:
        """The hook that is to work for an application: this one, or one made of it that knows those parts.

        Asked once an application, when its hooks are loaded. One hook may be given to several, so one that keeps the
        parts answers a copy (`copy.copy`).
        """
        return self

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        """Around each enqueue. Call `call_next` with the request or a changed one; or answer Vetoed or Deferred.

        For a job that is to wait for a time it is called when that is asked for, with `request.at`, and not again when
        the job is due: a scheduler moves what is due in one step of the broker's, in which no code can run.
        """
        return call_next(request)

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        """Around each `perform` of a plain job. An exception raised here fails the job; `NotNow` has it come later."""
        return call_next(context)

    async def awrap_perform(
        self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
    ) -> object:
        """Around each `perform` of an `async def` job, on its event loop. Without it `wrap_perform` wraps the loop."""
        return await call_next(context)

    def before_first_fork(self, worker: str) -> None:
        """Told once, in the worker, before it registers, with the id it will ask for. An exception ends the worker."""

    def before_fork(self, context: PerformContext) -> None:
        """Told in the parent, before it forks a child for this job. An exception fails the job.

        Where a child performs several (`--jobs-per-fork N`) nobody knows a job before the fork, and it is not told.
        """

    def after_fork(self, context: PerformContext) -> None:
        """Told in the child, before it performs the first of its jobs. An exception fails the job."""

    def before_pause(self, worker: str) -> None:
        """Told when a worker pauses."""

    def after_pause(self, worker: str) -> None:
        """Told when it goes on."""

    def queue_empty(self, worker: str) -> None:
        """Told when a reserve found nothing, after one that found something (or the first)."""

    def worker_exit(self, worker: str) -> None:
        """Told when the worker ends, after it unregistered."""

    def shutdown(self, worker: str) -> None:
        """Told when a worker was asked to stop, before the job in hand is waited for."""

    def progressed(self, context: PerformContext, done: float, total: float | None) -> None:
        """Told where a job says how far it has come (`taskq.progress`), in its own thread. It must not block for long.

        What it raises is logged.
        """

    def settling(self, settling: Settled) -> None:
        """Told before a job that did not end well goes back (outcome "retried" or "postponed"), by who will settle it.

        `settled` follows, and says what came of it; by then another worker may have performed the job again.
        """

    def settled(self, settled: Settled) -> None:
        """Told after each settling, in the process that settled."""

    def requeueing(self, queue: str, body: bytes) -> Callable[[], object] | None:
        """Told before a failed job is put into a queue again, by an operator or by `taskq.failures`.

        Returns:
            What takes back just what was done here, None where nothing was. It is called where the job is not put there
            after all: somebody else requeued it first, or removed it, or the broker refused. The other one's job may
            wait, run or have ended by then, and he may have been told this side by side: what is his is left alone.
            Where nobody knows what the broker did, for its answer was lost, it is not called.
        """

    def cancelled(self, queue: str, body: bytes) -> None:
        """Told after a job that waited, delayed or in its queue, was taken away: cancelled, dequeued, or removed."""

    def flush(self) -> None:
        """Told in a child before it exits, and in a worker at its end: send what is buffered."""
