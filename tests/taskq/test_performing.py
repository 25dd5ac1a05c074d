"""Performing one job: each step alone, Resque's order of a class's own methods, and that nothing ends the worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

import pytest

import taskq
from taskq.errors import DirtyExit, DontPerform, InvalidPayload, TermException, UnknownJob
from taskq.failure_handler import Decision, Discard, Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.hook import Hook, PerformContext
from taskq.on_crash import Requeue
from taskq.outcome import Crashed, Done, Failed, Postponed
from taskq.performing import crashed, decide, describe, perform, perform_inline, prepare
from taskq.records import Crash, Ended, ErrorRecord, Payload
from taskq.registry import Registry
from taskq.worker.threads import Asked
from taskq_failed import FailedList
from taskq_json import JSONSerializer
from taskq_msgpack import MsgpackSerializer
from tests.support.bench import held, payload, task_of, tools_of
from tests.support.vectors import vector

performed: list[object] = []


@pytest.fixture(autouse=True)
def nothing_performed_yet() -> None:
    performed.clear()


def note(value: object = None, *, loud: bool = False) -> object:
    performed.append(value)
    return value


def fails(text: str = "no") -> None:
    raise ValueError(text)


def outcome_of(job: Any, *args: object, **tools: Any) -> Done | Failed:
    made = tools_of(job, **tools)
    outcome = perform(task_of(made, job.__name__, *args), made)
    assert not isinstance(outcome, Postponed)
    return outcome


def error_of(job: Any, *args: object, **tools: Any) -> ErrorRecord:
    outcome = outcome_of(job, *args, **tools)
    assert isinstance(outcome, Failed)
    return outcome.error


class TestPrepare:
    def test_gives_the_payload_and_the_definition_of_its_job(self) -> None:
        tools = tools_of(note)
        task = task_of(tools, "note", 1)
        assert (task.payload, task.definition) == (Payload("note", (1,)), tools.registry.find("note"))
        assert task.problem is None
        assert task.shown == (1,)

    @pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b'{"class":1}', b'{"args":[]}', b"{" * 200])
    def test_names_what_is_no_payload(self, body: bytes) -> None:
        task = prepare(held(body), tools_of())
        assert isinstance(task.problem, InvalidPayload)
        assert task.payload is None
        assert task.name == "No Name"

    def test_names_a_job_that_is_not_registered_and_the_nearest_that_is(self) -> None:
        task = task_of(tools_of(note), "noet", 1)
        assert isinstance(task.problem, UnknownJob)
        assert "Did you mean note?" in str(task.problem)
        assert task.shown == (1,)

    def test_hides_secret_arguments(self) -> None:
        task = task_of(tools_of(note, secret=["value"]), "note", "hunter2")
        assert task.shown == ("[secret]",)
        assert task.payload is not None
        assert task.payload.args == ("hunter2",)

    def test_decodes_with_the_serializer_whose_tag_the_arguments_bear(self) -> None:
        tools = tools_of(note, serializers={"json": JSONSerializer(), "msgpack": MsgpackSerializer()})
        text = MsgpackSerializer().dumps("note", ("value",), (b"\xff",))
        task = prepare(held(b'{"class":"note","args":' + text.encode() + b"}"), tools)
        assert task.payload == Payload("note", (b"\xff",))

    def test_names_a_serializer_that_is_not_accepted_and_what_to_say(self) -> None:
        text = MsgpackSerializer().dumps("note", ("value",), (1,))
        task = prepare(held(b'{"class":"note","args":' + text.encode() + b"}"), tools_of(note))
        assert 'serializer "msgpack"' in str(task.problem)
        assert "accept=['json', 'msgpack']" in str(task.problem)
        assert task.shown == ("[not decoded]",)

    def test_survives_a_serializer_that_breaks(self) -> None:
        class Broken(JSONSerializer):
            def loads(self, args: list[object]) -> tuple[object, ...] | None:
                raise LookupError("no such codec")

        tools = tools_of(note, serializers={"odd": Broken()})
        task = task_of(tools, "note", "taskq:odd:AAAA")
        assert isinstance(task.problem, InvalidPayload)
        assert "no such codec" in str(task.problem)


class TestPerform:
    def test_calls_the_job_and_says_how_long_it_took(self) -> None:
        outcome = outcome_of(note, 7)
        assert isinstance(outcome, Done)
        assert outcome.seconds > 0
        assert performed == [7]

    def test_passes_keywords_that_travelled(self) -> None:
        assert isinstance(outcome_of(note, 7, {"taskq:kw": {"loud": True}}), Done)
        assert performed == [7]

    def test_arguments_that_do_not_fit_fail_the_job(self) -> None:
        error = error_of(note, 1, 2, 3)
        assert error.type == "TypeError"
        assert "note(value: object = None, *, loud: bool = False)" in error.message
        assert performed == []

    @pytest.mark.parametrize(
        "args",
        [
            ["hunter2.*"],
            [["x", {"key": "hunter2.*"}]],
            [{"taskq:kw": {"token": "hunter2.*", "other": "plain"}}],
            [20_000_000],
        ],
    )
    def test_a_secret_argument_is_taken_out_of_what_the_exception_says(self, args: list[object]) -> None:
        def job(token: object = None, other: object = None) -> None:
            try:
                raise KeyError(f"no {token}")
            except KeyError as error:
                raise ValueError(f"{token!r} of {other} is 1") from error

        error = error_of(job, *args, secret=["token"])
        text = "\n".join((error.message, *error.backtrace, error.traceback))
        assert "hunter2" not in text
        assert "20000000" not in text
        assert text.count("[secret]") >= 4
        assert error.message.endswith(" is 1")
        assert error.backtrace[0].startswith(__file__)

    def test_a_short_secret_leaves_what_the_exception_says_readable(self) -> None:
        def job(pin: str) -> None:
            raise ValueError("pin is no integer")

        assert error_of(job, "i", secret=["pin"]).message == "pin is no integer"

    @pytest.mark.parametrize("body", [b"[1]", payload("nobody")])
    def test_what_cannot_be_performed_fails_without_a_backtrace(self, body: bytes) -> None:
        tools = tools_of(note)
        outcome = perform(prepare(held(body), tools), tools)
        assert isinstance(outcome, Failed)
        assert outcome.error.type in {"taskq.errors.InvalidPayload", "taskq.errors.UnknownJob"}
        assert (outcome.error.backtrace, outcome.error.traceback) == ((), "")

    @pytest.mark.parametrize(
        ("raised", "kind", "message"),
        [
            (ValueError("bad"), "ValueError", "bad"),
            (ValueError(), "ValueError", "ValueError"),
            (SystemExit(), "SystemExit", "exit"),
            (SystemExit(0), "SystemExit", "exit"),
            (SystemExit(3), "SystemExit", "exit 3"),
            (SystemExit("out"), "SystemExit", "out"),
            (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
            (GeneratorExit(), "GeneratorExit", "GeneratorExit"),
            (TermException("SIGTERM"), "Resque::TermException", "SIGTERM"),
            (asyncio.CancelledError(), "asyncio.exceptions.CancelledError", "asyncio.exceptions.CancelledError"),
        ],
    )
    def test_nothing_that_a_job_raises_comes_out(self, raised: BaseException, kind: str, message: str) -> None:
        def job() -> None:
            raise raised

        error = error_of(job)
        assert (error.type, error.message) == (kind, message)

    def test_an_async_job_runs_on_an_event_loop_of_its_own(self) -> None:
        async def job(value: int) -> int:
            await asyncio.sleep(0)
            performed.append(value)
            return value

        assert isinstance(outcome_of(job, 3), Done)
        assert performed == [3]

    def test_an_async_job_within_a_plain_decorator_is_performed(self) -> None:
        def timed(job: Callable[[], object]) -> Callable[[], object]:
            return lambda: job()

        class Job:
            @staticmethod
            @timed
            async def perform() -> None:
                await asyncio.sleep(0)
                performed.append("performed")

        class Hooked(Job):
            @staticmethod
            def after_perform() -> None:
                performed.append("after")

        assert isinstance(outcome_of(Job), Done)
        assert isinstance(outcome_of(Hooked), Done)
        assert performed == ["performed", "performed", "after"]

    def test_an_async_job_that_raises_fails(self) -> None:
        async def job() -> None:
            await asyncio.sleep(0)
            raise ValueError("later")

        error = error_of(job)
        assert (error.type, error.message) == ("ValueError", "later")
        assert [frame.rpartition("in ")[2] for frame in error.backtrace] == [f"'{job.__qualname__}'"]

    def test_hooks_wrap_it_the_first_one_outermost(self) -> None:
        class Around(Hook):
            def __init__(self, name: str) -> None:
                self.name = name

            def wrap_perform(self, context: PerformContext, call_next: Any) -> object:
                performed.append(f"{self.name} in")
                try:
                    return call_next(context)
                finally:
                    performed.append(f"{self.name} out")

        outcome_of(note, "perform", hooks=[Around("a"), Around("b")])
        assert performed == ["a in", "b in", "perform", "b out", "a out"]

    def test_a_hook_sees_the_secret_arguments_hidden_and_may_change_the_payload(self) -> None:
        class Change(Hook):
            def wrap_perform(self, context: PerformContext, call_next: Any) -> object:
                performed.append(context.shown_args)
                changed = Payload(context.payload.job, ("other",))
                return call_next(PerformContext(changed, context.reservation, context.options, context.shown_args))

        outcome_of(note, "hunter2", hooks=[Change()], secret=["value"])
        assert performed == [("[secret]",), "other"]

    def test_a_hook_that_raises_fails_the_job(self) -> None:
        class Refuse(Hook):
            def wrap_perform(self, context: PerformContext, call_next: Any) -> object:
                raise PermissionError("not today")

        assert error_of(note, 1, hooks=[Refuse()]).message == "not today"
        assert performed == []

    def test_hooks_with_a_twin_wrap_an_async_job_within_its_loop_and_others_around_it(self) -> None:
        def place() -> str:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return "outside"
            return "within"

        class Plain(Hook):
            def wrap_perform(self, context: PerformContext, call_next: Any) -> object:
                performed.append(f"plain {place()}")
                return call_next(context)

        class Twin(Plain):
            async def awrap_perform(self, context: PerformContext, call_next: Any) -> object:
                performed.append(f"twin {place()}")
                return await call_next(context)

        async def job() -> None:
            performed.append(place())

        outcome_of(job, hooks=[Twin(), Plain()])
        assert performed == ["plain outside", "twin within", "within"]


class Order:
    """The job of recording 08, in Python."""

    queue = "jobs"

    @staticmethod
    def before_perform_b(*args: object) -> None:
        performed.append(f"before_b {list(args)}".replace("'", '"'))

    @staticmethod
    def before_perform_a(*args: object) -> None:
        performed.append("before_a")

    @staticmethod
    def around_perform_b(*args: object) -> Generator[None]:
        performed.append("around_b in")
        yield
        performed.append("around_b out value")

    @staticmethod
    def around_perform_a(*args: object) -> Generator[None]:
        performed.append("around_a in")
        yield
        performed.append("around_a out")

    @staticmethod
    def perform(arg: object) -> str:
        performed.append("perform")
        if arg == "fail":
            raise RuntimeError("x")
        return "value"

    @staticmethod
    def after_perform_a(*args: object) -> None:
        performed.append("after_a")

    @staticmethod
    def on_failure_b(error: BaseException, *args: object) -> None:
        performed.append(f"on_failure_b {type(error).__name__} {list(args)}".replace("'", '"'))

    @staticmethod
    def on_failure_a(error: BaseException, *args: object) -> None:
        performed.append("on_failure_a")


class Stopped:
    queue = "jobs"

    @staticmethod
    def before_perform() -> None:
        performed.append("before")
        raise DontPerform

    perform = after_perform = staticmethod(lambda: performed.append("performed all the same"))
    on_failure = staticmethod(lambda error: performed.append("failed"))


class NoYield:
    queue = "jobs"

    @staticmethod
    def around_perform() -> None:
        performed.append("no yield")

    @staticmethod
    def perform() -> None:
        performed.append("performed all the same")

    @staticmethod
    def after_perform() -> None:
        performed.append("after ran although perform did not")


class TestOwnMethods:
    def test_run_in_the_order_that_ruby_was_recorded_to_run_them_in(self) -> None:
        recorded = vector("08")["output"].splitlines()
        tools = tools_of(Order, Stopped, NoYield)
        runs: list[tuple[str, list[object]]] = [
            ("Stopped", []),
            ("Order", [1]),
            ("Stopped", []),
            ("Order", ["fail"]),
            ("NoYield", []),
        ]
        outcomes = [perform(task_of(tools, job, *args), tools) for job, args in runs]
        assert performed == recorded
        assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Done", "Done", "Failed", "Done"]

    def test_an_around_that_catches_lets_the_job_be_done(self) -> None:
        class Job:
            @staticmethod
            def around_perform() -> Generator[None]:
                try:
                    yield
                except ValueError:
                    performed.append("caught")

            @staticmethod
            def perform() -> None:
                raise ValueError

            @staticmethod
            def after_perform() -> None:
                performed.append("after")

        assert isinstance(outcome_of(Job), Done)
        assert performed == ["caught", "after"]

    def test_an_around_that_catches_lets_an_async_job_be_done(self) -> None:
        class Job:
            @staticmethod
            def around_perform() -> Generator[None]:
                try:
                    yield
                except ValueError:
                    performed.append("caught")

            @staticmethod
            async def perform() -> None:
                raise ValueError

        assert isinstance(outcome_of(Job), Done)
        assert performed == ["caught"]

    def test_an_around_that_yields_twice_performs_once_and_fails(self) -> None:
        class Job:
            @staticmethod
            def around_perform() -> Generator[None]:
                yield
                yield

            @staticmethod
            def perform() -> None:
                performed.append("performed")

        assert "yielded twice" in error_of(Job).message
        assert performed == ["performed"]

    def test_an_around_that_raises_something_else_changes_the_error(self) -> None:
        class Job:
            @staticmethod
            def around_perform() -> Generator[None]:
                try:
                    yield
                except ValueError as error:
                    raise KeyError("other") from error

            @staticmethod
            def perform() -> None:
                raise ValueError("first")

        error = error_of(Job)
        assert error.type == "KeyError"
        assert "caused by ValueError: first" in error.backtrace

    def test_a_stop_iteration_passes_through_an_around(self) -> None:
        class Job:
            @staticmethod
            def around_perform() -> Generator[None]:
                yield

            @staticmethod
            def perform() -> None:
                next(iter(()))

        assert error_of(Job).type == "StopIteration"

    def test_a_failing_before_fails_the_job_and_performs_nothing(self) -> None:
        class Job:
            @staticmethod
            def before_perform() -> None:
                raise ValueError("before")

            @staticmethod
            def perform() -> None:
                performed.append("performed")

        assert error_of(Job).message == "before"
        assert performed == []

    def test_dont_perform_of_an_around_or_of_the_job_is_a_failure(self) -> None:
        """As in Ruby, only `before_perform` may say it."""

        class Job:
            @staticmethod
            def perform() -> None:
                raise DontPerform

        assert error_of(Job).type == "taskq.errors.DontPerform"

    @pytest.mark.parametrize("broken", [ValueError("hook broke"), SystemExit(1)])
    def test_a_failing_on_failure_is_logged_and_hides_nothing(
        self, broken: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Job:
            @staticmethod
            def on_failure_a(error: BaseException) -> None:
                raise broken

            @staticmethod
            def on_failure_b(error: BaseException) -> None:
                performed.append(str(error))

            @staticmethod
            def perform() -> None:
                raise RuntimeError("original")

        assert error_of(Job).message == "original"
        assert performed == ["original"]
        assert "on_failure of job Job failed." in caplog.text
        assert type(broken).__name__ in caplog.text

    def test_on_failure_is_not_called_with_what_could_not_be_decoded(self) -> None:
        class Job:
            @staticmethod
            def on_failure(error: BaseException, value: object) -> None:
                performed.append(value)

            @staticmethod
            def perform(value: object) -> None:
                performed.append("performed")

        assert "not accept" in error_of(Job, "taskq:msgpack:kQE=").message
        assert performed == []

    def test_on_failure_is_not_called_with_arguments_that_do_not_fit(self) -> None:
        assert error_of(Order, 1, 2, 3).type == "TypeError"
        assert performed == []


class TestPerformInline:
    def test_gives_back_what_the_job_returns(self) -> None:
        assert perform_inline(tools_of(note), payload("note", 5), "jobs") == 5

    def test_raises_what_the_job_raises_and_tells_its_on_failure(self) -> None:
        with pytest.raises(RuntimeError, match="x"):
            perform_inline(tools_of(Order), payload("Order", "fail"), "jobs")
        assert performed[-2:] == ["on_failure_a", 'on_failure_b RuntimeError ["fail"]']

    def test_an_async_job_may_be_performed_within_an_event_loop_and_in_its_context(self) -> None:
        async def job(value: int) -> str:
            await asyncio.sleep(0)
            if value < 0:
                raise RuntimeError("negative")
            return f"{value} {who.get()}"

        async def request(value: int) -> object:
            who.set("caller")
            return perform_inline(tools_of(job), payload("job", value), "jobs")

        who: ContextVar[str] = ContextVar("who", default="nobody")
        assert asyncio.run(request(5)) == "5 caller"
        with pytest.raises(RuntimeError, match="negative"):
            asyncio.run(request(-1))

    def test_raises_what_keeps_it_from_being_performed(self) -> None:
        with pytest.raises(UnknownJob):
            perform_inline(tools_of(), payload("note"), "jobs")
        with pytest.raises(InvalidPayload):
            perform_inline(tools_of(), b"[]", "jobs")


class TestCrashed:
    def test_tells_on_failure_how_the_process_died_and_lets_the_handlers_decide(self) -> None:
        class Job:
            @staticmethod
            def on_failure(error: BaseException, value: int) -> None:
                performed.extend([error, value])

            @staticmethod
            def perform(value: int) -> None:
                performed.append("performed")

        tools = tools_of(Job)
        crash = Crash(pid=12871, signal=signal.SIGKILL)
        outcome = crashed(task_of(tools, "Job", 4), crash, tools, 1.5)
        assert outcome == Crashed(crash, Fail(), 1.5)
        error, value = performed
        assert isinstance(error, DirtyExit)
        assert str(error) == "Child process received unhandled signal pid 12871 SIGKILL (signal 9)"
        assert value == 4

    def test_of_what_is_no_payload_is_decided_as_well(self) -> None:
        tools = tools_of()
        outcome = crashed(prepare(held(b"[]"), tools), Crash(worker_lost=True), tools, 0.0)
        assert outcome.decision == Fail()

    def test_of_one_that_is_requeued_says_so_and_counts(self) -> None:
        tools = tools_of(note, on_crash="requeue")
        task = task_of(tools, "note", 1)
        crash = Crash(pid=1, signal=9)
        requeued = Retry(front=True, body=b'{"class":"note","args":[1],"taskq:crashes":1}')
        assert crashed(task, crash, tools, 0.0).decision == requeued

    def test_of_one_that_killed_too_many_is_quarantined(self) -> None:
        tools = tools_of(note, on_crash=Requeue(times=1))
        task = prepare(held(b'{"class":"note","args":[1],"taskq:crashes":1}'), tools)
        assert crashed(task, Crash(pid=1, signal=9), tools, 0.0).decision == Quarantine("it killed its process 2 times")

    def test_of_one_that_does_not_say_is_as_the_worker_says(self) -> None:
        tools = tools_of(note)
        tools.on_crash = 3
        assert isinstance(crashed(task_of(tools, "note", 1), Crash(signal=9), tools, 0.0).decision, Retry)
        tools = tools_of(note, on_crash="fail")
        tools.on_crash = 3
        assert crashed(task_of(tools, "note", 1), Crash(signal=9), tools, 0.0).decision == Fail()

    @pytest.mark.parametrize("ended", ["kill", "timeout"])
    def test_by_an_operator_or_its_own_limit_is_a_failure_and_no_crash_to_repeat(self, ended: Ended) -> None:
        tools = tools_of(note, on_crash="requeue")
        assert crashed(task_of(tools, "note", 1), Crash(signal=9, ended=ended), tools, 0.0).decision == Fail()

    def test_by_a_stopping_worker_goes_back_as_it_came(self) -> None:
        tools = tools_of(note, on_crash="requeue")
        crash = Crash(signal=9, ended="shutdown")
        assert crashed(task_of(tools, "note", 1), crash, tools, 0.0).decision == Retry(front=True)

    @pytest.mark.parametrize("answer", [Fail(), Discard("old"), Retry()])
    def test_what_a_handler_decides_wins_over_on_crash_which_it_can_see(self, answer: Decision) -> None:
        handler = Handler(answer)
        tools = tools_of(note, handlers=[handler, FailedList()], on_crash="requeue")
        task = prepare(held(b'{"class":"note","args":[1],"taskq:crashes":1}'), tools)
        assert crashed(task, Crash(signal=9), tools, 0.0).decision == answer
        (failure,) = handler.asked
        assert failure.on_crash == Retry(front=True, body=b'{"class":"note","args":[1],"taskq:crashes":2}')
        assert failure.attempts == 2

    def test_where_all_handlers_pass_it_is_as_on_crash_says(self) -> None:
        tools = tools_of(note, handlers=[Handler(None)], on_crash="requeue")
        assert isinstance(crashed(task_of(tools, "note", 1), Crash(signal=9), tools, 0.0).decision, Retry)

    def test_who_does_not_know_the_job_leaves_it_at_what_its_worker_said(self) -> None:
        handler = Handler(Discard("not mine"))
        tools = tools_of(handlers=[handler])
        task = task_of(tools, "note", 1)
        crash = Crash(worker_lost=True)
        assert isinstance(crashed(task, crash, tools, 0.0, requeues={"note": 2}).decision, Retry)
        assert crashed(task, crash, tools, 0.0, requeues={"other": 2}).decision == Fail()
        assert handler.asked == []

    def test_what_its_worker_said_wins_over_what_the_finder_would_do(self) -> None:
        tools = tools_of(note, on_crash="requeue")
        task = task_of(tools, "note", 1)
        assert crashed(task, Crash(worker_lost=True), tools, 0.0, requeues={}).decision == Fail()


class TestToldToEnd:
    """A job that is interrupted because its worker ends."""

    def test_goes_back_as_it_came_where_it_is_requeued_on_a_crash(self) -> None:
        def interrupted() -> None:
            raise TermException("SIGTERM")

        outcome = outcome_of(interrupted, on_crash="requeue")
        assert isinstance(outcome, Failed)
        assert outcome.decision == Retry(front=True)
        assert error_of(interrupted).type == "Resque::TermException"

    def test_fails_where_somebody_asked_for_the_end_of_this_one_alone(self) -> None:
        def interrupted() -> None:
            raise Asked

        outcome = outcome_of(interrupted, on_crash="requeue")
        assert isinstance(outcome, Failed)
        assert outcome.decision == Fail()

    def test_fails_where_it_is_not(self) -> None:
        def interrupted() -> None:
            raise TermException("SIGTERM")

        outcome = outcome_of(interrupted)
        assert isinstance(outcome, Failed)
        assert outcome.decision == Fail()

    @pytest.mark.parametrize("how", ["in place of it", "from it", "in a group"])
    def test_is_told_by_what_it_raises_while_it_cleans_up_too(self, how: str) -> None:
        def interrupted() -> None:
            try:
                raise TermException("SIGTERM")
            except TermException as told:
                if how == "in a group":
                    raise BaseExceptionGroup("tasks", [ValueError(1), told]) from None
                if how == "from it":
                    raise ConnectionError("the database is gone") from told
                raise ConnectionError("the database is gone") from None

        outcome = outcome_of(interrupted, on_crash="requeue")
        assert isinstance(outcome, Failed)
        assert outcome.decision == Retry(front=True)

    def test_an_ordinary_exception_is_none_of_that(self) -> None:
        outcome = outcome_of(fails, on_crash="requeue")
        assert isinstance(outcome, Failed)
        assert outcome.decision == Fail()


class TestRequeues:
    def test_are_the_jobs_that_are_requeued_by_every_name_and_how_often(self) -> None:
        registry = Registry()
        taskq.job(registry=registry, name="Charge", aliases=["Bill"], on_crash=Requeue(times=5))(note)
        taskq.job(registry=registry, on_crash="fail")(fails)
        taskq.job(registry=registry)(lambda_job)
        tools = tools_of()
        tools.registry = registry
        assert tools.requeues() == {"Charge": 5, "Bill": 5}
        tools.on_crash = 3
        assert tools.requeues() == {"Charge": 5, "Bill": 5, "lambda_job": 3}


def lambda_job() -> None: ...


class Handler(FailureHandler):
    def __init__(self, answer: Any, name: str = "handler") -> None:
        self.name = name
        self.answer = answer
        self.asked: list[Failure] = []
        self.told: list[Decision] = []

    def decide(self, failure: Failure) -> Decision | None:
        self.asked.append(failure)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]  # a stranger's may answer anything

    def decided(self, failure: Failure, decision: Decision) -> None:
        self.told.append(decision)
        if isinstance(self.answer, BaseException):
            raise self.answer


FAILURE = Failure(Payload("Job", ()), b"{}", "jobs", "host:1:jobs", Crash(), 1.0, 2.0)


class TestDecide:
    def test_the_first_that_does_not_pass_decides_and_all_are_told(self) -> None:
        handlers = [Handler(None), Handler(Discard("old")), Handler(Retry())]
        assert decide(FAILURE, handlers) == Discard("old")
        assert [len(handler.asked) for handler in handlers] == [1, 1, 0]
        assert [handler.told for handler in handlers] == [[Discard("old")]] * 3

    def test_the_failed_list_has_what_nobody_decides(self) -> None:
        assert decide(FAILURE, []) == Fail()
        assert decide(FAILURE, [Handler(None)]) == Fail()

    @pytest.mark.parametrize("broken", [ValueError("broke"), SystemExit(2)])
    def test_one_that_raises_is_logged_and_stops_nobody(
        self, broken: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        quarantine = Quarantine("poison")
        last = Handler(quarantine, "second")
        assert decide(FAILURE, [Handler(broken, "first"), last]) == quarantine
        assert last.told == [quarantine]
        assert "Failure handler first failed to decide" in caplog.text
        assert "Failure handler first failed when told" in caplog.text

    @pytest.mark.parametrize("answer", [True, "retry", Retry])
    def test_an_answer_that_is_no_decision_is_logged_and_passed_over(
        self, answer: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert decide(FAILURE, [Handler(answer, "odd"), Handler(Retry())]) == Retry()
        assert f"Failure handler odd decided {answer!r}. It must return Retry, Discard, Fail, Quarantine" in caplog.text

    def test_is_told_what_is_known_of_the_failure(self) -> None:
        handler = Handler(None)
        outcome_of(fails, "why", handlers=[handler])
        [failure] = handler.asked
        assert isinstance(failure.cause, ErrorRecord)
        assert (failure.cause.type, failure.cause.message) == ("ValueError", "why")
        assert (failure.payload, failure.queue, failure.worker) == (Payload("fails", ("why",)), "jobs", "host:1:jobs")
        assert (failure.run_at, failure.failed_at) == (1_800_000_000.0, 1_800_000_001.0)


class TestDescribe:
    def test_has_the_frames_of_the_application_only_the_innermost_first(self) -> None:
        def inner() -> None:
            raise ValueError("deep")

        def job() -> None:
            inner()

        error = error_of(job)
        assert [frame.rpartition("<locals>.")[2] for frame in error.backtrace] == ["inner'", "job'"]
        line = inner.__code__.co_firstlineno + 1
        assert error.backtrace[0] == f"{__file__}:{line}:in '{inner.__qualname__}'"
        assert error.traceback.endswith("ValueError: deep\n")

    def test_has_no_frames_of_around_methods(self) -> None:
        error = error_of(Order, "fail")
        assert [frame.rpartition(":in ")[2] for frame in error.backtrace] == ["'Order.perform'"]

    def test_names_causes_and_contexts(self) -> None:
        def job() -> None:
            try:
                fails("first")
            except ValueError as error:
                raise KeyError("second") from error

        backtrace = error_of(job).backtrace
        assert "caused by ValueError: first" in backtrace
        assert backtrace[-1].endswith("job'")

    def test_says_no_cause_that_was_suppressed(self) -> None:
        def job() -> None:
            try:
                fails("first")
            except ValueError:
                raise KeyError("second") from None

        assert not [line for line in error_of(job).backtrace if line.startswith("caused by")]

    def test_survives_causes_in_a_circle(self) -> None:
        first, second = ValueError("1"), ValueError("2")
        first.__cause__, second.__cause__ = second, first
        assert len([line for line in describe(first).backtrace if line.startswith("caused by")]) == 1

    def test_cuts_a_stack_overflow(self) -> None:
        def job() -> None:
            job()

        error = error_of(job)
        assert error.type == "RecursionError"
        assert len(error.backtrace) == 201
        assert "frames left out" in error.backtrace[100]

    def test_cuts_a_long_message_and_a_long_traceback(self) -> None:
        error = error_of(fails, "x" * 20_000_000)
        assert len(error.message) < 33_000
        assert len(error.traceback) < 66_000
        assert "characters left out" in error.message

    @pytest.mark.parametrize("base", [Exception, SystemExit, TermException])
    @pytest.mark.parametrize("raised", [RuntimeError, SystemExit])
    def test_survives_an_exception_that_cannot_be_shown(
        self, base: type[BaseException], raised: type[BaseException]
    ) -> None:
        class Sly(base):  # type: ignore[misc, valid-type]
            def __str__(self) -> str:
                raise raised

        def job() -> None:
            raise Sly(Sly())

        error = error_of(job)
        assert error.message == f"<its __str__ raised {raised.__name__}>"

    def test_names_a_class_by_its_module(self) -> None:
        assert describe(InvalidPayload("odd")).type == "taskq.errors.InvalidPayload"
