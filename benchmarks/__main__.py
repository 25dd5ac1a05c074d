"""`python -m benchmarks [ROW...]`: measure taskq beside the least in its place, each figure beside its goal."""

from __future__ import annotations

from benchmarks.dashboard import dashboard
from benchmarks.delayed import delayed
from benchmarks.drain import ahead, fork, inline
from benchmarks.enqueue import enqueue
from benchmarks.failed import failed
from benchmarks.growth import growth
from benchmarks.idle import crowd, start
from benchmarks.imports import imports
from benchmarks.scheduler import scheduler
from benchmarks.sqlite import sqlite
from benchmarks.table import print_table

print_table(
    {
        "inline": inline,
        "ahead": ahead,
        "fork": fork,
        "start": start,
        "crowd": crowd,
        "import": imports,
        "enqueue": enqueue,
        "growth": growth,
        "failed": failed,
        "delayed": delayed,
        "scheduler": scheduler,
        "dashboard": dashboard,
        "sqlite": sqlite,
    },
    program="benchmarks",
    rounds=5,
    packages=["rq", "huey"],
)
