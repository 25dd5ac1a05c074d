"""Time limits: the exception is raised within the job, once, again after the grace, and never outside of it."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskq import limits
from taskq.errors import JobTimeout
from taskq.limits import ByThread, by_alarm, on_loop
from taskq.outcome import Done, Failed, Postponed
from taskq.performing import perform
from tests.support.bench import task_of, tools_of

# Where it falls into a callback of the collector's or of a weak reference, Python swallows it and says so. Nothing else
# may be swallowed here.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*JobTimeout:pytest.PytestUnraisableExceptionWarning")

SOON = 0.02
NEVER = 60.0


@pytest.fixture
def by_thread() -> Iterator[ByThread]:
    made = ByThread(again=NEVER)
    yield made
    made.stop()


def spins(heard: list[str]) -> None:
    """In Python's own code, until something is raised in it."""
    try:
        while True:
            time.monotonic()
    except JobTimeout as error:
        heard.append(str(error))
        raise


def outcome_of(job: Callable[..., Any], again: float = NEVER, timeout: float = SOON) -> Done | Failed:
    """Performed in this, the main thread."""
    tools = tools_of(job, timeout=timeout)
    outcome = perform(task_of(tools, job.__name__), tools, by_alarm(again))
    assert not isinstance(outcome, Postponed)
    return outcome


class TestByAlarm:
    def test_raises_in_what_takes_too_long_and_sleeps(self) -> None:
        limiter = by_alarm(NEVER)
        assert limiter is not None
        with (
            pytest.raises(JobTimeout, match=r"^The job went over its time limit of 0\.02 s\.$") as raised,
            limiter(SOON),
        ):
            time.sleep(NEVER)
        assert raised.value.seconds == SOON

    def test_is_swallowed_by_no_except_exception(self) -> None:
        def job() -> None:
            try:
                time.sleep(NEVER)
            except Exception:
                pytest.fail("swallowed")

        outcome = outcome_of(job)
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "taskq.errors.JobTimeout"
        assert outcome.error.message == "The job went over its time limit of 0.02 s."

    def test_lets_the_job_clean_up_and_return(self) -> None:
        cleaned: list[str] = []

        def job() -> None:
            try:
                time.sleep(NEVER)
            except JobTimeout:
                cleaned.append("up")

        assert isinstance(outcome_of(job), Done)
        assert cleaned == ["up"]

    def test_raises_again_after_the_grace_in_a_job_that_goes_on(self) -> None:
        heard: list[str] = []

        def job() -> None:
            while len(heard) < 3:
                try:
                    time.sleep(NEVER)
                except JobTimeout:
                    heard.append("over")

        assert isinstance(outcome_of(job, again=SOON), Done)
        assert heard == ["over"] * 3

    def test_leaves_the_timer_and_the_handler_that_were_there(self) -> None:
        before = signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            for timer in ((0.0, 0.0), (1000.0, 7.0)):
                signal.setitimer(signal.ITIMER_REAL, *timer)
                for job, timeout in ((quick, NEVER), (sleeps, SOON)):
                    outcome_of(job, timeout=timeout)
                    left, interval = signal.getitimer(signal.ITIMER_REAL)
                    assert interval == timer[1]
                    assert timer[0] - NEVER < left <= timer[0]
                    assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGALRM, before[0])
            signal.setitimer(signal.ITIMER_REAL, *before[1])

    def test_an_alarm_that_comes_on_the_way_out_breaks_into_nothing(self) -> None:
        """A thousand jobs that end at the very moment at which their time is over; whichever came first is right."""
        ends: set[type] = set()
        for round_ in range(1000):
            seconds = 0.0001 + round_ % 10 * 0.00001

            def job(seconds: float = seconds) -> None:
                ends_at = time.perf_counter() + seconds
                while time.perf_counter() < ends_at:
                    pass

            ends.add(type(outcome_of(job, timeout=seconds)))
        assert ends <= {Done, Failed}

    def test_is_none_where_the_platform_has_no_timer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(signal, "setitimer")
        assert by_alarm(NEVER) is None


