"""Keys that a person presses while something runs, without Enter."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["pressed_keys"]


@contextmanager
def pressed_keys() -> Iterator[Callable[[float], str]]:
    """Gives what waits for keys, so many seconds at most, and returns them; where there is no terminal it only waits.

    Ctrl-C stays a signal. The terminal is as before at the end.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield _only_wait
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)

    def wait(seconds: float) -> str:
        if not select.select([terminal], [], [], seconds)[0]:
            return ""
        typed = os.read(terminal, 64)
        if not typed:  # nobody is there any more
            time.sleep(seconds)
        return typed.decode("ascii", "ignore")

    try:
        yield wait
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _only_wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""
