"""Waking a waiting worker when a job may be there, without taking anything and without any word from producers.

On Linux inotify tells of every write to the log beside the database, whoever writes: another taskq, the `sqlite3`
program, an application's own transaction. It tells of the write, and the commit becomes visible later, after the sync.
So a waiter looks, and looks again after 1, 2, 4... ms until the commit shows in SQLite's data_version. While others
commit to queues that are not ours it looks every 5 ms at most: at 3,900 such commits a second that is 1.5 % of a CPU
instead of 7.8. Beneath it, once a second and without inotify every 20 ms, it looks in any case.

data_version does not change with the own connection's commits: `ring` tells of those.

Not taken: a FIFO, a socket or a file that producers touch wakes 0.1 ms sooner, and never for what strangers write.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Final

from taskq_sqlite import inotify

__all__ = ["Wakeup"]

_BENEATH: Final = 1.0  # seconds between looks that nothing caused, where there is inotify
_POLL: Final = 0.02  # and where there is none
_FIRST: Final = 0.001  # seconds from a look that came before the commit to the next; poll() knows no less
_LAST: Final = 0.5  # a write that is not committed after so long: it was none of a commit, or the disk is in trouble
_VAIN: Final = 0.005  # seconds between looks, where commits are seen that bring nothing for us


class _Waiter:
    """One thread that waits, and the pipe on which it is told to look."""

    def __init__(self) -> None:
        self.ear, self.bell = os.pipe()
        os.set_blocking(self.ear, False)
        os.set_blocking(self.bell, False)

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of rings that it has not heard yet
            os.write(self.bell, b"!")

    def take(self) -> bool:
        """Whether it rang since."""
        try:
            return bool(os.read(self.ear, 512))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self.ear)
        os.close(self.bell)


class Wakeup:
    """The waiting of one broker's threads."""

    def __init__(self, path: str, data_version: Callable[[], tuple[int, int]]) -> None:
        """Watches nothing yet.

        Args:
            path: the database.
            data_version: what changes when another connection commits.
        """
        self._path = path
        self._data_version = data_version
        self._lock = threading.Lock()
        self._waiters: set[_Waiter] = set()
        self._watch: inotify.Watch | None = None
        self._tried = False
        self.closed = False
        _everywhere.add(self)

    def wait(self, ready: Callable[[], bool], timeout: float, interrupts: Sequence[int]) -> bool:
        """Block until `ready` says so, a descriptor is readable, or the time is over. Whether there may be work."""
        deadline = time.monotonic() + timeout
        waiter = _Waiter()
        with self._lock:
            if not self._tried:  # once, before the first look: what comes after that look is heard
                self._tried, self._watch = True, self._begin()
            self._waiters.add(waiter)
        try:
            return _Wait(self, waiter, ready, deadline, interrupts).run()
        finally:
            with self._lock:
                self._waiters.discard(waiter)
                waiter.close()

    def ring(self) -> None:
        """Tell all waiters of a commit of this process's own."""
        if self._waiters:
            with self._lock:
                for waiter in self._waiters:
                    waiter.ring()

    def close(self) -> None:
        """Wake whoever waits, and let nobody wait again."""
        self.closed = True
        self.ring()
        self._stop_watching()

    def forked(self) -> None:
        """In a forked child: the parent's waiters are not here, and its watch is shared by both."""
        self._lock = threading.Lock()
        for waiter in self._waiters:
            waiter.close()
        self._waiters = set()
        self._stop_watching()

    def _stop_watching(self) -> None:
        watch, self._watch, self._tried = self._watch, None, False
        if watch is not None:
            watch.close()

    def _begin(self) -> inotify.Watch | None:
        real = os.path.realpath(self._path)
        return inotify.watch(os.path.dirname(real), f"{os.path.basename(real)}-wal")

    @property
    def watch(self) -> inotify.Watch | None:
        """What tells of writes to the log; None where nothing does."""
        return self._watch

    def heard(self) -> bool:
        """Whether the log was written to since anybody asked. The others are told, for they can no longer hear it."""
        with self._lock:
            if self._watch is None or not self._watch.heard():
                return False
            if len(self._waiters) > 1:
                for waiter in self._waiters:
                    waiter.ring()
            return True

    def data_version(self) -> tuple[int, int]:
        """What changes when another connection commits."""
        return self._data_version()


class _Wait:
    """One wait: when to look next, and what made it so."""

    def __init__(
        self, wakeup: Wakeup, waiter: _Waiter, ready: Callable[[], bool], deadline: float, interrupts: Sequence[int]
    ) -> None:
        self._wakeup = wakeup
        self._waiter = waiter
        self._ready = ready
        self._deadline = deadline
        self._interrupts = interrupts
        self._gap = 0.0  # seconds to the next look while a commit is awaited; 0 while none is
        self._look_at = 0.0
        self._version = (0, 0)

    def run(self) -> bool:
        wakeup, waiter = self._wakeup, self._waiter
        wakeup.heard()
        self._version = wakeup.data_version()
        if self._ready():
            return True
        beneath = _POLL if wakeup.watch is None else _BENEATH
        self._look_at = time.monotonic() + beneath
        while (now := time.monotonic()) < self._deadline:
            fds = [waiter.ear, *self._interrupts]
            if wakeup.watch is not None and not self._gap:
                fds.append(wakeup.watch.fd)
            readable = _readable(fds, min(self._look_at, self._deadline) - now)
            if not readable.isdisjoint(self._interrupts):
                return False
            if wakeup.closed:
                return False
            rang = waiter.ear in readable and waiter.take()
            written = wakeup.heard()
            if not (rang or written or time.monotonic() >= self._look_at):
                continue
            if self._look(written=written, rang=rang):
                return True
            self._look_at = time.monotonic() + (self._gap or beneath)
        return False

    def _look(self, *, written: bool, rang: bool) -> bool:
        version = self._wakeup.data_version()
        changed, self._version = version != self._version, version
        if (changed or rang) and self._ready():
            return True
        if changed:  # commits, and none of them for us
            self._gap = _VAIN if written or rang else 0.0
        elif written or rang:
            self._gap = max(self._gap, _FIRST)
        elif self._gap:
            self._gap = self._gap * 2 if self._gap < _LAST else 0.0
        return False


def _readable(fds: Sequence[int], seconds: float) -> set[int]:
    if not hasattr(select, "poll"):
        return set(select.select(fds, [], [], max(seconds, 0.0))[0])
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(max(0, math.ceil(seconds * 1000)))}


_everywhere: weakref.WeakSet[Wakeup] = weakref.WeakSet()


def _forked() -> None:
    for wakeup in list(_everywhere):
        wakeup.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
