"""When those may start that are over a limit of starts: each is told a time of its own, so that they do not crowd.

What is told is kept in a key of the broker's: the last time that was told, and to how many. It is a word, and no place:
who comes at his time takes a place like everybody else.
"""

from __future__ import annotations

import json
import random
from typing import Final

from taskq.broker import Broker

__all__ = ["tell_turn"]

_AHEAD_MOST: Final = 3600.0  # seconds: those that were told may be gone by then, and nobody should wait for them
_TRIES: Final = 10  # others ask for the same key this moment


def tell_turn(broker: Broker, key: str, first: float, starts: int, per: float) -> float:
    """The time, unix seconds, at which the next one may start that is over the limit.

    Args:
        broker: where the key is.
        key: its name.
        first: when the next place is free, if nobody else waits for it.
        starts: how many may start within `per` seconds.
        per: these seconds.

    Returns:
        That; within the next hour, or the next two of `per`, where it would be later: then it is asked for again.
    """
    most = max(_AHEAD_MOST, 2 * per)
    at = first
    for _ in range(_TRIES):
        kept = broker.get_key(key)
        told, times = _load(kept)
        # Where the next place is free was reckoned from two looks at the clock: a little later is still that turn.
        if told < first - min(1.0, per / 10):
            at, times = first, 1
        elif times < starts:
            at, times = told, times + 1
        else:
            at, times = told + per, 1
        if at > first + most:
            return first + most * random.uniform(0.5, 1.0)
        new = json.dumps([at, times]).encode()
        lives = max(at - broker.now(), 0.0) + per
        if kept is None:
            if broker.take_key([key], new, lives).key is not None:
                break
        elif broker.swap_key(key, kept, new, lives):
            break
    return at


def _load(kept: bytes | None) -> tuple[float, int]:
    try:
        told, times = json.loads(kept or b"[0,0]")
        return float(told), int(times)
    except (ValueError, TypeError):  # nothing of ours
        return 0.0, 0
