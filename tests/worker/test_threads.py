"""Many at once in threads of one process: each a worker of its own, heard for and ended by the main thread."""

from __future__ import annotations

import contextvars
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

import pytest

import taskq
from taskq import events
from taskq.errors import BrokerRefused, TermException
from taskq.hook import Hook, Settled
from taskq.worker.control import Manners
from taskq.worker.threads import Asked
from tests.support.bench import CutBroker, SideBySide, failed_jobs, payload

PID = os.getpid()
AT_ONCE = Manners(shutdown_timeout=0.0)
LONG = 30.0

log: list[object] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    log.clear()


def note(value: object = None) -> None:
    log.append(value)


def send(number: int) -> None:
    os.kill(PID, number)


def id_of(number: int) -> str:
    return f"host{f'+{number}' if number else ''}:{PID}:jobs"


def interrupted(many: SideBySide) -> list[str]:
    return [failed.error for failed in failed_jobs(many.broker) if failed.exception == "Resque::TermException"]


class TestPerform:
    def test_as_many_at_once_as_there_are_threads_each_a_worker_of_its_own(self) -> None:
        together = threading.Barrier(3, timeout=LONG)

        def job() -> None:
            together.wait()
            log.append({info.id: info.job is not None for info in many.broker.workers()})
            together.wait()

        many = SideBySide(job)
        many.push("job", times=6)
        assert not many.works()
        assert log[0] == {id_of(0): True, id_of(1): True, id_of(2): True}
        assert len(log) == 6
        assert many.broker.stats().processed == 6
        assert many.broker.workers() == []

    def test_of_more_than_32_the_others_are_hidden_from_other_programs(self) -> None:
        together = threading.Barrier(34, timeout=LONG)

        def job() -> None:
            if together.wait() == 0:
                log.extend(info.id for info in many.broker.workers() if info.registration and info.registration.hidden)
            together.wait()

        many = SideBySide(job, at_once=34)
        many.push("job", times=34)
        many.works()
        assert sorted(map(str, log)) == [id_of(32), id_of(33)]

    def test_a_job_sees_the_application_that_the_worker_runs_for(self) -> None:
        def job() -> None:
            log.append(taskq.current_app() is many.app)
            taskq.enqueue_to("other", "note", 1)

        many = SideBySide(job, note)
        many.push("job")
        many.works()
        assert log == [True]
        assert many.broker.peek("other", 0, 9) == [payload("note", 1)]

    def test_what_a_job_sets_in_its_context_ends_with_it(self) -> None:
        def job() -> None:
            log.append(variable.get())
            variable.set("left behind")

        many = SideBySide(job, at_once=1)
        many.push("job", times=2)
        many.works()
        assert log == ["", ""]

    def test_an_exit_or_what_cannot_be_performed_is_a_failure_and_the_thread_goes_on(self) -> None:
        def job() -> None:
            sys.exit(3)

        many = SideBySide(job, note, at_once=1)
        many.push("job")
        many.broker.push("jobs", [b"rubbish"])
        many.push("note", 1)
        many.works()
        assert [failed.exception for failed in failed_jobs(many.broker)] == [
            "SystemExit",
            "taskq.errors.InvalidPayload",
        ]
        assert log == [1]

    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_a_copy_of_the_worker_that_a_job_forked_does_not_live_on(self) -> None:
        def job() -> None:
            log.append(os.fork())

        many = SideBySide(job)
        many.push("job")
        many.works()
        [pid] = log
        assert isinstance(pid, int)
        assert pid > 0
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        assert many.broker.stats().processed == 1

    def test_titles_say_how_many_are_at_work_and_lines_whose_job_it_is(self) -> None:
        together = threading.Barrier(2, timeout=LONG)

        def job() -> None:
            together.wait()
            together.wait()

        many = SideBySide(job, at_once=2)
        many.push("job", times=2)
        many.works()
        assert "resque-3 taskq: Processing 2 of 2 at once" in many.titles
        lines = many.out.getvalue().splitlines()
        assert lines[:2] == [
            f"*** Starting worker {id_of(0)}",
            "*** Jobs are performed in 2 threads of this process, each a worker of its own",
        ]
        assert f"*** Starting worker {id_of(1)}" in lines
        assert "*** host got: (Job{jobs} | job | [])" in lines
        assert "*** host+1 done: (Job{jobs} | job | [])" in lines


