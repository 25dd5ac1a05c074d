"""The failure handlers `broker` and `multi_queue`: into Resque's failed list, or into a failed list a queue."""

from __future__ import annotations

from taskq.failure_handler import Decision, Fail, Failure, FailureHandler

__all__ = ["FailedList", "FailedListPerQueue"]


class FailedList(FailureHandler):
    """Puts every failure that comes to it into the one failed list, as Resque's `Failure::Redis` does."""

    name = "broker"

    def decide(self, failure: Failure) -> Decision | None:
        return Fail()


class FailedListPerQueue(FailureHandler):
    """Puts it into the failed list of the job's queue, as `Failure::RedisMultiQueue` does (WIRE.md section 7)."""

    name = "multi_queue"

    def decide(self, failure: Failure) -> Decision | None:
        return Fail(by_queue=True)
