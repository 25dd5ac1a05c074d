"""The hook and the failure handler `retry`: a job that failed is performed again, later and later, and then no more.

The hook declares the option, the handler decides; an application enables both.
"""

from __future__ import annotations

from taskq_retry.handler import RetryHandler
from taskq_retry.hook import RetryHook
from taskq_retry.policy import Exponential, Retry

__all__ = ["Exponential", "Retry", "RetryHandler", "RetryHook"]
