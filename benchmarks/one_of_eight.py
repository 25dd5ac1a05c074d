"""One of several processes on one file: `python -m benchmarks.one_of_eight worker|producer URL PLACE ENDS`.

It works until the monotonic clock says ENDS, and prints as JSON what it took or pushed, and its longest call.
"""

from __future__ import annotations

import json
import os
import sys
import time

from taskq.broker import Broker
from taskq.plugins import open_broker
from taskq.records import ProcessIdentity, Registration, Reservation, Tokens


def work(broker: Broker, place: int, ends: float) -> tuple[list[int], float]:
    """Reserve and settle in one call, again and again."""
    tokens, worker = Tokens(), f"host:{place}:bench"
    process = ProcessIdentity("host", "boot", "pid", os.getpid(), "1")
    assert broker.register(Registration(worker, process, 300, 5, tokens.process))
    bodies: list[int] = []
    longest = 0.0
    settled: Reservation | None = None
    while (began := time.monotonic()) < ends:
        jobs = broker.reserve(worker, ["bench"], tokens.next(), settled=settled).jobs
        longest = max(longest, time.monotonic() - began)
        settled = jobs[0] if jobs else None
        if settled is None:
            broker.wait(["bench"], ends - time.monotonic())
        else:
            bodies.append(int(settled.body))
    if settled is not None:
        broker.finish(settled, tokens.next())
    broker.unregister(worker, tokens.process)
    return bodies, longest


def produce(broker: Broker, place: int, ends: float) -> tuple[list[int], float]:
    """Push one by one."""
    number, longest = place * 100_000_000, 0.0
    bodies: list[int] = []
    while (began := time.monotonic()) < ends - 1:
        broker.push("bench", [b"%d" % number])
        longest = max(longest, time.monotonic() - began)
        bodies.append(number)
        number += 1
    return bodies, longest


if __name__ == "__main__":
    kind, url, place, ends = sys.argv[1:]
    broker = open_broker(url)
    bodies, longest = {"worker": work, "producer": produce}[kind](broker, int(place), float(ends))
    broker.close()
    print(json.dumps({"bodies": bodies, "longest": longest}))
