"""Threads that jobs or the application left running: the interpreter waits for those that are no daemons, for ever.

What stops a worker waits less long, and what it had in hand is settled by then. In a child nobody waits for them.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from taskq import events

__all__ = ["end_at_once", "see_out"]


def see_out(seconds: float, status: int, tell: events.Tell) -> None:
    """Have this process, which is about to end, wait for its threads no longer than this, and say whom it waited for.

    Args:
        seconds: what they have to end.
        status: the exit status.
        tell: who is told.
    """
    if not _left():
        return

    def watch() -> None:
        time.sleep(seconds)
        names = ", ".join(_left())
        tell(events.Warned(f"Threads that were started here have not ended ({names}); the process ends without them."))
        end_at_once(status)

    # A daemon: where all end in time, the interpreter ends in its own way, and this with it.
    threading.Thread(target=watch, name="taskq last threads", daemon=True).start()


def end_at_once(status: int) -> NoReturn:
    """End the process though threads run in it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _left() -> list[str]:
    return sorted(
        thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()
    )
