"""Breaking into a job that runs in a thread of this process: where that may be done, and how another thread does it."""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from taskq import performing
from taskq.loops import at_a_seam

__all__ = ["in_job", "raise_in"]


def in_job(frame: FrameType | None, around: CodeType) -> bool:
    """Whether this is running within the job, not in what sees it in and out.

    Raised there, an exception would end the worker, or undo what is done.

    Args:
        frame: what is running.
        around: the code of the function that calls `performing.perform`.
    """
    if at_a_seam(frame) or (frame is not None and frame.f_code is performing.perform.__code__):
        return False
    while frame is not None:
        if frame.f_code is performing.perform.__code__:
            return True
        if frame.f_code is around:
            return False
        frame = frame.f_back
    return True  # a greenlet's stack, say, which ends where the greenlet began


def raise_in(thread: int, kind: type[BaseException], *, around: CodeType) -> bool:
    """Have another thread raise this as soon as it runs Python again.

    A call into C, a `time.sleep` or a read from a socket, is not broken into: it is raised when that returns.

    Args:
        thread: its identity.
        kind: a class, to be made without arguments.
        around: the code of the function that calls `performing.perform`.

    Returns:
        False where the thread is not within a job this very moment.
    """
    import ctypes  # only where somebody is told to end

    # A thread that runs Python is looked at where it waits for the interpreter's lock, and will raise just there.
    if not in_job(sys._current_frames().get(thread), around):  # noqa: SLF001  # there is no other way to look
        return False
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))
    return True
