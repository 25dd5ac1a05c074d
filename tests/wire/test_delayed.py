"""Delayed jobs, the lock of schedulers, and schedules (42 to 50): what lies in Redis, in both directions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
import redis

from taskq import TaskQ
from taskq.broker import Broker
from taskq.records import ScheduledJob
from taskq_redis import open_broker
from taskq_redis.testing import RedisServer
from tests.wire.recorded import (
    Differs,
    State,
    Value,
    assert_same,
    bytes_of,
    left,
    listed,
    load,
    members,
    recorded,
    recording,
    replays,
    times,
)

T = 2209032000
FIRED = ("fired",)


@pytest.fixture
def broker(app: TaskQ) -> Broker:
    return app.broker


def body(text: str) -> bytes:
    """The payload of an item as Ruby writes it."""
    return re.sub(r',"queue":"\w+"}$', "}", text).encode()


def queue(text: str) -> str:
    name: str = json.loads(text)["queue"]
    return name


def scheduled(number: str) -> list[tuple[int, str]]:
    """What was delayed in a recording, in order: time and item."""
    return [
        (int(command[1].rsplit(":", 1)[1]), command[2])
        for command in recording(number).raw["commands"]
        if command[0] == "rpush" and ":delayed:" in command[1]
    ]


def replay(client: redis.Redis, number: str, start: int, stop: int) -> None:
    """Send Ruby's own commands."""
    for command in recording(number).raw["commands"][start:stop]:
        client.execute_command(*map(bytes_of, command))  # type: ignore[no-untyped-call]


def without_lock(state: State) -> State:
    return {name: value for name, value in state.items() if not name.endswith("resque_scheduler_master_lock")}


# ---- delaying


@replays("42", "43")
def test_delayed_jobs_are_written_as_rubys(client: redis.Redis, broker: Broker) -> None:
    for at, item in scheduled("42"):
        broker.schedule(at, queue(item), [body(item)])
    for item in recording("42").after["resque:queue:jobs"].data:  # those whose time was over
        broker.push("jobs", [item.encode()])
    assert_same(left(client), recorded(recording("42").after))
    client.flushall()
    for at, item in scheduled("43"):
        broker.schedule(at, queue(item), [body(item)])
    assert_same(left(client), recorded(recording("43").after))


@replays("42")
def test_a_fraction_of_a_second_is_rounded_up(client: redis.Redis, broker: Broker) -> None:
    """Ruby cuts it: of T + 1.9 it makes T + 1, so that the job begins before its time."""
    item = '{"class":"Ok","args":[],"queue":"jobs"}'
    assert (T + 1, item) in scheduled("42")
    broker.schedule(T + 1.9, "jobs", [body(item)])
    wanted = {
        f"resque:delayed:{T + 1}": listed(item),
        "resque:delayed_queue_schedule": times(T + 1),
        f"resque:timestamps:{item}": members(f"delayed:{T + 1}"),
    }
    why = "no job begins before its time"
    wanted[f"resque:delayed:{T + 2}"] = listed()
    differs = {
        f"resque:delayed:{T + 1}": Differs(None, why),
        f"resque:delayed:{T + 2}": Differs(listed(item), why),
        "resque:delayed_queue_schedule": Differs(times(T + 2), why),
        f"resque:timestamps:{item}": Differs(members(f"delayed:{T + 2}"), why),
    }
    assert_same(left(client), wanted, differs)


# ---- listing


