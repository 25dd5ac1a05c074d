"""What a worker says: log lines at each verbosity, process titles, the variables of its environment (36 to 41)."""

from __future__ import annotations

import json
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from taskq import TaskQ
from taskq_redis.testing import RedisServer
from tests.support.workers import RunningWorker, wait_until
from tests.wire import jobs
from tests.wire.lines import replaced, same_line, told
from tests.wire.recorded import (
    Differs,
    assert_same,
    changed,
    left,
    listed,
    recorded,
    recording,
    replays,
    string,
)
from tests.wire.workers import at, open_gate, printed, title, work_off, worker

KILLED = (
    "(Job{jobs} | Long | [5]) failed: "
    "#<Resque::DirtyExit: Child process received unhandled signal pid N SIGKILL (signal 9)>"
)


@dataclass(frozen=True)
class Said:
    """A recording of a log: the variable, and what taskq's lines are made of Ruby's by: each an old run of lines and
    the new one, with its reason."""

    number: str
    variable: str
    changes: tuple[tuple[list[str], list[str], str], ...]


WHY_KILLED = "*** The job in hand is ended now: USR1 asked for it."
NOT_SAID_BY_RUBY = (
    ["*** got: (Job{jobs} | Long | [5])"],
    ["*** got: (Job{jobs} | Long | [5])", WHY_KILLED, f"*** {KILLED}"],
    "that a job's child was killed is said like every failure",
)
SAID = [
    Said("36", "VERBOSE", (NOT_SAID_BY_RUBY,)),
    Said("38", "LOGGING", (NOT_SAID_BY_RUBY,)),
    Said(
        "39",
        "NONE",
        (
            (
                ['performed [1, "é"]'],
                ["*** Starting worker vm:N:jobs", 'performed [1, "é"]', WHY_KILLED],
                "why a job is killed, and the start, are said where nothing is asked, as Resque's guide shows it",
            ),
        ),
    ),
    Said(
        "37",
        "VVERBOSE",
        (
            (
                ["** Registered signals"],
                ["** Registered signals", "** Jobs are performed in a child of its own each"],
                "it says how jobs are performed",
            ),
            (["** Killing child at N"], ["** Killing child at N", f"** {KILLED}"], NOT_SAID_BY_RUBY[2]),
            (
                ["** Sleeping for 0.3 seconds", "** resque-3 taskq: Paused"],
                ["** resque-3 taskq: Paused"],
                "a paused worker sleeps until it is told",
            ),
        ),
    ),
]


@replays("36", "37", "38", "39")
@pytest.mark.parametrize("said", SAID, ids=lambda said: said.variable)
def test_log_lines_are_rubys(
    said: Said, redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path
) -> None:
    app.enqueue(jobs.Ok, 1, "é")
    app.enqueue(jobs.Bad, 2)
    app.enqueue(jobs.Long, 5)
    with worker(redis_server, INTERVAL="0.3", **at(gate), **{said.variable: "1"}) as running:
        running.line("long began")
        running.send(signal.SIGUSR1)
        wait_until(lambda: "Waiting for" in title(running), "it is idle")
        running.send(signal.SIGUSR2)
        wait_until(lambda: "Paused" in title(running), "it is paused")
        running.send(signal.SIGCONT)
        wait_until(lambda: "Waiting for" in title(running), "it goes on")
        running.send(signal.SIGQUIT)
        assert running.ended() == 0
    wanted = told(recording(said.number).output)
    for old, new, _ in said.changes:
        wanted = replaced(wanted, old, new)
    assert told(running.log.splitlines()) == wanted
    counted = {"resque:stat:failed": Differs(string("2"), "a job whose child was killed counts as failed")}
    assert_same(left(client, running.pid), recorded(recording(said.number).after), counted)


@replays("37")
def test_the_lines_with_time_and_pid(redis_server: RedisServer, app: TaskQ) -> None:
    app.enqueue(jobs.Ok, 1)
    running = work_off(redis_server, VVERBOSE="1")
    lines = [line for line in running.log.splitlines() if line.startswith("**")]
    form = re.compile(r"\*\* \[(\d\d:\d\d:\d\d \d{4}-\d\d-\d\d)\] (\d+): ")
    assert form.match(recording("37").output[0])
    for line in lines:
        found = form.match(line)
        assert found is not None, line
        assert int(found[2]) == running.pid  # where Ruby's child says `done`, taskq's parent does
        assert abs(time.mktime(time.strptime(found[1], "%H:%M:%S %Y-%m-%d")) - time.time()) < 120


# ---- titles


