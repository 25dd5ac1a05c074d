"""The kit in `unittest`, without pytest."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

import taskq
from taskq.testing import LeftoverJobs, QueueMixin, QueueTestCase, swapped
from tests.testing.jobs import send_email


def ran(case: type[unittest.TestCase]) -> unittest.TestResult:
    return unittest.defaultTestLoader.loadTestsFromTestCase(case).run(unittest.TestResult())


class TestACase:
    def test_has_a_backend_of_its_own_in_each_test(self) -> None:
        class Case(QueueTestCase):
            def test_one(self) -> None:
                self.queue.assert_not_enqueued()
                send_email.enqueue("ada@x")
                self.queue.assert_enqueued(send_email, "ada@x")

            def test_two(self) -> None:
                self.test_one()

        result = ran(Case)
        assert (result.testsRun, result.errors, result.failures) == (2, [], [])
        assert taskq.sizes() == {}

    def test_a_failure_is_a_failure(self) -> None:
        class Case(QueueTestCase):
            def test_one(self) -> None:
                self.queue.assert_enqueued(send_email)

        result = ran(Case)
        assert (len(result.failures), result.errors) == (1, [])
        assert "Nothing waits" in result.failures[0][1]

    def test_says_its_mode_and_backend(self, sent: list[str]) -> None:
        class Case(QueueTestCase):
            taskq_mode = "inline"
            taskq_backend = "fakeredis"

            def test_one(self) -> None:
                assert taskq.current_app().broker.name == "redis"
                send_email.enqueue("ada@x")

        assert ran(Case).wasSuccessful()
        assert sent == ["ada@x"]

    def test_the_mixin_goes_before_another_case(self) -> None:
        class Other(unittest.TestCase):
            def setUp(self) -> None:
                send_email.enqueue("ada@x")

        class Case(QueueMixin, Other):
            def test_one(self) -> None:
                self.queue.assert_enqueued(send_email)

        assert ran(Case).wasSuccessful()

    def test_an_asynchronous_case_has_it_too(self) -> None:
        class Case(QueueMixin, unittest.IsolatedAsyncioTestCase):
            async def test_one(self) -> None:
                send_email.enqueue("ada@x")
                self.queue.perform_all()
                self.queue.assert_performed(send_email)

        result = ran(Case)
        assert (result.errors, result.failures) == ([], [])

    def test_a_second_one_within_it_is_refused(self) -> None:
        class Case(QueueTestCase):
            def test_one(self) -> None:
                with pytest.raises(RuntimeError, match="swapped in by QueueMixin;"), swapped():
                    pass

        assert ran(Case).wasSuccessful()

    def test_what_is_left_is_an_error_where_it_is_asked_for(self) -> None:
        class Case(QueueTestCase):
            taskq_leftover = "error"

            def test_one(self) -> None:
                send_email.enqueue("ada@x")

        result = ran(Case)
        [(_, text)] = result.errors + result.failures
        assert "Case.test_one is over, and 1 job waits still:" in text

    def test_is_skipped_where_its_backend_cannot_be_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        from taskq.testing import stores

        stores.close()

        class Case(QueueTestCase):
            taskq_backend = "fakeredis"

            def test_one(self) -> None: ...

        [(_, why)] = ran(Case).skipped
        assert why == 'fakeredis and lupa not installed: pip install "taskq[testing]".'


class TestSwapped:
    def test_is_all_that_a_plain_program_needs(self, tmp_path: Path) -> None:
        code = """
import taskq
from taskq.testing import swapped

@taskq.job
def send(to: str) -> None: ...

with swapped() as queue:
    send.enqueue("ada@x")
    queue.assert_enqueued(send, "ada@x")
    queue.perform_all()
import sys
assert "pytest" not in sys.modules
"""
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)

    def test_leaves_the_former_application_in_force(self, application: taskq.TaskQ) -> None:
        with swapped() as queue:
            assert taskq.current_app() is queue.app
        assert taskq.current_app() is application

    def test_a_broker_or_an_address_is_taken_as_it_is(self, application: taskq.TaskQ) -> None:
        with swapped(backend=application.broker):
            send_email.enqueue("ada@x")
        assert application.size("emails") == 1
        application.remove_queue("emails")
        with swapped(backend="memory://") as queue:
            queue.assert_not_enqueued()

    def test_everything_else_is_as_configured(self) -> None:
        configured = taskq.TaskQ(broker="memory://", serializer="msgpack", max_payload=500)
        with configured as app, taskq.using(app), swapped() as queue:
            assert queue.app.serializer.name == "msgpack"
            assert queue.app.config.max_payload == 500
            assert queue.app.registry is app.registry

    def test_what_is_left_is_reported(self) -> None:
        leaving = contextlib.ExitStack()
        leaving.enter_context(swapped(leftover="report"))
        send_email.enqueue("ada@x")
        send_email.enqueue("bob@x")
        with pytest.warns(LeftoverJobs, match="2 jobs wait still:\n  send_email"):
            leaving.close()

    def test_what_is_left_hides_no_failure(self) -> None:
        with pytest.raises(ZeroDivisionError), swapped(leftover="error"):
            send_email.enqueue("ada@x")
            raise ZeroDivisionError
