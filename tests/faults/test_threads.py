"""Faults of a process with many jobs in hand, in threads or on an event loop: what cannot be killed, what takes all."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.support import fault_jobs
from tests.support.journal import Journal, balance, number_of
from tests.support.workers import RunningWorker, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]


def started(journal: Journal, count: int) -> None:
    wait_until(lambda: len(journal.counts("start")) >= count)


@pytest.mark.fault(14, model="threads")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_what_runs_python_is_broken_into_and_what_sits_in_c_is_failed_and_left(
    number: signal.Signals, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.computes.enqueue(1)
    fault_jobs.numbered.enqueue(2, 600)
    fault_jobs.ignores.enqueue(3)
    running = worker("--threads", "3", "-v", "--shutdown-timeout", "0.3")
    started(journal, 3)
    fault_jobs.numbered.enqueue(4)
    running.send(number)
    assert running.ended() == 0
    assert "The 3 jobs in hand have 0.3 s to end" in running.log
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2, 3, 4])
    assert (sorted(kept.failed), kept.queued) == ([1, 2, 3], [4])
    assert kept.ended[1] == 1  # it could clean up
    errors = {number_of(entry.body or b""): (entry.exception, entry.error) for entry in app.failures.list(0, 9)}
    assert errors[1] == ("Resque::TermException", "SIGTERM")
    for left in (2, 3):
        assert errors[left][0] == "Resque::DirtyExit"
        assert "the worker was told to stop, and its time was over" in errors[left][1]
    assert app.workers() == []


@pytest.mark.fault(14, model="threads")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_second_signal_hurries(number: signal.Signals, worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    for job in range(3):
        fault_jobs.numbered.enqueue(job, 600)
    running = worker("--threads", "3", "--shutdown-timeout", "600")
    started(journal, 3)
    running.send(number)
    running.line("the same signal again ends them now")
    ends = False
    while not ends:  # the same signal within a second is the same one
        running.send(number)
        try:
            running.line("The 3 jobs in hand are ended now", seconds=0.3)
            ends = True
        except AssertionError:
            continue
    assert running.ended() == 128 + number
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(3))
    assert sorted(kept.failed) == [0, 1, 2]


@pytest.mark.fault(14, model="threads")
def test_usr1_ends_what_is_in_hand_and_the_worker_goes_on(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    for job in range(3):
        fault_jobs.computes.enqueue(job)
    running = worker("--threads", "3", "-v")
    started(journal, 3)
    running.send(signal.SIGUSR1)
    wait_until(lambda: app.failures.count() == 3)
    fault_jobs.numbered.enqueue(3)
    wait_until(lambda: journal.counts("end")[3])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(4))
    assert {failure.error for failure in app.failures.list(0, 9)} == {"USR1 asked for it"}


@pytest.mark.fault(7, model="threads")
def test_a_job_that_takes_the_process_with_it_takes_the_others_too_and_all_are_found(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 7 as far as it goes here: what was in hand is failed, naming the worker, and is not performed again."""
    fault_jobs.numbered.enqueue(1, 600)
    fault_jobs.numbered.enqueue(2, 600)
    running = worker("--threads", "3")
    started(journal, 2)
    fault_jobs.dies.enqueue(3, "sigsegv")
    assert running.ended() == -signal.SIGSEGV
    fault_jobs.numbered.enqueue(4)
    assert worker("--threads", "3", "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2, 3, 4])
    assert sorted(kept.failed) == [1, 2, 3]
    assert kept.ended[4] == 1
    assert app.workers() == []


@pytest.mark.fault(6, model="threads")
def test_a_job_that_holds_the_interpreter_is_not_robbed(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    """Fault 6: nobody in its process can beat meanwhile; so such a process gives itself 300 s."""
    fault_jobs.holds_gil.enqueue(1, 3)
    fault_jobs.numbered.enqueue(2, 0.1)
    running = worker("--threads", "2", "--queue", "q", "--beat", "0.3")
    started(journal, 1)
    neighbour = worker("--queue", "other", "--beat", "0.3", "--dead-after", "1.5")
    wait_until(lambda: app.info()["processed"] == 2)
    for one in (running, neighbour):
        one.send(signal.SIGQUIT)
        assert one.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert kept.failed == []


@pytest.mark.fault(29, model="threads")
def test_one_ctrl_c_at_a_group_counts_once_for_each_process(
    worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: object
) -> None:
    """Fault 29."""
    gate = f"{tmp_path}/gate"
    for job in range(4):
        fault_jobs.until.enqueue(job, gate)
    running = worker("-v", "--count", "2", "--threads", "2", "--shutdown-timeout", "60")
    started(journal, 4)
    running.send_group(signal.SIGINT)
    running.line("The 2 jobs in hand have 60 s to end", times=2)
    open(gate, "w").close()
    assert running.ended() == 0
    assert running.log.count("one that does not heed it holds its worker up") == 1  # though there are two processes
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(4))
    assert kept.failed == []


@pytest.mark.fault(28, model="threads")
def test_kill_of_the_supervisor_alone_ends_its_workers_as_by_quit(
    worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: object
) -> None:
    """Fault 28."""
    gate = f"{tmp_path}/gate"
    for job in range(4):
        fault_jobs.until.enqueue(job, gate)
    running = worker("--count", "2", "--threads", "2", "-v")
    started(journal, 4)
    workers = running.children()
    running.send(signal.SIGKILL)
    running.line("The supervisor is gone", times=2)
    open(gate, "w").close()
    wait_until(lambda: not any(is_alive(pid) for pid in workers))
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(4))
    assert kept.failed == []
    assert app.workers() == []


