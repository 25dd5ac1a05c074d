"""A child for each job: real forks, each ended by what it said or by how it died."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from taskq import events
from taskq.errors import JobTimeout, TermException
from taskq.failure_handler import Fail
from taskq.hook import Hook, PerformContext
from taskq.outcome import Crashed, Done, Failed, NotBegun, Outcome
from taskq.worker.control import Manners
from taskq.worker.fork import Fork
from tests.support.bench import Bench, registry_of, task_of
from tests.support.leftovers import Since
from tests.support.workers import is_alive, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Forking(Bench):
    """A bench whose model is `fork`."""

    def __init__(
        self,
        *written: Callable[..., object],
        hooks: tuple[object, ...] = (),
        manners: Manners | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(*written, hooks=hooks, manners=manners or Manners(), beat=0.05, tell=self._told_of)
        if timeout is not None:
            self.tools.registry = registry_of(*written, timeout=timeout)
        self.on_forked: Callable[[int], object] = lambda pid: None
        self.fork = Fork(self.tools, self.seat, self.hand, self.control, self.ear, self.worker.tell, **more)

    def __enter__(self) -> Self:
        super().__enter__()
        self.seat.register()
        self.fork.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.fork.stop()
        super().__exit__(*error)

    def _told_of(self, event: events.Event) -> None:
        if isinstance(event, events.Forked):
            self.on_forked(event.pid)

    def perform(self, job: str = "job", *args: object) -> Outcome:
        return self.fork.perform(task_of(self.tools, job, *args))

    def standby(self) -> int:
        """Have a child stand by. Its pid."""
        self.fork.between()
        assert self.fork._standby is not None
        return self.fork._standby.pid

    @property
    def forked(self) -> list[int]:
        """The processes that performed, in order."""
        return [event.pid for event in self.told.of(events.Forked)]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A file for what children have to say."""
    return tmp_path / "notes"


def note(notes: Path, text: object) -> None:
    with notes.open("a") as file:
        file.write(f"{text}\n")


def lines(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


class TestPerform:
    def test_in_a_process_of_its_own_that_leads_its_group(self, notes: Path) -> None:
        def job() -> None:
            note(notes, f"{os.getpid()} {os.getpgid(0)} {os.getppid()}")

        with Forking(job) as bench:
            assert isinstance(bench.perform(), Done)
            [pid] = bench.forked
            assert lines(notes) == [f"{pid} {pid} {os.getpid()}"]

    def test_one_after_another_each_in_another_process(self) -> None:
        def job() -> None: ...

        with Forking(job) as bench:
            assert all(isinstance(bench.perform(), Done) for _ in range(3))
            assert len(set(bench.forked)) == 3

    def test_what_it_raises_comes_back_as_a_record(self) -> None:
        def job() -> None:
            raise ValueError("its own")

        with Forking(job) as bench:
            outcome = bench.perform()
            assert isinstance(outcome, Failed)
            assert (outcome.error.type, outcome.error.message) == ("ValueError", "its own")

    def test_how_its_process_died(self) -> None:
        def job() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        with Forking(job) as bench:
            outcome = bench.perform()
            assert isinstance(outcome, Crashed)
            assert (outcome.crash.pid, outcome.crash.signal) == (bench.forked[0], signal.SIGKILL)

    def test_what_a_dead_one_left_running_is_killed_with_it(self, notes: Path) -> None:
        def job() -> None:
            if (pid := os.fork()) == 0:
                threading.Event().wait(600)
            note(notes, pid)
            os.kill(os.getpid(), signal.SIGKILL)

        with Forking(job) as bench:
            assert isinstance(bench.perform(), Crashed)
            wait_until(lambda: not is_alive(int(lines(notes)[0])))

    def test_a_copy_of_it_that_the_job_forked_says_nothing(self, notes: Path) -> None:
        def job() -> None:
            if (pid := os.fork()) != 0:
                os.waitpid(pid, 0)
                raise ValueError("the first")

        with Forking(job) as bench:
            outcome = bench.perform()
            assert isinstance(outcome, Failed)
            assert outcome.error.message == "the first"

    def test_what_cannot_be_performed_needs_no_process(self) -> None:
        with Forking() as bench:
            outcome = bench.perform("nobody")
            assert isinstance(outcome, Failed)
            assert outcome.error.type == "taskq.errors.UnknownJob"
            assert bench.forked == []

    def test_where_no_process_can_be_had_it_is_not_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def job() -> None: ...

        def fork() -> int:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

        with Forking(job) as bench:
            since = Since()
            with monkeypatch.context() as patch:
                patch.setattr(os, "fork", fork)
                outcome = bench.perform()
            assert isinstance(outcome, NotBegun)
            assert "Resource temporarily unavailable" in outcome.reason
            assert since.descriptors() == set()
            assert isinstance(bench.perform(), Done)

    def test_a_thread_that_was_there_before_is_named_once(self) -> None:
        def job() -> None: ...

        end = threading.Event()
        thread = threading.Thread(target=end.wait, name="the application's")
        thread.start()
        try:
            with Forking(job) as bench:
                bench.perform()
                bench.perform()
                [warning] = bench.told.of(events.Warned)
                assert warning.message.count("the application's") == 1
        finally:
            end.set()
            thread.join()


class Tells(Hook):
    """Notes what it is told, in which process, and fails where it is asked to."""

    name = "tells"

    def __init__(self, notes: Path, fails: str = "", error: BaseException | None = None) -> None:
        self._notes = notes
        self._fails = fails
        self._error = error

    def before_fork(self, context: PerformContext) -> None:
        self._tell("before_fork")

    def after_fork(self, context: PerformContext) -> None:
        self._tell("after_fork")

    def flush(self) -> None:
        self._tell("flush")

    def _tell(self, moment: str) -> None:
        note(self._notes, f"{moment} {os.getpid()}")
        if moment == self._fails:
            raise self._error or ValueError(moment)


class TestHooks:
    def test_are_told_in_the_worker_before_and_in_the_child_after_the_fork(self, notes: Path) -> None:
        def job() -> None:
            note(notes, f"job {os.getpid()}")

        with Forking(job, hooks=(Tells(notes),)) as bench:
            bench.perform()
            child = bench.forked[0]
            bench.fork.stop()
            assert lines(notes) == [
                f"before_fork {os.getpid()}", f"after_fork {child}", f"job {child}", f"flush {child}",
            ]  # fmt: skip

    @pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)], ids=["raises", "exits"])
    @pytest.mark.parametrize("moment", ["before_fork", "after_fork"])
    def test_one_that_fails_fails_the_job(self, moment: str, error: BaseException, notes: Path) -> None:
        def job() -> None:
            note(notes, "performed")

        with Forking(job, hooks=(Tells(notes, moment, error),)) as bench:
            outcome = bench.perform()
            assert isinstance(outcome, Failed)
            assert outcome.error.type == type(error).__name__
            assert "performed" not in lines(notes)

    def test_one_that_fails_to_flush_fails_no_job(self, notes: Path) -> None:
        def job() -> None: ...

        with Forking(job, hooks=(Tells(notes, "flush"),)) as bench:
            assert isinstance(bench.perform(), Done)

    @pytest.mark.parametrize("run_at_exit", [True, False])
    def test_what_the_interpreter_runs_at_its_end_is_run_where_it_is_asked_for(
        self, run_at_exit: bool, notes: Path
    ) -> None:
        def job() -> None:
            import atexit

            atexit._clear()  # the test runner's own are not the child's
            atexit.register(note, notes, "at exit")

        with Forking(job, run_at_exit=run_at_exit) as bench:
            bench.perform()
        assert lines(notes) == (["at exit"] if run_at_exit else [])


