"""What lies in Redis after each step, byte for byte (WIRE.md), and what others wrote there, read."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from taskq.records import StoredFailure
from taskq.testing.contract.broker.holder import ONE, TWO, Holder
from taskq_redis import RedisBroker, open_broker
from taskq_redis.testing import RedisServer
from tests.support.vectors import returned

pytestmark = pytest.mark.redis

ID = "host:1:q"
RAW = b'{"class":"","args":[],"raw":"'


def dump(client: Any) -> dict[str, Any]:
    """Every key but taskq's own, with its value."""
    read = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
    }
    keys = sorted(key for key in client.keys("*") if b":taskq:" not in key)
    return {key.decode(): read[client.type(key)](key) for key in keys}


@pytest.fixture
def holder(broker: RedisBroker) -> Holder:
    holder = Holder(broker, ID)
    assert holder.register()
    return holder


def test_push_adds_the_name_before_the_job(broker: RedisBroker, client: Any) -> None:
    with client.monitor() as monitor:
        broker.push("jobs", [ONE, TWO])
        broker.push("jobs", [ONE], front=True)
        seen = [command["command"] for command in (monitor.next_command() for _ in range(4))]
    assert [command.split()[0] for command in seen] == ["SADD", "RPUSH", "SADD", "LPUSH"]
    assert dump(client) == {"resque:queue:jobs": [ONE, ONE, TWO], "resque:queues": {b"jobs"}}


def test_a_registered_worker(holder: Holder, client: Any) -> None:
    found = dump(client)
    assert found.keys() == {f"resque:worker:{ID}:started", "resque:workers", "resque:workers:heartbeat"}
    assert found["resque:workers"] == {ID.encode()}
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", found[f"resque:worker:{ID}:started"])
    (beat,) = found["resque:workers:heartbeat"].values()
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", beat)


def test_a_job_in_hand(broker: RedisBroker, holder: Holder, client: Any) -> None:
    broker.push('q"é', [b'{"class":"Job","args":[1.0,[],{},12345678901234567890]}'])
    taken = holder.take('q"é')
    written = client.get(f"resque:worker:{ID}")
    assert isinstance(written, bytes)
    expected = (
        rb'\{"queue":"q\\"\xc3\xa9","run_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ","payload":'
        rb'\{"class":"Job","args":\[1\.0,\[\],\{\},12345678901234567890\]\},"fence":"([0-9a-f]{16}:0001)"\}'
    )
    found = re.fullmatch(expected, written)
    assert found is not None
    assert found[1].decode() == taken.fence
    assert holder.seen().job == taken


def test_a_finished_job_leaves_resques_counters(broker: RedisBroker, holder: Holder, client: Any) -> None:
    broker.push("q", [ONE, ONE])
    assert holder.finish(holder.take("q"))
    assert holder.fail(holder.take("q"), b'{"e":1}')
    found = dump(client)
    assert found["resque:stat:processed"] == found[f"resque:stat:processed:{ID}"] == b"2"
    assert found["resque:stat:failed"] == found[f"resque:stat:failed:{ID}"] == b"1"
    assert found["resque:failed"] == [b'{"e":1}']
    assert f"resque:worker:{ID}" not in found


def test_the_end_leaves_what_resque_leaves(broker: RedisBroker, holder: Holder, client: Any) -> None:
    broker.push("q", [ONE])
    assert holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
    assert broker.unregister(ID, holder.tokens.process)
    assert dump(client) == {
        "resque:failed_queues": {b"q_failed"},
        "resque:q_failed": [b'{"e":1}'],
        "resque:queues": {b"q"},
        "resque:stat:failed": b"1",
        "resque:stat:processed": b"1",
    }
    assert client.keys("resque:taskq:*") == []


def test_the_locks_of_recovery(broker: RedisBroker, client: Any) -> None:
    assert broker.claim_recovery(ID, 5, at_start=True)
    assert broker.claim_recovery(ID, 5)
    assert dump(client) == {"resque:pruning_dead_workers_in_progress": ID.encode()}
    assert 55 < client.ttl("resque:pruning_dead_workers_in_progress") <= 60
    assert 0 < client.pttl("resque:taskq:looking") <= 5000


