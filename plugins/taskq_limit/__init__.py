"""The hook `limit`: at most so many jobs of a key run at once, or start within a time; the others come back later."""

from __future__ import annotations

from taskq_limit.hook import LimitHook
from taskq_limit.option import Limit

__all__ = ["Limit", "LimitHook"]
