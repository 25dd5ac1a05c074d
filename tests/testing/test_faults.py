"""Faults on purpose, on every backend that can be had."""

from __future__ import annotations

from typing import Literal

import pytest

import taskq
from taskq.failure_handler import Decision, Failure, FailureHandler, Retry
from taskq.records import Crash
from taskq.testing import Queue, swapped
from tests.testing.jobs import REGISTRY, Charge, send_email

on_every_backend = pytest.mark.taskq_backends("memory", "sqlite", "fakeredis", "redis")


class TestCrash:
    @on_every_backend
    def test_of_the_worker_is_recovered_by_another(self, queue: Queue, sent: list[str]) -> None:
        send_email.enqueue("ada@x")
        crashed = queue.crash(send_email)
        assert sent == ["ada@x"]
        assert crashed.outcome == "failed"
        assert isinstance(crashed.cause, Crash)
        assert crashed.cause.worker_lost
        [failed] = taskq.failures.list()
        assert "DirtyExit" in failed.exception
        assert taskq.workers() == []
        assert taskq.failures.requeue(failed)
        queue.perform_all()
        assert sent == ["ada@x", "ada@x"]

    @on_every_backend
    def test_of_a_child_is_seen_by_its_worker(self, queue: Queue, sent: list[str]) -> None:
        send_email.enqueue("ada@x")
        send_email.enqueue("bob@x")
        crashed = queue.crash(send_email, lost="child", at="start")
        assert sent == []
        assert isinstance(crashed.cause, Crash)
        assert crashed.cause.signal == 9
        assert taskq.failures.count() == 1
        queue.assert_enqueued(send_email, "bob@x")
        assert taskq.workers() == []

    def test_takes_the_job_it_is_told_and_leaves_the_rest(self, queue: Queue) -> None:
        taskq.enqueue_to("emails", Charge, 1)
        send_email.enqueue("ada@x")
        queue.crash(send_email)
        queue.assert_enqueued(Charge, 1)
        assert [job.name for job in queue.performed()] == ["send_email"]

    def test_what_the_job_raised_before_is_heard_by_nobody(self, queue: Queue) -> None:
        send_email.enqueue("bad")
        crashed = queue.crash(send_email)
        assert isinstance(crashed.cause, Crash)
        [failed] = taskq.failures.list()
        assert "no address" not in str(failed.error)

    @pytest.mark.parametrize("lost", ["worker", "child"])
    def test_is_retried_where_a_handler_says_so(self, lost: Literal["worker", "child"], sent: list[str]) -> None:
        class RetriesCrashes(FailureHandler):
            def decide(self, failure: Failure) -> Decision | None:
                return Retry() if isinstance(failure.cause, Crash) else None

        app = taskq.TaskQ(broker="memory://", failure_handlers=[RetriesCrashes(), "broker"], registry=REGISTRY)
        with app, taskq.using(app), swapped() as queue:
            send_email.enqueue("ada@x")
            assert queue.crash(send_email, lost=lost).outcome == "retried"
            queue.perform_all()
            assert [job.outcome for job in queue.performed()] == ["retried", "done"]
            assert taskq.failures.count() == 0
        assert sent == ["ada@x", "ada@x"]

    def test_of_a_job_that_is_paused_says_so(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        taskq.pause("emails")
        with pytest.raises(AssertionError, match="its queue emails is paused"):
            queue.crash(send_email)
        queue.assert_enqueued(send_email)

    def test_beside_a_worker_is_refused(self, queue: Queue) -> None:
        taskq.pause("emails")
        send_email.enqueue("ada@x")
        with queue.worker(), pytest.raises(RuntimeError, match=r"crash\(\) while worker\(\) performs"):
            queue.crash(send_email)

    def test_of_a_job_that_does_not_wait_shows_what_does(self, queue: Queue) -> None:
        taskq.enqueue(Charge, 1)
        with pytest.raises(AssertionError, match=r"send_email\(\) was not enqueued(.|\n)*Charge\(order=1\)"):
            queue.crash(send_email)


class TestDuplicate:
    @on_every_backend
    def test_delivers_twice(self, queue: Queue, sent: list[str]) -> None:
        send_email.enqueue("ada@x")
        send_email.enqueue("bob@x")
        assert queue.duplicate(send_email).arguments["to"] == "ada@x"
        queue.perform_all()
        assert sent == ["ada@x", "ada@x", "bob@x"]

    def test_of_a_job_that_does_not_wait_is_an_error(self, queue: Queue) -> None:
        with pytest.raises(AssertionError, match="Nothing waits"):
            queue.duplicate(send_email)


class TestOutage:
    @on_every_backend
    def test_the_broker_is_away_for_a_while(self, queue: Queue) -> None:
        with queue.outage():
            with pytest.raises(taskq.BrokerUnavailable, match="the test's outage") as away:
                send_email.enqueue("ada@x")
            with pytest.raises(taskq.BrokerUnavailable):
                taskq.size("emails")
        assert away.value.sent == "no"
        queue.assert_not_enqueued()
        send_email.enqueue("ada@x")
        queue.assert_enqueued(send_email)

    def test_only_the_answer_may_be_lost(self, queue: Queue) -> None:
        with queue.outage(answers=True), pytest.raises(taskq.BrokerUnavailable) as away:
            send_email.enqueue("ada@x")
        assert away.value.sent == "unknown"
        queue.assert_enqueued(send_email)

    def test_ends_with_its_block_whatever_happens_there(self, queue: Queue) -> None:
        with pytest.raises(ZeroDivisionError), queue.outage():
            raise ZeroDivisionError
        assert taskq.size("emails") == 0

    @pytest.mark.taskq(mode="inline")
    def test_is_refused_where_no_broker_is_asked(self, queue: Queue) -> None:
        with pytest.raises(RuntimeError, match="no broker is asked that could be away"), queue.outage():
            pass
