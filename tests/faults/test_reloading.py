"""`--reload`: new code at each change, what is in hand ends first, and nothing is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, children_of, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

CODE = """
import os, time
import taskq

VERSION = {version!r}

def note(what, number):
    with open(os.environ["TASKQ_TEST_JOURNAL"], "a") as journal:
        journal.write(f"{{what}} {{number}} {{os.getpid()}}\\n")

@taskq.job(queue="q")
def until(number, gate):
    note("start", number)
    while not os.path.exists(gate):
        time.sleep(0.005)
    print("version", VERSION, flush=True)
    note("end", number)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "__init__.py").touch()
    write(folder, "one")
    return folder


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def start(worker: Start, project: Path) -> Start:
    def started(*arguments: str) -> RunningWorker:
        running = worker("--reload", *arguments, app="shop.jobs", cwd=project)
        running.started()
        wait_until(lambda: len(children_of(running.pid)) == 2)
        return running

    return started


def write(project: Path, version: str) -> None:
    (project / "shop" / "jobs.py").write_text(CODE.format(version=version))


def changed(running: RunningWorker, project: Path, version: str, *, times: int = 1) -> None:
    """Change the code until it is seen: the files are watched a moment later than the worker starts."""
    for attempt in range(60):
        write(project, f"{version}{attempt}")
        try:
            running.line(r"shop/jobs\.py changed; the worker starts again\.", seconds=0.5, times=times)
            return
        except AssertionError:
            continue
    raise AssertionError("the change was never seen")


def enqueue(app: taskq.TaskQ, number: int, gate: Path) -> None:
    app.enqueue_to("q", "until", number, str(gate))


def test_new_code_performs_after_a_change_and_what_was_in_hand_ends_with_the_old(
    start: Start, app: taskq.TaskQ, project: Path, gate: Path, journal: Journal
) -> None:
    running = start("-v", "--shutdown-timeout", "60")
    enqueue(app, 0, gate)
    wait_until(lambda: journal.counts("start")[0])
    enqueue(app, 1, gate)
    changed(running, project, "two")
    running.line("the same signal again ends it now")
    assert journal.counts("start")[1] == 0
    gate.touch()
    running.line("Starting worker", times=2)
    wait_until(lambda: journal.counts("end")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    said = [line.split()[1] for line in running.output if line.startswith("version")]
    assert said[0] == "one"
    assert said[1].startswith("two")
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([0, 1])
    assert kept.failed == []
    assert len(app.workers()) == 0


def test_a_job_that_takes_longer_than_the_timeout_is_failed_and_the_new_code_comes(
    start: Start, app: taskq.TaskQ, project: Path, gate: Path, journal: Journal
) -> None:
    running = start("-v", "--shutdown-timeout", "0.3")
    enqueue(app, 0, gate)
    wait_until(lambda: journal.counts("start")[0])
    changed(running, project, "two")
    running.line("Starting worker", times=2)
    assert balance(app.broker, journal, ["q"]).failed == [0]


def test_code_that_does_not_import_is_said_and_waits_for_the_next_change(
    start: Start, app: taskq.TaskQ, project: Path, gate: Path, journal: Journal
) -> None:
    running = start()
    changed(running, project, "two")
    running.line("Starting worker", times=2)
    (project / "shop" / "jobs.py").write_text("import taskq\ndef broken(\n")
    running.line(r"--app: shop\.jobs does not import: SyntaxError")
    running.line(r"The worker ended with 2\. Another starts when a file changes\.")
    assert len(children_of(running.pid)) == 1
    write(project, "three")
    running.line("Starting worker", times=3)
    running.send(signal.SIGINT)
    assert running.ended() == 0


def test_it_starts_with_code_that_does_not_import(worker: Start, app: taskq.TaskQ, project: Path) -> None:
    (project / "shop" / "jobs.py").write_text("import nothing_of_that_name\n")
    running = worker("--reload", app="shop.jobs", cwd=project)
    running.line(r"shop\.jobs does not import: ModuleNotFoundError")
    running.line("Another starts when a file changes")
    running.send(signal.SIGTERM)
    assert running.ended() == 0


def test_what_is_no_python_is_none_of_its_business(start: Start, app: taskq.TaskQ, project: Path) -> None:
    running = start()
    changed(running, project, "two")
    running.line("Starting worker", times=2)
    (project / "shop" / "notes.txt").write_text("x")
    (project / "__pycache__").mkdir(exist_ok=True)
    (project / "__pycache__" / "x.py").write_text("x")
    (project / "beside.py").write_text("")
    running.line(r"^\*\*\* beside\.py changed")
    running.line("Starting worker", times=3)
    assert "notes" not in running.log
    assert "__pycache__" not in running.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name)
