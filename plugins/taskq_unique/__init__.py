"""The hook `unique`: of jobs with the same key at most one waits, or waits or runs."""

from __future__ import annotations

from taskq_unique.hook import UniqueHook
from taskq_unique.option import AlreadyEnqueued, Unique

__all__ = ["AlreadyEnqueued", "Unique", "UniqueHook"]
