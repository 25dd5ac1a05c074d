"""A process that looks at the queues for its supervisor: how many jobs wait that may be taken.

A process of its own, for a broker that hangs must not keep a supervisor from hearing what it is told. Where the broker
is away it says nothing. It changes nothing there, so it may be killed at any moment.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping

from taskq.broker import Broker
from taskq.errors import BrokerRefused, BrokerUnavailable
from taskq.queue_lists import QueueList
from taskq.worker.offspring import Say
from taskq.worker.signals import MEANINGS_TO_POOL
from taskq.worker.waiting import readable

__all__ = ["Waiting", "heard", "scout", "waiting"]

Waiting = Mapping[str, Mapping[str, int]]
"""How many jobs wait, by crew and queue; only queues that have any."""


def scout(broker: Broker, lists: Mapping[str, QueueList], every: float, orders: int, say: Say) -> int:
    """Look and say what was seen, each time these seconds have passed, until the orders' pipe ends.

    Args:
        broker: where the queues are.
        lists: the queues that each crew serves.
        every: seconds between two looks.
        orders: a pipe that ends with the supervisor.
        say: how it is told.

    Returns:
        The exit status, 0.
    """
    # A Ctrl-C reaches the whole group. What this process is told, it is told by its pipe.
    for number in MEANINGS_TO_POOL:
        signal.signal(number, signal.SIG_IGN)
    began = time.monotonic()
    while not readable([orders], began + every - time.monotonic()):
        began = time.monotonic()
        try:
            seen = waiting(broker, lists)
        except (BrokerUnavailable, BrokerRefused):
            continue  # the workers say so; to say nothing is to leave all as it is
        say(json.dumps(seen).encode() + b"\n")
    return 0


def waiting(broker: Broker, lists: Mapping[str, QueueList]) -> Waiting:
    """How many jobs wait for each crew, paused queues left out: nobody may take from those."""
    known = broker.queues() if any(queues.is_dynamic for queues in lists.values()) else ()
    paused = broker.paused()
    served = {crew: [] if paused.all else queues.expand(known) for crew, queues in lists.items()}
    names = list(dict.fromkeys(name for names in served.values() for name in names if name not in paused.queues))
    sizes = broker.sizes(names) if names else {}
    return {crew: {name: size for name in names if (size := sizes.get(name))} for crew, names in served.items()}


def heard(said: bytes) -> tuple[Waiting | None, bytes]:
    """The last whole look in what a scout said, None where there is none yet, and what is left after it."""
    whole, _, rest = said.rpartition(b"\n")
    return (json.loads(whole.rpartition(b"\n")[2]) if whole else None), rest
