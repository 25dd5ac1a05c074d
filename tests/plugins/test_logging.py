"""The hook `logging` and the failure handler `log`: through Python's own logging, and configuring nothing of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from taskq import plugins
from taskq.failure_handler import Decision, Discard, Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.hook import Settled
from taskq.performing import perform
from taskq.records import Crash, ErrorRecord, Payload
from taskq.testing.contract import FailureHandlerContract, HookContract
from taskq.worker.loop import work
from taskq_failed import FailedList
from taskq_logging import LogFailures, LoggingHook
from tests.support.bench import Bench, held, payload, task_of, tools_of

ERROR = ErrorRecord("ValueError", "bad thing", (), "Traceback (most recent call last):\nValueError: bad thing\n")


@pytest.fixture(autouse=True)
def record_factory() -> Iterator[None]:
    """The hook wraps it for good, which is nothing for the next test."""
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)


def settled(outcome: str = "done", body: bytes = payload("send", "hunter2"), **facts: object) -> Settled:
    return Settled(held(body), outcome, **facts)  # type: ignore[arg-type]  # a test's own words


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == name]


class TestLoggingHook(HookContract):
    def make_hook(self) -> LoggingHook:
        return LoggingHook()


class TestLine:
    def lines(self, caplog: pytest.LogCaptureFixture, *told: Settled) -> list[str]:
        caplog.set_level(logging.INFO)
        hook = LoggingHook()
        for each in told:
            hook.settled(each)
        return [record.getMessage() for record in logged(caplog, "taskq.jobs")]

    def test_of_a_job_that_is_done(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.lines(caplog, settled(seconds=0.0123456)) == [
            "job=send queue=jobs outcome=done seconds=0.012346 worker=host:1:jobs"
        ]

    def test_of_a_job_that_failed_says_why(self, caplog: pytest.LogCaptureFixture) -> None:
        crash = Crash(pid=7, signal=9)
        lines = self.lines(caplog, settled("failed", cause=ERROR, seconds=1.0), settled("failed", cause=crash))
        assert lines[0].endswith('error="ValueError: bad thing"')
        assert lines[1].endswith('error="Child process received unhandled signal pid 7 SIGKILL (signal 9)"')

    @pytest.mark.parametrize(
        ("outcome", "level"),
        [
            ("done", logging.INFO),
            ("discarded", logging.INFO),
            ("failed", logging.ERROR),
            ("retried", logging.ERROR),
            ("refused", logging.ERROR),
        ],
    )
    def test_has_a_level(self, caplog: pytest.LogCaptureFixture, outcome: str, level: int) -> None:
        self.lines(caplog, settled(outcome))
        assert [record.levelno for record in logged(caplog, "taskq.jobs")] == [level]

    def test_never_shows_arguments(self, caplog: pytest.LogCaptureFixture) -> None:
        assert "hunter2" not in self.lines(caplog, settled("failed", cause=ERROR))[0]

    @pytest.mark.parametrize("name", ['a b="c"', "a\nb", "a\\nb", "", "ü\x1b[2J"])
    def test_is_one_line_whose_values_can_be_told_apart(self, caplog: pytest.LogCaptureFixture, name: str) -> None:
        [line] = self.lines(caplog, Settled(held(payload("send"), queue=name), "done"))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert line.startswith("job=send queue=")
        assert line.endswith(" outcome=done seconds=None worker=host:1:jobs")

    def test_of_what_is_no_payload_has_no_name(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.lines(caplog, settled("failed", b"[1]"))[0].startswith('job="[No Name]" ')

    def test_has_its_values_as_attributes_too(self, caplog: pytest.LogCaptureFixture) -> None:
        self.lines(caplog, settled("failed", cause=ERROR, seconds=0.5))
        [record] = logged(caplog, "taskq.jobs")
        assert vars(record)["taskq_job"] == "send"
        assert vars(record)["taskq_outcome"] == "failed"
        assert vars(record)["taskq_seconds"] == 0.5
        assert vars(record)["taskq_error"] == "ValueError: bad thing"


def speaks() -> None:
    logging.getLogger("shop").warning("in the middle")


async def speaks_async() -> None:
    await asyncio.sleep(0)
    logging.getLogger("shop").warning("in the middle")


class TestMarks:
    @pytest.mark.parametrize("job", [speaks, speaks_async])
    def test_every_record_that_a_job_writes_says_which_job_that_is(
        self, caplog: pytest.LogCaptureFixture, job: object
    ) -> None:
        tools = tools_of(job, hooks=[LoggingHook()])
        logging.getLogger("shop").warning("before")
        perform(task_of(tools, job.__name__), tools)  # type: ignore[attr-defined]  # a function
        logging.getLogger("shop").warning("after")
        marks = [
            (vars(record)["taskq_job"], vars(record)["taskq_queue"], vars(record)["taskq_worker"])
            for record in logged(caplog, "shop")
        ]
        assert marks == [("", "", ""), (job.__name__, "jobs", "host:1:jobs"), ("", "", "")]  # type: ignore[attr-defined]

    def test_are_made_once_however_many_hooks_there_are(self) -> None:
        LoggingHook()
        factory = logging.getLogRecordFactory()
        LoggingHook()
        assert logging.getLogRecordFactory() is factory

    def test_leave_what_another_record_factory_does(self, caplog: pytest.LogCaptureFixture) -> None:
        factory = logging.getLogRecordFactory()

        def stamped(*args: object, **kwargs: object) -> logging.LogRecord:
            record = factory(*args, **kwargs)
            record.stamp = "stamped"
            return record

        logging.setLogRecordFactory(stamped)
        LoggingHook()
        logging.getLogger("shop").warning("hello")
        assert vars(logged(caplog, "shop")[0])["stamp"] == "stamped"


class TestLogFailures(FailureHandlerContract):
    def make_handler(self) -> FailureHandler:
        return LogFailures()

    def told(self, caplog: pytest.LogCaptureFixture, cause: ErrorRecord | Crash, decision: Decision) -> str:
        failure = Failure(
            Payload("send", ("hunter2",)), payload("send", "hunter2"), "jobs", "host:1:jobs", cause, 1.0, 2.0
        )
        LogFailures().decided(failure, decision)
        return logged(caplog, "taskq.failures")[-1].getMessage()

    def test_has_the_traceback_and_no_arguments(self, caplog: pytest.LogCaptureFixture) -> None:
        text = self.told(caplog, ERROR, Fail())
        assert text.splitlines() == [
            "job send of queue jobs failed on host:1:jobs and is in the failed list: ValueError: bad thing",
            "Traceback (most recent call last):",
            "ValueError: bad thing",
        ]
        assert "hunter2" not in text

    @pytest.mark.parametrize(
        ("decision", "became"),
        [
            (Fail(), "is in the failed list"),
            (Retry(), "is retried"),
            (Discard("too old"), "is discarded (too old)"),
            (Quarantine("poison"), "is quarantined (poison)"),
        ],
    )
    def test_says_what_became_of_it(self, caplog: pytest.LogCaptureFixture, decision: Decision, became: str) -> None:
        text = self.told(caplog, Crash(status=3), decision)
        assert f"on host:1:jobs and {became}: Child process exited with status 3" in text

    def test_decides_nothing(self) -> None:
        assert LogFailures().decide(Failure(None, b"", "jobs", "w", Crash(), 1.0, 2.0)) is None

    def test_names_what_has_no_name(self, caplog: pytest.LogCaptureFixture) -> None:
        LogFailures().decided(Failure(None, b"[1]", "jobs", "w", ERROR, 1.0, 2.0), Fail())
        assert "job [No Name] of queue jobs" in caplog.text


def fails() -> None:
    logging.getLogger("shop").warning("in the middle")
    raise ValueError("bad thing")


def test_a_worker_with_both_writes_each_job_and_each_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    handlers: list[FailureHandler] = [LogFailures(), FailedList()]
    bench = Bench(speaks, fails, hooks=[LoggingHook()], handlers=handlers)
    bench.push("speaks")
    bench.push("fails")
    with bench:
        work(bench.worker)
    assert [record.getMessage().split(" ")[0] for record in logged(caplog, "taskq.jobs")] == ["job=speaks", "job=fails"]
    assert len(logged(caplog, "taskq.failures")) == 1
    assert [vars(record)["taskq_job"] for record in logged(caplog, "shop")] == ["speaks", "fails"]


@pytest.mark.parametrize(
    ("namespace", "name", "made"),
    [(plugins.HOOKS, "logging", LoggingHook), (plugins.FAILURE_HANDLERS, "log", LogFailures)],
)
def test_they_are_found_by_their_names(namespace: str, name: str, made: type) -> None:
    [plugin] = plugins.create_all(namespace, [name], source="a test")
    assert type(plugin) is made
    assert getattr(plugin, "name", None) == name
