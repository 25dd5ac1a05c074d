"""The gate before SQLite's lock: one writer at a time, in the order in which they came."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

if sys.platform != "win32":  # there SQLite's own waiting, which may starve, is all there is
    import fcntl

__all__ = ["Gate"]


class Gate:
    """A lock on a file beside the database. Not for several threads at once; close it before a fork.

    SQLite's own waiting sleeps 1 to 100 ms at a time, and starves some for seconds. This orders and does not protect:
    strangers write without it. It has no timeout; a holder that is stopped stops all. Where the file cannot be made, or
    cannot be locked, it lets everybody through.
    """

    def __init__(self, path: str) -> None:
        """Opens nothing yet."""
        self._path = path
        self._fd: int | None = None

    def enter(self) -> None:
        """Wait for our turn."""
        if sys.platform == "win32":
            return
        try:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)  # not inherited by what is executed
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError:
            return

    def leave(self) -> None:
        """Let the next one in."""
        if self._fd is not None and sys.platform != "win32":
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def passed(self) -> Iterator[None]:
        """Within the gate for a while."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def close(self) -> None:
        """Close the file. It is opened again by whoever enters."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
