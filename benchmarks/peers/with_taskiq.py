"""Taskiq with the list broker of taskiq-redis, its fastest (it keeps nothing of a job that a worker has)."""

from __future__ import annotations

import asyncio
import os

from taskiq_redis import ListQueueBroker

from benchmarks import work
from benchmarks.peers.producing import produce_async

broker = ListQueueBroker(f"redis://127.0.0.1:{os.environ['BENCH_PORT']}")


@broker.task(task_name="nothing")
async def nothing(number: int, last: int) -> None:
    work.nothing(number, last)


@broker.task(task_name="started")
async def started(pushed: float) -> None:
    work.started(pushed)


async def main() -> None:
    await broker.startup()
    await produce_async(nothing.kiq, started.kiq)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
