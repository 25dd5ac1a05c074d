"""A process that this one forked to run a function: it hears by one pipe, says by another, and its death is seen.

Both pipes are bytes, and what they mean is the caller's. When this process dies, the pipe of orders ends in the other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn, Self, TypeAlias

from taskq.worker import adapters

__all__ = ["Offspring", "Say", "Work"]

Say: TypeAlias = Callable[[bytes], None]
Work: TypeAlias = Callable[[int, Say], int]
"""Runs in the other process, given the descriptor of its orders and how it says something. Returns the exit status."""


class Offspring:
    """A process of ours.

    Attributes:
        pid: its id.
        death: readable once it is dead; None where the system has no such thing.
    """

    def __init__(self, pid: int, orders: int, news: int) -> None:
        """See `forked`."""
        self.pid = pid
        self.death: int | None = None
        self._orders: int | None = orders
        self._news: int | None = news
        os.set_blocking(news, False)
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.death = os.pidfd_open(pid)

    @classmethod
    def forked(cls, work: Work, *, beside: Iterable[Offspring] = ()) -> Self:
        """Fork a process that does this work. Main thread only.

        Args:
            work: what it does.
            beside: the others that this process has. A copy of their pipes would keep them from hearing our end.

        Raises:
            OSError: the system has no room for another process.
        """
        orders, speak = os.pipe()
        listen, news = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        adapters.before_fork()
        try:
            pid = os.fork()
        except OSError:
            for fd in (orders, speak, listen, news):
                os.close(fd)
            raise
        if pid == 0:
            for fd in (speak, listen, *(fd for other in beside for fd in other.fds)):
                os.close(fd)
            _work(work, orders, news)
        os.close(orders)
        os.close(news)
        return cls(pid, speak, listen)

    @property
    def fds(self) -> list[int]:
        """All descriptors that lead to it."""
        return [fd for fd in (self._orders, self._news, self.death) if fd is not None]

    @property
    def to_wait_on(self) -> list[int]:
        """Those that become readable when it says something, or is dead."""
        return [fd for fd in (self._news, self.death) if fd is not None]

    def tell(self, order: bytes) -> None:
        """Write this into its orders. Nothing happens where it does not listen any more."""
        if self._orders is not None:
            with contextlib.suppress(OSError):
                os.write(self._orders, order)

    def order(self, number: int) -> None:
        """Say a signal's number through its pipe, then wake it: the signal that wakes means nothing there by itself."""
        self.tell(bytes([number]))
        self.send(signal.SIGTERM)

    def send(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def await_stop(self, seconds: float) -> None:
        """Return once it stands still after a SIGSTOP, or is dead: after so many seconds at the latest."""
        ends = time.monotonic() + seconds
        looks = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG if hasattr(os, "waitid") else 0
        while looks and os.waitid(os.P_PID, self.pid, looks) is None and time.monotonic() < ends:
            time.sleep(0.001)  # the system has no descriptor for this

    def said(self) -> bytes:
        """What it has said since the last time."""
        said = b""
        try:
            while self._news is not None:
                chunk = os.read(self._news, 65536)
                if not chunk:
                    os.close(self._news)
                    self._news = None
                said += chunk
        except BlockingIOError:
            pass
        return said

    def is_dead(self) -> bool:
        """Whether it is dead; `ended` says how. False where the system cannot tell without that."""
        looks = os.WEXITED | os.WNOWAIT | os.WNOHANG if hasattr(os, "waitid") else 0
        return bool(looks) and os.waitid(os.P_PID, self.pid, looks) is not None

    def ended(self) -> int | None:
        """Its exit status, negative for a signal, once it is dead; None before. Said once; then `close` it."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def end(self) -> None:
        """Kill it, wait until it is dead, and close it."""
        self.send(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.close()

    def close(self) -> None:
        """Give back all descriptors. It hears no more."""
        for fd in self.fds:
            os.close(fd)
        self._orders = self._news = self.death = None


def _work(work: Work, orders: int, news: int) -> NoReturn:
    """In the child: the work from start to end, and nothing of the parent's after it."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # the parent's; the child sets its own
        adapters.after_fork()

        def say(what: bytes) -> None:
            with contextlib.suppress(OSError):
                os.write(news, what)

        status = work(orders, say)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
