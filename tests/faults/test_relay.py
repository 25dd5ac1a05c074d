"""Children that run the loop themselves (`--jobs-per-fork N`): what each does, who follows, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.faults.conftest import push_numbers
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]
FIVE = ("--jobs-per-fork", "5", "-v")


def performers(journal: Journal) -> list[int]:
    """The processes that performed, in order."""
    return [number for what, number in journal.lines() if what == "pid"]


def taken_for_dead(app: taskq.TaskQ, entry: bytes) -> None:
    """Recover the worker. Who recovers has to have seen it as it is: its next child may say something meanwhile."""

    def recovers() -> bool:
        (seen,) = app.broker.workers()
        return bool(app.broker.recover(seen, entry))

    wait_until(recovers)


def is_paused(pid: int) -> bool:
    return b"Paused" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_each_performs_so_many_and_the_next_takes_over(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    for number in range(12):
        fault_jobs.tells_pid.enqueue(number)
    running = worker(*FIVE, "--burst")
    assert running.ended() == 0
    pids = performers(journal)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [5, 5, 2]
    assert running.pid not in pids
    assert app.info()["processed"] == 12


def test_one_that_has_grown_is_replaced_after_its_job(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.tells_pid.enqueue(1)
    fault_jobs.tells_pid.enqueue(2)
    fault_jobs.grows.enqueue(3, 300)
    fault_jobs.tells_pid.enqueue(4)
    assert worker("--jobs-per-fork", "1000", "--recycle-at-mib", "250", "--burst").ended() == 0
    first, second, grown, last = performers(journal)
    assert first == second == grown
    assert last != grown
    assert app.failures.count() == 0


def test_one_that_is_too_big_from_the_start_performs_a_job_all_the_same(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    for number in range(3):
        fault_jobs.tells_pid.enqueue(number)
    running = worker("--jobs-per-fork", "1000", "--recycle-at-mib", "1", "--burst")
    assert running.ended() == 0
    assert len(set(performers(journal))) == 3
    assert running.log.count("A child is replaced after each job") == 1


@pytest.mark.fault(2, model="children")
@pytest.mark.parametrize("arguments", [(), FIVE, ("--count", "2", "--inline")], ids=["fork", "children", "supervised"])
def test_the_collector_of_a_child_leaves_alone_what_its_parent_loaded(
    arguments: tuple[str, ...], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.tells_frozen.enqueue(1)
    assert worker(*arguments, "--burst").ended() == 0
    ((_, count),) = journal.lines()
    assert count > 10_000


def test_the_next_one_stands_by_and_its_death_fails_nothing(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker(*FIVE)
    running.started()
    wait_until(lambda: len(running.children()) == 2)
    fault_jobs.tells_pid.enqueue(1)
    wait_until(lambda: performers(journal))
    (at_work,) = performers(journal)
    (standby,) = [pid for pid in running.children() if pid != at_work]
    os.kill(standby, signal.SIGTERM)
    os.kill(standby, signal.SIGUSR1)
    os.kill(standby, signal.SIGKILL)
    wait_until(lambda: standby not in running.children() and len(running.children()) == 2)
    for number in range(2, 8):
        fault_jobs.tells_pid.enqueue(number)
    wait_until(lambda: len(performers(journal)) == 7)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert app.failures.count() == 0


def test_usr1_is_about_nothing_where_no_job_is_in_hand(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.tells_pid.enqueue(1)
    running = worker(*FIVE)
    running.line("done:")
    wait_until(lambda: app.info()["processed"] == 1)
    running.send(signal.SIGUSR1)
    running.send(signal.SIGUSR2)
    wait_until(lambda: any(is_paused(pid) for pid in running.children()))  # so its parent has heard USR1 too
    running.send(signal.SIGCONT)
    fault_jobs.tells_pid.enqueue(2)
    running.line("done:", times=2)
    assert len(set(performers(journal))) == 1
    assert "USR1" not in running.log
    running.send(signal.SIGQUIT)
    assert running.ended() == 0


@pytest.mark.fault(14, model="children")
def test_after_its_time_the_job_hears_an_exception_and_what_swallows_that_is_killed(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.cleans_up.enqueue(1)
    running = worker(*FIVE, "--shutdown-timeout", "0.3")
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    fault_jobs.ignores.enqueue(2)
    running = worker(*FIVE, "--shutdown-timeout", "0.3")
    wait_until(lambda: journal.counts("start")[2])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert journal.counts("ignored")[2] == 1
    first, second = [failed.exception for failed in app.failures.list(0, 10, newest_first=False)]
    assert first == "Resque::TermException"
    assert second == "Resque::DirtyExit"
    kept = balance(app.broker, journal, ["q"])
    assert (kept.queued, kept.in_flight) == ([], [])
    assert app.workers() == []


@pytest.mark.fault(14, model="children")
def test_a_second_signal_kills_at_once(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.ignores.enqueue(1)
    running = worker(*FIVE, "--shutdown-timeout", "600")
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGINT)
    running.line("Exiting")
    running.send(signal.SIGTERM)
    assert running.ended() == 128 + signal.SIGTERM
    assert app.failures.count() == 1


@pytest.mark.fault(14, model="children")
def test_usr1_kills_the_job_in_hand_and_the_worker_goes_on(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.ignores.enqueue(1)
    running = worker(*FIVE)
    wait_until(lambda: journal.counts("start")[1])
    fault_jobs.numbered.enqueue(2)
    running.send(signal.SIGUSR1)
    wait_until(lambda: journal.counts("end")[2])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    (failed,) = app.failures.list(0, 10)
    assert failed.exception == "Resque::DirtyExit"


def test_a_paused_worker_stays_paused_where_another_child_takes_over(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("--jobs-per-fork", "5", "-vv")
    running.line("Sleeping for")
    before = set(running.children())
    running.send(signal.SIGUSR2)
    running.line("Paused")
    fault_jobs.tells_pid.enqueue(1)
    os.kill(running.at_work(), signal.SIGKILL)
    wait_until(lambda: len(set(running.children()) - before) == 1 and len(running.children()) == 2)
    running.line("Paused", times=2)
    assert performers(journal) == []
    running.send(signal.SIGCONT)
    wait_until(lambda: performers(journal))
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert app.failures.count() == 0


def test_one_that_is_stopped_and_goes_on_stays_paused(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker("--jobs-per-fork", "5", "-vv")
    running.line("Sleeping for")
    child = running.at_work()
    running.send(signal.SIGUSR2)
    running.line("Paused")
    fault_jobs.tells_pid.enqueue(1)
    running.send(signal.SIGUSR1)  # stops it, finds no job, and has it go on
    os.kill(child, signal.SIGCONT)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert performers(journal) == []


def test_one_that_waits_out_a_pause_is_the_one_that_goes_on(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker("--jobs-per-fork", "5", "-vv")
    running.line("Sleeping for")
    running.send(signal.SIGUSR2)
    running.line("Paused")
    running.send(signal.SIGCONT)
    running.line("Sleeping for", times=2)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert "Traceback" not in running.log
    assert "with no job in hand" not in running.log


@pytest.mark.fault(8, model="children")
def test_the_job_after_one_that_ended_in_time_is_not_killed_for_that_by_a_parent_that_was_held_up(
    worker: Start, app: taskq.TaskQ, journal: Journal, server: RedisServer, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    fault_jobs.limited_until.enqueue(1, str(first))
    fault_jobs.until.enqueue(2, str(second))
    running = worker(*FIVE, "--timeout-grace", "0.1", "--beat", "0.1", "--dead-after", "60")
    wait_until(lambda: journal.counts("start")[1])
    began = time.monotonic()
    with server.frozen():  # the parent waits for an answer to its heartbeat
        first.touch()
        wait_until(lambda: journal.counts("end")[1])
        wait_until(lambda: time.monotonic() > began + 0.8)
    wait_until(lambda: journal.counts("start")[2])
    second.touch()
    wait_until(lambda: journal.counts("end")[2])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert app.failures.count() == 0


def test_children_that_hang_after_their_leg_hold_up_no_end(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    for _ in range(4):
        app.enqueue_to("q", "prints", "one")
    hangs = {"app": "tests.support.exiting_hooks:app", "env": {"EXITS_IN": "flush", "EXITS_BY": "hanging"}}
    running = worker("--jobs-per-fork", "2", "--shutdown-timeout", "0.2", **hangs)
    wait_until(lambda: app.info()["processed"] == 4)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert app.workers() == []


@pytest.mark.fault(28, model="children")
def test_no_child_outlives_its_parent(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    """Fault 28."""
    fault_jobs.numbered.enqueue(1, 600)
    running = worker(*FIVE)
    wait_until(lambda: journal.counts("start")[1])
    wait_until(lambda: len(running.children()) == 2)
    children = running.children()
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in children), seconds=1)
    assert worker("--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]


@pytest.mark.fault(6, model="children")
def test_one_that_was_taken_for_dead_registers_anew_and_its_late_settle_is_refused(
    worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    fault_jobs.until.enqueue(1, str(gate))
    running = worker(*FIVE, "--beat", "60", "--dead-after", "600")
    wait_until(lambda: journal.counts("start")[1])
    taken_for_dead(app, b'{"payload":{"class":"until","args":[1]}}')
    push_numbers(app, 8, first=2)
    gate.touch()
    running.line("is not this worker's any more")
    wait_until(lambda: journal.counts("end")[9])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert running.log.count("Registered again") == 1
    assert app.info()["processed"] == 9
    assert app.workers() == []


@pytest.mark.fault(6, model="children")
def test_one_that_dies_after_it_was_taken_for_dead_leaves_one_registration(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    running = worker(*FIVE, "--beat", "60", "--dead-after", "600")
    wait_until(lambda: journal.counts("start")[1] and len(running.children()) == 2)
    taken_for_dead(app, b'{"payload":{"class":"numbered","args":[1,600]}}')
    running.send(signal.SIGUSR1)
    running.line("Registered again")
    fault_jobs.numbered.enqueue(2)
    wait_until(lambda: journal.counts("end")[2])
    assert len(app.workers()) == 1
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert running.log.count("Registered again") == 1
    assert app.workers() == []


@pytest.mark.fault(2, model="children")
def test_children_that_die_without_a_job_are_not_forked_as_fast_as_can_be(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker(*FIVE)
    running.started()
    for times in range(1, 5):
        wait_until(lambda: len(running.children()) == 2)
        for pid in running.children():
            os.kill(pid, signal.SIGKILL)
        running.line("with no job in hand", times=times)
    running.line(r"the next one runs in \d")
    fault_jobs.numbered.enqueue(1)
    wait_until(lambda: journal.counts("end")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert app.failures.count() == 0
