"""The queues of the application under test, as its tests hold them: looking, performing, and faults on purpose."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Literal, TypeAlias, cast

from taskq import delayed_jobs, events, performing, queue_lists
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.due import seconds_of
from taskq.records import ProcessIdentity
from taskq.testing.assertions import Assertions
from taskq.testing.brokers import News, Picking, Switched
from taskq.testing.clock import Clock
from taskq.testing.expectation import Expectation, GivenJob, expectation, listed
from taskq.testing.jobs import EnqueuedJob, PerformedJob, delayed_job, enqueued_job
from taskq.testing.ledger import Ledger
from taskq.testing.worker import ChildKilled, Here, Killed, Orders, WorkerKilled, doomed, limiter, recover, run_worker
from taskq.worker.execution import Execution

__all__ = ["Leftover", "Mode", "Queue"]

Mode: TypeAlias = Literal["queued", "inline", "worker"]
"""What becomes of a job that a test enqueues: it waits until the test says; it is performed within `enqueue`; or a
worker in a thread beside the test takes it."""

Leftover: TypeAlias = Literal["ignore", "report", "error"]
"""What is done about jobs that still wait when a test is over."""

_LIMIT: Final = 1000


class Queue(Assertions):
    """All queues of the application under test.

    Attributes:
        app: the application in force, with the test's broker.
        mode: what becomes of a job that is enqueued.
        clock: the broker's clock, which can be moved.
        leftover: what is done about jobs that still wait at the end; a test may change it.
        test: what to call the test where that is told.
    """

    def __init__(
        self,
        app: TaskQ,
        *,
        mode: Mode,
        leftover: Leftover,
        ledger: Ledger,
        switched: Switched,
        clock: Clock,
        news: News,
    ) -> None:
        """Made by `taskq.testing.swapped` and the fixture `queue`."""
        super().__init__(app, ledger, news)
        self.app: Final = app
        self.mode: Final = mode
        self.clock: Final = clock
        self.leftover = leftover
        self.test = "The test"
        self._switched = switched
        self._busy = ""

    def __repr__(self) -> str:
        return f"<Queue {self.mode}, {self.app.broker.address}>"

    # ---- performing

    def perform_all(
        self,
        *,
        only: GivenJob | Sequence[GivenJob] = (),
        queue: str | Sequence[str] = "*",
        collect: bool = False,
        limit: int = _LIMIT,
    ) -> list[PerformedJob]:
        """Perform what waits, and what these jobs enqueue, here and now, with the real worker's steps and all hooks.

        Args:
            only: this job, or these; what else waits stays where it is.
            queue: this queue, or these, in order of priority; patterns too.
            collect: whether a job that fails is only noted; else the first one ends it, and what it raised rises.
            limit: how many jobs are thought to go on for ever.

        Returns:
            What was performed, in order.

        Raises:
            BaseException: what the first job raised that failed. It is in the failed list, as in production.
            AssertionError: there are more jobs than `limit`.
            RuntimeError: a worker performs already.
        """
        __tracebackhide__ = True
        wanted, queues = self._wanted(only), [queue] if isinstance(queue, str) else list(queue)
        with self._performing("perform_all()"):
            return self._perform("perform_all()", wanted, queues, collect=collect, limit=limit)

    def perform_due(
        self,
        *,
        at: datetime | float | None = None,
        only: GivenJob | Sequence[GivenJob] = (),
        queue: str | Sequence[str] = "*",
        collect: bool = False,
        limit: int = _LIMIT,
    ) -> list[PerformedJob]:
        """Perform what waits now, and then what becomes due until a time, as scheduler and worker would have by then.

        The clock goes along: each delayed job is performed when the clock is at its time, so that what it enqueues for
        an hour later is an hour later, and is performed too if that is not beyond `at`. At the end the clock is at
        `at`; it never goes back. Where a job fails, and that rises, the clock stays where it was then.

        Args:
            at: until when: a date with a time zone, or unix seconds; None for the time that the clock shows. Where
                freezegun or time-machine move the clock of the backend in memory, that is the time they show.
            only: this job, or these; what else waits, or is due, stays where it is.
            queue: this queue, or these, in order of priority; patterns too.
            collect: whether a job that fails is only noted; else the first one ends it, and what it raised rises.
            limit: how many jobs are thought to go on for ever.

        Returns:
            What was performed, in order.

        Raises:
            BaseException: what the first job raised that failed.
            AssertionError: there are more jobs than `limit`.
            RuntimeError: a worker performs already.
        """
        __tracebackhide__ = True
        wanted, queues = self._wanted(only), [queue] if isinstance(queue, str) else list(queue)
        until = self.app.broker.now() if at is None else seconds_of(at)
        with self._performing("perform_due()"):
            done = self._perform("perform_due()", wanted, queues, collect=collect, limit=limit)
            while self._enqueue_next(until, wanted, queues):
                if len(done) >= limit:
                    raise _too_many("perform_due()", limit, self._left(queues, wanted))
                left = limit - len(done)
                done += self._perform("perform_due()", wanted, queues, collect=collect, limit=left, of=limit)
            self._clock_at(until)
        return done

    def enqueue_due(self, *, at: datetime | float | None = None) -> int:
        """Move what is due, or will be until a time, into its queues, as a scheduler does, and perform nothing.

        For a worker beside the test, and for a look at what waits then. The clock is at `at` in the end.

        Args:
            at: until when; see `perform_due`.

        Returns:
            How many jobs were moved.
        """
        until = self.app.broker.now() if at is None else seconds_of(at)
        moved = 0
        while some := self._enqueue_next(until, (), ["*"]):
            moved += some
        self._clock_at(until)
        return moved

    @contextmanager
    def worker(self, *, queue: str | Sequence[str] = "*", collect: bool = False) -> Iterator[None]:
        """Within it a real worker performs in a thread beside the test. At its end the worker ends its job in hand.

        Args:
            queue: the queue that it serves, or those, in order of priority; patterns too.
            collect: whether a job that fails is only noted; else what the first one raised rises at the end.

        Raises:
            BaseException: what the first job raised that failed.
            RuntimeError: a worker performs already, or the mode is inline: then nothing waits for one.
        """
        if self.mode == "inline":
            raise RuntimeError("The mode is inline: each job is performed within enqueue, and none waits for a worker.")
        queues = [queue] if isinstance(queue, str) else list(queue)
        with self._performing("worker()"), Orders() as orders:
            jobs = _Performed(self._ledger, orders, stop_at_failure=False, limit=None)
            here = Here(lambda task: performing.perform(task, self.app.tools, limiter()))
            # What the test put in force in its own context (an event loop's, say) is in force in the jobs too.
            context = contextvars.copy_context()
            died: list[BaseException] = []

            def live() -> None:
                try:
                    context.run(self._run, here, orders, jobs.tell, queues, burst=False)
                except BaseException as error:
                    died.append(error)

            thread = threading.Thread(target=live, name="taskq worker under test", daemon=True)
            thread.start()
            try:
                yield
            finally:
                orders.end()
                thread.join()
        if died:
            raise died[0]
        jobs.raise_failure("worker()", all_of_them=not collect)

    def wait_until_done(self, *, within: float = 5.0) -> None:
        """Return as soon as nothing waits any more and no job is in hand: what a worker beside the test has to do.

        Args:
            within: seconds that it may take.

        Raises:
            AssertionError: it took longer. It shows what still waits.
        """
        __tracebackhide__ = True

        def busy() -> tuple[list[EnqueuedJob], list[str]]:
            """What waits and what is in hand, at a time when nothing went from the one to the other."""
            while True:
                news = self._news.count
                taken = self._waiting()
                in_hand = [info.job for info in self.app.workers() if info.job is not None]
                waiting = self._waiting() or taken
                if self._news.count == news:
                    return waiting, [enqueued_job(self.app, job.queue, job.body).name for job in in_hand]

        waiting, in_hand = self._news.until(busy, lambda found: not any(found), within)
        if waiting or in_hand:
            held = f"In hand: {', '.join(in_hand)}. " if in_hand else ""
            raise AssertionError(f"Not all was done within {within:g} s. {held}There waits:\n{listed(waiting)}")

    # ---- faults on purpose

    def crash(
        self, job: GivenJob, /, *, lost: Literal["worker", "child"] = "worker", at: Literal["start", "end"] = "end"
    ) -> PerformedJob:
        """Perform the next waiting job of this kind, and kill its process as `kill -9` would; then have it recovered.

        Nothing that follows the kill is done: no hook, no failure handler and no settling hears of the job until
        another worker finds what the dead one held, and fails or requeues it as in production.

        Args:
            job: which.
            lost: what dies: the whole worker, and another one finds what it left; or a child, and its worker sees it.
            at: when: before the job did anything, or when it had done all and nobody knew it yet.

        Returns:
            What became of it: "failed" or "retried", and the cause.

        Raises:
            AssertionError: no such job waits, or its queue is paused.
            RuntimeError: a worker performs already.
        """
        __tracebackhide__ = True
        [first, *_] = self.assert_enqueued(job)
        at_end = at == "end"
        with self._performing("crash()"), Orders() as orders:
            jobs = _Performed(self._ledger, orders, stop_at_failure=False, limit=1)
            wanted, queues = [self._expect(job)], [first.queue]
            if lost == "child":
                self._run(ChildKilled(self.app, orders, at_end=at_end), orders, jobs.tell, queues, wanted=wanted)
            else:
                process = doomed()
                dies = WorkerKilled(self.app, at_end=at_end)
                try:
                    self._run(dies, orders, jobs.tell, queues, wanted=wanted, process=process)
                except Killed:
                    recover(self.app, self.app.broker, process, jobs.tell)
        if not jobs.all:
            raise AssertionError(f"No worker could take {first.name}: its queue {first.queue} is paused.")
        return jobs.all[0]

    def duplicate(self, job: GivenJob, /) -> EnqueuedJob:
        """Deliver the next waiting job of this kind twice, as any queue that promises "at least once" may.

        Its copy goes ahead of all in its queue; the test performs both.

        Raises:
            AssertionError: no such job waits.
        """
        __tracebackhide__ = True
        [first, *_] = self.assert_enqueued(job)
        self.app.broker.push(first.queue, [first.body], front=True)
        return first

    @contextmanager
    def outage(self, *, answers: bool = False) -> Iterator[None]:
        """Within it the broker is away: whatever is asked of it raises `BrokerUnavailable`. A worker waits for it.

        Args:
            answers: whether only its answers are lost. What was asked is done, and the caller cannot know.

        Raises:
            RuntimeError: the mode is inline: nothing is asked of a broker that could be away.
        """
        if self.mode == "inline":
            raise RuntimeError(
                "The mode is inline: each job is performed within enqueue, and no broker is asked that could be away. "
                "Say another mode for this test."
            )
        self._switched.away, self._switched.deaf = not answers, answers
        try:
            yield
        finally:
            self._switched.away = self._switched.deaf = False

    # ---- what these are made of

    def _expect(self, job: GivenJob) -> Expectation:
        return expectation(self.app.registry, job, (), {})

    def _wanted(self, only: GivenJob | Sequence[GivenJob]) -> list[Expectation]:
        return [self._expect(job) for job in ([only] if isinstance(only, str | type) or callable(only) else only)]

    def _perform(
        self,
        what: str,
        wanted: Sequence[Expectation],
        queues: Sequence[str],
        *,
        collect: bool,
        limit: int,
        of: int | None = None,
    ) -> list[PerformedJob]:
        """Perform what waits. `of` is the limit that a test said, where some of it is used up."""
        __tracebackhide__ = True
        with Orders() as orders:
            jobs = _Performed(self._ledger, orders, stop_at_failure=not collect, limit=limit)
            here = Here(lambda task: performing.perform(task, self.app.tools, limiter()))
            self._run(here, orders, jobs.tell, queues, wanted=wanted)
        jobs.raise_failure(what, all_of_them=not collect)
        if len(jobs.all) >= limit and (left := self._left(queues, wanted)):
            raise _too_many(what, of or limit, left)
        return jobs.all

    # ---- time

    def _clock_at(self, when: float) -> None:
        if when > self.app.broker.now():
            self.clock.move_to(when)

    def _enqueue_next(self, until: float, wanted: Sequence[Expectation], queues: Sequence[str]) -> int:
        """Move those that are due next into their queues, with the clock at their time; 0 where none is until then."""
        asked = queue_lists.parse(queues)
        due: list[delayed_jobs.DelayedJob] = []
        for one in self.app.delayed.each():
            if one.at > (due[0].at if due else until):
                break
            job, there = delayed_job(self.app, one.stored), self._goes_to(one)
            if there in asked.expand([there]) and (not wanted or any(each.is_of(job) for each in wanted)):
                due.append(one)
        if due:
            self._clock_at(due[0].at)
        return sum(self.app.delayed.enqueue_now(one) for one in due)

    def _goes_to(self, job: delayed_jobs.DelayedJob) -> str:
        definition = None if job.payload is None else self.app.registry.find(job.payload.job)
        return job.queue or ("" if definition is None else definition.queue)

    def _left(self, queues: Sequence[str], wanted: Sequence[Expectation]) -> list[EnqueuedJob]:
        names = frozenset(queue_lists.parse(queues).expand(self.app.queues()))
        waiting = [one for one in self._waiting() if one.queue in names]
        return [one for one in waiting if not wanted or any(each.is_of(one) for each in wanted)]

    @contextmanager
    def _performing(self, what: str) -> Iterator[None]:
        """One worker at a time: two would take each other's jobs, and each see half of what happens."""
        if self._busy:
            raise RuntimeError(f"{what} while {self._busy} performs: one of them would take the other's jobs.")
        self._busy = what
        try:
            yield
        finally:
            self._busy = ""

    def _run(
        self,
        execution: Execution,
        orders: Orders,
        tell: events.Tell,
        queues: Sequence[str],
        *,
        wanted: Sequence[Expectation] = (),
        burst: bool = True,
        process: ProcessIdentity | None = None,
    ) -> None:
        def is_wanted(queue: str, body: bytes) -> bool:
            job = enqueued_job(self.app, queue, body)
            return any(each.is_of(job) for each in wanted)

        broker = self.app.broker
        picking = Picking(broker, is_wanted)
        try:
            run_worker(
                self.app,
                cast("Broker", picking) if wanted else broker,
                execution,
                orders,
                tell,
                queues=queues,
                burst=burst,
                process=process,
            )
        finally:
            picking.put_back()