def titles(running: RunningWorker) -> list[str]:
    """Every title that the worker set, as its log tells; the same twice in a row once."""
    found: list[str] = []
    for line in running.log.splitlines():
        shown = re.fullmatch(r"\*\* \[.*?\] \d+: ((?:myapp )?resque-3 taskq: .*)", line)
        if shown and (not found or found[-1] != shown[1]):
            found.append(shown[1])
    return [
        re.sub(r"Forked \d+ at \d+", "Forked PID at UNIXTIME", re.sub(r"since \d+", "since UNIXTIME", one))
        for one in found
    ]


def rubys(call: str) -> list[str]:
    """The recorded titles from the first job on, under taskq's name."""
    shown = [one.replace("resque-3.0.0", "resque-3 taskq") for one in recording("40").returned[f"{call}: parent"][2:]]
    return [one.replace("[No Name]", "[Nope::Missing]") for one in shown]  # the name is known, if not the class


@replays("40")
def test_titles_are_rubys(redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path) -> None:
    calls = [call.removesuffix(": parent") for call in recording("40").returned if call.endswith(": parent")]
    plain, prefixed, inline = calls
    app.enqueue(jobs.Long, 0.3)
    app.enqueue(jobs.Ok, 1)
    with worker(redis_server, QUEUE="jobs,low", VVERBOSE="1", **at(gate)) as first:
        first.line("long began")
        child = first.at_work()
        first.line(f"Forked {child} at")  # the job may speak before its parent does
        assert re.fullmatch(rf"resque-3 taskq: Forked {child} at \d+", title(first))
        assert re.fullmatch(r"resque-3 taskq: Processing jobs since \d+ \[Long\]", title(first, child))
        open_gate(gate)
        first.line("Waiting for jobs,low")
        assert title(first) == "resque-3 taskq: Waiting for jobs,low"
        first.send(signal.SIGUSR2)
        first.line("Paused")
        assert title(first) == "resque-3 taskq: Paused"
        waited = first.log.count("Waiting for jobs,low")  # it may have been woken for nothing, and have waited again
        first.send(signal.SIGCONT)
        first.line("Waiting for jobs,low", times=waited + 1)
        first.send(signal.SIGQUIT)
        assert first.ended() == 0
    assert titles(first) == rubys(plain)

    app.enqueue(jobs.Long, 0.3)
    with worker(redis_server, QUEUE="*", RESQUE_PROCLINE_PREFIX="myapp ", VVERBOSE="1", **at(gate)) as second:
        second.line("long began")
        child = second.at_work()
        assert re.fullmatch(r"myapp resque-3 taskq: Processing jobs since \d+ \[Long\]", title(second, child))
        open_gate(gate)
        second.line("Waiting for jobs")
        second.send(signal.SIGQUIT)
        assert second.ended() == 0
    assert titles(second) == rubys(prefixed)

    app.enqueue_to("jobs", "Nope::Missing", 1)
    app.enqueue(jobs.Long, 0.3)
    with worker(redis_server, FORK_PER_JOB="false", VVERBOSE="1", **at(gate)) as third:
        third.line("long began")
        assert third.children() == recording("40").returned[f"{inline}: children"]
        open_gate(gate)
        third.line("Waiting for jobs")
        third.send(signal.SIGQUIT)
        assert third.ended() == 0
    assert titles(third) == rubys(inline)

    found = left(client, first.pid, second.pid, third.pid)
    state = recorded(recording("40").after)
    [entry], [ours] = state["resque:failed"].data, found["resque:failed"].data
    ruby, error = json.loads(entry), json.loads(ours)["error"]
    assert error.startswith('Unknown job "Nope::Missing" (queue jobs).')
    words = changed(
        state["resque:failed"],
        (0, '"exception":"NameError"', '"exception":"taskq.errors.UnknownJob"'),
        (0, json.dumps(ruby["error"]), json.dumps(error)),
        (0, json.dumps(ruby["backtrace"]), "[]"),
    )
    assert_same(found, state, {"resque:failed": Differs(words, "an unknown job, in taskq's words")})


@replays("40")
def test_the_title_before_anything_else(redis_server: RedisServer) -> None:
    """It is set before the worker registers, so that no pruner ever sees it untitled."""
    with RunningWorker("redis://127.0.0.1:1", app="tests.wire.jobs:app", env={"QUEUE": "jobs"}) as running:
        running.line("is away")
        shown = recording("40").returned["QUEUE=jobs,low: parent"][1]
        assert title(running) == shown.replace("resque: ", "resque-3 taskq: ")


# ---- variables