@replays("43")
def test_delayed_jobs_are_listed_as_by_ruby(client: redis.Redis, broker: Broker) -> None:
    returned = recording("43").returned
    load(client, recording("43").after)
    every = [at for at, _ in broker.scheduled_times(0, 10)]
    assert every == returned["delayed_queue_peek(0, 10)"]
    assert broker.scheduled_time_count() == returned["delayed_queue_schedule_size"]
    assert dict(broker.scheduled_times(0, 10))[T] == returned["delayed_timestamp_size(T)"]

    def peek(at: float, count: int) -> list[object]:
        return [json.loads(job.raw) for job in broker.scheduled(at, 0, count) if job.at == at]

    assert peek(T, 1) == returned["delayed_timestamp_peek(T, 0, 1)"]
    assert peek(T, 2) == returned["delayed_timestamp_peek(T, 0, 2)"]
    assert peek(T + 9, 1) == returned["delayed_timestamp_peek(T + 9, 0, 1)"]
    assert sum(count for _, count in broker.scheduled_times(0, 10)) == returned["count_all_scheduled_jobs"]
    one = b'{"class":"Ok","args":[1]}'
    assert list(broker.scheduled_at("jobs", one)) == returned["scheduled_at(Ok, 1)"]
    assert list(broker.scheduled_at("jobs", one.replace(b"1", b"9"))) == returned["scheduled_at(Ok, 9)"]
    assert broker.next_due() == returned["next_delayed_timestamp(T + 100)"]


# ---- removing, and queueing before the time

ONE, TWO = b'{"class":"Ok","args":[1]}', b'{"class":"Ok","args":[2]}'
GONE = "a time goes with its last job; Ruby leaves it"


def promote_all(broker: Broker, of: Callable[[ScheduledJob], bool]) -> int:
    return sum(broker.promote(job) for job in broker.scheduled(0, 0, 99) if of(job))


@replays("44")
@pytest.mark.parametrize("by", ["ruby", "taskq"])
def test_delayed_jobs_are_removed_as_by_ruby(client: redis.Redis, broker: Broker, by: str) -> None:
    """What Ruby delayed and what taskq did; the sixth is of another queue."""
    states, returned = recording("44").states, recording("44").returned

    def delayed(start: int, stop: int) -> None:
        client.flushall()
        if by == "ruby":
            replay(client, "44", start, stop)
        else:
            for at, item in scheduled("44")[:5]:
                broker.schedule(at, queue(item), [body(item)])

    delayed(0, 15)
    assert broker.unschedule("jobs", ONE) == returned["remove_delayed(Ok, 1)"]
    differs = {"resque:delayed_queue_schedule": Differs(times(T), GONE)}
    state = "after remove_delayed: the time T+60 stays in the zset with no list"
    assert_same(left(client), recorded(states[state]), differs)
    assert broker.unschedule("jobs", ONE) == returned["remove_delayed(Ok, 1) again"]
    assert broker.unschedule("low", ONE) == returned['remove_delayed_in_queue(Ok, "low", 1)']

    delayed(0, 15)
    assert broker.unschedule("jobs", ONE, at=T) == returned["remove_delayed_job_from_timestamp(T, Ok, 1)"]
    assert broker.unschedule("jobs", ONE, at=T + 60) == returned["remove_delayed_job_from_timestamp(T + 60, Ok, 1)"]
    assert_same(left(client), recorded(states["after remove_delayed_job_from_timestamp twice"]))

    delayed(0, 15)
    removed = sum(broker.unschedule(name, ONE) for name in ("jobs", "low"))
    assert removed == returned["remove_delayed_selection { |a| a[0] == 1 }"]
    assert_same(left(client), recorded(states["after remove_delayed_selection"]), differs)

    delayed(0, 15)
    promoted = promote_all(broker, lambda job: job.queue == "jobs" and job.body == ONE)
    assert promoted == returned["enqueue_delayed(Ok, 1)"]
    assert_same(left(client), recorded(states["after enqueue_delayed"]), differs)

    delayed(0, 15)
    assert promote_all(broker, lambda job: True) == returned["enqueue_delayed_selection { true }"]
    in_order = listed(*[one.decode() for one in (ONE, TWO, ONE, ONE)])
    queues = {
        "resque:queue:jobs": Differs(in_order, "in the order of their times, which Ruby's way through the index loses"),
        "resque:delayed_queue_schedule": Differs(None, GONE),
    }
    assert_same(left(client), recorded(states["after enqueue_delayed_selection"]), queues)

    delayed(0, 15)
    assert broker.unschedule("jobs", TWO) == returned["delay_or_enqueue_at(T + 500, Ok, 2)"]
    broker.schedule(T + 500, "jobs", [TWO])
    broker.schedule(T + 500, "jobs", [TWO.replace(b"2", b"77")])
    assert_same(left(client), recorded(states["after delay_or_enqueue_at"]))

    delayed(0, 15)
    assert broker.clear_scheduled() == 5
    assert_same(left(client), recorded(states["after reset_delayed_queue"]))


