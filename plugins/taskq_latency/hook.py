"""The hook `latency`: notes in a job's payload when it comes into its queue."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self

from taskq.hook import Enqueued, EnqueueRequest, Hook
from taskq.parts import Parts

__all__ = ["ENQUEUED_AT", "LatencyHook"]

ENQUEUED_AT: Final = "enqueued_at"
"""The further key, Sidekiq's word for it: unix seconds by the broker's clock."""


@dataclass(frozen=True)
class _Options:
    latency: bool = True


class LatencyHook(Hook):
    """Declares the option `latency`; False leaves a job's payload as it is.

    What it writes may be lost, by Ruby's requeue say: then the job's age is not known, and nothing else changes.
    """

    name = "latency"
    options = _Options

    def __init__(self) -> None:
        """Of no application yet."""
        self.parts: Parts | None = None

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        return bound

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        if request.options.get("latency") is False or ENQUEUED_AT in request.extra:
            return call_next(request)
        assert self.parts is not None, "the hook was not bound to an application"
        # What is delayed waits in its queue from its time on, and not before.
        at = max(self.parts.broker.now(), request.at or 0.0)
        return call_next(replace(request, extra={**request.extra, ENQUEUED_AT: round(at, 3)}))