class TestStandby:
    def test_it_performs_the_next_job_exactly_as_it_was_reserved(self, notes: Path) -> None:
        def job(text: str) -> None:
            note(notes, f"{os.getpid()} {text}")

        with Forking(job) as bench:
            ready = bench.standby()
            assert isinstance(bench.perform("job", "é \0 \U0001f600"), Done)
            assert bench.forked == [ready]
            assert lines(notes) == [f"{ready} é \0 \U0001f600"]

    def test_there_is_one_and_it_stays_until_it_is_needed(self) -> None:
        with Forking() as bench:
            assert bench.standby() == bench.standby()

    def test_its_title_says_so_until_it_has_its_job(self, notes: Path) -> None:
        def job() -> None: ...

        def entitle(task: object) -> None:
            note(notes, "stands by" if task is None else "performs")

        with Forking(job, entitle=entitle) as bench:
            bench.standby()
            wait_until(lambda: lines(notes) == ["stands by"])
            bench.perform()
            done = lines(notes)  # where the next one stands by already, it says so too
            assert sorted(done[:3]) in (["performs", "stands by"], ["performs", "stands by", "stands by"])

    def test_one_that_died_is_replaced_when_it_is_needed(self) -> None:
        def job() -> None: ...

        with Forking(job) as bench:
            ready = bench.standby()
            os.kill(ready, signal.SIGKILL)
            wait_until(lambda: not is_alive(ready))
            assert isinstance(bench.perform(), Done)
            assert ready not in bench.forked

    def test_one_that_dies_before_it_has_its_job_leaves_it_to_another(self) -> None:
        def job() -> None: ...

        with Forking(job) as bench:
            ready = bench.standby()
            os.kill(ready, signal.SIGSTOP)
            bench.on_forked = lambda pid: os.kill(pid, signal.SIGKILL) if pid == ready else None
            assert isinstance(bench.perform(), Done)
            assert bench.forked[0] == ready != bench.forked[1]

    def test_one_that_must_end_before_it_has_its_job_gives_it_back(self) -> None:
        def job() -> None: ...

        with Forking(job, manners=Manners(shutdown_timeout=0.0)) as bench:
            ready = bench.standby()
            os.kill(ready, signal.SIGSTOP)
            bench.on_forked = lambda pid: signal.raise_signal(signal.SIGTERM)
            assert isinstance(bench.perform(), NotBegun)
            assert bench.forked == [ready]

    @pytest.mark.parametrize("length", [10, 70_000, 3_000_000])
    def test_a_job_of_any_length_is_handed_over(self, length: int) -> None:
        def job(text: str) -> None:
            raise ValueError(len(text))

        with Forking(job) as bench:
            ready = bench.standby()
            outcome = bench.perform("job", "é" * length)
            assert isinstance(outcome, Failed)
            assert outcome.error.message == str(length)
            assert bench.forked == [ready]

    def test_one_that_died_is_replaced_while_nothing_happens(self) -> None:
        with Forking() as bench:
            ready = bench.standby()
            os.kill(ready, signal.SIGKILL)
            wait_until(lambda: not is_alive(ready))
            assert is_alive(bench.standby())

    def test_there_is_none_where_a_hook_is_told_before_the_fork(self, notes: Path) -> None:
        with Forking(hooks=(Tells(notes),)) as bench:
            bench.fork.between()
            assert bench.fork._standby is None

    def test_there_is_none_once_the_worker_was_told_to_stop(self) -> None:
        with Forking() as bench:
            signal.raise_signal(signal.SIGQUIT)
            bench.control.listen()
            bench.fork.between()
            assert bench.fork._standby is None

    def test_it_ends_with_the_model(self) -> None:
        with Forking() as bench:
            ready = bench.standby()
            bench.fork.stop()
            assert not is_alive(ready)


