from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

import taskq
from taskq.definition import of_class
from taskq.errors import DuplicateJob, JobDefinitionError, NotAJob, UnknownOption, WrongCall
from taskq.hook import Hook
from taskq.jobs import Job, definition_of, job
from taskq.on_crash import Requeue
from taskq.registry import DEFAULT, Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_function_becomes_a_job_that_can_still_be_called(registry: Registry) -> None:
    @job(queue="emails", registry=registry)
    def send_email(to: str, subject: str = "Hi") -> str:
        """Send it."""
        return f"{subject} {to}"

    assert isinstance(send_email, Job)
    assert send_email("a") == send_email.perform("a") == "Hi a"
    assert (send_email.name, send_email.queue, send_email.__doc__) == ("send_email", "emails", "Send it.")
    assert registry.find("send_email") is send_email.definition
    assert repr(send_email).startswith("<job send_email (")


def test_a_job_has_a_name_aliases_and_the_default_queue(registry: Registry) -> None:
    @job(name="Billing::Charge", aliases=["charge"], registry=registry)
    def charge_card(user: int) -> None: ...

    assert registry.names() == ("Billing::Charge", "charge")
    assert charge_card.queue == "default"


def test_one_alias_may_be_given_as_a_string(registry: Registry) -> None:
    @job(aliases="old", secret="token", registry=registry)
    def new(token: str) -> None: ...

    assert new.definition.aliases == ("old",)
    assert new.definition.secret == {"token"}


def test_bare_it_registers_in_the_registry_of_the_process() -> None:
    @taskq.job
    def registered_by_test_jobs() -> None: ...

    assert DEFAULT.find("registered_by_test_jobs") is registered_by_test_jobs.definition


def test_an_async_function_is_an_async_job(registry: Registry) -> None:
    @job(registry=registry)
    async def fetch(url: str) -> str:
        return url

    assert fetch.definition.is_async
    coroutine = fetch("x")
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert end.value.value == "x"


class Static:
    queue = "static"

    @staticmethod
    def perform(to: str, subject: str) -> str:
        return f"{to} {subject}"


class OfClass:
    prefix = "class"

    @classmethod
    def perform(cls, to: str, subject: str) -> str:
        return f"{cls.prefix} {to} {subject}"


class OfInstance:
    def __init__(self, prefix: str = "instance") -> None:
        self.prefix = prefix

    def perform(self, to: str, subject: str) -> str:
        return f"{self.prefix} {to} {subject}"


class Async:
    async def perform(self, to: str, subject: str) -> str:
        return to + subject


@pytest.mark.parametrize(
    ("owner", "queue", "result"),
    [(Static, "static", "a b"), (OfClass, "default", "class a b"), (OfInstance, "default", "instance a b")],
)
def test_a_class_comes_back_as_itself_and_is_performed_by_its_perform(
    owner: type, queue: str, result: str, registry: Registry
) -> None:
    assert job(registry=registry)(owner) is owner
    definition = definition_of(owner)
    assert definition is registry.find(owner.__name__)
    assert (definition.queue, definition.is_async) == (queue, False)
    assert str(definition.signature) == "(to: str, subject: str)"
    args, kwargs = definition.signature.unbind(definition.signature.bind(("a",), {"subject": "b"}))
    assert definition.function(*args, **kwargs) == result


def test_a_class_may_perform_asynchronously(registry: Registry) -> None:
    job(registry=registry)(Async)
    assert definition_of(Async).is_async


def test_the_decorators_queue_wins_over_the_class(registry: Registry) -> None:
    class Emailer(Static):
        pass

    job(queue="vip", registry=registry)(Emailer)
    assert definition_of(Emailer).queue == "vip"


def test_a_subclass_is_no_job_until_it_is_decorated_itself(registry: Registry) -> None:
    job(registry=registry)(Static)

    class Sub(Static):
        pass

    with pytest.raises(NotAJob, match=r"The class .*Sub is not a job\. Decorate it with @taskq\.job\."):
        definition_of(Sub)


