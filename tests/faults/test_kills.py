"""Faults 1, 3, 4, 5 and 28: processes are killed, at random moments and after every single command; nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from taskq.broker import Broker
from taskq.records import ProcessIdentity
from taskq.testing.contract.broker.holder import Holder
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG, Feed, at_once, in_every_isolated_model, in_every_model, kill_at_random, numbered
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

KILLS = 200 if LONG else 8


@pytest.mark.fault(1)
@pytest.mark.timeout(3600 if LONG else 120)
@in_every_model("fork", "inline, prefetch", "threads, prefetch", "async", "spawn")
@pytest.mark.parametrize("queues", [["q"], ["high", "low"]], ids=["one queue", "two queues"])
def test_kill_of_workers_and_children_at_random_moments(
    model: list[str],
    queues: list[str],
    worker: Start,
    app: taskq.TaskQ,
    journal: Journal,
    chance: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    """Fault 1, with numbered jobs: lost 0, twice 0."""
    kills = KILLS if LONG or "--spawn" not in model else 3
    arguments = [*model, "--queues", ",".join(queues)]
    feed = Feed(app, queues, model)
    kill_at_random(worker, arguments, feed, chance, kills)
    assert worker(*arguments, "--burst").ended(seconds=600) == 0
    kept = balance(app.broker, journal, queues)
    kept.assert_kept(feed.numbers)
    assert (kept.queued, kept.in_flight) == ([], [])
    assert len(kept.failed) <= (kills + 2) * at_once(model)
    assert app.workers() == []
    record_property("kills", kills)


@pytest.mark.fault(1)
@pytest.mark.timeout(3600 if LONG else 120)
@in_every_model("inline, prefetch", "threads", "async")
def test_kill_with_equal_jobs(
    model: list[str],
    worker: Start,
    app: taskq.TaskQ,
    journal: Journal,
    chance: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    """Fault 1 again with equal jobs, counted: equal records hide what numbers show."""
    kills = KILLS // 2
    feed = Feed(app, ["q"], model, seconds=0.0, equal=True)
    kill_at_random(worker, model, feed, chance, kills, children=0.1)
    assert worker(*model, "--burst").ended(seconds=600) == 0
    kept = balance(app.broker, journal, ["q"])
    assert kept.processed == feed.count
    assert kept.stat_failed == len(kept.failed) <= (kills + 2) * at_once(model)
    assert kept.started[0] <= feed.count
    assert feed.count - len(kept.failed) <= kept.ended[0] <= feed.count
    record_property("kills", kills)


@pytest.mark.fault(3)
@pytest.mark.timeout(1800 if LONG else 300)
@pytest.mark.parametrize("when", ["before", "after"] if LONG else ["after"])
@in_every_model("fork", "inline, prefetch")
def test_crash_at_every_single_command(
    when: str,
    model: list[str],
    worker: Start,
    app: taskq.TaskQ,
    server: RedisServer,
    tmp_path: Path,
    chance: random.Random,
) -> None:
    """Fault 3: killed before, and right after, each command of a life with a good and a bad job, in turn."""
    arguments = ["--burst", *model]
    for command in _commands(chance):
        journal = Journal(tmp_path / f"journal-{command}")
        variables = {"TASKQ_TEST_JOURNAL": str(journal.path)}
        fault_jobs.numbered.enqueue(1)
        fault_jobs.raises.enqueue(2)
        fault_jobs.numbered.enqueue(3)
        crashing = worker(
            *arguments,
            app="tests.support.crashing",
            env={**variables, "TASKQ_TEST_CRASH": f"{when} {command}"},
        )
        status = crashing.ended()
        finishing = worker(*arguments, env=variables)
        assert finishing.ended() == 0, command
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept([1, 2, 3])
        assert (kept.queued, kept.in_flight) == ([], []), command
        assert 2 in kept.failed, command
        assert len(kept.failed) <= 1 + at_once(model), command
        with server.client() as client:
            client.flushall()
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert command > 5


@pytest.mark.fault(3)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"] if LONG else ["after"])
@pytest.mark.parametrize("prefetch", ["1", "8"])
def test_crash_of_a_child_at_every_single_command(
    when: str,
    prefetch: str,
    worker: Start,
    app: taskq.TaskQ,
    server: RedisServer,
    tmp_path: Path,
    chance: random.Random,
) -> None:
    """Fault 3, in a child that runs the loop: the same worker goes on, and settles what the child left."""
    for command in _commands(chance):
        journal = Journal(tmp_path / f"journal-{command}")
        died = tmp_path / f"died-{command}"
        fault_jobs.numbered.enqueue(1)
        fault_jobs.raises.enqueue(2)
        for number in range(3, 7):
            fault_jobs.numbered.enqueue(number)
        crashing = worker(
            "--burst", "--jobs-per-fork", "3", "--prefetch", prefetch,
            app="tests.support.crashing",
            env={
                "TASKQ_TEST_JOURNAL": str(journal.path),
                "TASKQ_TEST_CRASH": f"{when} {command}",
                "TASKQ_TEST_CRASH_ONCE": str(died),
            },
        )  # fmt: skip
        assert crashing.ended() == 0, command
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept(range(1, 7))
        assert (kept.queued, kept.in_flight) == ([], []), command
        assert 2 in kept.failed, command
        assert len(kept.failed) <= 2, command
        assert kept.processed == 6, command
        assert app.workers() == [], command
        with server.client() as client:
            client.flushall()
        if not died.exists():
            break
    assert command > 5


@pytest.mark.fault(4)
@pytest.mark.parametrize("model", [[], ["--spawn"]] if LONG else [[]], ids=["fork", "spawn"] if LONG else ["fork"])
def test_crash_between_a_jobs_end_and_its_settling(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 4: the job is failed, as chosen, and not performed again."""
    fault_jobs.numbered.enqueue(1, 0.2)
    running = worker(*model)
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGSTOP)  # the parent; the child performs on
    wait_until(lambda: journal.counts("end")[1])
    running.kill()
    assert worker("--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]


@pytest.mark.fault(5)
@in_every_model("fork")
def test_the_orphan_of_a_neighbour_is_found_at_once_on_an_idle_queue(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 5: another worker of this machine sees the process die, without any traffic."""
    watcher = worker("-v", "--queue", "other", "--beat", "60", "--dead-after", "600")
    watcher.started()
    numbered(model).enqueue(1, 600)
    victim = worker(*model, "--queue", "q")
    victim.started()
    wait_until(lambda: journal.counts("start")[1])
    # The watcher learns of its neighbour by its next census; a worker that starts takes one at once.
    second = worker("-v", "--queue", "other", "--beat", "60", "--dead-after", "600")
    second.started()
    wait_until(lambda: len(app.workers()) == 2 + at_once(model))
    began = time.monotonic()
    _kill(victim.pid)
    wait_until(lambda: app.failures.count() == 1, seconds=5)
    assert time.monotonic() - began < 5
    balance(app.broker, journal, ["q"]).assert_kept([1])


@pytest.mark.fault(5)
def test_an_orphan_of_another_machine_is_found_by_its_silence(worker: Start, broker: Broker, app: taskq.TaskQ) -> None:
    """Fault 5: its heartbeat stands still for longer than it said it could."""
    elsewhere = ProcessIdentity("elsewhere", "another boot", "pid:[1]", 4321, "77")
    orphaned = Holder(broker, "elsewhere:4321:q", process=elsewhere, dead_after=2.0, beat=0.5)
    assert orphaned.register()
    fault_jobs.numbered.enqueue(1)
    orphaned.take("q")
    watcher = worker("--queue", "other", "--beat", "0.5", "--dead-after", "2")
    watcher.started()
    began = time.monotonic()
    wait_until(lambda: app.failures.count() == 1)
    assert time.monotonic() - began > 1.0  # it was given the time that it had asked for
    (failure,) = app.failures.list(0, 9)
    assert failure.exception == "Resque::PruneDeadWorkerDirtyExit"
    assert failure.worker == "elsewhere:4321:q"
    assert [info.id for info in app.workers()] != ["elsewhere:4321:q"]


@pytest.mark.fault(5)
def test_the_one_who_recovers_dies_in_the_middle_of_it(
    worker: Start, app: taskq.TaskQ, tmp_path: Path, server: RedisServer, chance: random.Random
) -> None:
    """Fault 5: exactly one process settles an orphan, whoever dies over it."""
    for command in _commands(chance):
        journal = Journal(tmp_path / f"journal-{command}")
        variables = {"TASKQ_TEST_JOURNAL": str(journal.path)}
        fault_jobs.numbered.enqueue(1, 600)
        victim = worker(env=variables)
        wait_until(lambda journal=journal: journal.counts("start")[1])  # type: ignore[misc]
        victim.kill()
        recovering = worker(
            "--burst",
            app="tests.support.crashing",
            env={**variables, "TASKQ_TEST_CRASH": f"after {command}"},
        )
        status = recovering.ended()
        assert worker("--burst", env=variables).ended() == 0
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept([1])
        assert kept.failed == [1]
        assert app.workers() == []
        with server.client() as client:
            client.flushall()
        if status == 0:
            break
    assert command > 3


@pytest.mark.fault(28)
@in_every_isolated_model("fork")
def test_kill_of_the_parent_alone_takes_the_child_with_it(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 28: within a second, so that its job never runs twice at the same time."""
    fault_jobs.numbered.enqueue(1, 600)
    running = worker(*model)
    wait_until(lambda: journal.counts("start")[1])
    children = running.children()
    assert children
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(child) for child in children), seconds=1)
    assert worker("--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]


@pytest.mark.fault(28)
@in_every_model("fork", "children")
def test_kill_of_the_supervisor_alone_ends_its_workers_as_by_quit(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    """Fault 28: the job in hand is finished, nothing more is taken."""
    gate = tmp_path / "gate"
    fault_jobs.until.enqueue(1, str(gate))
    running = worker(*model, "--count", "2", "-v")
    running.line("Starting worker", times=2 * at_once(model))
    wait_until(lambda: journal.counts("start")[1])
    workers = running.children()
    assert len(workers) == 2
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: sum(is_alive(pid) for pid in workers) == 1)
    assert journal.counts("end")[1] == 0
    gate.touch()
    wait_until(lambda: not any(is_alive(pid) for pid in workers))
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == []
    assert app.workers() == []


@pytest.mark.fault(28)
def test_a_supervisor_starts_again_what_dies_and_ends_where_none_can_start(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    running = worker("--count", "2", "-v")
    running.line("Starting worker", times=2)
    _kill(running.children()[0])
    running.line("was killed by SIGKILL; another starts in 1 s")
    running.line("Starting worker", times=3)
    fault_jobs.numbered.enqueue(1)
    wait_until(lambda: journal.counts("end")[1])
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert app.workers() == []


@pytest.mark.fault(28)
def test_a_supervisor_ends_with_the_code_of_workers_that_cannot_start(worker: Start, server: RedisServer) -> None:
    running = worker("--count", "1", "--count", "2", "--no-retry", url="redis://127.0.0.1:1")
    assert running.ended() == 69
    assert "Traceback" not in running.log


@pytest.mark.fault(5)
def test_what_a_dead_worker_left_says_who_and_why(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    victim = worker()
    identifier = victim.started()
    wait_until(lambda: journal.counts("start")[1])
    victim.kill()
    finishing = worker("--burst")
    assert finishing.ended() == 0
    assert identifier in finishing.log
    entry = json.loads(app.failures.list(0, 1)[0].entry)
    assert entry["worker"] == identifier
    assert entry["exception"] == "Resque::DirtyExit"


def _commands(chance: random.Random) -> range:
    """The commands to crash at, in turn, until one is past the last; in the short form every second or third."""
    return range(1, 1000) if LONG else range(chance.choice([1, 2, 3]), 1000, 3)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
