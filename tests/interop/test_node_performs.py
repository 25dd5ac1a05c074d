"""taskq enqueues; node-resque's worker performs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from taskq.broker import Requeued
from tests.interop.conftest import Shared
from tests.interop.test_node_enqueues import VALUES
from tests.support.workers import wait_until

pytestmark = pytest.mark.node

Client = Callable[..., Any]


def test_node_performs_what_taskq_enqueued(shared: Shared) -> None:
    worker = shared.node("worker", "node")
    shared.app.enqueue_to("node", "echo", *VALUES)
    shared.app.enqueue_to("node", "echo")
    assert worker.heard("success")["result"] == VALUES
    assert worker.heard("success", times=2)["result"] == []
    shared.settled(processed=2)


def test_jobs_wait_in_order_for_a_worker_that_starts_late(shared: Shared) -> None:
    for number in range(20):
        shared.app.enqueue_to("node", "echo", number)
    worker = shared.node("worker", "*")
    assert [worker.heard("success", times=place)["result"] for place in range(1, 21)] == [[n] for n in range(20)]


def test_numbers_arrive_as_javascript_has_them(shared: Shared) -> None:
    worker = shared.node("worker", "node")
    shared.app.enqueue_to("node", "echo", 1.0, 1e16, -0.0, 2**53 + 1, 2**70)
    # One kind of number, of 53 bits: no whole float, no bigger integer. Send those as strings.
    result = worker.heard("success")["result"]
    assert json.dumps(result) == "[1, 10000000000000000, 0, 9007199254740992, 1.1805916207174113e+21]"


def test_keyword_only_arguments_arrive_as_the_last_one(shared: Shared) -> None:
    worker = shared.node("worker", "node")
    shared.app.enqueue_to("node", "echo", 1, {"taskq:kw": {"subject": "Hi"}})
    assert worker.heard("success")["result"] == [1, {"taskq:kw": {"subject": "Hi"}}]


def test_a_failure_is_listed_and_requeued_by_taskq(shared: Shared) -> None:
    worker = shared.node("worker", "node")
    name = worker.heard("ready")["name"]
    shared.app.enqueue_to("node", "breaks", "bad ☃")
    worker.heard("failure")
    [failed] = shared.app.failures.list()
    assert failed.payload is not None
    assert (failed.payload.job, failed.payload.args) == ("breaks", ("bad ☃",))
    assert (failed.exception, failed.error, failed.job_queue) == ("TypeError", "bad ☃", "node")
    assert "worker.mjs" in failed.backtrace[0]
    assert failed.worker == name
    assert failed.requeueable
    assert shared.app.failures.requeue(failed) is Requeued.DONE
    worker.heard("failure", times=2)
    retried, again = sorted(shared.app.failures.list(), key=lambda one: one.position)
    assert (retried.retried_at is None, again.retried_at is None) == (False, True)


def test_taskq_lists_what_a_node_worker_is_doing(shared: Shared) -> None:
    worker = shared.node("worker", "node")
    name = worker.heard("ready")["name"]
    release = shared.journal.with_suffix(".release")
    shared.app.enqueue_to("node", "waits", str(release), 2**53 + 1, [])
    worker.heard("job")
    [info] = shared.app.working()
    assert (info.id, f"{info.host}:{info.pid}", info.queues) == (f"{name}:node", name, ("node",))
    assert info.started == pytest.approx(time.time(), abs=30)
    assert info.job is not None
    assert info.job.queue == "node"
    assert info.job.run_at == pytest.approx(time.time(), abs=30)
    assert json.loads(info.job.body)["args"][0] == str(release)
    release.touch()
    worker.heard("success")
    wait_until(lambda: not shared.app.working())
    assert shared.app.info()["workers"] == 1
    worker.end()
    assert shared.app.workers() == []


class TestWritesInItsOwnWay:
    """What lies in Redis otherwise than Ruby or taskq would write it."""

    def test_its_id_has_no_place_in_the_heartbeats_but_a_ping_of_its_own(self, shared: Shared) -> None:
        worker = shared.node("worker", "node")
        name = worker.heard("ready")["name"]
        worker.heard("ping")
        assert shared.redis.exists("resque:workers:heartbeat") == 0
        ping = json.loads(str(shared.redis.get(f"resque:worker:ping:{name}")))
        assert ping == {"time": pytest.approx(time.time(), abs=30), "name": name, "queues": "node"}
        [info] = shared.app.workers()
        assert (info.heartbeat, info.registration) == (None, None)

    def test_its_start_is_unix_seconds(self, shared: Shared) -> None:
        name = shared.node("worker", "node").heard("ready")["name"]
        started = str(shared.redis.get(f"resque:worker:{name}:node:started"))
        assert started.isdigit()

    def test_a_worker_of_all_queues_is_named_by_those_there_are_and_changes_its_id(self, shared: Shared) -> None:
        shared.redis.sadd("resque:queues", "b", "a")
        worker = shared.node("worker", "*")
        name = worker.heard("ready")["name"]
        # Each time that it looks it takes its old id out before it puts the new one in, and tells nobody.
        wait_until(lambda: [info.id for info in shared.app.workers()] == [f"{name}:a,b"])
        shared.app.enqueue_to("c", "echo")
        worker.heard("success")
        wait_until(lambda: [info.id for info in shared.app.workers()] == [f"{name}:a,b,c"])

    def test_its_record_is_written_by_lua_without_order_and_without_a_fence(self, shared: Shared) -> None:
        worker = shared.node("worker", "node")
        name = worker.heard("ready")["name"]
        shared.app.enqueue_to("node", "waits", str(shared.journal.with_suffix(".release")), [], 2**53 + 1, 1.0)
        worker.heard("job")
        record = json.loads(str(shared.redis.get(f"resque:worker:{name}:node")))
        assert set(record) == {"queue", "run_at", "payload", "worker"}
        assert record["worker"] == name
        assert " GMT+0000 (" in record["run_at"]
        # What is shown of a job in hand has been through cjson; what the job gets has not.
        assert record["payload"]["args"][1:] == [{}, 9.007199254741e15, 1]
        shared.journal.with_suffix(".release").touch()
        worker.heard("success")

    def test_its_entry_has_its_own_order_and_date_and_names_no_queue_of_its_worker(self, shared: Shared) -> None:
        worker = shared.node("worker", "node")
        name = worker.heard("ready")["name"]
        shared.app.enqueue_to("node", "breaks", "bad")
        worker.heard("failure")
        [entry] = shared.redis.lrange("resque:failed", 0, -1)
        values = json.loads(entry)
        assert list(values) == ["worker", "queue", "payload", "exception", "error", "backtrace", "failed_at"]
        assert values["worker"] == name
        assert values["payload"] == {"class": "breaks", "args": ["bad"]}
        assert " GMT+0000 (" in values["failed_at"]
        [failed] = shared.app.failures.list()
        assert failed.failed_at == values["failed_at"]

    def test_what_failed_is_not_counted_as_processed_and_counts_go_by_name(self, shared: Shared) -> None:
        worker = shared.node("worker", "node")
        name = worker.heard("ready")["name"]
        shared.app.enqueue_to("node", "echo")
        shared.app.enqueue_to("node", "breaks", "bad")
        shared.settled(processed=1, failed=1)
        assert shared.redis.mget(f"resque:stat:processed:{name}", f"resque:stat:failed:{name}") == ["1", "1"]
        [info] = shared.app.workers()
        assert (info.processed, info.failed) == (0, 0)  # which taskq looks for under the id, as Ruby does

    def test_it_takes_jobs_though_all_is_paused(self, shared: Shared) -> None:
        shared.app.pause()
        worker = shared.node("worker", "node")
        shared.app.enqueue_to("node", "echo", "all the same")
        assert worker.heard("success")["result"] == ["all the same"]
