"""What was performed during a test, as its workers tell it and, inline, as the calls themselves do."""

from __future__ import annotations

from collections.abc import Callable

from taskq import events
from taskq.hook import PerformContext, Settled
from taskq.records import Payload
from taskq.registry import Registry
from taskq.testing.brokers import News
from taskq.testing.jobs import Outcome, PerformedJob, by_parameter

__all__ = ["Ledger"]


class Ledger:
    """A hook, and one who is told what happens in workers.

    Attributes:
        performed: every job that was performed and settled, in that order.
    """

    name = "taskq.testing"

    def __init__(self, registry: Registry, news: News) -> None:
        """Nothing was performed yet."""
        self._registry = registry
        self._news = news
        self._raised: dict[str, BaseException] = {}
        self.performed: list[PerformedJob] = []

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        """Around everything else: what a job raises crosses no worker but as text, and a test wants the exception."""
        held = context.reservation
        inline = not held.fence
        try:
            result = call_next(context)
        except BaseException as error:
            if inline:
                self._note(context.payload, context.shown_args, held.queue, "failed", error)
            else:
                self._raised[held.fence] = error
            raise
        if inline:
            self._note(context.payload, context.shown_args, held.queue, "done", None)
        return result

    def tell(self, event: events.Event) -> PerformedJob | None:
        """Note a job that was settled, and say which."""
        if not isinstance(event, events.SettledJob):
            return None
        task, settled = event.task, event.settled
        error = self._raised.pop(settled.reservation.fence, None) or task.problem
        payload = task.payload or Payload(task.name, ())
        return self._note(payload, task.shown, settled.reservation.queue, settled.outcome, error, settled)

    def _note(
        self,
        payload: Payload,
        shown: tuple[object, ...],
        queue: str,
        outcome: Outcome,
        error: BaseException | None,
        settled: Settled | None = None,
    ) -> PerformedJob:
        arguments, shown_by_name = by_parameter(self._registry.find(payload.job), payload, shown)
        cause = settled.cause if settled is not None else None
        job = PerformedJob(payload.job, queue, arguments, shown_by_name, outcome, error, cause)
        self.performed.append(job)
        self._news.tell()
        return job
