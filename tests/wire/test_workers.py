"""Workers seen by others: registered, paused, pruned, killed, and the queues they look at (22 to 26, 57)."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from taskq import ConfigurationError, TaskQ, dates, failed_entry, queue_lists
from taskq.envelope import decode
from taskq.failure_handler import Failure
from taskq.records import Crash, ProcessIdentity
from taskq.testing.contract.broker.holder import Holder
from taskq.worker.line import Line
from taskq_redis.testing import RedisServer
from tests.support.workers import is_alive, wait_until
from tests.wire import jobs
from tests.wire.recorded import (
    Differs,
    State,
    Value,
    assert_same,
    comparable,
    left,
    listed,
    load,
    members,
    recorded,
    recording,
    replays,
    string,
    table,
    while_registered,
)
from tests.wire.workers import at, open_gate, work_off, worker


class Seated(Holder):
    """A worker without a process: its calls made by hand."""

    def __init__(self, app: TaskQ, name: str) -> None:
        nobody = ProcessIdentity(host="elsewhere", boot="", namespace="", pid=1, started="")
        super().__init__(app.broker, name, process=nobody)
        assert self.register()

    def serve(self, *queues: str) -> str | None:
        """Take a job, settle it as done, say which queue it came from."""
        taken = self.reserve(*queues).jobs
        for job in taken:
            assert self.finish(job)
        return taken[0].queue if taken else None


# ---- 22: the key that pauses


@replays("22")
def test_the_values_that_pause_are_rubys(client: redis.Redis, app: TaskQ) -> None:
    seated = Seated(app, "vm:1:jobs")
    prefix = "paused? when the value is "
    values = {call: paused for call, paused in recording("22").returned.items() if call.startswith(prefix)}
    assert len(values) == 10
    for call, paused in values.items():
        text = call.removeprefix(prefix)
        client.delete("resque:pause-all-workers")
        if text != "nil":
            client.set("resque:pause-all-workers", text[1:-1].replace("\\n", "\n"))
        app.enqueue(jobs.Ok, 1)
        assert app.broker.paused().all is paused, call
        assert seated.serve("jobs") == (None if paused else "jobs"), call
        client.delete("resque:queue:jobs")


@replays("22")
def test_a_worker_takes_nothing_while_the_key_pauses(
    client: redis.Redis, app: TaskQ, redis_server: RedisServer
) -> None:
    returned = recording("22").returned
    client.set("resque:pause-all-workers", "true")
    app.enqueue(jobs.Ok, 1)
    with worker(redis_server, VVERBOSE="1", INTERVAL="0.02") as running:
        # Ruby's title says Paused. taskq looks at the key in the same step that takes a job: it only hears "nothing".
        running.line("Waiting for jobs", times=3)
        assert [job.body.decode() for job in app.peek("jobs")] == returned["queue while paused"]
        client.delete("resque:pause-all-workers")
        running.line(r"performed \[1\]")
        running.line("done: ")
        wait_until(lambda: client.get("resque:stat:processed"))
        running.send(signal.SIGQUIT)
        assert f"exit {running.ended()}" == returned["exit"]
    assert_same(left(client, running.pid), recorded(recording("22").after))


@replays("22")
def test_a_burst_ends_while_the_key_pauses_and_says_why(
    client: redis.Redis, app: TaskQ, redis_server: RedisServer
) -> None:
    """Ruby's worker with interval 0 ends as well, and says nothing."""
    client.set("resque:pause-all-workers", "true")
    app.enqueue(jobs.Ok, 1)
    running = work_off(redis_server)
    running.line(r"^\*\*\* Paused, and left as it is: jobs \(1\)\.")
    assert app.size("jobs") == 1


# ---- 23: silence


def shifted(state: State, seconds: float) -> State:
    """The state with its heartbeats so much later."""
    name = "resque:workers:heartbeat"
    beats = {
        one: dates.heartbeat(moment + seconds) if (moment := dates.parse_heartbeat(text)) is not None else text
        for one, text in state[name].data.items()
    }
    return {**state, name: replace(state[name], data=beats)}


