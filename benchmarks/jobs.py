"""What the worker performs: nothing, but for a note of the time."""

from __future__ import annotations

import os
import time

import taskq
from benchmarks.processes import NOTES


def note(*numbers: float) -> None:
    """Append a line to the notes."""
    fd = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (" ".join(map(repr, numbers)) + "\n").encode())
    os.close(fd)


@taskq.job(queue="bench")
def nothing(number: int, last: int) -> None:
    """Note the time if it is the first or the last one."""
    if number in (0, last):
        note(number, time.monotonic())


@taskq.job(queue="bench")
def started(pushed: float) -> None:
    """Note how many seconds ago it was pushed: the monotonic clock is one for all processes of a machine."""
    now = time.monotonic()
    note(now - pushed)


@taskq.job(queue="bench")
def send_email(to: str, subject: str, body: str) -> None:
    """Is only ever enqueued."""
