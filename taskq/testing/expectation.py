"""What a test expects of a job, how far a job is from it, and the message that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from taskq.errors import WrongCall, reworded
from taskq.jobs import Job, find
from taskq.registry import Registry
from taskq.signature import HIDDEN
from taskq.testing.jobs import DelayedJob, EnqueuedJob, PerformedJob

__all__ = ["Due", "Expectation", "Found", "GivenJob", "expectation", "listed", "unlike"]

GivenJob: TypeAlias = "Job[Any, object] | type | str"
"""A job as a test gives it: itself, or its name."""

Found: TypeAlias = EnqueuedJob | DelayedJob | PerformedJob

_MOST: Final = 10  # jobs that a message shows
_LONG: Final = 200  # characters of a value that it shows


@dataclass(frozen=True, slots=True)
class Due:
    """When a delayed job is expected to be due.

    Attributes:
        at: the time.
        tolerance: seconds that it may differ, either way.
    """

    at: datetime
    tolerance: float

    def misses(self, job: Found) -> bool:
        """Whether it is due at another time, or not delayed at all."""
        return not isinstance(job, DelayedJob) or abs((job.at - self.at).total_seconds()) > self.tolerance

    def __str__(self) -> str:
        return f"{_moment(self.at)} (± {self.tolerance:g} s)"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A job as a test expects it.

    Attributes:
        names: the job's name and its aliases; empty for any job.
        arguments: what the test said of arguments, by parameter: values, or matchers that are equal to what they match.
            What it did not say may be anything.
        queue: where it is expected; None for anywhere.
        secret: the parameters that are not shown.
        due: when it is expected to be due; None for any time.
    """

    names: tuple[str, ...] = ()
    arguments: Mapping[str, object] | None = None
    queue: str | None = None
    secret: frozenset[str] = frozenset()
    due: Due | None = None

    def is_of(self, job: Found) -> bool:
        """Whether it is that job, whatever its arguments."""
        return not self.names or job.name in self.names

    def misses(self, job: Found) -> list[str]:
        """The arguments that are not as expected, in the order in which the test said them."""
        said = self.arguments or {}
        # The expected one on the left: it may be a matcher, which then has the say.
        return [name for name, value in said.items() if name not in job.arguments or not value == job.arguments[name]]  # noqa: SIM201

    def is_met_by(self, job: Found) -> bool:
        """Whether all that the test said is so."""
        return (
            self.is_of(job)
            and self.queue in (None, job.queue)
            and not self.misses(job)
            and not (self.due is not None and self.due.misses(job))
        )

    def __str__(self) -> str:
        """As the first line of a message names it: `send_email(to='ada', subject=<ANY>) in queue emails`."""
        said = ", ".join(f"{name}={self.shown(name)}" for name in self.arguments or {})
        job = f"{self.names[0]}({said})" if self.names else "job"
        queue = f" in queue {self.queue}" if self.queue is not None else ""
        return job + queue + (f" for {self.due}" if self.due is not None else "")

    def shown(self, name: str) -> str:
        """What the test said of this argument, for people."""
        return HIDDEN if name in self.secret else _short((self.arguments or {})[name])


def expectation(
    registry: Registry,
    job: GivenJob | None,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    *,
    queue: str | None = None,
    due: Due | None = None,
) -> Expectation:
    """What a test expects, of what it said.

    Args:
        registry: where a name is looked up.
        job: the job; None for any, of which no argument can be said.
        args: arguments by position, fewer than the job takes if they are not all of interest.
        kwargs: arguments by keyword, likewise.
        queue: where it is expected; None for anywhere.
        due: when it is expected to be due; None for any time.

    Raises:
        NotAJob: it is none.
        TypeError: no call of the job could say these arguments, so that looking for one would mislead.
    """
    __tracebackhide__ = True
    if job is None:
        if args or kwargs:
            raise TypeError("Arguments are a job's own: say which job.")
        return Expectation(queue=queue, due=due)
    with reworded(("Nothing was enqueued.", "It can never have been enqueued.")):
        definition = find(registry, job, "")
    if definition is None:
        by_place = {f"args[{at}]": said for at, said in enumerate(args)}
        return Expectation((str(job),), {**by_place, **kwargs}, queue, due=due)
    try:
        said = definition.signature.said(args, kwargs)
    except WrongCall as wrong:
        raise TypeError(
            f"{wrong.job}() {wrong.reason}. Signature: {wrong.job}{wrong.signature}. "
            "It can never have been enqueued with that."
        ) from None
    return Expectation((definition.name, *definition.aliases), said, queue, definition.secret, due)


