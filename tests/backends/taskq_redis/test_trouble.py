"""A Redis in trouble: full, busy, read-only, refusing, or with a key of the wrong type. It never loses a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from taskq.broker import Requeued
from taskq.errors import BrokerError, BrokerInTrouble, BrokerRefused, BrokerUnavailable
from taskq.records import Stats, StoredFailure
from taskq.testing.contract.broker.holder import ONE, TWO, Holder
from taskq_redis import RedisBroker, open_broker
from taskq_redis.testing import RedisServer

pytestmark = pytest.mark.redis

ID = "host:1:q"


@pytest.fixture
def holder(broker: RedisBroker) -> Holder:
    holder = Holder(broker, ID)
    assert holder.register()
    return holder


def test_a_batch_passes_over_a_queue_of_the_wrong_type_in_its_middle(
    broker: RedisBroker, holder: Holder, client: redis.Redis
) -> None:
    broker.push("a", [ONE] * 130)
    client.set("resque:queue:b", "no list")
    broker.push("c", [TWO] * 3)
    jobs = holder.reserve("a", "b", "c", limit=132).jobs
    assert [(job.queue, job.body) for job in jobs] == [("a", ONE)] * 130 + [("c", TWO)] * 2
    assert len({job.fence for job in jobs}) == 132
    assert (broker.size("a"), broker.size("c")) == (0, 1)
    assert client.llen(f"resque:taskq:ahead:{ID}") == 131


# ---- a key of the wrong type: each key of ours in turn, each call that meets it

KEYS = [
    "queues", "queue:q", "workers", f"worker:{ID}", f"worker:{ID}:started", "workers:heartbeat", "stat:processed",
    "stat:failed", f"stat:processed:{ID}", f"stat:failed:{ID}", "failed", "failed_queues", "q_failed",
    "pause-all-workers", "taskq:workers", f"taskq:token:{ID}", f"taskq:ahead:{ID}", f"taskq:registration:{ID}",
    "taskq:paused", "taskq:looking", "pruning_dead_workers_in_progress",
]  # fmt: skip

COUNTERS = {"stat:processed", "stat:failed", f"stat:processed:{ID}", f"stat:failed:{ID}"}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_the_wrong_type_loses_no_job(
    broker: RedisBroker, holder: Holder, client: redis.Redis, key: str
) -> None:
    """Every call meets the spoilt key, and when it is mended every job is in one place."""
    broker.push("q", [ONE, TWO])
    taken = holder.take("q")
    full = f"resque:{key}"
    kept = client.dump(full)
    client.delete(full)
    client.zadd(full, {"spoilt": 1})
    seen: list[str] = []

    def call(what: Callable[[], object]) -> None:
        try:
            what()
        except BrokerError as error:
            seen.append(f"{type(error).__name__}: {error}")

    call(lambda: broker.workers())
    call(lambda: broker.worker(ID))
    call(lambda: broker.heartbeat(ID, holder.tokens.process))
    call(lambda: broker.claim_recovery(ID, 1))
    call(lambda: broker.claim_recovery(ID, 1, at_start=True))
    call(lambda: broker.unregister(ID, holder.tokens.process))
    call(lambda: Holder(broker, ID).register())
    call(lambda: broker.paused())
    call(lambda: broker.stats())
    call(lambda: broker.size("q"))
    call(lambda: broker.failures(0, 5))
    call(lambda: broker.failed_queues())
    call(lambda: holder.reserve("q"))
    settled = []
    for settle in (
        lambda: holder.fail(taken, b"{}", by_queue="failed" in key and key != "failed"),
        lambda: holder.release(taken),
        lambda: holder.finish(taken),
    ):
        call(lambda settle=settle: settled.append(settle()))  # type: ignore[misc]
    call(lambda: settled.append(bool(holder.reserve("q"))))
    for message in seen:
        assert message.startswith(f"BrokerInTrouble: The key resque:{key} at Redis at 127.0.0.1:")
        assert "zset" in message
        assert "Nothing was changed" in message
    client.delete(full)
    if kept is not None:
        client.restore(full, 0, kept)
    if key in COUNTERS:
        assert seen == []
    bodies = [*client.lrange("resque:queue:q", 0, -1)]
    in_hand = client.get(f"resque:worker:{ID}")
    assert ONE in bodies or in_hand or client.llen("resque:failed") or client.llen("resque:q_failed") or any(settled)
    assert TWO in bodies or (isinstance(in_hand, bytes) and TWO in in_hand)


def test_a_queue_of_the_wrong_type_is_passed_over(
    broker: RedisBroker, holder: Holder, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.set("resque:queue:bad", "x")
    broker.push("q", [ONE, TWO])
    assert [job.body for job in holder.reserve("bad", "q", limit=2).jobs] == [ONE, TWO]
    other = Holder(broker, "host:2:q")
    assert other.register()
    assert other.reserve("bad", "q").jobs == ()
    (message,) = [line.getMessage() for line in caplog.records if line.name == "taskq.redis"]
    assert "resque:queue:bad is no list" in message


@pytest.mark.parametrize("broken", ["x", "", "9223372036854775807"])
def test_a_spoilt_counter_stops_no_job(broker: RedisBroker, holder: Holder, client: redis.Redis, broken: str) -> None:
    client.set("resque:stat:processed", broken)
    broker.push("q", [ONE, TWO])
    taken = holder.take("q")
    (taken,) = holder.reserve("q", settled=[taken]).jobs
    assert holder.fail(taken, b"{}")
    assert broker.stats().failed == 1
    assert (holder.seen().processed, holder.seen().job) == (2, None)


def test_a_push_to_a_list_of_queues_that_is_none_says_that_the_jobs_are_there(
    broker: RedisBroker, client: redis.Redis
) -> None:
    client.set("resque:queues", "x")
    with pytest.raises(BrokerInTrouble, match="The jobs were pushed all the same") as raised:
        broker.push("q", [ONE])
    assert raised.value.sent == "unknown"
    assert "Nothing was changed" not in str(raised.value)
    assert client.llen("resque:queue:q") == 1


# ---- a Redis that is full


def test_a_full_redis_is_drained_by_its_workers(broker: RedisBroker, holder: Holder, client: redis.Redis) -> None:
    broker.push("q", [ONE] * 4 + [TWO])
    client.rpush("resque:failed", b'{"n":1}', b'{"n":2}')
    taken = holder.take("q")
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerInTrouble, match=r"^Redis at \S+ refuses writes: out of memory\. Give it") as raised:
            broker.push("q", [ONE])
        assert raised.value.sent == "no"
        assert broker.heartbeat(ID, holder.tokens.process)
        (taken,) = holder.reserve("q", settled=[taken]).jobs
        assert holder.fail(taken, b'{"e":1}')
        _, second = holder.reserve("q", limit=2).jobs
        broker.note(second)
        broker.note(second)
        assert holder.release(second)
        assert broker.claim_recovery(ID, 5)
        assert broker.remove_failure(StoredFailure(0, b'{"n":1}'))
        failure = StoredFailure(0, b'{"n":2}')
        with pytest.raises(BrokerUnavailable, match="out of memory"):
            broker.requeue_failure(failure, queue="q", body=ONE, replacement=b"{}")
        holder.take("q")
        assert broker.recover(holder.seen(), b'{"dead":1}')
        assert broker.clear_failures() == 3
        assert broker.remove_queue("q") == 1
    finally:
        client.config_set("maxmemory", 0)
    assert broker.stats() == Stats(processed=4, failed=2)
    assert broker.requeue_failure(failure, queue="q", body=ONE, replacement=b"{}") is Requeued.GONE


# ---- a Redis that will not


@pytest.fixture
def own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_a_replica_refuses_writes(own: RedisServer) -> None:
    broker = open_broker(own.url)
    with own.client() as client:
        client.replicaof("127.0.0.1", 1)
    with pytest.raises(BrokerUnavailable, match="read-only replica") as raised:
        broker.push("q", [ONE])
    assert raised.value.sent == "no"
    with pytest.raises(BrokerUnavailable, match="read-only replica"):
        Holder(broker, ID).register()
    with own.client() as client:
        client.config_set("replica-serve-stale-data", "no")
    with pytest.raises(BrokerUnavailable, match="lost its master"):
        broker.size("q")
    broker.close()


def test_a_busy_redis_is_waited_for(own: RedisServer) -> None:
    broker = open_broker(own.url)
    broker.push("q", [ONE])
    with own.client() as busy, own.client() as client:
        client.config_set("lua-time-limit", 1)
        connection = busy.connection_pool.get_connection()
        connection.send_command("EVAL", "while true do end", 0)
        try:
            with pytest.raises(BrokerUnavailable, match="busy with a script"):
                while True:
                    broker.size("q")
        finally:
            client.script_kill()
            with pytest.raises(redis.ResponseError, match="killed"):
                connection.read_response()
            connection.disconnect()
    assert broker.size("q") == 1
    broker.close()


@pytest.mark.parametrize("give", [str, redis.Redis.from_url])
def test_where_too_many_clients_are_nothing_is_pushed(own: RedisServer, give: Callable[[str], object]) -> None:
    broker = open_broker(give(own.url))
    with own.client() as client:
        client.config_set("maxclients", 1)
        with pytest.raises(BrokerUnavailable, match="too many clients") as raised:
            broker.push("q", [ONE])
        assert raised.value.sent == "no"
        client.config_set("maxclients", 100)
    broker.push("q", [ONE])
    assert broker.size("q") == 1
    broker.close()


def test_a_wrong_or_missing_password_is_refused_and_shown_nowhere() -> None:
    with RedisServer(requirepass="s3cret-right") as server:
        for url, reason in [
            (server.url, "a password is needed"),
            (f"redis://:s3cret-wrong@127.0.0.1:{server.port}", "wrong user or password"),
            (f"redis://someone:s3cret-wrong@127.0.0.1:{server.port}", "wrong user or password"),
        ]:
            broker = open_broker(url)
            for call in (broker.check, lambda broker=broker: broker.push("q", [ONE])):
                with pytest.raises(BrokerRefused, match=reason) as raised:
                    call()
                assert "s3cret" not in str(raised.value)
            assert "s3cret" not in broker.address
        broker = open_broker(f"redis://:s3cret-right@127.0.0.1:{server.port}")
        broker.check()
        broker.close()


def test_a_database_that_is_not_there_is_refused(own: RedisServer) -> None:
    broker = open_broker(f"{own.url}/99")
    with pytest.raises(BrokerRefused, match=r"\(database 99\) refused: it has no database of that number"):
        broker.check()


def is_valkey(client: redis.Redis) -> bool:
    return dict(client.info("server")).get("server_name") == "valkey"


def test_a_cluster_is_refused(tmp_path: Path) -> None:
    with RedisServer(cluster_enabled="yes", dir=str(tmp_path)) as server, server.client() as client:
        # A cluster of Valkey may have several databases, and says so of one that it has not.
        said = "no database of that number" if is_valkey(client) else "Redis Cluster is not supported"
        broker = open_broker(f"{server.url}/1")
        with pytest.raises(BrokerRefused, match=said):
            broker.check()


def test_rights_that_are_missing_show_when_registering_and_not_in_a_job(own: RedisServer) -> None:
    with own.client() as client:
        client.acl_setuser("weak", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", "-lpop"])
        client.acl_setuser("stranger", enabled=True, passwords=["+x"], keys=["other:*"], commands=["+@all"])
        client.acl_setuser("timeless", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", "-time"])
        # A script's command, which Redis does not name, and Valkey does.
        unnamed, named = (
            r"may not run all that taskq needs\..*ACL LOG",
            r"may not run LPOP\..*ACL SETUSER \.\.\. \+lpop\.",
        )
        for user, missing in [
            ("weak", named if is_valkey(client) else unnamed),
            ("stranger", r"may not use the keys of this namespace\..*~NAMESPACE:\*"),
            ("timeless", r"may not run TIME\..*ACL SETUSER \.\.\. \+time\."),
        ]:
            broker = open_broker(f"redis://{user}:x@127.0.0.1:{own.port}")
            with pytest.raises(BrokerRefused, match=missing):
                Holder(broker, ID).register()
            broker.close()
        assert client.keys() == []


def test_one_who_may_not_list_connections_recovers_all_the_same(
    own: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq_redis.broker._GRACE", 0.01)
    monkeypatch.setattr("taskq_redis.broker.own_connection_ids", set)
    with own.client() as client:
        may = ["+@all", "-client", "+client|id", "+client|kill"]
        client.acl_setuser("judge", enabled=True, passwords=["+x"], keys=["*"], commands=may)
    broker = open_broker(f"redis://judge:x@127.0.0.1:{own.port}")
    holder = Holder(broker, ID)
    assert holder.register()
    assert broker.recover(holder.seen(), b"{}")
    broker.close()


# ---- a Redis that is not there


def test_nobody_there_says_what_to_try() -> None:
    broker = open_broker("redis://127.0.0.1:1")
    with pytest.raises(BrokerUnavailable) as raised:
        broker.push("q", [ONE])
    assert raised.value.sent == "no"
    assert str(raised.value) == (
        "Cannot reach Redis at 127.0.0.1:1 (connection refused). Is it running? Try: redis-cli -p 1 ping. "
        "Another broker: --broker or TASKQ_BROKER."
    )
    with pytest.raises(BrokerUnavailable):
        broker.check()


@pytest.mark.parametrize(
    ("url", "reason"),
    [("unix:///nowhere/s", "no such socket"), ("redis://nowhere.invalid", "unknown host")],
)
def test_nobody_there_otherwise(url: str, reason: str) -> None:
    with pytest.raises(BrokerUnavailable, match=reason):
        open_broker(url).check()


def test_check_answers_within_a_second_where_nothing_answers(own: RedisServer) -> None:
    import time

    broker = open_broker(own.url)
    with own.frozen():
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="no answer in time"):
            broker.check()
        assert time.monotonic() - began < 1.0


def test_a_redis_that_was_restarted_is_used_again(own: RedisServer) -> None:
    broker = open_broker(own.url)
    assert broker.size("q") == 0
    own.kill()
    with pytest.raises(BrokerUnavailable):
        broker.size("q")
    own.start()
    broker.push("q", [ONE])
    holder = Holder(broker, ID)
    assert holder.register()
    assert holder.finish(holder.take("q"))
    broker.close()


def test_a_redis_without_tls_is_told_from_one_that_is_away(own: RedisServer) -> None:
    broker = open_broker(f"rediss://127.0.0.1:{own.port}?socket_timeout=0.5")
    with pytest.raises(BrokerUnavailable):
        broker.check()
