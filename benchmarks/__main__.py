"""`python -m benchmarks [ROW...]`: measure taskq beside the least in its place, each figure beside its goal."""

from __future__ import annotations

from benchmarks.dashboard import dashboard, dashboard_sqlite
from benchmarks.delayed import delayed
from benchmarks.drain import ahead, children, fork, inline, machine
from benchmarks.enqueue import enqueue
from benchmarks.failed import failed
from benchmarks.growth import growth
from benchmarks.idle import crowd, start
from benchmarks.imports import imports
from benchmarks.memory import memory
from benchmarks.scheduler import scheduler
from benchmarks.sqlite import sqlite
from benchmarks.table import print_table

print_table(
    {
        "inline": inline,
        "ahead": ahead,
        "children": children,
        "fork": fork,
        "machine": machine,
        "start": start,
        "crowd": crowd,
        "import": imports,
        "memory": memory,
        "enqueue": enqueue,
        "growth": growth,
        "failed": failed,
        "delayed": delayed,
        "scheduler": scheduler,
        "dashboard": dashboard,
        "dashboard-sqlite": dashboard_sqlite,
        "sqlite": sqlite,
    },
    program="benchmarks",
    rounds=5,
    packages=["rq", "huey"],
)
