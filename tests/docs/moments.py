"""A hook that notes what it is told, and a job that notes what of its class is called, each with its process."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import taskq
from taskq.hook import Enqueued, EnqueueRequest, Hook, PerformContext

PLACE = "TASKQ_DOCS_MOMENTS"


def note(what: str) -> None:
    with Path(os.environ[PLACE]).open("a") as notes:
        notes.write(f"{what}\t{os.getpid()}\n")


class Noting(Hook):
    name = "noting"

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        note("wrap_enqueue")
        answer = call_next(request)
        note("wrap_enqueue ends")
        return answer

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        note("wrap_perform")
        try:
            return call_next(context)
        finally:
            note("wrap_perform ends")

    async def awrap_perform(
        self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
    ) -> object:
        note("awrap_perform")
        return await call_next(context)


def _noting(moment: str) -> Callable[..., None]:
    def told(self: Noting, *args: object) -> None:
        note(moment)

    return told


for _moment in (
    "before_first_fork", "before_fork", "after_fork", "before_pause", "after_pause", "queue_empty", "worker_exit",
    "shutdown", "settled", "flush",
):  # fmt: skip
    setattr(Noting, _moment, _noting(_moment))

registry = taskq.Registry()


@taskq.job(registry=registry)
class Everything:
    queue = "moments"

    @staticmethod
    def before_enqueue(fails: bool) -> None:
        note("before_enqueue")

    @staticmethod
    def after_enqueue(fails: bool) -> None:
        note("after_enqueue")

    @staticmethod
    def before_dequeue(fails: bool) -> None:
        note("before_dequeue")

    @staticmethod
    def after_dequeue(fails: bool) -> None:
        note("after_dequeue")

    @staticmethod
    def before_perform(fails: bool) -> None:
        note("before_perform")

    @staticmethod
    def around_perform(fails: bool) -> Iterator[None]:
        note("around_perform")
        try:
            yield
        finally:
            note("around_perform ends")

    @staticmethod
    def after_perform(fails: bool) -> None:
        note("after_perform")

    @staticmethod
    def on_failure(error: BaseException, fails: bool) -> None:
        note("on_failure")

    @staticmethod
    def perform(fails: bool) -> None:
        note("perform")
        if fails:
            raise ValueError("it was told to")


@taskq.job(registry=registry, queue="moments")
async def asynchronous() -> None:
    note("perform")


class NotingHandler:
    name = "noting"

    def decide(self, failure: object) -> None:
        note("decide")

    def decided(self, failure: object, decision: object) -> None:
        note("decided")


def application(broker: str) -> taskq.TaskQ:
    return taskq.TaskQ(
        broker=broker,
        registry=registry,
        hooks=[Noting()],
        failure_handlers=[cast("Any", NotingHandler()), "broker"],
        namespace="moments",
    )


# What a worker of these tests is started with.
app = application(os.environ.get("TASKQ_BROKER", "memory://"))
