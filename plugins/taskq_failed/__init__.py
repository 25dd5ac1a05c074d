"""The failure handlers `broker` and `multi_queue`: into Resque's failed list, or into a failed list a queue."""

from __future__ import annotations

from dataclasses import replace

from taskq.failure_handler import Decision, Fail, Failure, FailureHandler, Quarantine

__all__ = ["FailedList", "FailedListPerQueue"]


class FailedList(FailureHandler):
    """Puts every failure that comes to it into the one failed list, as Resque's `Failure::Redis` does.

    But for jobs of which `on_crash` says otherwise.
    """

    name = "broker"

    def decide(self, failure: Failure) -> Decision | None:
        return failure.on_crash or Fail()


class FailedListPerQueue(FailureHandler):
    """Puts it into the failed list of the job's queue, as `Failure::RedisMultiQueue` does (WIRE.md section 7).

    But for jobs of which `on_crash` says otherwise.
    """

    name = "multi_queue"

    def decide(self, failure: Failure) -> Decision | None:
        if isinstance(failure.on_crash, Quarantine):
            return replace(failure.on_crash, by_queue=True)
        return failure.on_crash or Fail(by_queue=True)
