"""Every exception that taskq raises, under one `TaskqError`.

    TaskqError
    ├── ConfigurationError          what was configured cannot be; all that is wrong, at once
    │   └── PluginError             a plugin is missing, broken, doubled, or needs an extra
    ├── JobDefinitionError          a job cannot be defined as it was written
    │   ├── DuplicateJob            two jobs of one name
    │   └── UnknownOption           an option that neither taskq nor an enabled hook knows
    ├── EnqueueError                nothing was enqueued
    │   ├── NotAJob                 what was given is no job
    │   ├── WrongCall               the arguments do not fit the job's signature
    │   ├── UnserializableArgument  an argument would not come back as it was sent
    │   ├── PayloadTooLarge         over the limit `max_payload`
    │   ├── WrongConnection         `options(connection=...)` was given one that cannot be had
    │   └── WrongTime               a time that a job cannot wait for: without a zone, or no time at all
    ├── InvalidPayload              bytes in a queue that are no payload
    ├── UnknownJob                  a payload names a job that is not registered here
    ├── BrokerError
    │   ├── BrokerUnavailable       away for now: the same call may succeed later
    │   │   └── BrokerInTrouble     it answers, and cannot do it until somebody mends what it holds
    │   ├── BrokerRefused           wrong credentials or rights: it will not succeed later
    │   ├── NotRegistered           this worker is not, or no longer, registered
    │   └── NotSupported            the backend has not this capability
    ├── NotNow                      raised around or in a job: it is to be performed later
    ├── NotInJob                    `taskq.current()` was called outside of a job
    ├── DirtyExit                   what `on_failure` gets where a job's process died
    └── DontPerform                 raised by a `before_perform` method: end this job quietly

    TermException and JobTimeout (each a BaseException) raised in a job that is told to end, or whose time is over;
    JobCancelled, a TermException, in one whose end somebody asked for

Each class keeps its facts as fields and builds its message from them, so that no caller parses text.
This module knows nothing of the rest of taskq.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "BrokerError",
    "BrokerInTrouble",
    "BrokerRefused",
    "BrokerUnavailable",
    "ConfigurationError",
    "DirtyExit",
    "DontPerform",
    "DuplicateJob",
    "EnqueueError",
    "InvalidPayload",
    "JobCancelled",
    "JobDefinitionError",
    "JobTimeout",
    "NotAJob",
    "NotInJob",
    "NotNow",
    "NotRegistered",
    "NotSupported",
    "PayloadTooLarge",
    "PluginError",
    "Problem",
    "TaskqError",
    "TermException",
    "UnknownJob",
    "UnknownOption",
    "UnserializableArgument",
    "WrongCall",
    "WrongConnection",
    "WrongTime",
    "nearest",
]


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that a person who typed `name` most likely meant, or None where none is near.

    `cutoff` is how alike they must be; 1 is equal.
    """
    import difflib  # only where somebody mistyped

    folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def _listed(names: Iterable[str], most: int = 12) -> str:
    ordered = sorted(names)
    if not ordered:
        return "none"
    more = f", and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def _meant(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f" Did you mean {near}?" if near is not None and near != name else ""


class TaskqError(Exception):
    """The root of all that taskq raises."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration.

    Attributes:
        setting: the setting's name, as in `configure(...)`.
        source: the place the value came from, as a person would find it: `--interval`, `INTERVAL`, `taskq.toml`.
        message: what is wrong with it and what to write instead.
    """

    setting: str
    source: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


class ConfigurationError(TaskqError):
    """What was configured cannot be. `problems` has every mistake that was found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(ConfigurationError):
    """A plugin is missing, broken, there twice, or needs an extra. One problem a plugin."""


class JobDefinitionError(TaskqError):
    """A job cannot be defined as it was written."""


class DuplicateJob(JobDefinitionError):
    """A second job was defined under a name (or alias) that is taken."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        self.first = first
        self.second = second
        super().__init__(
            f'Two jobs are named "{name}": {first} and {second}. Give one of them another name: @taskq.job(name="...").'
        )


