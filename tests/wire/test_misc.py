"""Statistics, odd queue names, namespaces, connection strings (27, 34, 35, 59)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from taskq import ConfigurationError, NotAJob, TaskQ, UnserializableArgument
from taskq_redis.testing import RedisServer
from tests.wire import jobs
from tests.wire.recorded import (
    Differs,
    Value,
    assert_same,
    left,
    load,
    read,
    recorded,
    recording,
    replays,
)
from tests.wire.workers import printed, work_off


@replays("27")
def test_figures_are_rubys(client: redis.Redis, app: TaskQ) -> None:
    state = recording("27").after
    load(client, state)
    info, wanted = app.info(), recording("27").returned["Resque.info"]
    for figure in ("pending", "processed", "queues", "workers", "working", "failed"):
        assert info[figure] == wanted[figure]
    assert recording("27").returned["Stat of a value that is no number"] == 0
    client.set("resque:stat:processed", "abc")
    assert app.info()["processed"] == 0
    load(client, state)
    app.info()
    assert_same(left(client, own=()), recorded(state))  # looking changes nothing


ODD_QUEUES = {
    'enqueue_to("a\\nb", Ok)': "a\nb",
    'enqueue_to("x:y", Ok)': "x:y",
    'enqueue_to("st*r", Ok)': "st*r",
    'enqueue_to("tab\\t", Ok)': "tab\t",
    'enqueue_to("a,b", Ok)': "a,b",
    'enqueue_to("!not", Ok)': "!not",
    'enqueue_to("queue:queue", Ok)': "queue:queue",
}


@replays("59")
def test_odd_queue_names_are_written_and_read_as_rubys(
    client: redis.Redis, app: TaskQ, redis_server: RedisServer
) -> None:
    returned = recording("59").returned
    app.enqueue_to("f", jobs.Ok, 1)
    app.enqueue_to("f", jobs.Ok, 2)
    assert [json.loads(job.body) for job in app.peek("f", 0, 2)] == (
        returned["enqueue_front = true; two pushes: the order is still first in first out"]
    )
    for call, queue in ODD_QUEUES.items():
        assert call in returned
        app.enqueue_to(queue, jobs.Ok)
    with pytest.raises(ValueError, match="surrogate"):
        app.enqueue_to("\udcff", jobs.Ok)
    # Whatever another program named so is read all the same.
    client.sadd("resque:queues", b"\xff")
    client.rpush(b"resque:queue:\xff", '{"class":"Ok","args":[]}')
    queues = {queue if queue != '"\\xFF"' else "\udcff" for queue in returned["queues"]}
    assert set(app.queues()) == queues
    assert [json.loads(job.body) for job in app.peek("\udcff")] == [{"class": "Ok", "args": []}]
    # Ruby reserved the job of the queue `a,b`, which can be said in Ruby code only; and its `f` gave up its first.
    client.delete("resque:queue:a,b")
    running = work_off(redis_server, QUEUE="a,b")
    assert printed(running) == []  # as in Ruby: a list of two queues, never the queue named so
    client.lpop("resque:queue:f")
    app.enqueue(jobs.Ok, {"a": 1})
    with pytest.raises(UnserializableArgument):
        app.enqueue(jobs.Ok, (1,))  # Ruby's Struct, symbol and Rational are written as their text
    app.enqueue(jobs.Ok, [1], "sym", "1/1")
    app.enqueue_to("q", "Sym", 1)
    with pytest.raises(NotAJob, match=r"Jobs must be given a class\."):
        app.enqueue_to("q", "", 1)
    assert app.remove_queue("x:y") == 1
    assert_same(
        left(client, running.pid),
        recorded(recording("59").after),
        {
            "resque:pruning_dead_workers_in_progress": Differs(
                Value("string", "vm:PID:a,b", 60), "a whole worker ran, where Ruby's `reserve` was called"
            ),
        },
    )


@replays("35")
def test_every_key_carries_the_namespace(client: redis.Redis, redis_server: RedisServer) -> None:
    namespace = recording("35").returned["namespace"]
    with TaskQ(broker=redis_server.unix_url, namespace=namespace, registry=jobs.REGISTRY) as app:
        app.enqueue(jobs.Bad, 1)
        running = work_off(redis_server, TASKQ_NAMESPACE=namespace)
        client.set(f"{namespace}:own:key", 1)  # an application's own
        assert_same(left(client, running.pid, namespace=namespace), recorded(recording("35").after))
        assert [failed.error for failed in app.failures.list()] == ["bad [1]"]
    assert all(key.startswith("resque:Foo:") for key in read(client))
    with TaskQ(broker=redis_server.unix_url) as other:
        assert other.info()["failed"] == 0  # side by side


CALL = "Resque.redis = "
PORT = "6379"
# What Ruby is given as an object, in Python's words: the address, and what is set beside it.
OBJECTS = {
    "Redis.new(port, db: 7)": ({"db": 7}, None),
    "Redis::Namespace.new(:custom, redis: Redis.new)": ({}, "custom"),
    'Redis::Namespace.new(:"x:y", redis: Redis.new)': ({}, "x:y"),
    "{host:, port:, db: 8}": ({"db": 8}, None),
    '{url: "redis://127.0.0.1:6379/9"}': ({"db": 9}, None),
    '{host:, port:, thread_safe: true, namespace: "z"}': ({}, None),
    "Resque::DataStore": ({}, "ds"),
}


def keys_written(app: TaskQ, client: redis.Redis) -> list[str]:
    """Push, and say which keys are there in which database."""
    app.enqueue_to("q", "Any")
    found = []
    for number in range(16):
        client.select(number)
        found += [f"db{number} {key}" for key in read(client)]
    client.select(0)
    client.flushall()
    return sorted(found)


def strings() -> list[str]:
    return [call for call in recording("34").returned if call.startswith(f'{CALL}"')]


@replays("34")
@pytest.mark.parametrize("call", [call for call in strings() if "keys" in recording("34").returned[call]])
def test_a_connection_string_means_what_it_means_to_ruby(call: str, redis_server: RedisServer) -> None:
    address = json.loads(call.removeprefix(CALL)).replace(PORT, str(redis_server.port))
    with TaskQ(broker=address) as app, redis_server.client(single_connection_client=True) as client:
        assert keys_written(app, client) == recording("34").returned[call]["keys"]


@replays("34")
@pytest.mark.parametrize("name", OBJECTS)
def test_a_client_means_what_it_means_to_ruby(name: str, redis_server: RedisServer) -> None:
    """Ruby's Redis, hash and URL in a hash are a `redis.Redis`; its Namespace and DataStore one with a namespace."""
    options, namespace = OBJECTS[name]
    settings: dict[str, Any] = {} if namespace is None else {"namespace": namespace}
    with (
        redis_server.client(**options) as given,
        TaskQ(broker=given, **settings) as app,
        redis_server.client(single_connection_client=True) as client,
    ):
        assert keys_written(app, client) == recording("34").returned[CALL + name]["keys"]


