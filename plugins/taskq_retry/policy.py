"""What a job says of its retries: how often, how much later each, and after what."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from taskq.errors import InvalidPayload, JobCancelled, JobDefinitionError, JobTimeout
from taskq.failure_handler import Failure
from taskq.job_options import option_value
from taskq.records import Crash, ErrorRecord
from taskq.spans import is_seconds

__all__ = ["Exponential", "Retry"]

_ATTEMPTS: Final = 5  # where nothing else says how often


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


@option_value
@dataclass(frozen=True, slots=True)
class Exponential:
    """Delays that grow: `first` seconds, then each time `factor` times as long, `max` at most.

    Attributes:
        first: seconds before the second attempt.
        factor: what each delay is multiplied by for the next one.
        max: seconds that no delay exceeds.
        jitter: each is drawn from its upper half, so that jobs which failed together do not come back together.
    """

    first: float = 2.0
    factor: float = 2.0
    max: float = 600.0
    jitter: bool = True

    def __post_init__(self) -> None:
        for name, least in (("first", 0.0), ("factor", 1.0), ("max", 0.0)):
            value = getattr(self, name)
            if not _is_number(value) or value < least:
                raise JobDefinitionError(
                    f"Exponential({name}=...) takes a number of at least {least:g}, not {value!r}."
                )
        if not isinstance(self.jitter, bool):
            raise JobDefinitionError(f"Exponential(jitter=...) is True or False, not {self.jitter!r}.")

    def __call__(self, attempts: int) -> float:
        """The seconds to wait after so many attempts that failed."""
        try:
            delay = min(self.first * self.factor ** (attempts - 1), self.max)
        except OverflowError:
            delay = self.max
        return delay * random.uniform(0.5, 1.0) if self.jitter else delay


@option_value
@dataclass(frozen=True, slots=True)
class Retry:
    """The value of the option `retry`.

    Attributes:
        attempts: how many times it is performed at most, the first time included; None for one more than there are
            delays in a list, and 5 where `backoff` is none.
        backoff: seconds before each next attempt: an `Exponential`, a list (whose last one holds for all that follow),
            or a function of the number of attempts that failed. 0 is at once.
        on: exceptions after which it is tried again; none for all. A time limit is `taskq.JobTimeout`.
        give_up_on: exceptions after which it is not; they win over `on`.
        crashes: whether it is tried again when its process dies. Where the job's `on_crash` says requeue, that decides
            what becomes of a crash, which counts as an attempt all the same.
        record: what the failed list gets: only the failure after which nothing is tried any more, or each.
        on_give_up: called with the `Failure` after which nothing is tried any more, in the process that decided that.
            What it raises is logged. Where two processes find one dead worker, it may be called by both.
    """

    attempts: int | None = None
    backoff: Exponential | Sequence[float] | Callable[[int], float] = Exponential()
    on: tuple[type[BaseException], ...] = ()
    give_up_on: tuple[type[BaseException], ...] = ()
    crashes: bool = True
    record: Literal["last", "each"] = "last"
    on_give_up: Callable[[Failure], object] | None = None

    def __post_init__(self) -> None:
        if self.attempts is not None and (not _is_whole(self.attempts) or self.attempts < 1):
            raise JobDefinitionError(f"Retry(attempts=...) takes a whole number of at least 1, not {self.attempts!r}.")
        if isinstance(self.backoff, list | tuple):
            if not self.backoff or not all(is_seconds(delay, zero=True) for delay in self.backoff):
                raise JobDefinitionError(
                    f"Retry(backoff=[...]) takes seconds, one at least, none beyond a century, not {self.backoff!r}."
                )
            object.__setattr__(self, "backoff", tuple(self.backoff))
        elif not callable(self.backoff):
            raise JobDefinitionError(
                f"Retry(backoff=...) takes an Exponential(...), a list of seconds, or a function, not {self.backoff!r}."
            )
        for name in ("on", "give_up_on"):
            value = getattr(self, name)
            kinds = (value,) if isinstance(value, type) else value
            if not isinstance(kinds, tuple | list) or not all(_is_exception(kind) for kind in kinds):
                raise JobDefinitionError(f"Retry({name}=...) takes a tuple of exception classes, not {value!r}.")
            object.__setattr__(self, name, tuple(kinds))
        if not isinstance(self.crashes, bool):
            raise JobDefinitionError(f"Retry(crashes=...) is True or False, not {self.crashes!r}.")
        if self.record not in ("last", "each"):
            raise JobDefinitionError(f'Retry(record=...) is "last" or "each", not {self.record!r}.')
        if self.on_give_up is not None and not callable(self.on_give_up):
            raise JobDefinitionError(f"Retry(on_give_up=...) takes a function, not {self.on_give_up!r}.")

    @property
    def most(self) -> int:
        """How many times the job is performed at most."""
        if self.attempts is not None:
            return self.attempts
        return len(self.backoff) + 1 if isinstance(self.backoff, tuple) else _ATTEMPTS

    def covers(self, cause: ErrorRecord | Crash) -> bool:
        """Whether it is to be tried again after this, attempts aside. What somebody asked to end is not."""
        if isinstance(cause, Crash):
            if cause.ended == "timeout":
                return self._wants(lambda kind: issubclass(JobTimeout, kind))
            return self.crashes and cause.ended not in {"kill", "cancel"}
        if cause.is_a(JobCancelled) or cause.is_a(InvalidPayload):
            return False
        return self._wants(cause.is_a)

    def delay(self, attempts: int) -> float:
        """The seconds to wait after so many attempts that failed.

        Raises:
            ValueError: the function that says it answered no such number.
        """
        if isinstance(self.backoff, Sequence):
            return self.backoff[min(attempts, len(self.backoff)) - 1]
        delay = self.backoff(attempts)
        if not is_seconds(delay, zero=True):
            raise ValueError(f"Retry(backoff=...) answered {delay!r} for attempt {attempts}; it answers seconds.")
        return delay

    def _wants(self, is_a: Callable[[type[BaseException]], bool]) -> bool:
        return (not self.on or any(map(is_a, self.on))) and not any(map(is_a, self.give_up_on))
