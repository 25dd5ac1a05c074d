"""What a job can ask of the performing that it is a part of: `taskq.current()`, and what it can tell: its progress.

Kept in a context variable, so each thread's, each task's and each child's job has its own. What a job starts sees it
too where that runs in the job's context: `asyncio` tasks, `asyncio.to_thread`. This module knows no broker and no hook.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from taskq.errors import NotInJob
from taskq.records import Payload

__all__ = ["ID", "Current", "current", "id_of", "performing", "progress"]

ID: Final = "taskq:id"
"""The further key of a payload that tells one job from another of equal arguments, where somebody asked for that."""


def id_of(payload: Payload) -> str | None:
    """A job's own id; None where it has none, or Ruby dropped it."""
    found = payload.extra.get(ID)
    return found if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class Current:
    """The performing of one job.

    Attributes:
        job: its name on the wire.
        queue: the queue that it was taken from.
        worker: the id of the worker that holds it; `inline` where `enqueue` itself performs it.
        attempt: how many times it has been performed, this time included, as far as its payload tells: 1 at first.
        id: its own id; None where nobody asked for one (see `taskq_results`).
        deadline: when its time limit is over, by `time.monotonic()`; None where it has none.
        run_at: when it was reserved, unix seconds by the broker's clock.
    """

    job: str
    queue: str
    worker: str
    attempt: int
    id: str | None
    deadline: float | None
    run_at: float
    _tell: Callable[[float, float | None], None] = field(repr=False, compare=False)

    @property
    def seconds_left(self) -> float | None:
        """What is left of its time limit, 0 where that is over; None where it has none."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)


performing: Final[ContextVar[Callable[[], Current] | None]] = ContextVar("taskq_performing", default=None)
"""What tells of the job that is performed in this context, if one is. Whoever performs sets it. Few jobs ask, so it is
made only then: it takes 2 us.
"""


def current() -> Current:
    """The job in which this is called.

    Raises:
        NotInJob: it is called in none.
    """
    found = performing.get()
    if found is None:
        raise NotInJob
    return found()


def progress(done: float, total: float | None = None) -> None:
    """Say how far the job has come, in which this is called: `taskq.progress(3, 10)`.

    Told to the hooks that listen (`progressed`); with none it costs next to nothing, and so it does outside of a job,
    so that the same code can run without taskq.

    Args:
        done: how much is done.
        total: out of how much; None where that is not known.

    Raises:
        ValueError: one of them is no finite number, or less than 0.
    """
    for value in (done, total):
        if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
            raise ValueError(f"taskq.progress(done, total) takes numbers of at least 0, not {value!r}.")
    found = performing.get()
    if found is not None:
        found()._tell(done, total)  # noqa: SLF001 - the other half of the same thing
