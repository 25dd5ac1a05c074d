"""The time limit of a job: when its time is over, `JobTimeout` is raised in it, and again after each time of grace.

How it is raised depends on where the job is performed; to kill what does not end even then is the execution model's:

| performed                              | what raises the exception           | the kill                            |
|----------------------------------------|-------------------------------------|-------------------------------------|
| in a child's main thread               | `by_alarm`                          | by the parent                       |
| in the worker's own main thread        | `by_alarm`                          | cannot be: it would take the worker |
| in a thread beside others              | `ByThread`, in Python's code, or    | cannot be: it would take the others |
|                                        | where an `async def` job waits      |                                     |
| on an event loop beside others         | `on_loop`, where the job waits      | cannot be: it would take the others |

What does not come back from C hears no exception anywhere. This module knows neither jobs nor workers.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeAlias, TypeVar

from taskq.errors import JobTimeout
from taskq.loops import at_a_seam

if TYPE_CHECKING:
    import asyncio

__all__ = ["ByThread", "Limiter", "by_alarm", "driven", "on_loop"]

T = TypeVar("T")

Limiter: TypeAlias = Callable[[float], AbstractContextManager[object]]
"""What holds the code within its context to so many seconds, in the thread that enters it."""


# ---- in the main thread, by the system's interval timer


def by_alarm(again: float) -> Limiter | None:
    """What holds a job in the main thread to its time; None in another thread, or where there is no such timer.

    It takes SIGALRM while a job with a limit runs: one that sets an alarm of its own does without ours.

    Args:
        again: seconds after which the exception is raised once more in a job that goes on.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return None
    return partial(_Alarm, again=again)


_AT_ONCE: Final = 0.0001  # seconds; to a timer 0 means never


class _Alarm:
    """One job's time."""

    __slots__ = ("_again", "_began", "_former", "_former_timer", "_over", "_token", "driven", "seconds")

    def __init__(self, seconds: float, *, again: float) -> None:
        self.seconds = seconds
        self._again = again
        self._over = False
        self.driven: _Driven[Any] | None = None

    def __enter__(self) -> Self:
        self._token = _holder.set(self)
        self._began = time.monotonic()
        self._former_timer = signal.setitimer(signal.ITIMER_REAL, 0)
        self._former = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, self._again)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over = True  # before all else: from now on an alarm breaks into nothing
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if self._former is None else self._former)
        left, interval = self._former_timer
        if left:  # somebody else's, a test runner's say: it goes on as if nothing had been
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - self._began), _AT_ONCE), interval)
        _holder.reset(self._token)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        # Raised on the way in or out, it would leave the timer running, for whoever comes next.
        while frame is not None and frame.f_code is _Alarm._ring.__code__:
            frame = frame.f_back
        at = None if frame is None else frame.f_code
        if self._over or at is _Alarm.__exit__.__code__:
            return
        if at is _Alarm.__enter__.__code__ or at_a_seam(frame):
            signal.setitimer(signal.ITIMER_REAL, _AT_ONCE, self._again)
            return
        if self.driven is not None and self.driven.is_waiting():
            return  # it hears it where it waits
        raise JobTimeout(self.seconds)


_holder: Final[ContextVar[_Alarm | _InThread | None]] = ContextVar("taskq_held_to_its_time", default=None)


def driven(coroutine: Coroutine[Any, Any, T]) -> _Driven[T] | Coroutine[Any, Any, T]:
    """A job's coroutine, to be awaited on a loop of its own: so that what holds it to its time raises that in it.

    An exception that a signal raises in the loop itself would end the loop, and the job would hear of a cancellation.
    Where the loop waits in a thread, none would be raised there at all.
    """
    holder = _holder.get()
    if holder is None:
        return coroutine
    holder.driven = _Driven(coroutine, holder.seconds)
    return holder.driven


# ---- on an event loop


async def on_loop(coroutine: Coroutine[Any, Any, T], seconds: float, *, again: float) -> T:
    """What this coroutine returns or raises, held to its time on the loop that runs.

    Args:
        coroutine: what is to be awaited.
        seconds: its time.
        again: seconds after which the exception is raised once more in a job that goes on.
    """
    import asyncio

    job = _Driven(coroutine, seconds)
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def over() -> None:
        timers[:] = [loop.call_later(again, over)]
        job.expire()

    timers.append(loop.call_later(seconds, over))
    try:
        return await job
    finally:
        timers[0].cancel()