def test_ruby_is_told_of_32_workers_of_a_process_and_taskq_of_all(
    worker: Start, app: taskq.TaskQ, journal: Journal, server: RedisServer, tmp_path: object
) -> None:
    gate = f"{tmp_path}/gate"
    for job in range(34):
        fault_jobs.until.enqueue(job, gate)
    running = worker("--threads", "34")
    started(journal, 34)
    with server.client() as client:
        assert client.scard("resque:workers") == 32
        assert client.scard("resque:taskq:workers") == 34
    assert len(app.workers()) == len(app.working()) == 34
    running.kill()
    assert worker("--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(34))
    assert sorted(kept.failed) == list(range(34))
    assert app.workers() == []


def test_idle_threads_cost_redis_one_connection_that_waits(
    worker: Start, app: taskq.TaskQ, journal: Journal, server: RedisServer
) -> None:
    running = worker("--threads", "16", "-vv", "--beat", "0.2", "--dead-after", "5")
    running.line("Sleeping for", times=16)
    for number in range(5):
        fault_jobs.numbered.enqueue(number)
        wait_until(lambda number=number: journal.counts("end")[number])  # type: ignore[misc]
    with server.client() as client:
        # Who waits no more turns its own off with a beat.
        wait_until(lambda: client.info("clients")["tracking_clients"] == 1)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0


@pytest.mark.fault(14, model="async")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_on_an_event_loop_what_awaits_is_cancelled_and_what_blocks_it_fails_all_on_it(
    number: signal.Signals, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    for job in range(3):
        fault_jobs.awaits.enqueue(job, 600)
    running = worker("--async", "3", "--shutdown-timeout", "0.3")
    started(journal, 3)
    running.send(number)
    assert running.ended() == 0
    assert {(entry.exception, entry.error) for entry in app.failures.list(0, 9)} == {
        ("Resque::TermException", "SIGTERM")
    }
    fault_jobs.awaits.enqueue(3, 600)
    running = worker("--async", "3", "--shutdown-timeout", "0.3")
    started(journal, 4)
    fault_jobs.blocks.enqueue(4, 600)  # not before: a loop that stands still begins no other
    started(journal, 5)
    running.line("stood still for .*blocks")
    running.send(number)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(5))
    assert sorted(kept.failed) == list(range(5))
    late = [entry.error for entry in app.failures.list(0, 2)]
    assert all("the worker was told to stop, and its time was over" in error for error in late)
    assert app.workers() == []


@pytest.mark.fault(14, model="async")
def test_a_second_signal_hurries_on_an_event_loop_too(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.blocks.enqueue(1, 600)
    running = worker("--async", "3", "--shutdown-timeout", "600")
    started(journal, 1)
    running.send(signal.SIGTERM)
    running.line("the same signal again ends it now")
    running.send(signal.SIGINT)
    assert running.ended() == 128 + signal.SIGINT
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]
