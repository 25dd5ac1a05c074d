"""The failed list, the list a queue, and both at once (28, 29, 30)."""

from __future__ import annotations

import json

import redis

from taskq import TaskQ, failed_entry
from taskq.broker import Requeued
from taskq.envelope import decode
from taskq.failed_entry import FailedJob
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord
from taskq_redis.testing import RedisServer
from tests.wire import jobs
from tests.wire.recorded import (
    EXCEPTIONS,
    Differs,
    State,
    assert_same,
    bytes_of,
    left,
    listed,
    load,
    members,
    recorded,
    recording,
    replays,
)
from tests.wire.test_workers import Seated
from tests.wire.workers import work_off


def fail(app: TaskQ, seated: Seated, entry: str, *, by_queue: bool) -> None:
    """Fail a job as a worker does, with what this recorded entry tells."""
    told = json.loads(entry)
    body = json.dumps(told["payload"], separators=(",", ":")).encode()
    app.broker.push(told["queue"], [body])
    held = seated.take(told["queue"])
    error = ErrorRecord(EXCEPTIONS[told["exception"]], told["error"])
    failure = Failure(decode(body), body, held.queue, held.worker, error, held.run_at, app.broker.now())
    assert seated.fail(held, failed_entry.encode(failure), by_queue=by_queue)


def entry(state: State, number: int, queue: str) -> str:
    """An entry as Ruby's Failure.create made it, after the first four."""
    first = next(value for name, value in state.items() if name.endswith("failed"))
    told = json.loads(first.data[0])
    told["payload"]["args"], told["error"], told["queue"] = [number], f"error {number}", queue
    return json.dumps(told, separators=(",", ":"))


def numbers(failed: list[FailedJob]) -> list[list[object]]:
    return [[one.position, list(one.payload.args)] for one in failed if one.payload is not None]


@replays("28")
def test_failures_are_written_as_rubys(client: redis.Redis, app: TaskQ) -> None:
    wanted = recording("28").states["four failures"]["resque:failed"]
    seated = Seated(app, "host:1:jobs")
    for each in wanted.data:
        fail(app, seated, each, by_queue=False)
    found = left(client, own=("workers", "token:host:1:jobs", "registration:host:1:jobs"))
    assert found["resque:failed"] == recorded({"resque:failed": wanted})["resque:failed"]


@replays("28")
def test_the_failed_list_is_read_and_changed_as_by_ruby(client: redis.Redis, app: TaskQ) -> None:
    states = recording("28").states
    returned = recording("28").returned
    load(client, states["four failures"])
    failures = app.failures

    def at(index: int) -> FailedJob:
        [found] = failures.list(index, 1, newest_first=False)
        return found

    def as_ruby(found: FailedJob) -> object:
        return json.loads(found.entry)

    assert failures.count() == returned["count"]
    assert (
        sum(one.payload is not None and one.payload.job == "Ok" for one in failures.each())
        == (returned['count(nil, "Ok")'])
    )
    assert as_ruby(at(0)) == returned["all"]
    assert [as_ruby(one) for one in failures.list(1, 2, newest_first=False)] == returned["all(1, 2)"]
    assert list(failures.list(0, 0)) == []  # nothing is loaded whole; Ruby's 0 is everything
    assert as_ruby(failures.list(0, 1)[0]) == returned["all(-1)"]
    assert list(failures.list(9, 1)) == []
    assert numbers(list(failures.each())) == returned["each(0, 4): newest first"]
    assert numbers(list(failures.list(1, 2, newest_first=False))) == returned['each(1, 2, nil, nil, "asc")']
    assert numbers(list(failures.list(1, 2))) == returned['each(1, 2, nil, nil, "desc")']

    seen = at(1)
    assert failures.requeue(seen) is Requeued.DONE
    assert failures.requeue(seen) is Requeued.ALREADY  # who did not see that it was retried does not do it again
    assert failures.requeue(at(1)) is Requeued.DONE
    assert failures.requeue(at(0)) is Requeued.DONE
    kept = "the bytes that failed are requeued; Ruby drops further keys"
    extra = {name: with_extra(value.data) for name, value in states["after the requeues"].items() if ":queue:" in name}
    differs = {name: Differs(listed(*bodies), kept) for name, bodies in extra.items()}
    assert_same(left(client, own=()), recorded(states["after the requeues"]), differs)

    assert failures.remove(at(0))
    assert list(failures.list(99, 1)) == []  # what is not there cannot be named
    assert failures.requeue_all(queue="a") == 1
    for number in (4, 5):
        client.rpush("resque:failed", entry(states["four failures"], number, "c"))
    assert failures.clear(queue="c") == 3
    client.rpush("resque:failed", entry(states["four failures"], 6, "d"))
    assert failures.requeue_all() == 1  # by itself only what was not retried yet
    assert numbers(list(failures.each(newest_first=False))) == [[0, [1]], [1, [2]], [2, [6]]]
    for one in (at(0), at(1)):
        assert failures.requeue(one) is Requeued.DONE
    client.rpush("resque:failed", entry(states["four failures"], 7, "d"))
    for one in list(failures.each()):
        if one.retried_at is not None:
            assert failures.remove(one)
    assert [one[1] for one in numbers(list(failures.each()))] == returned["left"]
    assert failures.clear() == returned["clear"]
    extra = {name: with_extra(value.data) for name, value in states["after clear"].items() if ":queue:" in name}
    differs = {name: Differs(listed(*bodies), kept) for name, bodies in extra.items()}
    assert_same(left(client, own=()), recorded(states["after clear"]), differs)

    after = states["after"]
    client.rpush("resque:failed", '{"failed_at":"x","payload":{"class":"Ok"},"queue":"e"}', "not json")
    assert failures.requeue(at(0)) is Requeued.DONE
    assert not at(1).requeueable
    assert_same(left(client, own=()), recorded(after), differs)


