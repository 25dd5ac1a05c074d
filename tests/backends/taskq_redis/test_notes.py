"""Notes: sent without waiting for an answer, lost without a trace, made up for by the next call."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from taskq.errors import BrokerUnavailable
from taskq.records import Reservation, Stats
from taskq.testing.contract.broker.holder import Holder
from taskq_redis import RedisBroker, link, open_broker
from taskq_redis.testing import RedisServer
from taskq_redis.wire import Plain

ID = "host:1:q"
FIVE = [b'{"class":"N","args":[%d]}' % number for number in range(5)]


def batch(broker: RedisBroker) -> tuple[Holder, list[Reservation]]:
    holder = Holder(broker, ID)
    assert holder.register()
    broker.push("q", FIVE)
    return holder, list(holder.reserve("q", limit=5).jobs)


def in_hand(holder: Holder) -> bytes:
    job = holder.seen().job
    assert job is not None
    return job.body


def client_commands(client: redis.Redis) -> int:
    """How many CLIENT commands Redis has carried out; 6.2 does not tell them apart."""
    stats = client.info("commandstats")
    assert isinstance(stats, dict)
    return sum(int(one["calls"]) for name, one in stats.items() if name.startswith("cmdstat_client"))


@pytest.fixture
def no_reply(redis_server: RedisServer) -> Iterator[RedisBroker]:
    """A broker whose user may not switch answers off."""
    with redis_server.client() as client:
        client.acl_setuser(
            "loud",
            enabled=True,
            passwords=["+x"],
            keys=["*"],
            commands=["+@all", "-client", "+client|id", "+client|list"],
        )
        broker = open_broker(f"redis://loud:x@127.0.0.1:{redis_server.port}")
        yield broker
        broker.close()
        client.acl_deluser("loud")


def test_a_note_asks_for_no_answer_once_redis_knows_the_script(broker: RedisBroker, client: redis.Redis) -> None:
    holder, jobs = batch(broker)
    broker.note(jobs[1])
    before = client_commands(client)
    for job in jobs[2:]:
        broker.note(job)
    assert in_hand(holder) == FIVE[4]
    assert client_commands(client) - before == 3
    assert broker.stats() == Stats(processed=4, failed=0)


def test_notes_after_a_flush_are_lost_until_an_answered_call_finds_out(
    broker: RedisBroker, client: redis.Redis
) -> None:
    holder, jobs = batch(broker)
    broker.note(jobs[1])
    client.script_flush()
    broker.note(jobs[2])
    assert in_hand(holder) == FIVE[1]
    assert holder.reserve("q", settled=[jobs[2]]).held
    broker.note(jobs[3])
    assert in_hand(holder) == FIVE[3]
    broker.note(jobs[4])
    assert in_hand(holder) == FIVE[4]
    assert broker.stats() == Stats(processed=4, failed=0)


def test_a_note_on_a_connection_that_was_cut_is_lost_and_says_nothing(broker: RedisBroker, client: redis.Redis) -> None:
    holder, jobs = batch(broker)
    broker.note(jobs[1])
    client.client_kill_filter(_type="normal", skipme=True)
    broker.note(jobs[2])
    broker.note(jobs[3])
    token = holder.tokens.next()
    try:
        finished = broker.finish(jobs[4], token)
    except BrokerUnavailable:
        finished = broker.finish(jobs[4], token)
    assert finished
    assert broker.stats() == Stats(processed=5, failed=0)


@pytest.mark.parametrize("fast", [True, False])
def test_for_notes_that_come_fast_redis_is_woken_up_now_and_then(
    fast: bool, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, jobs = batch(broker)
    broker.note(jobs[1])
    sent: list[bool] = []
    send = Plain.send

    def note_it(line: Plain, packed: bytes, *, more: bool = False) -> None:
        sent.append(more)
        send(line, packed, more=more)

    monkeypatch.setattr(Plain, "send", note_it)
    monkeypatch.setattr(link, "_RUSH", math.inf if fast else 0.0)
    monkeypatch.setattr(link, "_TOGETHER", 3)
    for job in (*jobs[2:], jobs[4], jobs[4], jobs[4]):
        broker.note(job)
    assert sent == ([True, True, False] * 2 if fast else [False] * 6)
    assert in_hand(holder) == FIVE[4]
    assert broker.stats() == Stats(processed=4, failed=0)


def test_a_note_is_answered_now_and_then_for_a_flush_that_nobody_saw(
    broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, jobs = batch(broker)
    monkeypatch.setattr(link, "_KNOWN", 0.0)
    broker.note(jobs[1])
    client.script_flush()
    broker.note(jobs[2])
    assert in_hand(holder) == FIVE[2]


def test_notes_are_answered_where_redis_will_not_be_told_to_be_quiet(
    no_reply: RedisBroker, client: redis.Redis
) -> None:
    holder, jobs = batch(no_reply)
    for job in jobs[1:]:
        no_reply.note(job)
        assert in_hand(holder) == job.body
    assert no_reply.stats() == Stats(processed=4, failed=0)


def test_a_hidden_worker_is_in_no_list_of_other_programs(
    broker: RedisBroker, redis_server: RedisServer, client: redis.Redis
) -> None:
    shown, hidden = Holder(broker, ID), Holder(broker, "host+33:1:q")
    assert shown.register()
    registration = replace(hidden.registration(), hidden=True)
    assert broker.register(registration)
    assert client.smembers("resque:workers") == {ID.encode()}
    broker.push("q", FIVE)
    first = hidden.take("q")
    assert broker.heartbeat(hidden.id, hidden.tokens.process)
    other = open_broker(redis_server.url)
    seen = other.worker(hidden.id)
    assert seen is not None
    assert seen.registered
    assert seen.registration == registration
    assert [one.registered for one in other.workers()] == [True, True]
    (second,) = hidden.reserve("q", settled=[first]).jobs
    assert hidden.fail(second, b"{}")
    taken = hidden.take("q")
    assert other.recover(hidden.seen(), None)
    assert other.peek("q", 0, 1) == [taken.body]
    assert other.worker(hidden.id) is None
    other.close()