def _too_many(what: str, limit: int, left: Sequence[EnqueuedJob]) -> AssertionError:
    return AssertionError(
        f"{what} has performed {limit} jobs, and more wait. Does a job enqueue itself? If there really "
        f"are so many: {what[:-1]}limit=...). There waits:\n{listed(left)}"
    )


class _Performed:
    """What one worker under test performs, and whether it is to go on."""

    def __init__(self, ledger: Ledger, orders: Orders, *, stop_at_failure: bool, limit: int | None) -> None:
        self._ledger = ledger
        self._orders = orders
        self._stop_at_failure = stop_at_failure
        self._limit = limit
        self.all: list[PerformedJob] = []

    def tell(self, event: events.Event) -> None:
        job = self._ledger.tell(event)
        if job is not None:
            self.all.append(job)
            failed = job.outcome == "failed" and (self._stop_at_failure or not _is_failure(job.error))
            if failed or len(self.all) == self._limit:
                self._orders.end()

    def raise_failure(self, performer: str, *, all_of_them: bool) -> None:
        """Raise what the first job raised that failed; and what is no failure but an order, in any case."""
        __tracebackhide__ = True
        for job in self.all:
            error = job.error
            if job.outcome == "failed" and error is not None and (all_of_them or not _is_failure(error)):
                error.add_note(f"Raised by {job.name} of queue {job.queue}, which {performer} of the test performed.")
                raise error


def _is_failure(error: BaseException | None) -> bool:
    """Not Ctrl-C, nor what a test runner raises to skip or to end a test."""
    return error is None or isinstance(error, Exception | SystemExit)
