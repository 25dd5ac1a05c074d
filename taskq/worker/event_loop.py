"""One event loop for the `async def` jobs of a process, in a thread of its own, and the watch over whether it turns.

Each job is waited for by its worker's thread, which reserves and settles: so the broker is never asked from the loop,
and the loop of the worker is the same as everywhere. What that costs is a thread for each job at once, asleep.
"""

from __future__ import annotations

import asyncio
import contextvars
import linecache
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final

from taskq import events, limits
from taskq.performing import Task, sheltered

__all__ = ["EventLoop", "OnLoop"]

_STILL: Final = 0.5  # seconds without a turn after which somebody blocks the loop; a busy machine may take less
_LOOK: Final = 0.25  # seconds between two looks, while there are jobs on it
_TO_THREAD: Final = "taskq to_thread"
_FRAMES_MOST: Final = 12

_job: Final[ContextVar[Task | None]] = ContextVar("taskq_job_on_loop", default=None)


class OnLoop:
    """A job on the loop, for the thread that waits for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, awaitable: Awaitable[object], job: Task, over: Callable[[OnLoop], None]
    ) -> None:
        """Begins it there, in a copy of this thread's context."""
        self._loop = loop
        self._awaitable = awaitable
        self._over = over
        self._task: asyncio.Task[tuple[object, BaseException | None]] | None = None
        self._cancelled_for: type[BaseException] | None = None
        self._ended = threading.Event()
        self._result: object = None
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        context.run(_job.set, job)
        loop.call_soon_threadsafe(self._begin, context=context)

    def result(self) -> object:
        """Wait for its end. What it returned or raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self, kind: type[BaseException]) -> None:
        """Cancel it, if it has not ended; where it lets itself be cancelled, this is what it raised."""
        self._cancelled_for = kind
        self._loop.call_soon_threadsafe(self._cancel)

    # ---- on the loop

    def _begin(self) -> None:
        self._task = self._loop.create_task(sheltered(self._awaitable))
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[tuple[object, BaseException | None]]) -> None:
        try:
            self._result, self._error = task.result()
        except asyncio.CancelledError as cancelled:
            self._error = cancelled
            if self._cancelled_for is not None:
                self._error = self._cancelled_for()
                self._error.__cause__ = cancelled
        except BaseException as error:
            self._error = error
        if isinstance(self._awaitable, Coroutine):
            self._awaitable.close()  # cancelled before its first step it was never awaited, which Python warns of
        self._over(self)
        self._ended.set()


class EventLoop:
    """The loop. `stop` may come twice, or before `start`."""

    def __init__(self, tell: events.Tell, *, again: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """It does not turn yet.

        Args:
            tell: who is told when it stands still.
            again: seconds after which a job over its time limit is told once more.
            clock: monotonic seconds.
        """
        self._tell = tell
        self._again = again
        self._clock = clock
        self._wake: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._jobs: set[OnLoop] = set()
        self._whose: weakref.WeakKeyDictionary[asyncio.Future[Any], Task | None] = weakref.WeakKeyDictionary()
        self._watched = False
        self._asked = self._answered = self._looked = 0.0
        self._told = False
        self._left = False
        self._ends = False

    def start(self, wake: Callable[[], None] = lambda: None) -> None:
        """Turn from now on. `wake` is called when `look` is to be called again, after it answered infinity."""
        if self._thread is not None:
            return
        self._wake = wake
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(self._make_task)
        # One of our own, so that what still runs there at the end can be told.
        self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=_TO_THREAD))
        self._thread = threading.Thread(target=self._live, args=(self._loop,), name="taskq event loop", daemon=True)
        self._thread.start()

    def begin(self, awaitable: Awaitable[object], job: Task) -> OnLoop:
        """Begin a job on it, and hold it to its time limit. From any thread but its own."""
        assert self._loop is not None
        seconds = None if job.definition is None else job.definition.timeout
        if seconds is not None:
            awaitable = limits.on_loop(_coroutine(awaitable), seconds, again=self._again)
        on_loop = OnLoop(self._loop, awaitable, job, self._over)
        self._jobs.add(on_loop)
        if not self._watched:
            self._watched = True
            self._wake()
        return on_loop

    def look(self) -> float:
        """Look whether it turns, and tell where it does not. From one thread; when to look again, by the clock."""
        if not self._watched or self._loop is None:
            return float("inf")
        now = self._clock()
        late = now - self._looked > 2 * _LOOK
        self._looked = now
        if self._answered >= self._asked:
            if self._told:
                self._told = False
                self._tell(events.LoopTurns(self._answered - self._asked))
            if not self._jobs:
                self._watched = False
                if not self._jobs:  # else `begin` may not have seen that nobody watches any more
                    return float("inf")
                self._watched = True
            self._asked = now
            self._loop.call_soon_threadsafe(self._answer)
        elif late and not self._told:
            self._asked = now  # this thread stood still too: the machine sleeps, or somebody holds the interpreter
        elif now - self._asked >= _STILL and not self._told:
            self._told = True
            self._tell(self._standing(now - self._asked))
        return now + _LOOK

    def leave(self) -> None:
        """Nobody waits for what is on it any more: it turns on until that has ended, or the process has."""
        self._left = True

    def stop(self, seconds: float) -> bool:
        """End what is left on it, and turn no more.

        Returns:
            Whether all has ended within so many seconds, what jobs sent to threads (`asyncio.to_thread`) too.
        """
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return True
        self._loop = None
        ends = self._clock() + seconds
        self._ends = True
        loop.call_soon_threadsafe(loop.stop)
        others = [other for other in threading.enumerate() if other.name.startswith(_TO_THREAD)]
        for one in (thread, *others):
            one.join(max(ends - self._clock(), 0.0))
        return not any(one.is_alive() for one in (thread, *others))

    # ---- in its thread

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._ends:
            what = "A job stopped the event loop of its worker, which turns on for the others."
            try:
                loop.run_forever()
            except BaseException as error:
                # A task that a job started has exited: the loop has let that out, and turns on for the others.
                what = f"A task that a job left on the event loop raised {type(error).__name__}; it ends nothing else."
            if not self._ends:
                self._tell(events.Warned(what))
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        while left:
            try:
                loop.run_until_complete(asyncio.wait(left))
            except BaseException:  # one of them has exited, and the others have their way all the same
                left = {task for task in left if not task.done()}
            else:
                break
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()  # with it the threads of `to_thread`, as soon as each has nothing in hand

    def _make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **more: Any,
    ) -> asyncio.Future[Any]:
        """As the loop would; noting whose it is, which cannot be read off a task from outside."""
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **more)
        self._whose[task] = _job.get()
        return task

    def _over(self, on_loop: OnLoop) -> None:
        self._jobs.discard(on_loop)
        if self._left and not self._jobs and self._loop is not None:
            self._ends = True
            self._loop.stop()

    def _answer(self) -> None:
        self._answered = self._clock()

    # ---- standing still

    def _standing(self, seconds: float) -> events.LoopStands:
        assert self._loop is not None
        assert self._thread is not None
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001  # there is no other way to look
        return events.LoopStands(None if task is None else self._whose.get(task), seconds, _stack(frame))


async def _coroutine(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    """Where a task is, without what the loop and taskq do to come there."""
    lines: list[str] = []
    while frame is not None:
        path, line = frame.f_code.co_filename, frame.f_lineno
        if path in _OURS or "/asyncio/" in path:
            if lines:
                break
        else:
            source = linecache.getline(path, line).strip()
            lines.append(f"{path}:{line} in {frame.f_code.co_name}{f': {source}' if source else ''}")
        frame = frame.f_back
    return tuple(reversed(lines[:_FRAMES_MOST]))


_OURS: Final = frozenset({OnLoop.result.__code__.co_filename, sheltered.__code__.co_filename})