@pytest.mark.parametrize("text", ["true", "TRUE", " True ", "true\n", "\0true\0"])
def test_what_pauses(broker: RedisBroker, holder: Holder, client: Any, text: str) -> None:
    broker.push("q", [ONE])
    client.set("resque:pause-all-workers", text)
    assert broker.paused().all
    assert holder.reserve("q").jobs == ()


@pytest.mark.parametrize("text", ["", "1", "yes", "t", "true.", "false"])
def test_what_does_not_pause(broker: RedisBroker, holder: Holder, client: Any, text: str) -> None:
    broker.push("q", [ONE])
    client.set("resque:pause-all-workers", text)
    assert not broker.paused().all
    assert holder.take("q").body == ONE


def test_pause_writes_what_operators_write(broker: RedisBroker, client: Any) -> None:
    broker.pause()
    assert dump(client) == {"resque:pause-all-workers": b"true"}
    broker.unpause()
    assert dump(client) == {}


@pytest.mark.parametrize(
    "body",
    [
        b'{"class":"Job","args":[1]}',
        b' \n\t{ "class" : "Job" }\r\n',
        '{"class":"Jöb ✓ 𝄞","args":["\x7f\u2028"]}'.encode(),
        b'{"class":"Job","args":["1. item -.5 \\n \\u00e9 \\ud834\\udd1e \\" , {"]}',
        b'{"class":"Job","args":[-0.5,1e5,-1E-5,0,-0]}',
        b'{"a":' + b"[" * 80 + b"]" * 80 + b"}",
    ],
)
def test_a_payload_that_ruby_reads_stands_in_the_record_as_it_is(
    broker: RedisBroker, holder: Holder, client: Any, body: bytes
) -> None:
    broker.push("q", [body])
    holder.take("q")
    assert b'","payload":' + body + b',"fence":' in (client.get(f"resque:worker:{ID}") or b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b"17",
        b"{",
        b"{}x",
        b"\xef\xbb\xbf{}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":0x10}',
        b'{"a":1.}',
        b'{"a":-.5}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":"\\n","b":"\x01"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xe2\xc3\xa9\x82\xac"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xf4\x90\x80\x80"}',
        b'{"a":' + b"[" * 95 + b"]" * 95 + b"}",
        RAW + b'aGk="}',
    ],
)
def test_any_other_payload_stands_in_it_as_base64(
    broker: RedisBroker, holder: Holder, client: Any, body: bytes
) -> None:
    broker.push("q", [body])
    taken = holder.take("q")
    assert taken.body == body
    written = client.get(f"resque:worker:{ID}")
    assert isinstance(written, bytes)
    assert json.loads(written)["payload"] == {"class": "", "args": [], "raw": base64.b64encode(body).decode()}
    in_hand = holder.seen().job
    assert in_hand is not None
    assert in_hand.body == body


def test_settings_of_the_servers_json_decoder_are_left_as_they_were(
    broker: RedisBroker, holder: Holder, client: Any
) -> None:
    broker.push("q", [ONE])
    holder.take("q")
    ask = "return {cjson.decode_max_depth(), cjson.decode_invalid_numbers() and 1 or 0}"
    assert client.eval(ask, 0) == [1000, 1]


def test_a_queue_that_is_not_utf8(broker: RedisBroker, holder: Holder, client: Any) -> None:
    client.sadd("resque:queues", b"q\xff")
    client.rpush(b"resque:queue:q\xff", ONE)
    (queue,) = broker.queues()
    taken = holder.take(queue)
    written = client.get(f"resque:worker:{ID}")
    assert isinstance(written, bytes)
    assert json.loads(written)["queue"] == "q\ufffd"
    assert holder.seen().job == taken
    assert holder.release(taken)
    assert client.lrange(b"resque:queue:q\xff", 0, -1) == [ONE]


# ---- what others wrote