@replays("23")
def test_the_silent_are_pruned_as_by_ruby(client: redis.Redis, redis_server: RedisServer) -> None:
    """Those over 300 s, whoever and wherever they are, at a start, by who gets the lock."""
    before = recording("23").states["before the worker starts"]
    recorded_at = dates.parse_heartbeat("2026-11-23T20:19:38+00:00")
    assert recorded_at is not None
    # One was silent for 298 s then. A slow machine must not make it 300: it is 10 s less.
    state = shifted(before, time.time() - recorded_at)
    state["resque:workers:heartbeat"].data["otherhost:14:jobs"] = dates.heartbeat(time.time() - 288)
    load(client, state)
    running = work_off(redis_server, VERBOSE="1")
    wanted = recorded(recording("23").states["after the first worker: it died on the payload that is not JSON"])
    why = "Ruby's worker dies of a record that is no JSON, each that starts; taskq settles it like the others"
    bad = (
        f'{{"failed_at":"TIME UTC","payload":{{"class":"","args":[],"raw":"{base64.b64encode(b"not json").decode()}"}},'
        '"exception":"Resque::PruneDeadWorkerDirtyExit",'
        '"error":"Worker otherhost:17:bad did not gracefully exit while processing No Name","backtrace":[],'
        '"worker":"otherhost:17:bad","queue":""}'
    )
    counted = "a job that was lost counts as processed and failed; Ruby's pruner counts nothing"
    beats = wanted["resque:workers:heartbeat"].data
    assert_same(
        left(client, running.pid),
        wanted,
        {
            "resque:failed": Differs(listed(*wanted["resque:failed"].data, bad), why),
            "resque:stat:failed:otherhost:17:bad": Differs(None, why),
            "resque:stat:processed:otherhost:17:bad": Differs(None, why),
            "resque:worker:otherhost:17:bad": Differs(None, why),
            "resque:worker:otherhost:17:bad:started": Differs(None, why),
            "resque:workers": Differs(members("otherhost:14:jobs", "otherhost:15:jobs"), why),
            "resque:workers:heartbeat": Differs(table(**{"otherhost:14:jobs": beats["otherhost:14:jobs"]}), why),
            "resque:stat:failed": Differs(string("3"), counted),
            "resque:stat:processed": Differs(string("3"), counted),
        },
    )
    pruned = [line for line in running.log.splitlines() if "Pruning dead worker" in line]
    assert pruned == [
        "*** " + line.partition(": ")[2] for line in recording("23").output[:8] if "Pruning dead worker" in line
    ]


@replays("23")
@pytest.mark.parametrize(
    ("one", "heartbeat", "pruned"),
    [
        ("otherhost:18:jobs", "garbage", False),  # no time: nobody can say how old it is
        ("otherhost:18:jobs", "500 s ago", True),
        ("otherhost:19", "500 s ago", True),  # no queues; it is as dead as the others
    ],
)
def test_heartbeats_that_end_rubys_workers_end_none_of_taskqs(
    one: str, heartbeat: str, pruned: bool, client: redis.Redis, redis_server: RedisServer
) -> None:
    if heartbeat.startswith("500"):
        heartbeat = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 500))
    client.hset("resque:workers:heartbeat", one, heartbeat)
    running = work_off(redis_server)
    lock = {"resque:pruning_dead_workers_in_progress": string("vm:PID:jobs", 60)}
    trace = {} if pruned else {"resque:workers:heartbeat": table(**{one: heartbeat})}
    assert_same(left(client, running.pid), {**lock, **trace})


# ---- 24: pids