class WithMethods:
    @staticmethod
    def perform() -> None: ...
    @staticmethod
    def after_perform_b() -> None: ...
    @classmethod
    def after_perform_a(cls) -> None: ...
    @staticmethod
    def after_perform() -> None: ...
    @staticmethod
    def on_failure_log(error: BaseException) -> None: ...

    before_perform_count = 3


def test_hook_methods_are_found_by_prefix_sorted_by_name(registry: Registry) -> None:
    job(registry=registry)(WithMethods)
    methods = definition_of(WithMethods).methods
    assert [method.__name__ for method in methods.after_perform] == [
        "after_perform",
        "after_perform_a",
        "after_perform_b",
    ]
    assert [method.__name__ for method in methods.on_failure] == ["on_failure_log"]
    assert methods.before_perform == ()


def class_with(**attributes: Any) -> type:
    return type("Emailer", (), {"perform": staticmethod(lambda to: None), **attributes})


async def coroutine(to: str) -> None: ...


def generator(to: str) -> Iterator[str]:
    yield to


async def async_generator(to: str) -> AsyncIterator[str]:
    yield to


@pytest.mark.parametrize(
    ("target", "said", "message"),
    [
        (class_with(perform=None), {}, "has no method perform"),
        (class_with(queue=3), {}, r"Emailer\.queue is of type int; a job's queue is a string"),
        (class_with(perform=lambda to: None), {}, r'has "to" for its first parameter, not self.*@staticmethod'),
        (class_with(perform=lambda: None), {}, r"has no parameters, not self"),
        (
            class_with(perform=lambda self: None, __init__=lambda self, x: None),
            {},
            "cannot be made without arguments: missing a required argument",
        ),
        (class_with(before_perform=lambda to: None), {}, r"before_perform is called on the class: make it a @static"),
        (class_with(after_enqueue_x=staticmethod(coroutine)), {}, "after_enqueue_x is an async def"),
        (class_with(perform=staticmethod(generator)), {}, "is a generator: calling it would perform nothing"),
        (generator, {}, "is a generator"),
        (5, {}, "was given 5, which is no function and no class. What it takes is said by name"),
        ("emails", {}, r'@taskq.job\(queue="emails"\)'),
        (async_generator, {}, "is a generator"),
        (lambda: None, {}, "needs a name that is not empty"),
        (partial(generator), {}, "needs a name that is not empty"),
        (coroutine, {"name": ""}, "needs a name that is not empty"),
        (coroutine, {"aliases": [""]}, "needs a name that is not empty"),
        (coroutine, {"queue": ""}, "jobs must be placed onto a queue"),
        (coroutine, {"queue": "\ud800"}, "lone surrogate"),
        (coroutine, {"secret": ["token"]}, r'secret names "token", which is no parameter\. Signature: coroutine\(to'),
    ],
)
def test_what_cannot_be_a_job_is_refused_when_it_is_defined(
    target: Any, said: dict[str, Any], message: str, registry: Registry
) -> None:
    with pytest.raises(JobDefinitionError, match=message):
        job(registry=registry, **said)(target)
    assert registry.names() == ()


def test_a_second_job_of_the_same_name_is_refused(registry: Registry) -> None:
    @job(registry=registry)
    def send() -> None: ...

    with pytest.raises(DuplicateJob, match='Two jobs are named "send"'):

        @job(name="send", registry=registry)
        def other() -> None: ...


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (class_with(), r"The class Emailer is not a job\. Decorate it with @taskq\.job\."),
        (type("Empty", (), {}), r"The class Empty is not a job\. Give it a method perform, and decorate it"),
        (print, r"The function print is not a job\. Decorate it with @taskq\.job\."),
        (None, r"A value of type NoneType is not a job\. Give the job itself"),
    ],
)
def test_what_is_no_job_is_told_how_to_become_one(given: object, message: str) -> None:
    with pytest.raises(NotAJob, match=message) as caught:
        definition_of(given)
    assert str(caught.value).endswith("Nothing was enqueued.")