def quick() -> None: ...


def sleeps() -> None:
    time.sleep(NEVER)


class TestPerform:
    def test_refuses_a_job_with_a_limit_that_nothing_here_holds_it_to(self) -> None:
        tools = tools_of(sleeps, timeout=30)
        outcome = perform(task_of(tools, "sleeps"), tools)
        assert isinstance(outcome, Failed)
        assert outcome.error.message.startswith("sleeps has a time limit of 30 s, which cannot be held here")
        assert outcome.error.message.endswith("It was not begun.")


class TestAsyncJobs:
    def test_hear_it_where_they_wait(self) -> None:
        heard: list[object] = []

        async def job() -> None:
            try:
                await asyncio.sleep(NEVER)
            except JobTimeout as error:
                heard.append(error.seconds)
                await asyncio.sleep(0)  # and may clean up with what their loop has
                task = asyncio.current_task()
                heard.append(task.cancelling() if task else None)
                raise

        outcome = outcome_of(job)
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "taskq.errors.JobTimeout"
        assert heard == [SOON, 0]

    def test_hear_it_where_they_block_their_loop(self) -> None:
        async def job() -> None:
            time.sleep(NEVER)

        outcome = outcome_of(job)
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "taskq.errors.JobTimeout"

    def test_hear_it_where_another_of_their_tasks_blocks_the_loop(self) -> None:
        heard: list[str] = []

        async def blocks() -> None:
            time.sleep(NEVER)

        async def job() -> None:
            try:
                await asyncio.gather(blocks(), asyncio.sleep(NEVER))
            except JobTimeout:
                heard.append("job")
                raise

        assert isinstance(outcome_of(job), Failed)
        assert heard == ["job"]

    def test_take_what_they_started_with_them(self) -> None:
        ended: list[str] = []

        async def child() -> None:
            try:
                await asyncio.sleep(NEVER)
            finally:
                ended.append("child")

        async def job() -> None:
            await asyncio.gather(child(), child())

        assert isinstance(outcome_of(job), Failed)
        assert ended == ["child"] * 2

    def test_that_swallow_a_cancellation_hear_it_all_the_same(self) -> None:
        heard: list[str] = []

        async def stubborn() -> None:
            try:
                await asyncio.sleep(NEVER)
            except asyncio.CancelledError:
                heard.append("cancelled")

        async def job() -> None:
            await asyncio.create_task(stubborn())

        outcome = outcome_of(job)
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "taskq.errors.JobTimeout"
        assert heard == ["cancelled"]

    def test_hear_again_after_the_grace(self) -> None:
        heard: list[str] = []

        async def job() -> None:
            while len(heard) < 3:
                try:
                    await asyncio.sleep(NEVER)
                except JobTimeout:
                    heard.append("over")

        assert isinstance(outcome_of(job, again=SOON), Done)
        assert heard == ["over"] * 3

    def test_a_plain_job_with_a_loop_of_its_own_hears_it_too(self) -> None:
        def job() -> None:
            asyncio.run(asyncio.sleep(NEVER))

        outcome = outcome_of(job)
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "taskq.errors.JobTimeout"


class TestOnLoop:
    def test_gives_what_it_returns_and_raises_what_it_raises(self) -> None:
        async def double(value: int) -> int:
            await asyncio.sleep(0)
            return 2 * value

        async def fails() -> None:
            await asyncio.sleep(0)
            raise KeyError("x")

        assert asyncio.run(on_loop(double(4), NEVER, again=NEVER)) == 8
        with pytest.raises(KeyError):
            asyncio.run(on_loop(fails(), NEVER, again=NEVER))

    def test_ends_the_one_whose_time_is_over_and_no_other(self) -> None:
        async def waits(for_: asyncio.Event) -> str:
            await for_.wait()
            return "done"

        async def main() -> list[object]:
            never, soon = asyncio.Event(), asyncio.Event()
            late = asyncio.create_task(on_loop(waits(never), SOON, again=NEVER))
            other = asyncio.create_task(on_loop(waits(soon), NEVER, again=NEVER))
            await asyncio.wait([late])
            soon.set()
            return [type(late.exception()), await other]

        assert asyncio.run(main()) == [JobTimeout, "done"]

    def test_passes_on_a_cancellation_by_somebody_else(self) -> None:
        async def main() -> bool:
            task = asyncio.create_task(on_loop(asyncio.sleep(NEVER), NEVER, again=NEVER))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

        assert asyncio.run(main())


