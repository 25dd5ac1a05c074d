"""The reading direction: every state that Ruby left is read through taskq, and says what its bytes say.

What is wanted is worked out here from the state alone, by nothing of taskq's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from taskq import TaskQ
from taskq_redis.testing import RedisServer
from tests.wire.recorded import State, comparable, load, pids_in, read, recorded, recording, replays
from tests.wire.test_coverage import NUMBERS


@dataclass(frozen=True)
class Place:
    """A namespace of a recorded state."""

    state: State
    namespace: str = "resque"

    def get(self, name: str, default: Any) -> Any:
        value = self.state.get(f"{self.namespace}:{name}")
        return default if value is None else value.data

    def under(self, prefix: str) -> dict[str, Any]:
        whole = f"{self.namespace}:{prefix}"
        return {name.removeprefix(whole): value.data for name, value in self.state.items() if name.startswith(whole)}


def states() -> list[Any]:
    found = []
    for number in NUMBERS:
        for name, state in recording(number).states.items():
            if state:
                found.append(pytest.param(number, name, id=f"{number} {name}"))
    return found


def of(number: str, name: str) -> Place:
    return Place(recording(number).states[name], "resque:Foo" if number == "35" else "resque")


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def count(text: str) -> int:
    return int(text) if text.isdigit() else 0


@replays(*NUMBERS)
@pytest.mark.parametrize(("number", "name"), states())
def test_a_state_is_read_as_it_is_written(
    number: str, name: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    place = of(number, name)
    load(client, place.state)
    with TaskQ(broker=redis_server.unix_url, namespace=place.namespace) as app:
        queues_are_read(app, place)
        workers_are_read(app, place)
        failures_are_read(app, place)
        delayed_jobs_are_read(app, place)
        processed, failed = count(place.get("stat:processed", "0")), count(place.get("stat:failed", "0"))
        assert (app.broker.stats().processed, app.broker.stats().failed) == (processed, failed)
        paused = place.get("pause-all-workers", "").strip().lower() == "true"
        assert app.broker.paused().all is paused
    assert comparable(read(client), pids_in(place.state)) == recorded(place.state)  # reading changes nothing


def queues_are_read(app: TaskQ, place: Place) -> None:
    names = set(place.get("queues", ()))
    bodies = {queue: list(items) for queue, items in place.under("queue:").items()}
    assert set(app.queues()) == names
    assert app.sizes() == {queue: len(bodies.get(queue, ())) for queue in names}
    for queue, items in bodies.items():
        for job, body in zip(app.peek(queue, 0, len(items)), items, strict=True):
            wanted = parsed(body)
            assert job.body == body.encode("utf-8", "surrogateescape")
            if job.payload is None:
                assert "\udcff" in body
                assert job.problem
            else:
                assert (job.payload.job, list(job.payload.args)) == (wanted["class"], wanted["args"])
    info = app.info()
    assert info["queues"] == len(names)
    assert info["pending"] == sum(len(items) for queue, items in bodies.items() if queue in names)


def workers_are_read(app: TaskQ, place: Place) -> None:
    beats = place.get("workers:heartbeat", {})
    registered = {worker.id: worker for worker in app.workers()}
    assert set(registered) == set(place.get("workers", ()))
    for one, worker in registered.items():
        host, pid, queues = one.split(":", 2)
        assert (worker.host, worker.pid, list(worker.queues)) == (host, int(pid), queues.split(","))
        assert (worker.heartbeat is not None) == (one in beats)
        assert (worker.started is not None) == (f"{place.namespace}:worker:{one}:started" in place.state)
        assert worker.processed == int(place.get(f"stat:processed:{one}", "0"))
        assert worker.failed == int(place.get(f"stat:failed:{one}", "0"))
        assert worker.registration is None
    working = {worker.id: worker.job for worker in app.working()}
    records = {one: text for one in registered if (text := place.get(f"worker:{one}", ""))}
    assert set(working) == set(records)
    for one, text in records.items():
        held, wanted = working[one], parsed(text)
        assert held is not None
        if wanted is None:  # no JSON: a Ruby pruner dies of it (WIRE.md section 8)
            assert held.body == text.encode()
        else:
            assert (held.queue, held.worker, held.fence) == (wanted["queue"], one, "")
            assert json.loads(held.body) == wanted["payload"]
            assert held.run_at > 1.7e9
    assert app.info()["workers"] == len(registered)
    assert app.info()["working"] == len(records)
    # One that beats without being registered is a trace that recovery finds.
    assert {worker.id for worker in app.broker.workers()} == set(registered) | set(beats)


def failures_are_read(app: TaskQ, place: Place) -> None:
    lists = {None: place.get("failed", ())}
    for listed in place.get("failed_queues", ()):
        lists[listed.removesuffix("_failed")] = place.get(listed, ())
    entries = [(queue, entry) for queue, items in lists.items() for entry in items]
    assert app.failures.count() == len(entries)
    found = list(app.failures.each(newest_first=False))
    assert sorted((failed.queue or "", failed.entry.decode()) for failed in found) == sorted(
        (queue or "", entry) for queue, entry in entries
    )
    for failed in found:
        wanted = parsed(failed.entry.decode())
        if not isinstance(wanted, dict) or "payload" not in wanted:
            assert not failed.requeueable
            continue
        assert failed.exception == wanted.get("exception", "")
        assert failed.error == wanted.get("error", "")
        assert list(failed.backtrace) == wanted.get("backtrace", [])
        assert (failed.failed_at, failed.retried_at) == (wanted["failed_at"], wanted.get("retried_at"))
        assert (failed.worker, failed.job_queue) == (wanted.get("worker", ""), wanted["queue"])
        payload = wanted["payload"]
        assert json.loads(failed.body or b"null") == payload
        named = isinstance(payload, dict) and isinstance(payload.get("class"), str) and payload["class"] != ""
        assert failed.requeueable is named, failed.why_not
        if named:
            assert failed.payload is not None
            assert (failed.payload.job, list(failed.payload.args)) == (payload["class"], payload.get("args", []))


def delayed_jobs_are_read(app: TaskQ, place: Place) -> None:
    lists = {
        time: place.get(f"delayed:{time}", ()) for time in sorted(place.get("delayed_queue_schedule", ()), key=int)
    }
    broker = app.broker
    assert broker.scheduled_time_count() == len(lists)
    assert broker.scheduled_times(0, 99) == [(float(time), len(items)) for time, items in lists.items() if items]
    assert broker.next_due() == next((float(time) for time, items in lists.items() if items), None)
    wanted = [(float(time), one) for time, items in lists.items() for one in items]
    found = broker.scheduled(0, 0, 99)
    assert [(job.at, job.raw.decode()) for job in found] == wanted
    for job in found:
        item = parsed(job.raw.decode())
        if not isinstance(item, dict) or "queue" not in item:
            assert (job.queue, job.body) == ("", job.raw)
            continue
        assert job.queue == item.pop("queue")
        assert json.loads(job.body) == item
        assert list(json.loads(job.body)) == list(item)
        if job.raw.endswith(b',"queue":"' + job.queue.encode() + b'"}'):  # as Ruby writes it
            assert set(broker.scheduled_at(job.queue, job.body)) == {
                float(name.removeprefix("delayed:")) for name in place.get(f"timestamps:{job.raw.decode()}", ())
            }
    kept = place.get("persistent_schedules", {})
    assert broker.schedules() == {name: text.encode() for name, text in kept.items()}