def test_a_call_is_bound_and_not_enqueued(registry: Registry) -> None:
    @job(queue="emails", registry=registry)
    def send(to: str, subject: str) -> None: ...

    call = send.call("a", subject="b")
    assert (call.job, call.args, call.queue, call.front) == ("send", ("a", "b"), "emails", False)
    call = send.options(queue="vip", front=True).call("a", "b")
    assert (call.queue, call.front) == ("vip", True)
    with pytest.raises(WrongCall):
        send.call("a")  # type: ignore[call-arg]


@dataclass
class PaceOptions:
    pace: int = 1


class Pacing(Hook):
    name = "pacing"
    options = PaceOptions


def test_options_of_hooks_are_checked_at_definition_where_an_application_is_there(registry: Registry) -> None:
    app = taskq.TaskQ(broker="memory://", registry=registry, hooks=[Pacing()])
    with taskq.using(app):

        @job(registry=registry, pace=3)
        def paced() -> None: ...

        with pytest.raises(UnknownOption, match=r'unknown option "paec"\. Did you mean pace\?'):

            @job(registry=registry, paec=3)
            def mistyped() -> None: ...

    assert registry.names() == ("paced",)


def test_options_of_hooks_are_checked_at_first_use_where_the_application_comes_later(
    registry: Registry, no_application: None
) -> None:
    @job(registry=registry, paec=3)
    def mistyped() -> None: ...

    app = taskq.TaskQ(broker="memory://", registry=registry, hooks=[Pacing()], failure_handlers=[])
    with taskq.using(app):
        with pytest.raises(UnknownOption, match=r"@taskq\.job of .*mistyped: unknown option"):
            mistyped.enqueue()
        with pytest.raises(UnknownOption):
            app.load()


@pytest.fixture
def no_application(monkeypatch: pytest.MonkeyPatch) -> None:
    from taskq import application

    monkeypatch.setattr(application, "_process", application._Process())


def test_a_class_of_c_without_signature_can_be_made() -> None:
    class Counted(int):
        def perform(self, to: str) -> None: ...

    said = of_class(Counted, name=None, aliases=(), queue=None, secret=(), on_crash=None, timeout=None, options={})
    assert said.name == "Counted"


def test_the_same_source_may_be_executed_again(registry: Registry) -> None:
    def define() -> Callable[..., None]:
        @job(registry=registry)
        def send() -> None: ...

        return send

    first, second = define(), define()
    assert first is not second
    assert registry.names() == ("send",)


class TestOnCrash:
    @pytest.mark.parametrize(("said", "times"), [("fail", 0), ("requeue", 3), (Requeue(times=5), 5), (None, None)])
    def test_is_how_often_the_job_is_requeued(self, said: Any, times: int | None, registry: Registry) -> None:
        @job(registry=registry, on_crash=said)
        def charge() -> None: ...

        assert charge.definition.on_crash == times

    def test_of_a_class_is_said_in_its_decorator_too(self, registry: Registry) -> None:
        @job(registry=registry, on_crash="requeue", timeout=30)
        class Charge:
            @staticmethod
            def perform() -> None: ...

        definition = definition_of(Charge)
        assert (definition.on_crash, definition.timeout) == (3, 30.0)

    def test_that_is_none_is_refused_where_the_job_is_defined(self, registry: Registry) -> None:
        with pytest.raises(JobDefinitionError) as raised:

            @job(registry=registry, on_crash="again")  # type: ignore[call-overload,untyped-decorator]  # what is tested
            def charge() -> None: ...

        assert str(raised.value).endswith(
            'charge: on_crash is "fail", "requeue" or taskq.Requeue(times=...), not \'again\'.'
        )
        assert registry.names() == ()


class TestTimeout:
    def test_is_seconds(self, registry: Registry) -> None:
        @job(registry=registry, timeout=2)
        def charge() -> None: ...

        assert charge.definition.timeout == 2.0

    @pytest.mark.parametrize("said", [0, -1, "30", True, float("nan"), float("inf"), 1e12])
    def test_that_is_none_is_refused_where_the_job_is_defined(self, said: Any, registry: Registry) -> None:
        with pytest.raises(
            JobDefinitionError, match="charge: timeout is a number of seconds above 0, a century at most, or None"
        ):

            @job(registry=registry, timeout=said)
            def charge() -> None: ...
