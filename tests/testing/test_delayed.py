"""Delayed jobs in the kit: looked at with their time, and performed by a clock that moves."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from freezegun import freeze_time

import taskq
from taskq.application import application_in_force
from taskq.errors import WrongTime
from taskq.testing import Queue
from tests.testing import jobs
from tests.testing.jobs import Charge, newsletter, send_email

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@taskq.job(registry=jobs.REGISTRY)
def remind(to: str, again: int = 0) -> None:
    app = application_in_force()
    assert app is not None
    jobs.SENT.append(f"{to} {(app.broker.now() - NOON.timestamp()) / 3600:.1f}")
    if again:
        remind.enqueue_in(HOUR, to, again - 1)


@pytest.fixture
def noon(queue: Queue) -> Queue:
    """The queues, when it is noon."""
    queue.clock.move_to(NOON)
    return queue


class TestDelayed:
    def test_lists_what_waits_for_its_time_in_order(self, noon: Queue) -> None:
        send_email.enqueue_in(2 * HOUR, "b@x", token="t")
        send_email.enqueue_at(NOON + HOUR, "a@x")
        first, second = noon.delayed(send_email)
        assert (first.name, first.queue, first.at) == ("send_email", "emails", NOON + HOUR)
        assert second.arguments == {"to": "b@x", "subject": "Hi", "token": "t"}
        assert second.shown["token"] == "[secret]"
        assert noon.delayed(send_email, "a@x") == [first]
        assert noon.enqueued() == []
        noon.assert_not_enqueued(send_email)

    def test_assert_delayed_gives_those_that_are(self, noon: Queue) -> None:
        send_email.enqueue_at(NOON + HOUR, "a@x")
        [mail] = noon.assert_delayed(send_email, "a@x")
        assert noon.options(at=NOON + HOUR).assert_delayed(send_email) == [mail]
        assert noon.options(delay=HOUR, tolerance=60).assert_delayed(send_email) == [mail]
        assert noon.options(delay=3600, tolerance=60, queue="emails", count=1).assert_delayed(send_email) == [mail]
        noon.assert_not_delayed(send_email, "b@x")
        noon.options(delay=2 * HOUR).assert_not_delayed(send_email)

    def test_the_tolerance_is_a_second_or_what_is_said(self, noon: Queue) -> None:
        send_email.enqueue_at(NOON + HOUR, "a@x")
        noon.options(at=NOON + HOUR + timedelta(seconds=0.9)).assert_delayed(send_email)
        noon.options(at=NOON + HOUR - timedelta(seconds=50), tolerance=60).assert_delayed(send_email)
        with pytest.raises(AssertionError):
            noon.options(at=NOON + HOUR + timedelta(seconds=1.1)).assert_delayed(send_email)

    def test_a_wrong_time_is_shown_with_how_far_it_is(self, noon: Queue) -> None:
        send_email.enqueue_at(NOON + timedelta(minutes=65), "a@x")
        send_email.enqueue_at(NOON + timedelta(days=2), "a@x")
        newsletter.enqueue_at(NOON + HOUR)
        with pytest.raises(AssertionError) as raised:
            noon.options(at=NOON + HOUR).assert_delayed(send_email, "a@x")
        assert str(raised.value).splitlines() == [
            "send_email(to='a@x') for 2031-05-04 13:00:00 UTC (± 1 s) was not delayed. What is delayed, nearest first:",
            "  send_email in queue emails",
            "  >   due 2031-05-04 13:05:00 UTC   expected 2031-05-04 13:00:00 UTC (± 1 s), 0:05:00 too late",
            "      to = 'a@x'",
            "      subject = 'Hi'",
            "      token = ''",
            "  send_email in queue emails",
            "  >   due 2031-05-06 12:00:00 UTC   expected 2031-05-04 13:00:00 UTC (± 1 s), 1 day, 23:00:00 too late",
            "      to = 'a@x'",
            "      subject = 'Hi'",
            "      token = ''",
            "  newsletter() in queue default, due 2031-05-04 13:00:00 UTC",
        ]

    def test_a_wrong_argument_is_marked(self, noon: Queue) -> None:
        send_email.enqueue_at(NOON + HOUR, "a@x")
        with pytest.raises(AssertionError) as raised:
            noon.options(at=NOON + HOUR).assert_delayed(send_email, "b@x")
        assert "  >   to = 'a@x'   expected 'b@x'" in str(raised.value)
        assert "      due 2031-05-04 13:00:00 UTC\n" in str(raised.value)

    def test_what_waits_elsewhere_is_shown(self, noon: Queue) -> None:
        send_email.enqueue("a@x")
        with pytest.raises(AssertionError, match=r"not delayed\. Nothing is delayed\.\nIn its queue:\n  send_email"):
            noon.options(delay=HOUR).assert_delayed(send_email, "a@x")
        newsletter.enqueue_at(NOON + HOUR)
        with pytest.raises(AssertionError, match=r"Delayed:\n  newsletter.*due 2031-05-04 13:00:00"):
            noon.assert_enqueued(newsletter)

    def test_assert_not_delayed_shows_what_is(self, noon: Queue) -> None:
        noon.assert_not_delayed()
        send_email.enqueue_in(HOUR, "a@x")
        with pytest.raises(AssertionError, match=r"No job was to be delayed\. There is:\n  send_email\(to='a@x'"):
            noon.assert_not_delayed()

    def test_a_question_with_two_times_or_none_is_refused(self, queue: Queue) -> None:
        with pytest.raises(TypeError, match="one of them"):
            queue.options(at=NOON, delay=5)
        with pytest.raises(WrongTime, match="no time zone"):
            queue.options(at=datetime(2031, 5, 4))  # noqa: DTZ001

    def test_what_a_thread_delays_is_waited_for(self, noon: Queue) -> None:
        threading.Timer(0.05, lambda: send_email.enqueue_in(HOUR, "a@x")).start()
        noon.options(within=20, delay=HOUR, tolerance=60).assert_delayed(send_email)

    def test_the_leftover_is_what_waits_in_queues(self, queue: Queue) -> None:
        queue.leftover = "error"
        send_email.enqueue_in(HOUR, "a@x")


class TestPerformDue:
    def test_performs_what_becomes_due_with_the_clock_at_its_time(self, noon: Queue, sent: list[str]) -> None:
        remind.enqueue_in(2 * HOUR, "b")
        remind.enqueue("now")
        remind.enqueue_in(HOUR, "a")
        remind.enqueue_in(4 * HOUR, "late")
        done = noon.perform_due(at=NOON + 3 * HOUR)
        assert [job.arguments["to"] for job in done] == ["now", "a", "b"]
        assert sent == ["now 0.0", "a 1.0", "b 2.0"]
        assert NOON + 3 * HOUR <= noon.clock.now() < NOON + 3.1 * HOUR
        noon.options(count=1).assert_delayed(remind)

    def test_performs_what_these_delay_in_turn(self, noon: Queue, sent: list[str]) -> None:
        remind.enqueue_in(HOUR, "a", again=5)
        assert len(noon.perform_due(at=NOON + timedelta(hours=3.5))) == 3
        noon.options(at=NOON + 4 * HOUR, tolerance=60).assert_delayed(remind, again=2)

    def test_without_a_time_it_is_the_clocks(self, noon: Queue, sent: list[str]) -> None:
        send_email.enqueue_in(HOUR, "a@x")
        assert noon.perform_due() == []
        noon.clock.move(3601)
        assert len(noon.perform_due()) == 1

    def test_follows_freezegun(self, queue: Queue, sent: list[str]) -> None:
        with freeze_time("2031-05-04 12:00") as frozen:
            send_email.enqueue_in(HOUR, "a@x")
            queue.options(at=NOON + HOUR, tolerance=0).assert_delayed(send_email)
            assert queue.perform_due() == []
            frozen.move_to("2031-05-04 13:00")
            assert len(queue.perform_due()) == 1

    def test_follows_time_machine(self, queue: Queue, sent: list[str]) -> None:
        with time_machine.travel(NOON, tick=False) as traveller:
            send_email.enqueue_in(HOUR, "a@x")
            assert queue.perform_due() == []
            traveller.shift(HOUR)
            assert len(queue.perform_due()) == 1

    def test_only_some(self, noon: Queue, sent: list[str]) -> None:
        send_email.enqueue_at(NOON + HOUR, "a@x")
        newsletter.enqueue_at(NOON + HOUR, "b@x")
        taskq.enqueue_at(NOON + HOUR, Charge, 7)
        assert [job.name for job in noon.perform_due(at=NOON + HOUR, only=newsletter)] == ["newsletter"]
        noon.assert_enqueued(send_email, "b@x")
        noon.assert_delayed(send_email, "a@x")
        assert [job.name for job in noon.perform_due(queue="bill*")] == ["Charge"]
        noon.assert_delayed(send_email, "a@x")

    def test_the_first_failure_rises_or_all_are_collected(self, noon: Queue, sent: list[str]) -> None:
        send_email.enqueue_at(NOON + HOUR, "nobody")
        send_email.enqueue_at(NOON + 2 * HOUR, "a@x")
        with pytest.raises(ValueError, match="nobody is no address"):
            noon.perform_due(at=NOON + 2 * HOUR)
        assert noon.clock.now() < NOON + 2 * HOUR
        assert [job.outcome for job in noon.perform_due(at=NOON + 2 * HOUR, collect=True)] == ["done"]

    def test_a_job_that_delays_itself_for_ever_ends_at_the_limit(self, noon: Queue, sent: list[str]) -> None:
        remind.enqueue_in(HOUR, "a", again=1000)
        with pytest.raises(AssertionError, match=r"perform_due\(\) has performed 7 jobs, and more"):
            noon.perform_due(at=NOON + timedelta(days=365), limit=7)

    def test_a_worker_beside_the_test_gets_what_is_due(self, noon: Queue, sent: list[str]) -> None:
        send_email.enqueue_at(NOON + HOUR, "a@x")
        with noon.worker():
            with pytest.raises(RuntimeError, match="perform_due"):
                noon.perform_due(at=NOON + HOUR)
            assert noon.enqueue_due(at=NOON + HOUR) == 1
            noon.options(within=20).assert_performed(send_email)

    def test_inline_performs_at_once(self, sent: list[str]) -> None:
        with taskq.testing.swapped(mode="inline") as queue:
            send_email.enqueue_in(HOUR, "a@x")
            assert sent == ["a@x"]
            queue.assert_not_delayed()

    @pytest.mark.taskq_backends("memory", "sqlite", "fakeredis", "redis")
    def test_on_every_backend(self, noon: Queue, sent: list[str]) -> None:
        for number in range(3):
            send_email.enqueue_at(NOON + HOUR, f"{number}@x")
        remind.enqueue_in(2 * HOUR, "a", again=1)
        noon.options(delay=HOUR, tolerance=60, count=3).assert_delayed(send_email)
        assert len(noon.perform_due(at=NOON + 4 * HOUR)) == 5
        assert sent[:3] == ["0@x", "1@x", "2@x"]
        noon.assert_not_delayed()
