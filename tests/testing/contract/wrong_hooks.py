"""Hooks that break one promise each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, PerformContext, Settled, Vetoed
from taskq.testing.contract import HookContract
from tests.testing.contract.judge import names


class _Hook(Hook):
    name = "wrong"


class WrongName(HookContract):
    caught_by = names("name_is_what_a_configuration_calls_it")

    def make_hook(self) -> Any:
        class Named(_Hook):
            name = "two words"

        return Named()


class WrongSpelling(HookContract):
    """It would never be called."""

    caught_by = names("methods_are_those_of_a_hook")

    def make_hook(self) -> Any:
        class Misspelt(_Hook):
            def flush(self) -> None: ...

            def wrap_preform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
                return call_next(context)

        return Misspelt()


class WrongNothing(HookContract):
    """It does nothing at all."""

    caught_by = names("methods_are_those_of_a_hook")

    def make_hook(self) -> Any:
        return _Hook()


class WrongSignature(HookContract):
    """It takes less than it is given."""

    caught_by = names("methods_take_what_they_are_given told_answers_nothing flush_comes_first_too")

    def make_hook(self) -> Any:
        class Short(_Hook):
            def settled(self) -> None: ...  # type: ignore[override]

            def flush(self, worker: str) -> None: ...  # type: ignore[override]

        return Short()


class WrongAsync(HookContract):
    """It makes a coroutine that nobody awaits."""

    caught_by = names("awrap_perform_is_there_for_async_jobs_only")

    def make_hook(self) -> Any:
        class Async(_Hook):
            async def wrap_perform(
                self, context: PerformContext, call_next: Callable[[PerformContext], object]
            ) -> object:
                return call_next(context)

        return Async()


class WrongOrder(HookContract):
    """It must come before itself."""

    caught_by = names("order_names_other_hooks")

    def make_hook(self) -> Any:
        class Circular(_Hook):
            before = ("wrong",)

        return Circular()


class WrongOptions(HookContract):
    """Every job has to say its option."""

    caught_by = names("options_can_be_declared")

    def make_hook(self) -> Any:
        @dataclass(frozen=True)
        class Options:
            limit: int

        class Demanding(_Hook):
            options = Options

        return Demanding()


class WrongQueue(HookContract):
    """Its option is taskq's own."""

    caught_by = names("options_can_be_declared an_application_performs_within_it")

    def make_hook(self) -> Any:
        @dataclass(frozen=True)
        class Options:
            queue: str = ""

        class Taking(_Hook):
            options = Options

        return Taking()


class WrongAnswer(HookContract):
    """It forgets to return what `call_next` gave."""

    caught_by = names("wrap_enqueue_answers_how_it_ended")

    def make_hook(self) -> Any:
        class Forgetful(_Hook):
            def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Any:
                call_next(request)

        return Forgetful()


class WrongVeto(HookContract):
    """It says that nothing was enqueued, and something was."""

    caught_by = names("wrap_enqueue_answers_how_it_ended an_application_performs_within_it")

    def make_hook(self) -> Any:
        class Lying(_Hook):
            def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Any:
                call_next(request)
                return Vetoed(request.job, by=self.name, reason="no")

        return Lying()


class WrongPush(HookContract):
    """It says that the job is in its queue, and kept it."""

    caught_by = names("wrap_enqueue_answers_how_it_ended an_application_performs_within_it")

    def make_hook(self) -> Any:
        class Keeping(_Hook):
            def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Any:
                return Accepted(request.job, request.queue, b"")

        return Keeping()


class WrongRequest(HookContract):
    """It passes on the job's name."""

    caught_by = names("wrap_enqueue_passes_a_request_on")

    def make_hook(self) -> Any:
        class Naming(_Hook):
            def wrap_enqueue(self, request: EnqueueRequest, call_next: Any) -> Any:
                return call_next(request.job)

        return Naming()


class WrongPeace(HookContract):
    """It hides that the broker is away."""

    caught_by = names("wrap_enqueue_lets_errors_through")

    def make_hook(self) -> Any:
        class Quiet(_Hook):
            def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Any:
                try:
                    return call_next(request)
                except Exception:
                    return Vetoed(request.job, by=self.name, reason="it did not work")

        return Quiet()


class WrongKey(HookContract):
    """It gives the payload a key that JSON has not."""

    caught_by = names("wrap_enqueue_says_nothing_that_json_has_not")

    def make_hook(self) -> Any:
        class Stamping(_Hook):
            def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Any:
                return call_next(dataclasses.replace(request, extra={"by": (1, 2)}))

        return Stamping()


class WrongTwice(HookContract):
    """It performs every job twice."""

    caught_by = names("""
        wrap_perform_performs_once_or_raises wrap_perform_again_and_again an_application_performs_within_it
        wrap_perform_side_by_side wrap_perform_in_a_forked_child
    """)

    def make_hook(self) -> Any:
        class Eager(_Hook):
            def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
                call_next(context)
                return call_next(context)

        return Eager()


class WrongContext(HookContract):
    """It passes on the payload."""

    caught_by = names("wrap_perform_passes_a_context_on")

    def make_hook(self) -> Any:
        class Unpacking(_Hook):
            async def awrap_perform(self, context: PerformContext, call_next: Any) -> object:
                return await call_next(context.payload)

        return Unpacking()


class WrongCalm(HookContract):
    """It swallows what the job raises."""

    caught_by = names("wrap_perform_lets_errors_through")

    def make_hook(self) -> Any:
        class Calm(_Hook):
            async def awrap_perform(
                self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
            ) -> object:
                with contextlib.suppress(BaseException):
                    return await call_next(context)
                return None

        return Calm()


class WrongMemory(HookContract):
    """It performs no second job after one that failed, nor two at once, nor one in another process."""

    caught_by = names("wrap_perform_again_and_again wrap_perform_side_by_side wrap_perform_in_a_forked_child")

    def make_hook(self) -> Any:
        class Busy(_Hook):
            def __init__(self) -> None:
                self.busy = threading.Semaphore(1)
                self.turn = threading.Event()
                self.home = os.getpid()

            def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
                if os.getpid() != self.home or not self.busy.acquire(blocking=False):
                    return None
                self.turn.wait(0.2)
                result = call_next(context)
                self.busy.release()
                return result

        return Busy()


class WrongMoment(HookContract):
    """It answers where it is told, and takes every outcome for one that has seconds."""

    caught_by = names("told_answers_nothing")

    def make_hook(self) -> Any:
        class Talking(_Hook):
            def before_pause(self, worker: str) -> Any:
                return worker

            def settled(self, settled: Settled) -> None:
                assert settled.seconds is not None

        return Talking()
