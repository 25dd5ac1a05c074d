"""The short form runs a slice of each fault's cases; `make torture` runs all.

A fault is tried in many ways: signals, models, queues. One case in four of a test, drawn by its name and the day (or
by `TASKQ_SEED`, which the head of the run prints), tells as much in less time; over the days all of them run.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import random
from collections import defaultdict
from collections.abc import Sequence

import pytest

__all__ = ["seed_of_the_day", "slice_of"]


def seed_of_the_day() -> str:
    """What draws the slice: `TASKQ_SEED`, else the date."""
    return os.environ.get("TASKQ_SEED") or dt.datetime.now(dt.UTC).date().isoformat()


def slice_of(items: Sequence[pytest.Item], seed: str) -> list[pytest.Item]:
    """A quarter of the cases of each test, rounded up, in the order they came."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    kept: set[str] = set()
    for name, ones in cases.items():
        drawn = random.Random(f"{seed} {name}").sample(ones, math.ceil(len(ones) / 4))
        kept.update(item.nodeid for item in drawn)
    return [item for item in items if item.nodeid in kept]
