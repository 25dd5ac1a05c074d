"""A child for each job, Resque's own way: the parent reserves, a fresh child performs, the parent watches and settles.

Whatever the child does, its job ends with an outcome: the one it wrote, or how it died. The parent has no thread; it
beats, listens and waits for the child in one place. Death is told by the process's own descriptor and `waitpid`, never
by the pipe's end, for a grandchild may hold the pipe.

A child that has said its outcome has still to flush and to die, which takes the system longer than settling the job and
reserving the next one; so these go on meanwhile. The next child is forked only when it is dead: one performs at a time.

While the worker is idle a child stands by, forked before its job is there: it starts one in 1.5 ms, not in 6. With jobs
waiting there is none: its fork would only take the processor from the broker's answer. Nor is there one where a hook
listens to `before_fork`, which comes before the fork and knows the job.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from taskq import events, performing
from taskq import outcome as outcomes
from taskq.errors import TaskqError
from taskq.outcome import Outcome
from taskq.performing import Task, Tools
from taskq.records import Crash
from taskq.worker import child, orphans
from taskq.worker.control import Control
from taskq.worker.seat import Seat
from taskq.worker.waiting import readable

__all__ = ["Fork"]

_HANDED: Final = (
    32768  # bytes of a job that a child standing by is handed: a pipe takes them at once, or somebody waits
)
_LOOK: Final = 0.02  # seconds between looks for a child's death, where nobody waits for its descriptor


@dataclass(slots=True)
class _Child:
    """A child at work, or standing by while there are `orders` to come.

    `reason` is why we ended it, if we did; `warned` and `termed`, what was said and done before.
    """

    pid: int
    pipe: int | None
    death: int | None
    orders: int | None = None
    said: bytearray = field(default_factory=bytearray)
    reason: str = ""
    warned: bool = False
    termed: bool = False


class Fork:
    """The execution model `fork`."""

    def __init__(
        self,
        tools: Tools,
        seat: Seat,
        control: Control,
        tell: events.Tell,
        *,
        beside: Callable[[], None] = lambda: None,
        entitle: Callable[[Task | None], None] = lambda _: None,
        term_child: bool = False,
        run_at_exit: bool = False,
    ) -> None:
        """Not started yet.

        Args:
            tools: what performing needs.
            seat: whose heart is to be kept beating.
            control: what the worker has been told.
            tell: who is told.
            beside: called at each heartbeat: something else to look after while a job is long.
            entitle: called in a child that stands by, and again once it has its task: sets the title of its process.
            term_child: Resque's TERM_CHILD.
            run_at_exit: Resque's RUN_AT_EXIT_HOOKS.
        """
        self._tools = tools
        self._seat = seat
        self._control = control
        self._tell = tell
        self._beside = beside
        self._entitle = entitle
        self._term_child = term_child
        self._run_at_exit = run_at_exit
        self._leash: tuple[int, ...]
        self._tie, self._leash = child.prepare_tie()
        self._warned = False
        self._living: _Child | None = None  # the child that performs, or did last, until it is dead
        self._standby: _Child | None = None

    def start(self) -> None:
        """Nothing to make ready: the parent beats whenever it waits."""

    def perform(self, task: Task) -> Outcome:
        """Perform it in a child, and watch."""
        if task.problem is not None:  # nothing of it will run, so nothing needs a process of its own
            return performing.perform(task, self._tools)
        self._see_out()
        try:
            if self._tools.hooks.listens("before_fork"):
                self._tools.hooks.tell("before_fork", task.context())
        except (Exception, SystemExit) as error:  # a hook's `sys.exit()` ends the job, not the worker
            return performing.failed(task, error, self._tools, 0.0)
        began = time.monotonic()
        try:
            at_work = self._living = self._hand_over(task) or self._fork(task)
        except OSError as error:
            failure = TaskqError(f"No child could be forked for the job: {error.strerror}.")
            return performing.failed(task, failure, self._tools, 0.0)
        self._tell(events.Forked(at_work.pid))
        ended = self._watch(at_work)
        if not isinstance(ended, int):
            return ended
        with contextlib.suppress(OSError):
            os.killpg(at_work.pid, signal.SIGKILL)  # what a dead child left running
        return performing.crashed(task, _crash(at_work, ended), self._tools, time.monotonic() - began)

    def between(self) -> float | None:
        """Beat, and have a child stand by."""
        for one in self._children():
            self._bury(one)
        self._stand_by()
        orphans.reap(frozenset(one.pid for one in self._children()))
        self._seat.beat_if_due()
        beat_in = self._seat.next_beat - time.monotonic()
        return beat_in if self._living is None else min(beat_in, _LOOK)  # it dies soon, and must not stay a zombie

    def stop(self) -> None:
        """See every child out, and let go of the leash."""
        self._see_out()
        self._living, self._standby = self._standby, None
        if self._living is not None:
            _dismiss(self._living)
            self._see_out()
        for fd in self._leash:
            os.close(fd)
        self._leash = ()

    def _children(self) -> list[_Child]:
        return [one for one in (self._living, self._standby) if one is not None]

    def _stand_by(self) -> None:
        """Fork the child that performs the next job, where there may be one, and nobody wants to know it before."""
        if self._standby is None and not self._control.stopping and not self._tools.hooks.listens("before_fork"):
            with contextlib.suppress(OSError):  # whoever needs it forks it then, and says why it cannot
                self._standby = self._fork(None)

    def _hand_over(self, task: Task) -> _Child | None:
        """Give the task to the child that stands by; None where there is none who could take it."""
        standby = self._standby
        order = child.order(task.reservation)
        if standby is None or standby.orders is None or len(order) > _HANDED or self._bury(standby) is not None:
            return None
        try:
            os.write(standby.orders, order)
        except BrokenPipeError:
            return None  # it died this very moment
        _dismiss(standby)
        self._standby = None
        return standby

    def _fork(self, task: Task | None) -> _Child:
        """Fork a child for the task, or one that stands by."""
        self._warn_of_threads()
        reader, writer = os.pipe()
        orders: tuple[int, int] | tuple[None, None] = (None, None)
        try:
            if task is None:
                orders = os.pipe()
            pid = os.fork()
        except OSError:
            for fd in (reader, writer, *orders):
                if fd is not None:
                    os.close(fd)
            raise
        if pid == 0:
            os.close(reader)
            if orders[1] is not None:
                os.close(orders[1])
            child.run(
                task if orders[0] is None else orders[0],
                self._tools,
                writer,
                tie=self._tie,
                entitle=self._entitle,
                term_child=self._term_child,
                run_at_exit=self._run_at_exit,
            )
        os.close(writer)
        if orders[0] is not None:
            os.close(orders[0])
        os.set_blocking(reader, False)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # whoever comes first, it or its parent: before anyone signals the group
        death = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                death = os.pidfd_open(pid)
        return _Child(pid, reader, death, orders[1])

    def _see_out(self) -> None:
        """Return when no child lives."""
        if self._living is not None:
            self._watch(self._living)

    def _watch(self, at_work: _Child) -> Outcome | int:
        """Beat, listen and read until the child says its outcome or, where it did before or never will, is dead.

        Returns:
            The outcome, or its wait status.
        """
        control = self._control
        while True:
            now = time.monotonic()
            pause = max(self._end_if_told(at_work, now) - now, 0.0)
            fds = list(control.fds)
            if at_work.pipe is not None:
                fds.append(at_work.pipe)
            if at_work.death is None:
                pause = min(pause, _LOOK)
            else:
                fds.append(at_work.death)
            ready = readable(fds, pause)
            if at_work.pipe in ready and (said := _read(at_work)) is not None:
                return said
            if at_work.death is None or at_work.death in ready:
                ended = self._bury(at_work)
                if ended is not None:
                    return ended
            if not ready.isdisjoint(control.fds):
                control.listen()
            if time.monotonic() >= self._seat.next_beat:
                self._seat.beat()
                self._beside()
                orphans.reap(frozenset({at_work.pid}))

    def _bury(self, at_work: _Child) -> Outcome | int | None:
        """What a dead child said last, else its wait status; None where it lives."""
        pid, status = os.waitpid(at_work.pid, os.WNOHANG)
        if not pid:
            return None
        if at_work is self._living:
            self._living = None
        else:
            self._standby = None
        said = _read(at_work)
        _hang_up(at_work)
        _dismiss(at_work)
        if at_work.death is not None:
            os.close(at_work.death)
        return status if said is None else said

    def _end_if_told(self, at_work: _Child, now: float) -> float:
        """Signal the child where its time has come. When to look again, at the latest."""
        control = self._control
        if control.takes_kill():
            self._kill(at_work, "USR1 asked for it")
        deadline = control.deadline
        if deadline is None:
            return self._seat.next_beat
        term_at = control.term_at
        if now >= deadline:
            self._kill(at_work, "the worker was told to stop, and its time was over")
            return self._seat.next_beat
        if term_at is None:
            return min(deadline, self._seat.next_beat)
        if now >= term_at and not at_work.termed:
            at_work.termed = True
            self._tell(events.ChildEnding(at_work.pid, signal.SIGTERM))
            with contextlib.suppress(ProcessLookupError):
                os.kill(at_work.pid, signal.SIGTERM)
        elif now < term_at and not at_work.warned:
            at_work.warned = True
            self._tell(events.ChildEnding(at_work.pid, seconds=control.before_term))
        return min(deadline if at_work.termed else term_at, self._seat.next_beat)

    def _kill(self, at_work: _Child, reason: str) -> None:
        if at_work.reason:
            return
        at_work.reason = reason
        self._tell(events.ChildEnding(at_work.pid, signal.SIGKILL, after_term=at_work.termed))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(at_work.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(at_work.pid, signal.SIGKILL)

    def _warn_of_threads(self) -> None:
        """Say once which of the application's threads a child will not have, though perhaps their locks."""
        if self._warned:
            return
        self._warned = True
        others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if others:
            self._tell(
                events.Warned(
                    f"Threads were started before the fork ({', '.join(sorted(others))}); a child has none of them, "
                    "and a lock that one of them holds stays locked there. Start them in after_fork."
                )
            )


def _read(at_work: _Child) -> Outcome | None:
    """Read what is there: the outcome, once it is whole. Then, as at the pipe's end, nothing more is heard."""
    if at_work.pipe is None:
        return None
    try:
        while chunk := os.read(at_work.pipe, 65536):
            at_work.said += chunk
            # One line, and only the right one: a job may have written there itself.
            if chunk.endswith(b"\n") and (said := outcomes.load(bytes(at_work.said))) is not None:
                _hang_up(at_work)
                return said
    except BlockingIOError:
        return None
    _hang_up(at_work)  # its end. Whether the child died is another matter.
    return None


def _dismiss(standby: _Child) -> None:
    """Give it no more orders: without any it ends."""
    if standby.orders is not None:
        os.close(standby.orders)
        standby.orders = None


def _hang_up(at_work: _Child) -> None:
    if at_work.pipe is not None:
        os.close(at_work.pipe)
        at_work.pipe = None


def _crash(at_work: _Child, status: int) -> Crash:
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    exited = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    return Crash(pid=at_work.pid, signal=killed, status=exited, reason=at_work.reason)
