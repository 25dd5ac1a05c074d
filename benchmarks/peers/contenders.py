"""Who is measured and how each is told to run: its fastest by its own documentation, for one kind of worker each.

That a peer keeps what its worker had when it is killed is not asked here; many do not, and are fast because they may.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import ROOT

__all__ = ["PEERS", "TASKQ", "Contender", "Way"]

_BIN = Path(sys.executable).parent
_NODE = str(ROOT / "benchmarks" / "peers" / "node" / "peer.mjs")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run workers.

    Attributes:
        told: its settings, for people.
        command: what starts it.
        jobs: how many it drains in a few seconds.
        environment: what its module reads beside the server's port.
    """

    told: str
    command: Sequence[str]
    jobs: int = 10_000
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """taskq, or one of its peers.

    Attributes:
        name: what it is called.
        package: what has to be installed, by the name that it is imported by; for node-resque the npm package.
        producer: what runs `benchmarks.peers.producing`.
        imports: what a module that defines a job for it imports; empty where that is no Python.
        bulk: whether it has a way to enqueue many at once.
        ways: how its workers run, by row.
    """

    name: str
    package: str
    producer: Sequence[str]
    imports: str
    ways: Mapping[str, Way]
    bulk: bool = False

    @property
    def is_python(self) -> bool:
        return bool(self.imports)

    @property
    def missing(self) -> str:
        """Why it cannot be measured here; empty where it can."""
        if not self.is_python:
            if shutil.which("node") is None:
                return "there is no node"
            packages = Path(os.environ.get("NODE_PACKAGES", ""), "node_modules", self.package)
            return "" if packages.is_dir() else f"the npm package {self.package} is not installed"
        return "" if importlib.util.find_spec(self.package) else f"the package {self.package} is not installed"


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


_WORKER = (*_module("taskq"), "worker", "--app", "benchmarks.jobs")


def _worker(*arguments: str) -> list[str]:
    return [*_WORKER, "--queue", "bench", *arguments]


TASKQ = Contender(
    "taskq", "taskq", _module("benchmarks.peers.with_taskq"), "from taskq import job", bulk=True,
    ways={
        "inline": Way("--inline", _worker("--inline")),
        "inline-all": Way("--inline --queue '*'", [*_WORKER, "--queue", "*", "--inline"]),
        "ahead": Way("--inline --prefetch 32", _worker("--inline", "--prefetch", "32"), 100_000),
        "children": Way("--jobs-per-fork 1000", _worker("--jobs-per-fork", "1000")),
        "children-ahead": Way(
            "--jobs-per-fork 1000 --prefetch 32", _worker("--jobs-per-fork", "1000", "--prefetch", "32"), 100_000
        ),
        "threads": Way("--threads 8", _worker("--threads", "8")),
        "fork": Way("a child each, one standing by", _worker(), 1_000),
        "machine": Way("--inline --count 2", _worker("--inline", "--count", "2"), 20_000),
        "machine-ahead": Way(
            "--inline --prefetch 32 --count 2", _worker("--inline", "--prefetch", "32", "--count", "2"), 100_000
        ),
        "idle": Way("--inline", _worker("--inline")),
        "idle-fork": Way("a child each, one standing by", _worker()),
    },
)  # fmt: skip


def _rq(*arguments: str) -> list[str]:
    url = "redis://127.0.0.1:{port}"
    return [str(_BIN / "rq"), *arguments, "-u", url, "bench"]


def _celery(*arguments: str) -> list[str]:
    quiet = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    return [*_module("celery"), "-A", "benchmarks.peers.with_celery", "worker", *quiet, *arguments]


def _dramatiq(processes: int, threads: int, jobs: int = 10_000) -> Way:
    told = f"-p {processes} -t {threads}"
    return Way(told, [str(_BIN / "dramatiq"), "benchmarks.peers.with_dramatiq", *told.split()], jobs)


def _huey(kind: str, workers: int) -> Way:
    told = f"-k {kind} -w {workers}"
    return Way(told, [str(_BIN / "huey_consumer"), "benchmarks.peers.with_huey.huey", "-q", *told.split()])