def with_extra(bodies: tuple[str, ...]) -> list[str]:
    return [body.replace("]}", '],"extra":"kept"}') for body in bodies]


@replays("29")
def test_a_list_a_queue_is_written_as_rubys(client: redis.Redis, app: TaskQ) -> None:
    state = recording("29").states["four failures"]
    seated = Seated(app, "host:1:jobs")
    entries = [*state["resque:a_failed"].data, *state["resque:b_failed"].data]
    for each in sorted(entries, key=lambda text: str(json.loads(text)["payload"]["args"])):
        fail(app, seated, each, by_queue=True)
    found = left(client, own=("workers", "token:host:1:jobs", "registration:host:1:jobs"))
    wanted = recorded(state)
    assert {name: found[name] for name in wanted} == wanted
    assert "resque:failed" not in found


@replays("29")
def test_a_list_a_queue_is_read_and_changed_as_by_ruby(
    client: redis.Redis, app: TaskQ, redis_server: RedisServer
) -> None:
    states = recording("29").states
    returned = recording("29").returned
    load(client, states["four failures"])
    failures = app.failures

    def at(index: int, queue: str) -> FailedJob:
        [found] = failures.list(index, 1, queue=queue, newest_first=False)
        return found

    assert failures.count() == returned["count"]
    assert failures.count(queue="a") == returned['count("a_failed")']
    assert set(app.broker.failed_queues()) == {name.removesuffix("_failed") for name in returned["queues"]}
    assert [json.loads(one.entry) for one in failures.list(0, 2, queue="a", newest_first=False)] == (
        returned['all(0, 2, "a_failed")']
    )
    assert numbers(list(failures.list(0, 3, queue="a"))) == returned['each(0, 3, "a_failed")']
    assert failures.requeue(at(1, "a")) is Requeued.DONE
    assert failures.requeue(at(1, "a")) is Requeued.DONE
    assert_same(left(client, own=()), recorded(states["after the requeues"]))

    assert failures.remove(at(0, "a"))
    assert failures.requeue_all(queue="a", again=True) == 2
    assert failures.requeue_all(again=True) == 3
    client.sadd("resque:failed_queues", "zed_failed")  # Ruby writes a name by asking for it; it reads as empty
    assert failures.clear(queue="b") == 1
    assert failures.clear(queue="a") == 2
    for number, queue in ((5, "x"), (6, "y")):
        client.sadd("resque:failed_queues", f"{queue}_failed")
        client.rpush(f"resque:{queue}_failed", entry(states["four failures"], number, queue))
    assert failures.clear() == 2
    assert failures.count() == 0

    app.enqueue(jobs.Bad, 1)
    running = work_off(redis_server, FAILURE_BACKEND="redis_multi_queue")
    bad, ok = '{"class":"Bad","args":[2]}', '{"class":"Ok","args":[3]}'
    differs = {"resque:queue:a": Differs(listed(bad, bad, bad, ok, bad, ok), "requeued the oldest first")}
    assert_same(left(client, running.pid), recorded(states["after"]), differs)
    assert returned['Resque.info[:failed] looks at the list "failed" only'] == 0
    assert app.info()["failed"] == 1  # taskq's figure is of every list


@replays("30")
def test_one_failure_goes_to_one_place(client: redis.Redis, app: TaskQ, redis_server: RedisServer) -> None:
    """Ruby's Multiple saves in both; of taskq's handlers the first decides, and what it decided is done once."""
    app.enqueue(jobs.Bad, 0)
    app.enqueue(jobs.Bad, 1)
    running = work_off(redis_server, TASKQ_FAILURE_HANDLERS="broker,multi_queue")
    returned = recording("30").returned
    assert app.failures.count() == returned["count"]
    [first, _] = app.failures.list(newest_first=False)
    wanted = returned["all"]
    assert (first.error, first.job_queue) == (wanted["error"], wanted["queue"])
    assert app.failures.requeue(first) is Requeued.DONE
    assert app.failures.remove(app.failures.list(newest_first=False)[0])
    one = "a failure is in one list only"
    nowhere_else = {"resque:jobs_failed": Differs(None, one), "resque:failed_queues": Differs(None, one)}
    state = recorded(recording("30").states["after remove(0)"])
    kept = listed(state["resque:jobs_failed"].data[1])
    assert_same(
        left(client, running.pid),
        state,
        {"resque:failed": Differs(kept, "Ruby's remove(0) removes twice there"), **nowhere_else},
    )
    assert app.failures.clear() == 1
    assert_same(left(client, running.pid), recorded(recording("30").after), nowhere_else)


@replays("30")
def test_what_ruby_saved_twice_is_listed_twice(client: redis.Redis, app: TaskQ) -> None:
    state = recording("30").states["after remove(0)"]
    load(client, state)
    client.rpush("resque:failed", *map(bytes_of, state["resque:jobs_failed"].data))
    assert app.failures.count() == 4
    assert {one.queue for one in app.failures.each()} == {None, "jobs"}
    assert app.failures.clear() == 4
    assert left(client, own=())["resque:failed_queues"] == members("jobs_failed")  # as Ruby leaves it
