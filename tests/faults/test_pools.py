"""Pools: groups of a file under one supervisor, HUP while jobs run, signals once and twice, and its own end."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, children_of, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]
FILE = """
[group.one]
queues = ["q"]
count = 2

[group.other]
queues = ["other"]
execution = "inline"
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pool.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def busy(worker: Start, app: taskq.TaskQ, journal: Journal, gate: Path, file: Path) -> RunningWorker:
    """A pool of two groups, each of its three workers with a job in hand that ends once the gate is there."""
    for number in range(2):
        fault_jobs.until.enqueue(number, str(gate))
    fault_jobs.until.options(queue="other").enqueue(2, str(gate))
    running = worker("--config", str(file), "-v", "--shutdown-timeout", "60")
    wait_until(lambda: len(journal.counts("start")) == 3)
    return running


def ids(app: taskq.TaskQ) -> dict[str, str]:
    """The queue list of each worker that is registered, by its id."""
    return {worker.id: worker.id.rpartition(":")[2] for worker in app.workers()}


def kept(app: taskq.TaskQ, journal: Journal, numbers: int) -> None:
    found = balance(app.broker, journal, ["q", "other"])
    found.assert_kept(range(numbers))
    assert (found.failed, found.queued, found.in_flight) == ([], [], [])


def test_each_group_has_its_queues_its_number_and_its_model(
    busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    assert sorted(ids(app).values()) == ["other", "q", "q"]
    started = _pids(journal)
    direct = children_of(busy.pid)
    assert started[2] in direct  # inline: in the worker's own process
    assert started[0] not in direct
    gate.touch()
    busy.send(signal.SIGTERM)
    assert busy.ended() == 0
    kept(app, journal, 3)


def _pids(journal: Journal) -> dict[int, int]:
    lines = [line.split() for line in journal.path.read_text().splitlines()]
    return {int(number): int(pid) for what, number, pid in lines if what == "start"}


def test_hup_ends_no_job_and_touches_no_worker_of_an_unchanged_group(
    busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path, file: Path
) -> None:
    before = ids(app)
    file.write_text(FILE.replace('"q"', '"q", "more"') + '[group.third]\nqueues = ["third"]\n')
    busy.send(signal.SIGHUP)
    line = busy.line("read again").string
    assert "Added: third (1 for third). Changed: one (2 for q,more). As before: other." in line
    wait_until(lambda: "third" in ids(app).values())
    assert before.items() <= ids(app).items()  # those of the changed group still have their jobs
    gate.touch()
    wait_until(lambda: sorted(ids(app).values()) == ["other", "q,more", "q,more", "third"])
    [other] = [worker for worker, queues in before.items() if queues == "other"]
    assert other in ids(app)
    fault_jobs.numbered.options(queue="more").enqueue(3)
    fault_jobs.numbered.options(queue="third").enqueue(4)
    wait_until(lambda: len(journal.counts("end")) == 5)
    busy.send(signal.SIGQUIT)
    assert busy.ended() == 0
    kept(app, journal, 5)
    assert app.workers() == []


def test_hup_at_the_whole_group_of_processes_is_one_for_the_supervisor(
    busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    before = ids(app)
    busy.send_group(signal.SIGHUP)
    busy.line("read again. As before: one, other.")
    assert ids(app) == before
    gate.touch()
    wait_until(lambda: len(journal.counts("end")) == 3)
    busy.send(signal.SIGTERM)
    assert busy.ended() == 0
    kept(app, journal, 3)


def test_a_broken_file_is_told_with_all_its_mistakes_and_the_old_one_stays(
    busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path, file: Path
) -> None:
    before = ids(app)
    file.write_text(FILE.replace("count", "cuont").replace('"inline"', '"outline"'))
    busy.send(signal.SIGHUP)
    busy.line("cannot be taken; all stays as it was")
    busy.line(r"pool\.toml \[group\.one\] cuont: .* Did you mean count\?")
    busy.line(r"pool\.toml \[group\.other\] execution: must be .* not 'outline'\.")
    assert ids(app) == before
    gate.touch()
    busy.send(signal.SIGTERM)
    assert busy.ended() == 0
    kept(app, journal, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name)
@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
def test_a_signal_lets_the_jobs_in_hand_end(
    number: signal.Signals, group: bool, busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    (busy.send_group if group else busy.send)(number)
    busy.line("Exiting|the same signal again", times=3)
    gate.touch()
    assert busy.ended() == 0
    kept(app, journal, 3)
    assert app.workers() == []


def test_a_second_signal_hurries_every_group(busy: RunningWorker, app: taskq.TaskQ, journal: Journal) -> None:
    busy.send(signal.SIGTERM)
    busy.line("the same signal again", times=3)
    busy.send(signal.SIGINT)
    assert busy.ended() == 128 + signal.SIGINT
    found = balance(app.broker, journal, ["q", "other"])
    found.assert_kept(range(3))
    assert sorted(found.failed) == [0, 1, 2]


def test_when_the_supervisor_is_killed_every_group_ends_after_its_jobs(
    busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    workers = children_of(busy.pid)
    busy.send(signal.SIGKILL)
    busy.line("The supervisor is gone", times=2)  # the inline one hears it after its job
    gate.touch()
    wait_until(lambda: not any(is_alive(pid) for pid in workers))
    kept(app, journal, 3)
    assert app.workers() == []


def test_a_worker_that_is_killed_is_replaced_in_its_group(
    busy: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    [other] = [worker for worker, queues in ids(app).items() if queues == "other"]
    gate.touch()
    wait_until(lambda: len(journal.counts("end")) == 3)
    os.kill(int(other.split(":")[1]), signal.SIGKILL)
    busy.line(r"Worker 1 of other \(pid \d+\) was killed by SIGKILL; another starts in 1 s\.")
    wait_until(lambda: list(ids(app).values()).count("other") >= 1 and other not in ids(app))
    busy.send(signal.SIGTERM)
    assert busy.ended() == 0


def test_a_group_of_a_range_grows_by_its_own_queues(
    worker: Start, app: taskq.TaskQ, journal: Journal, gate: Path, file: Path
) -> None:
    file.write_text(FILE.replace("count = 2", 'count = "1-3"').replace('"inline"', '"fork"\ncount = "1-3"'))
    for number in range(4):
        fault_jobs.until.enqueue(number, str(gate))
    running = worker("--config", str(file), module="tests.support.hasty")
    running.line(r"more workers? of one, now 3 of 1-3: \d jobs? waits? in q\.")
    wait_until(lambda: sorted(ids(app).values()) == ["other", "q", "q", "q"])
    gate.touch()
    running.line("1 fewer worker of one, now 2 of 1-3")
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert not re.search("of other", running.log)
    kept(app, journal, 4)


def test_a_burst_of_all_groups_ends(worker: Start, app: taskq.TaskQ, journal: Journal, file: Path) -> None:
    for number in range(6):
        fault_jobs.numbered.options(queue=["q", "other"][number % 2]).enqueue(number)
    assert worker("--config", str(file), "--burst").ended() == 0
    kept(app, journal, 6)