class TestHooks:
    def test_are_told_of_each_worker_by_its_id(self) -> None:
        told: list[tuple[str, str]] = []
        together = threading.Barrier(2, timeout=LONG)

        class Listens(Hook):
            def settled(self, settled: Settled) -> None:
                told.append(("settled", settled.reservation.worker))

            def shutdown(self, worker: str) -> None:
                told.append(("shutdown", worker))

            def worker_exit(self, worker: str) -> None:
                told.append(("worker_exit", worker))

        def job() -> None:
            if together.wait() == 0:
                send(signal.SIGQUIT)

        many = SideBySide(job, at_once=2, burst=False, hooks=[Listens()])
        many.push("job", times=2)
        many.works()
        assert sorted(told) == sorted(
            (moment, id_of(number)) for moment in ("settled", "shutdown", "worker_exit") for number in (0, 1)
        )


class Waits(CutBroker):
    """Notes how many wait at once, and looks for a job."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[int] = [0]
        self.now_waiting = 0

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        self.now_waiting += 1
        self.waiting.append(self.now_waiting)
        try:
            return super().wait(queues, timeout, interrupts)
        finally:
            self.now_waiting -= 1


class TestWaiting:
    def test_one_waits_for_all_and_a_push_of_many_sets_them_all_to_work(self) -> None:
        together = threading.Barrier(4, timeout=LONG)

        def job() -> None:
            if together.wait() == 0:
                send(signal.SIGQUIT)

        empty: set[str] = set()

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Empty):
                empty.add(threading.current_thread().name)
                if len(empty) == 4:
                    empty.add("all")
                    threading.Thread(target=many.push, args=("job",), kwargs={"times": 4}).start()

        broker = Waits()
        many = SideBySide(job, at_once=4, burst=False, interval=3600.0, broker=broker, tell=tell)
        many.works()
        assert broker.stats().processed == 4
        assert max(broker.waiting) == 1

    def test_an_idle_worker_that_was_taken_for_dead_registers_anew(self) -> None:
        again: set[str] = set()

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Registered):
                if event.again:
                    again.add(event.worker)
                    if len(again) == 3:
                        send(signal.SIGQUIT)
                elif event.worker == id_of(2):
                    threading.Thread(target=rob).start()

        def rob() -> None:
            for number in range(3):
                while (info := many.broker.worker(id_of(number))) and not many.broker.recover(info, None):
                    pass  # it beat meanwhile

        many = SideBySide(note, burst=False, interval=0.2, beat=0.05, tell=tell)
        many.works()
        assert again == {id_of(0), id_of(1), id_of(2)}
        assert many.broker.workers() == []

    def test_pause_holds_them_all_and_going_on_lets_them_look(self) -> None:
        paused: list[int] = []

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Paused):
                paused.append(1)
                if len(paused) == 3:
                    many.push("ends", times=3)
                    log.append(many.broker.size("jobs"))
                    send(signal.SIGCONT)

        together = threading.Barrier(3, timeout=LONG)

        def ends() -> None:
            if together.wait() == 0:
                send(signal.SIGQUIT)

        many = SideBySide(send, ends, burst=False, interval=3600.0, tell=tell)
        many.push("send", signal.SIGUSR2)
        many.works()
        assert log == [3]
        assert many.broker.stats().processed == 4


class TestStopping:
    def test_jobs_in_hand_end_and_no_other_is_taken(self) -> None:
        together = threading.Barrier(3, timeout=LONG)
        stopping = threading.Event()

        def job() -> None:
            if together.wait() == 0:
                send(signal.SIGTERM)
            assert stopping.wait(LONG)

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Stopping):
                stopping.set()

        many = SideBySide(job, note, burst=False, tell=tell)
        many.push("job", times=3)
        many.push("note")
        assert not many.works()
        assert (many.broker.stats().processed, many.broker.size("jobs"), log) == (3, 1, [])
        assert "*** The 3 jobs in hand have 8 s to end; the same signal again ends them now" in many.out.getvalue()
        assert many.control.status == 0

    @pytest.mark.usefixtures("unhurried")
    def test_when_their_time_is_over_all_are_broken_into_and_clean_up(self) -> None:
        together = threading.Barrier(3, timeout=LONG)

        def job() -> None:
            try:
                if together.wait() == 0:
                    send(signal.SIGTERM)
                while True:
                    time.sleep(0.001)
            finally:
                log.append("cleaned up")

        many = SideBySide(job, burst=False, manners=Manners(shutdown_timeout=0.05))
        many.push("job", times=3)
        assert not many.works()
        assert interrupted(many) == ["SIGTERM"] * 3
        assert log == ["cleaned up"] * 3
        assert many.broker.workers() == []

    def test_one_that_does_not_end_even_so_is_settled_and_left(self) -> None:
        released = threading.Event()
        ignored = threading.Event()

        def job() -> None:
            send(signal.SIGTERM)
            while not released.is_set():
                try:
                    while not released.is_set():
                        time.sleep(0.001)
                except TermException:
                    ignored.set()

        many = SideBySide(job, note, burst=False, manners=AT_ONCE)
        many.push("job")
        assert many.works()
        assert ignored.is_set()
        [failed] = failed_jobs(many.broker)
        assert failed.exception == "Resque::DirtyExit"
        assert "the worker was told to stop, and its time was over" in failed.error
        assert many.broker.workers() == []
        assert many.broker.stats().processed == 1
        # What it still does counts for nothing: its thread never comes back to the broker.
        many.push("note")
        released.set()
        assert many.broker.size("jobs") == 1

    @pytest.mark.usefixtures("unhurried")
    def test_somebody_who_hurries_is_not_kept_waiting_by_what_cleans_up(self) -> None:
        released = threading.Event()

        def job() -> None:
            send(signal.SIGTERM)
            try:
                while True:
                    time.sleep(0.001)
            finally:
                send(signal.SIGINT)
                assert released.wait(LONG)

        many = SideBySide(job, burst=False, manners=AT_ONCE)
        many.push("job")
        began = time.monotonic()
        assert many.works()
        assert time.monotonic() - began < LONG  # what cleaning up is given where nobody hurries
        assert many.control.status == 128 + signal.SIGINT
        assert len(failed_jobs(many.broker)) == 1
        released.set()

    def test_usr1_ends_the_jobs_in_hand_and_the_worker_goes_on(self) -> None:
        together = threading.Barrier(2, timeout=LONG)

        def job() -> None:
            if together.wait() == 0:
                send(signal.SIGUSR1)
            while True:
                time.sleep(0.001)

        many = SideBySide(job, send, burst=False, at_once=2)
        many.push("job", times=2)
        many.push("send", signal.SIGQUIT)
        many.works()
        assert interrupted(many) == ["USR1 asked for it"] * 2
        assert many.broker.stats().processed == 3

    def test_usr1_is_about_the_jobs_that_were_in_hand_when_it_came(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that could not be broken into at once may have ended by the next try: it does not hit what came after."""
        tried = threading.Event()

        def not_just_now(*_: object, **__: object) -> bool:
            tried.set()
            return False

        def first() -> None:
            monkeypatch.setattr("taskq.worker.in_thread.raise_in", not_just_now)
            send(signal.SIGUSR1)
            assert tried.wait(LONG)

        def second() -> None:
            tried.clear()
            monkeypatch.undo()
            ends = time.monotonic() + 0.1  # five tries long
            while time.monotonic() < ends:
                time.sleep(0.001)

        many = SideBySide(first, second, send, burst=False, at_once=1)
        many.push("first")
        many.push("second")
        many.push("send", signal.SIGQUIT)
        many.works()
        assert failed_jobs(many.broker) == []
        assert many.broker.stats().processed == 3

    def test_told_before_it_began_it_takes_no_job(self) -> None:
        many = SideBySide(note, burst=False, tell=lambda event: _on(events.Chose, event, lambda: send(signal.SIGTERM)))
        many.push("note")
        many.works()
        assert log == []
        assert many.broker.workers() == []


