"""The kills again, on a file; producers among them, and a disk that is full when a job ends."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskq
from tests.faults.conftest import LONG, in_every_model
from tests.faults.test_kills import (
    test_crash_between_a_jobs_end_and_its_settling,
    test_kill_of_the_parent_alone_takes_the_child_with_it,
    test_kill_of_workers_and_children_at_random_moments,
    test_kill_with_equal_jobs,
    test_the_orphan_of_a_neighbour_is_found_at_once_on_an_idle_queue,
    test_what_a_dead_worker_left_says_who_and_why,
)
from tests.support import disks, fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import ROOT, RunningWorker, wait_until

__all__ = [
    "test_crash_between_a_jobs_end_and_its_settling",
    "test_kill_of_the_parent_alone_takes_the_child_with_it",
    "test_kill_of_workers_and_children_at_random_moments",
    "test_kill_with_equal_jobs",
    "test_the_orphan_of_a_neighbour_is_found_at_once_on_an_idle_queue",
    "test_what_a_dead_worker_left_says_who_and_why",
]

Start = Callable[..., RunningWorker]

KILLS = 60 if LONG else 6


@dataclass(frozen=True)
class File:
    """In the place of a server."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def assert_sound(self) -> None:
        with sqlite3.connect(self.path) as look:
            assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        look.close()


@pytest.fixture
def server(tmp_path: Path) -> File:
    return File(tmp_path / "jobs.db")


PRODUCER = """
import os, sys
import taskq
from tests.support import fault_jobs
taskq.configure(broker=sys.argv[1])
first, said = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + 100_000):
    fault_jobs.numbered.enqueue(number)
    os.write(said, b"%d\\n" % number)
"""


@pytest.mark.fault(1, model="inline")
@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("query", ["", "?synchronous=full"], ids=["default", "strict"])
def test_kill_of_a_producer_and_a_worker_together(
    query: str, worker: Start, app: taskq.TaskQ, server: File, journal: Journal, tmp_path: Path, chance: random.Random
) -> None:
    """What was acknowledged is there; what was not may be, once."""
    acknowledged: list[int] = []
    for round_ in range(KILLS):
        answers = tmp_path / f"acknowledged-{round_}"
        said = os.open(answers, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        arguments = [server.url + query, str(round_ * 100_000), str(said)]
        producer = subprocess.Popen([sys.executable, "-c", PRODUCER, *arguments], cwd=ROOT, pass_fds=[said])
        os.close(said)
        running = worker("--inline", url=server.url + query)
        running.started()
        wait_until(lambda answers=answers: answers.stat().st_size)  # type: ignore[misc]
        time.sleep(chance.uniform(0.0, 0.2))  # the random moment is what this test is about
        for pid in chance.sample([producer.pid, running.pid], 2):
            os.kill(pid, signal.SIGKILL)
        producer.wait()
        acknowledged += [int(line) for line in answers.read_text().splitlines()]
    assert worker("--inline", "--burst", url=server.url + query).ended(seconds=600) == 0
    server.assert_sound()
    kept = balance(app.broker, journal, ["q"])
    assert kept.missing(acknowledged) == []
    assert kept.in_two_places() == []
    assert kept.ran_twice() == []
    assert (kept.queued, kept.in_flight) == ([], [])
    assert len(kept.failed) <= KILLS
    unknown = set(kept.started) - set(acknowledged)
    assert len(unknown) <= KILLS  # pushed, and killed before it could say so
    assert kept.processed == len(set(acknowledged) | unknown | set(kept.failed))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with disks.small_disk() as disk:
        yield disk


@pytest.mark.fault(11)
@in_every_model("fork", "inline", "children, prefetch")
def test_a_disk_that_is_full_when_a_job_ends(
    model: list[str], worker: Start, journal: Journal, small_disk: Path, tmp_path: Path
) -> None:
    """The worker keeps what became of the job, says so, and settles it when there is room."""
    gate = tmp_path / "gate"
    server = File(small_disk / "jobs.db")
    with taskq.using(server.url) as app:
        fault_jobs.until.enqueue(1, str(gate))
        fault_jobs.raises.enqueue(2, "x" * 30_000)
        running = worker("-v", *model, url=server.url)
        wait_until(lambda: journal.counts("start")[1])
        ballast = disks.fill(small_disk)
        gate.touch()
        running.line("the disk is full|the disk failed")
        ballast.unlink()
        running.line(r"done: .*until")
        wait_until(lambda: app.failures.count() == 1)
        running.send(signal.SIGTERM)
        assert running.ended() == 0
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept([1, 2])
        assert kept.failed == [2]
        assert app.workers() == []
    server.assert_sound()


def test_a_damaged_file_ends_the_worker_naming_it(worker: Start, server: File, app: taskq.TaskQ) -> None:
    app.enqueue(fault_jobs.numbered, 1)
    app.close()
    server.path.write_bytes(b"Dear diary, " * 1000)
    running = worker("--inline")
    assert running.ended() == 2
    assert str(server.path) in running.log
    assert "damaged" in running.log
    assert "Traceback" not in running.log


@pytest.mark.fault(8)
def test_a_file_that_is_deleted_is_told_and_waited_for(
    worker: Start, server: File, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("--inline", "-v", "--interval", "0.1")
    running.started()
    wait_until(app.workers)
    away = server.path.with_name("away")
    server.path.rename(away)
    running.line("was deleted while this process used it")
    away.rename(server.path)
    app.enqueue(fault_jobs.numbered, 1)
    wait_until(lambda: journal.counts("end")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    balance(app.broker, journal, ["q"]).assert_kept([1])