def _taskiq(workers: int) -> Way:
    command = [str(_BIN / "taskiq"), "worker", "benchmarks.peers.with_taskiq:broker", "--log-level", "WARNING"]
    return Way(f"-w {workers}, ListQueueBroker", [*command, "-w", str(workers)])


def _arq(jobs: int) -> Way:
    command = [str(_BIN / "arq"), "benchmarks.peers.with_arq.WorkerSettings"]
    return Way(f"max_jobs {jobs}, poll_delay .01", command, 2_000, {"BENCH_JOBS": str(jobs)})


def _saq(jobs: int, workers: int) -> Way:
    command = [str(_BIN / "saq"), "benchmarks.peers.with_saq.settings", "--quiet", "--workers", str(workers)]
    return Way(f"concurrency {jobs}, --workers {workers}", command, 3_000, {"BENCH_JOBS": str(jobs)})


_SIMPLE = ("-w", "rq.worker.SimpleWorker")

PEERS = (
    Contender(
        "rq", "rq", _module("benchmarks.peers.with_rq"), "from rq import Queue", bulk=True,
        ways={
            "inline": Way("SimpleWorker, result_ttl 0", _rq("worker", "-q", *_SIMPLE), 1_000),
            "fork": Way("its default, result_ttl 0", _rq("worker", "-q"), 150),
            "machine": Way("worker-pool -n 2, SimpleWorker", _rq("worker-pool", "-n", "2", "-q", *_SIMPLE), 1_500),
            "idle": Way("its default", _rq("worker", "-q")),
        },
    ),
    Contender(
        "celery", "celery", _module("benchmarks.peers.with_celery"), "from celery import Celery",
        ways={
            "inline": Way("-P solo, ahead 4", _celery("-P", "solo"), 5_000),
            "ahead": Way("-P solo, ahead 128", _celery("-P", "solo"), 5_000, {"BENCH_PREFETCH": "128"}),
            "children": Way("prefork -c 1, ahead 4", _celery("-c", "1"), 5_000),
            "machine": Way("prefork -c 2, ahead 4", _celery("-c", "2"), 5_000),
            "idle": Way("prefork -c 1", _celery("-c", "1")),
        },
    ),
    Contender(
        "dramatiq", "dramatiq", _module("benchmarks.peers.with_dramatiq"), "import dramatiq.brokers.redis",
        ways={
            "inline": _dramatiq(1, 1, 1_000),
            "ahead": _dramatiq(1, 8),
            "machine": _dramatiq(2, 8),
            "idle": _dramatiq(1, 8),
        },
    ),
    Contender(
        "huey", "huey", _module("benchmarks.peers.with_huey"), "from huey import RedisHuey",
        ways={
            "inline": _huey("thread", 1),
            "children": _huey("process", 1),
            "machine": _huey("process", 2),
            "idle": _huey("thread", 1),
        },
    ),
    Contender(
        "taskiq", "taskiq_redis", _module("benchmarks.peers.with_taskiq"), "from taskiq_redis import ListQueueBroker",
        ways={"ahead": _taskiq(1), "machine": _taskiq(2), "idle": _taskiq(1)},
    ),
    Contender(
        "arq", "arq", _module("benchmarks.peers.with_arq"), "from arq import create_pool",
        ways={"inline": _arq(1), "ahead": _arq(500), "idle": _arq(10)},
    ),
    Contender(
        "saq", "saq", _module("benchmarks.peers.with_saq"), "from saq import Queue",
        ways={"inline": _saq(1, 1), "ahead": _saq(20, 1), "machine": _saq(20, 2), "idle": _saq(10, 1)},
    ),
    Contender(
        "node-resque", "node-resque", ["node", _NODE], "",
        ways={
            "inline": Way("Worker, timeout 10", ["node", _NODE, "worker"]),
            "idle": Way("Worker, timeout 10", ["node", _NODE, "worker"]),
        },
    ),
)  # fmt: skip