def listed(jobs: Sequence[Found]) -> str:
    """Jobs, a line each."""
    lines = [f"  {_one_line(job)}" for job in jobs[:_MOST]]
    return "\n".join([*lines, *_more(len(jobs))])


def unlike(expected: Expectation, jobs: Sequence[Found]) -> str:
    """Jobs that are not what was expected, the nearest first, with what differs marked by a `>`."""
    lines: list[str] = []
    for job in sorted(jobs, key=lambda job: _distance(expected, job))[:_MOST]:
        if expected.is_of(job):
            lines += _marked(expected, job)
        else:
            lines.append(f"  {_one_line(job)}")
    return "\n".join([*lines, *_more(len(jobs))])


def _distance(expected: Expectation, job: Found) -> tuple[bool, int, float]:
    """How far it is from what was expected. What lies equally far stays in the order of its queue."""
    misses = len(expected.misses(job)) + (expected.queue not in (None, job.queue))
    if expected.due is None or not isinstance(job, DelayedJob):
        return not expected.is_of(job), misses, 0.0
    away = abs((job.at - expected.due.at).total_seconds())
    return not expected.is_of(job), misses + expected.due.misses(job), away


def _marked(expected: Expectation, job: Found) -> list[str]:
    misses = set(expected.misses(job))
    elsewhere = expected.queue not in (None, job.queue)
    heading = f"  {job.name}{_place(job)}"
    lines = [f"> {heading[2:]}   not in {expected.queue}" if elsewhere else heading]
    if isinstance(job, DelayedJob) and expected.due is not None and expected.due.misses(job):
        lines.append(f"  >   due {_moment(job.at)}   expected {expected.due}, {_apart(job.at, expected.due.at)}")
    elif isinstance(job, DelayedJob):
        lines.append(f"      due {_moment(job.at)}")
    for name in {**job.shown, **(expected.arguments or {})}:
        mark = ">" if name in misses else " "
        has = f"{name} = {_short(job.shown[name])}" if name in job.shown else f"has no {name}"
        wants = f"   expected {expected.shown(name)}" if name in misses else ""
        lines.append(f"  {mark}   {has}{wants}")
    return lines


def _one_line(job: Found) -> str:
    arguments = ", ".join(f"{name}={_short(value)}" for name, value in job.shown.items())
    return f"{job.name}({arguments}){_place(job)}" + (f", due {_moment(job.at)}" if isinstance(job, DelayedJob) else "")


def _place(job: Found) -> str:
    if not isinstance(job, PerformedJob) or job.outcome == "done":
        return f" in queue {job.queue}"
    raised = f": {type(job.error).__name__}" if job.error is not None else ""
    return f" in queue {job.queue} ({job.outcome}{raised})"


def _moment(when: datetime) -> str:
    """`2026-11-23 18:47:40 UTC`, with a fraction where there is one."""
    text = f"{when:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{when.microsecond // 1000:03d} UTC" if when.microsecond else f"{text} UTC"


def _apart(is_: datetime, expected: datetime) -> str:
    """How much later or earlier a time is than it should be: `0:05:00 too late`."""
    late = is_ > expected
    apart = is_ - expected if late else expected - is_
    if apart > timedelta(seconds=10):  # of those nobody wants the fractions
        apart = timedelta(seconds=round(apart.total_seconds()))
    return f"{apart} too {'late' if late else 'early'}"


def _more(count: int) -> list[str]:
    return [f"  ... and {count - _MOST} more"] if count > _MOST else []


def _short(value: object) -> str:
    text = HIDDEN if isinstance(value, str) and value == HIDDEN else repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]} ... {text[-_LONG // 4 :]}"
