"""SAQ: results are not kept; BENCH_JOBS at once."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from saq import Queue

from benchmarks import work
from benchmarks.peers.producing import produce_async

queue = Queue.from_url(f"redis://127.0.0.1:{os.environ['BENCH_PORT']}")


async def nothing(context: Any, *, number: int, last: int) -> None:
    work.nothing(number, last)


async def started(context: Any, *, pushed: float) -> None:
    work.started(pushed)


settings = {
    "queue": queue,
    "functions": [nothing, started],
    "concurrency": int(os.environ.get("BENCH_JOBS", "10")),
}


async def main() -> None:
    await queue.connect()
    await produce_async(
        lambda number, last: queue.enqueue("nothing", number=number, last=last, ttl=-1),
        lambda pushed: queue.enqueue("started", pushed=pushed, ttl=-1),
    )
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
