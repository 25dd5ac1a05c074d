"""Each changing call, its connection cut before Redis got it or before the answer came back, and asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import redis

from taskq.errors import BrokerUnavailable
from taskq.records import Reservation, Stats, Token
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder
from taskq_redis import RedisBroker
from tests.support.proxy import Proxy

pytestmark = pytest.mark.redis


@dataclass
class Scene:
    """A worker behind the proxy that holds the first of three jobs, and one ahead."""

    far: RedisBroker
    holder: Holder
    held: list[Reservation] = field(default_factory=list)


@pytest.fixture
def scene(far: RedisBroker) -> Scene:
    holder = Holder(far, "host:1:q")
    assert holder.register()
    far.push("q", [ONE, TWO, THREE, ONE])
    return Scene(far, holder, list(holder.reserve("q", limit=2).jobs))


Call = Callable[[Scene, Token], object]
CALLS: dict[str, Call] = {
    "reserve": lambda s, token: s.far.reserve(s.holder.id, ["q"], token, settled=s.held[-1]).jobs,
    "finish": lambda s, token: s.far.finish(s.held[0], token),
    "fail": lambda s, token: s.far.fail(s.held[0], token, b'{"e":1}'),
    "release": lambda s, token: s.far.release(s.held, token),
}
AFTER = {
    "reserve": (Stats(2, 0), [ONE], 0),
    "finish": (Stats(1, 0), [THREE, ONE], 0),
    "fail": (Stats(1, 1), [THREE, ONE], 1),
    "release": (Stats(0, 0), [ONE, TWO, THREE, ONE], 0),
}


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_whose_answer_was_lost_is_asked_again(scene: Scene, proxy: Proxy, name: str, lost: str) -> None:
    token = scene.holder.tokens.next()
    call = CALLS[name]
    (proxy.lose_request if lost == "request" else proxy.lose_answer)(str(token).encode())
    with pytest.raises(BrokerUnavailable) as raised:
        call(scene, token)
    assert raised.value.sent == "unknown"
    assert not proxy.armed
    first = call(scene, token)
    assert call(scene, token) == first
    stats, queue, failed = AFTER[name]
    assert scene.far.stats() == stats
    assert list(scene.far.peek("q", 0, 9)) == queue
    assert scene.far.failure_count() == failed


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_reserve_that_was_lost_says_that_it_took_the_job_itself(far: RedisBroker, proxy: Proxy, lost: str) -> None:
    holder = Holder(far, "host:1:q")
    assert holder.register()
    far.push("q", [ONE, ONE])
    token = holder.tokens.next()
    (proxy.lose_request if lost == "request" else proxy.lose_answer)(str(token).encode())
    with pytest.raises(BrokerUnavailable):
        far.reserve(holder.id, ["q"], token)
    answer = far.reserve(holder.id, ["q"], token)
    assert not answer.held
    assert answer.settled
    assert [job.fence for job in answer.jobs] == [f"{token}:0001"]
    assert far.size("q") == 1


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_register_heartbeat_and_unregister_may_be_asked_again(far: RedisBroker, proxy: Proxy, lost: str) -> None:
    holder = Holder(far, "host:1:q")
    part = holder.tokens.process.encode()

    def lose() -> None:
        (proxy.lose_request if lost == "request" else proxy.lose_answer)(part)

    lose()
    with pytest.raises(BrokerUnavailable):
        holder.register()
    assert holder.register()
    lose()
    with pytest.raises(BrokerUnavailable):
        far.heartbeat(holder.id, holder.tokens.process)
    assert far.heartbeat(holder.id, holder.tokens.process)
    lose()
    with pytest.raises(BrokerUnavailable):
        far.unregister(holder.id, holder.tokens.process)
    far.unregister(holder.id, holder.tokens.process)
    assert far.worker(holder.id) is None


def test_a_push_whose_answer_was_lost_is_not_repeated(far: RedisBroker, proxy: Proxy) -> None:
    far.push("q", [ONE])
    proxy.lose_answer(b"the one")
    with pytest.raises(BrokerUnavailable) as raised:
        far.push("q", [b"the one"])
    assert raised.value.sent == "unknown"
    assert list(far.peek("q", 0, 9)) == [ONE, b"the one"]


def test_a_push_that_cannot_connect_was_not_sent(far: RedisBroker, proxy: Proxy) -> None:
    with proxy.refusing(), pytest.raises(BrokerUnavailable) as raised:
        far.push("q", [ONE])
    assert raised.value.reason == "connection lost"


def test_a_push_after_the_kept_connection_died_is_sent_once(
    far: RedisBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.push("q", [ONE])
    assert proxy.cut() == 1
    monkeypatch.setattr("taskq_redis.link._IDLE", 0.0)  # as if the connection had lain there for long
    far.push("q", [TWO])
    assert list(far.peek("q", 0, 9)) == [ONE, TWO]


def test_a_read_is_repeated_where_the_kept_connection_died(far: RedisBroker, proxy: Proxy) -> None:
    far.push("q", [ONE])
    assert far.size("q") == 1
    proxy.cut()
    assert far.size("q") == 1


def test_a_read_is_not_repeated_for_ever(far: RedisBroker, proxy: Proxy) -> None:
    assert far.size("q") == 0
    with proxy.refusing(), pytest.raises(BrokerUnavailable):
        far.size("q")


def test_a_proxy_that_splits_every_byte_changes_nothing(far: RedisBroker, proxy: Proxy) -> None:
    holder = Holder(far, "host:1:q")
    with proxy.splitting():
        assert holder.register()
        far.push("q", [ONE, TWO])
        taken = holder.take("q")
        (second,) = holder.reserve("q", settled=[taken]).jobs
        assert holder.fail(second, b'{"e":1}')
    assert far.stats() == Stats(2, 1)


def test_scripts_that_redis_forgets_are_told_again(broker: RedisBroker, client: redis.Redis) -> None:
    holder = Holder(broker, "host:1:q")
    client.script_flush()
    assert holder.register()
    broker.push("q", [ONE, ONE, ONE])
    taken = holder.take("q")
    for _ in range(2):
        client.script_flush()
        (taken,) = holder.reserve("q", settled=[taken]).jobs
    client.script_flush()
    assert holder.fail(taken, b"{}")
    assert broker.stats() == Stats(3, 1)


def test_a_network_that_drops_everything_does_not_hang(proxy: Proxy) -> None:
    from taskq_redis import open_broker

    broker = open_broker(f"{proxy.url}?socket_timeout=0.2")
    broker.push("q", [ONE])
    with proxy.silent():
        with pytest.raises(BrokerUnavailable, match="no answer in time"):
            broker.push("q", [TWO])
        with pytest.raises(BrokerUnavailable, match="no answer in time"):
            broker.size("q")
    broker.close()