def test_rubys_worker_is_read(broker: RedisBroker, client: Any) -> None:
    ruby = "vm:12:jobs,mail"
    client.sadd("resque:workers", ruby)
    client.hset("resque:workers:heartbeat", ruby, "2026-11-24T05:19:55+09:00")
    client.set(f"resque:worker:{ruby}:started", "2026-11-24 05:19:55 +0900")
    client.set(f"resque:stat:processed:{ruby}", "7")
    client.set(
        f"resque:worker:{ruby}",
        b'{"queue":"jobs","run_at":"2026-11-23T20:20:00Z","payload":{"class":"Ok","args":[1.0]}}',
    )
    (info,) = broker.workers()
    assert info.registered
    assert info.heartbeat == info.started == 1795465195.0
    assert (info.processed, info.failed, info.registration) == (7, 0, None)
    assert info.job is not None
    assert (info.job.queue, info.job.body, info.job.fence) == ("jobs", b'{"class":"Ok","args":[1.0]}', "")
    assert broker.recover(info, b'{"pruned":1}')
    assert dump(client).keys() == {"resque:failed", "resque:stat:failed", "resque:stat:processed"}
    assert not broker.recover(info, b'{"pruned":1}')


def test_rubys_worker_that_went_on_is_left_alone(broker: RedisBroker, client: Any) -> None:
    ruby = "vm:12:jobs"
    client.sadd("resque:workers", ruby)
    client.set(f"resque:worker:{ruby}", b'{"queue":"jobs","run_at":"2026-11-23T20:20:00Z","payload":{"class":"A"}}')
    seen = broker.worker(ruby)
    assert seen is not None
    client.set(f"resque:worker:{ruby}", b'{"queue":"jobs","run_at":"2026-11-23T20:20:01Z","payload":{"class":"A"}}')
    assert not broker.recover(seen, b"{}")
    client.hset("resque:workers:heartbeat", ruby, "2026-11-24T05:19:55+09:00")
    seen = broker.worker(ruby)
    assert seen is not None
    client.hset("resque:workers:heartbeat", ruby, "2026-11-24T05:19:56+09:00")
    assert not broker.recover(seen, b"{}")


def test_a_heartbeat_within_the_same_second_is_noticed(broker: RedisBroker, holder: Holder) -> None:
    seen = holder.seen()
    assert broker.heartbeat(holder.id, holder.tokens.process)
    assert not broker.recover(seen, b"{}")


def test_what_another_program_holds_is_not_settled_by_us(broker: RedisBroker, holder: Holder, client: Any) -> None:
    client.set("resque:worker:vm:1:q", b'{"queue":"q","run_at":"2026-11-23T20:20:00Z","payload":{"class":"A"}}')
    seen = broker.worker("vm:1:q")
    assert seen is not None
    assert seen.job is not None
    theirs = replace(seen.job, worker=holder.id)
    assert not holder.finish(theirs)
    assert not holder.fail(theirs, b"{}")
    assert not holder.release(theirs)
    broker.note(theirs)
    assert holder.seen().job is None
    assert not holder.reserve("q", settled=[theirs]).settled
    assert broker.size("q") == 0
    assert broker.stats().processed == 0


def test_node_resques_record_is_read(broker: RedisBroker, client: Any) -> None:
    client.sadd("resque:workers", "host:99:q", "no colons")
    client.set(
        "resque:worker:host:99:q",
        '{"run_at":"Sun Nov 23 2026 18:47:40 GMT+0000 (Coordinated Universal Time)","queue":"q",'
        '"payload": {"class":"Job", "queue":"q","args":[1]} ,"worker":"host:99"}',
    )
    info = broker.worker("host:99:q")
    assert info is not None
    assert info.job is not None
    assert info.job.body == b'{"class":"Job", "queue":"q","args":[1]}'
    assert info.job.run_at == 1795459660.0
    assert info.heartbeat is None
    assert [one.id for one in broker.workers()] == ["host:99:q", "no colons"]


