"""The faults in their short form where each job has a fresh interpreter: `--spawn`."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from tests.faults.test_child_endings import ENDINGS
from tests.faults.test_standby import performed_by, standby
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, is_alive, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

Start = Callable[..., RunningWorker]


def test_each_job_has_an_interpreter_of_its_own_and_the_next_one_stands_by(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("--spawn", "-vv")
    running.line("Jobs are performed in a fresh interpreter each")
    first = standby(running)
    fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) == first
    wait_until(lambda: first not in running.children())
    second = standby(running)
    fault_jobs.numbered.enqueue(2)
    assert performed_by(journal, 2) == second != first
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    balance(app.broker, journal, ["q"]).assert_kept([1, 2])


@pytest.mark.fault(2, model="spawn")
@pytest.mark.parametrize("how", ["sigkill", "sigsegv", "_exit 3", "sys.exit"])
def test_a_child_that_ends_by_any_means_fails_its_job_and_no_other(
    how: str, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 2."""
    fault_jobs.dies.enqueue(1, how)
    fault_jobs.numbered.enqueue(2)
    assert worker("--spawn", "--burst").ended() == 0
    [failure] = app.failures.list(0, 9)
    exception, message = ENDINGS[how]
    assert failure.exception == exception
    assert re.search(message, failure.error), failure.error
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert kept.ended[2] == 1


@pytest.mark.fault(28, model="spawn")
def test_kill_of_the_parent_alone_takes_the_children_with_it(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    """Fault 28: the one that performs and the one that stands by, within a second."""
    fault_jobs.numbered.enqueue(1, 600)
    running = worker("--spawn")
    wait_until(lambda: journal.counts("start")[1])
    wait_until(lambda: len(running.children()) == 2)
    children = running.children()
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in children), seconds=1)
    assert worker("--spawn", "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]


@pytest.mark.fault(14, model="spawn")
@pytest.mark.parametrize("seconds", ["60", "0.2"])
def test_term_gives_the_job_in_hand_its_time(
    seconds: str, worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    """Fault 14."""
    fault_jobs.until.enqueue(1, f"{tmp_path}/gate")
    fault_jobs.numbered.enqueue(2)
    running = worker("--spawn", "-v", "--shutdown-timeout", seconds)
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    running.line("Exiting")
    if seconds == "60":
        (tmp_path / "gate").touch()
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.queued) == ([] if seconds == "60" else [1], [2])


@pytest.mark.fault(14, model="spawn")
def test_term_child_hands_term_on(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.cleans_up.enqueue(1)
    running = worker("--spawn", env={"TERM_CHILD": "1"})
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert [failure.exception for failure in app.failures.list(0, 9)] == ["Resque::TermException"]
    balance(app.broker, journal, ["q"]).assert_kept([1])


@pytest.mark.fault(29, model="spawn")
def test_signals_to_the_one_that_stands_by_are_about_nothing(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    """Fault 29: from its very first moment, when it is no more than an interpreter that starts."""
    running = worker("--spawn")
    wait_until(running.children)
    [first] = running.children()
    for _ in range(2):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(first, number)
        assert standby(running) == first
    fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) == first
    wait_until(lambda: app.info()["processed"] == 1)
    assert app.failures.count() == 0


@pytest.mark.fault(2, model="spawn")
@pytest.mark.parametrize("stopped", [True, False], ids=["with its order in the pipe", "before it has one"])
def test_the_death_of_one_that_stands_by_costs_no_job(
    stopped: bool, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("--spawn", "-vv")
    ready = standby(running)
    if stopped:
        os.kill(ready, signal.SIGSTOP)
        fault_jobs.numbered.enqueue(1)
        running.line(f"Forked {ready}")
        _kill(ready)
    else:
        _kill(ready)
        fault_jobs.numbered.enqueue(1)
    assert performed_by(journal, 1) != ready
    wait_until(lambda: app.info()["processed"] == 1)
    assert app.failures.count() == 0
    balance(app.broker, journal, ["q"]).assert_kept([1])


def test_an_interpreter_that_cannot_have_the_application_costs_no_job(
    worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    running = worker("--spawn", app="tests.support.spawned_jobs", env={"TASKQ_TEST_BROKEN": str(broken)})
    fault_jobs.numbered.enqueue(1)
    running.line("A spawned interpreter cannot have the application: .*this interpreter does not have it")
    running.line(
        r"numbered \| \[1\]\) was not begun and goes back: process \d+ .* ended with status 2 before it had it"
    )
    broken.unlink()
    wait_until(lambda: app.info()["processed"] == 1)
    balance(app.broker, journal, ["q"]).assert_kept([1])
    assert app.failures.count() == 0


def test_objects_of_the_application_are_its_own_in_each_interpreter(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1)
    running = worker("--spawn", "--burst", app="tests.support.spawned_jobs:app")
    assert running.ended() == 0
    told = dict(journal.lines())
    assert told["before_fork"] == running.pid
    assert told["after_fork"] != running.pid


def test_nothing_of_the_configuration_is_in_its_command(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker("--spawn", "--host", "secretive")
    wait_until(running.children)
    [child] = running.children()
    words = Path(f"/proc/{child}/cmdline").read_bytes()
    assert b"redis://" not in words
    assert b"secretive" not in words


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.mark.fault(1, model="spawn")
def test_one_in_hand_while_its_interpreter_starts_is_not_suspected_of_the_deaths_of_its_workers(
    worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    """Fault 1: an interpreter takes long to start, and kills hit that time as a rule; only the first counts."""
    gate = tmp_path / "gate"
    arguments = ("--spawn", "--on-crash", "requeue")
    variables = {"TASKQ_TEST_GATE": str(gate), "TASKQ_TEST_JOURNAL": str(journal.path)}
    fault_jobs.numbered.enqueue(1)
    for _ in range(6):
        running = worker(*arguments, app="tests.support.slow_start", env=variables)
        running.started()
        wait_until(lambda running=running: len(running.children()) == 2)  # type: ignore[misc]  # one for the job, and the next one
        running.kill()
    gate.touch()
    assert worker(*arguments, "--burst", app="tests.support.slow_start", env=variables).ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert (kept.failed, kept.started[1], kept.ended[1]) == ([], 1, 1)