@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("count", ["1", "2"])
def test_a_signal_lets_the_job_in_hand_end_and_nothing_is_left(
    number: signal.Signals,
    group: bool,
    count: str,
    start: Start,
    app: taskq.TaskQ,
    gate: Path,
    journal: Journal,
) -> None:
    running = start("-v", "--shutdown-timeout", "60", "--count", count)
    enqueue(app, 0, gate)
    wait_until(lambda: journal.counts("start")[0])
    children = children_of(running.pid)
    (running.send_group if group else running.send)(number)
    running.line("Exiting|the same signal again")
    gate.touch()
    assert running.ended() == 0
    assert not any(is_alive(pid) for pid in children)
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([0])
    assert kept.failed == []
    assert app.workers() == []


def test_a_second_signal_hurries(start: Start, app: taskq.TaskQ, gate: Path, journal: Journal) -> None:
    running = start("--shutdown-timeout", "60")
    enqueue(app, 0, gate)
    wait_until(lambda: journal.counts("start")[0])
    running.send(signal.SIGTERM)
    running.line("the same signal again")
    running.send(signal.SIGINT)
    assert running.ended() == 128 + signal.SIGINT
    assert balance(app.broker, journal, ["q"]).failed == [0]


@pytest.mark.parametrize("count", ["1", "2"])
def test_when_it_is_killed_the_workers_end_after_their_jobs(
    count: str, start: Start, app: taskq.TaskQ, gate: Path, journal: Journal
) -> None:
    running = start("--count", count)
    running.line("Starting worker", times=int(count))
    enqueue(app, 0, gate)
    wait_until(lambda: journal.counts("start")[0])
    children = children_of(running.pid)
    everybody = [*children, *(pid for child in children for pid in children_of(child))]
    running.send(signal.SIGKILL)
    running.line("The supervisor is gone")
    gate.touch()
    wait_until(lambda: not any(is_alive(pid) for pid in everybody))
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([0])
    assert kept.failed == []
    assert app.workers() == []


def test_several_workers_are_all_replaced(start: Start, app: taskq.TaskQ, project: Path) -> None:
    running = start("--count", "2")
    running.line("Starting worker", times=2)
    before = {worker.id for worker in app.workers()}
    changed(running, project, "two")
    running.line("Starting worker", times=4)
    wait_until(lambda: len(app.workers()) == 2)
    assert not before & {worker.id for worker in app.workers()}


def test_a_pool_reads_its_file_on_hup(start: Start, app: taskq.TaskQ, project: Path) -> None:
    (project / "pool.toml").write_text('[group.a]\nqueues = "q"\n')
    running = start("--config", "pool.toml")
    (project / "pool.toml").write_text('[group.a]\nqueues = "q"\n[group.b]\nqueues = "r"\n')
    running.send(signal.SIGHUP)
    running.line(r"read again\. Added: b \(1 for r\)\. As before: a\.")
    running.line("Starting worker", times=2)
    changed(running, project, "two")
    running.line("Starting worker", times=4)
    running.send(signal.SIGTERM)
    assert running.ended() == 0


def test_the_pid_file_names_who_takes_signals(start: Start, app: taskq.TaskQ, project: Path) -> None:
    running = start("--pidfile", "pid")
    assert (project / "pid").read_text() == str(running.pid)


def test_a_watcher_that_dies_is_said_and_the_worker_goes_on(start: Start, app: taskq.TaskQ) -> None:
    running = start()
    [watcher] = [pid for pid in children_of(running.pid) if pid != int(running.started().split(":")[1])]
    os.kill(watcher, signal.SIGKILL)
    running.line(r"The process that watches the files ended with -9; changes go unseen\.")
    assert len(app.workers()) == 1