# ---- moving what is due


@replays("45")
def test_what_is_due_is_moved_as_by_ruby(client: redis.Redis, broker: Broker) -> None:
    """All but what Ruby drops: further keys of a payload, and a job without a queue."""
    before, after = recording("45").states["before"], recording("45").states["after"]
    load(client, before)
    name = after["resque:resque:resque_scheduler_master_lock"].data
    assert broker.claim_schedule(name, 180) == name
    promoted = broker.promote_due(name, 1e9, 99)
    no_queue = ['{"class":"Ok","args":[3]}', '{"class":"app.Missing","args":[4]}']
    assert (promoted.moved, promoted.holder, promoted.more) == (8, name, False)
    assert [(job.at, job.queue, job.body.decode()) for job in promoted.stuck] == [(1002, "", one) for one in no_queue]
    bytes_kept = "a payload's bytes are moved as they are; Ruby writes class and args anew"
    hooks = "a class's hooks are run when a job is delayed, not when it is moved"
    stays = "of a job without a queue Ruby asks the class, or drops it; it stays until somebody says what becomes of it"
    jobs = ['{"class":"Ok","args":[1]}', '{"class":"Stop","args":[]}', '{"class":"Before","args":[5]}']
    differs = {
        "resque:queue:hash": Differs(listed('{"class":"Ok","args":{"a":1}}'), bytes_kept),
        "resque:queue:str": Differs(listed('{"class":"Ok","args":"abc"}'), bytes_kept),
        "resque:queue:none": Differs(listed('{"class":"Ok"}'), bytes_kept),
        "resque:queue:odd": Differs(listed('{"id":"x","args":[{"k":1.0}],"class":"Ok"}'), bytes_kept),
        "resque:queue:jobs": Differs(listed(*jobs), hooks),
        "resque:delayed:1002": Differs(listed(*no_queue), stays),
        "resque:delayed_queue_schedule": Differs(times(1002), stays),
        **{f"resque:timestamps:{one}": Differs(members("delayed:1002"), stays) for one in no_queue},
    }
    wanted = recorded(after)
    for key in set(differs) - set(wanted):
        wanted[key] = Value("none", None)
    assert_same(left(client), wanted, differs)
    client.delete("resque:resque:resque_scheduler_master_lock")  # as long as Ruby's has it, what is due is Ruby's
    assert broker.promote(promoted.stuck[0], queue="jobs")
    assert broker.bury(promoted.stuck[1], b'{"error":"no queue"}')
    assert broker.scheduled_time_count() == 0
    assert not any("timestamps" in name or "delayed" in name for name in left(client))


@replays("45")
def test_an_item_that_is_no_json_stays_and_those_behind_it_are_moved(client: redis.Redis, broker: Broker) -> None:
    """Ruby's scheduler ends there, at every start."""
    state = recording("45").states["after the element that is not JSON"]
    load(client, state)
    broker.claim_schedule("host:1", 60)
    promoted = broker.promote_due("host:1", 1e9, 99)
    assert [job.raw for job in promoted.stuck] == [b"not json"]
    assert list(broker.peek("jobs", 0, 9)) == [ONE, TWO]
    found = without_lock(left(client))
    assert found["resque:delayed:1003"] == listed("not json")
    assert found["resque:timestamps:not json"] == members("delayed:1003")
    assert len(found) == 5


