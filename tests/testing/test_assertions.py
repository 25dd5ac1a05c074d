"""What waits and what was performed, and how it reads where it is not as expected."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from unittest.mock import ANY

import pytest

import taskq
from taskq.testing import MisspeltJob, Queue
from tests.testing.jobs import Charge, fetch, newsletter, send_email


def said(assertion: pytest.ExceptionInfo[AssertionError]) -> str:
    return str(assertion.value)


class TestEnqueued:
    def test_gives_what_waits_in_the_order_of_performing(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        taskq.enqueue(Charge, 7)
        send_email.options(front=True).enqueue("bob@x")
        assert [(job.name, job.queue) for job in queue.enqueued()] == [
            ("Charge", "billing"),
            ("send_email", "emails"),
            ("send_email", "emails"),
        ]
        assert [job.arguments["to"] for job in queue.enqueued(send_email)] == ["bob@x", "ada@x"]

    def test_arguments_are_by_parameter_defaults_included(self, queue: Queue) -> None:
        send_email.enqueue("ada@x", token="sesame")
        newsletter.enqueue("a", "b")
        taskq.enqueue(Charge, 7, coupon="x")
        [charge] = queue.enqueued(Charge)
        [letter] = queue.enqueued(newsletter)
        [mail] = queue.enqueued(send_email)
        assert charge.arguments == {"order": 7, "coupon": "x"}
        assert letter.arguments == {"to[0]": "a", "to[1]": "b"}
        assert mail.arguments == {"to": "ada@x", "subject": "Hi", "token": "sesame"}

    def test_says_that_no_job_is_called_so(self, queue: Queue) -> None:
        with pytest.raises(AssertionError) as failed:
            queue.assert_enqueued("send_emial")
        assert said(failed).endswith("\nNo job send_emial is registered here. Did you mean send_email?")

    def test_warns_of_a_name_that_is_nearly_that_of_a_job(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        for ask in (queue.assert_not_enqueued, queue.enqueued, queue.options(queue="emails").assert_not_performed):
            with pytest.warns(
                MisspeltJob, match=r"No job send_emial is registered.* Did you mean send_email\?"
            ) as warned:
                ask("send_emial")
            assert warned[0].filename == __file__
        taskq.enqueue_to("emails", "sendemail")
        with warnings.catch_warnings(action="error"):
            queue.assert_enqueued("sendemail")
            queue.assert_not_enqueued("Ruby::Mailer")
            queue.assert_not_performed("send_email")

    def test_shows_no_secret(self, queue: Queue) -> None:
        send_email.enqueue("ada@x", token="sesame")
        [mail] = queue.enqueued()
        assert mail.shown["token"] == "[secret]"
        assert "sesame" not in repr(mail)

    def test_a_job_of_another_program_has_places(self, queue: Queue) -> None:
        taskq.enqueue_to("ruby", "Ruby::Job", 1, "two")
        [job] = queue.enqueued("Ruby::Job", 1)
        assert job.arguments == {"args[0]": 1, "args[1]": "two"}

    def test_rubbish_is_a_job_without_a_name(self, queue: Queue) -> None:
        queue.app.broker.push("emails", [b"rubbish"])
        [job] = queue.enqueued()
        assert (job.name, job.arguments, job.body) == ("No Name", {}, b"rubbish")

    def test_is_empty_for_a_job_that_was_performed(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        queue.perform_all()
        assert queue.enqueued() == []
        assert [job.arguments["to"] for job in queue.performed(send_email)] == ["ada@x"]


class TestWhatIsExpected:
    @pytest.fixture(autouse=True)
    def _enqueued(self, queue: Queue) -> None:
        send_email.enqueue("ada@x", "Hello", token="sesame")

    def test_by_position_or_by_keyword_is_the_same(self, queue: Queue) -> None:
        assert queue.assert_enqueued(send_email, "ada@x", "Hello") == queue.enqueued()
        assert queue.assert_enqueued(send_email, subject="Hello", to="ada@x") == queue.enqueued()

    def test_what_is_not_said_may_be_anything(self, queue: Queue) -> None:
        queue.assert_enqueued(send_email)
        queue.assert_enqueued(send_email, subject="Hello")
        queue.assert_not_enqueued(send_email, subject="Hi")

    def test_matchers_have_the_say(self, queue: Queue) -> None:
        class Longer:
            def __init__(self, length: int) -> None:
                self.length = length

            def __eq__(self, other: object) -> bool:
                return isinstance(other, str) and len(other) > self.length

            __hash__ = None  # type: ignore[assignment]

        queue.assert_enqueued(send_email, ANY, Longer(4))
        queue.assert_not_enqueued(send_email, ANY, Longer(5))

    def test_a_default_is_what_the_job_gets(self, queue: Queue) -> None:
        fetch.enqueue("http://x")
        queue.assert_enqueued(fetch, "http://x", timeout=1.0)

    def test_a_job_by_its_old_name_is_the_same_job(self, queue: Queue) -> None:
        queue.app.broker.push("emails", [b'{"class":"old_send_email","args":["bob@x"]}'])
        queue.assert_enqueued(send_email, "bob@x")
        queue.assert_enqueued("send_email", "bob@x")

    def test_the_queue_and_the_count_are_said_ahead(self, queue: Queue) -> None:
        send_email.options(queue="vip").enqueue("ada@x")
        queue.options(queue="vip").assert_enqueued(send_email, "ada@x")
        queue.options(count=2).assert_enqueued(send_email, "ada@x")
        queue.options(queue="vip").assert_not_enqueued(send_email, subject="Hello")
        assert len(queue.options(queue="vip").enqueued()) == 1

    @pytest.mark.parametrize(
        ("args", "kwargs", "message"),
        [
            ((), {"sbject": "Hi"}, r'has no argument "sbject" \(did you mean "subject"\?\).*can never have been'),
            (("a", "b", "c"), {}, r"takes at most 2 arguments, and was given 3\. Signature: send_email\(to: str"),
            (("a",), {"to": "b"}, r'was given "to" twice'),
        ],
    )
    def test_what_no_call_can_say_is_refused(
        self, queue: Queue, args: tuple[str, ...], kwargs: dict[str, str], message: str
    ) -> None:
        for ask in (queue.assert_enqueued, queue.assert_not_enqueued, queue.enqueued, queue.performed):
            with pytest.raises(TypeError, match=message):
                ask(send_email, *args, **kwargs)

    def test_arguments_of_no_job_are_refused(self, queue: Queue) -> None:
        with pytest.raises(TypeError, match="say which job"):
            queue.enqueued(None, "ada@x")

    def test_what_is_no_job_is_refused(self, queue: Queue) -> None:
        with pytest.raises(taskq.NotAJob, match=r"len is not a job\..* It can never have been enqueued\.$"):
            queue.assert_enqueued(len)  # type: ignore[arg-type]


class TestAFailedAssertion:
    def test_shows_what_waits_nearest_first_with_what_differs_marked(self, queue: Queue) -> None:
        fetch.enqueue("http://x")
        send_email.enqueue("eve@x", "Good bye", token="sesame")
        send_email.enqueue("bob@x", "Hello", token="sesame")
        with pytest.raises(AssertionError) as failed:
            queue.assert_enqueued(send_email, "bob@x", subject="Hi")
        assert said(failed) == (
            "send_email(to='bob@x', subject='Hi') was not enqueued. What waits, nearest first:\n"
            "  send_email in queue emails\n"
            "      to = 'bob@x'\n"
            "  >   subject = 'Hello'   expected 'Hi'\n"
            "      token = [secret]\n"
            "  send_email in queue emails\n"
            "  >   to = 'eve@x'   expected 'bob@x'\n"
            "  >   subject = 'Good bye'   expected 'Hi'\n"
            "      token = [secret]\n"
            "  fetch(url='http://x', timeout=1.0) in queue default"
        )

    def test_says_that_nothing_waits(self, queue: Queue) -> None:
        with pytest.raises(AssertionError) as failed:
            queue.assert_enqueued(send_email, subject=ANY)
        assert said(failed) == "send_email(subject=<ANY>) was not enqueued. Nothing waits."

    def test_shows_no_secret(self, queue: Queue) -> None:
        send_email.enqueue("ada@x", token="sesame")
        with pytest.raises(AssertionError) as failed:
            queue.assert_enqueued(send_email, token="open")
        assert said(failed) == (
            "send_email(token=[secret]) was not enqueued. What waits, nearest first:\n"
            "  send_email in queue emails\n"
            "      to = 'ada@x'\n"
            "      subject = 'Hi'\n"
            "  >   token = [secret]   expected [secret]"
        )

    def test_marks_another_queue_and_an_argument_that_is_not_there(self, queue: Queue) -> None:
        taskq.enqueue(Charge, 7)
        with pytest.raises(AssertionError) as failed:
            queue.options(queue="vip").assert_enqueued(Charge, 7, coupon="x")
        assert said(failed) == (
            "Charge(order=7, coupon='x') in queue vip was not enqueued. What waits, nearest first:\n"
            "> Charge in queue billing   not in vip\n"
            "      order = 7\n"
            "  >   has no coupon   expected 'x'"
        )

    def test_says_how_many_there_are(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        with pytest.raises(AssertionError) as failed:
            queue.options(count=2).assert_enqueued(send_email)
        assert said(failed).startswith("send_email() was enqueued once, and not 2 times as expected. What waits")

    def test_says_that_it_was_performed_already(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        send_email.enqueue("bad")
        queue.perform_all(collect=True)
        with pytest.raises(AssertionError) as failed:
            queue.assert_enqueued(send_email)
        assert said(failed) == (
            "send_email() was not enqueued. Nothing waits.\nPerformed already:\n"
            "  send_email(to='ada@x', subject='Hi', token='') in queue emails\n"
            "  send_email(to='bad', subject='Hi', token='') in queue emails (failed: ValueError)"
        )

    def test_that_none_is_enqueued_shows_which_are(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        with pytest.raises(AssertionError) as failed:
            queue.assert_not_enqueued(send_email)
        assert said(failed) == (
            "No send_email() was to be enqueued. There waits:\n"
            "  send_email(to='ada@x', subject='Hi', token='') in queue emails"
        )
        with pytest.raises(AssertionError, match="No job was to be enqueued"):
            queue.assert_not_enqueued()

    def test_that_it_was_performed_shows_what_was_and_what_still_waits(self, queue: Queue) -> None:
        send_email.enqueue("ada@x")
        with pytest.raises(AssertionError) as failed:
            queue.assert_performed(send_email)
        assert said(failed) == (
            "send_email() was not performed. Nothing was performed.\nStill waiting:\n"
            "  send_email(to='ada@x', subject='Hi', token='') in queue emails"
        )

    def test_that_none_was_performed_shows_which_were(self, queue: Queue) -> None:
        queue.assert_not_performed()
        send_email.enqueue("ada@x")
        queue.perform_all()
        with pytest.raises(AssertionError, match=r"No send_email\(\) was to be performed. There was:\n  send_email\("):
            queue.assert_not_performed(send_email)

    def test_is_short_however_much_there_is(self, queue: Queue) -> None:
        for place in range(30):
            send_email.enqueue(f"{place}@x", "x" * 10_000)
        with pytest.raises(AssertionError) as failed:
            queue.assert_enqueued(fetch)
        assert said(failed).endswith("  ... and 20 more")
        assert len(said(failed)) < 5000


class TestWithin:
    @pytest.fixture
    def later(self) -> Iterator[threading.Event]:
        """Another thread of the application, which enqueues when it is told."""
        told = threading.Event()

        def enqueues() -> None:
            told.wait()
            fetch.enqueue("http://x")
            send_email.enqueue("ada@x")

        thread = threading.Thread(target=enqueues)
        thread.start()
        yield told
        told.set()
        thread.join()

    def test_waits_for_what_another_thread_enqueues(self, queue: Queue, later: threading.Event) -> None:
        queue.assert_not_enqueued()
        later.set()
        queue.options(within=30.0).assert_enqueued(send_email, "ada@x")

    def test_a_count_is_waited_for_too(self, queue: Queue, later: threading.Event) -> None:
        send_email.enqueue("ada@x")
        later.set()
        queue.options(within=30.0, count=2).assert_enqueued(send_email)

    def test_says_how_long_it_waited(self, queue: Queue) -> None:
        with pytest.raises(AssertionError, match=r"was not enqueued within 0\.01 s\. Nothing waits"):
            queue.options(within=0.01).assert_enqueued(send_email)

    def test_that_nothing_comes_ends_as_soon_as_something_does(self, queue: Queue, later: threading.Event) -> None:
        later.set()
        with pytest.raises(AssertionError, match="No send_email"):
            queue.options(within=30.0).assert_not_enqueued(send_email)