class TestSignals:
    def test_touch_no_job(self) -> None:
        def job() -> None:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
                signal.raise_signal(number)

        with Forking(job) as bench:
            assert isinstance(bench.perform(), Done)

    def test_what_a_job_starts_is_touched_by_them(self, notes: Path) -> None:
        def job() -> None:
            import subprocess

            code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()"
            note(notes, subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode)

        with Forking(job) as bench:
            bench.perform()
            assert lines(notes) == [str(-signal.SIGTERM)]

    def test_term_is_an_exception_in_the_job_by_term_child(self) -> None:
        def job() -> None:
            signal.raise_signal(signal.SIGTERM)

        with Forking(job, term_child=True) as bench:
            outcome = bench.perform()
            assert isinstance(outcome, Failed)
            assert outcome.error.type == "Resque::TermException"


class TestTimeLimits:
    """The child is told, and what it says of that is an outcome as any other; else it is killed."""

    @pytest.mark.parametrize("standing_by", [False, True])
    def test_a_job_over_its_limit_is_told(self, standing_by: bool, notes: Path) -> None:
        def job() -> None:
            try:
                time.sleep(600)
            except JobTimeout:
                note(notes, "told")
                raise

        with Forking(job, timeout=0.05) as bench:
            if standing_by:
                bench.standby()
            outcome = bench.perform()
            assert isinstance(outcome, Failed)
            assert (outcome.error.type, outcome.error.message) == (
                "taskq.errors.JobTimeout",
                "The job went over its time limit of 0.05 s.",
            )
            assert lines(notes) == ["told"]

    @pytest.mark.parametrize("standing_by", [False, True])
    def test_one_that_does_not_heed_it_is_killed_and_fails_saying_so(self, standing_by: bool) -> None:
        def job() -> None:
            while True:
                with contextlib.suppress(JobTimeout):
                    time.sleep(600)

        with Forking(job, timeout=0.05, manners=Manners(timeout_grace=0.1)) as bench:
            if standing_by:
                bench.standby()
            outcome = bench.perform()
            assert isinstance(outcome, Crashed)
            assert (outcome.crash.ended, outcome.crash.limit, outcome.decision) == ("timeout", 0.05, Fail())


@pytest.mark.usefixtures("unhurried")
class TestToldToEnd:
    """A worker that ends tells the job in hand, where its time is over, and kills its child a second later."""

    def test_by_an_exception_in_it(self, notes: Path) -> None:
        def job() -> None:
            try:
                os.kill(os.getppid(), signal.SIGTERM)
                time.sleep(600)
            except TermException:
                note(notes, "told")
                raise

        with Forking(job, manners=Manners(shutdown_timeout=0.01)) as bench:
            outcome = bench.perform()
            assert isinstance(outcome, Failed)
            assert outcome.error.type == "Resque::TermException"
            assert lines(notes) == ["told"]

    def test_once_and_not_while_what_it_left_is_flushed(self, notes: Path) -> None:
        class Flushes(Hook):
            def flush(self) -> None:
                os.kill(os.getppid(), signal.SIGTERM)
                time.sleep(0.2)
                note(notes, "flushed")

        def job() -> None: ...

        with Forking(job, hooks=(Flushes(),), manners=Manners(shutdown_timeout=0.01)) as bench:
            assert isinstance(bench.perform(), Done)
            bench.fork._children.see_out(bench.fork._at_work)
            assert lines(notes) == ["flushed"]
