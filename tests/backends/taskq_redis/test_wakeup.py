"""Waiting: woken at once by anybody's bare RPUSH, without a busy loop, and with no more questions than needed."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from taskq.errors import BrokerError
from taskq.records import Reservation
from taskq.testing.contract.broker.holder import ONE, Holder
from taskq_redis import RedisBroker, open_broker
from taskq_redis.testing import RedisServer
from tests.support.proxy import Proxy

pytestmark = pytest.mark.redis

PAYLOAD = ONE


def trackers(client: redis.Redis) -> int:
    """How many connections Redis tells of writes."""
    return sum("t" in one["flags"] for one in client.client_list())


@pytest.fixture
def waiting(broker: RedisBroker) -> Iterator[Callable[..., float]]:
    """Wait in a thread until something is said to be there; the seconds from `push` until then."""
    holder = Holder(broker, "host:1:q")
    assert holder.register()

    def turn(queues: list[str] | None) -> tuple[bool, float]:
        settled: Sequence[Reservation] = ()
        while settled := holder.reserve("q", settled=settled).jobs:
            pass
        return broker.wait(queues, 20), time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(broker.wait, ["q"], 5).result()  # turns the doorbell on

        def measure(push: Callable[[], object], queues: list[str] | None) -> float:
            future = pool.submit(turn, queues)
            time.sleep(0.02)  # likely it sleeps by now; where it does not yet, it must wake all the same
            assert not future.done()
            began = time.monotonic()
            push()
            woken, ended = future.result()
            assert woken
            return ended - began

        yield measure


@pytest.mark.parametrize("queues", [["q"], ["a", "b", "c", "d", "q"], None])
def test_a_bare_push_wakes_at_once(
    waiting: Callable[..., float], client: redis.Redis, queues: list[str] | None
) -> None:
    times = [waiting(lambda: client.rpush("resque:queue:q", PAYLOAD), queues) for _ in range(15)]
    assert statistics.median(times) < 0.5  # of 20 s; how quick it is, `make bench` says, on a machine that has time


def test_a_push_to_a_queue_of_no_concern_wakes_nobody(broker: RedisBroker, client: redis.Redis) -> None:
    assert broker.wait(["q"], 5)
    client.rpush("resque:queue:other", PAYLOAD)
    client.rpush("other:queue:q", PAYLOAD)
    assert not broker.wait(["q"], 0.1)


def test_a_queue_made_between_the_look_at_names_and_the_reserve_wakes(broker: RedisBroker, client: redis.Redis) -> None:
    holder = Holder(broker, "host:1:*")
    assert holder.register()
    assert broker.wait(None, 5)  # the doorbell is on
    client.rpush("resque:queue:new", PAYLOAD)
    assert not holder.reserve("q").jobs  # by names of before
    assert not broker.wait(["q"], 0)  # no concern of one who has a list without patterns
    client.rpush("resque:queue:new", PAYLOAD)
    assert not holder.reserve("q").jobs
    assert broker.wait(None, 5)
    settled: Sequence[Reservation] = ()
    while settled := holder.reserve("q", "new", settled=settled).jobs:
        pass
    assert not broker.wait(None, 0)


def test_the_end_of_a_pause_wakes(waiting: Callable[..., float], broker: RedisBroker) -> None:
    broker.pause()
    assert waiting(broker.unpause, ["q"]) < 1
    broker.pause("q")
    assert waiting(lambda: broker.unpause("q"), ["q"]) < 1


def test_what_is_heard_while_interrupted_is_not_forgotten(broker: RedisBroker, client: redis.Redis) -> None:
    ear, bell = os.pipe()
    try:
        assert broker.wait(["q"], 5)
        client.rpush("resque:queue:q", PAYLOAD)
        os.write(bell, b"!")
        broker.wait(["q"], 5, [ear])
        os.read(ear, 1)
        assert broker.wait(["q"], 5, [ear])
    finally:
        os.close(ear)
        os.close(bell)


def test_a_lone_worker_is_not_woken_by_its_own_reserve(broker: RedisBroker) -> None:
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    broker.wait(["q"], 5)
    broker.push("q", [ONE])
    taken = holder.take("q")
    assert holder.reserve("q", settled=[taken]).jobs == ()
    assert not broker.wait(["q"], 0.1)


def test_the_doorbell_is_off_while_nobody_waits(
    broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq_redis.wakeup._IDLE", 0.0)
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    assert trackers(client) == 0
    broker.wait(["q"], 5)
    assert trackers(client) == 1
    holder.reserve("q")
    assert trackers(client) == 0
    broker.wait(["q"], 5)
    assert trackers(client) == 1
    holder.reserve_ahead("q")()
    assert trackers(client) == 0
    broker.wait(["q"], 5)
    assert trackers(client) == 1
    broker.heartbeat(holder.id, holder.tokens.process)
    assert trackers(client) == 0


def test_a_heartbeat_leaves_the_doorbell_on_while_somebody_waits(
    broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq_redis.wakeup._IDLE", 0.0)
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(broker.wait, ["q"], 5).result()
        future = pool.submit(broker.wait, ["q"], 20)
        time.sleep(0.02)
        broker.heartbeat(holder.id, holder.tokens.process)
        assert trackers(client) == 1
        client.rpush("resque:queue:q", PAYLOAD)
        assert future.result()


def test_a_doorbell_whose_connection_is_cut_wakes(far: RedisBroker, proxy: Proxy, client: redis.Redis) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(far.wait, ["q"], 5).result()
        future = pool.submit(far.wait, ["q"], 20)
        proxy.cut()
        assert future.result()
        assert pool.submit(far.wait, ["q"], 5).result()
        future = pool.submit(far.wait, ["q"], 20)
        client.rpush("resque:queue:q", PAYLOAD)
        assert future.result()


def test_close_wakes_whoever_waits(redis_server: RedisServer) -> None:
    broker = open_broker(redis_server.url)
    began = threading.Event()

    def wait() -> float:
        broker.wait(["q"], 5)
        began.set()
        broker.wait(["q"], 20)
        return time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        future = pool.submit(wait)
        began.wait()
        started = time.monotonic()
        broker.close()
        assert future.result() - started < 10


def test_where_tracking_is_refused_there_is_a_slow_poll() -> None:
    with RedisServer() as server, server.client() as client:
        may = ["+@all", "-client", "+client|id", "+client|list"]
        client.acl_setuser("poll", enabled=True, passwords=["+x"], keys=["*"], commands=may)
        broker = open_broker(f"redis://poll:x@127.0.0.1:{server.port}")
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(broker.wait, ["a", "q"], 20)
            client.rpush("resque:queue:q", PAYLOAD)
            assert future.result()
        assert broker.wait(["nothing"], 0.05) is False
        broker.close()


def test_fifty_idle_workers_ask_little_and_start_at_once(redis_server: RedisServer, client: redis.Redis) -> None:
    """Each has its connections, as in a process of its own. Their questions are counted for 2 seconds of 100 pushes."""
    workers, pushes, every = 50, 200, 0.01
    brokers = [open_broker(redis_server.unix_url) for _ in range(workers)]
    stop = threading.Event()
    waits: list[float] = []
    ready = threading.Barrier(workers + 1)
    asked = [0] * workers

    def work(place: int) -> None:
        broker = brokers[place]
        holder = Holder(broker, f"host:{place}:q")
        assert holder.register()
        broker.wait(["q"], 1)
        ready.wait()
        try:
            while not stop.is_set():
                answer = holder.reserve("q")
                asked[place] += 1
                while answer.jobs:
                    waits.append(time.monotonic() - float(answer.jobs[0].body))
                    answer = holder.reserve("q", settled=answer.jobs)
                    asked[place] += 1
                broker.wait(["q"], 5)
        except (BrokerError, OSError):  # closed while it asked
            if not stop.is_set():
                raise

    threads = [threading.Thread(target=work, args=(place,)) for place in range(workers)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.monotonic()
    for number in range(pushes):
        time.sleep(max(began + number * every - time.monotonic(), 0))
        client.rpush("resque:queue:q", repr(time.monotonic()))
    while len(waits) < pushes:
        time.sleep(0.01)
    took = time.monotonic() - began
    stop.set()
    for broker in brokers:
        broker.close()
    for thread in threads:
        thread.join()
    print(f"{sum(asked) / took:.0f} reserves/s, median {statistics.median(waits) * 1000:.2f} ms, max {max(waits):.3f}")
    # Were all woken by each push, it would be 5,000 and more; how many it is on an idle machine, `make bench` says.
    assert sum(asked) / took < 1_500
