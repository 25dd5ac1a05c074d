"""Faults 6 and 8 to 12: Redis goes away, is cut off, is full, read-only, forgetful; a live worker cannot beat."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

import taskq
from taskq.errors import BrokerUnavailable
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG, fewer, in_every_isolated_model, in_every_model, numbered, push_numbers
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

EVERY_MODEL = in_every_model("fork", "inline", "threads", "async", "children, prefetch")


@pytest.fixture(scope="module")
def refusing() -> Iterator[RedisServer]:
    """A replica whose master is not there."""
    with RedisServer() as server, server.client() as client:
        client.replicaof("127.0.0.1", 1)
        yield server


@pytest.fixture
def durable() -> Iterator[RedisServer]:
    """A server of the test's own that writes every command to disk before it answers."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.mark.fault(8)
@EVERY_MODEL
@pytest.mark.timeout(600 if LONG else 90)
def test_redis_is_killed_under_load_and_the_same_worker_goes_on(
    model: list[str], durable: RedisServer, worker: Start, journal: Journal, chance: random.Random
) -> None:
    """Fault 8: lost 0, no exit, and jobs are taken within 2 s of its return."""
    with taskq.using(durable.url) as app:
        numbers = push_numbers(app, fewer(model, 5000 if LONG else 1000), seconds=0.002, model=model)
        running = worker(*model, "--beat", "0.5", "--dead-after", "2", url=durable.url)
        running.started()
        for outage in [0.5, 3.0] if not LONG else [2.0, 10.0, 60.0]:
            seen = len(journal.counts("start"))
            some = chance.randrange(1, fewer(model, 60))
            wait_until(lambda seen=seen, some=some: len(journal.counts("start")) >= seen + some)  # type: ignore[misc]
            durable.kill()
            time.sleep(outage)
            seen = len(journal.counts("start"))
            durable.start()
            back = time.monotonic()
            wait_until(lambda seen=seen: len(journal.counts("start")) > seen or not app.size("q"))  # type: ignore[misc]
            assert time.monotonic() - back < 2.0
        wait_until(lambda: app.size("q") == 0, seconds=300)
        running.send(signal.SIGQUIT)
        assert running.ended() == 0
        assert running.log.count("is away") == running.log.count("is back after") >= 1
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept(numbers)
        assert kept.failed == []


@pytest.mark.fault(8)
@pytest.mark.timeout(90)
@in_every_model("threads")
def test_an_outage_longer_than_dead_after_robs_nobody(
    model: list[str], durable: RedisServer, worker: Start, journal: Journal
) -> None:
    """Fault 8: after it every heartbeat is old, and that says nothing of any one worker."""
    with taskq.using(durable.url) as app:
        push_numbers(app, 2, seconds=6.0, model=model)
        running = [worker(*model, "--beat", "0.3", "--dead-after", "1.5", url=durable.url) for _ in range(3)]
        wait_until(lambda: len(journal.counts("start")) == 2)
        durable.kill()
        time.sleep(3.0)
        durable.start()
        wait_until(lambda: len(journal.counts("end")) == 2)
        wait_until(lambda: app.info()["processed"] == 2)
        for one in running:
            one.send(signal.SIGQUIT)
            assert one.ended() == 0
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept(range(2))
        assert kept.failed == []


@pytest.mark.fault(9)
@EVERY_MODEL
@pytest.mark.timeout(120)
def test_every_connection_is_killed_again_and_again(
    model: list[str], server: RedisServer, worker: Start, app: taskq.TaskQ, journal: Journal, chance: random.Random
) -> None:
    """Fault 9: lost 0, doubles 0, no exit; and a thousand equal jobs are counted exactly."""
    numbers = push_numbers(app, fewer(model, 1500 if LONG else 1000), model=model)
    running = worker(*model, "--queues", "q,equal")
    running.started()
    kills = 0
    with server.client() as client:
        while app.size("q") and kills < 50:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            kills += 1
            time.sleep(chance.uniform(0.0, 0.02))
        wait_until(lambda: app.size("q") == 0, seconds=90)
        equal = numbered(model).options(queue="equal")
        many = fewer(model, 1000)
        app.enqueue_many([equal.call(-1)] * many)
        while app.size("equal"):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(chance.uniform(0.0, 0.02))
    wait_until(lambda: app.info()["processed"] == len(numbers) + many)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    ended = journal.counts("end")[-1]
    assert ended == many
    kept = balance(app.broker, journal, ["q", "equal"])
    assert kept.processed == len(numbers) + ended
    assert kept.missing(numbers) == []
    assert [number for number in kept.ran_twice() if number >= 0] == []
    assert kept.failed == []


@pytest.mark.fault(10)
def test_redis_is_away_at_the_start_and_the_worker_waits_and_says_so(worker: Start, journal: Journal) -> None:
    """Fault 10."""
    with RedisServer() as later:
        later.stop()
        running = worker(url=later.url)
        running.line(rf"Redis at 127.0.0.1:{later.port} is away \(connection refused\); try 1, again in 1 s")
        running.line("try 2, again in 2 s")
        later.start()
        running.line("is back after")
        with taskq.using(later.url):
            fault_jobs.numbered.enqueue(1)
            wait_until(lambda: journal.counts("end")[1])


