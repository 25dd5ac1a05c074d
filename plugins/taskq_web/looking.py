"""What several pages see: the jobs in hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskq.records import Reservation, WorkerInfo

if TYPE_CHECKING:
    from taskq import DecodedJob, TaskQ
    from taskq.operator import WorkerState

__all__ = ["InHand", "in_hand"]


@dataclass(frozen=True, slots=True)
class InHand:
    """A job that is being performed, and by whom; `mark` is `silent` or `dead` where that worker looks dead."""

    worker: WorkerInfo
    held: Reservation
    read: DecodedJob
    mark: str


def in_hand(
    app: TaskQ, workers: Iterable[WorkerState], *, start: int = 0, count: int | None = None
) -> Sequence[InHand]:
    """The jobs that these workers have in hand, the one that takes longest first; of them, those that are shown."""
    held = [(worker, worker.info.job) for worker in workers if worker.info.job is not None]
    held.sort(key=lambda each: (each[1].run_at, each[0].info.id))
    shown = held[start:] if count is None else held[start : start + count]
    return [
        InHand(worker.info, job, app.read(job.body), worker.state if worker.looks_dead else "") for worker, job in shown
    ]
