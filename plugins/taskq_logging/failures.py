"""The failure handler `log`: it decides nothing, and writes each failure with its traceback."""

from __future__ import annotations

import logging

from taskq.failed_entry import last_words
from taskq.failure_handler import Decision, Discard, Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.records import ErrorRecord

__all__ = ["LogFailures"]

_log = logging.getLogger("taskq.failures")


class LogFailures(FailureHandler):
    """One error record a failure, under `taskq.failures`. Arguments are not shown: they may be secret."""

    name = "log"

    def decided(self, failure: Failure, decision: Decision) -> None:
        job = failure.payload.job if failure.payload is not None else "[No Name]"
        if isinstance(failure.cause, ErrorRecord):
            what = f"{failure.cause.type}: {failure.cause.message}"
            traceback = f"\n{failure.cause.traceback.rstrip()}" if failure.cause.traceback else ""
        else:
            what, traceback = last_words(failure.cause), ""
        _log.error(
            "job %s of queue %s failed on %s and %s: %s%s",
            job,
            failure.queue,
            failure.worker,
            _became(decision),
            what,
            traceback,
            extra={"taskq_job": job, "taskq_queue": failure.queue, "taskq_worker": failure.worker},
        )


def _became(decision: Decision) -> str:
    match decision:
        case Retry():
            return "is retried"
        case Discard(reason=reason):
            return f"is discarded ({reason})"
        case Quarantine(reason=reason):
            return f"is quarantined ({reason})"
        case Fail():
            return "is in the failed list"
