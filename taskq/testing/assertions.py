"""What a test asks about jobs, and asserts of them. The keywords are the job's own; the rest is said by `options`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from taskq.app import TaskQ
from taskq.broker import Capability
from taskq.due import on_the_clock, seconds_of, span
from taskq.errors import nearest
from taskq.testing.brokers import News
from taskq.testing.expectation import Due, Expectation, Found, GivenJob, expectation, listed, unlike
from taskq.testing.jobs import DelayedJob, EnqueuedJob, PerformedJob, delayed_job, enqueued_job
from taskq.testing.ledger import Ledger

__all__ = ["Asked", "Assertions", "MisspeltJob", "Options"]

_MISSPELT: Final = 0.85
"""How alike two names are of which one is taken for the other misspelt: `send_emial` and `send_email` are."""

J = TypeVar("J", EnqueuedJob, DelayedJob, PerformedJob)


@dataclass(frozen=True, slots=True)
class Asked:
    """What concerns a question and not the job's arguments.

    Attributes:
        queue: where the job is expected; None for anywhere.
        count: how many are expected, exactly; None for one at least.
        within: seconds that it may take.
        due: when it is expected to be due; None for any time.
    """

    queue: str | None = None
    count: int | None = None
    within: float = 0.0
    due: Due | None = None


_AT_ONCE: Final = Asked()


class MisspeltJob(UserWarning):
    """A job was looked for by a name that no job here has, and one nearly has; none was found."""


class Assertions:
    """What a test asks about jobs. `Queue` has these, and so has what its `options(...)` gives.

    Arguments are compared by parameter, however the call said them: `"ada"` by position is `to="ada"`. What the test
    does not say may be anything, so `assert_enqueued(send_email, subject="Hi")` is about any mail with that subject. A
    value may be a matcher, which is equal to whatever it matches: `unittest.mock.ANY`, `pytest.approx(3)`, your own.
    """

    __slots__ = ("_app", "_ledger", "_news")

    def __init__(self, app: TaskQ, ledger: Ledger, news: News) -> None:
        self._app = app
        self._ledger = ledger
        self._news = news

    def _asked(self) -> Asked:
        return _AT_ONCE

    def options(
        self,
        *,
        queue: str | None = None,
        count: int | None = None,
        within: float = 0.0,
        at: datetime | float | None = None,
        delay: timedelta | float | None = None,
        tolerance: float = 1.0,
    ) -> Options:
        """What concerns the next question: `queue.options(count=2).assert_enqueued(send_email)`.

        Args:
            queue: where the job is expected; None for anywhere.
            count: how many are expected, exactly; None for one at least.
            within: seconds that it may take another thread to bring it about. What another process enqueues is seen
                when they are over.
            at: when a delayed job is expected to be due: a date with a time zone, or unix seconds.
            delay: the same as a span from now on, by the kit's clock: a `timedelta`, or seconds.
            tolerance: seconds that it may differ from that, either way. Redis keeps whole seconds, rounded up.

        Raises:
            TypeError: both `at` and `delay` are said.
            WrongTime: `at` has no time zone.
        """
        if at is not None and delay is not None:
            raise TypeError("at and delay say the same: one of them.")
        now = self._app.broker.now()
        if delay is not None:
            at = on_the_clock(span(delay), now)
        due = None if at is None else Due(datetime.fromtimestamp(seconds_of(at), UTC), tolerance)
        return Options(self._app, self._ledger, self._news, Asked(queue, count, within, due))

    # ---- what waits in the queues now

    def enqueued(self, job: GivenJob | None = None, /, *args: object, **kwargs: object) -> list[EnqueuedJob]:
        """The jobs that wait, queue by queue in the order in which they would be performed.

        Args:
            job: only this one; None for all of them.
            args: its arguments by position, as far as they matter.
            kwargs: its arguments by keyword, likewise.

        Raises:
            TypeError: no call of the job can say these arguments.
        """
        return self._those(self._waiting, job, args, kwargs)

    def assert_enqueued(self, job: GivenJob, /, *args: object, **kwargs: object) -> list[EnqueuedJob]:
        """Assert that such a job waits, and give those that do.

        Raises:
            AssertionError: none does, or not as many as `options(count=...)` said. It shows what waits, nearest first.
            TypeError: no call of the job can say these arguments.
        """
        __tracebackhide__ = True
        elsewhere = (("Performed already", self._done), ("Delayed", self._delayed))
        return self._assert("enqueued", "waits", self._waiting, elsewhere, job, args, kwargs)

    def assert_not_enqueued(self, job: GivenJob | None = None, /, *args: object, **kwargs: object) -> None:
        """Assert that no such job waits; without a job, that none waits at all.

        Raises:
            AssertionError: one does. It shows which.
            TypeError: no call of the job can say these arguments.
        """
        __tracebackhide__ = True
        self._assert_none("enqueued. There waits", self._waiting, job, args, kwargs)

    # ---- what waits for its time

    def delayed(self, job: GivenJob | None = None, /, *args: object, **kwargs: object) -> list[DelayedJob]:
        """The jobs that wait for a time, the next to be due first. Arguments as in `enqueued`."""
        return self._those(self._delayed, job, args, kwargs)

    def assert_delayed(self, job: GivenJob, /, *args: object, **kwargs: object) -> list[DelayedJob]:
        """Assert that such a job waits for its time, and give those that do.

        `queue.options(delay=timedelta(hours=1)).assert_delayed(remind, "ada")` says when: within a second, or as
        `tolerance=` says; without either any time will do.

        Raises:
            AssertionError: none does, or not as many as `options(count=...)` said. It shows what does, nearest first.
            TypeError: no call of the job can say these arguments.
        """
        __tracebackhide__ = True
        elsewhere = (("In its queue", self._waiting),)
        return self._assert("delayed", "is delayed", self._delayed, elsewhere, job, args, kwargs)

    def assert_not_delayed(self, job: GivenJob | None = None, /, *args: object, **kwargs: object) -> None:
        """Assert that no such job waits for a time; without a job, that none does at all.

        Raises:
            AssertionError: one does. It shows which.
            TypeError: no call of the job can say these arguments.
        """
        __tracebackhide__ = True
        self._assert_none("delayed. There is", self._delayed, job, args, kwargs)

    # ---- what was performed during the test

    def performed(self, job: GivenJob | None = None, /, *args: object, **kwargs: object) -> list[PerformedJob]:
        """The jobs that were performed so far, in the order in which they ended. Arguments as in `enqueued`."""
        return self._those(self._done, job, args, kwargs)

    def assert_performed(self, job: GivenJob, /, *args: object, **kwargs: object) -> list[PerformedJob]:
        """Assert that such a job was performed, whatever became of it, and give those that were.

        Raises:
            AssertionError: none was, or not as many as `options(count=...)` said. It shows what was, nearest first.
            TypeError: no call of the job can say these arguments.
        """
        __tracebackhide__ = True
        elsewhere = (("Still waiting", self._waiting),)
        return self._assert("performed", "was performed", self._done, elsewhere, job, args, kwargs)

    def assert_not_performed(self, job: GivenJob | None = None, /, *args: object, **kwargs: object) -> None:
        """Assert that no such job was performed; without a job, that none was at all.

        Raises:
            AssertionError: one was. It shows which.
            TypeError: no call of the job can say these arguments.
        """
        __tracebackhide__ = True
        self._assert_none("performed. There was", self._done, job, args, kwargs)

    # ---- what these are made of

    def _expected(self, job: GivenJob | None, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Expectation:
        __tracebackhide__ = True
        return expectation(self._app.registry, job, args, kwargs, queue=self._asked().queue, due=self._asked().due)

    def _those(
        self, look: Callable[[], list[J]], job: GivenJob | None, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> list[J]:
        expected = self._expected(job, args, kwargs)
        found = [one for one in look() if expected.is_met_by(one)]
        if not found:
            self._warn_of_misspelling(job)
        return found

    def _assert(
        self,
        done: str,
        there: str,
        look: Callable[[], list[J]],
        elsewhere: Sequence[tuple[str, Callable[[], Sequence[Found]]]],
        job: GivenJob,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> list[J]:
        """Assert that it is where this looks; where it is not, say what is, and where such a job is elsewhere."""
        __tracebackhide__ = True
        expected = self._expected(job, args, kwargs)
        seen = self._until(look, expected, self._asked().count)
        found = [one for one in seen if expected.is_met_by(one)]
        if not _enough(found, self._asked().count):
            message = _message(done, there, self._asked(), expected, found, seen) + self._unknown(job)
            anytime = replace(expected, due=None)
            for place, look_there in elsewhere:
                if strayed := [one for one in look_there() if anytime.is_met_by(one)]:
                    message += f"\n{place}:\n{listed(strayed)}"
            raise AssertionError(message)
        return found

    def _assert_none(
        self,
        done: str,
        look: Callable[[], list[J]],
        job: GivenJob | None,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> None:
        __tracebackhide__ = True
        expected = self._expected(job, args, kwargs)
        found = [one for one in self._until(look, expected, None) if expected.is_met_by(one)]
        if found:
            raise AssertionError(f"No {expected} was to be {done}:\n{listed(found)}")
        self._warn_of_misspelling(job)

    def _warn_of_misspelling(self, job: GivenJob | None) -> None:
        """Where none was found of a name that no job here has, and one nearly has: nobody would ever see that slip."""
        if isinstance(job, str) and self._app.registry.find(job) is None:
            near = nearest(job, self._app.registry.names(), cutoff=_MISSPELT)
            if near is not None:
                message = f"No job {job} is registered here, so it was looked for in vain. Did you mean {near}?"
                warnings.warn(message, MisspeltJob, stacklevel=4)

    def _unknown(self, job: GivenJob) -> str:
        """What to say of a name that no job here has. It may be another program's, so it is no error."""
        names = self._app.registry.names()
        if not isinstance(job, str) or self._app.registry.find(job) is not None:
            return ""
        near = nearest(job, names)
        return f"\nNo job {job} is registered here." + (f" Did you mean {near}?" if near else "")

    def _waiting(self) -> list[EnqueuedJob]:
        broker = self._app.broker
        return [
            enqueued_job(self._app, queue, body)
            for queue in broker.queues()
            for body in broker.peek(queue, 0, broker.size(queue))
        ]

    def _delayed(self) -> list[DelayedJob]:
        if Capability.DELAY not in self._app.broker.capabilities:
            return []
        return [delayed_job(self._app, one.stored) for one in self._app.delayed.each()]

    def _done(self) -> list[PerformedJob]:
        return list(self._ledger.performed)

    def _until(self, look: Callable[[], list[J]], expected: Expectation, count: int | None) -> list[J]:
        """What there is once it is enough, or the time is over."""

        def enough(jobs: Sequence[J]) -> bool:
            return _enough([one for one in jobs if expected.is_met_by(one)], count)

        return self._news.until(look, enough, self._asked().within)


class Options(Assertions):
    """What concerns a question, said ahead of it."""

    __slots__ = ("_said",)

    def __init__(self, app: TaskQ, ledger: Ledger, news: News, said: Asked) -> None:
        super().__init__(app, ledger, news)
        self._said = said

    def _asked(self) -> Asked:
        return self._said


def _enough(found: Sequence[Found], count: int | None) -> bool:
    return bool(found) if count is None else len(found) == count


def _message(
    done: str, there: str, asked: Asked, expected: Expectation, found: Sequence[Found], seen: Sequence[Found]
) -> str:
    """Why an assertion failed: what was expected, and what there is, nearest first."""
    within = f" within {asked.within:g} s" if asked.within else ""
    if found:
        said = f"{expected} was {done} {_times(len(found))}{within}, and not {_times(asked.count or 0)} as expected"
    else:
        said = f"{expected} was not {done}{within}"
    if not seen:
        return f"{said}. Nothing {there}."
    return f"{said}. What {there}, nearest first:\n{unlike(expected, seen)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
