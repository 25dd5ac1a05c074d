"""The hook `retry`: it declares the option, and keeps resque-retry's count of the same job right beside taskq's own.

What Ruby's scheduler moves lost its count on the way; then resque-retry's own counts (see `ruby`). That is asked for
where it decides something, and forgotten where the job ends, so that it does not count for the next one of its kind.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from taskq import attempts, in_job
from taskq.hook import OF_A_JOB, Hook, PerformContext, Settled
from taskq.parts import Parts
from taskq_retry import ruby
from taskq_retry.policy import Retry

__all__ = ["RetryHook"]


@dataclass(frozen=True)
class _Options:
    retry: Retry | None = field(default=None, metadata=OF_A_JOB)


class RetryHook(Hook):
    """Declares `@taskq.job(retry=Retry(...))`, which the failure handler of the same name heeds."""

    name = "retry"
    options = _Options
    needs_handlers = ("retry",)

    def __init__(self) -> None:
        """Of no application yet."""
        self.parts: Parts | None = None

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        return bound

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        parts = self.parts
        if parts is None or not context.reservation.fence or not isinstance(context.options.get("retry"), Retry):
            return call_next(context)
        if attempts.count(context.payload):
            ruby.forget(parts.broker, context.reservation.body)  # it came with its count: none is needed beside it
        if not ruby.may_have_lost_its_count(context.payload):
            return call_next(context)
        told = in_job.performing.set(_counting(parts, context, in_job.performing.get()))
        try:
            return call_next(context)
        finally:
            in_job.performing.reset(told)

    def settled(self, settled: Settled) -> None:
        context = settled.context
        if self.parts is None or context is None or not isinstance(context.options.get("retry"), Retry):
            return
        gave_up = settled.outcome in {"failed", "discarded"}
        if gave_up or (settled.outcome == "done" and ruby.may_have_lost_its_count(context.payload)):
            ruby.forget(self.parts.broker, settled.reservation.body)

    def cancelled(self, queue: str, body: bytes) -> None:
        if self.parts is not None and b'"taskq:attempts"' in body:
            ruby.forget(self.parts.broker, body)


def _counting(
    parts: Parts, context: PerformContext, found: Callable[[], in_job.Current] | None
) -> Callable[[], in_job.Current] | None:
    """What `taskq.current()` asks: with the attempts that Ruby dropped, which are looked for once it is asked."""
    if found is None:
        return None
    before: list[int] = []

    def current() -> in_job.Current:
        if not before:
            before.append(ruby.failed_before(parts.broker, context.reservation.queue, context.reservation.body))
        now = found()
        return dataclasses.replace(now, attempt=now.attempt + before[0])

    return current