@replays("24")
@pytest.mark.parametrize("queues", ["a,b", "*"])
def test_other_programs_workers_are_not_judged_by_their_pids(
    queues: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    """A pid says nothing across containers that share a host name: taskq judges processes only of its own kind, by
    boot and pid namespace. Ruby prunes eight of these, five of them alive."""
    assert len(recording("24").returned["worker on a,b: removed"]) == 8
    before = recording("24").states["before"]
    beats = {"vm:999996:a,b": dates.heartbeat(time.time())}
    before["resque:workers:heartbeat"] = Value("hash", beats)
    load(client, before)
    running = work_off(redis_server, QUEUE=queues)
    lock = {"resque:pruning_dead_workers_in_progress": string(f"vm:PID:{queues}", 60)}
    assert_same(left(client, running.pid), comparable({**before, **lock}, ()))


@replays("24")
@pytest.mark.parametrize("one", ["vm:999991", "nonsense", "vm:999991:a:b,c"])
def test_ids_that_end_rubys_workers_end_none_of_taskqs(
    one: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    client.sadd("resque:workers", one)
    running = work_off(redis_server, QUEUE="a")
    lock = {"resque:pruning_dead_workers_in_progress": string("vm:PID:a", 60)}
    assert_same(left(client, running.pid), {**lock, "resque:workers": members(one)})


RUBY_SEES = r"ps -A -o pid,command | grep -E '[r]esque:work|[r]esque:\sStarting|[r]esque-[0-9]' | grep -v resque-web"
"""How Ruby's pruner finds the living (resque/worker.rb, `linux_worker_pids`)."""


def seen_by_ruby() -> set[int]:
    lines = subprocess.run(RUBY_SEES, shell=True, capture_output=True, text=True, check=True).stdout.splitlines()
    return {int(line.split()[0]) for line in lines}


@replays("24")
def test_rubys_pruner_sees_taskqs_workers_alive(
    redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path
) -> None:
    """The pid in the id is in the process list that Ruby looks at, whatever the worker does."""
    with worker(redis_server, VVERBOSE="1", **at(gate)) as running:
        running.line("Waiting for jobs")
        assert int(running.started().split(":")[1]) == running.pid
        assert running.pid in seen_by_ruby()
        app.enqueue(jobs.Long, 1.0)
        running.line("long began")
        assert {running.pid, *running.children()} <= seen_by_ruby()
        running.send(signal.SIGUSR2)
        open_gate(gate)
        running.line("Paused")
        assert running.pid in seen_by_ruby()


@replays("24")
def test_rubys_pruner_sees_every_worker_of_a_supervisor(redis_server: RedisServer) -> None:
    with worker(redis_server, "--count", "2", RESQUE_PROCLINE_PREFIX="web ") as running:
        ids = {running.line("Starting worker (.*)", times=time)[1] for time in (1, 2)}
        assert {int(one.split(":")[1]) for one in ids} <= seen_by_ruby()


# ---- 25: the life of a registration


@replays("25")
def test_registering_working_and_leaving(client: redis.Redis, app: TaskQ) -> None:
    states = {name: recorded(state) for name, state in recording("25").states.items()}
    name = recording("25").returned["to_s"]
    seated = Seated(app, name)
    broker, tokens = seated.broker, seated.tokens
    assert broker.heartbeat(name, tokens.process)
    first, second = b'{"class":"Ok","args":[1],"extra":{"k":1.0}}', b'{"class":"Ok","args":[2]}'
    client.rpush("resque:queue:low", first)
    [held] = broker.reserve(name, ["high", "low"], tokens.next()).jobs
    own = while_registered(name)
    assert_same(left(client, 1652, own=own), states["working"])
    [known] = app.working()
    assert (known.host, known.pid, known.queues) == ("vm", 1652, ("high", "low", "with space", "é"))
    assert known.job == held
    assert broker.finish(held, tokens.next())
    [known] = app.workers()
    assert [known.processed, known.failed] == recording("25").returned["processed, failed"]
    assert known.job is None

    client.rpush("resque:queue:low", second)
    [held] = broker.reserve(name, ["low"], tokens.next()).jobs
    why = "a failure is counted with its entry, never by itself"
    differs = {
        "resque:stat:failed": Differs(None, why),
        "resque:stat:failed:vm:PID:high,low,with space,é": Differs(None, why),
    }
    assert_same(left(client, 1652, own=own), states["before unregister"], differs)

    # Ruby's worker that leaves with a job in hand writes its entry; taskq's does not leave, and recovery writes it.
    assert not broker.unregister(name, tokens.process)
    seen = broker.worker(name)
    assert seen is not None
    crash = Crash(worker_lost=True)
    lost = Failure(decode(second), second, "low", name, crash, held.run_at, broker.now())
    assert broker.recover(seen, failed_entry.encode(lost))
    counted = {"resque:stat:processed": Differs(string("2"), "a failed job is a processed one")}
    assert_same(left(client, 1652), states["after"], counted)


# ---- 26: the order of queues


SPECS = {call: found for call, found in recording("26").returned.items() if isinstance(found, dict) and "id" in found}


@replays("26")
@pytest.mark.parametrize("call", SPECS)
def test_queues_are_looked_at_in_rubys_order(call: str, app: TaskQ) -> None:
    wanted = SPECS[call]
    for queue in ("a_high", "b_low", "high_1", "high_2", "mail"):
        app.enqueue_to(queue, jobs.Ok)
    queues = queue_lists.parse(re.findall(r'"([^"]*)"', call))
    assert f"HOST:PID:{queues.id}" == wanted["id"]
    line, seated = Line(queues, app.broker.queues), Seated(app, f"vm:1:{queues.id}")
    assert list(dict.fromkeys(wanted["queues"])) == list(line.names())
    order = []
    while (taken := seated.serve(*line.names())) is not None:
        order.append(taken)
        line.came_back_empty()
    assert order == wanted["order of jobs"]


@replays("26")
def test_odd_queues_match_as_rubys(client: redis.Redis, app: TaskQ) -> None:
    for queue in (".dot", "a/b", "MAIL", "mail"):
        app.enqueue_to(queue, jobs.Ok, queue)
    returned = recording("26").returned
    for call, spec in {
        'queues .dot, a/b, MAIL, mail; Worker.new("*")': "*",
        'Worker.new("m*"): case counts': "m*",
        'Worker.new(".*", "a*")': ".*,a*",
    }.items():
        assert list(queue_lists.parse(spec).expand(app.queues())) == returned[call]
    assert_same(left(client), recorded(recording("26").after))


@replays("26")
@pytest.mark.parametrize(
    ("call", "env"),
    [
        ("QUEUE=mail,high_1, Worker.new", {"QUEUE": "mail,high_1"}),
        ("QUEUES=b_low, a_high, Worker.new", {"QUEUE": "", "QUEUES": "b_low, a_high"}),
        ("QUEUE=*", {"QUEUE": "*"}),
    ],
)
def test_the_variables_make_rubys_ids(call: str, env: dict[str, str], redis_server: RedisServer) -> None:
    running = work_off(redis_server, **env)
    assert f"HOST:PID:{running.started().split(':', 2)[2]}" == recording("26").returned[call]


@replays("26")
def test_a_worker_without_a_queue() -> None:
    wanted = recording("26").returned['Worker.new("!mail")']["message"]
    assert recording("26").returned["no queue at all"]["message"] == wanted
    for none in ("!mail", ""):
        with pytest.raises(ConfigurationError) as caught:
            queue_lists.parse(none)
        assert caught.value.problems[0].message.startswith(wanted)


# ---- 57: a parent that is killed


@replays("57")
def test_a_killed_parent_takes_its_child_along_and_the_next_worker_settles(
    redis_server: RedisServer, client: redis.Redis, app: TaskQ, gate: Path
) -> None:
    states = {name: recorded(state) for name, state in recording("57").states.items()}
    app.enqueue(jobs.Long, 1.2)
    with worker(redis_server, **at(gate)) as killed:
        killed.line("long began")
        child = killed.at_work()
        os.kill(killed.pid, signal.SIGKILL)
        assert killed.ended() == -signal.SIGKILL
        # Ruby's child goes on unseen, and its job is failed all the same. Ours ends with its parent.
        wait_until(lambda: not is_alive(child), "the child is gone")
        own = while_registered(f"vm:{killed.pid}:jobs")
        assert_same(left(client, killed.pid, own=own), states["right after"])
        assert "long done" not in killed.log
    following = work_off(redis_server)
    # Ruby's next worker within 60 s prunes nothing, for the dead one still has the lock. taskq's needs no lock for
    # what it sees with its own eyes: a process of this boot that is gone.
    counted = "a job that was lost counts as processed and failed"
    assert_same(
        left(client, killed.pid, following.pid),
        states["after"],
        {
            "resque:stat:failed": Differs(string("1"), counted),
            "resque:stat:processed": Differs(string("1"), counted),
        },
    )
    assert client.get("resque:pruning_dead_workers_in_progress") == f"vm:{killed.pid}:jobs".encode()
