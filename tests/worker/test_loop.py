"""The worker's loop, with its real parts and jobs in its own process: what it takes, when it waits, how it ends."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskq import events
from taskq.failure_handler import Retry
from taskq.hook import Hook, Settled
from taskq.outcome import Done, NotBegun, Outcome
from taskq.performing import Task
from taskq.worker import loop
from taskq.worker.inline import Inline
from taskq.worker.loop import work
from tests.support.bench import Bench, CutBroker, failed_jobs, payload, stranger

performed: list[object] = []
PID = os.getpid()


@pytest.fixture(autouse=True)
def nothing_performed_yet() -> None:
    performed.clear()


def note(value: object = None) -> None:
    performed.append(value)


def fails(value: object = None) -> None:
    performed.append(value)
    raise ValueError(f"bad {value}")


def send(number: int) -> None:
    """A job that has a signal sent to its own worker."""
    signal.raise_signal(number)


def works(bench: Bench) -> None:
    with bench:
        work(bench.worker)


def on(kind: type, act: Callable[[], object], *, count: int = 1) -> Callable[[events.Event], None]:
    """Do something the first so many times that an event of this kind is told."""
    left = [count]

    def tell(event: events.Event) -> None:
        if isinstance(event, kind) and left[0]:
            left[0] -= 1
            act()

    return tell


class TestBurst:
    def test_performs_all_there_is_and_leaves(self) -> None:
        bench = Bench(note, fails)
        bench.push("note", 1)
        bench.push("fails", 2)
        bench.push("note", 3)
        works(bench)
        assert performed == [1, 2, 3]
        assert bench.broker.stats().processed == 3
        assert [failed.body for failed in failed_jobs(bench.broker)] == [payload("fails", 2)]
        assert bench.broker.workers() == []

    def test_looks_at_the_queues_in_their_order_again_after_each_job(self) -> None:
        bench = Bench(note, queues="high,low")
        bench.push("note", "low", queue="low")
        bench.push("note", "high", queue="high")
        works(bench)
        assert performed == ["high", "low"]

    def test_ends_although_all_is_paused(self) -> None:
        bench = Bench(note)
        bench.push("note", 1)
        bench.broker.pause()
        works(bench)
        assert performed == []

    def test_goes_on_after_a_job_that_somebody_else_had_settled(self) -> None:
        def robbed() -> None:
            [seen] = bench.broker.workers()
            assert bench.broker.recover(seen, b"{}")

        bench = Bench(note, robbed)
        bench.push("robbed")
        bench.push("note", 1)
        works(bench)
        assert performed == [1]
        assert [event.settled.outcome for event in bench.told.of(events.SettledJob)] == ["refused", "done"]
        assert bench.told.of(events.Registered) == [
            events.Registered(f"host:{PID}:jobs"),
            events.Registered(f"host:{PID}:jobs", again=True),
        ]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\xfe",
            b"null",
            b"[" * 100_000,
            b'{"class":"\\u0000","args":[]}',
            b'{"class":"\\ud800","args":["\\ud800"]}',
            b'{"class":"note","args":["taskq:nobody:AAAA"]}',
            b'{"class":"note","args":[1,2,3]}',
            b'{"class":"os.system","args":["true"]}',
            b'{"class":"note","args":[NaN]}',
        ],
    )
    def test_fails_what_cannot_be_performed_and_performs_the_next_at_once(self, body: bytes) -> None:
        bench = Bench(note)
        bench.broker.push("jobs", [body])
        bench.push("note", 1)
        works(bench)
        assert performed == [1]
        assert [failed.body for failed in failed_jobs(bench.broker)] == [body]
        for title in bench.titles:
            title.encode()
            assert "\0" not in title

    def test_tells_what_happens_in_this_order(self) -> None:
        bench = Bench(note, fails)
        bench.push("note", 1)
        bench.push("fails", 2)
        works(bench)
        assert [type(event).__name__ for event in bench.told.all] == [
            "Registered",
            "Found",
            "Performed",
            "SettledJob",
            "Found",
            "Performed",
            "SettledJob",
            "Empty",
        ]

    def test_tells_of_a_done_job_only_when_the_next_reserve_has_settled_it(self) -> None:
        processed: list[int] = []
        bench = Bench(note, tell=on(events.SettledJob, lambda: processed.append(bench.broker.stats().processed)))
        bench.push("note", 1)
        works(bench)
        assert processed == [1]


class TestHooks:
    def test_are_told_the_moments_in_rubys_order(self) -> None:
        """Recording 58, as far as there is no child; before_first_fork and worker_exit are told by `run`."""
        told: list[str] = []

        class Listens(Hook):
            name = "listens"

            def queue_empty(self, worker: str) -> None:
                told.append("queue_empty")

            def settled(self, settled: Settled) -> None:
                told.append(f"settled {settled.outcome}")

            def shutdown(self, worker: str) -> None:
                told.append(f"shutdown {worker}")

            def before_pause(self, worker: str) -> None:
                told.append("before_pause")
                signal.raise_signal(signal.SIGCONT)

            def after_pause(self, worker: str) -> None:
                told.append("after_pause")

        bench = Bench(note, fails, send, hooks=[Listens()], burst=False)
        bench.push("note", 1)
        bench.push("fails", 2)
        bench.push("send", signal.SIGUSR2)
        bench.push("send", signal.SIGQUIT)
        works(bench)
        assert told == [
            "settled done",
            "settled failed",
            "settled done",
            "before_pause",
            "after_pause",
            f"shutdown host:{PID}:jobs",
            "settled done",
        ]

    def test_hear_of_an_empty_queue_once_until_there_was_a_job_again(self) -> None:
        told: list[str] = []

        class Listens(Hook):
            def queue_empty(self, worker: str) -> None:
                told.append("queue_empty")

        turns = iter(range(1, 10))

        def empty() -> None:
            turn = next(turns)
            if turn == 3:
                bench.push("note", 1)
            if turn == 5:
                signal.raise_signal(signal.SIGQUIT)

        bench = Bench(note, hooks=[Listens()], burst=False, interval=0.01, tell=on(events.Empty, empty, count=9))
        works(bench)
        assert told == ["queue_empty", "queue_empty"]

    def test_that_break_end_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Hook):
            name = "broken"

            def queue_empty(self, worker: str) -> None:
                raise ValueError("hook broke")

            settled = queue_empty  # type: ignore[assignment]  # it breaks whatever it is told

        bench = Bench(note, hooks=[Broken()])
        bench.push("note", 1)
        works(bench)
        assert performed == [1]
        assert "Hook broken failed in queue_empty." in caplog.text
        assert "Hook broken failed in settled." in caplog.text


class TestWaiting:
    def test_ends_when_a_job_comes(self) -> None:
        def quit_after() -> None:
            performed.append("here")
            signal.raise_signal(signal.SIGQUIT)

        def push() -> None:
            threading.Thread(target=bench.push, args=("quit_after",)).start()

        bench = Bench(quit_after, burst=False, interval=3600.0, tell=on(events.Empty, push))
        works(bench)
        assert performed == ["here"]

    def test_ends_when_a_queue_comes_that_a_pattern_matches(self) -> None:
        def push() -> None:
            bench.push("note", 1, queue="mail:new")
            bench.push("send", signal.SIGQUIT, queue="mail:new")

        bench = Bench(note, send, queues="mail:*", burst=False, interval=3600.0, tell=on(events.Empty, push))
        works(bench)
        assert performed == [1]
        assert bench.titles[-1] == "resque-3 taskq: Processing mail:new since " + bench.titles[-1].split("since ")[1]

    def test_ends_with_a_signal(self) -> None:
        quits = on(events.Empty, lambda: signal.raise_signal(signal.SIGQUIT))
        bench = Bench(burst=False, interval=3600.0, tell=quits)
        works(bench)
        assert bench.told.of(events.Stopping) == [events.Stopping(None)]
        assert bench.broker.workers() == []

    def test_ends_when_another_worker_here_dies_and_settles_what_it_left(self) -> None:
        import subprocess
        from dataclasses import replace

        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
            falls = on(events.Empty, process.kill)
            ends = on(events.Recovered, lambda: signal.raise_signal(signal.SIGQUIT))

            def tell(event: events.Event) -> None:
                falls(event)
                ends(event)

            bench = Bench(note, burst=False, interval=3600.0, beat=3600.0, tell=tell)
            other = replace(bench.process, pid=process.pid, started=started)
            tokens = stranger(bench.broker, "host:2:other", process=other)
            bench.push("note", 1, queue="other")
            bench.broker.reserve("host:2:other", ["other"], tokens.next())
            works(bench)
        assert [failed.body for failed in failed_jobs(bench.broker)] == [payload("note", 1)]


class TestStopping:
    def test_told_before_it_began_it_takes_no_job(self) -> None:
        bench = Bench(note, tell=on(events.Registered, lambda: signal.raise_signal(signal.SIGTERM)))
        bench.push("note", 1)
        works(bench)
        assert performed == []
        assert bench.broker.size("jobs") == 1
        assert bench.broker.workers() == []

    def test_settles_the_job_in_hand_and_takes_no_other(self) -> None:
        bench = Bench(note, send, burst=False)
        bench.push("send", signal.SIGQUIT)
        bench.push("note", 1)
        works(bench)
        assert (bench.broker.stats().processed, bench.broker.size("jobs")) == (1, 1)
        assert bench.broker.workers() == []

    def test_usr1_while_idle_is_about_nothing(self) -> None:
        """WIRE.md section 13. It killed whichever job came next."""
        asked: list[bool] = []

        class Asks:
            """An execution model that can kill, and asks as `Fork` does whether it should."""

            def start(self) -> None: ...
            def stop(self) -> None: ...
            def between(self) -> float | None:
                return None

            def perform(self, task: Task) -> Outcome:
                asked.append(bench.control.takes_kill())
                return Done(0.0)

        from dataclasses import replace

        def usr1_then_push() -> None:
            signal.raise_signal(signal.SIGUSR1)
            bench.control.listen()
            bench.push("note", 1)

        ends = on(events.SettledJob, lambda: signal.raise_signal(signal.SIGQUIT))
        pushes = on(events.Empty, usr1_then_push)

        def tell(event: events.Event) -> None:
            pushes(event)
            ends(event)

        bench = Bench(note, burst=False, interval=3600.0, tell=tell)
        with bench:
            work(replace(bench.worker, execution=Asks()))
        assert asked == [False]


class TestPause:
    def test_takes_nothing_until_told_to_go_on(self) -> None:
        waiting: list[int] = []

        def resume() -> None:
            waiting.append(bench.broker.size("jobs"))
            signal.raise_signal(signal.SIGCONT)

        bench = Bench(note, send, tell=on(events.Paused, resume))
        bench.push("send", signal.SIGUSR2)
        bench.push("note", 1)
        works(bench)
        assert waiting == [1]
        assert performed == [1]
        kinds = [type(event) for event in bench.told.all]
        assert kinds.index(events.Paused) > kinds.index(events.SettledJob)  # what is done is settled first
        assert kinds.index(events.Resumed) > kinds.index(events.Paused)
        assert bench.titles[1] == "resque-3 taskq: Paused"

    def test_can_be_ended(self) -> None:
        bench = Bench(note, send, burst=False, tell=on(events.Paused, lambda: signal.raise_signal(signal.SIGTERM)))
        bench.push("send", signal.SIGUSR2)
        bench.push("note", 1)
        works(bench)
        assert performed == []
        assert bench.broker.workers() == []

    def test_waits_without_spinning_though_the_interval_is_nothing(self) -> None:
        rests = 0

        class Counts:
            def __init__(self, bench: Bench) -> None:
                self.start, self.stop, self.perform = bench.inline.start, bench.inline.stop, bench.inline.perform

            def between(self) -> float | None:
                nonlocal rests
                rests += 1
                return None

        from dataclasses import replace

        resume = threading.Timer(0.3, lambda: os.kill(PID, signal.SIGCONT))
        bench = Bench(send, interval=0.0, tell=on(events.Paused, resume.start))
        bench.push("send", signal.SIGUSR2)
        with bench:
            work(replace(bench.worker, execution=Counts(bench)))
        resume.join()
        assert 0 < rests < 10

    def test_keeps_the_sign_of_life(self, tmp_path: Path) -> None:
        health = tmp_path / "alive"

        def paused() -> None:
            os.utime(health, (0, 0))
            bench.lookout.next_look = time.monotonic()  # else the pause would last a beat

        def look(event: events.Event) -> None:
            on_paused(event)
            if isinstance(event, events.Paused):
                threading.Thread(target=resume_when_touched).start()

        def resume_when_touched() -> None:
            ends = time.monotonic() + 30.0
            while not touched() and time.monotonic() < ends:
                time.sleep(0.01)
            os.kill(PID, signal.SIGCONT)

        def touched() -> bool:
            return health.stat().st_mtime > 0

        on_paused = on(events.Paused, paused)
        bench = Bench(send, health_file=health, beat=1.1, tell=look)
        bench.push("send", signal.SIGUSR2)
        works(bench)
        assert touched()


class TestOutage:
    def test_in_the_middle_of_a_job_loses_nothing(self) -> None:
        def cut() -> None:
            bench.broker.away = 4

        bench = Bench(note, cut)
        bench.push("cut")
        bench.push("note", 1)
        works(bench)
        assert performed == [1]
        assert bench.broker.stats().processed == 2
        assert [len(bench.told.of(kind)) for kind in (events.BrokerLost, events.BrokerBack)] == [1, 1]

    def test_while_it_waits_is_said_and_waited_for(self) -> None:
        def cut() -> None:
            bench.broker.away = 3
            bench.broker.on_away = lambda: None

        quits = on(events.BrokerBack, lambda: signal.raise_signal(signal.SIGQUIT))
        cuts = on(events.Empty, cut)

        def tell(event: events.Event) -> None:
            cuts(event)
            quits(event)

        bench = Bench(burst=False, interval=3600.0, tell=tell)
        works(bench)
        assert [type(event) for event in bench.told.all][1:4] == [events.Empty, events.BrokerLost, events.BrokerBack]

    def test_that_does_not_end_leaves_what_is_in_hand_to_recovery(self) -> None:
        def cut() -> None:
            bench.broker.away = True
            signal.raise_signal(signal.SIGQUIT)

        bench = Bench(cut, patience=0.1)
        bench.push("cut")
        works(bench)
        bench.broker.away = False
        [info] = bench.broker.workers()
        assert info.job is not None
        away, last = (warned.message for warned in bench.told.of(events.Warned))
        assert away.startswith("The broker is away (")
        assert away.endswith("). What this worker still holds there is left to recovery.")
        assert last == f"host:{PID}:jobs could not be unregistered; it is left to recovery."


class TestAtStart:
    def test_it_settles_what_a_dead_worker_left(self) -> None:
        bench = Bench(note)
        tokens = stranger(bench.broker, "far:1:jobs")
        bench.push("note", 1)
        bench.broker.reserve("far:1:jobs", ["jobs"], tokens.next())
        bench.clock.passes(400.0)
        works(bench)
        assert [failed.body for failed in failed_jobs(bench.broker)] == [payload("note", 1)]
        assert bench.broker.workers() == []


class TestHealthFile:
    def test_is_made_and_touched(self, tmp_path: Path) -> None:
        health = tmp_path / "alive"
        works(Bench(note, health_file=health))
        assert health.exists()
        os.utime(health, (0, 0))
        works(Bench(note, health_file=health))
        assert health.stat().st_mtime > 0

    def test_that_cannot_be_touched_is_said_once_and_jobs_go_on(self, tmp_path: Path) -> None:
        bench = Bench(note, health_file=tmp_path / "no such folder" / "alive")
        bench.push("note", 1)
        bench.push("note", 2)
        works(bench)
        assert performed == [1, 2]
        [warned] = bench.told.of(events.Warned)
        assert warned.message.endswith("alive cannot be touched: No such file or directory.")


def test_a_job_that_is_retried_goes_back_and_is_performed_again() -> None:
    class Once:
        name = "once"
        asked = 0

        def decide(self, failure: object) -> Retry | None:
            self.asked += 1
            return Retry() if self.asked == 1 else None

        def decided(self, failure: object, decision: object) -> None: ...

    bench = Bench(fails, handlers=[Once()])  # type: ignore[list-item]  # it need not inherit
    bench.push("fails", 1)
    works(bench)
    assert performed == [1, 1]
    assert bench.broker.failure_count() == 1
    assert bench.broker.stats().processed == 1


def test_a_cut_broker_is_the_real_one() -> None:
    """What the tests above rest on."""
    broker = CutBroker()
    broker.push("jobs", [b"1"])
    broker.away = 1
    with pytest.raises(Exception, match="connection refused"):
        broker.size("jobs")
    assert broker.size("jobs") == 1


class Reluctant(Inline):
    """Cannot begin the first jobs that it is given."""

    times = 2

    def perform(self, task: Task) -> Outcome:
        if self.times:
            self.times -= 1
            return NotBegun("it is too early")
        return super().perform(task)


class TestNotBegun:
    def test_it_is_the_next_job_again_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loop, "_BREATH", 0.05)
        bench = Bench(note)
        bench.push("note", 1)
        bench.push("note", 2)
        began = time.monotonic()
        reluctant = Reluctant(bench.tools, bench.seat, bench.hand, bench.control, bench.ear)
        with bench:
            work(dataclasses.replace(bench.worker, execution=reluctant))
        assert performed == [1, 2]
        assert time.monotonic() - began >= 0.1
        assert bench.broker.stats().processed == 2

    def test_a_worker_that_is_told_to_stop_does_not_wait_for_it(self) -> None:
        bench = Bench(note)
        bench.push("note", 1)
        reluctant = Reluctant(bench.tools, bench.seat, bench.hand, bench.control, bench.ear)

        def tell(event: events.Event) -> None:
            bench.worker.tell(event)
            if isinstance(event, events.Performed):
                signal.raise_signal(signal.SIGTERM)
                bench.control.listen()

        with bench:
            work(dataclasses.replace(bench.worker, execution=reluctant, tell=tell))
        assert performed == []
        assert bench.broker.size("jobs") == 1
