"""The execution model of a worker in a thread of its own: it performs there, and another thread may break into it.

A job can be asked to end (an exception is raised in it) but not be killed. One that does not end is taken from
it: then somebody else settles it, and the thread is never heard of again.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from taskq import crashes, performing
from taskq.errors import JobTimeout
from taskq.limits import ByThread
from taskq.outcome import NotBegun, Outcome
from taskq.performing import Task, Tools
from taskq.records import Reservation
from taskq.worker.heartbeat import Heart
from taskq.worker.interrupt import raise_in
from taskq.worker.seat import Seat

if TYPE_CHECKING:  # asyncio takes 40 ms to import, and only one model needs it
    from taskq.worker.event_loop import EventLoop, OnLoop

__all__ = ["InThread", "Taken"]


class Taken(BaseException):
    """The job was taken from its thread, and settled: nothing that this thread still does counts."""


class InThread:
    """One thread's execution model.

    Attributes:
        started: whether its worker is registered, and performs.
        interrupted: whether the job in hand was broken into.
    """

    def __init__(
        self,
        tools: Tools,
        seat: Seat,
        heart: Heart,
        limiter: ByThread | None = None,
        *,
        loop: EventLoop | None = None,
        started: Callable[[], None] = lambda: None,
        suspects: threading.Lock | None = None,
    ) -> None:
        """Not started yet.

        Args:
            tools: what performing needs.
            seat: whose jobs they are.
            heart: what beats for the seats of this process.
            limiter: what holds a job in this thread to its time limit.
            loop: where `async def` jobs are performed; None is a loop of its own for each.
            started: called when it starts.
            suspects: held where a job runs that was in hand when its process died; one for all of a process.
        """
        self._tools = tools if loop is None else tools.running(self._run_on_loop)
        self._loop = loop
        self._on_loop: OnLoop | None = None
        self._seat = seat
        self._heart = heart
        self._limiter = limiter
        self._tell_started = started
        self._suspects = threading.Lock() if suspects is None else suspects
        self._is_suspect = False
        self._lock = threading.Lock()
        self._task: Task | None = None
        self._thread = 0
        self._began = 0.0
        self._taken = False
        self._pid = os.getpid()
        self.started = False
        self.interrupted = False

    def start(self) -> None:
        """Have its heart beat."""
        self._heart.take_in(self._seat)
        self.started = True
        self._tell_started()

    def perform(self, task: Task) -> Outcome:
        """Perform it in this thread, in a context of its own.

        A job that was in hand when its process died runs beside no other such job: one of them may have killed it, and
        if it does so again nobody else is to be suspected twice.

        Raises:
            Taken: somebody else settled it meanwhile.
        """
        if task.payload is not None and task.payload.extra and crashes.count(task.payload):
            if not self._suspects.acquire(blocking=False):
                return NotBegun("another job runs here that was in hand when its process died too", waits=True)
            self._is_suspect = True
        try:
            self._seat.begins(task)
            return self._perform(task)
        finally:
            with self._lock:
                self._clear()

    def _perform(self, task: Task) -> Outcome:
        outcome: Outcome | None = None
        on_loop = self._loop is not None and task.definition is not None and task.definition.is_async
        limiter = _by_the_loop if on_loop else self._limiter
        limited = self._limiter if task.definition is not None and task.definition.timeout is not None else None
        self._begin(task)
        while True:
            try:
                if outcome is None:
                    outcome = contextvars.copy_context().run(performing.perform, task, self._tools, limiter)
                if limited is not None:
                    limited.let_go()
                self._end()
                _breathe()
                break
            except BaseException as late:
                # Broken into after the job had ended: while its failure was looked at, or on the way out of it.
                if isinstance(late, Taken) or not (self.interrupted or isinstance(late, JobTimeout)):
                    raise
                if outcome is None:
                    outcome = performing.failed(task, late, self._tools, time.monotonic() - self._began)
        if os.getpid() != self._pid:
            os._exit(1)  # the job forked, and its copy came back too: there must not be two of this worker
        return outcome

    def between(self) -> float | None:
        """The heart beats by itself."""
        return None

    def stop(self) -> None:
        """Have it beat no more."""
        self._heart.let_go(self._seat)

    # ---- for another thread

    @property
    def busy(self) -> bool:
        """Whether a job is in hand."""
        return self._task is not None

    @property
    def in_hand(self) -> tuple[Reservation, float] | None:
        """The job in hand, and since when, by the monotonic clock; None where there is none."""
        with self._lock:
            return None if self._task is None else (self._task.reservation, self._began)

    def interrupt(self, kind: type[BaseException], *, fence: str = "") -> bool:
        """Raise this in the job in hand, once it runs Python; False where that cannot be this very moment.

        Once a job: what cleans up should have its way, and what has caught it here must not be hit by another.

        An `async def` job on the event loop of the process is cancelled there instead. With `fence` only this job.
        """
        with self._lock:
            if self._task is None or self.interrupted:
                return True
            if fence and self._task.reservation.fence != fence:
                return True
            self.interrupted = True  # first, for what is raised may be there at once
            if self._on_loop is not None:
                self._on_loop.cancel(kind)
                return True
            self.interrupted = raise_in(self._thread, kind, around=InThread.perform.__code__)
            return self.interrupted

    def take(self) -> tuple[Task, float] | None:
        """Take the job from this thread, with the seconds that it took; None where it has just ended by itself.

        Whoever has it settles it: its thread will not come back from it but by `Taken`.
        """
        with self._lock:
            if self._task is None:
                return None
            self._taken = True
            self._clear()  # its thread may never come back
            return self._task, time.monotonic() - self._began

    def _clear(self) -> None:
        """No suspect runs here any more. Called with the lock held."""
        if self._is_suspect:
            self._is_suspect = False
            self._suspects.release()

    # ---- in its own thread

    def _run_on_loop(self, awaitable: Awaitable[object]) -> object:
        assert self._loop is not None
        assert self._task is not None
        with self._lock:
            self._on_loop = self._loop.begin(awaitable, self._task)
        try:
            return self._on_loop.result()
        finally:
            with self._lock:
                self._on_loop = None

    def _begin(self, task: Task) -> None:
        with self._lock:
            self.interrupted = False
            self._thread = threading.get_ident()
            self._began = time.monotonic()
            self._task = task

    def _end(self) -> None:
        """From here on nobody breaks into this thread."""
        with self._lock:
            if not self._taken:
                self._task = None
                return
        raise Taken


def _by_the_loop(seconds: float) -> contextlib.AbstractContextManager[object]:
    """No limit in this thread, which only waits: the loop holds the job to its time."""
    return contextlib.nullcontext()


def _breathe() -> None:
    """Have raised here, and in nothing that follows, what was to be raised and was not yet: a call is where that is.

    Not by taking it back: on Python 3.11 that leaves the whole interpreter looking for it, for ever.
    """
