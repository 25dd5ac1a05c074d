"""What a child does, forked or spawned: cut the ties it must not share, perform one job, say how it ended, end.

It never returns into the parent's code, and ends by `os._exit`: nothing of the parent's is flushed or closed twice.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from taskq import limits, performing
from taskq import outcome as outcomes
from taskq.errors import TermException
from taskq.limits import Limiter
from taskq.performing import Task, Tools
from taskq.worker import adapters, handover
from taskq.worker.interrupt import in_job
from taskq.worker.signals import Ear

__all__ = ["prepare_tie", "run", "tie_to"]

_PR_SET_PDEATHSIG = 1

Tie = Callable[[], None]


def run(
    task: Task | int,
    tools: Tools,
    pipe: int,
    *,
    tie: Tie,
    entitle: Callable[[Task | None], None],
    ear: Ear,
    timeout_grace: float,
    term_child: bool,
    run_at_exit: bool,
) -> NoReturn:
    """Perform the task and end the process.

    Args:
        task: the job; or where to read the order that says which, until which this process stands by.
        tools: what performing needs.
        pipe: where the order is answered, and the outcome is written.
        tie: see to it that this process does not outlive its parent.
        entitle: set the title of a process that stands by (None), and of one that performs this task.
        ear: where its parent pokes it when its job is to end.
        timeout_grace: seconds after which a job over its time limit hears of it once more, if its parent lets it.
        term_child: whether TERM, INT and QUIT mean something to this child (Resque's TERM_CHILD).
        run_at_exit: whether the interpreter's `atexit` functions run (Resque's RUN_AT_EXIT_HOOKS).
    """
    status, me, whole = 1, os.getpid(), os.fstat(pipe)
    try:
        tie()
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)  # its own group: what it starts is killed with it, and a Ctrl-C does not reach it
        signal.set_wakeup_fd(-1)  # the parent's own pipe
        adapters.after_fork()
        if not isinstance(task, Task):
            entitle(None)
            ordered = handover.read(task)
            if ordered is None:
                status = 0
                return  # type: ignore[misc]  # into `finally`
            reservation, waits = ordered
            _write(pipe, handover.TAKEN)  # before: another child performs it. After: nobody else does.
            if waits and not os.read(task, 1):  # the parent has given up, and so it does not begin
                status = 0
                return  # type: ignore[misc]  # into `finally`
            os.close(task)
            task = performing.prepare(reservation, tools)
            entitle(task)
        if term_child:
            _heed_term()
        outcome = _perform(task, tools, ear, limits.by_alarm(timeout_grace))
        if os.getpid() != me:  # the job forked, and its copy came back too: only one of them speaks for the job
            return  # type: ignore[misc]  # into `finally`
        _flush()  # the parent's line on how the job ended comes after all that the job printed
        if os.path.samestat(os.fstat(pipe), whole):  # else the job closed it, and the number is a file's of its own now
            _write(pipe, outcomes.dump(outcome))
            status = 0
        if tools.hooks.listens("flush") or run_at_exit:
            tools.hooks.tell_quietly("flush")
            if run_at_exit:
                atexit._run_exitfuncs()  # noqa: SLF001 - os._exit runs none, and there is no public way to
            _flush()
    finally:
        os._exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none, by the job
            stream.flush()


def _perform(
    task: Task, tools: Tools, ear: Ear, limiter: Limiter | None
) -> outcomes.Done | outcomes.Failed | outcomes.Postponed:
    try:
        if tools.hooks.listens("after_fork"):
            tools.hooks.tell("after_fork", task.context())
    except BaseException as error:  # as in the job itself: what it says is worth more than that this process ended
        return performing.failed(task, error, tools, 0.0)
    ear.at_once = _tell_to_end
    try:
        return performing.perform(task, tools, limiter)
    except TermException as late:  # after the job raised something else, while that was being looked at
        ear.at_once = None
        return performing.failed(task, late, tools, 0.0)
    finally:
        ear.at_once = None


def _tell_to_end(poked: bool, frame: FrameType | None) -> None:
    """In the signal handler, in the middle of a job: its worker ends, and its time is over."""
    if poked and in_job(frame, around=_perform.__code__):
        raise TermException("SIGTERM")


def prepare_tie() -> tuple[Tie, tuple[int, int]]:
    """How a child is tied to this process, and descriptors that the parent keeps open for as long as it forks.

    On Linux the kernel kills the child when its parent dies. Elsewhere a thread in the child reads from a pipe that
    only the parent can write to, and learns of its end by the pipe's. Made before the fork: a child loads nothing.
    """
    parent = os.getpid()
    reader, writer = os.pipe()
    prctl = _prctl()

    def tie() -> None:
        os.close(writer)
        _tie(parent, reader, prctl)

    return tie, (reader, writer)


def tie_to(parent: int, leash: int) -> None:
    """See to it that this process does not outlive its parent, whose end of the leash ends with it."""
    _tie(parent, leash, _prctl())


def _prctl() -> Callable[[int, int], int] | None:
    return getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def _tie(parent: int, leash: int, prctl: Callable[[int, int], int] | None) -> None:
    if prctl is not None and prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0:
        os.close(leash)
        if os.getppid() != parent:  # it died in between
            os._exit(1)
        return
    threading.Thread(target=_die_with, args=(leash,), name="taskq parent watch", daemon=True).start()


def _die_with(reader: int) -> None:
    while os.read(reader, 1):
        pass
    with contextlib.suppress(OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _heed_term() -> None:
    """As Resque's child does by TERM_CHILD (WIRE.md section 13). Without it nothing but KILL and HUP touches the job.

    Other signals are not ignored, for what a job starts would inherit that: the parent's handlers stay, and remember
    signals that nobody asks for. To set others takes 0.2 ms of memory that is touched for the first time.
    """
    signal.signal(signal.SIGTERM, _term)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def _term(number: int, frame: FrameType | None) -> None:
    raise TermException("SIGTERM")


def _write(pipe: int, message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(pipe, view) :]
