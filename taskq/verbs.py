"""The verbs of the application in force, at the level of the module: `taskq.enqueue(...)`, `taskq.size("emails")`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from taskq.app import Info, TaskQ
from taskq.application import current_app
from taskq.delayed_jobs import Delayed
from taskq.hook import Accepted, Enqueued
from taskq.jobs import Call, Verbs
from taskq.records import Cancelled, WorkerInfo
from taskq.showing import DecodedJob

__all__ = [
    "call",
    "cancel",
    "delayed",
    "dequeue",
    "enqueue",
    "enqueue_at",
    "enqueue_in",
    "enqueue_many",
    "enqueue_to",
    "info",
    "options",
    "pause",
    "peek",
    "queues",
    "remove_queue",
    "size",
    "sizes",
    "unpause",
    "workers",
    "working",
]


class _InForce(Verbs):
    __slots__ = ()

    def _application(self) -> TaskQ:
        return current_app()


_in_force: Final = _InForce()

# Bound methods, so that each signature, with its overloads, is written once.
enqueue = _in_force.enqueue
enqueue_to = _in_force.enqueue_to
enqueue_in = _in_force.enqueue_in
enqueue_at = _in_force.enqueue_at
dequeue = _in_force.dequeue
call = _in_force.call
options = _in_force.options

delayed: Final = Delayed(current_app)
"""The delayed jobs of the application in force."""


def enqueue_many(calls: Iterable[Call]) -> list[Enqueued]:
    """Enqueue many calls with one round trip a queue; see `TaskQ.enqueue_many`."""
    return current_app().enqueue_many(calls)


def cancel(
    job: Accepted | Call | str | None = None, /, *, worker: str | None = None, queue: str | None = None, by: str = ""
) -> Cancelled:
    """Cancel one job, waiting or running; see `TaskQ.cancel`."""
    return current_app().cancel(job, worker=worker, queue=queue, by=by)


def size(queue: str) -> int:
    """How many jobs wait in a queue; 0 for one that is not there."""
    return current_app().size(queue)


def sizes(queues: Sequence[str] | None = None) -> Mapping[str, int]:
    """How many jobs wait in each of these queues; None for every queue there is."""
    return current_app().sizes(queues)


def queues() -> Sequence[str]:
    """The names of all queues, sorted."""
    return current_app().queues()


def peek(queue: str, start: int = 0, count: int = 1) -> list[DecodedJob]:
    """Jobs that wait, from position `start`, removing none; see `TaskQ.peek`."""
    return current_app().peek(queue, start, count)


def remove_queue(queue: str) -> int:
    """Remove a queue and every job that waits in it. How many there were."""
    return current_app().remove_queue(queue)


def pause(queue: str | None = None) -> None:
    """Let workers take nothing more from this queue; with None from any. Jobs in hand go on."""
    current_app().pause(queue)


def unpause(queue: str | None = None) -> None:
    """Undo `pause` of the same."""
    current_app().unpause(queue)


def workers() -> list[WorkerInfo]:
    """Every registered worker, other programs' too, sorted by id."""
    return current_app().workers()


def working() -> list[WorkerInfo]:
    """Those that have a job in hand."""
    return current_app().working()


def info() -> Info:
    """The figures at a glance; see `TaskQ.info`."""
    return current_app().info()
