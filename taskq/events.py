"""What happens in a worker, as records.

Parts tell; `worker.report` makes Resque's log lines and process titles of them. Whoever observes (metrics, tracing)
hears the same ones. No part logs, sets a title or looks at a clock for a log's sake.

Those that every job has are named tuples, made in half the time of a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from taskq.errors import ConfigurationError
from taskq.hook import Settled
from taskq.outcome import Outcome
from taskq.performing import Task
from taskq.records import Ended

__all__ = [
    "BrokerBack",
    "BrokerLost",
    "Changed",
    "ChildEnding",
    "Chose",
    "Doubled",
    "Empty",
    "Event",
    "Exiting",
    "Forked",
    "Found",
    "Heard",
    "Listening",
    "LoopStands",
    "LoopTurns",
    "Paused",
    "Performed",
    "PoolKept",
    "PoolRead",
    "Pruned",
    "Recovered",
    "Registered",
    "Resumed",
    "Scaled",
    "SettledJob",
    "SettlingJob",
    "Starting",
    "Stopping",
    "Tell",
    "Warned",
]


@dataclass(frozen=True, slots=True)
class Starting:
    """A worker process begins; it has no id yet."""


@dataclass(frozen=True, slots=True)
class Chose:
    """The execution model, in words a person reads, and why where it was not asked for. `usual` is Resque's own."""

    model: str
    reason: str = ""
    usual: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """Signals are heard from now on."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The broker knows the worker under this id. `again` where it was `Pruned`."""

    worker: str
    again: bool = False


class Found(NamedTuple):
    """A job was reserved. `looked_at` are the queues up to the one that had it."""

    task: Task
    looked_at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    """No queue had a job; the next look is in `seconds` at the latest, None where there is none: the worker ends.

    `title` is the queue list to show.
    """

    looked_at: tuple[str, ...]
    seconds: float | None
    title: str


@dataclass(frozen=True, slots=True)
class Forked:
    """A child performs the job in hand."""

    pid: int


@dataclass(frozen=True, slots=True)
class ChildEnding:
    """A child is being ended: by this signal, or, with None, it is given `seconds` to end by itself.

    `after_term` where it was told to end, and did not. `why` says why the job in hand is killed with it, where that was
    not said before; `seconds` is then what that job was given.
    """

    pid: int
    signal: int | None = None
    seconds: float = 0.0
    after_term: bool = False
    why: Ended = ""


class Performed(NamedTuple):
    """A job came to an end, and is not settled yet."""

    task: Task
    outcome: Outcome


class SettledJob(NamedTuple):
    """The broker was told, and answered."""

    task: Task
    settled: Settled


@dataclass(frozen=True, slots=True)
class SettlingJob:
    """The broker is about to be told that a job goes back; `settled` says how. It may yet be refused."""

    task: Task
    settled: Settled


@dataclass(frozen=True, slots=True)
class GaveBack:
    """So many jobs that were taken ahead of their turn, and had not begun, are back at the front of their queues."""

    jobs: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A signal came, or its like from the supervisor."""

    signal: int


@dataclass(frozen=True, slots=True)
class Doubled:
    """A signal was heard twice within a second, which counts once."""

    signal: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker takes no more jobs. `seconds` is what the job in hand is given; None for as long as it takes."""

    seconds: float | None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Paused:
    """The worker takes no more jobs until told to go on."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """It goes on."""


@dataclass(frozen=True, slots=True)
class BrokerLost:
    """The broker does not answer. At the start `tries` counts up and `again_in` says when the next one is.

    `trouble` where it answers, and something that it holds must be mended first: then `reason` is a whole sentence.
    `held` where the worker's next job waits for that, and not only what it does beside its jobs.
    """

    reason: str
    tries: int = 0
    again_in: float = 0.0
    in_hand: bool = False
    trouble: bool = False
    held: bool = True


@dataclass(frozen=True, slots=True)
class BrokerBack:
    """It answers again, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """This worker is not registered any more: it was taken for dead, or the broker lost its data."""

    worker: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """A dead worker's leavings were settled by this one. `became` says what of its job: "" where it had none."""

    worker: str
    why: str
    became: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know; a whole sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """A supervisor has other many workers from now on, and why. `crew` is empty where it has one kind of them.

    `count` is the range that they were given.
    """

    crew: str
    before: int
    now: int
    count: str
    reason: str


@dataclass(frozen=True, slots=True)
class PoolRead:
    """A pool's file was read again, and its groups are as it says from now on.

    Groups that were added or changed stand here with what they are now.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PoolKept:
    """A pool's file was read again, and cannot be: all stays as it was."""

    error: ConfigurationError


@dataclass(frozen=True, slots=True)
class Changed:
    """Files of the application changed: its worker ends, and another starts."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoopStands:
    """The event loop has not turned for so many seconds: something on it computes, or waits without `await`.

    Attributes:
        task: the job whose doing it is; None where that cannot be told.
        seconds: since when.
        stack: where it is, as `file:line in function: source`, the outermost first.
    """

    task: Task | None
    seconds: float
    stack: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoopTurns:
    """It turns again, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exiting:
    """The worker is gone from the broker, and the process ends."""


Event: TypeAlias = (
    Starting
    | Chose
    | Listening
    | Registered
    | Found
    | Empty
    | Forked
    | ChildEnding
    | Performed
    | SettlingJob
    | SettledJob
    | GaveBack
    | Heard
    | Doubled
    | Stopping
    | Paused
    | Resumed
    | BrokerLost
    | BrokerBack
    | Pruned
    | Recovered
    | Warned
    | Scaled
    | LoopStands
    | LoopTurns
    | PoolRead
    | PoolKept
    | Changed
    | Exiting
)

Tell: TypeAlias = Callable[[Event], None]
"""Who is told. It must not raise."""
