from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from taskq.chain import Hooks
from taskq.errors import ConfigurationError
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, PerformContext, Vetoed
from taskq.records import Payload, Reservation

REQUEST = EnqueueRequest("send", ("a",), "emails")
CONTEXT = PerformContext(Payload("send", ("a",)), Reservation("w", "emails", b"{}", "f", 0.0), {}, ("a",))


class Noting(Hook):
    def __init__(self, name: str, ran: list[str]) -> None:
        self.name = name
        self.ran = ran

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        self.ran.append(f"{self.name} in")
        answer = call_next(request)
        self.ran.append(f"{self.name} out")
        return answer

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        self.ran.append(f"{self.name} in")
        result = call_next(context)
        self.ran.append(f"{self.name} out")
        return result


class NotingAsync(Noting):
    async def awrap_perform(
        self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
    ) -> object:
        self.ran.append(f"{self.name} async in")
        result = await call_next(context)
        self.ran.append(f"{self.name} async out")
        return result


class Told(Hook):
    def __init__(self, name: str, ran: list[str], error: BaseException | None = None) -> None:
        self.name = name
        self.ran = ran
        self.error = error

    def queue_empty(self, worker: str) -> None:
        self.ran.append(f"{self.name} {worker}")
        if self.error is not None:
            raise self.error


def enqueue(request: EnqueueRequest) -> Enqueued:
    return Accepted(request.job, request.queue, b"")


def test_the_first_in_the_list_is_the_outermost() -> None:
    ran: list[str] = []
    around = Hooks([Noting("a", ran), Noting("b", ran)]).around_enqueue(enqueue)
    assert around(REQUEST) == Accepted("send", "emails", b"")
    assert ran == ["a in", "b in", "b out", "a out"]


def test_nothing_is_wrapped_by_hooks_that_do_not_define_it() -> None:
    hooks = Hooks([Hook(), Told("a", []), object()])
    assert hooks.around_enqueue(enqueue) is enqueue

    def perform(context: PerformContext) -> object:
        return context

    assert hooks.around_perform(perform) is perform
    assert hooks.around_loop(perform) is perform


def test_a_hook_may_change_the_request_or_keep_it() -> None:
    class ToVip(Hook):
        def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
            return call_next(EnqueueRequest(request.job, request.args, "vip"))

    class No(Hook):
        def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
            return Vetoed(request.job, by="No", reason="closed")

    assert Hooks([ToVip()]).around_enqueue(enqueue)(REQUEST) == Accepted("send", "vip", b"")
    assert Hooks([No()]).around_enqueue(enqueue)(REQUEST) == Vetoed("send", "No", "closed")


def test_a_hook_that_forgets_to_answer_is_named() -> None:
    class Forgetful:
        name = "forgetful"

        def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> None:
            call_next(request)

    with pytest.raises(TypeError, match="wrap_enqueue of the hook forgetful returned NoneType"):
        Hooks([Forgetful()]).around_enqueue(enqueue)(REQUEST)


def test_an_async_job_is_wrapped_on_its_loop_and_around_it() -> None:
    ran: list[str] = []
    hooks = Hooks([Noting("plain", ran), NotingAsync("both", ran)])

    async def perform(context: PerformContext) -> object:
        ran.append("perform")
        return 7

    within = hooks.around_perform_async(perform)

    async def on_loop(context: PerformContext) -> object:
        return await within(context)

    around = hooks.around_loop(lambda context: asyncio.run(on_loop(context)))
    assert around(CONTEXT) == 7
    assert ran == ["plain in", "both async in", "perform", "both async out", "plain out"]


def test_a_plain_job_is_wrapped_by_every_plain_hook() -> None:
    ran: list[str] = []
    around = Hooks([NotingAsync("both", ran), Noting("plain", ran)]).around_perform(lambda context: 7)
    assert around(CONTEXT) == 7
    assert ran == ["both in", "plain in", "plain out", "both out"]


def test_tell_tells_in_order_and_lets_rise() -> None:
    ran: list[str] = []
    hooks = Hooks([Told("a", ran), Told("b", ran, RuntimeError("no")), Told("c", ran)])
    with pytest.raises(RuntimeError, match="no"):
        hooks.tell("queue_empty", "w")
    assert ran == ["a w", "b w"]


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1)])
def test_tell_quietly_logs_the_hook_and_goes_on(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []
    with caplog.at_level(logging.ERROR, "taskq.hooks"):
        Hooks([Told("b", ran, error), Told("c", ran)]).tell_quietly("queue_empty", "w")
    assert ran == ["b w", "c w"]
    assert caplog.messages == ["Hook b failed in queue_empty."]
    assert caplog.records[0].exc_info is not None


def test_listens_only_to_moments_that_a_hook_defines() -> None:
    hooks = Hooks([Told("a", [])])
    assert hooks.listens("queue_empty")
    assert not hooks.listens("flush")
    assert not Hooks().listens("queue_empty")


class First(Hook):
    name = "first"
    before = ("second",)


class Second(Hook):
    name = "second"
    after = ("third",)


class Third(Hook):
    name = "third"


def test_an_order_that_hooks_agree_with_is_taken() -> None:
    assert Hooks([Third(), First(), Second()]).names == ("third", "first", "second")


def test_an_order_that_hooks_object_to_is_refused_with_every_objection() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Hooks([Second(), First(), Third()])
    assert [problem.message for problem in caught.value.problems] == [
        "third must come before second, says second; here it comes after it.",
        "first must come before second, says first; here it comes after it.",
    ]


def test_a_hook_that_is_not_enabled_is_no_objection() -> None:
    assert Hooks([First()]).names == ("first",)