@pytest.mark.parametrize("rubbish", [b"{", b"null", b"\xff", b'{"queue":1}', b"[" * 10_000])
def test_a_record_that_is_none_is_kept_as_a_jobs_bytes(broker: RedisBroker, client: Any, rubbish: bytes) -> None:
    client.sadd("resque:workers", b"\xff:1:q")
    client.hset("resque:workers:heartbeat", b"\xff:1:q", b"\xff")
    client.set(b"resque:worker:\xff:1:q", rubbish)
    (info,) = broker.workers()
    assert info.heartbeat is None
    assert info.job is not None
    assert info.job.body == rubbish
    assert broker.recover(info, b"{}")
    assert dump(client).keys() == {"resque:failed", "resque:stat:failed", "resque:stat:processed"}


def test_a_pruned_worker_may_register_again_once_nothing_is_in_its_hand(
    broker: RedisBroker, holder: Holder, client: Any
) -> None:
    """Ruby's pruning and unregistering leave taskq's own keys: they alone take no id."""
    client.srem("resque:workers", ID)
    client.hdel("resque:workers:heartbeat", ID)
    assert not broker.heartbeat(ID, holder.tokens.process)
    assert [(info.id, info.registered) for info in broker.workers()] == [(ID, False)]
    assert Holder(broker, ID).register()
    assert not broker.heartbeat(ID, holder.tokens.process)


def test_what_a_pruned_worker_had_ahead_is_given_back(broker: RedisBroker, holder: Holder, client: Any) -> None:
    broker.push("q", [ONE, TWO])
    holder.reserve("q", limit=2)
    client.delete(f"resque:worker:{ID}")
    client.srem("resque:workers", ID)
    client.hdel("resque:workers:heartbeat", ID)
    assert not Holder(broker, ID).register()
    assert broker.recover(holder.seen(), None)
    assert list(broker.peek("q", 0, 9)) == [TWO]
    assert broker.worker(ID) is None


# ---- bounds of the failed list, and names


def test_failed_max_keeps_the_newest(redis_server: RedisServer) -> None:
    broker = open_broker(redis_server.url, failed_max=3)
    holder = Holder(broker, ID)
    assert holder.register()
    broker.push("q", [ONE] * 5)
    for number in range(5):
        assert holder.fail(holder.take("q"), b"%d" % number)
    assert [failure.entry for failure in broker.failures(0, 9)] == [b"2", b"3", b"4"]
    broker.close()


def test_a_long_failed_list_is_warned_of_once(
    broker: RedisBroker, holder: Holder, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        client.rpush("resque:failed", *[b"{}"] * 1000)
    broker.push("q", [ONE, ONE])
    for _ in range(2):
        assert holder.fail(holder.take("q"), b"{}")
    (message,) = [line.getMessage() for line in caplog.records if line.name == "taskq.redis"]
    assert "resque:failed has 100001 entries" in message
    assert "failed_max" in message


@pytest.mark.parametrize("seen_at", [0, 3, 1500, 2999, 99999])
@pytest.mark.parametrize("lies_at", [0, 1499, 2999])
def test_a_failure_is_found_wherever_it_went(broker: RedisBroker, client: Any, seen_at: int, lies_at: int) -> None:
    entries = [b'{"n":%d}' % number for number in range(3000)]
    client.rpush("resque:failed", *entries)
    assert broker.remove_failure(StoredFailure(seen_at, entries[lies_at]))
    assert client.llen("resque:failed") == 2999
    assert client.lindex("resque:failed", lies_at) != entries[lies_at]


def test_namespaces_lie_side_by_side(redis_server: RedisServer, client: Any) -> None:
    """Vector 35: every key carries the namespace, which may itself hold colons."""
    for namespace in ("resque:Foo", "", "my/ns"):
        broker = open_broker(redis_server.url, namespace=namespace)
        broker.push("q", [ONE])
        broker.close()
    found = {key.decode() for key in client.keys("*")}
    assert found == {f"{ns}:{name}" for ns in ("resque:Foo", "", "my/ns") for name in ("queues", "queue:q")}
    assert "resque:Foo:queues" in returned("35")["all keys of the database"]
