"""node-resque, a client that no one here wrote, enqueues; taskq performs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from taskq.broker import Requeued
from tests.interop.conftest import Shared
from tests.support.node import NodeError

pytestmark = pytest.mark.node

Client = Callable[..., Any]

VALUES: list[Any] = [
    'Ünïcödé ☃ 🦄 \u2028 "\\/ \t\n\x00\x7f',
    {"köy": [1, [2, [3, {"deep": None}]]], "empty": {}, "list": []},
    [True, False, None],
    0.1,
    -2.5e-7,
    1e21,
    2**53 - 1,
    -42,
    "",
]


def test_taskq_performs_what_node_enqueued(shared: Shared, client: Client) -> None:
    client("enqueue", "python", "echo", VALUES)
    client("enqueue", "python", "echo", [])
    shared.taskq_worker()
    assert shared.performed(2) == [VALUES, []]
    shared.settled(processed=2)


def test_a_worker_already_waiting_is_woken(shared: Shared, client: Client) -> None:
    shared.taskq_worker("--interval", "600")
    client("enqueue", "python", "echo", ["now"])
    assert shared.performed(1) == [["now"]]


def test_jobs_wait_in_order_for_a_worker_that_starts_late(shared: Shared, client: Client) -> None:
    for number in range(20):
        client("enqueue", "python", "echo", [number])
    assert shared.app.size("python") == 20
    assert [job.payload.args for job in shared.app.peek("python", 0, 2) if job.payload] == [(0,), (1,)]
    shared.taskq_worker("--inline")
    assert shared.performed(20) == [[number] for number in range(20)]


def test_a_delayed_job_is_performed_once_its_scheduler_says_that_it_is_due(shared: Shared, client: Client) -> None:
    shared.taskq_worker()
    client("enqueueIn", 1, "python", "echo", ["later"])
    assert shared.app.size("python") == 0
    shared.node("scheduler", "600000").heard("transferred")
    assert shared.performed(1) == [["later"]]


def test_a_failure_is_read_and_retried_by_node(shared: Shared, client: Client) -> None:
    shared.taskq_worker()
    client("enqueue", "python", "breaks", ["bad ☃"])
    shared.settled(processed=1, failed=1)
    [entry] = client("failed", 0, -1)
    assert entry["payload"] == {"class": "breaks", "queue": "python", "args": ["bad ☃"]}
    assert (entry["queue"], entry["exception"], entry["error"]) == ("python", "RuntimeError", "bad ☃")
    assert "jobs.py" in entry["backtrace"][0]
    shared.journal.with_suffix(".mended").touch()
    client("retryAndRemoveFailed", entry)
    assert shared.performed(1) == [["bad ☃"]]
    assert shared.app.failures.count() == 0


def test_a_failure_is_requeued_by_taskq_with_all_that_node_wrote(shared: Shared, client: Client) -> None:
    client("enqueue", "python", "breaks", ["bad"])
    body = shared.app.broker.peek("python", 0, 1)[0]
    shared.taskq_worker()
    shared.settled(processed=1, failed=1)
    [failed] = shared.app.failures.list()
    assert failed.body == body
    shared.journal.with_suffix(".mended").touch()
    assert shared.app.failures.requeue(failed) is Requeued.DONE
    assert shared.performed(1) == [["bad"]]


def test_a_job_that_nobody_registered_fails_where_node_sees_it(shared: Shared, client: Client) -> None:
    client("enqueue", "python", "Nobody", [1])
    shared.taskq_worker()
    shared.settled(processed=1, failed=1)
    [entry] = client("failed", 0, -1)
    assert entry["payload"]["class"] == "Nobody"
    assert entry["exception"] == "taskq.errors.UnknownJob"


def test_node_lists_what_a_taskq_worker_is_doing(shared: Shared, client: Client) -> None:
    worker_id = shared.taskq_worker().started()
    name = worker_id.removesuffix(":python")
    release = shared.journal.with_suffix(".release")
    client("enqueue", "python", "waits", [str(release)])
    shared.performed(1)
    assert client("workers") == {name: "python"}
    record = json.loads(client("workingOn", name, "python"))
    assert record["queue"] == "python"
    assert record["payload"] == {"class": "waits", "queue": "python", "args": [str(release)]}
    release.touch()
    shared.settled(processed=1)
    assert client("workingOn", name, "python") is None
    assert client("stats") == {"processed": "1", f"processed:{worker_id}": "1"}


class TestWritesInItsOwnWay:
    """What lies in Redis otherwise than Ruby or taskq would write it."""

    def test_the_queue_is_in_the_payload_too(self, shared: Shared, client: Client) -> None:
        client("enqueue", "python", "echo", ["☃", 1.0, 1e20, 1e21, 1e-7, {"a": []}])
        [body] = shared.app.broker.peek("python", 0, 9)
        # Whole floats become integers, and exponents lack Ruby's point: 1.0 and 1.0e+21 are taskq's.
        args = '["☃",1,100000000000000000000,1e+21,1e-7,{"a":[]}]'
        assert body.decode() == f'{{"class":"echo","queue":"python","args":{args}}}'

    def test_integers_beyond_53_bits_are_rounded_before_they_are_sent(self, shared: Shared, client: Client) -> None:
        client("enqueue", "python", "echo", [2**53 + 1, 12345678901234567890])
        shared.taskq_worker()
        assert shared.performed(1) == [[2**53, 12345678901234567000]]

    def test_so_one_payload_is_found_only_by_who_wrote_it_but_all_of_a_job_by_both(
        self, shared: Shared, client: Client
    ) -> None:
        client("enqueue", "python", "echo", [1])
        shared.app.enqueue_to("python", "echo", 1)
        assert shared.app.options(queue="python").dequeue("echo", 1) == 1
        assert shared.app.size("python") == 1
        shared.app.enqueue_to("python", "echo", 1)
        assert client("del", "python", "echo", [1]) == 1
        client("enqueue", "python", "echo", [1])
        assert client("delByFunction", "python", "echo") == 2

    def test_an_entry_with_a_whole_float_is_not_found_for_its_retry(self, shared: Shared, client: Client) -> None:
        shared.taskq_worker()
        shared.app.enqueue_to("python", "breaks", 1.0)
        shared.settled(processed=1, failed=1)
        [entry] = client("failed", 0, -1)
        with pytest.raises(NodeError, match="not in failed queue"):
            client("retryAndRemoveFailed", entry)
        assert shared.app.failures.count() == 1

    def test_the_key_it_tests_its_connection_with_stays(self, shared: Shared, client: Client) -> None:
        assert shared.redis.get("resque:connection_test_key") == "ok"