@pytest.mark.fault(10)
@pytest.mark.parametrize("arguments", [["--burst"], ["--no-retry"]])
def test_redis_is_away_at_the_start_and_the_worker_was_told_not_to_wait(arguments: list[str], worker: Start) -> None:
    began = time.monotonic()
    running = worker(*arguments, url="redis://127.0.0.1:1")
    assert running.ended() == 69
    assert "Cannot reach Redis at 127.0.0.1:1 (connection refused)" in running.log
    assert "Traceback" not in running.log
    assert time.monotonic() - began < 10


@pytest.mark.fault(10)
@pytest.mark.parametrize("key", ["workers", ""], ids=["wrong type", "replica"])
@pytest.mark.parametrize(
    "arguments", ["--burst", "--no-retry --threads 2", "--burst --count 2", "--no-retry --count 2"]
)
def test_a_redis_that_answers_and_cannot_register_it_is_away_for_who_does_not_wait(
    key: str, arguments: str, worker: Start, server: RedisServer, refusing: RedisServer
) -> None:
    where, said = refusing, "refuses writes: it is a read-only replica"
    if key:
        where, said = server, "holds a string where a set belongs"
        with server.client() as client:
            client.set(f"resque:{key}", "x")
    running = worker(*arguments.split(), url=where.url)
    assert running.ended() == 69
    assert running.log.count(said) == 1, running.log
    for never in ("Traceback", "is back", "Starting worker", "another starts"):
        assert never not in running.log


@pytest.mark.fault(10)
@pytest.mark.parametrize("model", ["", "--threads 2", "--jobs-per-fork 5", "--count 2"])
def test_a_burst_whose_broker_does_not_come_back_ends(model: str, worker: Start, server: RedisServer) -> None:
    with server.client() as client:
        client.set("resque:queues", "x")
        running = worker("--burst", "--queue", "*", *model.split(), module="tests.support.hasty")
        assert running.ended() == 69
    assert "waits 0.5 s for it and no longer" in running.log
    assert "resque:queues" in running.log
    assert "is back" not in running.log
    assert "Traceback" not in running.log


@pytest.mark.fault(11)
def test_it_is_back_only_when_what_was_refused_is_done(worker: Start, app: taskq.TaskQ, server: RedisServer) -> None:
    """Its heartbeat is answered all the while."""
    running = worker("--queue", "*", "--beat", "0.1", "--threads", "2", "-vv")
    identifier = running.started()
    running.line("Waiting for")
    with server.client() as client:
        client.set("resque:queues", "x")
        running.line("holds a string .* waits until that is mended")
        before = client.hget("resque:workers:heartbeat", identifier)
        wait_until(lambda: client.hget("resque:workers:heartbeat", identifier) != before)
        assert "is back" not in running.log
        client.delete("resque:queues")
    running.line("is back after")
    assert running.log.count("is back") == running.log.count("waits until that is mended") == 1


@pytest.mark.fault(10)
def test_enqueue_names_the_address_where_redis_is_away() -> None:
    with taskq.using("redis://127.0.0.1:1"), pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1") as raised:
        fault_jobs.numbered.enqueue(1)
    assert raised.value.sent == "no"


@pytest.mark.fault(11)
@EVERY_MODEL
def test_a_replica_that_may_not_write_is_waited_for(model: list[str], worker: Start, journal: Journal) -> None:
    """Fault 11, READONLY: a failover that has not come through."""
    with RedisServer() as own, own.client() as client, taskq.using(own.url) as app:
        running = worker(*model, "-vv", url=own.url)
        running.line("Waiting for")
        fault_jobs.numbered.enqueue(1)
        wait_until(lambda: journal.counts("end")[1])
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(BrokerUnavailable, match="read-only"):
            fault_jobs.numbered.enqueue(2)
        running.line("refuses writes: it is a read-only replica")
        client.execute_command("REPLICAOF", "NO", "ONE")
        running.line("is back after")
        fault_jobs.numbered.enqueue(3)
        wait_until(lambda: app.broker.stats().processed == 2)  # it may still be at it where the journal has its end
        balance(app.broker, journal, ["q"]).assert_kept([1, 3])


