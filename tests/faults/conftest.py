"""What every fault befalls: a private Redis, a journal, and workers that are gone when the test is.

The long form (`make torture`) runs each fault in every way to run jobs, and ends with one table of them all.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import taskq
from taskq.broker import Broker
from taskq_redis.testing import RedisServer
from tests.faults.slices import seed_of_the_day, slice_of
from tests.faults.tally import Tally
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
    "spawn": ["--spawn"],
    "spawn, prefetch": ["--spawn", "--prefetch", "8"],
}
"""The ways to run jobs, by name: the options that say so. What is true of a fault is true of it in each."""

_ISOLATED = tuple(name for name in MODELS if name.startswith(("fork", "children", "spawn")))


def pytest_configure(config: pytest.Config) -> None:
    """The long form ends with a table, made where all reports arrive."""
    if LONG and not hasattr(config, "workerinput"):
        # One seed for the whole run, handed down to whoever runs a part of it.
        os.environ.setdefault("TASKQ_SEED", str(random.SystemRandom().randrange(2**32)))
        config.pluginmanager.register(Tally(os.environ["TASKQ_SEED"], list(MODELS)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in a report which faults it is about, and in which way to run jobs."""
    report = yield
    numbers = [number for mark in item.iter_markers("fault") for number in mark.args]
    if report.when == "call" and numbers:
        models = [mark.kwargs["model"] for mark in item.iter_markers("fault") if "model" in mark.kwargs]
        params = item.callspec.params if hasattr(item, "callspec") else {}
        options = params.get("model", MODELS[models[0] if models else "fork"])
        report.user_properties.append(("fault", sorted(set(numbers))))
        report.user_properties.append(
            ("model", next((name for name, words in MODELS.items() if words == options), "fork"))
        )
    return report


def in_every_model(*short: str) -> pytest.MarkDecorator:
    """Runs a test in each way to run jobs, in the short form in these; `model` is the worker's options."""
    return _in_models(tuple(MODELS) if LONG else short)


def in_every_isolated_model(*short: str) -> pytest.MarkDecorator:
    """As `in_every_model`, of those where a job is performed in another process than its worker's."""
    return _in_models(_ISOLATED if LONG else short)


def _in_models(chosen: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", [MODELS[name] for name in chosen], ids=chosen)


def fewer(model: Sequence[str], many: int) -> int:
    """So many jobs as take this way to run them about as long as `many` take the quick ones."""
    if "--spawn" in model:
        return max(many // 80, 6)
    return many if {"--inline", "--threads", "--async", "--jobs-per-fork"} & set(model) else max(many // 5, 6)


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
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Chance of the test's own: a seed has each test meet other moments, and the same one at each run."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """The session's Redis, empty."""
    return redis_server


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.redis), "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store, on each backend that other processes share: the session's Redis, or a file."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


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


Start = Callable[..., RunningWorker]


class Feed:
    """Queues that hold jobs for as long as a test goes on, so that whoever is killed has some in hand."""

    def __init__(
        self,
        app: taskq.TaskQ,
        queues: Sequence[str],
        model: Sequence[str],
        *,
        seconds: float = 0.001,
        equal: bool = False,
    ) -> None:
        """Nothing was enqueued yet.

        Args:
            app: enqueues.
            queues: in each of which there is to be something.
            model: the way to run jobs; one that is slow has fewer in its queues.
            seconds: how long each works.
            equal: all of number 0, instead of numbered.
        """
        self._app = app
        self._queues = queues
        self._model = model
        self._seconds = seconds
        self._equal = equal
        self._at_a_time = fewer(model, 400)
        self.count = 0

    def top_up(self) -> None:
        """Enqueue more, where little is left."""
        for queue in self._queues:
            if self._app.size(queue) >= self._at_a_time // 2:
                continue
            if self._equal:
                one = numbered(self._model).options(queue=queue).call(0, self._seconds)
                self._app.enqueue_many([one] * self._at_a_time)
            else:
                push_numbers(
                    self._app,
                    self._at_a_time,
                    queue=queue,
                    seconds=self._seconds,
                    first=self.count,
                    model=self._model,
                )
            self.count += self._at_a_time

    @property
    def numbers(self) -> range:
        """Of what was enqueued."""
        return range(self.count)


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


def kill_at_random(
    start: Start,
    arguments: Sequence[str],
    feed: Feed,
    chance: random.Random,
    kills: int,
    *,
    children: float = 0.3,
) -> None:
    """Kill workers and their children under load, so many times; at the end none is left.

    Args:
        start: the fixture `worker`.
        arguments: of each worker.
        feed: what there is to do.
        chance: of the moments, and of who it is.
        kills: how many times.
        children: the share of the kills that befall a child, where there is one.
    """
    running = [start(*arguments), start(*arguments)]
    done = 0
    while done < kills:
        feed.top_up()
        victim = chance.randrange(2)
        running[victim].started()
        time.sleep(chance.uniform(0.0, 0.15))  # the random moment is what this is about
        offspring = running[victim].children()
        if offspring and chance.random() < children:
            _kill(chance.choice(offspring))
        else:
            running[victim].kill()
            running[victim] = start(*arguments)
        done += 1
    for one in running:
        one.kill()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