class TestTrouble:
    def test_a_broker_that_refuses_ends_them_all_with_its_error(self) -> None:
        together = threading.Barrier(3, timeout=LONG)

        def job(number: int) -> None:
            if together.wait() == 0:
                many.broker.refusing = True

        many = SideBySide(job, burst=False)
        for number in range(3):
            many.push("job", number)
        with pytest.raises(BrokerRefused, match="wrong password"):
            many.works()

    def test_an_outage_is_said_once_and_loses_nothing(self) -> None:
        together = threading.Barrier(3, timeout=LONG)

        def job() -> None:
            if together.wait() == 0:
                many.broker.away = 6
            together.wait()

        many = SideBySide(job, note)
        many.push("job", times=3)
        many.push("note", 1)
        many.works()
        assert log == [1]
        assert many.broker.stats().processed == 4
        assert len(many.told.of(events.BrokerLost)) == len(many.told.of(events.BrokerBack)) >= 1

    def test_a_job_that_somebody_else_had_settled_is_refused_and_the_others_go_on(self) -> None:
        def robbed() -> None:
            [mine] = [info for info in many.broker.workers() if info.job is not None]
            assert many.broker.recover(mine, b"{}")

        many = SideBySide(robbed, note, at_once=2)
        many.push("robbed")
        many.works()
        assert [event.settled.outcome for event in many.told.of(events.SettledJob)] == ["refused"]
        assert many.broker.workers() == []


def test_asked_says_who_asked() -> None:
    assert str(Asked()) == "USR1 asked for it"


def _on(kind: type, event: events.Event, act: Callable[[], object]) -> None:
    if isinstance(event, kind):
        act()
