"""What several pages see: who works, who is silent, who serves a queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from taskq import ConfigurationError
from taskq.queue_lists import parse
from taskq.records import Reservation, WorkerInfo

if TYPE_CHECKING:
    from taskq import DecodedJob, TaskQ

__all__ = ["InHand", "in_hand", "is_silent", "serving", "state_of"]

_SILENCE: Final = 300.0  # what a worker that said nothing is given (WIRE.md section 8)


@dataclass(frozen=True, slots=True)
class InHand:
    """A job that is being performed, and by whom."""

    worker: WorkerInfo
    held: Reservation
    read: DecodedJob


def in_hand(app: TaskQ, workers: Sequence[WorkerInfo]) -> Sequence[InHand]:
    """The jobs that these workers have in hand, the one that takes longest first."""
    found = [InHand(worker, worker.job, app.read(worker.job.body)) for worker in workers if worker.job is not None]
    return sorted(found, key=lambda each: (each.held.run_at, each.worker.id))


def serving(workers: Sequence[WorkerInfo], queues: Sequence[str]) -> dict[str, int]:
    """How many of these workers serve each queue, as far as their ids say it."""
    served = dict.fromkeys(queues, 0)
    for worker in workers:
        try:
            taken = parse(worker.queues).expand(queues)
        except ConfigurationError:  # some other program's id
            continue
        for queue in served.keys() & taken:
            served[queue] += 1
    return served


def is_silent(worker: WorkerInfo, now: float) -> bool:
    """Whether it sent no heartbeat for so long that others may take its jobs."""
    patience = worker.registration.dead_after if worker.registration is not None else _SILENCE
    return worker.heartbeat is not None and now - worker.heartbeat > patience


def state_of(worker: WorkerInfo, now: float) -> Literal["working", "idle", "silent", "not registered"]:
    """What a worker does, in a word."""
    if not worker.registered:
        return "not registered"
    if is_silent(worker, now):
        return "silent"
    return "working" if worker.job is not None else "idle"
