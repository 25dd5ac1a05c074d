"""arq: results are not kept, and it polls each 10 ms instead of each 500; BENCH_JOBS at once."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks import work
from benchmarks.peers.producing import produce_async


async def nothing(context: dict[Any, Any], number: int, last: int) -> None:
    work.nothing(number, last)


async def started(context: dict[Any, Any], pushed: float) -> None:
    work.started(pushed)


class WorkerSettings:
    redis_settings = RedisSettings(port=int(os.environ["BENCH_PORT"]))
    functions = (nothing, started)
    keep_result = 0
    poll_delay = 0.01
    max_jobs = int(os.environ.get("BENCH_JOBS", "10"))


async def main() -> None:
    pool = await create_pool(WorkerSettings.redis_settings)
    await produce_async(
        lambda number, last: pool.enqueue_job("nothing", number, last),
        lambda pushed: pool.enqueue_job("started", pushed),
    )


if __name__ == "__main__":
    asyncio.run(main())
