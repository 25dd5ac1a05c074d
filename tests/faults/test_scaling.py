"""A count that follows what waits: real workers, real jobs, and signals at all of them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from tests.faults.conftest import push_numbers
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, children_of, is_alive, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]
MORE = r"(\d) more workers?, now (\d) of 1-3: \d+ jobs? waits? in q\."
FEWER = r"1 fewer worker, now (\d) of 1-3: nothing has waited for \d s\."


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def grown(worker: Start, app: taskq.TaskQ, journal: Journal, gate: Path) -> RunningWorker:
    """A supervisor of 1-3 that has three by now, each with a job in hand that ends once the gate is there."""
    for number in range(4):
        fault_jobs.until.enqueue(number, str(gate))
    running = worker("--count", "1-3", "-v", "--shutdown-timeout", "60", module="tests.support.hasty")
    running.line(r"now 3 of 1-3")
    wait_until(lambda: len(journal.counts("start")) == 3)
    return running


def workers_of(running: RunningWorker) -> list[int]:
    return [int(pid) for pid in re.findall(r"Starting worker [^:]+:(\d+):", running.log)]


def test_it_grows_and_shrinks_and_keeps_every_job(
    grown: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    assert app.size("q") == 1
    assert len(app.workers()) == 3
    numbers = push_numbers(app, 50, first=4)
    gate.touch()
    grown.line(FEWER, times=2)
    wait_until(lambda: len(app.workers()) == 1)
    grown.send(signal.SIGTERM)
    assert grown.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([*range(4), *numbers])
    assert (kept.failed, kept.queued, kept.in_flight) == ([], [], [])
    ups = [line for line in grown.output if re.search(MORE, line)]
    downs = [re.search(FEWER, line) for line in grown.output]
    assert 1 <= len(ups) <= 2
    assert [down[1] for down in downs if down] == ["2", "1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name)
@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
def test_a_signal_reaches_those_that_came_later_too(
    number: signal.Signals, group: bool, grown: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    (grown.send_group if group else grown.send)(number)
    grown.line("Exiting|the same signal again", times=3)
    gate.touch()
    assert grown.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(4))
    assert (kept.failed, kept.queued) == ([], [3])
    assert app.workers() == []


def test_a_second_signal_hurries_all(grown: RunningWorker, app: taskq.TaskQ, journal: Journal) -> None:
    grown.send(signal.SIGINT)
    grown.line("the same signal again", times=3)
    grown.send(signal.SIGTERM)
    assert grown.ended() == 128 + signal.SIGTERM
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(4))
    assert (sorted(kept.failed), kept.queued) == ([0, 1, 2], [3])


def test_when_the_supervisor_is_killed_all_end_after_their_jobs(
    grown: RunningWorker, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    all_of_them = children_of(grown.pid)
    assert len(all_of_them) == 4  # and the scout
    grown.send(signal.SIGKILL)
    scout = next(pid for pid in all_of_them if pid not in workers_of(grown))
    wait_until(lambda: not is_alive(scout))
    grown.line("The supervisor is gone", times=3)
    gate.touch()
    wait_until(lambda: not any(is_alive(pid) for pid in all_of_them))
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(4))
    assert (kept.failed, kept.queued) == ([], [3])
    assert app.workers() == []


def test_a_killed_scout_is_replaced(grown: RunningWorker, gate: Path) -> None:
    [scout] = [pid for pid in children_of(grown.pid) if pid not in workers_of(grown)]
    os.kill(scout, signal.SIGKILL)
    grown.line(r"The process that looks at the queues ended with -9; another starts in \d+ s\.")


def test_what_waits_in_a_paused_queue_is_no_reason_to_grow(
    worker: Start, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    app.pause("q")
    push_numbers(app, 9)
    fault_jobs.until.options(queue="other").enqueue(9, str(gate))
    fault_jobs.until.options(queue="other").enqueue(10, str(gate))
    running = worker("--count", "1-3", "-v", module="tests.support.hasty")
    found = running.line(r"now \d of 1-3: (.*)")
    assert found[1] == "1 job waits in other."
    gate.touch()
    running.line(FEWER)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert sorted(balance(app.broker, journal, ["q", "other"]).queued) == list(range(9))


def test_a_burst_grows_too_and_ends_when_each_has_ended(
    worker: Start, app: taskq.TaskQ, journal: Journal, gate: Path
) -> None:
    for number in range(4):
        fault_jobs.until.enqueue(number, str(gate))
    running = worker("--count", "1-3", "--burst", "-v", module="tests.support.hasty")
    running.line("now 3 of 1-3")
    gate.touch()
    assert running.ended() == 0
    balance(app.broker, journal, ["q"]).assert_kept(range(4))
    assert not re.search("fewer", running.log)


def test_an_outage_changes_nothing(worker: Start, app: taskq.TaskQ) -> None:
    """With the broker away nobody knows what waits: nobody starts and nobody goes."""
    running = worker("--count", "1-3", url="redis://127.0.0.1:1", module="tests.support.hasty")
    running.line("try 1")
    running.line("try 2")
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert not re.search(r"of 1-3|looks at the queues", running.log)