# What Ruby finds out when it connects, or never.
DIFFERENT_STRINGS = {
    "127.0.0.1": "Redis at 127.0.0.1:6379",  # the port where none is said, in both
    "redis://nohost.invalid:1": "Redis at nohost.invalid:1",
    "rediss://127.0.0.1:6379": "Redis at 127.0.0.1:6379",
    "unix:///nowhere.sock": "Redis at /nowhere.sock",  # a socket, where Ruby takes `unix` for a host
    "127.0.0.1:abc": None,  # refused when it is read: Ruby takes port 0
    "": None,  # refused with a sentence
}


@replays("34")
def test_a_string_that_ruby_cannot_connect_to(redis_server: RedisServer) -> None:
    failing = [call for call in strings() if "raised" in recording("34").returned[call]]
    assert {json.loads(call.removeprefix(CALL)) for call in failing} == set(DIFFERENT_STRINGS)
    for address, place in DIFFERENT_STRINGS.items():
        if place is None:
            with pytest.raises(ConfigurationError):
                _ = TaskQ(broker=address).broker
        else:
            assert TaskQ(broker=address).broker.address == place


@replays("34")
def test_redis_url_is_read_where_nothing_is_said(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By design (`TASKQ_BROKER`, then `REDIS_URL`); Ruby does not read it, and stays with localhost:6379."""
    monkeypatch.delenv("TASKQ_BROKER", raising=False)
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis_server.port}/2")
    assert "raised" in recording("34").returned[f"{CALL}nothing, REDIS_URL=redis://127.0.0.1:6379/2"]
    with TaskQ() as app, redis_server.client(single_connection_client=True) as client:
        assert keys_written(app, client) == ["db2 resque:queue:q", "db2 resque:queues"]


@replays("34")
def test_every_form_is_replayed() -> None:
    named = {CALL + name for name in OBJECTS}
    rest = set(recording("34").returned) - set(strings()) - named
    assert rest == {f"{CALL}nothing, REDIS_URL=redis://127.0.0.1:6379/2"}
