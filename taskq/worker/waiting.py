"""Waiting for descriptors. `poll` where there is one: `select` refuses descriptors over 1023, which jobs may have."""

from __future__ import annotations

import math
import select
from collections.abc import Sequence

__all__ = ["readable"]


def readable(fds: Sequence[int], seconds: float) -> set[int]:
    """Those of the descriptors that can be read (or are at their end), waiting up to `seconds` for the first."""
    if not hasattr(select, "poll"):
        return set(select.select(fds, [], [], max(seconds, 0.0))[0])
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(max(0, math.ceil(seconds * 1000)))}
