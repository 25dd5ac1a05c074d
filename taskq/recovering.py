"""Settling what a dead worker left: exactly one process does it, and may itself die in the middle.

A crash of ours before the broker's `recover`, which is one step, changes nothing; after it all is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from taskq import crashes, failed_entry, performing
from taskq.broker import Broker
from taskq.failure_handler import Decision, Fail, Failure, Quarantine, Retry
from taskq.hook import Settled
from taskq.performing import Task, Tools
from taskq.records import Again, Crash, ErrorRecord, WorkerInfo

__all__ = ["Recovery", "entry_for", "recover"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of a dead worker's job.

    Attributes:
        became: empty where it had none in hand.
        task: the job; None where it had none.
        settled: how it was settled, for hooks.
    """

    became: Literal["", "retried", "failed"] = ""
    task: Task | None = None
    settled: Settled | None = None


def recover(broker: Broker, tools: Tools, info: WorkerInfo, why: str) -> Recovery | None:
    """Settle what a dead worker left, and forget it. None where somebody else did, or it lives.

    Args:
        broker: where it is registered.
        tools: what deciding on its job needs.
        info: the worker, as it was judged.
        why: why it is dead, as the judge said.
    """
    if info.job is None:
        return Recovery() if broker.recover(info, None) else None
    task = performing.prepare(info.job, tools)
    if not crashes.had_begun(broker, task.payload, info.job):
        return Recovery("retried") if broker.recover(info, None) else None  # as it came
    crash = Crash(worker_lost=True, last_heartbeat=None if "process" in why else info.heartbeat)
    requeues = {} if info.registration is None else info.registration.requeues
    decision = performing.crashed(task, crash, tools, 0.0, requeues=requeues).decision
    again, entry = None, None
    if isinstance(decision, Retry):
        again = Again(decision.body, front=True, at=decision.at)
    if again is None or (isinstance(decision, Retry) and decision.recorded):
        entry = entry_for(task, crash, decision, broker.now())
    by_queue = isinstance(decision, Fail | Quarantine) and decision.by_queue
    became: Literal["retried", "failed"] = "failed" if again is None else "retried"
    context = task.context() if task.problem is None and task.definition is not None else None
    settled = Settled(info.job, became, crash, decision, context=context)
    if again is not None:
        tools.hooks.tell_quietly("settling", settled)
    if not broker.recover(info, entry, again=again, by_queue=by_queue):
        if again is not None:
            tools.hooks.tell_quietly("settled", settled._replace(outcome="refused"))
        return None
    return Recovery(became, task, settled)


def entry_for(task: Task, cause: ErrorRecord | Crash, decision: Decision, failed_at: float) -> bytes:
    """The entry of the failed list for a job that did not end well."""
    held = task.reservation
    failure = Failure(task.payload, held.body, held.queue, held.worker, cause, held.run_at, failed_at)
    return failed_entry.encode(failure, quarantined=decision.reason if isinstance(decision, Quarantine) else "")
