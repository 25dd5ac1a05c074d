"""What a test expects of a job, how far a job is from it, and the message that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from taskq.errors import WrongCall
from taskq.jobs import Job, find
from taskq.registry import Registry
from taskq.signature import HIDDEN
from taskq.testing.jobs import EnqueuedJob, PerformedJob

__all__ = ["Expectation", "Found", "GivenJob", "expectation", "listed", "unlike"]

GivenJob: TypeAlias = "Job[Any, object] | type | str"
"""A job as a test gives it: itself, or its name."""

Found: TypeAlias = EnqueuedJob | PerformedJob

_MOST: Final = 10  # jobs that a message shows
_LONG: Final = 200  # characters of a value that it shows


@dataclass(frozen=True, slots=True)
class Expectation:
    """A job as a test expects it.

    Attributes:
        names: the job's name and its aliases; empty for any job.
        arguments: what the test said of arguments, by parameter: values, or matchers that are equal to what they match.
            What it did not say may be anything.
        queue: where it is expected; None for anywhere.
        secret: the parameters that are not shown.
    """

    names: tuple[str, ...] = ()
    arguments: Mapping[str, object] | None = None
    queue: str | None = None
    secret: frozenset[str] = frozenset()

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
        return self.is_of(job) and self.queue in (None, job.queue) and not self.misses(job)

    def __str__(self) -> str:
        """As the first line of a message names it: `send_email(to='ada', subject=<ANY>) in queue emails`."""
        said = ", ".join(f"{name}={self.shown(name)}" for name in self.arguments or {})
        job = f"{self.names[0]}({said})" if self.names else "job"
        return job + (f" in queue {self.queue}" if self.queue is not None else "")

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
) -> Expectation:
    """What a test expects, of what it said.

    Args:
        registry: where a name is looked up.
        job: the job; None for any, of which no argument can be said.
        args: arguments by position, fewer than the job takes if they are not all of interest.
        kwargs: arguments by keyword, likewise.
        queue: where it is expected; None for anywhere.

    Raises:
        NotAJob: it is none.
        TypeError: no call of the job could say these arguments, so that looking for one would mislead.
    """
    if job is None:
        if args or kwargs:
            raise TypeError("Arguments are a job's own: say which job.")
        return Expectation(queue=queue)
    definition = find(registry, job, "")
    if definition is None:
        return Expectation((str(job),), {**{f"args[{at}]": said for at, said in enumerate(args)}, **kwargs}, queue)
    try:
        said = definition.signature.said(args, kwargs)
    except WrongCall as wrong:
        raise TypeError(
            f"{wrong.job}() {wrong.reason}. Signature: {wrong.job}{wrong.signature}. "
            "It can never have been enqueued with that."
        ) from None
    return Expectation((definition.name, *definition.aliases), said, queue, definition.secret)


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


def _distance(expected: Expectation, job: Found) -> tuple[bool, int]:
    """How far it is from what was expected. What lies equally far stays in the order of its queue."""
    return not expected.is_of(job), len(expected.misses(job)) + (expected.queue not in (None, job.queue))


def _marked(expected: Expectation, job: Found) -> list[str]:
    misses = set(expected.misses(job))
    elsewhere = expected.queue not in (None, job.queue)
    heading = f"  {job.name} in queue {job.queue}{_outcome(job)}"
    lines = [f"> {heading[2:]}   not in {expected.queue}" if elsewhere else heading]
    for name in {**job.shown, **(expected.arguments or {})}:
        mark = ">" if name in misses else " "
        has = f"{name} = {_short(job.shown[name])}" if name in job.shown else f"has no {name}"
        wants = f"   expected {expected.shown(name)}" if name in misses else ""
        lines.append(f"  {mark}   {has}{wants}")
    return lines


def _one_line(job: Found) -> str:
    arguments = ", ".join(f"{name}={_short(value)}" for name, value in job.shown.items())
    return f"{job.name}({arguments}) in queue {job.queue}{_outcome(job)}"


def _outcome(job: Found) -> str:
    if isinstance(job, EnqueuedJob) or job.outcome == "done":
        return ""
    raised = f": {type(job.error).__name__}" if job.error is not None else ""
    return f" ({job.outcome}{raised})"


def _more(count: int) -> list[str]:
    return [f"  ... and {count - _MOST} more"] if count > _MOST else []


def _short(value: object) -> str:
    text = HIDDEN if isinstance(value, str) and value == HIDDEN else repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]} ... {text[-_LONG // 4 :]}"
