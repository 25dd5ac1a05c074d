"""The same jobs for huey's consumer. `python -c "from benchmarks.huey_jobs import fill; fill(JOBS)"` enqueues them."""

from __future__ import annotations

import logging
import os

from huey import SqliteHuey

from benchmarks import work

# As its users have it; but to fill it, which is not what is measured, it need not wait for the disk.
_FAST = {"fsync": False} if os.environ.get("TASKQ_BENCH_FILL") else {}

huey = SqliteHuey(filename=os.environ["TASKQ_BENCH_HUEY"], **_FAST)
logging.getLogger("huey").setLevel(logging.WARNING)  # as quiet as taskq's worker is


nothing = huey.task()(work.nothing)


def fill(count: int) -> None:
    """Enqueue so many."""
    for number in range(count):
        nothing(number, count - 1)
