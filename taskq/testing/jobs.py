"""What a test looks at: a job that waits, and a job that was performed, with arguments by the names of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from taskq.app import TaskQ
from taskq.definition import JobDefinition
from taskq.records import Crash, ErrorRecord, Payload, ScheduledJob

__all__ = ["DelayedJob", "EnqueuedJob", "Outcome", "PerformedJob", "by_parameter", "delayed_job", "enqueued_job"]

Outcome: TypeAlias = Literal["done", "failed", "retried", "discarded", "postponed", "refused"]


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """A job that waits in a queue.

    Attributes:
        name: its name on the wire; `No Name` where the bytes are no payload.
        queue: where it waits.
        arguments: what it will be performed with, by parameter, defaults included. Where the job is not registered
            here they are `args[0]`, `args[1]`, ...
        shown: the same as it may be shown: secret ones as `[secret]`.
        body: its payload, as the bytes that were pushed.
    """

    name: str
    queue: str
    arguments: Mapping[str, object] = field(repr=False)
    shown: Mapping[str, object]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DelayedJob:
    """A job that waits for its time.

    Attributes:
        name: its name on the wire; `No Name` where the bytes are no payload.
        queue: where it goes then; empty where another program delayed it and did not say.
        arguments: what it will be performed with, by parameter, defaults included; see `EnqueuedJob`.
        shown: the same as it may be shown: secret ones as `[secret]`.
        at: its time, in UTC. A backend may keep whole seconds, and rounds up.
        body: its payload, as the bytes that were given.
    """

    name: str
    queue: str
    arguments: Mapping[str, object] = field(repr=False)
    shown: Mapping[str, object]
    at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PerformedJob:
    """A job that was performed.

    Attributes:
        name: its name on the wire.
        queue: where it was taken from.
        arguments: what it was performed with, by parameter, defaults included.
        shown: the same as it may be shown: secret ones as `[secret]`.
        outcome: what became of it: "done", "failed", "retried", "discarded", "postponed", or "refused" where
            somebody else had settled it.
        error: what it raised; None where it did not.
        cause: the same as the failed list has it, or how its process died; None where it is done.
    """

    name: str
    queue: str
    arguments: Mapping[str, object] = field(repr=False)
    shown: Mapping[str, object]
    outcome: Outcome
    error: BaseException | None = None
    cause: ErrorRecord | Crash | None = None


def enqueued_job(app: TaskQ, queue: str, body: bytes) -> EnqueuedJob:
    """What the bytes in a queue say, as far as they can be read."""
    decoded = app.read(body)
    if decoded.payload is None:
        return EnqueuedJob("No Name", queue, {}, {}, body)
    definition = app.registry.find(decoded.payload.job)
    arguments, shown = by_parameter(definition, decoded.payload, decoded.shown)
    return EnqueuedJob(decoded.payload.job, queue, arguments, shown, body)


def delayed_job(app: TaskQ, stored: ScheduledJob) -> DelayedJob:
    """What the bytes among the delayed jobs say, as far as they can be read."""
    job = enqueued_job(app, stored.queue, stored.body)
    at = datetime.fromtimestamp(stored.at, UTC)
    return DelayedJob(job.name, job.queue, job.arguments, job.shown, at, job.body)


def by_parameter(
    definition: JobDefinition | None, payload: Payload, shown: Sequence[object]
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """The arguments of a payload by parameter, and the same as they may be shown."""
    if definition is None:
        return _by_place(payload.args), _by_place(shown)
    signature = definition.signature
    arguments = signature.named(payload.args)
    # What was left out has its default, which nobody marked as secret, for it stands in the source.
    return arguments, {**arguments, **signature.named(tuple(shown))}


def _by_place(args: Sequence[object]) -> dict[str, object]:
    return {f"args[{place}]": value for place, value in enumerate(args)}
