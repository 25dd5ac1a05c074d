"""What travels, is held, has failed: one frozen record a stage of a job's life.

Each field says its unit and who sets it. Times are unix seconds by the broker's clock unless a field says otherwise.
This module knows neither JSON nor any backend.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

__all__ = [
    "JSON",
    "Again",
    "Cancelled",
    "Crash",
    "Ended",
    "ErrorRecord",
    "Paused",
    "Payload",
    "ProcessIdentity",
    "Promoted",
    "Registration",
    "Reservation",
    "Reserved",
    "ScheduledJob",
    "Stats",
    "StoredFailure",
    "Taken",
    "Token",
    "Tokens",
    "WorkerInfo",
]

_Exceptions: TypeAlias = type[BaseException]  # spelled out here: a record below has a field named `type`

if TYPE_CHECKING:
    from dataclasses import dataclass as quick
else:

    def quick(*, frozen, slots, order=False):
        """For what is made at every job: frozen to type checkers only. Kept so at run time each field costs 0.1 us."""
        return dataclass(slots=slots, order=order, unsafe_hash=frozen)


JSON: TypeAlias = "None | bool | int | float | str | list[JSON] | dict[str, JSON]"


@quick(frozen=True, slots=True)
class Payload:
    """What travels from `enqueue` to `perform`.

    Attributes:
        job: the job's name on the wire, the key `class`.
        args: its positional arguments, the key `args`.
        extra: every other key it came with, in order. Ruby drops these on requeue, so nothing that changes what a
            job does may live there.
    """

    job: str
    args: tuple[object, ...]
    extra: Mapping[str, JSON] = field(default_factory=dict)


@quick(frozen=True, slots=True, order=True)
class Token:
    """What a worker's changing call carries, so that it can be asked again when its answer was lost.

    Attributes:
        process: 8 hex digits, random for each registration. A call under another process's part is nobody's.
        number: counts up by one a call. A call with a smaller number than the last one is late and changes nothing.
    """

    process: str
    number: int

    def __str__(self) -> str:
        return f"{self.process}{self.number:08x}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """The token whose `str` is `text`. Raises ValueError where it is none."""
        if len(text) != 16:
            raise ValueError(f"a token has 16 hex digits, not {text!r}")
        return cls(text[:8], int(text[8:], 16))


class Tokens:
    """Makes the tokens of one registration, in order. Not thread-safe: a worker makes one call at a time."""

    __slots__ = ("_number", "process")

    def __init__(self) -> None:
        self.process = os.urandom(4).hex()
        self._number = 0

    def next(self) -> Token:
        """The token for the next changing call. Ask again with the same token, never with a new one."""
        self._number += 1
        return Token(self.process, self._number)


@quick(frozen=True, slots=True)
class Reservation:
    """A job that a worker holds: taken from its queue, not yet settled.

    Attributes:
        worker: the id of the worker that holds it.
        queue: the queue it was taken from.
        body: its payload, as the bytes that were pushed.
        fence: token of the reserving call and the place in its batch, `0123456789abcdef:0001`. Unique; only who
            shows it settles the reservation.
        run_at: when it was reserved.
        started: False for a job that was reserved ahead of its turn and has not begun.
    """

    worker: str
    queue: str
    body: bytes
    fence: str
    run_at: float
    started: bool = True


@quick(frozen=True, slots=True)
class Reserved:
    """What a `reserve` answers.

    Attributes:
        jobs: what the worker now holds, first to perform first; empty where no queue had a job, or all are paused.
        settled: False where a reservation that was to be settled had been settled by someone else; then nothing was
            changed and nothing reserved. True otherwise, also where nothing was to be settled.
        held: True where the worker held something already and nothing was popped: `jobs` is that.
    """

    jobs: tuple[Reservation, ...] = ()
    settled: bool = True
    held: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """How a job goes back, to be performed again.

    Attributes:
        body: the bytes that go back; None for those it came with.
        front: ahead of what waits in its queue, instead of behind.
        at: when, unix seconds: until then it waits among the delayed jobs (capability DELAY); None for at once.
    """

    body: bytes | None = None
    front: bool = True
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job that waits for a time, as it lies there.

    Attributes:
        at: when it goes into its queue. A backend may keep whole seconds only; then a time is rounded up, so that no
            job begins before its time.
        queue: where it goes; empty where another program wrote it and did not say.
        body: its payload, as the bytes that were given: what `push` will push.
        raw: its bytes as they lie in the store, where those differ; what it is addressed by, together with `at`.
    """

    at: float
    queue: str
    body: bytes
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a `promote_due` did.

    Attributes:
        moved: how many jobs went into their queues.
        holder: whose the scheduler's lock is; nothing was moved where it is not who asked. Empty where nobody's.
        stuck: jobs that are due and cannot be moved: another program wrote them, and they say no queue or are no
            payload. They stay where they are until `promote` or `bury` takes them away.
        more: whether there may be more that are due.
    """

    moved: int
    holder: str
    stuck: tuple[ScheduledJob, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What a `take_key` answers.

    Attributes:
        key: which of the keys was set; None where all of them were there.
        value: the value that the first of them has then: the given one, or the one that was there.
        left: seconds until the first of them expires by itself; 0 where one was set.
    """

    key: str | None
    value: bytes
    left: float = 0.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What another process needs to say whether this one still lives.

    Attributes:
        host: the real host name, whatever the worker's id says.
        boot: an id of this boot of the machine; empty where it cannot be told.
        namespace: an id of the pid namespace; empty where it cannot be told.
        pid: the process id within that namespace.
        started: the process's start, in a unit of the platform's own; only compared for equality. Empty if unknown.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class Registration:
    """What a worker says of itself when it registers.

    Attributes:
        worker: its id, `host:pid:queue,queue`: the queue list as given, without exclusions (WIRE.md section 3).
        process: who that is.
        dead_after: seconds of silence after which others may take its jobs.
        beat: seconds between its heartbeats.
        process_token: the `process` part of all its tokens.
        requeues: its jobs that go back to their queue when it dies with them, and how often: for a finder that does
            not know them. A name may be an alias.
        hidden: it is one of so many in its process that other programs, which see the jobs in hand of 32, are not
            told of it.
    """

    worker: str
    process: ProcessIdentity
    dead_after: float
    beat: float
    process_token: str
    requeues: Mapping[str, int] = field(default_factory=dict)
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as the broker knows it, seen at one moment.

    Attributes:
        id: its id, whatever it is: other programs' ids need not have three parts.
        registered: False for one of which only a trace is left: a heartbeat, a job in hand.
        heartbeat: its last heartbeat, by the broker's clock; None if it never beat, or what is there is no time.
        started: when it registered; None where that is not known.
        job: what it has in hand; None where it is idle. For a worker of another program the fence is empty.
        ahead: what it reserved and has not begun, first first.
        processed: jobs it settled since it registered.
        failed: those of them that failed.
        registration: what it said of itself; None for a worker of another program.
        raw: what the backend needs to see whether anything changed since; opaque.
    """

    id: str
    registered: bool
    heartbeat: float | None
    started: float | None
    job: Reservation | None
    ahead: tuple[Reservation, ...]
    processed: int
    failed: int
    registration: Registration | None
    raw: bytes = b""

    @property
    def host(self) -> str:
        """The host part of the id, as Ruby splits it: at the first colon."""
        return self.id.split(":", 2)[0]

    @property
    def pid(self) -> int | None:
        """The pid part of the id; None where there is none or it is no number (WIRE.md section 3)."""
        parts = self.id.split(":", 2)
        return int(parts[1]) if len(parts) > 1 and parts[1].isascii() and parts[1].isdigit() else None

    @property
    def queues(self) -> tuple[str, ...]:
        """The queue part of the id, split at commas."""
        parts = self.id.split(":", 2)
        return tuple(parts[2].split(",")) if len(parts) > 2 else ()


@dataclass(frozen=True, slots=True)
class Paused:
    """What is paused: everything, as Ruby's operators do it, or single queues, which only taskq knows."""

    all: bool = False
    queues: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stats:
    """The totals that the broker keeps. A failed job counts as processed too (WIRE.md section 4, step 7)."""

    processed: int
    failed: int


