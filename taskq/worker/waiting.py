"""Waiting for descriptors. `poll` where there is one: `select` refuses descriptors over 1023, which jobs may have."""

from __future__ import annotations

import math
import select
from collections.abc import Sequence
from typing import Final

__all__ = ["readable"]

_A_DAY: Final = 86400.0


def readable(fds: Sequence[int], seconds: float, *, writing: Sequence[int] = ()) -> set[int]:
    """Those of the descriptors that can be read (or are at their end), waiting up to `seconds` for the first.

    With `writing`, also those of them that take something (or whose reader is gone). Infinity waits for as long as it
    takes; what is longer than a day may end after one, for `poll` takes no more than 24 of them.
    """
    seconds = min(seconds, _A_DAY) if seconds < math.inf else seconds
    if not hasattr(select, "poll"):
        read, write, _ = select.select(fds, writing, [], None if math.isinf(seconds) else max(seconds, 0.0))
        return {*read, *write}
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    for fd in writing:
        poll.register(fd, select.POLLOUT)
    return {fd for fd, _ in poll.poll(None if math.isinf(seconds) else max(0, math.ceil(seconds * 1000)))}