@pytest.mark.fault(11)
@EVERY_MODEL
def test_a_full_redis_is_drained_by_its_workers(model: list[str], worker: Start, journal: Journal) -> None:
    """Fault 11, OOM: only `push` is refused."""
    with RedisServer(maxmemory_policy="noeviction") as full, full.client() as client, taskq.using(full.url) as app:
        numbers = push_numbers(app, 20)
        fault_jobs.raises.enqueue(20)
        client.set("ballast", b"x" * 1_000_000)
        client.config_set("maxmemory", "1")
        with pytest.raises(redis.OutOfMemoryError):
            client.set("more", "x")
        with pytest.raises(BrokerUnavailable, match="memory"):
            fault_jobs.numbered.enqueue(99)
        running = worker(*model, "--burst", url=full.url)
        assert running.ended() == 0
        kept = balance(app.broker, journal, ["q"])
        kept.assert_kept([*numbers, 20])
        assert (kept.queued, kept.failed) == ([], [20])


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "key",
    ["worker:{id}", "stat:processed", "stat:failed", "failed", "queue:other", "pause-all-workers", "taskq:paused"],
)
def test_a_key_of_the_wrong_type_loses_no_job(
    key: str, worker: Start, app: taskq.TaskQ, journal: Journal, server: RedisServer
) -> None:
    """Fault 11: each key of ours in turn is something else; the worker says which, or does without."""
    running = worker("--queues", "other,q", "-vv")
    identifier = running.started()
    running.line("Waiting for")
    name = f"resque:{key.format(id=identifier)}"
    with server.client() as client:
        client.delete(name)
        client.zadd(name, {"rubbish": 1})
        app.enqueue_many([fault_jobs.numbered.call(1), fault_jobs.raises.call(2), fault_jobs.numbered.call(3)])
        if key in {"stat:processed", "stat:failed", "queue:other"}:  # these stop no job
            wait_until(lambda: journal.counts("end")[3])
        else:
            running.line(rf"The key {re.escape(name)} .* holds a zset .* waits until that is mended")
        client.delete(name)
    wait_until(lambda: app.size("q") == 0 and not app.working())
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    assert kept.missing([1, 2, 3]) == []
    assert kept.in_two_places() == []
    assert kept.ran_twice() == []
    assert kept.failed == [2]
    assert "Traceback" not in running.log


@pytest.mark.fault(12)
@EVERY_MODEL
@pytest.mark.timeout(300)
def test_scripts_are_flushed_under_load(
    model: list[str], server: RedisServer, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 12: nothing to be seen."""
    numbers = push_numbers(app, fewer(model, 1000), model=model)
    running = worker(*model)
    running.started()
    flushes = 0
    with server.client() as client:
        while app.size("q"):
            client.script_flush()
            flushes += 1
            time.sleep(0.001)  # each costs every worker the scripts anew: without it Redis does little else
    wait_until(lambda: app.info()["processed"] == len(numbers))
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert flushes > 10
    assert "away" not in running.log
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(numbers)
    assert kept.failed == []


@pytest.mark.fault(6)
@pytest.mark.timeout(90)
@in_every_isolated_model("fork")
def test_a_job_that_holds_the_interpreter_is_not_robbed_while_its_parent_beats(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 6."""
    fault_jobs.holds_gil.enqueue(1, 5)
    running = worker(*model, "--queue", "q", "--beat", "0.3", "--dead-after", "1.5")
    running.started()
    wait_until(lambda: journal.counts("start")[1])
    neighbour = worker("--queue", "other", "--beat", "0.3", "--dead-after", "1.5")
    wait_until(lambda: journal.counts("end")[1])
    wait_until(lambda: app.info()["processed"] == 1)
    for one in (running, neighbour):
        one.send(signal.SIGQUIT)
        assert one.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == []


@pytest.mark.fault(6)
@pytest.mark.timeout(90)
@EVERY_MODEL
def test_one_that_was_stopped_past_its_time_is_pruned_and_its_late_settle_refused(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 6: SIGSTOP, and SIGCONT when somebody else has settled its job."""
    fault_jobs.numbered.enqueue(1, 1.0)
    stopped = worker(*model, "--queue", "q", "--beat", "0.3", "--dead-after", "1.5", "-v")
    stopped.started()
    wait_until(lambda: journal.counts("start")[1])
    everyone = [stopped.pid, *stopped.children()]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    worker("--queue", "other", "--beat", "0.3", "--dead-after", "1.5").started()
    wait_until(lambda: app.failures.count() == 1)
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    stopped.line("is not registered any more")
    stopped.line("is not this worker's any more")
    fault_jobs.numbered.enqueue(2)
    wait_until(lambda: journal.counts("end")[2])
    stopped.send(signal.SIGQUIT)
    assert stopped.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert kept.failed == [1]


@pytest.mark.fault(6)
@EVERY_MODEL
def test_a_broker_that_lost_its_data_is_said_to_be_one_of_two_causes(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal, redis_server: RedisServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    fault_jobs.until.enqueue(1, str(gate))
    running = worker(*model, "--queue", "q", "--beat", "0.3", "--dead-after", "9", "-v")
    wait_until(lambda: journal.counts("start")[1])
    with redis_server.client() as client:
        client.flushall()
    running.line("is not registered any more: it was taken for dead, or the broker lost its data. It registers anew.")
    gate.touch()
    running.line("is not this worker's any more: somebody else settled it, or the broker lost its data")
    running.line("Registered again")
    fault_jobs.numbered.enqueue(2)
    wait_until(lambda: journal.counts("end")[2])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0


def test_an_idle_worker_is_not_troubled_by_a_quiet_connection(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """redis-py's own time limit on reading must not end an idle worker."""
    running = worker("--interval", "30")
    running.started()
    time.sleep(6)
    fault_jobs.numbered.enqueue(1)
    wait_until(lambda: journal.counts("end")[1], seconds=3)
    assert "away" not in running.log
    assert os.path.exists(f"/proc/{running.pid}")
