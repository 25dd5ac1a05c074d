"""A job's handle: asks how it stands, waits for what it returned, cancels it. From any process with the same broker."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

from taskq.errors import InvalidPayload, TaskqError
from taskq.hook import Accepted, Deferred, Enqueued, Vetoed
from taskq.in_force import applications
from taskq.parts import Parts
from taskq.records import Cancelled
from taskq_results.record import Record, State, decoded, key_of

__all__ = ["Handle", "JobFailed", "Kept", "Progress", "ResultTimeout", "ResultUnavailable", "handle"]

_LOOK: Final = 5.0  # seconds of one wait at the broker: then it is asked whether whoever performs the job lives
_MOMENT: Final = 1.0  # seconds in which whoever settles a job has noted that too
_UNNOTED: Final = (
    "its worker has it no more, and nobody noted what became of it: who settled it has not the hook results. "
    "Look for it among the failed jobs"
)


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
    _parts: Parts | None = None

    @property
    def state(self) -> State | Literal["gone"]:
        """How the job stands.

        `gone` where nothing is known of it: it ended too long ago, or asked for no result; or its worker died, and who
        found that has not the hook `results`.
        """
        broker, key = self._of.broker, key_of(self.id)
        kept = broker.get_key(key)
        record = Record.load(kept)
        if record is not None and self._is_let_go(record):
            if (seen := broker.await_key(key, kept, _MOMENT)) == kept:
                return "gone"
            record = Record.load(seen)
        return "gone" if record is None else record.state

    @property
    def progress(self) -> Progress | None:
        """How far it has come while it runs; None where it did not say."""
        record = Record.load(self._of.broker.get_key(key_of(self.id)))
        return None if record is None or record.progress is None else Progress(*record.progress)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job's end. What it returned.

        Args:
            timeout: the seconds to wait at most; None for as long as it takes.

        Raises:
            ValueError: that is no number.
            JobFailed: it failed, and is not tried again.
            ResultTimeout: it has not ended in that time.
            ResultUnavailable: nothing is known of it, or what it returned was not kept.
        """
        return self._wait(timeout, None)

    def _wait(self, timeout: float | None, given_up: threading.Event | None) -> Any:
        if timeout is not None and math.isnan(timeout):
            raise ValueError("result(timeout=...) takes seconds, or None, not nan.")
        timeout = None if timeout is None else max(timeout, 0.0)
        ends = None if timeout is None else time.monotonic() + timeout
        broker, key = self._of.broker, key_of(self.id)
        kept = broker.get_key(key)
        while True:
            record = Record.load(kept)
            if record is None:
                raise ResultUnavailable(
                    self.id, "nothing is known of it: it ended too long ago, or asked for no result"
                )
            if record.state in {"done", "failed"}:
                return self._outcome(record)
            left = _LOOK if ends is None else ends - time.monotonic()
            if left <= 0 or (given_up is not None and given_up.is_set()):
                raise ResultTimeout(self.id, record.state, timeout or 0.0)
            seen = broker.await_key(key, kept, min(left, _LOOK))
            if seen == kept and self._is_let_go(record):
                seen = broker.await_key(key, kept, _MOMENT)
                if seen == kept:
                    raise ResultUnavailable(self.id, _UNNOTED)
            kept = seen

    async def aresult(self, timeout: float | None = None) -> Any:
        """As `result`, from a coroutine: it waits in a thread of its own, which holds up nobody if it is given up."""
        import asyncio

        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        given_up = threading.Event()

        def tell(value: object, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)

        def wait() -> None:
            value, raised = None, None
            try:
                value = self._wait(timeout, given_up)
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(tell, value, raised)

        threading.Thread(target=wait, name="taskq result", daemon=True).start()
        try:
            return await answer
        finally:
            given_up.set()

    def cancel(self, *, by: str = "") -> Cancelled:
        """Cancel it: where it waits it is taken away, where it runs it is ended; see `taskq.cancel`.

        Args:
            by: who asks, for its failure; empty for this process.
        """
        return self._of.cancel(self.id, by=by)

    def _outcome(self, record: Record) -> Any:
        if record.state == "failed":
            raise JobFailed(self.id, *(record.error or ("", "")))
        if record.result is None:
            raise ResultUnavailable(self.id, record.problem or "it was not kept")
        try:
            return decoded(record.result, self._of.serializers)
        except InvalidPayload as error:
            raise ResultUnavailable(self.id, str(error).rstrip(".")) from error

    def _is_let_go(self, record: Record) -> bool:
        """Whether it should be running, and its worker has it no more: it was settled, and that is not noted (yet)."""
        if record.state != "running" or not record.run:
            return False
        worker = self._of.broker.worker(record.worker)
        held = () if worker is None else (worker.job, *worker.ahead)
        return not any(job is not None and job.fence == record.run for job in held)

    @property
    def _of(self) -> Parts:
        """The application; the one in force, for what came out of a pickle."""
        return applications.current() if self._parts is None else self._parts


class Handle(_Asks):
    """A job, by its id. Made by `handle(...)`.

    Attributes:
        id: the job's own id.
    """

    def __init__(self, id: str, parts: Parts | None = None) -> None:  # noqa: A002
        """Knows the job by its id, and the broker by the application's parts; None is the application in force."""
        self.id = id
        self._parts = parts

    def __repr__(self) -> str:
        return f"<handle of job {self.id}>"

    def __reduce__(self) -> tuple[object, ...]:
        return Handle, (self.id,)


class Kept(Accepted, _Asks):
    """What `enqueue` gives for a job whose result is kept: `Accepted`, and a handle as well."""

    @classmethod
    def of(cls, accepted: Accepted, parts: Parts) -> Kept:
        """A job that was enqueued, with what its handle needs."""
        kept = cls(*accepted)
        kept._parts = parts
        return kept

    def __reduce__(self) -> tuple[object, ...]:
        return Kept, tuple(self)

    def _replace(self, **fields: Any) -> Kept:
        kept = Kept(*super()._replace(**fields))
        kept._parts = self._parts
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
    return Handle(found, of._of if isinstance(of, Kept) else applications.current())  # noqa: SLF001
