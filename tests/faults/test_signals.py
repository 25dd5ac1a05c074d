"""Faults 14 and 29: signals once and twice, in a job, idle, at the start, to a group, to a child alone, as pid 1."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.faults.conftest import at_once, in_every_model
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, children_of, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]
ASKING = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]


@pytest.mark.fault(14)
@pytest.mark.parametrize("number", ASKING, ids=lambda n: n.name)
@in_every_model("fork", "inline", "threads", "async", "children, prefetch")
def test_idle_it_ends_at_once_with_0(number: signal.Signals, model: list[str], worker: Start, app: taskq.TaskQ) -> None:
    running = worker(*model, "-vv")
    running.line("Waiting for")
    running.send(number)
    assert running.ended() == 0
    assert app.workers() == []


@pytest.mark.fault(14)
@pytest.mark.parametrize("number", ASKING, ids=lambda n: n.name)
@in_every_model("fork", "inline", "threads", "children, prefetch")
def test_in_a_job_that_ends_in_time_it_is_finished_and_no_other_is_taken(
    number: signal.Signals, model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: object
) -> None:
    gate = f"{tmp_path}/gate"
    in_hand = range(1, at_once(model) + 1)
    for job in in_hand:
        fault_jobs.until.enqueue(job, gate)
    fault_jobs.numbered.enqueue(99)
    running = worker(*model, "-v", "--shutdown-timeout", "60")
    wait_until(lambda: len(journal.counts("start")) == len(in_hand))
    running.send(number)
    running.line("Exiting") if "--inline" not in model else None
    open(gate, "w").close()
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([*in_hand, 99])
    assert kept.queued == [99]
    assert sorted(kept.ended) == list(in_hand)
    assert app.workers() == []


@pytest.mark.fault(14)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
@pytest.mark.parametrize("model", [[], ["--spawn"]], ids=["fork", "spawn"])
@pytest.mark.parametrize(
    ("timeout", "job", "exception"),
    [
        ("0", "cleans_up", "Resque::DirtyExit"),  # Resque's way: nothing is given, so nobody is told
        ("0.3", "cleans_up", "Resque::TermException"),
        ("0.3", "ignores", "Resque::DirtyExit"),
    ],
)
def test_a_job_that_takes_longer_is_told_then_killed_and_failed(
    number: signal.Signals,
    timeout: str,
    job: str,
    exception: str,
    model: list[str],
    worker: Start,
    app: taskq.TaskQ,
    journal: Journal,
) -> None:
    app.enqueue_to("q", job, 1)
    fault_jobs.numbered.enqueue(2)
    running = worker(*model, "--shutdown-timeout", timeout)
    wait_until(lambda: journal.counts("start")[1])
    running.send(number)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.queued) == ([1], [2])
    assert app.failures.list(0, 1)[0].exception == exception
    assert kept.ended[1] == (exception == "Resque::TermException")  # it could clean up


@pytest.mark.fault(14, model="inline")
def test_inline_a_job_that_takes_longer_is_interrupted_and_failed(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.cleans_up.enqueue(1)
    fault_jobs.numbered.enqueue(2)
    running = worker("--inline", "--shutdown-timeout", "0.3")
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.queued) == ([1], [2])
    assert kept.ended[1] == 1  # it could clean up
    assert app.failures.list(0, 1)[0].exception == "Resque::TermException"


@pytest.mark.fault(14, model="inline")
@pytest.mark.parametrize("on_crash", ["fail", "requeue"])
def test_inline_a_job_that_does_not_end_even_so_is_settled_and_the_process_ends_with_it(
    on_crash: str, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.ignores.enqueue(1)
    fault_jobs.numbered.enqueue(2)
    running = worker("--inline", "--shutdown-timeout", "0.3", "--on-crash", on_crash)
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.queued) == (([1], [2]) if on_crash == "fail" else ([], [1, 2]))
    assert app.workers() == []


@pytest.mark.fault(14, model="threads")
@pytest.mark.parametrize("model", [["--inline"], ["--threads", "2"]], ids=["inline", "threads"])
def test_a_thread_that_a_job_left_holds_up_no_process_that_was_told_to_end(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.leaves_thread.enqueue(1)
    running = worker(*model, "-v", "--shutdown-timeout", "0.2")
    running.line("done:")
    running.send(signal.SIGTERM)
    running.line(r"have not ended \(a job's own\); the process ends without them")
    assert running.ended() == 0
    assert app.workers() == []


@pytest.mark.fault(14)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_second_one_hurries_and_is_announced_by_the_first(
    number: signal.Signals, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    running = worker("--shutdown-timeout", "600")
    wait_until(lambda: journal.counts("start")[1])
    running.send(number)
    running.line("the same signal again ends it now")
    # The same signal within a second is the same one, so it is sent until it counts.
    ends = False
    while not ends:
        running.send(number)
        try:
            running.line("ended now", seconds=0.3)
            ends = True
        except AssertionError:
            continue
    assert running.ended() == 128 + number
    balance(app.broker, journal, ["q"]).assert_kept([1])


@pytest.mark.fault(14)
def test_quit_waits_as_long_as_it_takes_and_term_after_it_limits_that(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    running = worker("-v", "--shutdown-timeout", "0.2")
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGQUIT)
    running.line("Exiting")
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    balance(app.broker, journal, ["q"]).assert_kept([1])


@pytest.mark.fault(14)
@pytest.mark.parametrize("number", ASKING, ids=lambda n: n.name)
def test_during_the_start_it_ends_in_order(number: signal.Signals, worker: Start, app: taskq.TaskQ) -> None:
    with RedisServer() as other:
        other.stop()
        running = worker(url=other.url)
        running.line("try 1")
        running.send(number)
        assert running.ended() == 0


@pytest.mark.fault(14)
@pytest.mark.parametrize("job", ["cleans_up", "swallows", "ignores"])
def test_term_child_hands_term_on(job: str, worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    app.enqueue_to("q", job, 1)
    running = worker("-vv", env={"TERM_CHILD": "1", "RESQUE_TERM_TIMEOUT": "0.5"})
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert "Sending TERM signal to child" in running.log
    failed = [failure.exception for failure in app.failures.list(0, 9)]
    assert failed == {"cleans_up": ["Resque::TermException"], "swallows": [], "ignores": ["Resque::DirtyExit"]}[job]
    balance(app.broker, journal, ["q"]).assert_kept([1])


@pytest.mark.fault(14)
def test_graceful_term_is_quit(worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: object) -> None:
    gate = f"{tmp_path}/gate"
    fault_jobs.until.enqueue(1, gate)
    running = worker("-v", "--shutdown-timeout", "0", env={"GRACEFUL_TERM": "1"})
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGTERM)
    running.line("Exiting")
    open(gate, "w").close()
    assert running.ended() == 0
    assert balance(app.broker, journal, ["q"]).failed == []


@pytest.mark.fault(14)
def test_usr2_pauses_and_cont_goes_on(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    running = worker("-vv")
    running.line("Waiting for")
    running.send(signal.SIGUSR2)
    running.line("Paused")
    fault_jobs.numbered.enqueue(1)
    running.send(signal.SIGUSR2)  # says nothing new
    assert app.size("q") == 1
    running.send(signal.SIGCONT)
    wait_until(lambda: journal.counts("end")[1])
    running.send(signal.SIGUSR2)
    running.line("Paused", times=2)
    running.send(signal.SIGQUIT)  # a paused worker ends too
    assert running.ended() == 0


@pytest.mark.fault(29)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("count", ["1", "2"])
def test_one_ctrl_c_at_a_group_counts_once_for_each(
    number: signal.Signals, count: str, worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: object
) -> None:
    gate = f"{tmp_path}/gate"
    for job in range(int(count)):
        fault_jobs.until.enqueue(job, gate)
    running = worker("-v", "--count", count, "--shutdown-timeout", "60")
    wait_until(lambda: len(journal.counts("start")) == int(count))
    running.send_group(number)
    running.line("the same signal again", times=int(count))
    open(gate, "w").close()
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(int(count)))
    assert kept.failed == []


@pytest.mark.fault(29)
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1], ids=lambda n: n.name
)
def test_a_child_alone_is_not_touched_by_them(
    number: signal.Signals, worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: object
) -> None:
    gate = f"{tmp_path}/gate"
    fault_jobs.until.enqueue(1, gate)
    running = worker("-v")
    wait_until(lambda: journal.counts("start")[1])
    child = running.at_work()
    os.kill(child, number)
    open(gate, "w").close()
    wait_until(lambda: journal.counts("end")[1])
    running.line("done:")
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert balance(app.broker, journal, ["q"]).failed == []


@pytest.mark.fault(14)
@pytest.mark.parametrize("model", [[], ["--jobs-per-fork", "9"]], ids=["fork", "children"])
def test_a_job_that_is_killed_is_named_at_every_verbosity(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    for number in (1, 2):
        fault_jobs.ignores.enqueue(number)
    running = worker(*model, "--shutdown-timeout", "0.2")
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGUSR1)
    running.line("The job in hand is ended now: USR1 asked for it.")
    wait_until(lambda: journal.counts("start")[2])
    running.send(signal.SIGTERM)
    running.line("The job in hand is ended now: its 0.2 s are over.")
    assert running.ended() == 0


@pytest.mark.fault(14)
@pytest.mark.parametrize("model", [[], ["--inline"], ["--count", "2"]], ids=["fork", "inline", "supervised"])
def test_hup_without_a_file_of_groups_is_heard_as_term(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1, 0.5)
    running = worker(*model, "-v")
    wait_until(lambda: journal.counts("start")[1])
    running.send_group(signal.SIGHUP)
    running.line("has 8 s to end" if model != ["--count", "2"] else "Exiting")
    assert running.ended() == 0
    assert journal.counts("end")[1] == 1
    assert app.workers() == []


@pytest.mark.fault(14)
def test_hup_stays_ignored_where_it_was_at_the_start(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        running = worker()
    finally:
        signal.signal(signal.SIGHUP, former)
    running.started()
    running.send(signal.SIGHUP)
    fault_jobs.numbered.enqueue(1)
    wait_until(lambda: journal.counts("end")[1])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0


@pytest.mark.fault(29)
def test_hup_to_a_child_alone_fails_its_job(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    running = worker("-v")
    wait_until(lambda: journal.counts("start")[1])
    child = running.at_work()
    os.kill(child, signal.SIGHUP)
    running.line("SIGHUP")
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    balance(app.broker, journal, ["q"]).assert_kept([1])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.fault(29)
@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode != 0,
    reason="pid namespaces cannot be made here (needs unshare, and the right to use it)",
)
def test_as_pid_1_it_reaps_the_orphans_of_others(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    """A job's own child outlives the job: as pid 1 the worker inherits it, and must not keep it as a zombie."""
    fault_jobs.leaves_orphan.enqueue(1)
    running = worker("-v", "--beat", "0.2", "--dead-after", "5", prefix=("unshare", "--pid", "--fork", "--mount-proc"))
    wait_until(lambda: journal.counts("end")[1])
    (first,) = children_of(running.pid)  # unshare's child is pid 1 in there
    wait_until(lambda: app.info()["processed"] == 1)
    orphans: list[int] = []

    def adopted() -> bool:
        orphans[:] = [one for one in children_of(first) if _name(one) == "sleep"]
        return bool(orphans)

    wait_until(adopted)
    wait_until(lambda: orphans[0] not in children_of(first))
    os.kill(first, signal.SIGQUIT)
    wait_until(lambda: not is_alive(first))
    balance(app.broker, journal, ["q"]).assert_kept([1])
