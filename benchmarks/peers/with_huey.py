"""Huey on Redis: results are not stored."""

from __future__ import annotations

import os

from huey import RedisHuey

from benchmarks import work
from benchmarks.peers.producing import produce

huey = RedisHuey("bench", port=int(os.environ["BENCH_PORT"]), results=False)
nothing = huey.task()(work.nothing)
started = huey.task()(work.started)

if __name__ == "__main__":
    # Started as a module its tasks would bear the name `__main__`, which no consumer knows.
    from benchmarks.peers import with_huey as imported

    produce(imported.nothing, imported.started)