@dataclass(frozen=True, slots=True)
class StoredFailure:
    """An entry of a failed list, as it lies there.

    Attributes:
        position: its place in the list when it was read, 0 the oldest. It shifts as others remove.
        entry: its bytes; what it is addressed by.
        queue: whose failed list it is in; None for the common one.
    """

    position: int
    entry: bytes
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An exception, as it crosses from process to process and into the failed list: text, never the object.

    Attributes:
        type: the class's qualified name; no module for built-ins.
        message: what it says; the class's name where it says nothing.
        backtrace: the frames as `file:line:in 'function'`, the application's own only, innermost first (Ruby's form).
        traceback: the traceback as Python prints it.
        kinds: the names of its class and of all that this derives from, the most particular first, module and all.
    """

    type: str
    message: str
    backtrace: tuple[str, ...] = ()
    traceback: str = ""
    kinds: tuple[str, ...] = ()

    def is_a(self, kind: _Exceptions) -> bool:
        """Whether the exception was of this class or of one that derives from it, told by names."""
        return f"{kind.__module__}.{kind.__qualname__}" in self.kinds


Cancelled: TypeAlias = Literal["removed", "stopping", "gone"]
"""What became of a request to cancel a job: it waited and was taken away; it is in a worker's hand, which was told to
end it; there is no such job any more.
"""

Ended: TypeAlias = Literal["", "shutdown", "kill", "timeout", "cancel"]
"""Why taskq itself ended a process: the time that a stopping worker gave its job was over, somebody asked for it at the
worker (USR1), the job went over its own time limit, somebody cancelled it; empty where it did not.
"""


@dataclass(frozen=True, slots=True)
class Crash:
    """An end that is neither return nor exception: the process that performed is gone.

    Attributes:
        pid: the process that died; None where that is not known.
        signal: the signal that killed it; None if none did.
        status: its exit status; None if a signal killed it, or nobody saw it end.
        worker_lost: True where the whole worker died and another process found what it left.
        last_heartbeat: of a lost worker; None if it never beat or lived.
        ended: why taskq itself ended it; empty where it did not.
        limit: the time limit that it went over, in seconds; None where it was not for that.
        by: who cancelled it; empty where nobody did.
    """

    pid: int | None = None
    signal: int | None = None
    status: int | None = None
    worker_lost: bool = False
    last_heartbeat: float | None = None
    ended: Ended = ""
    limit: float | None = None
    by: str = ""
