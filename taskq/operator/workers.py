"""Workers as an operator sees them: where, doing what, since when; whether one looks dead, and what becomes of its job.

The rules by which a worker is dead are those of the workers themselves (`taskq.judging`), and so is what happens to its
jobs (`taskq.recovering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from taskq import crashes
from taskq.broker import Broker
from taskq.judging import DEAD_AT_START, Judge, Verdict
from taskq.records import WorkerInfo
from taskq.showing import Showing

__all__ = ["Pruned", "State", "WorkerState", "state_of"]

State: TypeAlias = Literal["working", "idle", "silent", "dead", "not registered"]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker, seen at one moment.

    Attributes:
        info: what the broker knows of it.
        state: what it does; `silent` where it has sent no heartbeat for too long, `dead` where that is sure.
        host: the real name of its host, where it said so; else the host part of its id.
        since: since when it has its job in hand, unix seconds; None where it is idle.
        heartbeat_age: seconds since its last heartbeat; None where it never beat.
        why_dead: why it looks dead; empty where it does not.
        sure_in: seconds after which another look can be sure that it is; 0 where it is sure, or does not look dead.
        unheard: whether it has never sent a heartbeat that can be read, long after it began, and nobody can tell
            whether it lives: some programs' workers send none.
        becomes: what becomes of its jobs when it is pruned, in a sentence.
    """

    info: WorkerInfo
    state: State
    host: str
    since: float | None
    heartbeat_age: float | None
    why_dead: str
    sure_in: float
    unheard: bool
    becomes: str

    @property
    def looks_dead(self) -> bool:
        """Whether it looks dead, be it sure or not."""
        return bool(self.why_dead)

    @property
    def sure(self) -> bool:
        """Whether it is dead for sure, and may be pruned."""
        return bool(self.why_dead) and self.sure_in <= 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of pruning a worker.

    Attributes:
        done: whether it was pruned by this call.
        became: what became of the job in its hand; empty where it had none, or nothing was done.
        said: what happened, in a sentence.
    """

    done: bool
    became: Literal["", "retried", "failed"]
    said: str


def state_of(info: WorkerInfo, broker: Broker, judge: Judge, showing: Showing) -> WorkerState:
    """A worker as it stands now."""
    verdict = judge.judge(info, as_ruby=True)
    host = info.registration.process.host if info.registration is not None else info.host
    return WorkerState(
        info=info,
        state=_state(info, verdict),
        host=host,
        since=info.job.run_at if info.job is not None else None,
        heartbeat_age=None if info.heartbeat is None else max(broker.now() - info.heartbeat, 0.0),
        why_dead=verdict.why,
        sure_in=verdict.sure_in,
        unheard=_unheard(info, verdict, broker.now()),
        becomes=_becomes(info, showing),
    )


def _state(info: WorkerInfo, verdict: Verdict) -> State:
    if verdict.dead:
        return "dead"
    if not info.registered:
        return "not registered"
    if verdict.why:
        return "silent"
    return "working" if info.job is not None else "idle"


def _unheard(info: WorkerInfo, verdict: Verdict, now: float) -> bool:
    if not info.registered or info.heartbeat is not None or verdict.why:
        return False
    given = DEAD_AT_START if info.registration is None else info.registration.dead_after
    return info.started is None or now - info.started > given


def _becomes(info: WorkerInfo, showing: Showing) -> str:
    said: Sequence[str] = [_in_hand(info, showing)] if info.job is not None else []
    if info.ahead:
        queues = ", ".join(dict.fromkeys(job.queue for job in info.ahead))
        some = "1 job that it" if len(info.ahead) == 1 else f"{len(info.ahead)} jobs that it"
        said = [*said, f"{some} held ahead would go back to the front of {queues}."]
    return " ".join(said) or "It holds no job."


def _in_hand(info: WorkerInfo, showing: Showing) -> str:
    assert info.job is not None
    payload = showing.read(info.job.body).payload
    name = payload.job if payload is not None else "What it has in hand"
    requeues = info.registration.requeues if info.registration is not None else {}
    times = requeues.get(name, 0) if payload is not None else 0
    if payload is not None and crashes.count(payload) < times:
        return f"{name} would go back to the front of {info.job.queue}, as its on_crash says."
    return f"{name} would go to the failed list, unless a failure handler says otherwise."