class UnknownOption(JobDefinitionError):
    """An option that neither taskq nor an enabled hook knows."""

    def __init__(
        self,
        option: str,
        known: Iterable[str],
        where: str,
        advice: str = " An option of a hook is known once the hook is enabled: hooks=[...].",
    ) -> None:
        self.option = option
        self.known = tuple(sorted(known))
        self.where = where
        super().__init__(
            f'{where}: unknown option "{option}".{_meant(option, self.known)} Known: {_listed(self.known, 50)}.{advice}'
        )


class EnqueueError(TaskqError):
    """Nothing was enqueued, for the reason that the subclass names."""


@contextmanager
def reworded(*words: tuple[str, str]) -> Iterator[None]:
    """Say an `EnqueueError` in other words, where something else than an enqueue was asked for."""
    try:
        yield
    except EnqueueError as error:
        said = str(error)
        for ours, theirs in words:
            said = said.replace(ours, theirs)
        error.args = (said.rstrip(),)
        raise


class NotAJob(EnqueueError):
    """Something was given as a job that is none."""

    def __init__(self, given: str, hint: str) -> None:
        self.given = given
        super().__init__(f"{given} is not a job. {hint} Nothing was enqueued.")


class WrongCall(EnqueueError):
    """The arguments do not fit the job's signature."""

    def __init__(self, job: str, reason: str, signature: str) -> None:
        self.job = job
        self.reason = reason
        self.signature = signature
        super().__init__(f"{job}() {reason}. Signature: {job}{signature}. Nothing was enqueued.")


class UnserializableArgument(EnqueueError):
    """An argument would not come back as it was sent."""

    def __init__(self, job: str, argument: str, type_name: str, serializer: str, advice: str) -> None:
        self.job = job
        self.argument = argument
        self.type_name = type_name
        self.serializer = serializer
        article = "an" if type_name[:1] in tuple("aeiouAEIOU") else "a"
        super().__init__(
            f'Argument "{argument}" of {job}() is {article} {type_name}, which {serializer} cannot carry. '
            f"{advice} Nothing was enqueued."
        )


class PayloadTooLarge(EnqueueError):
    """The encoded payload is over `max_payload`."""

    def __init__(self, job: str, size: int, limit: int) -> None:
        self.job = job
        self.size = size
        self.limit = limit
        super().__init__(
            f"The payload of {job} has {size:,} bytes; the limit is {limit:,} (max_payload). "
            "Store the data elsewhere and pass its key. Nothing was enqueued."
        )


class WrongConnection(EnqueueError):
    """A connection that `options(connection=...)` was given cannot enqueue in its transaction."""

    def __init__(self, reason: str, advice: str) -> None:
        self.reason = reason
        super().__init__(f"options(connection=...): {reason}. {advice} Nothing was enqueued.")


class WrongTime(EnqueueError):
    """A time that a job cannot wait for: without a zone, or no time at all."""

    def __init__(self, reason: str, advice: str) -> None:
        self.reason = reason
        super().__init__(f"{reason} {advice} Nothing was enqueued.")


class InvalidPayload(TaskqError):
    """Bytes in a queue that are no payload: no JSON, no object, no class, or of a serializer not accepted."""


class UnknownJob(TaskqError):
    """A payload names a job that is not registered in this process."""

    def __init__(self, name: str, queue: str, known: Iterable[str]) -> None:
        self.name = name
        self.queue = queue
        self.known = tuple(sorted(known))
        super().__init__(
            f'Unknown job "{name}" (queue {queue}). Registered: {_listed(self.known)}.'
            f"{_meant(name, self.known)} Its module may not be imported: taskq worker --app yourapp.jobs."
        )


class BrokerError(TaskqError):
    """Something about the broker."""