class TestByThread:
    def test_raises_in_the_thread_that_entered_and_in_no_other(self, by_thread: ByThread) -> None:
        heard: list[str] = []
        told: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        go_on = threading.Event()

        def held(seconds: float, job: Callable[[], object]) -> None:
            try:
                with by_thread(seconds):
                    job()
            except BaseException as error:
                told.put(error)
            else:
                told.put(None)

        threads = [
            threading.Thread(target=held, args=(NEVER, go_on.wait)),
            threading.Thread(target=held, args=(SOON, lambda: spins(heard))),
        ]
        for thread in threads:
            thread.start()
        error = told.get(timeout=30)
        assert isinstance(error, JobTimeout)
        assert (error.seconds, str(error)) == (SOON, "The job went over its time limit of 0.02 s.")
        assert type(error).__qualname__ == "JobTimeout"
        go_on.set()
        assert told.get(timeout=30) is None
        for thread in threads:
            thread.join()
        assert heard == ["The job went over its time limit of 0.02 s."]

    def test_an_async_job_hears_it_where_it_waits(self, by_thread: ByThread) -> None:
        heard: list[float] = []

        async def job() -> None:
            try:
                await asyncio.sleep(NEVER)
            except JobTimeout as error:
                heard.append(error.seconds)
                raise

        tools = tools_of(job, timeout=SOON)
        outcomes: list[object] = []
        # In a context of its own, as a worker's thread does it.
        thread = threading.Thread(
            target=lambda: outcomes.append(perform(task_of(tools, job.__name__), tools, by_thread)), daemon=True
        )
        thread.start()
        thread.join(30)
        [outcome] = outcomes
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "taskq.errors.JobTimeout"
        assert heard == [SOON]

    def test_raises_again_after_the_grace(self) -> None:
        by_thread = ByThread(again=SOON)
        heard: list[str] = []
        with by_thread(SOON):
            while len(heard) < 3:
                try:
                    spins(heard)
                except JobTimeout:
                    continue
        by_thread.stop()
        assert len(heard) == 3

    def test_one_that_comes_on_the_way_out_breaks_into_nothing(self, by_thread: ByThread) -> None:
        """Raised where the job ended in time, it would be somebody else's exception."""

        def job() -> None:
            with by_thread(0.0001):
                ends_at = time.perf_counter() + 0.0001
                while time.perf_counter() < ends_at:
                    pass

        for _ in range(500):
            try:
                contextvars.copy_context().run(job)  # each in one of its own, as a worker has it
            except JobTimeout:
                pass
            for _ in range(50):
                time.monotonic()

    def test_what_a_thread_could_not_leave_is_let_go(self, by_thread: ByThread) -> None:
        """Broken into at the first step out, its time would go on, and be over in whatever the thread does next."""
        left: Any = by_thread(NEVER)
        contextvars.copy_context().run(left.__enter__)  # in one of its own, as a worker has it
        by_thread.let_go()
        left.ends = 0.0
        heard: list[str] = []
        with pytest.raises(JobTimeout), by_thread(SOON):
            spins(heard)
        assert heard == ["The job went over its time limit of 0.02 s."]

    def test_stop_comes_twice_or_before_anything_was_held(self) -> None:
        made = ByThread(NEVER)
        made.stop()
        made.stop()
        used = ByThread(NEVER)
        with used(NEVER):
            pass
        used.stop()
        used.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "taskq time limits"]


def test_without_an_alarm_a_coroutine_stays_what_it_is() -> None:
    async def job() -> None: ...

    coroutine = job()
    assert limits.driven(coroutine) is coroutine
    coroutine.close()
