"""Fault 2: the child dies by any means. Its job is failed with the reason, the worker lives, the next job runs."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from tests.faults.conftest import in_every_isolated_model
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, is_alive, wait_until

ENDINGS = {
    "sigkill": ("Resque::DirtyExit", r"^Child process received unhandled signal pid \d+ SIGKILL \(signal 9\)$"),
    "sigsegv": ("Resque::DirtyExit", r"^Child process received unhandled signal pid \d+ SIGSEGV \(signal 11\)$"),
    "abort": ("Resque::DirtyExit", r"^Child process received unhandled signal pid \d+ SIGABRT \(signal 6\)$"),
    "stack": ("Resque::DirtyExit", r"^Child process received unhandled signal pid \d+ SIGSEGV \(signal 11\)$"),
    "_exit 0": ("Resque::DirtyExit", r"^Child process exited with status 0 without finishing the job"),
    "_exit 3": ("Resque::DirtyExit", r"^Child process exited with status 3 without finishing the job"),
    "sys.exit": ("SystemExit", r"^exit 4$"),
    "memory": ("MemoryError", r"MemoryError"),
    "orphan and kill": ("Resque::DirtyExit", r"SIGKILL"),
}


@pytest.mark.fault(2)
@pytest.mark.redis
@in_every_isolated_model("fork")
@pytest.mark.parametrize("how", ENDINGS)
def test_the_job_fails_with_the_reason_and_the_worker_goes_on(
    how: str, model: list[str], app: taskq.TaskQ, worker: Callable[..., RunningWorker], journal: Journal
) -> None:
    fault_jobs.dies.enqueue(1, how)
    fault_jobs.numbered.enqueue(2)
    assert worker(*model, "--burst").ended() == 0
    (failure,) = app.failures.list(0, 9)
    exception, message = ENDINGS[how]
    assert failure.exception == exception
    assert re.search(message, failure.error), failure.error
    assert json.loads(failure.entry)["payload"]["args"][0] == 1
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert kept.ended[2] == 1


@pytest.mark.fault(2)
@pytest.mark.redis
@in_every_isolated_model("fork")
@pytest.mark.parametrize("how", ["stdout", "children"])
def test_a_job_that_closes_its_output_or_leaves_children_is_done(
    how: str, model: list[str], app: taskq.TaskQ, worker: Callable[..., RunningWorker], journal: Journal
) -> None:
    fault_jobs.dies.enqueue(1, how)
    fault_jobs.numbered.enqueue(2)
    running = worker(*model, "--burst")
    wait_until(lambda: running.process.poll() is not None)
    assert running.process.returncode == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert kept.failed == []


@pytest.mark.fault(2)
@pytest.mark.redis
def test_a_job_that_closes_every_descriptor_fails_and_finds_nothing_of_ours_in_its_files(
    app: taskq.TaskQ, worker: Callable[..., RunningWorker], journal: Journal
) -> None:
    fault_jobs.dies.enqueue(1, "descriptors")
    fault_jobs.numbered.enqueue(2)
    assert worker("--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert kept.failed == [1]
    assert Path(f"{journal.path}.other").read_bytes() == b""


@pytest.mark.fault(2)
@pytest.mark.redis
@in_every_isolated_model("fork")
def test_what_a_killed_child_left_running_is_killed_with_it(
    model: list[str], app: taskq.TaskQ, worker: Callable[..., RunningWorker], journal: Journal
) -> None:
    fault_jobs.dies.enqueue(1, "orphan and kill")
    assert worker(*model, "--burst").ended() == 0
    (grandchild,) = (number for what, number in journal.lines() if what == "grandchild")
    wait_until(lambda: not is_alive(grandchild))


@pytest.mark.fault(2)
@pytest.mark.redis
def test_usr1_kills_the_job_in_hand_and_the_worker_goes_on(
    app: taskq.TaskQ, worker: Callable[..., RunningWorker], journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    running = worker("-v")
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGUSR1)
    running.line(r"failed: #<Resque::DirtyExit: .*SIGKILL")
    fault_jobs.numbered.enqueue(2)
    wait_until(lambda: journal.counts("end")[2])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    balance(app.broker, journal, ["q"]).assert_kept([1, 2])