class BrokerUnavailable(BrokerError):
    """The broker is away for now; the same call may succeed later.

    Attributes:
        address: where it was looked for, without secrets.
        reason: why it did not answer, in a few words.
        sent: "no" if nothing can have reached the broker, "unknown" if it may have.
    """

    def __init__(
        self, address: str, reason: str, *, sent: Literal["no", "unknown"] = "unknown", advice: str = ""
    ) -> None:
        self.address = address
        self.reason = reason
        self.sent: Literal["no", "unknown"] = sent
        super().__init__(f"Cannot reach {address} ({reason}).{' ' + advice if advice else ''}")


class BrokerInTrouble(BrokerUnavailable):
    """The broker answers, but cannot do this: a key holds what it must not, a script is refused.

    Nothing was changed where `sent` is "no". A worker waits until somebody has mended it, and says so; `reason` is the
    whole sentence.
    """

    def __init__(self, address: str, reason: str, *, sent: Literal["no", "unknown"] = "no") -> None:
        super().__init__(address, reason, sent=sent)
        self.args = (reason,)


class BrokerRefused(BrokerError):
    """The broker will not have us: wrong credentials, missing rights. Waiting does not help."""

    def __init__(self, address: str, reason: str, *, advice: str = "") -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"{address} refused: {reason}.{' ' + advice if advice else ''}")


class NotRegistered(BrokerError):
    """A worker asked for a job without being registered: it was pruned, or never registered."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(
            f"Worker {worker} is not registered (any more): it was taken for dead, or the broker lost its data."
        )


class NotSupported(BrokerError):
    """The backend has not what was asked of it."""

    def __init__(self, backend: str, capability: str, advice: str = "") -> None:
        self.backend = backend
        self.capability = capability
        super().__init__(f"The backend {backend} does not support {capability}.{' ' + advice if advice else ''}")


class DontPerform(TaskqError):
    """Raised by a job's `before_perform` method: the job ends quietly, neither performed nor failed."""


class NotNow(TaskqError):
    """Raised by a hook's `wrap_perform`, or in a job: it goes back and is performed later.

    It waits among the delayed jobs meanwhile, in no worker. It counts neither as processed nor as failed, and not as an
    attempt.

    Attributes:
        seconds: how much later.
        reason: why, for the log.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        if not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            raise ValueError(f"NotNow(seconds) takes a number of seconds, 0 or more, not {seconds!r}.")
        self.seconds = float(seconds)
        self.reason = reason
        super().__init__(f"Not now, but in {self.seconds:g} s{f': {reason}' if reason else ''}.")


class NotInJob(TaskqError):
    """`taskq.current()` was called where no job is performed."""

    def __init__(self) -> None:
        super().__init__(
            "taskq.current() tells of the job in which it is called, and this is in none: it is set where a worker, or "
            "enqueue with inline=True, performs a job, and in what that runs in its context."
        )


class DirtyExit(TaskqError):
    """A job's process died: what the job's own `on_failure` methods get in place of an exception."""


class TermException(BaseException):
    """Raised in a job that is told to end now. No `except Exception` swallows it; catch it to clean up, then let it go.

    Resque's own name, and its name in the failed list (WIRE.md section 13).

    Attributes:
        alone: whether somebody asked for the end of this one job (USR1); else its worker ends.
        named: its class's name in the failed list.
    """

    alone: bool = False
    named: str = "Resque::TermException"


class JobCancelled(TermException):
    """Raised in a job whose end somebody asked for, where its process cannot be killed: others are performed in it."""

    alone = True
    named = "taskq.errors.JobCancelled"


class JobTimeout(BaseException):
    """Raised in a job that goes over its time limit. No `except Exception` swallows it; catch it to clean up.

    A job that lets it go fails with it; one that catches it and returns is done all the same.

    Attributes:
        seconds: the limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"The job went over its time limit of {seconds:g} s.")
