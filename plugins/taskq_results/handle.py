"""A job's handle: asks how it stands, waits for what it returned, cancels it. From any process with the same broker."""

from __future__ import annotations

import time
from typing import Any, Final, Literal, NamedTuple

from taskq.errors import InvalidPayload, TaskqError
from taskq.hook import Accepted, Deferred, Enqueued, Vetoed
from taskq.in_force import applications
from taskq.parts import Parts
from taskq.records import Cancelled
from taskq_results.record import Record, State, decoded, key_of

__all__ = ["Handle", "JobFailed", "Kept", "Progress", "ResultTimeout", "ResultUnavailable", "handle"]

_LONGEST: Final = 60.0  # seconds of one wait at the broker


class JobFailed(TaskqError):
    """The job failed whose result was asked for.

    Attributes:
        id: the job's own id.
        type: the class of what it failed with, as the failed list has it.
        message: what that said.
    """

    def __init__(self, id: str, type: str, message: str) -> None:  # noqa: A002 - they are named so everywhere
        self.id = id
        self.type = type
        self.message = message
        super().__init__(f"Job {id} failed: {type}: {message}")


class ResultTimeout(TaskqError, TimeoutError):
    """The job had not ended when the time to wait was over. It goes on."""

    def __init__(self, id: str, state: str, seconds: float) -> None:  # noqa: A002
        self.id = id
        self.state = state
        super().__init__(f"Job {id} has not ended within {seconds:g} s; it is {state}.")


class ResultUnavailable(TaskqError):
    """What the job returned cannot be had: nothing is known of it (any more), or it was not kept."""

    def __init__(self, id: str, reason: str) -> None:  # noqa: A002
        self.id = id
        self.reason = reason
        super().__init__(f"The result of job {id} cannot be had: {reason}.")


class Progress(NamedTuple):
    """How far a job has come, as it said last: `done` out of `total`; None where it did not say out of what."""

    done: float
    total: float | None


class _Asks:
    """What a handle can do."""

    id: Any
    _parts: Parts

    @property
    def state(self) -> State | Literal["gone"]:
        """How the job stands. `gone` where nothing is known of it: it ended too long ago, or asked for no result."""
        record = self._record()
        return "gone" if record is None else record.state

    @property
    def progress(self) -> Progress | None:
        """How far it has come while it runs; None where it did not say."""
        record = self._record()
        return None if record is None or record.progress is None else Progress(*record.progress)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job's end. What it returned.

        Args:
            timeout: the seconds to wait at most; None for as long as it takes.

        Raises:
            JobFailed: it failed, and is not tried again.
            ResultTimeout: it has not ended in that time.
            ResultUnavailable: nothing is known of it, or what it returned was not kept.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        broker, key = self._parts.broker, key_of(self.id)
        kept = broker.get_key(key)
        while True:
            record = Record.load(kept)
            if record is None:
                raise ResultUnavailable(
                    self.id, "nothing is known of it: it ended too long ago, or asked for no result"
                )
            if record.state in {"done", "failed"}:
                return self._outcome(record)
            left = _LONGEST if ends is None else ends - time.monotonic()
            if left <= 0:
                raise ResultTimeout(self.id, record.state, timeout or 0.0)
            kept = broker.await_key(key, kept, min(left, _LONGEST))

    async def aresult(self, timeout: float | None = None) -> Any:
        """As `result`, from a coroutine: it waits in a thread of its own."""
        import asyncio

        return await asyncio.to_thread(self.result, timeout)

    def cancel(self, *, by: str = "") -> Cancelled:
        """Cancel it: where it waits it is taken away, where it runs it is ended; see `taskq.cancel`.

        Args:
            by: who asks, for its failure; empty for this process.
        """
        return self._parts.cancel(self.id, by=by)

    def _outcome(self, record: Record) -> Any:
        if record.state == "failed":
            raise JobFailed(self.id, *(record.error or ("", "")))
        if record.result is None:
            raise ResultUnavailable(self.id, record.problem or "it was not kept")
        try:
            return decoded(record.result, self._parts.serializers)
        except InvalidPayload as error:
            raise ResultUnavailable(self.id, str(error).rstrip(".")) from error

    def _record(self) -> Record | None:
        return Record.load(self._parts.broker.get_key(key_of(self.id)))


class Handle(_Asks):
    """A job, by its id. Made by `handle(...)`.

    Attributes:
        id: the job's own id.
    """

    def __init__(self, id: str, parts: Parts) -> None:  # noqa: A002
        """Knows the job by its id, and the broker by the application's parts."""
        self.id = id
        self._parts = parts

    def __repr__(self) -> str:
        return f"<handle of job {self.id}>"


class Kept(Accepted, _Asks):
    """What `enqueue` gives for a job whose result is kept: `Accepted`, and a handle as well."""

    @classmethod
    def of(cls, accepted: Accepted, parts: Parts) -> Kept:
        """A job that was enqueued, with what its handle needs."""
        kept = cls(*accepted)
        kept._parts = parts
        return kept


def handle(of: Enqueued | str, app: Parts | None = None) -> Handle:
    """The handle of a job.

    Args:
        of: what `enqueue` gave; or the job's id, from wherever that came.
        app: the application whose broker the job is at; None for the one in force.

    Raises:
        ValueError: the job has no id: it asked for no result. Or it was not enqueued, and none stands for it.
    """
    if isinstance(of, Vetoed):
        if of.instead is None:
            raise ValueError(f"{of.job} was not enqueued: {of.by} said no ({of.reason}).")
        of = of.instead
    if isinstance(of, Deferred):
        raise ValueError(f"{of.job} is not enqueued yet: {of.by} will do that ({of.reason}).")
    found = of if isinstance(of, str) else of.id
    if not found:
        raise ValueError(f"This job has no id: say @taskq.job(results=Results()) of {getattr(of, 'job', 'it')}.")
    if app is not None:
        return Handle(found, app)
    return Handle(found, of._parts if isinstance(of, Kept) else applications.current())  # noqa: SLF001
