"""The hook `retry`: it declares the option, and wraps nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskq.hook import OF_A_JOB, Hook
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
