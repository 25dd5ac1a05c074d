"""Signals to the worker, to its child, and to one that forks nothing (14 to 21, 32)."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from taskq import TaskQ
from taskq_redis.testing import RedisServer
from tests.support.workers import wait_until
from tests.wire import jobs
from tests.wire.lines import STARTS, replaced, told
from tests.wire.recorded import (
    Differs,
    assert_same,
    changed,
    left,
    recorded,
    recording,
    replays,
    string,
    text_of,
    while_registered,
)
from tests.wire.workers import at, open_gate, title, worker

DURING = "job in progress, before the signal"
IDLE = "idle, before the signal"
COUNTED = "a job whose child was killed counts as failed"


@dataclass(frozen=True)
class Signalled:
    """A recording of one signal to a worker with a job in hand, and to an idle one."""

    number: str
    signal: signal.Signals
    kills: bool
    ends: bool


SIGNALLED = [
    Signalled("14", signal.SIGQUIT, kills=False, ends=True),
    Signalled("15", signal.SIGTERM, kills=True, ends=True),
    Signalled("17", signal.SIGINT, kills=True, ends=True),
    Signalled("18", signal.SIGUSR1, kills=True, ends=False),
]


@replays("14", "15", "17", "18")
@pytest.mark.parametrize("case", SIGNALLED, ids=lambda case: case.signal.name)
def test_a_signal_while_a_job_is_in_hand(
    case: Signalled, redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path
) -> None:
    states = {name: recorded(state) for name, state in recording(case.number).states.items()}
    app.enqueue(jobs.Long, 1.0)
    app.enqueue(jobs.Ok, 2)
    with worker(redis_server, "--shutdown-timeout", "0", **at(gate)) as running:
        running.line("long began")
        own = while_registered(f"vm:{running.pid}:jobs")
        assert_same(left(client, running.pid, own=own), states[DURING])
        running.send(case.signal)
        if not case.kills:
            open_gate(gate)
        if case.ends:
            assert running.ended() == 0
            found = left(client, running.pid)
        else:
            running.line("performed")
            wait_until(lambda: client.get("resque:stat:processed") == b"2", "both jobs are settled")
            found = left(client, running.pid, own=own)
    differs = {}
    if case.kills:
        differs["resque:stat:failed"] = Differs(string("1"), COUNTED)
    if not case.ends:
        differs["resque:stat:failed:vm:PID:jobs"] = Differs(string("1"), COUNTED)
    assert_same(found, states["after the signal"], differs)


@replays("14", "15", "17", "18")
@pytest.mark.parametrize("case", SIGNALLED, ids=lambda case: case.signal.name)
def test_a_signal_while_idle(case: Signalled, redis_server: RedisServer, client: redis.Redis) -> None:
    states = {name: recorded(state) for name, state in recording(case.number).states.items()}
    with worker(redis_server, "--shutdown-timeout", "0", VVERBOSE="1") as running:
        running.line("Waiting for jobs")
        own = while_registered(f"vm:{running.pid}:jobs")
        assert_same(left(client, running.pid, own=own), states[IDLE])
        running.send(case.signal)
        if not case.ends:  # nothing happens; it ends by the next signal
            running.send(signal.SIGQUIT)
        assert running.ended() == 0
    assert_same(left(client, running.pid), states["after"])


# ---- TERM_CHILD


def outcome(app: TaskQ, client: redis.Redis) -> list[object]:
    """What the recordings note of a case: the failed entries, the statistics."""
    failed = [[one.exception, one.error] for one in app.failures.list(newest_first=False)]
    stats = [text_of(text) if text else None for text in client.mget("resque:stat:processed", "resque:stat:failed")]
    return ["failed", failed, "stats", stats]


@dataclass(frozen=True)
class TermChild:
    """A case of 16: the job, and what beside TERM_CHILD is set."""

    job: type
    args: tuple[object, ...]
    began: str
    env: dict[str, str]
    open_gate: bool = False


TERM_CHILD = {
    "TermException not rescued": TermChild(jobs.Long, (5,), "long began", {}),
    "rescued": TermChild(jobs.Rescues, (), "began", {}),
    "ignored, RESQUE_TERM_TIMEOUT=0.5": TermChild(jobs.Ignores, (), "began", {"RESQUE_TERM_TIMEOUT": "0.5"}),
    "RESQUE_PRE_SHUTDOWN_TIMEOUT=3, job of 0.6 s": TermChild(
        jobs.Long2, (0.6,), "long began", {"RESQUE_PRE_SHUTDOWN_TIMEOUT": "3"}, open_gate=True
    ),
}


@replays("16")
@pytest.mark.parametrize("name", TERM_CHILD)
def test_term_child(name: str, redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path) -> None:
    case = TERM_CHILD[name]
    assert list(TERM_CHILD) == list(recording("16").returned)
    app.enqueue_to("jobs", case.job.__name__, *case.args)
    with worker(redis_server, TERM_CHILD="1", VVERBOSE="1", **at(gate), **case.env) as running:
        running.line(f"^{case.began}")
        running.send(signal.SIGTERM)
        running.line(r"Exiting\.\.\.")
        if case.open_gate:
            running.line("Waiting 3.0s for child process to exit")
            open_gate(gate)
        assert running.ended() == 0
        forked = running.line(r"Forked (\d+) at")[1]
    parent, status, _, _, *wanted, _, workers = recording("16").returned[name]
    assert (parent, status, workers) == ("parent", "exit 0", [])
    if "SIGKILL" in repr(wanted):
        wanted[1][0][1] = f"Child process received unhandled signal pid {forked} SIGKILL (signal 9)"
        wanted[3] = ["1", "1"]  # a job whose child was killed counts as failed
    assert outcome(app, client) == wanted
    assert told(running.log.splitlines()) == rubys_lines(name)
    if name == list(TERM_CHILD)[-1]:
        assert_same(left(client, running.pid), recorded(recording("16").after))


def rubys_lines(name: str) -> list[str]:
    """What Ruby's worker said in this case, and what taskq's says otherwise."""
    output = recording("16").output
    start = output.index(f"-- {name}") + 1
    ends = [place for place, line in enumerate(output) if place > start and line.startswith("-- ")]
    lines = replaced(told(output[start : ends[0] if ends else None]), *STARTS)
    # By whom a child was reaped, Ruby's worker says; taskq's is always the one.
    lines = [line for line in lines if line != "** Child N already quit and reaped."]
    # The first signal announces the second.
    seconds = {"ignored, RESQUE_TERM_TIMEOUT=0.5": "0.5", list(TERM_CHILD)[-1]: "7"}.get(name, "4")
    again = "the same signal again ends it now (within a second it counts once)."
    announced = f"** The job in hand has {seconds} s to end; {again}"
    lines = replaced(lines, ["** Exiting..."], ["** Exiting...", announced])
    if name == "rescued":
        lines = replaced(lines, ["rescued Resque::TermException SIGTERM signo=15"], ["rescued TermException SIGTERM"])
    if name.startswith("ignored"):
        killed = "failed: #<Resque::DirtyExit: Child process received unhandled signal pid N SIGKILL (signal 9)>"
        lines.append(f"** (Job{{jobs}} | Ignores | []) {killed}")
    return lines


@replays("20")
def test_graceful_term(redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path) -> None:
    app.enqueue(jobs.Long, 0.8)
    app.enqueue(jobs.Ok, 1)
    with worker(redis_server, "--shutdown-timeout", "0", GRACEFUL_TERM="1", VERBOSE="1", **at(gate)) as running:
        running.line("long began")
        running.send(signal.SIGTERM)
        running.line(r"Exiting\.\.\.")
        open_gate(gate)
        assert running.ended() == 0
        assert "long done" in running.log
    assert_same(left(client, running.pid), recorded(recording("20").after))


# ---- pause by signals


@replays("19")
def test_pause_and_resume_by_signals(redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path) -> None:
    states = {name: recorded(state) for name, state in recording("19").states.items()}
    returned = recording("19").returned
    app.enqueue(jobs.Long, 0.5)
    with worker(redis_server, VVERBOSE="1", **at(gate)) as running:
        running.line("long began")
        running.send(signal.SIGUSR2)
        app.enqueue(jobs.Ok, 1)
        open_gate(gate)
        running.line("resque-3 taskq: Paused")
        assert title(running) == returned["title while paused"].replace("resque-3.0.0", "resque-3 taskq")
        own = while_registered(f"vm:{running.pid}:jobs")
        assert_same(left(client, running.pid, own=own), states["paused"])
        running.send(signal.SIGCONT)
        running.line("Waiting for jobs")
        running.send(signal.SIGQUIT)
        assert running.ended() == 0
    assert_same(left(client, running.pid), states["after"])


# ---- signals to the child itself


TO_CHILD = {
    "TERM_CHILD=nil TERM": None,
    "TERM_CHILD=nil QUIT": None,
    "TERM_CHILD=nil INT": None,
    "TERM_CHILD=nil USR1": None,
    "TERM_CHILD=nil HUP": ["Resque::DirtyExit", "Child process received unhandled signal pid {} SIGHUP (signal 1)"],
    'TERM_CHILD="1" TERM': ["Resque::TermException", "SIGTERM"],
    'TERM_CHILD="1" QUIT': ["Resque::DirtyExit", "Child process received unhandled signal pid {} SIGQUIT (signal 3)"],
    'TERM_CHILD="1" INT': ["KeyboardInterrupt", "KeyboardInterrupt"],
    'TERM_CHILD="1" HUP': ["Resque::DirtyExit", "Child process received unhandled signal pid {} SIGHUP (signal 1)"],
}
"""The failed entry of each case. In Python HUP and QUIT are no exceptions: they kill."""


@replays("21")
@pytest.mark.parametrize("name", TO_CHILD)
def test_a_signal_to_the_child(
    name: str, redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path
) -> None:
    assert list(TO_CHILD) == list(recording("21").returned)
    env = {"TERM_CHILD": "1"} if '"1"' in name else {}
    app.enqueue(jobs.Long, 0.5)
    entry = TO_CHILD[name]
    with worker(redis_server, "--burst", **at(gate), **env) as running:
        running.line("long began")
        child = running.at_work()
        signal_child(child, name.rpartition(" ")[2])
        if entry is None:
            open_gate(gate)
        assert running.ended() == 0
    failed = [] if entry is None else [[text.format(child) for text in entry]]
    parent, status, *wanted = recording("21").returned[name]
    assert (parent, status, wanted[0], wanted[2]) == ("parent", "exit 0", "failed", "stats")
    assert len(wanted[1]) == len(failed)  # whether the job failed is the same, and so the counters
    assert outcome(app, client) == ["failed", failed, "stats", wanted[3]]
    if name == list(TO_CHILD)[-1]:
        state = recorded(recording("21").after)
        ruby = '"exception":"SignalException","error":"SIGHUP","backtrace":["sleep", "perform"]'
        ours = (
            '"exception":"Resque::DirtyExit",'
            '"error":"Child process received unhandled signal pid PID SIGHUP (signal 1)","backtrace":[]'
        )
        entries = changed(state["resque:failed"], (0, ruby, ours))
        differs = {"resque:failed": Differs(entries, "HUP kills, where Ruby raises")}
        assert_same(left(client, running.pid), state, differs)


def signal_child(pid: int, name: str) -> None:
    os.kill(pid, getattr(signal, f"SIG{name}"))


# ---- without a child


@replays("32")
def test_without_a_child_jobs_end_as_with_one(redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    state = recorded(recording("32").states["after ok, bad, exit"])
    app.enqueue(jobs.Ok, 1)
    app.enqueue(jobs.Bad, 2)
    app.enqueue(jobs.Exits, "exit")
    with worker(redis_server, INTERVAL="0", FORK_PER_JOB="false") as running:
        assert running.ended() == 0
    entries = changed(state["resque:failed"], (1, '["exit", "perform"]', '["perform"]'))
    differs = {"resque:failed": Differs(entries, "sys.exit has no frame of its own")}
    assert_same(left(client, running.pid), state, differs)


INLINE = {
    "TERM_CHILD=nil TERM during the job": ("60", {}),
    'TERM_CHILD="1" TERM during the job': ("0", {"TERM_CHILD": "1"}),
    "TERM_CHILD=nil QUIT during the job": ("0", {}),
    "TERM_CHILD=nil USR1 during the job": ("0", {}),
}
"""What TERM gives the job, and what is set. Ruby cannot end such a job; with 0 taskq can, and does."""


@replays("32")
@pytest.mark.parametrize("name", INLINE)
def test_a_signal_without_a_child(
    name: str, redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path
) -> None:
    seconds, env = INLINE[name]
    app.enqueue(jobs.Long, 0.8)
    app.enqueue(jobs.Ok, 1)
    sent = getattr(signal, f"SIG{name.split()[1]}")
    environment = {"FORK_PER_JOB": "false", "VERBOSE": "1", **at(gate), **env}
    with worker(redis_server, "--shutdown-timeout", seconds, "--burst", **environment) as running:
        running.line("long began")
        running.send(sent)
        if sent != signal.SIGUSR1:
            running.line(r"Exiting\.\.\.")
        if not env:
            open_gate(gate)
        assert running.ended() == 0
    status, *wanted, _, workers, _, queue = recording("32").returned[name]
    assert status == "exit 0"
    assert outcome(app, client) == wanted
    assert (len(app.workers()), app.size("jobs")) == (workers, queue)


@replays("32")
def test_a_hard_exit_without_a_child_leaves_all_behind(
    redis_server: RedisServer, client: redis.Redis, app: TaskQ
) -> None:
    app.enqueue(jobs.Exits, "exit!")
    with worker(redis_server, INTERVAL="0", FORK_PER_JOB="false") as running:
        assert (
            f"exit {running.ended()}"
            == recording("32").returned["job calls exit!(3): the worker is gone, its keys stay"]
        )
    own = while_registered(f"vm:{running.pid}:jobs")
    assert_same(left(client, running.pid, own=own), recorded(recording("32").after))
