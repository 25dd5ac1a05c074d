"""What happens in a scheduler, as records; `taskq.scheduler.report` makes lines and the title of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from taskq import events
from taskq.recurring_jobs import ListedSchedule

__all__ = [
    "Buried", "Event", "Failed", "Fired", "Loaded", "Moved", "Rerouted", "Shown", "Skipped", "StandingBy", "Starting",
    "Stopped", "Tell", "TookOver", "Unknown",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Starting:
    """A scheduler begins, and is called this."""

    scheduler: str


@dataclass(frozen=True, slots=True)
class TookOver:
    """It has the lock from now on."""

    scheduler: str
    schedules: int


@dataclass(frozen=True, slots=True)
class StandingBy:
    """Another one has the lock. `lost` where this one had it; `foreign` where that is no scheduler of taskq's."""

    holder: str
    lost: bool
    foreign: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """The one that has the lock has not these recurring jobs of this one, or others of their names."""

    holder: str
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What recurs was read, or read again; `problems` are those that cannot be."""

    schedules: int
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Moved:
    """So many jobs that were due are in their queues now."""

    jobs: int


@dataclass(frozen=True, slots=True)
class Fired:
    """A recurring job was enqueued for its tick, `late` seconds after it."""

    name: str
    job: str
    queue: str
    tick: float
    late: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """A tick of a recurring job passed without it."""

    name: str
    tick: float
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A recurring job could not be enqueued."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Rerouted:
    """A delayed job that said no queue went into its job's own."""

    job: str
    queue: str


@dataclass(frozen=True, slots=True)
class Buried:
    """A delayed job that was due and could not be moved is in the failed list."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Somebody asked what recurs."""

    schedules: Sequence[ListedSchedule]
    now: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """It has ended, and given back the lock where it had it."""


Event: TypeAlias = (
    Starting
    | TookOver
    | StandingBy
    | Unknown
    | Loaded
    | Moved
    | Fired
    | Skipped
    | Failed
    | Rerouted
    | Buried
    | Shown
    | Stopped
    | events.Event
)

Tell: TypeAlias = Callable[[Event], None]
"""Takes an event. It must not raise."""