@replays("41")
def test_interval_0_stops_when_empty(redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    status, output = recording("41").returned["QUEUE=jobs INTERVAL=0: stops when empty"]
    app.enqueue(jobs.Ok, 1)
    running = work_off(redis_server, VVERBOSE="1")
    assert status == 0
    ruby = [line.replace("[TIME] PID: ", "").replace("HOST:PID:", "vm:N:") for line in output.splitlines()]
    wanted = replaced(
        told(ruby),
        ["** Registered signals"],
        ["** Registered signals", "** Jobs are performed in a child of its own each"],
    )
    assert told(running.log.splitlines()) == wanted

    app.enqueue(jobs.Bad, 1)
    with worker(redis_server, INTERVAL="0", FAILURE_BACKEND="nonsense") as refused:
        assert refused.ended() == 2
    assert "FAILURE_BACKEND" in refused.log
    assert "redis_multi_queue" in refused.log
    why = "a failure backend that does not exist is refused: Ruby loses the failed job"
    assert_same(
        left(client, running.pid),
        recorded(recording("41").after),
        {
            "resque:queue:jobs": Differs(listed('{"class":"Bad","args":[1]}'), why),
            "resque:stat:failed": Differs(None, why),
            "resque:stat:processed": Differs(string("1"), why),
        },
    )


@replays("41")
def test_queues_wins_over_queue(redis_server: RedisServer) -> None:
    status, output = recording("41").returned["QUEUES=a,b QUEUE=c: QUEUES wins"]
    running = work_off(redis_server, QUEUE="c", QUEUES="a,b", VVERBOSE="1")
    assert status == 0
    for line in output.splitlines():
        assert line.replace("[TIME] PID: ", "").replace("HOST:PID:", "vm:N:") in map(
            same_line, running.log.splitlines()
        )


@replays("41")
def test_an_empty_queue_is_refused_as_by_ruby_with_what_to_set(redis_server: RedisServer) -> None:
    """Where it is not set at all, taskq means every queue, by design."""
    assert recording("41").returned["no QUEUE"][0] == 1
    with worker(redis_server, QUEUE="") as running:
        assert running.ended() == 2
    assert "QUEUE: Please give each worker at least one queue." in running.log


@replays("41")
@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("INTERVAL", "abc", "INTERVAL"),  # Ruby logs it and ends with 0
        ("BACKGROUND", "1", "service manager"),  # Ruby goes into the background
        ("FAILURE_BACKEND", "nonsense", "FAILURE_BACKEND"),  # Ruby loses what fails
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    variable: str, value: str, says: str, redis_server: RedisServer, client: redis.Redis
) -> None:
    with worker(redis_server, **{variable: value}) as running:
        assert running.ended() == 2
    assert says in running.log
    assert left(client) == {}


@replays("41")
def test_the_pid_file(redis_server: RedisServer, tmp_path: Path) -> None:
    wanted = recording("41").returned["PIDFILE: bytes of the file while running, file after the end"]
    assert wanted == ["PID without a line end", "still there after the end", True]
    path = tmp_path / "pid"
    with worker(redis_server, PIDFILE=str(path)) as running:
        running.started()
        assert path.read_bytes() == str(running.pid).encode()
        running.send(signal.SIGQUIT)
        assert running.ended() == 0
    assert path.read_bytes() == str(running.pid).encode()


@replays("41")
def test_intervals_that_grow_are_needless(redis_server: RedisServer) -> None:
    """Taken, and said: a worker is woken when a job comes, so that there is nothing to back off from."""
    assert recording("41").returned["MIN_INTERVAL=0.1 MAX_INTERVAL=0.4 BACKOFF_INTERVAL=0.1"][0] == 0
    running = work_off(redis_server, MIN_INTERVAL="0.1", MAX_INTERVAL="0.4", BACKOFF_INTERVAL="0.1")
    assert "MIN_INTERVAL, MAX_INTERVAL, BACKOFF_INTERVAL have no effect" in running.log
    assert printed(running) == []


@replays("41")
def test_one_worker_where_no_count_is_said(redis_server: RedisServer) -> None:
    """Ruby has a task of its own for several, which asks for COUNT."""
    assert recording("41").returned["rake resque:workers without COUNT"][0] == 1
    running = work_off(redis_server)
    assert running.log.count("Starting worker") == 1


@replays("41")
def test_a_redis_that_is_away_ends_it_where_asked(redis_server: RedisServer) -> None:
    """With --no-retry and the code 69; by itself it waits, where Ruby ends with 1."""
    assert recording("41").returned["Redis not reachable"][0] == 1
    address = "redis://127.0.0.1:1"
    with RunningWorker(address, "--no-retry", app="tests.wire.jobs:app", env={"QUEUE": "jobs"}) as running:
        assert running.ended() == 69
    assert "127.0.0.1:1" in running.log
