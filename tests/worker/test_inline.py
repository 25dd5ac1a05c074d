"""Jobs in the worker's own process: interrupted by real signals, in the job and nowhere else."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import pytest

from taskq import events
from taskq.errors import TermException
from taskq.failure_handler import Decision, Failure, FailureHandler
from taskq.outcome import Done, Failed, Outcome
from taskq.worker.control import Manners
from taskq.worker.inline import Inline
from taskq.worker.waiting import readable
from tests.support.bench import Bench, task_of

AT_ONCE = Manners(shutdown_timeout=0.0)
log: list[str] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    log.clear()


def performs(bench: Bench, job: Callable[..., object]) -> Outcome:
    bench.seat.register()
    bench.inline.start()
    return bench.inline.perform(task_of(bench.tools, job.__name__))


def performs_next(bench: Bench, job: Callable[..., object]) -> Outcome:
    return bench.inline.perform(task_of(bench.tools, job.__name__))


def interrupted(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.error.type == "Resque::TermException"


def waits_for_ever() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60.0)
    finally:
        log.append("cleaned up")


class TestPerform:
    def test_says_how_a_job_ended(self) -> None:
        def job() -> None:
            log.append("performed")

        with Bench(job) as bench:
            assert isinstance(performs(bench, job), Done)
            assert log == ["performed"]

    def test_an_exit_is_a_failure_and_the_worker_lives(self) -> None:
        """WIRE.md section 4, FORK_PER_JOB=false."""

        def job() -> None:
            sys.exit(3)

        with Bench(job) as bench:
            outcome = performs(bench, job)
            assert isinstance(outcome, Failed)
            assert (outcome.error.type, outcome.error.message) == ("SystemExit", "exit 3")

    def test_beats_while_a_job_holds_the_workers_own_thread(self) -> None:
        beaten = threading.Event()

        def job() -> None:
            assert beaten.wait(30.0)

        with Bench(job, beat=0.01) as bench:
            bench.seat.register()
            bench.clock.passes(1.0)
            seen = bench.broker.workers()[0].heartbeat
            beat = bench.seat.beat

            def noted() -> bool:
                answered = beat()
                if bench.broker.workers()[0].heartbeat != seen:
                    beaten.set()
                return answered

            bench.seat.beat = noted  # type: ignore[method-assign]  # the real one, and then a bell
            bench.inline.start()
            assert isinstance(bench.inline.perform(task_of(bench.tools, "job")), Done)


class TestInterrupting:
    def test_a_job_whose_time_is_over_is_broken_into_and_cleans_up(self) -> None:
        with Bench(waits_for_ever, manners=AT_ONCE) as bench:
            assert interrupted(performs(bench, waits_for_ever))
            assert log == ["cleaned up"]
            assert bench.told.of(events.Stopping) == [events.Stopping(0.0)]
            assert bench.control.status == 0

    def test_it_has_the_shutdown_timeout_first(self) -> None:
        with Bench(waits_for_ever, manners=Manners(shutdown_timeout=0.2)) as bench:
            bench.seat.register()
            bench.inline.start()
            began = time.monotonic()
            assert interrupted(bench.inline.perform(task_of(bench.tools, "waits_for_ever")))
            assert time.monotonic() - began >= 0.2

    def test_term_child_breaks_in_after_the_pre_shutdown_timeout(self) -> None:
        manners = Manners(term_child=True, pre_shutdown_timeout=0.1, term_timeout=60.0)
        with Bench(waits_for_ever, manners=manners) as bench:
            assert interrupted(performs(bench, waits_for_ever))

    def test_a_job_that_catches_it_and_returns_is_done(self) -> None:
        def job() -> None:
            try:
                signal.raise_signal(signal.SIGTERM)
                time.sleep(60.0)
            except TermException:
                log.append("rescued")

        with Bench(job, manners=AT_ONCE) as bench:
            assert isinstance(performs(bench, job), Done)
            assert log == ["rescued"]

    def test_what_cleans_up_is_not_broken_into_until_somebody_hurries(self) -> None:
        def job() -> None:
            try:
                signal.raise_signal(signal.SIGTERM)
                time.sleep(60.0)
            finally:
                time.sleep(0.2)  # ten times as long as the heart waits before it tries again
                log.append("had its way")
                signal.raise_signal(signal.SIGINT)
                time.sleep(60.0)
                log.append("never here")

        with Bench(job, manners=AT_ONCE) as bench:
            assert interrupted(performs(bench, job))
            assert log == ["had its way"]
            assert bench.control.status == 128 + signal.SIGINT

    def test_a_signal_that_came_while_the_job_was_reserved_counts(self) -> None:
        def job() -> None:
            time.sleep(60.0)

        with Bench(job, manners=AT_ONCE, beat=3600.0) as bench:
            signal.raise_signal(signal.SIGTERM)
            assert interrupted(performs(bench, job))

    def test_an_async_job_is_broken_into(self) -> None:
        async def job() -> None:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(60.0)

        with Bench(job, manners=AT_ONCE) as bench:
            assert interrupted(performs(bench, job))

    def test_who_asks_for_a_kill_is_told_that_there_is_none_here(self) -> None:
        told = threading.Event()
        said: list[events.Event] = []

        def tell(event: events.Event) -> None:
            said.append(event)
            told.set()

        def job() -> None:
            signal.raise_signal(signal.SIGUSR1)
            assert told.wait(30.0)

        with Bench(job, beat=3600.0) as bench:
            bench.inline = Inline(bench.tools, bench.seat, bench.hand, bench.control, bench.ear, tell)
            assert isinstance(performs(bench, job), Done)
        assert [type(event) for event in said] == [events.Warned]

    @pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT])
    def test_other_signals_leave_the_job_alone(self, number: int) -> None:
        def job() -> None:
            signal.raise_signal(number)
            while not heard.wait(0.001):
                pass

        heard = threading.Event()

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Heard):
                heard.set()

        with Bench(job, tell=tell, beat=3600.0) as bench:
            assert isinstance(performs(bench, job), Done)

    def test_one_that_failed_by_itself_keeps_its_error_while_that_is_looked_at(self) -> None:
        class Slow(FailureHandler):
            name = "slow"

            def decide(self, failure: Failure) -> Decision | None:
                signal.raise_signal(signal.SIGTERM)
                time.sleep(60.0)
                return None

        def job() -> None:
            raise ValueError("its own")

        with Bench(job, manners=AT_ONCE, handlers=[Slow()]) as bench:
            outcome = performs(bench, job)
            assert isinstance(outcome, Failed)
            assert (outcome.error.type, outcome.error.message) == ("ValueError", "its own")

    def test_never_hits_the_worker_itself_however_the_moment_falls(self) -> None:
        """Raised outside of the job it would end the worker, and undo what is done."""

        def job() -> None:
            for _ in range(300):
                len(log)

        with Bench(job, manners=AT_ONCE, beat=3600.0) as bench:
            bench.seat.register()
            signal.raise_signal(signal.SIGTERM)
            bench.control.listen()
            task = task_of(bench.tools, "job")
            done = threading.Event()

            def poke() -> None:
                while not done.is_set():
                    bench.ear.poke()

            poker = threading.Thread(target=poke)
            gc.collect()
            gc.disable()  # raised in a callback of what former tests left, it would be nobody's
            poker.start()
            try:
                outcomes = [bench.inline.perform(task) for _ in range(3000)]
            finally:
                done.set()
                poker.join()
                gc.enable()
            assert all(isinstance(outcome, Done) or interrupted(outcome) for outcome in outcomes)
            assert any(interrupted(outcome) for outcome in outcomes)

    @pytest.mark.parametrize("line", range(1, 12))
    def test_is_not_raised_in_the_code_that_sees_the_job_in_and_out(self, line: int) -> None:
        """A poke at each line of `Inline.perform` in turn."""

        def job() -> None:
            log.append("performed")

        with Bench(job, manners=AT_ONCE, beat=3600.0) as bench:
            bench.seat.register()
            signal.raise_signal(signal.SIGTERM)
            bench.control.listen()
            code = type(bench.inline).perform.__code__
            lines = iter(range(1, 1000))

            def at_line(frame: FrameType, event: str, arg: object) -> object:
                if frame.f_code is not code:
                    return None
                if event == "line" and next(lines) == line:
                    bench.ear.poke()
                return at_line

            sys.settrace(at_line)  # type: ignore[arg-type]  # mypy wants a protocol that names its arguments
            try:
                outcome = bench.inline.perform(task_of(bench.tools, "job"))
            finally:
                sys.settrace(None)
            assert isinstance(outcome, Done)
            assert log == ["performed"]


async def listens_by_its_loop() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, log.append, "heard")
    os.kill(os.getpid(), signal.SIGTERM)
    while not log:
        await asyncio.sleep(0)


def ignores() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGURG, signal.SIG_IGN)


class TestSignalsOfAJob:
    """What a job does about signals in the worker's own process is over when it is."""

    @pytest.mark.parametrize("job", [listens_by_its_loop, ignores])
    def test_the_worker_hears_again_what_was_taken_from_it(self, job: Callable[..., object]) -> None:
        with Bench(job, waits_for_ever, manners=AT_ONCE) as bench:
            assert isinstance(performs(bench, job), Done)
            assert not bench.control.stopping
            assert interrupted(performs_next(bench, waits_for_ever))
            assert bench.control.stopping

    def test_a_worker_that_waits_is_woken(self) -> None:
        """The descriptor that wakes it is one for the whole process; a loop takes it, and leaves none behind."""
        with Bench(listens_by_its_loop) as bench:
            performs(bench, listens_by_its_loop)
            bench.inline.between()
            bench.ear.heard()
            os.kill(os.getpid(), signal.SIGQUIT)
            assert bench.ear.fd in readable([bench.ear.fd], 30.0)


def test_a_copy_of_the_worker_that_a_job_forked_does_not_live_on() -> None:
    def job() -> None:
        log.append(str(os.fork()))

    with Bench(job) as bench:  # no heart is started: Python warns of a fork beside threads
        assert isinstance(bench.inline.perform(task_of(bench.tools, "job")), Done)
    [pid] = [int(text) for text in log]
    assert pid
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
