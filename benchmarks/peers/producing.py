"""What each peer's module does when it is run: enqueue its jobs, one at a time or many at once, and say how fast.

`python -m benchmarks.peers.with_rq rate 3000` prints jobs a second; so does `bulk`. `fill` enqueues by the quickest way
there is. `trickle` enqueues one job at a time to an idle worker, and waits for its note.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.work import NOTES

__all__ = ["produce", "produce_async"]

_WARM = 50  # jobs before any is timed: what is set up by the first one is not what one costs
_LONG = 60.0  # seconds until a worker that does not take a job counts as broken


def produce(
    nothing: Callable[[int, int], Any],
    started: Callable[[float], Any],
    bulk: Callable[[list[tuple[int, int]]], Any] | None = None,
) -> None:
    """Do what the command line says.

    Args:
        nothing: enqueues `benchmarks.work.nothing`.
        started: enqueues `benchmarks.work.started`.
        bulk: enqueues many of `nothing`; None where the peer has no way for that.
    """

    async def one(number: int, last: int) -> None:
        nothing(number, last)

    async def start(now: float) -> None:
        started(now)

    which, count = sys.argv[1], int(sys.argv[2])
    if which == "rate":  # without an event loop around it
        for number in range(-_WARM, 0):
            nothing(number, count - 1)
        began = time.perf_counter()
        for number in range(count):
            nothing(number, count - 1)
        print(count / (time.perf_counter() - began))
    else:
        asyncio.run(_other(which, count, one, start, bulk))


async def produce_async(
    nothing: Callable[[int, int], Awaitable[Any]], started: Callable[[float], Awaitable[Any]]
) -> None:
    """As `produce`, for a peer whose producers are asynchronous."""
    which, count = sys.argv[1], int(sys.argv[2])
    if which == "rate":
        for number in range(-_WARM, 0):
            await nothing(number, count - 1)
        began = time.perf_counter()
        for number in range(count):
            await nothing(number, count - 1)
        print(count / (time.perf_counter() - began))
    else:
        await _other(which, count, nothing, started, None)


async def _other(
    which: str,
    count: int,
    nothing: Callable[[int, int], Awaitable[Any]],
    started: Callable[[float], Awaitable[Any]],
    bulk: Callable[[list[tuple[int, int]]], Any] | None,
) -> None:
    if which == "bulk" and bulk is not None:
        calls = [(number, count - 1) for number in range(count)]
        bulk(calls[:_WARM])
        began = time.perf_counter()
        bulk(calls)
        print(count / (time.perf_counter() - began))
    elif which == "fill":
        if bulk is None:
            for number in range(count):
                await nothing(number, count - 1)
        else:
            bulk([(number, count - 1) for number in range(count)])
    elif which == "trickle":
        notes = Path(os.environ[NOTES])
        for number in range(count):
            await started(time.monotonic())
            ends = time.monotonic() + _LONG
            while notes.read_bytes().count(b"\n") <= number:
                if time.monotonic() > ends:
                    raise RuntimeError("no worker took the job")
                await asyncio.sleep(0.001)
            await asyncio.sleep(random.uniform(0.02, 0.05))  # it has to settle, and to find nothing more
