"""The child that stands by while a worker is idle takes the next job, and whatever becomes of it, no job is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import taskq
from taskq.hook import Hook, PerformContext
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, is_alive, wait_until

Start = Callable[..., RunningWorker]


class KnowsTheJob(Hook):
    """Wants to be told before the fork, which job it is for."""

    name = "knows_the_job"

    def before_fork(self, context: PerformContext) -> None:
        """It is known."""


hooked = taskq.TaskQ(hooks=(KnowsTheJob(),)) if "TASKQ_TEST_JOURNAL" in os.environ else None
"""What a worker of ours runs for with `--app`; it has the broker from its environment."""


def standby(running: RunningWorker) -> int:
    """Wait for the child that stands by. Its pid."""
    wait_until(lambda: [title(child) for child in running.children()] == ["resque-3 taskq: Standing by"])
    return running.children()[0]


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    except OSError:
        return ""


def performed_by(journal: Journal, number: int) -> int:
    """Wait for the end of a job. The process that performed it."""
    wait_until(lambda: journal.counts("end")[number])
    [pid] = {int(line.split()[2]) for line in journal.path.read_text().splitlines() if line.split()[1] == str(number)}
    return pid


def test_it_performs_the_next_job_and_another_takes_its_place(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker()
    for number in range(3):
        ready = standby(running)
        fault_jobs.numbered.enqueue(number)
        assert performed_by(journal, number) == ready
        wait_until(partial(is_gone, ready))
    wait_until(lambda: app.info()["processed"] == 3)
    balance(app.broker, journal, ["q"]).assert_kept(range(3))


def test_one_that_was_killed_costs_no_job(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker("--interval", "600", "--beat", "600")
    ready = standby(running)
    os.kill(ready, signal.SIGKILL)
    wait_until(lambda: not is_alive(ready))
    fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) != ready
    wait_until(lambda: app.info()["processed"] == 1)
    balance(app.broker, journal, ["q"]).assert_kept([1])
    assert app.failures.count() == 0


def test_a_job_too_long_to_be_handed_over_gets_a_child_of_its_own(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker()
    ready = standby(running)
    fault_jobs.raises.enqueue(1, "é" * 50_000)
    wait_until(lambda: app.info()["failed"] == 1)
    [(_, _, pid)] = [line.split() for line in journal.path.read_text().splitlines()]
    assert int(pid) != ready
    assert standby(running) == ready


def test_it_ends_with_its_worker(worker: Start) -> None:
    running = worker()
    ready = standby(running)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert not is_alive(ready)


def test_it_does_not_outlive_a_worker_that_is_killed(worker: Start) -> None:
    running = worker()
    ready = standby(running)
    running.send(signal.SIGKILL)
    running.ended()
    wait_until(lambda: not is_alive(ready))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1"])
def test_a_signal_to_it_is_about_nothing(worker: Start, app: taskq.TaskQ, journal: Journal, name: str) -> None:
    running = worker()
    ready = standby(running)
    os.kill(ready, getattr(signal, name))
    fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) == ready


def test_there_is_none_where_a_hook_wants_to_know_the_job_before_the_fork(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("--beat", "0.1", app="tests.faults.test_standby:hooked")
    fault_jobs.numbered.enqueue(1)
    performed_by(journal, 1)
    wait_until(lambda: app.info()["processed"] == 1)
    [info] = app.workers()
    wait_until(lambda: app.workers()[0].raw != info.raw)  # it was idle for long enough to beat
    wait_until(lambda: running.children() == [])
