"""Asking ahead: a connection of its own, answers that are lost, scripts that Redis forgot."""

from __future__ import annotations

import os

import pytest
import redis

from taskq.errors import BrokerInTrouble, BrokerUnavailable
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder
from taskq_redis import RedisBroker, open_broker
from tests.backends.taskq_redis.test_fork import in_child
from tests.support.proxy import Proxy

pytestmark = pytest.mark.redis


def busy(broker: RedisBroker) -> Holder:
    """A worker with a job in hand, and more in its queue."""
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    broker.push("q", [ONE, TWO, THREE, FOUR])
    holder.take("q")
    return holder


def connections(client: redis.Redis) -> set[str]:
    return {one["id"] for one in client.client_list()}


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("used", [False, True], ids=["new connection", "kept connection"])
def test_one_that_was_lost_is_asked_again(far: RedisBroker, proxy: Proxy, lost: str, used: bool) -> None:
    holder = busy(far)
    if used:
        assert holder.reserve_ahead(limit=1)().jobs == ()
    token = holder.tokens.next()
    (proxy.lose_request if lost == "request" else proxy.lose_answer)(str(token).encode())
    answer = holder.reserve_ahead("q", limit=2, token=token)
    if not used:  # a kept one may have died of age, and the call goes over a new one at once
        with pytest.raises(BrokerUnavailable) as raised:
            answer()
        assert raised.value.sent == "unknown"
    assert [job.body for job in answer().jobs] == [TWO, THREE]
    assert not proxy.armed
    assert (holder.ahead(), far.size("q")) == ([TWO, THREE], 1)


def test_it_is_no_error_to_ask_who_cannot_be_reached(far: RedisBroker, proxy: Proxy) -> None:
    holder = busy(far)
    with proxy.refusing():
        proxy.cut()
        answer = holder.reserve_ahead("q")
        with pytest.raises(BrokerUnavailable):
            answer()
    assert [job.body for job in answer().jobs] == [TWO, THREE, FOUR]


def test_an_answer_that_does_not_come_is_not_waited_for_twice(proxy: Proxy) -> None:
    broker = open_broker(f"{proxy.url}?socket_timeout=0.2")
    holder = busy(broker)
    with proxy.silent():
        answer = holder.reserve_ahead("q")
        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match="no answer in time"):
                answer()
    assert [job.body for job in answer().jobs] == [TWO, THREE, FOUR]
    broker.close()


def test_a_script_that_redis_forgot_is_told_again(broker: RedisBroker, client: redis.Redis) -> None:
    holder = busy(broker)
    client.script_flush()
    assert [job.body for job in holder.reserve_ahead("q", limit=1)().jobs] == [TWO]
    client.script_flush()
    assert [job.body for job in holder.reserve_ahead("q", limit=1)().jobs] == [THREE]


def test_a_queue_that_is_no_list_is_passed_over(broker: RedisBroker, client: redis.Redis) -> None:
    holder = busy(broker)
    client.set("resque:queue:spoilt", "x")
    assert [job.body for job in holder.reserve_ahead("spoilt", "q", limit=1)().jobs] == [TWO]


def test_a_key_of_the_wrong_type_is_named_with_the_answer(broker: RedisBroker, client: redis.Redis) -> None:
    holder = busy(broker)
    client.rename("resque:workers", "kept")
    client.set("resque:workers", "x")
    answer = holder.reserve_ahead("q")
    with pytest.raises(BrokerInTrouble, match="resque:workers"):
        answer()
    client.rename("kept", "resque:workers")
    assert [job.body for job in answer().jobs] == [TWO, THREE, FOUR]


def test_others_call_while_it_is_asked_and_its_connection_is_kept(broker: RedisBroker, client: redis.Redis) -> None:
    holder = busy(broker)
    holder.reserve_ahead(limit=1)()
    known = connections(client)
    for body in (TWO, THREE, FOUR):
        answer = holder.reserve_ahead("q", limit=1)
        assert broker.size("elsewhere") == 0
        assert [job.body for job in answer().jobs] == [body]
    assert connections(client) == known


def test_one_whose_answer_nobody_wants_leaves_no_connection_behind(broker: RedisBroker, client: redis.Redis) -> None:
    holder = busy(broker)
    holder.reserve_ahead(limit=1)()
    known = len(connections(client))
    answer = holder.reserve_ahead("q")
    del answer
    assert len(connections(client)) <= known
    assert holder.ahead() == [TWO, THREE, FOUR]


def test_a_kept_connection_that_died_costs_no_time(
    broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = busy(broker)
    holder.reserve_ahead(limit=1)()
    before = connections(client)
    holder.reserve_ahead(limit=1)()
    client.client_kill_filter(_type="normal", skipme=True)
    monkeypatch.setattr("taskq_redis.link._IDLE", 0.0)  # as if it had lain there for long
    answer = holder.reserve_ahead("q", limit=1)
    client.ping()
    assert client.llen("resque:queue:q") == 2  # looked for already, and nobody has waited
    assert [job.body for job in answer().jobs] == [TWO]
    assert before.isdisjoint(connections(client) - {str(client.client_id())})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_takes_nothing_away(broker: RedisBroker) -> None:
    holder = busy(broker)
    answer = holder.reserve_ahead("q", limit=1)
    assert in_child(lambda: broker.size("q")) == 0
    assert [job.body for job in answer().jobs] == [TWO]
    assert [job.body for job in holder.reserve_ahead("q", limit=1)().jobs] == [THREE]
