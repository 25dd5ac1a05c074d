"""A thread's own execution model: broken into from another thread, in the job and nowhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from taskq.errors import JobTimeout, TermException
from taskq.failure_handler import Decision, Failure, FailureHandler
from taskq.limits import ByThread
from taskq.outcome import Done, Failed, Outcome
from taskq.worker.heartbeat import Heart
from taskq.worker.in_thread import InThread, Taken
from tests.support.bench import Bench, task_of, tools_of

LONG = 30.0


def model(bench: Bench) -> InThread:
    return InThread(bench.tools, bench.seat, Heart())


def interrupted(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.error.type == "Resque::TermException"


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def until(act: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONG
    while not act():
        assert time.monotonic() < ends
        time.sleep(0.001)


class TestInterrupt:
    def test_a_job_is_broken_into_as_soon_as_it_runs_python(self) -> None:
        begun = threading.Event()
        log: list[str] = []

        def job() -> None:
            try:
                begun.set()
                while True:
                    time.sleep(0.001)
            finally:
                log.append("cleaned up")

        with Bench(job) as bench:
            thread = model(bench)

            def interrupt() -> None:
                assert begun.wait(LONG)
                until(lambda: thread.interrupt(TermException))

            other = meanwhile(interrupt)
            assert interrupted(thread.perform(task_of(bench.tools, "job")))
            other.join()
            assert log == ["cleaned up"]
            assert not thread.busy

    def test_with_nothing_in_hand_there_is_nothing_to_do(self) -> None:
        with Bench() as bench:
            assert model(bench).interrupt(TermException)

    def test_a_job_that_catches_it_and_returns_is_done(self) -> None:
        begun, caught = threading.Event(), threading.Event()

        def job() -> None:
            try:
                begun.set()
                while True:
                    time.sleep(0.001)
            except TermException:
                caught.set()

        with Bench(job) as bench:
            thread = model(bench)

            def interrupt() -> None:
                assert begun.wait(LONG)
                until(lambda: thread.interrupt(TermException))

            other = meanwhile(interrupt)
            assert isinstance(thread.perform(task_of(bench.tools, "job")), Done)
            other.join()
            assert caught.is_set()

    def test_one_that_failed_by_itself_keeps_its_error_while_that_is_looked_at(self) -> None:
        looked_at = threading.Event()

        class Slow(FailureHandler):
            name = "slow"

            def decide(self, failure: Failure) -> Decision | None:
                looked_at.set()
                while True:
                    time.sleep(0.001)

        def job() -> None:
            raise ValueError("its own")

        with Bench(job, handlers=[Slow()]) as bench:
            thread = model(bench)

            def interrupt() -> None:
                assert looked_at.wait(LONG)
                until(lambda: thread.interrupt(TermException))

            other = meanwhile(interrupt)
            outcome = thread.perform(task_of(bench.tools, "job"))
            other.join()
            assert isinstance(outcome, Failed)
            assert (outcome.error.type, outcome.error.message) == ("ValueError", "its own")

    # It may fall into a callback of the collector's, which swallows it and says so.
    @pytest.mark.filterwarnings("ignore:(?s).*TermException:pytest.PytestUnraisableExceptionWarning")
    def test_never_hits_the_worker_itself_however_the_moment_falls(self) -> None:
        """Raised outside of the job it would end the worker, and undo what is done."""

        def job() -> None:
            for _ in range(300):
                len("")

        with Bench(job) as bench:
            thread = model(bench)
            task = task_of(bench.tools, "job")
            done = threading.Event()

            def poke() -> None:
                while not done.is_set():
                    thread.interrupt(TermException)

            interval = sys.getswitchinterval()
            sys.setswitchinterval(1e-5)
            other = meanwhile(poke)
            try:
                outcomes = [thread.perform(task) for _ in range(2000)]
                ends = time.monotonic() + LONG
                while not any(interrupted(outcome) for outcome in outcomes) and time.monotonic() < ends:
                    outcomes = [thread.perform(task) for _ in range(2000)]
            finally:
                done.set()
                other.join()
                sys.setswitchinterval(interval)
            assert all(isinstance(outcome, Done) or interrupted(outcome) for outcome in outcomes)
            assert any(interrupted(outcome) for outcome in outcomes)


class TestTake:
    def test_a_job_that_is_taken_does_not_come_back(self) -> None:
        begun, ends = threading.Event(), threading.Event()
        back: list[object] = []

        def job() -> None:
            begun.set()
            assert ends.wait(LONG)

        with Bench(job) as bench:
            thread = model(bench)
            task = task_of(bench.tools, "job")

            def perform() -> None:
                try:
                    back.append(thread.perform(task))
                except Taken as taken:
                    back.append(taken)

            other = meanwhile(perform)
            assert begun.wait(LONG)
            taken = thread.take()
            assert taken is not None
            assert taken[0] is task
            ends.set()
            other.join()
            [taken_from] = back
            assert isinstance(taken_from, Taken)

    def test_what_has_ended_cannot_be_taken(self) -> None:
        def job() -> None: ...

        with Bench(job) as bench:
            thread = model(bench)
            thread.perform(task_of(bench.tools, "job"))
            assert thread.take() is None


class TestTimeLimit:
    def test_one_that_comes_at_the_first_step_out_fails_the_job_and_hits_nothing_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is raised before the job could be let go, and would be again, after the grace, in what the thread does."""
        by_thread = ByThread(again=LONG)
        left: list[Any] = []

        def job() -> None:
            pass

        def out(self: object, *_: object) -> None:
            left.append(self)
            raise JobTimeout(LONG)

        monkeypatch.setattr(type(by_thread(LONG)), "__exit__", out)
        try:
            with Bench(job) as bench:
                tools = tools_of(job, timeout=LONG)
                thread = InThread(tools, bench.seat, Heart(), by_thread)
                outcome = thread.perform(task_of(tools, "job"))
                assert isinstance(outcome, Failed)
                assert outcome.error.type == "taskq.errors.JobTimeout"
                assert not thread.busy
            monkeypatch.undo()
            left[0].ends = 0.0  # its time and its grace are over
            with pytest.raises(JobTimeout, match=r"limit of 0\.02 s"), by_thread(0.02):
                until(lambda: False)
        finally:
            by_thread.stop()
