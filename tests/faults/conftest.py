"""What every fault befalls: a private Redis, a journal, and workers that are gone when the test is."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import taskq
from taskq.broker import Broker
from taskq_redis.testing import RedisServer
from tests.faults.slices import seed_of_the_day, slice_of
from tests.support import fault_jobs
from tests.support.journal import Journal
from tests.support.workers import RunningWorker

LONG = bool(os.environ.get("TASKQ_TORTURE"))
"""Whether this is the long form (`make torture`)."""

MODELS: dict[str, list[str]] = {
    "fork": [],
    "inline": ["--inline"],
    "inline, prefetch": ["--inline", "--prefetch", "8"],
    "fork, prefetch": ["--prefetch", "8"],
    "threads": ["--threads", "4"],
    "threads, prefetch": ["--threads", "4", "--prefetch", "8"],
    "async": ["--async", "4"],
    "async, prefetch": ["--async", "4", "--prefetch", "8"],
    "children": ["--jobs-per-fork", "7"],
    "children, prefetch": ["--jobs-per-fork", "20", "--prefetch", "8"],
}
"""The ways to run jobs, by name: the options that say so. What is true of a fault is true of it in each."""


def in_every_model(*short: str) -> pytest.MarkDecorator:
    """Runs a test in each way to run jobs, in the short form in these; `model` is the worker's options."""
    chosen = tuple(MODELS) if LONG else short
    return pytest.mark.parametrize("model", [MODELS[name] for name in chosen], ids=chosen)


def at_once(model: list[str]) -> int:
    """How many jobs a process performs at once that was started so."""
    return next((int(many) for option, many in pairwise(model) if option in {"--threads", "--async"}), 1)


def pytest_report_header() -> str:
    """Which slice of the faults this run has."""
    return "faults: all" if LONG else f"faults: a slice, TASKQ_SEED={seed_of_the_day()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a slice of what lies in this folder, unless somebody named a test by hand."""
    if LONG or any("::" in argument for argument in config.args) or config.option.keyword:
        return
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    left = {*map(id, here)} - {*map(id, slice_of(here, seed_of_the_day()))}
    config.hook.pytest_deselected(items=[item for item in here if id(item) in left])
    items[:] = [item for item in items if id(item) not in left]


@pytest.fixture
def seed() -> int:
    """Printed, so that a run can be repeated: `TASKQ_SEED=... pytest ...`."""
    seed = int(os.environ.get("TASKQ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed: TASKQ_SEED={seed}")
    return seed


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """The session's Redis, empty."""
    return redis_server


@pytest.fixture
def app(server: RedisServer) -> Iterator[taskq.TaskQ]:
    """The application that enqueues, on that Redis."""
    with taskq.using(server.url) as app:
        yield app


@pytest.fixture
def broker(app: taskq.TaskQ) -> Broker:
    return app.broker


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def worker(server: RedisServer, journal: Journal) -> Iterator[Callable[..., RunningWorker]]:
    """Starts a worker on that Redis, with that journal; all are gone at the end of the test."""
    running: list[RunningWorker] = []

    def start(
        *arguments: str, url: str = server.url, env: dict[str, str] | None = None, **more: object
    ) -> RunningWorker:
        variables = {"TASKQ_TEST_JOURNAL": str(journal.path), **(env or {})}
        one = RunningWorker(url, *arguments, env=variables, **more)  # type: ignore[arg-type]  # passed on as it is
        running.append(one)
        return one

    yield start
    for one in running:
        one.kill()
        print(f"--- worker {one.pid}\n{one.log}")


def numbered(model: Sequence[str]) -> Any:
    """The numbered job that this way to run jobs is made for."""
    return fault_jobs.awaits if "--async" in model else fault_jobs.numbered


def push_numbers(
    app: taskq.TaskQ,
    count: int,
    *,
    seconds: float = 0.0,
    queue: str = "q",
    first: int = 0,
    model: Sequence[str] = (),
) -> range:
    """Enqueue numbered jobs. Their numbers."""
    numbers = range(first, first + count)
    to = numbered(model).options(queue=queue)
    app.enqueue_many([to.call(number, seconds) for number in numbers])
    return numbers
