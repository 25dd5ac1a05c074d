"""As pid 1 of a container a process inherits everybody's orphans, and has to wait for them or keep them as zombies."""

from __future__ import annotations

import os

__all__ = ["reap"]


def reap(keep: frozenset[int] = frozenset()) -> int:
    """Wait for every child that has ended, but for those that somebody else here waits for.

    Only for pid 1: elsewhere a child that nobody waits for is its parent's own.

    Args:
        keep: children whose status is still wanted.

    Returns:
        How many there were.
    """
    if os.getpid() != 1 or not hasattr(os, "waitid"):
        return 0
    reaped = 0
    while True:
        try:
            # WNOWAIT looks without taking. Where the first that ended is to be kept, those behind it wait their turn.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return reaped
        if ended is None or ended.si_pid in keep:
            return reaped
        os.waitpid(ended.si_pid, 0)
        reaped += 1
