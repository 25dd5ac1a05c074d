"""Delayed jobs on Redis beyond what every backend promises: Ruby's leavings, faults, and what the keys look like."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import fakeredis
import pytest
import redis

from taskq.errors import BrokerError, BrokerRefused, BrokerUnavailable
from taskq.records import Again, ScheduledJob
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder, job
from taskq_redis import RedisBroker, item, open_broker
from taskq_redis.testing import RedisServer
from taskq_redis.tracking import Lost, Tracker
from tests.support.proxy import Proxy
from tests.support.workers import wait_until

pytestmark = pytest.mark.redis

ME = "host:1:scheduler"
THEN = 4_000_000_000
ID = "host:1:q"


@pytest.fixture
def holder(broker: RedisBroker) -> Holder:
    holder = Holder(broker, ID)
    assert holder.register()
    return holder


@contextmanager
def asking(client: redis.Redis) -> Iterator[None]:
    """Leaves once who was set going within has asked Redis for what he waits for."""

    def calls() -> int:
        stats = client.info("commandstats")
        return sum(stats[name]["calls"] for name in ("cmdstat_get", "cmdstat_evalsha") if name in stats)

    before = calls()
    yield
    wait_until(lambda: calls() > before)


def move(broker: RedisBroker, now: float = THEN) -> int:
    assert broker.claim_schedule(ME, 60) == ME
    return broker.promote_due(ME, now, 1000).moved


def places(client: redis.Redis) -> list[bytes]:
    """Every key that ONE is in."""
    found = []
    for key in client.scan_iter():
        kind = client.type(key)
        items = client.lrange(key, 0, -1) if kind == b"list" else [client.get(key)] if kind == b"string" else []
        found += [key for one in items if ONE[:-1] in bytes(one)]  # type: ignore[arg-type]
    return found


# ---- what Ruby leaves, and others


def test_times_without_a_list_are_passed_over_and_go_when_they_are_due(
    broker: RedisBroker, client: redis.Redis
) -> None:
    client.zadd("resque:delayed_queue_schedule", {str(time): time for time in range(1000, 1600)})
    assert broker.next_due() is None
    assert (list(broker.scheduled_times(0, 5)), list(broker.scheduled(0, 0, 5))) == ([], [])
    broker.schedule(THEN, "q", [ONE])
    assert broker.next_due() == THEN
    assert [at for at, _ in broker.scheduled_times(0, 5)] == [THEN]
    broker.claim_schedule(ME, 60)
    moved, calls = 0, 0
    while (done := broker.promote_due(ME, THEN, 1000)).more:
        calls, moved = calls + 1, moved + done.moved
    assert moved + done.moved == 1
    assert calls < 5
    assert client.zcard("resque:delayed_queue_schedule") == 0


def test_so_many_times_without_a_list_are_not_walked_for_ever(broker: RedisBroker, client: redis.Redis) -> None:
    client.zadd("resque:delayed_queue_schedule", {str(time): time for time in range(1000, 2100)})
    assert broker.next_due() == 2000.0  # perhaps it has jobs; who goes there finds none
    broker.claim_schedule(ME, 60)
    while broker.promote_due(ME, THEN, 1000).more:
        pass
    assert broker.next_due() is None


def test_what_cannot_be_moved_keeps_its_place_and_stops_nobody(broker: RedisBroker, client: redis.Redis) -> None:
    raws = [b"no json", item.join("q", ONE), b'{"class":"None"}', b"no json", item.join("q", TWO), item.join("q", ONE)]
    for raw in raws:
        client.rpush("resque:delayed:7", raw)
    client.zadd("resque:delayed_queue_schedule", {"7": 7})
    broker.claim_schedule(ME, 60)
    done = broker.promote_due(ME, THEN, 4)
    assert (done.moved, done.more, [one.raw for one in done.stuck]) == (1, True, [raws[0], raws[2], raws[3]])
    done = broker.promote_due(ME, THEN, 1000)
    assert (done.moved, done.more, [one.raw for one in done.stuck]) == (2, False, [raws[0], raws[2], raws[3]])
    assert client.lrange("resque:delayed:7", 0, -1) == [raws[0], raws[2], raws[3]]
    assert list(broker.peek("q", 0, 9)) == [ONE, TWO, ONE]
    assert broker.promote(done.stuck[0], queue="other")
    assert broker.bury(done.stuck[2], b'{"e":1}')
    assert broker.withdraw(done.stuck[1])
    assert not broker.withdraw(done.stuck[1])
    assert client.keys("resque:delayed*") == []


def test_another_form_of_the_same_job_is_removed_where_its_time_is_said(
    broker: RedisBroker, client: redis.Redis
) -> None:
    odd = [b'{"queue":"q","class":"Job","args":[1]}', b'{"class":"Job","queue":"q","args":[1]}']
    client.rpush(f"resque:delayed:{THEN}", *odd, item.join("other", ONE))
    client.zadd("resque:delayed_queue_schedule", {str(THEN): THEN})
    assert broker.unschedule("q", ONE) == 0  # no index has them
    assert broker.unschedule("q", ONE, at=THEN) == 2
    assert [one.queue for one in broker.scheduled(0, 0, 9)] == ["other"]


def test_the_index_has_a_time_as_long_as_an_equal_job_waits_for_it(broker: RedisBroker, client: redis.Redis) -> None:
    broker.schedule(THEN, "q", [ONE, ONE, ONE, ONE])
    key = b"resque:timestamps:" + item.join("q", ONE)
    waiting = broker.scheduled(0, 0, 1)[0]
    assert broker.promote(waiting)
    assert broker.bury(waiting, b"{}")
    assert broker.withdraw(waiting)
    assert list(broker.scheduled_at("q", ONE)) == [THEN]
    assert broker.promote(waiting)
    assert client.exists(key) == 0
    assert broker.scheduled_time_count() == 0


def test_one_step_is_bounded_however_many_are_due_and_however_large(broker: RedisBroker) -> None:
    """Redis does nothing else meanwhile."""
    broker.schedule(1, "q", [job(number) for number in range(600)])
    broker.schedule(2, "q", [b'{"class":"Job","args":["%b"]}' % (b"x" * 20_000)] * 100)
    broker.claim_schedule(ME, 60)
    steps = []
    while (done := broker.promote_due(ME, THEN, 10**6)).moved:
        steps.append(done.moved)
    assert sum(steps) == 700
    assert max(steps) <= 250
    assert max(steps[3:]) <= 10
    assert broker.scheduled_time_count() == 0
    assert list(broker.peek("q", 0, 600)) == [job(number) for number in range(600)]


def test_removing_all_takes_many_small_steps(broker: RedisBroker, client: redis.Redis) -> None:
    for number in range(60):
        broker.schedule(THEN + number % 20, "q", [job(number)] * 50)
    client.set("resque:delayed:5", "no list")
    client.zadd("resque:delayed_queue_schedule", {"5": 5, "6": 6})
    assert broker.clear_scheduled() == 3000
    assert client.keys() == [b"resque:delayed:5"]


# ---- a call whose answer is lost


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_schedule_whose_answer_was_lost_is_not_repeated(far: RedisBroker, proxy: Proxy, lost: str) -> None:
    far.schedule(THEN, "q", [b'{"class":"Other","args":[]}'])  # else the answer might be that the script is not known
    assert far.clear_scheduled() == 1
    (proxy.lose_request if lost == "request" else proxy.lose_answer)(b"Job")
    with pytest.raises(BrokerUnavailable) as raised:
        far.schedule(THEN, "q", [ONE])
    assert raised.value.sent == "unknown"
    assert len(far.scheduled(0, 0, 9)) == (0 if lost == "request" else 1)


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_moving_is_asked_again_and_moves_each_once(far: RedisBroker, proxy: Proxy, lost: str) -> None:
    far.schedule(7, "q", [ONE, TWO])
    assert far.claim_schedule(ME, 60) == ME
    (proxy.lose_request if lost == "request" else proxy.lose_answer)(repr(float(THEN)).encode())
    with pytest.raises(BrokerUnavailable):
        far.promote_due(ME, float(THEN), 9)
    far.promote_due(ME, float(THEN), 9)
    assert list(far.peek("q", 0, 9)) == [ONE, TWO]
    assert far.next_due() is None


def test_scripts_that_redis_forgets_are_told_again(broker: RedisBroker, client: redis.Redis) -> None:
    calls: list[Callable[[], object]] = [
        lambda: broker.schedule(7, "q", [ONE, ONE, TWO]),
        lambda: broker.next_due() == 7,
        lambda: broker.claim_schedule(ME, 60) == ME,
        lambda: broker.promote(broker.scheduled(0, 0, 1)[0]),
        lambda: broker.unschedule("q", ONE) == 1,
        lambda: broker.promote_due(ME, 9, 9).moved == 1,
        lambda: broker.fire(ME, "tick", 1, "q", [ONE]),
        lambda: broker.take_key(["a"], b"1", 60).key == "a",
        lambda: broker.swap_key("a", b"1", None),
    ]
    for call in calls:
        client.script_flush()
        assert call() in {None, True}


# ---- a key of the wrong type

KEYS = [
    "delayed_queue_schedule", "delayed:7", "timestamps:" + item.join("q", ONE).decode(), "queues", "queue:q", "failed",
    "resque:resque_scheduler_master_lock", "persistent_schedules", "schedules_changed", "delayed:last_enqueued_at",
    "taskq:fired", "taskq:key:a",
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_the_wrong_type_loses_no_job(
    broker: RedisBroker, holder: Holder, client: redis.Redis, key: str, when: str
) -> None:
    """Every call meets the key, spoilt before the job was delayed or after; then it is mended."""
    full = f"resque:{key}"
    broker.push("q", [ONE])
    taken = holder.take("q")
    if when == "after":
        assert holder.release(taken, at=7)
    kept = client.dump(full)
    client.delete(full)
    if key == "delayed_queue_schedule":
        client.hset(full, "spoilt", "1")
    else:
        client.zadd(full, {"spoilt": 1})
    seen: list[str] = []

    def call(what: Callable[[], object]) -> object:
        try:
            return what()
        except BrokerError as error:
            seen.append(f"{type(error).__name__}: {error}")
            return None

    released = when == "after" or call(lambda: holder.release(taken, at=7))
    waiting = ScheduledJob(7, "q", ONE)
    call(lambda: broker.claim_schedule(ME, 60))
    call(lambda: broker.next_due())
    call(lambda: broker.scheduled(0, 0, 9))
    call(lambda: broker.scheduled_times(0, 9))
    call(lambda: broker.scheduled_at("q", ONE))
    call(lambda: broker.scheduled_time_count())
    call(lambda: broker.promote_due(ME, 9, 9))
    call(lambda: broker.promote(waiting))
    call(lambda: broker.fire(ME, "tick", 1, "other", [TWO]))
    call(lambda: broker.last_fired(["tick"]))
    call(lambda: broker.put_schedule("tick", b"{}"))
    call(lambda: broker.schedules())
    call(lambda: broker.take_key(["a"], b"1", 60))
    call(lambda: broker.add_key("a", 1, 60))
    call(lambda: broker.swap_key("a", b"1", b"2", 60))
    call(lambda: broker.get_key("a"))
    call(lambda: broker.await_key("a", None, 0.01))
    for message in seen:
        assert message.startswith("BrokerInTrouble: "), message
        assert f"The key {full} at Redis at 127.0.0.1:" in message or "is not an integer" in message, message
    client.delete(full)
    if kept is not None:
        client.restore(full, 0, kept)
    if not released:
        assert holder.release(taken)
    assert len(places(client)) == 1
    move(broker)
    assert list(broker.peek("q", 0, 9)) == [ONE]


def test_a_queue_that_is_none_stops_no_other(
    broker: RedisBroker, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.set("resque:queue:bad", "x")
    broker.schedule(1, "bad", [ONE, TWO])
    broker.schedule(2, "q", [ONE])
    broker.schedule(2, "bad", [THREE])
    assert (move(broker), move(broker)) == (1, 0)
    assert [one.body for one in broker.scheduled(0, 0, 9)] == [ONE, TWO, THREE]
    (message,) = [line.getMessage() for line in caplog.records if line.name == "taskq.redis"]
    assert "resque:queue:bad is no list; what is due for this queue stays where it is" in message
    broker.schedule(1, "bad", [ONE] * 300)
    with pytest.raises(BrokerUnavailable, match=r"The key resque:queue:bad .* holds a string where a list belongs"):
        move(broker)
    client.delete("resque:queue:bad")
    while move(broker):
        pass
    assert broker.size("bad") == 303


# ---- a Redis that is full, and rights that are missing


def test_a_full_redis_takes_no_more_and_is_drained(broker: RedisBroker, holder: Holder, client: redis.Redis) -> None:
    broker.schedule(1, "q", [ONE, TWO, THREE])
    broker.schedule(THEN, "q", [ONE, TWO, TWO, THREE])
    broker.push("q", [ONE, TWO])
    taken = holder.take("q")
    broker.put_key("mine", b"1", 60)
    client.config_set("maxmemory", 1)
    try:
        for refused in (
            lambda: broker.schedule(THEN, "q", [ONE]),
            lambda: broker.fire(ME, "tick", 1, "q", [ONE]),
            lambda: broker.put_schedule("tick", b"{}"),
        ):
            broker.claim_schedule(ME, 60)
            with pytest.raises(BrokerUnavailable, match="out of memory") as raised:
                refused()
            assert raised.value.sent == "no"
        assert broker.promote_due(ME, 9, 9).moved == 3
        assert broker.unschedule("q", ONE) == 1
        waiting = broker.scheduled(0, 0, 9)
        assert broker.promote(waiting[0])
        assert broker.bury(waiting[1], b'{"e":1}')
        assert broker.withdraw(waiting[2])
        assert holder.release(taken, at=THEN)
        taken = holder.take("q")
        assert broker.fail(taken, holder.tokens.next(), b'{"e":2}', again=Again(at=THEN))
        holder.take("q")
        assert broker.recover(holder.seen(), None, again=Again(at=THEN))
        assert [one.at for one in broker.scheduled(0, 0, 9)] == [THEN] * 3
        assert broker.take_key(["mine", "other"], b"2", 60).key == "other"
        assert broker.swap_key("other", b"2", b"3", 60)
        assert broker.add_key("n", 1, 60) == 1
        broker.put_key("mine", b"4", 60)
        assert broker.clear_scheduled() == 3
        assert not broker.put_schedule("tick", None)
        broker.give_up_schedule(ME)
    finally:
        client.config_set("maxmemory", 0)
    assert broker.last_fired(["tick"]) == {}
    assert list(broker.peek("q", 0, 9)) == [TWO, THREE, TWO]


@pytest.mark.parametrize("missing", ["zadd", "zrem", "lrem", "ltrim", "lpush", "rpush", "sadd", "srem", "del"])
def test_a_right_that_is_missing_loses_and_doubles_nothing(
    redis_server: RedisServer, client: redis.Redis, missing: str
) -> None:
    able = open_broker(redis_server.url)
    client.acl_setuser("weak", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", f"-{missing}"])
    weak = open_broker(f"redis://weak:x@127.0.0.1:{redis_server.port}")
    try:
        holder = Holder(able, ID)
        assert holder.register()
        able.push("q", [ONE])
        taken = holder.take("q")
        able.claim_schedule(ME, 60)

        def call(what: Callable[[], object]) -> None:
            try:
                what()
            except BrokerRefused:
                assert len(places(client)) == 1, "the job is in one place still"

        if missing == "zadd":  # the others show when a worker registers
            call(lambda: weak.release([taken], holder.tokens.next(), at=7))
        able.release([taken], holder.tokens.next(), at=7)
        (waiting,) = able.scheduled(0, 0, 9)
        call(lambda: weak.promote(waiting))
        move(able)
        able.schedule(7, "q", [ONE])
        able.remove_queue("q")
        call(lambda: weak.bury(waiting, ONE))
        able.clear_failures()
        able.clear_scheduled()
        able.schedule(7, "q", [ONE])
        call(lambda: weak.promote_due(ME, 9, 9))
    finally:
        weak.close()
        able.close()
        client.acl_deluser("weak")


# ---- waiting for what is due


def asked(client: redis.Redis) -> int:
    """How many commands were carried out until now."""
    return int(client.info("stats")["total_commands_processed"])


def test_who_waits_for_what_is_due_asks_nothing(broker: RedisBroker, client: redis.Redis) -> None:
    broker.schedule(THEN, "q", [ONE])
    broker.wait_due(THEN, 0)  # turns the doorbell on
    before = asked(client)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(broker.wait_due, THEN, 0.3)
        client.rpush("resque:queue:q", ONE)  # no concern
        client.set("resque:resque:resque_scheduler_master_lock", "x")
        future.result()
    assert asked(client) - before < 12


def test_a_rubys_job_wakes_at_once(broker: RedisBroker, client: redis.Redis) -> None:
    broker.wait_due(None, 0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(broker.wait_due, None, 0).result()
        future = pool.submit(broker.wait_due, None, 20)
        client.rpush("resque:delayed:7", item.join("q", ONE))
        client.zadd("resque:delayed_queue_schedule", {"7": 7})
        began = time.monotonic()
        assert future.result()
        assert time.monotonic() - began < 1
    assert broker.next_due() == 7


def test_many_jobs_for_later_are_no_concern_and_cost_little(broker: RedisBroker, client: redis.Redis) -> None:
    broker.schedule(THEN, "q", [ONE])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(broker.wait_due, THEN, 0).result()
        with asking(client):
            future = pool.submit(broker.wait_due, THEN, 20)
        began = time.monotonic()
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        later = 0
        while time.monotonic() < began + 0.3:
            later += 1
            broker.schedule(THEN + later, "q", [ONE])
        looks = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before - later
        assert not future.done()
        broker.schedule(7, "q", [ONE])
        assert future.result()
    print(f"{later} jobs for later, {looks} looks")
    assert looks < 60


def test_the_doorbell_of_what_is_due_is_off_while_nobody_waits(
    broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq_redis.wakeup._IDLE", 0.0)
    broker.wait_due(None, 0.01)
    assert sum("t" in one["flags"] for one in client.client_list()) == 1
    broker.claim_schedule(ME, 60)
    assert sum("t" in one["flags"] for one in client.client_list()) == 0


# ---- waiting for a key


@pytest.fixture
def without_tracking(redis_server: RedisServer, client: redis.Redis) -> Iterator[RedisBroker]:
    client.acl_setuser("poll", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all", "-client"])
    broker = open_broker(f"redis://poll:x@127.0.0.1:{redis_server.port}")
    yield broker
    broker.close()
    client.acl_deluser("poll")


def test_who_waits_for_a_key_asks_nothing(broker: RedisBroker, client: redis.Redis) -> None:
    broker.put_key("a", b"1", 60)
    broker.await_key("a", b"1", 0)
    before = asked(client)
    assert broker.await_key("a", b"1", 0.3) == b"1"
    assert asked(client) - before <= 6


def test_many_threads_wait_for_many_keys(broker: RedisBroker, client: redis.Redis) -> None:
    names = [f"k{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        for turn in (b"1", b"2"):
            waiting = {name: pool.submit(broker.await_key, name, None if turn == b"1" else b"1", 20) for name in names}
            for name in reversed(names):
                broker.put_key(name, turn + b"!" if turn == b"2" else turn, 60)
                assert waiting[name].result() == (turn + b"!" if turn == b"2" else turn)
    tracking = [one for one in client.client_list() if "t" in one["flags"]]
    assert len(tracking) <= 4  # kept for the next ones


def test_a_key_is_waited_for_in_a_forked_child_and_on_in_its_parent(broker: RedisBroker) -> None:
    broker.put_key("a", b"1", 60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(broker.await_key, "a", b"1", 20)
        broker.await_key("a", b"1", 0.02)
        child = os.fork()
        if child == 0:
            os._exit(0 if broker.await_key("b", None, 20) == b"go" else 1)
        broker.put_key("b", b"go", 60)
        assert os.waitpid(child, 0)[1] == 0
        assert not waiting.done()
        broker.put_key("a", b"2", 60)
        assert waiting.result() == b"2"


@pytest.mark.parametrize("cut", ["cut", "while it was kept"])
def test_a_wait_for_a_key_outlives_its_connection(
    far: RedisBroker, broker: RedisBroker, client: redis.Redis, proxy: Proxy, cut: str
) -> None:
    far.put_key("a", b"1", 60)
    far.await_key("a", b"1", 0)
    if cut == "cut":
        with ThreadPoolExecutor(1) as pool:
            with asking(client):
                future = pool.submit(far.await_key, "a", b"1", 20)
            proxy.cut()
            broker.put_key("a", b"2", 60)
            assert future.result() == b"2"
    else:
        proxy.cut()
        assert far.await_key("a", None, 20) == b"1"
    proxy.cut()
    with proxy.refusing(), pytest.raises(BrokerUnavailable):
        far.await_key("a", broker.get_key("a"), 20)


def test_close_wakes_who_waits_for_a_key(redis_server: RedisServer, client: redis.Redis) -> None:
    broker = open_broker(redis_server.url)
    broker.await_key("a", None, 0)
    with ThreadPoolExecutor(1) as pool:
        with asking(client):
            future = pool.submit(broker.await_key, "a", None, 20)
        started = time.monotonic()
        broker.close()
        future.result()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("closed", [True, False])
def test_a_wait_for_a_key_that_loses_its_connection_at_once_says_so_to_nobody(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    broker = open_broker(redis_server.url)
    broker.put_key("a", b"1", 60)

    def lose(tracker: Tracker, *words: bytes) -> None:
        if closed:
            broker.close()
        raise Lost

    monkeypatch.setattr(Tracker, "command", lose)
    assert broker.await_key("a", b"seen", 20) == (b"seen" if closed else b"1")
    broker.close()


def test_where_tracking_is_refused_a_key_is_polled(without_tracking: RedisBroker, broker: RedisBroker) -> None:
    with ThreadPoolExecutor(2) as pool:
        key = pool.submit(without_tracking.await_key, "a", None, 20)
        due = pool.submit(without_tracking.wait_due, None, 20)
        broker.put_key("a", b"1", 60)
        broker.schedule(7, "q", [ONE])
        assert key.result() == b"1"
        assert due.result()
    without_tracking.schedules()
    with ThreadPoolExecutor(1) as pool:
        changed = pool.submit(without_tracking.wait_due, 7.0, 20)
        broker.put_schedule("tick", b"{}")
        assert changed.result()


def test_a_key_of_another_program_is_read(broker: RedisBroker, client: redis.Redis) -> None:
    client.set("resque:resque-retry:Job:abc", "2")
    client.hset("resque:a hash", "a", "1")
    assert broker.foreign_key("resque-retry:Job:abc") == b"2"
    assert broker.foreign_key("resque-retry:Other") is None
    assert broker.foreign_key("a hash") is None


def test_a_plugins_key_lies_where_no_other_program_looks(broker: RedisBroker, client: redis.Redis) -> None:
    broker.put_key("unique:a", b"1", 60)
    broker.add_key("n", 5, 60)
    broker.take_key(["seat"], b"2", 0.0001)
    assert set(client.keys()) <= {b"resque:taskq:key:unique:a", b"resque:taskq:key:n", b"resque:taskq:key:seat"}
    assert all(0 < client.pttl(key) <= 60_000 for key in [b"resque:taskq:key:unique:a", b"resque:taskq:key:n"])
    broker.put_key("text", b"x", 60)
    with pytest.raises(BrokerError, match="not an integer"):
        broker.add_key("text", 1, 60)


def test_fakeredis_moves_and_wakes_too() -> None:
    broker = open_broker(fakeredis.FakeRedis(server=fakeredis.FakeServer()))
    broker.schedule(7, "q", [ONE, b"rubbish"])
    assert broker.wait_due(None, 5)
    assert move(broker) == 2
    assert list(broker.peek("q", 0, 9)) == [ONE, b"rubbish"]
    broker.close()
