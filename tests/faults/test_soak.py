"""Fault 25, a soak: jobs, failures and restarts by the thousand; memory, descriptors, zombies and keys stay flat.

`make soak` is the whole: 1,000,000 jobs, 10,000 failures and 1,000 restarts for each way to run jobs.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.faults.conftest import MODELS
from tests.support import fault_jobs
from tests.support.workers import RunningWorker, children_of, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

SOAK = int(os.environ.get("TASKQ_SOAK") or 0)
"""How many restarts, with 1,000 jobs to each (`make soak`); 0 is the short form."""

JOBS, RESTARTS = (1000 * SOAK, SOAK) if SOAK else (200_000, 4)
FAILING = 100  # one job in so many
QUICK = ["--prefetch", "32"]
CHOSEN = {
    "inline, prefetch": ["--inline", *QUICK],
    **(
        {
            "threads, prefetch": ["--threads", "4", *QUICK],
            "async, prefetch": ["--async", "4", *QUICK],
            "children, prefetch": ["--jobs-per-fork", "1000", *QUICK],
            "fork": MODELS["fork"],
        }
        if SOAK
        else {}
    ),
}
SHARE = {"fork": 20}
"""Of the jobs only one in so many, where each costs a fork: 50,000."""

MIB = 2**20
MEMORY_MOST = 2 * MIB


@dataclass(frozen=True)
class Sample:
    """What a worker has of the machine, and all workers of the broker."""

    memory: int
    descriptors: int
    threads: int
    zombies: int
    keys: int


def sample(pid: int, server: RedisServer) -> Sample:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    with server.client() as client:
        keys = sum(client.ttl(key) == -1 for key in client.scan_iter())  # those that expire come and go
    return Sample(
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        threads=len(os.listdir(f"/proc/{pid}/task")),
        zombies=sum(not is_alive(child) for child in children_of(pid)),
        keys=keys,
    )


@pytest.mark.fault(25)
@pytest.mark.timeout(7200 if SOAK else 120)
@pytest.mark.parametrize(("name", "model"), CHOSEN.items(), ids=CHOSEN)
def test_nothing_grows(
    name: str, model: Sequence[str], worker: Start, app: taskq.TaskQ, server: RedisServer, chance: random.Random
) -> None:
    """One worker stays from start to end, and is measured; another is ended or killed again and again beside it."""
    each = JOBS // SHARE.get(name, 1) // RESTARTS
    good = fault_jobs.does_nothing.call()
    bad = fault_jobs.fails.call()
    batch = [bad if number % FAILING == 0 else good for number in range(each)]
    arguments = (*model, "--beat", "1", "--dead-after", "10")
    steady = worker(*arguments)
    steady.started()
    kills = 0
    samples: list[Sample] = []
    for restart in range(RESTARTS):
        other = worker(*arguments)
        other.started()
        app.enqueue_many(batch)
        most = chance.randrange(each)
        wait_until(lambda most=most: app.size("q") <= most)  # type: ignore[misc]
        if restart % 2:
            other.kill()
            kills += 1
        else:
            other.send(signal.SIGTERM)
            assert other.ended() == 0
        # What a dead one left is back, and all is done.
        done = each * (restart + 1)
        wait_until(lambda done=done: app.info()["processed"] == done, seconds=120)  # type: ignore[misc]
        wait_until(lambda: len(app.broker.workers()) == _workers(model))
        samples.append(sample(steady.pid, server))
    steady.send(signal.SIGQUIT)
    assert steady.ended() == 0
    info = app.info()
    assert (info["processed"], info["pending"]) == (each * RESTARTS, 0)
    failing = sum(call is bad for call in batch) * RESTARTS
    assert failing <= info["failed"] <= failing + kills * _workers(model)
    assert app.failures.count() == info["failed"]
    # The first after a kill at the earliest: what is noted of the dead is there from then on.
    first, last = samples[max(len(samples) // 5, 1)], samples[-1]
    print(f"{each * RESTARTS:,} jobs, {failing:,} failures, {RESTARTS:,} restarts\nfirst {first}\nlast  {last}")
    assert last.memory - first.memory < MEMORY_MOST
    assert last.descriptors <= first.descriptors + 2  # children come and go
    assert last.threads <= first.threads
    assert max(each.zombies for each in samples) <= 2  # one that has just died, and one that did while we looked
    assert last.keys <= first.keys
    with server.client() as client:
        assert [key for key in client.scan_iter() if b":worker:" in key or b":ahead:" in key] == []


def _workers(model: Sequence[str]) -> int:
    return 4 if {"--threads", "--async"} & set(model) else 1