class _Driven(Generic[T]):
    """A coroutine that is driven by hand, so that `JobTimeout` can be raised in it at the place where it waits.

    What waits is woken by cancelling the task; the cancellation then becomes the exception.
    """

    __slots__ = ("_coroutine", "_due", "_loop", "_seconds", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> None:
        self._coroutine = coroutine
        self._seconds = seconds
        self._due = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        error: BaseException | None = None
        try:
            while True:
                try:
                    waits_for = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
                except StopIteration as ended:
                    return ended.value  # type: ignore[no-any-return]  # what the coroutine returned
                error = None
                try:
                    yield waits_for
                except BaseException as thrown:
                    error = thrown
                if self._due and not isinstance(error, GeneratorExit):
                    self._due = False
                    if self._task is not None:
                        self._task.uncancel()  # what was cancelled is not to know
                    error = JobTimeout(self._seconds)
        finally:
            self._task = None

    def expire(self) -> None:
        """Its time is over. On the loop's thread, while no code of this task runs."""
        if self._task is not None and not self._due:
            self._due = True
            self._task.cancel()

    def is_waiting(self) -> bool:
        """Asked in a signal handler, or another thread: whether it waits, and hears at once that its time is over.

        False while code of the job runs on the loop's thread: that must be broken into.
        """
        import asyncio

        task, loop = self._task, self._loop
        if task is None or loop is None or not loop.is_running():
            return False
        at_work = asyncio.current_task(loop)
        if at_work is not task:
            loop.call_soon_threadsafe(self.expire)  # it wakes the loop up too
        return at_work is None


# ---- in threads


class ByThread:
    """Holds jobs in several threads to their time, from one more that watches them.

    The exception comes between two steps of Python's own code: a thread that waits for a lock, a socket or a sleep
    hears it when that returns; an `async def` job that waits on its loop hears it there.
    `stop` is complete when it returns, and may come twice, or before anything was held.
    """

    def __init__(self, again: float) -> None:
        """Nothing to watch yet.

        Args:
            again: seconds after which the exception is raised once more in a job that goes on.
        """
        self._again = again
        # Plain locks: what Python code does around a finer one could itself be broken into.
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._held: set[_InThread] = set()
        self._watch: threading.Thread | None = None
        self._ended = False

    def __call__(self, seconds: float) -> AbstractContextManager[object]:
        """What holds the thread that enters it to so many seconds."""
        return _InThread(self, seconds)

    def stop(self) -> None:
        """Watch no more."""
        self._ended = True
        self._changed.set()
        if self._watch is not None:
            self._watch.join()

    def begin(self, job: _InThread) -> None:
        """Hold this one to its time from now on."""
        with self._lock:
            if self._watch is None:
                self._watch = threading.Thread(target=self._live, name="taskq time limits", daemon=True)
                self._watch.start()
            self._held.add(job)
        self._changed.set()

    def end(self, job: _InThread) -> None:
        """Hold it no more."""
        with self._lock:
            self._held.discard(job)

    def let_go(self) -> None:
        """Hold nothing more that this thread entered and could not leave: it was broken into at that very step.

        What it entered first would be raised in whatever it does next, once the grace is over. An exception that is on
        its way already still comes: `JobTimeout`, here or soon after.
        """
        me = threading.get_ident()
        with self._lock:
            self._held = {job for job in self._held if job.thread != me}

    def _live(self) -> None:
        import ctypes  # only where a job has a limit

        while not self._ended:
            self._changed.clear()
            now = time.monotonic()
            with self._lock:
                for job in self._held:
                    if job.ends <= now:
                        job.ends = now + self._again
                        if job.driven is not None and job.driven.is_waiting():
                            continue
                        # Where it waits for the interpreter's lock, it will raise just there.
                        if at_a_seam(sys._current_frames().get(job.thread)):  # noqa: SLF001  # there is no other way
                            job.ends = now + _AT_ONCE
                            continue
                        job.coming = True
                        kind = ctypes.py_object(job.kind)
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(job.thread), kind)
                nearest = min((job.ends for job in self._held), default=None)
            self._changed.wait(None if nearest is None else max(nearest - now, 0.0))


class _InThread:
    """One job's time in a thread. `coming` while the exception is on its way to that."""

    __slots__ = ("_by", "_token", "coming", "driven", "ends", "kind", "seconds", "thread")

    def __init__(self, by: ByThread, seconds: float) -> None:
        self._by = by
        self.seconds = seconds
        self.driven: _Driven[Any] | None = None
        self.coming = False
        self.kind = _kind(self, seconds)

    def __enter__(self) -> Self:
        self.thread = threading.get_ident()
        self.ends = time.monotonic() + self.seconds
        self._token = _holder.set(self)
        try:
            self._by.begin(self)
            return self
        except JobTimeout:  # on the way in already
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for _ in range(_LETS_IT_COME):
            try:
                self._by.end(self)
                if not self.coming:
                    break
            except JobTimeout:  # it ended in time, just so
                continue
        _holder.reset(self._token)


_LETS_IT_COME: Final = 100
"""Turns of a loop in which an exception that is on its way arrives: it takes one. Python 3.11 has no way to take it
back: to clear it leaves the interpreter looking for it for ever.
"""


def _kind(job: _InThread, seconds: float) -> type[JobTimeout]:
    """The exception as a class of its own, which is all that another thread can raise; its name stays."""

    class Told(JobTimeout):
        def __init__(self) -> None:
            job.coming = False
            super().__init__(seconds)

    for name in ("__module__", "__qualname__", "__name__"):
        setattr(Told, name, getattr(JobTimeout, name))
    return Told
