"""What every job that is measured does, taskq's and its peers': nothing, but for a note of the time."""

from __future__ import annotations

import os
import time

__all__ = ["NOTES", "begins", "nothing", "started"]

NOTES = "TASKQ_BENCH_NOTES"
"""The variable that names the file to which jobs note."""


def nothing(number: int, last: int) -> None:
    """Note the time if it is the first or the last one."""
    if number in (0, last):
        _note(number, time.monotonic())


def begins(number: int) -> None:
    """Note the time."""
    _note(number, time.monotonic())


def started(pushed: float) -> None:
    """Note how many seconds ago it was pushed: the monotonic clock is one for all processes of a machine."""
    now = time.monotonic()
    _note(now - pushed)


def _note(*numbers: float) -> None:
    fd = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (" ".join(map(repr, numbers)) + "\n").encode())
    os.close(fd)
