"""Performing what waits: here and now, within `enqueue`, and by a worker beside the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from functools import partial

import pytest
import time_machine
from freezegun import freeze_time

import taskq
from taskq.errors import UnknownJob
from taskq.hook import PerformContext, Settled
from taskq.testing import Queue, swapped
from tests.testing import jobs
from tests.testing.jobs import Charge, fetch, for_ever, newsletter, send_email, waits_at_the_gate


class Heard:
    """A hook that notes all it is told."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        self.all.append(f"wrap {context.payload.job}")
        return call_next(context)

    def settled(self, settled: Settled) -> None:
        self.all.append(f"settled {settled.outcome}")

    def queue_empty(self, worker: str) -> None:
        self.all.append("queue_empty")


class TestPerformAll:
    def test_performs_what_waits_and_what_that_enqueues(self, queue: Queue, sent: list[str]) -> None:
        newsletter.enqueue("a@x", "b@x")
        performed = queue.perform_all()
        assert [(job.name, job.outcome) for job in performed] == [
            ("newsletter", "done"),
            ("send_email", "done"),
            ("send_email", "done"),
        ]
        assert performed == queue.performed()
        assert sent == ["a@x", "b@x"]
        queue.assert_not_enqueued()
        assert taskq.info()["processed"] == 3
        assert taskq.workers() == []

    def test_does_nothing_where_nothing_waits(self, queue: Queue) -> None:
        assert queue.perform_all() == []

    def test_async_jobs_are_performed(self, queue: Queue, sent: list[str]) -> None:
        fetch.enqueue("http://x")
        queue.perform_all()
        assert sent == ["http://x"]

    def test_hooks_and_handlers_hear_what_a_worker_tells(self) -> None:
        heard = Heard()
        with (
            taskq.TaskQ(broker="memory://", hooks=[heard], registry=jobs.REGISTRY) as app,
            taskq.using(app),
            swapped() as queue,
        ):
            send_email.enqueue("ada@x")
            send_email.enqueue("bad")
            queue.perform_all(collect=True)
        assert heard.all == ["wrap send_email", "settled done", "wrap send_email", "settled failed", "queue_empty"]

    def test_raises_what_the_first_job_raised_and_leaves_the_rest(self, queue: Queue, sent: list[str]) -> None:
        for to in ("ada@x", "bad", "worse"):
            send_email.enqueue(to)
        with pytest.raises(ValueError, match="bad is no address") as raised:
            queue.perform_all()
        assert raised.value.__notes__ == [
            "Raised by send_email of queue emails, which perform_all() of the test performed."
        ]
        assert sent == ["ada@x"]
        queue.assert_enqueued(send_email, "worse")
        [failed] = taskq.failures.list()
        assert (failed.exception, failed.error) == ("ValueError", "bad is no address")

    def test_collects_failures_where_it_is_asked_to(self, queue: Queue) -> None:
        for to in ("bad", "ada@x"):
            send_email.enqueue(to)
        first, second = queue.perform_all(collect=True)
        assert (first.outcome, second.outcome) == ("failed", "done")
        assert isinstance(first.error, ValueError)
        assert second.error is None

    def test_a_job_that_is_not_registered_fails(self, queue: Queue) -> None:
        taskq.enqueue_to("ruby", "Ruby::Job", 1)
        with pytest.raises(UnknownJob, match="Ruby::Job"):
            queue.perform_all()

    @pytest.mark.parametrize("order", [KeyboardInterrupt, pytest.skip.Exception])
    def test_an_order_to_end_is_not_collected(self, order: type[BaseException]) -> None:
        registry = taskq.Registry()

        @taskq.job(registry=registry)
        def told_to_end() -> None:
            raise order

        with taskq.TaskQ(broker="memory://", registry=registry) as app, taskq.using(app), swapped() as queue:
            told_to_end.enqueue()
            told_to_end.enqueue()
            with pytest.raises(order):
                queue.perform_all(collect=True)
            queue.options(count=1).assert_enqueued(told_to_end)

    @pytest.mark.parametrize("only", [send_email, "send_email", [send_email], [send_email, "nosuch"]])
    def test_performs_only_what_it_is_told(self, queue: Queue, sent: list[str], only: str) -> None:
        taskq.enqueue(Charge, 1)
        send_email.enqueue("ada@x")
        fetch.enqueue("http://x")
        assert len(queue.perform_all(only=only)) == 1
        assert sent == ["ada@x"]
        assert [job.name for job in queue.enqueued()] == ["Charge", "fetch"]

    def test_what_it_leaves_keeps_its_place(self, queue: Queue) -> None:
        for place in range(3):
            taskq.enqueue_to("one", Charge, place)
            taskq.enqueue_to("one", Charge, 9)
            taskq.enqueue_to("one", newsletter, f"{place}@x")
        queue.perform_all(only=newsletter)
        assert [job.arguments["order"] for job in queue.enqueued(Charge)] == [0, 9, 1, 9, 2, 9]

    def test_performs_only_of_the_queues_that_it_is_told(self, queue: Queue, sent: list[str]) -> None:
        newsletter.enqueue("ada@x")
        taskq.enqueue(Charge, 1)
        queue.perform_all(queue="default")
        assert sent == []
        queue.perform_all(queue=["e*", "billing"])
        assert sent == ["ada@x", "order 1"]

    def test_a_job_that_enqueues_itself_for_ever_is_found_out(self, queue: Queue) -> None:
        for_ever.enqueue()
        with pytest.raises(AssertionError, match=r"and more wait\. Does a job enqueue itself\?(.|\n)*for_ever\(\)"):
            queue.perform_all(limit=10)
        assert 10 <= len(queue.performed()) <= 11

    def test_as_many_as_the_limit_are_no_more_than_that(self, queue: Queue) -> None:
        for _ in range(3):
            send_email.enqueue("ada@x")
        assert len(queue.perform_all(limit=3)) == 3

    def test_beside_a_worker_is_refused(self, queue: Queue) -> None:
        with queue.worker(), pytest.raises(RuntimeError, match=r"perform_all\(\) while worker\(\) performs"):
            queue.perform_all()

    def test_the_stamps_are_by_the_clock_of_the_test(self, queue: Queue) -> None:
        queue.clock.move_to(datetime(2031, 5, 17, 9, tzinfo=UTC))
        send_email.enqueue("bad")
        queue.perform_all(collect=True)
        queue.clock.move(86400)
        assert queue.clock.now().date() == date(2031, 5, 18)
        [failed] = taskq.failures.list()
        assert str(failed.failed_at).startswith("2031/05/17 ")

    @pytest.mark.parametrize(
        "stopped", [freeze_time, partial(time_machine.travel, tick=False)], ids=["freezegun", "time-machine"]
    )
    def test_the_stamps_are_by_a_clock_that_was_stopped(
        self, queue: Queue, stopped: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        send_email.enqueue("bad")
        with stopped("2031-05-17 09:00:00Z"):
            queue.perform_all(collect=True)
        [failed] = taskq.failures.list()
        assert str(failed.failed_at).startswith("2031/05/17 ")

    def test_a_time_without_a_zone_is_refused(self, queue: Queue) -> None:
        with pytest.raises(ValueError, match="has no time zone"):
            queue.clock.move_to(datetime(2031, 5, 17))  # noqa: DTZ001


class TestWorker:
    def test_performs_beside_the_test(self, queue: Queue, sent: list[str]) -> None:
        with queue.worker():
            newsletter.enqueue("a@x", "b@x")
            queue.options(within=30.0, count=2).assert_performed(send_email)
            queue.wait_until_done(within=30.0)
        assert sent == ["a@x", "b@x"]
        assert taskq.workers() == []

    def test_its_jobs_see_what_the_test_put_in_force_in_its_own_context(self, sent: list[str]) -> None:
        async def within_an_event_loop() -> None:
            with swapped() as queue, queue.worker():
                newsletter.enqueue("a@x")
                queue.options(within=30.0).assert_performed(send_email)

        asyncio.run(within_an_event_loop())
        assert sent == ["a@x"]

    def test_what_a_job_raised_rises_at_the_end(self, queue: Queue) -> None:
        with pytest.raises(ValueError, match="bad is no address"), queue.worker():
            send_email.enqueue("bad")
            send_email.enqueue("ada@x")
            queue.options(within=30.0, count=2).assert_performed(send_email)
        assert taskq.failures.count() == 1

    def test_failures_are_collected_where_it_is_asked_to(self, queue: Queue) -> None:
        with queue.worker(collect=True):
            send_email.enqueue("bad")
            queue.wait_until_done(within=30.0)
        [job] = queue.performed()
        assert job.outcome == "failed"

    def test_serves_the_queues_that_it_is_told(self, queue: Queue) -> None:
        taskq.enqueue(Charge, 1)
        with queue.worker(queue="emails"):
            send_email.enqueue("ada@x")
            queue.options(within=30.0).assert_performed(send_email)
        queue.assert_enqueued(Charge)

    def test_what_takes_too_long_is_told(self, queue: Queue) -> None:
        with queue.worker():
            waits_at_the_gate.enqueue()
            waits_at_the_gate.enqueue()
            with pytest.raises(AssertionError, match=r"Not all was done within 0\.2 s\..*\n  waits_at_the_gate\(\)"):
                queue.wait_until_done(within=0.2)
            jobs.GATE.set()
            queue.wait_until_done(within=30.0)

    def test_two_at_once_are_refused(self, queue: Queue) -> None:
        with queue.worker(), pytest.raises(RuntimeError, match=r"worker\(\) while worker\(\) performs"), queue.worker():
            pass

    def test_waits_out_an_outage(self, queue: Queue, sent: list[str]) -> None:
        with queue.worker():
            with queue.outage():
                threading.Event().wait(0.05)
            send_email.enqueue("ada@x")
            queue.options(within=30.0).assert_performed(send_email)
        assert sent == ["ada@x"]


class TestModes:
    def test_inline_performs_within_enqueue(self, sent: list[str]) -> None:
        with swapped(mode="inline") as queue:
            newsletter.enqueue("a@x")
            assert sent == ["a@x"]
            assert [job.name for job in queue.performed()] == ["send_email", "newsletter"]
            queue.assert_not_enqueued()
            with pytest.raises(ValueError, match="bad is no address"):
                send_email.enqueue("bad")
            assert [job.outcome for job in queue.performed(send_email)] == ["done", "failed"]
            assert queue.perform_all() == []

    def test_inline_refuses_what_cannot_travel(self) -> None:
        with swapped(mode="inline"), pytest.raises(taskq.UnserializableArgument):
            taskq.enqueue("send_email", ("a", "tuple"))

    def test_worker_performs_beside_the_test(self, sent: list[str]) -> None:
        with swapped(mode="worker") as queue:
            newsletter.enqueue("a@x")
            queue.wait_until_done(within=30.0)
        assert sent == ["a@x"]

    def test_a_worker_in_inline_mode_is_refused(self) -> None:
        with swapped(mode="inline") as queue, pytest.raises(RuntimeError, match="The mode is inline"), queue.worker():
            pass

    def test_modes_do_not_nest(self, queue: Queue) -> None:
        refused = pytest.raises(
            RuntimeError, match=r"swapped in by the fixture queue, .*; .*@pytest\.mark\.taskq\(mode"
        )
        with refused, swapped(mode="inline"):
            pass
        send_email.enqueue("ada@x")
        queue.assert_enqueued(send_email)

    def test_the_place_of_the_first_is_told(self) -> None:
        with swapped(), pytest.raises(RuntimeError, match=rf"swapped in at {__file__}:\d+;"), swapped():
            pass

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"mode": "inlined"}, "mode must be one of queued, inline, worker, not 'inlined'. Did you mean inline?"),
            ({"leftover": "fail"}, "leftover must be one of ignore, report, error, not 'fail'"),
            ({"backend": "redsi"}, 'There is no backend "redsi" to test on. Did you mean redis? Known: fakeredis, '),
        ],
    )
    def test_what_it_does_not_know_is_refused(self, said: dict[str, str], message: str) -> None:
        with pytest.raises(ValueError) as refused, swapped(**said):  # type: ignore[arg-type]
            pass
        assert str(refused.value).startswith(message)