@replays("45")
def test_a_limit_is_rubys_batch(client: redis.Redis, broker: Broker) -> None:
    """DELAYED_REQUEUE_BATCH_SIZE=2, five items: two, two and one."""
    bodies = [ONE.replace(b"1", b"%d" % number) for number in range(1, 6)]
    broker.schedule(1006, "jobs", bodies)
    broker.claim_schedule("host:1", 60)
    assert [broker.promote_due("host:1", 1e9, 2).moved for _ in range(4)] == [2, 2, 1, 0]
    assert list(broker.peek("jobs", 0, 9)) == bodies
    broker.schedule(1007, "jobs", [ONE])
    assert broker.promote(broker.scheduled(0, 0, 1)[0])  # enqueue_next_item(1007)
    assert without_lock(left(client)) == {
        "resque:queue:jobs": listed(*[one.decode() for one in [*bodies, ONE]]),
        "resque:queues": members("jobs"),
    }


@replays("46")
def test_what_another_client_pushes_meanwhile_is_moved_too(client: redis.Redis, broker: Broker) -> None:
    """Ruby's scheduler loses what comes between its LRANGE and its WATCH; a script leaves no between."""
    states = recording("46").states
    broker.claim_schedule("host:1:a", 180)
    broker.schedule(1000, "jobs", [ONE])
    client.rpush("resque:delayed:1000", '{"class":"Ok","args":[2],"queue":"jobs"}')
    assert broker.promote_due("host:1:a", 1e9, 99).moved == 2
    aborted = states["after: SADD/RPUSH of the aborted try"]
    assert_same(without_lock(left(client)), without_lock(recorded(aborted)))
    lost = recorded(states["after: element pushed in between"])
    differs = {"resque:queue:jobs": Differs(aborted["resque:queue:jobs"], "Ruby loses the second")}
    assert_same(without_lock(left(client)), lost, differs)
    # A pusher that died before its ZADD leaves a list that nobody looks at, neither Ruby nor we.
    load(client, states["after: list never looked at"])
    broker.claim_schedule("host:1:a", 180)
    assert broker.promote_due("host:1:a", 1e9, 99).moved == 0
    assert_same(without_lock(left(client)), recorded(recording("46").after))


# ---- the lock


