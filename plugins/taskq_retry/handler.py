"""The failure handler `retry`: what the job's policy makes of a failure.

It decides where every handler does: in the process that performed, and after a crash in the one that found it. How many
attempts there were travels in the payload, so it survives both; beside it stands resque-retry's own count, which counts
where Ruby dropped taskq's.
"""

from __future__ import annotations

import copy
from typing import Self

from taskq import attempts
from taskq.broker import Capability
from taskq.failure_handler import Decision, Fail, Failure, FailureHandler, Quarantine
from taskq.failure_handler import Retry as Again
from taskq.parts import Parts
from taskq_retry import ruby
from taskq_retry.policy import Retry

__all__ = ["RetryHandler"]


class RetryHandler(FailureHandler):
    """Has a job with the option `retry` performed again, and passes where that is over. It stands before `broker`."""

    name = "retry"
    needs = frozenset({Capability.DELAY})

    def __init__(self) -> None:
        """Without an application it counts as far as the payload tells."""
        self.parts: Parts | None = None

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        return bound

    def decide(self, failure: Failure) -> Decision | None:
        policy = failure.options.get("retry")
        if not isinstance(policy, Retry) or failure.payload is None:
            return None
        if failure.on_crash is not None:  # the job's own word on crashes, or an interruption that counts for nothing
            return None
        if not policy.covers(failure.cause):
            return None
        performed = self._performed(failure)
        if performed >= policy.most:
            return None
        delay = policy.delay(performed)
        at = failure.failed_at + delay if delay > 0 else None
        if self.parts is not None:
            ruby.note(self.parts.broker, failure.body, performed, delay)
        return Again(body=attempts.counted(failure.body, performed), at=at, recorded=policy.record == "each")

    def decided(self, failure: Failure, decision: Decision) -> None:
        policy = failure.options.get("retry")
        if isinstance(policy, Retry) and policy.on_give_up is not None and isinstance(decision, Fail | Quarantine):
            policy.on_give_up(failure)

    def _performed(self, failure: Failure) -> int:
        """How many times it was performed, this time included."""
        if self.parts is None or failure.payload is None or not ruby.may_have_lost_its_count(failure.payload):
            return failure.attempts
        return failure.attempts + ruby.failed_before(self.parts.broker, failure.queue, failure.body)
