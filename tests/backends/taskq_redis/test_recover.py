"""Recovering the dead: their last words come first. Storms of cuts and forgotten scripts lose and double nothing."""

from __future__ import annotations

import functools
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
import redis

from taskq.errors import BrokerUnavailable
from taskq.records import Reservation, Stats
from taskq.testing.contract.broker.holder import ONE, Holder, job
from taskq_redis import RedisBroker, open_broker
from taskq_redis.testing import RedisServer
from taskq_redis.wire import pack
from tests.support.proxy import Proxy

pytestmark = pytest.mark.redis

Answer = TypeVar("Answer")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_last_words_of_the_dead_are_heard_before_it_is_buried(client: redis.Redis) -> None:
    """It finished its job and died, and Redis had not read that yet: the job must not be failed."""
    with RedisServer() as server, Proxy(("127.0.0.1", server.port)) as proxy:
        judge = open_broker(proxy.url)
        nobody = Holder(judge, "host:0:q")
        assert nobody.register()
        assert judge.recover(nobody.seen(), None)  # now Redis knows that script
        judge.push("q", [ONE, ONE])
        ear, mouth = os.pipe()
        child_ear, child_mouth = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                broker = open_broker(server.url)
                holder = Holder(broker, "host:1:q")
                holder.register()
                holder.finish(holder.take("q"))  # and this one
                taken = holder.take("q")
                os.write(mouth, b"!")
                os.read(child_ear, 1)
                link = broker._links._idle[-1]
                # Redis reads 16 kB a turn: what comes behind so much is read some turns later than the judge's call.
                send = link.wire.send
                link.wire.send = lambda packed, **_: (  # type: ignore[method-assign,assignment]
                    # An answer to one who is gone would end the connection before all was read (Redis 6.2).
                    send(pack(b"CLIENT", b"REPLY", b"OFF") + pack(b"SET", b"big", b"x" * 150_000) + packed),
                    os.write(mouth, b"!"),
                )
                holder.finish(taken)
            finally:
                os._exit(0)
        os.read(ear, 1)
        seen = judge.worker("host:1:q")
        assert seen is not None
        assert seen.job is not None
        with ThreadPoolExecutor(1) as pool:
            with server.frozen():
                os.write(child_mouth, b"!")
                os.read(ear, 1)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                asked = len(proxy.requests)
                future = pool.submit(judge.recover, seen, b'{"dead":1}')
                while len(proxy.requests) == asked:
                    time.sleep(0.001)
            assert future.result() is False
        assert judge.failure_count() == 0
        assert judge.stats() == Stats(2, 0)
        judge.close()
        for fd in (ear, mouth, child_ear, child_mouth):
            os.close(fd)


def test_a_connection_that_does_not_end_is_ended(
    broker: RedisBroker, redis_server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead one's host is gone, and its connection never closed."""
    monkeypatch.setattr("taskq_redis.broker._GONE", 0.05)
    monkeypatch.setattr("taskq_redis.broker.own_connection_ids", set)
    other = open_broker(redis_server.url)
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    ids = {one["id"] for one in client.client_list()}
    assert other.recover(holder.seen(), b"{}")
    gone = ids - {one["id"] for one in client.client_list()}
    assert len(gone) == 1
    assert broker.worker("host:1:q") is None
    other.close()


def test_a_younger_connection_of_that_number_is_anothers(
    broker: RedisBroker, redis_server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis was restarted since, and numbers its connections anew."""
    monkeypatch.setattr("taskq_redis.broker.own_connection_ids", set)
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    client.hset("resque:workers:heartbeat", holder.id, "2020-01-01T00:00:00Z")
    ids = {one["id"] for one in client.client_list()}
    began = time.monotonic()
    assert broker.recover(holder.seen(), b"{}")
    assert time.monotonic() - began < 1.5
    assert ids <= {one["id"] for one in client.client_list()}


def test_a_reconnected_worker_says_its_new_number_with_its_next_heartbeat(
    broker: RedisBroker, client: redis.Redis
) -> None:
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    before = client.get("resque:taskq:registration:host:1:q")
    client.client_kill_filter(skipme=True)
    broker.check()
    broker.heartbeat(holder.id, holder.tokens.process)
    assert broker.heartbeat(holder.id, holder.tokens.process)
    after = client.get("resque:taskq:registration:host:1:q")
    assert before != after
    assert holder.seen().registration == holder.registration()


def again(call: Callable[[], Answer]) -> Answer:
    """As a worker does it: asked until it is answered."""
    while True:
        try:
            return call()
        except BrokerUnavailable:
            pass


@pytest.mark.parametrize("equal", [False, True], ids=["numbered", "equal"])
def test_cuts_and_forgotten_scripts_lose_and_double_nothing(
    redis_server: RedisServer, client: redis.Redis, equal: bool
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    jobs, workers = 1500, 3
    bodies = [ONE if equal else job(number) for number in range(jobs)]
    pusher = open_broker(redis_server.url)
    pusher.push("q", bodies)
    done = threading.Event()
    performed: list[list[bytes]] = [[] for _ in range(workers)]

    def work(place: int) -> None:
        broker = open_broker(redis_server.url)
        holder = Holder(broker, f"host:{place}:q")
        assert again(holder.register)
        held: tuple[Reservation, ...] = ()
        while True:
            token = holder.tokens.next()
            answer = again(
                functools.partial(broker.reserve, holder.id, ["q"], token, settled=held[-1] if held else None)
            )
            assert answer.settled
            held = answer.jobs
            if not held:
                break
            performed[place].append(held[0].body)
        broker.close()

    def cut() -> int:
        cuts = 0
        while not done.wait(draw.uniform(0, 0.01)):
            cuts += client.client_kill_filter(skipme=True, _type="normal")
            if draw.random() < 0.2:
                client.script_flush()
        return cuts

    with ThreadPoolExecutor(workers + 1) as pool:
        cutting = pool.submit(cut)
        for future in [pool.submit(work, place) for place in range(workers)]:
            future.result()
        done.set()
        assert cutting.result() > 0
    everything = [body for one in performed for body in one]
    assert len(everything) == jobs
    assert sorted(everything) == sorted(bodies)
    assert pusher.stats() == Stats(jobs, 0)
    assert pusher.size("q") == 0
    pusher.close()
