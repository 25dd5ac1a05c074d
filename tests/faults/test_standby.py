"""The child that stands by while a worker is idle takes the next job, and whatever becomes of it, no job is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import taskq
from taskq.broker import Broker
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


@pytest.mark.fault(2)
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


@pytest.mark.fault(2)
def test_one_that_was_killed_before_it_answered_costs_no_job(
    worker: Start, app: taskq.TaskQ, broker: Broker, journal: Journal
) -> None:
    """The order lies in its pipe: it has no job until it says so."""
    running = worker("-vv")
    ready = standby(running)
    os.kill(ready, signal.SIGSTOP)
    fault_jobs.numbered.enqueue(1)
    running.line(f"Forked {ready}")
    os.kill(ready, signal.SIGKILL)
    assert performed_by(journal, 1) != ready
    wait_until(lambda: app.info()["processed"] == 1)
    balance(app.broker, journal, ["q"]).assert_kept([1])
    assert app.failures.count() == 0


@pytest.mark.fault(2)
@pytest.mark.parametrize("length", [10, 500_000], ids=["a short one", "one longer than a pipe holds"])
def test_one_that_was_killed_after_it_answered_fails_its_job(
    length: int, worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    running = worker()
    ready = standby(running)
    fault_jobs.until.enqueue(1, f"{tmp_path}/{'/' * length}gate")
    wait_until(lambda: journal.counts("start")[1])
    os.kill(ready, signal.SIGKILL)
    wait_until(lambda: app.failures.count() == 1)
    [failure] = app.failures.list(0, 9)
    assert f"pid {ready} SIGKILL" in failure.error
    balance(app.broker, journal, ["q"]).assert_kept([1])


@pytest.mark.fault(14)
def test_a_worker_that_must_end_while_its_child_has_not_answered_gives_the_job_back(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("-vv", "--shutdown-timeout", "0.1")
    ready = standby(running)
    os.kill(ready, signal.SIGSTOP)
    fault_jobs.numbered.enqueue(1)
    fault_jobs.numbered.enqueue(2)
    running.line(f"Forked {ready}")
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.queued, kept.failed) == ([1, 2], [])


def test_a_long_job_is_handed_over_whole(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker()
    ready = standby(running)
    fault_jobs.raises.enqueue(1, "é" * 300_000)
    wait_until(lambda: app.info()["failed"] == 1)
    [(_, _, pid)] = [line.split() for line in journal.path.read_text().splitlines()]
    assert int(pid) == ready
    [failure] = app.failures.list(0, 9)
    assert json.loads(failure.entry)["payload"]["args"] == [1, "é" * 300_000]


def test_it_ends_with_its_worker(worker: Start) -> None:
    running = worker()
    ready = standby(running)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert not is_alive(ready)


@pytest.mark.fault(28)
def test_it_does_not_outlive_a_worker_that_is_killed(worker: Start) -> None:
    running = worker()
    ready = standby(running)
    running.send(signal.SIGKILL)
    running.ended()
    wait_until(lambda: not is_alive(ready))


@pytest.mark.fault(29)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
@pytest.mark.parametrize("term_child", [False, True])
def test_a_signal_to_it_is_about_nothing(
    worker: Start, app: taskq.TaskQ, journal: Journal, name: str, term_child: bool
) -> None:
    running = worker(env={"TERM_CHILD": "1"} if term_child else {})
    ready = standby(running)
    os.kill(ready, getattr(signal, name))
    fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) == ready
    wait_until(lambda: app.info()["processed"] == 1)


@pytest.mark.fault(29)
def test_usr1_to_the_worker_leaves_it_alone(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker("-vv")
    ready = standby(running)
    running.send(signal.SIGUSR1)
    fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) == ready
    wait_until(lambda: app.info()["processed"] == 1)
    assert app.failures.count() == 0


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
