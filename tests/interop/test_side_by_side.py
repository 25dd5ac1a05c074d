"""taskq's and node-resque's workers on one Redis, each looking for the dead: nobody takes the other's living ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.conftest import Shared
from tests.support.workers import is_alive, wait_until

pytestmark = pytest.mark.node

Client = Callable[..., Any]

# node counts in whole seconds, and a worker that starts or is busy may miss one.
STUCK = "3000"
LOOKS = 80  # of node's scheduler, 50 ms each: long enough that whoever is not heard of has been silent for too long


def test_nobody_prunes_the_living_of_the_other(shared: Shared, client: Client) -> None:
    release = shared.journal.with_suffix(".release")
    scheduler = shared.node("scheduler", STUCK)
    node_idle, node_busy = shared.node("worker", "other"), shared.node("worker", "node")
    taskq_idle = shared.taskq_worker("--beat", "0.2", "--dead-after", "1")
    taskq_busy = shared.taskq_worker("--beat", "0.2", "--dead-after", "1")
    shared.app.enqueue_to("node", "waits", str(release))
    node_busy.heard("job")
    client("enqueue", "python", "waits", [str(release)])
    shared.performed(1)
    everybody = {info.id for info in shared.app.workers()}
    assert len(everybody) == 4

    scheduler.heard("poll", times=scheduler.count("poll") + LOOKS)
    late = shared.taskq_worker("--beat", "0.2", "--dead-after", "1")  # which looks as Ruby's do at their start, too
    scheduler.heard("poll", times=scheduler.count("poll") + 5)
    assert {info.id for info in shared.app.workers()} == everybody | {late.started()}
    assert scheduler.count("cleaned") == 0
    assert len(shared.app.working()) == 2

    release.touch()
    assert node_busy.heard("success")["queue"] == "node"
    assert shared.performed(2)[1] == ["done"]
    shared.settled(processed=2)
    shared.app.enqueue_to("python", "echo", 1)
    shared.app.enqueue_to("other", "echo", 2)
    shared.performed(3)
    assert node_idle.heard("success")["result"] == [2]
    assert shared.app.failures.count() == 0
    for worker in (taskq_idle, taskq_busy, late):
        assert "Pruning" not in worker.log
        assert "again" not in worker.log


def test_the_dead_are_found_by_their_own(shared: Shared) -> None:
    """That nobody was pruned above means something: these are."""
    scheduler = shared.node("scheduler", STUCK)
    node_worker = shared.node("worker", "node")
    name = node_worker.heard("ready")["name"]
    taskq_dead = shared.taskq_worker("--beat", "0.2", "--dead-after", "1")
    taskq_dead_id = taskq_dead.started()
    alive = shared.taskq_worker("--beat", "0.2", "--dead-after", "1")
    release = shared.journal.with_suffix(".release")
    shared.app.enqueue_to("node", "waits", str(release))
    node_worker.heard("job")

    os.kill(node_worker.process.pid, signal.SIGKILL)
    os.kill(taskq_dead.pid, signal.SIGKILL)
    assert scheduler.heard("cleaned")["name"] == name
    wait_until(lambda: [info.id for info in shared.app.workers()] == [alive.started()], "the dead are gone")
    [failed] = shared.app.failures.list()
    assert failed.error == "Worker Timeout (killed manually)"
    assert failed.payload is not None
    assert failed.payload.args == (str(release),)
    assert taskq_dead_id not in shared.redis.smembers("resque:taskq:workers")


def test_a_dead_node_worker_without_a_scheduler_is_left_alone(shared: Shared) -> None:
    """As Ruby's are that never beat (WIRE.md section 8): taskq cannot tell it from a living one."""
    node_worker = shared.node("worker", "node")
    shared.app.enqueue_to("node", "waits", str(shared.journal.with_suffix(".release")))
    node_worker.heard("job")
    os.kill(node_worker.process.pid, signal.SIGKILL)
    node_worker.process.wait()
    [before] = shared.app.workers()
    late = shared.taskq_worker("--beat", "0.1", "--dead-after", "0.3")
    heartbeats = {str(shared.redis.hget("resque:workers:heartbeat", late.started()))}
    wait_until(lambda: len(heartbeats | {str(shared.redis.hget("resque:workers:heartbeat", late.started()))}) > 1)
    [after] = [info for info in shared.app.workers() if info.id != late.started()]
    assert after.id == before.id
    assert after.job == before.job


def test_cleaning_of_old_workers_by_hand_does_not_find_taskqs(shared: Shared, client: Client) -> None:
    """node's `cleanOldWorkers` goes by a key `worker` in the record, which neither Ruby nor taskq writes.

    It counts a failure of the worker "undefined", says so, and changes nothing else.
    """
    worker = shared.taskq_worker()
    release = shared.journal.with_suffix(".release")
    client("enqueue", "python", "waits", [str(release)])
    shared.performed(1)
    wait_until(lambda: client("cleanOldWorkers", 0) == {})
    assert [info.id for info in shared.app.working()] == [worker.started()]
    release.touch()
    assert shared.performed(2)[1] == ["done"]
    wait_until(lambda: shared.app.info()["processed"] == 1)
    assert shared.app.failures.count() == 0
    assert "again" not in worker.log


def test_a_living_worker_that_somebody_cleaned_away_by_hand_registers_again(shared: Shared, client: Client) -> None:
    worker = shared.taskq_worker("--beat", "0.2")
    name = worker.started().removesuffix(":python")
    client("forceCleanWorker", name)
    worker.line("Registered again")
    client("enqueue", "python", "echo", [1])
    assert shared.performed(1) == [[1]]
    assert is_alive(worker.pid)
    assert len(shared.app.workers()) == 1