@pytest.fixture
def blue(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A broker beside a Ruby that is told RESQUE_SCHEDULER_MASTER_LOCK_PREFIX=blue."""
    monkeypatch.setenv("RESQUE_SCHEDULER_MASTER_LOCK_PREFIX", "blue")
    broker = open_broker(redis_server.unix_url)
    yield broker
    broker.close()


@replays("47")
def test_the_lock_is_rubys(client: redis.Redis, broker: Broker, blue: Broker) -> None:
    locked, after = recording("47").states["locked"], recording("47").after
    name = locked["resque:resque:resque_scheduler_master_lock"].data
    assert broker.claim_schedule(name, 180) == name
    assert_same(left(client), recorded(locked))
    assert broker.claim_schedule(name, 180) == name  # again
    client.set("resque:resque:resque_scheduler_master_lock", "localhost:1", ex=180)
    assert broker.claim_schedule(name, 180) == "localhost:1"
    broker.give_up_schedule(name)
    assert left(client) == {"resque:resque:resque_scheduler_master_lock": Value("string", "localhost:1", 180)}
    client.delete("resque:resque:resque_scheduler_master_lock")
    assert broker.claim_schedule(name, 180) == name
    broker.give_up_schedule(name)
    assert blue.claim_schedule(name, 180) == name
    assert_same(left(client), recorded(after))


@replays("50")
def test_a_second_scheduler_stands_by_until_the_first_has_gone(client: redis.Redis, broker: Broker) -> None:
    state = recording("50").states["second is master"]
    second = state["resque:resque:resque_scheduler_master_lock"].data
    first = "localhost:10747"
    broker.schedule(1, "jobs", [ONE])
    assert broker.claim_schedule(first, 180) == first
    assert broker.claim_schedule(second, 180) == first
    assert broker.promote_due(second, 1e9, 9).holder == first
    assert broker.promote_due(first, 1e9, 9).moved == 1
    broker.give_up_schedule(first)
    assert broker.claim_schedule(second, 180) == second
    assert_same(left(client), recorded(state))
    broker.give_up_schedule(second)
    assert_same(left(client), recorded(recording("50").after))


# ---- recurring jobs


@replays("48")
def test_a_tick_is_written_as_rubys(client: redis.Redis, broker: Broker) -> None:
    wanted = recorded(recording("48").states["running"])
    name = wanted["resque:resque:resque_scheduler_master_lock"].data
    broker.claim_schedule(name, 180)
    pushed = ""
    for tick, command in enumerate(recording("48").raw["commands"]):
        if command[0] == "rpush":
            pushed = command
        elif command[0] == "hset":
            to = pushed[1].rsplit(":", 1)[1]
            assert broker.fire(name, command[2], float(tick), to, [bytes_of(pushed[2])])
    del wanted["resque:schedules_changed"]  # Ruby says so of each schedule that it reads from its own file
    assert_same(left(client, own=FIRED), wanted)


@replays("48", "49")
def test_a_tick_is_fired_once_by_who_holds_the_lock(client: redis.Redis, broker: Broker) -> None:
    assert not broker.fire("host:1", "tick", 60.0, "high", [ONE])
    broker.claim_schedule("host:1", 60)
    assert broker.fire("host:1", "tick", 60.0, "high", [ONE])
    assert not broker.fire("host:1", "tick", 60.0, "high", [ONE])
    assert not broker.fire("host:2", "tick", 61.0, "high", [ONE])
    assert broker.size("high") == 1
    assert broker.last_fired(["tick", "other"]) == {"tick": 60.0}
    assert client.hkeys("resque:delayed:last_enqueued_at") == [b"tick"]
    client.hset("resque:delayed:last_enqueued_at", "other", "no time")
    assert broker.last_fired(["tick", "other"]) == {"tick": 60.0}


@replays("48")
def test_what_rubys_scheduler_fired_is_not_fired_again_by_the_one_that_takes_over(
    client: redis.Redis, broker: Broker
) -> None:
    noted = "2026-11-23 20:24:26 +0000"
    broker.claim_schedule("host:1", 60)
    broker.fire("host:1", "tick", 60.0, "high", [ONE])
    client.hset("resque:delayed:last_enqueued_at", mapping={"tick": noted, "other": noted})
    assert broker.last_fired(["tick", "other"]) == {"tick": 1795465466.0, "other": 1795465466.0}
    assert broker.fire(
        "host:1", "tick", 1795465470.0, "high", ()
    )  # passed over: who takes over knows no more than that
    assert broker.last_fired(["tick"]) == {"tick": 1795465470.0}
    broker.fire("host:1", "tick", 1795465480.0, "high", [ONE])
    assert broker.last_fired(["tick"]) == {"tick": 1795465480.0}


@replays("49")
def test_schedules_are_kept_as_rubys(client: redis.Redis, broker: Broker) -> None:
    states = recording("49").states
    kept = states["after set_schedule"]["resque:persistent_schedules"].data
    for name, text in kept.items():
        assert not broker.put_schedule(name, bytes_of(text))
    memory = "what is not kept in the store is no matter of the broker's"
    differs = {"resque:schedules_changed": Differs(members("tick", "tick two"), memory)}
    assert_same(left(client), recorded(states["after set_schedule"]), differs)
    assert broker.put_schedule("tick two", None)
    assert not broker.put_schedule("never there", None)
    differs = {"resque:schedules_changed": Differs(members("tick", "tick two", "never there"), memory)}
    assert_same(left(client), recorded(states["after remove_schedule"]), differs)
    assert broker.schedules() == {"tick": bytes_of(kept["tick"])}


@replays("49")
def test_a_schedule_that_another_client_changed_is_heard_of(client: redis.Redis, broker: Broker) -> None:
    """By the two commands with which any client has a Ruby scheduler follow."""
    load(client, recording("49").states["after remove_schedule"])
    seen = broker.schedules()
    while broker.wait_due(None, 0.05):
        pass
    state = recording("49").states["taken over"]["resque:persistent_schedules"].data
    client.hset("resque:persistent_schedules", mapping=state)
    client.hdel("resque:persistent_schedules", "tick")
    client.sadd("resque:schedules_changed", "from python", "tick")
    assert broker.wait_due(None, 20)
    assert broker.schedules() == {name: text.encode() for name, text in state.items()} != seen
