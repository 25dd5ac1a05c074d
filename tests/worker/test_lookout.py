"""Who is dead, who says so, and what becomes of what they left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskq import crashes, envelope, events
from taskq.errors import BrokerUnavailable
from taskq.failure_handler import Decision, Fail, Failure, FailureHandler, Retry
from taskq.hook import Settled
from taskq.on_crash import OnCrash
from taskq.records import Crash, ProcessIdentity, Tokens
from taskq.worker import lookout as lookouts
from taskq.worker.lookout import Lookout
from taskq.worker.outage import Outage
from taskq.worker.waiting import readable
from taskq_failed import FailedList
from tests.support.bench import GONE, Bench, Clock, CutBroker, Told, failed_jobs, payload, stranger, tools_of
from tests.support.leftovers import Since

BEAT = 5.0
ME = "host:1:jobs"


class Decides(FailureHandler):
    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked: list[Failure] = []

    def decide(self, failure: Failure) -> Decision | None:
        self.asked.append(failure)
        return self.decision


class Watch:
    """A lookout whose clock, and the broker's, pass together."""

    def __init__(self, *written: object, handler: FailureHandler | None = None, on_crash: OnCrash = "fail") -> None:
        from taskq.identity import this_process

        self.clock = Clock()
        self.broker = CutBroker(clock=self.clock)
        self.told = Told()
        self.process = this_process()
        self.outage = Outage(self.told, clock=self.clock)
        self.handler = Decides(Fail()) if handler is None else handler
        tools = tools_of(*written, handlers=[self.handler], now=self.broker.now, on_crash=on_crash)
        self.lookout = Lookout(self.broker, tools, self.process, self.outage, self.told, beat=BEAT, clock=self.clock)

    def passes(self, seconds: float) -> None:
        self.clock.passes(seconds)

    def look(self, *, at_start: bool = False) -> list[str]:
        """Look; the ids of those that were recovered."""
        before = len(self.told.of(events.Recovered))
        self.lookout.look(ME, at_start=at_start)
        return [event.worker for event in self.told.of(events.Recovered)[before:]]


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def here(watch: Watch, pid: int) -> ProcessIdentity:
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return replace(watch.process, pid=pid, started=started)


def takes(watch: Watch, worker: str, tokens: Tokens, *numbers: int, limit: int = 1) -> None:
    watch.broker.push("jobs", [payload("job", number) for number in numbers])
    watch.broker.reserve(worker, ["jobs"], tokens.next(), limit=limit)


class TestSilence:
    def test_longer_than_it_said_is_dead_at_the_second_look(self) -> None:
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        assert watch.look() == []
        watch.passes(25.9)  # a heartbeat may be younger by a second than it reads
        assert watch.look() == []
        watch.passes(1.1)
        assert watch.look() == ["far:1:jobs"]
        assert watch.broker.workers() == []
        assert watch.told.of(events.Recovered) == [events.Recovered("far:1:jobs", "no heartbeat for 26 s", "")]

    @pytest.mark.parametrize(("silent", "said"), [(3500, "3499 s"), (7492, "2.1 h"), (40 * 86_400, "40 days")])
    def test_is_told_in_a_unit_that_a_person_needs_not_work_out(self, silent: float, said: str) -> None:
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.passes(silent)
        watch.look(at_start=True)
        assert watch.told.of(events.Recovered) == [events.Recovered("far:1:jobs", f"no heartbeat for {said}", "")]

    def test_is_looked_at_when_it_becomes_too_long_not_at_the_beat_after_that(self) -> None:
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.look()
        assert watch.lookout.next_look == pytest.approx(watch.clock() + BEAT)
        watch.passes(24.0)
        assert watch.look() == []
        assert watch.lookout.next_look == pytest.approx(watch.clock() + 2.0, abs=0.1)
        watch.passes(watch.lookout.next_look - watch.clock())
        assert watch.look() == ["far:1:jobs"]

    def test_is_dead_only_where_it_was_seen_so_two_beats_ago(self) -> None:
        """Clocks jump: at the first look an hour may lie between the heartbeat and now."""
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.passes(3600.0)
        assert watch.look() == []
        watch.passes(2 * BEAT - 0.1)
        assert watch.look() == []
        watch.passes(0.2)
        assert watch.look() == ["far:1:jobs"]

    def test_that_ends_in_a_beat_is_no_death(self) -> None:
        watch = Watch()
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.look()
        for _ in range(10):
            watch.passes(24.0)
            watch.broker.heartbeat("far:1:jobs", tokens.process)
            assert watch.look() == []

    def test_says_nothing_to_one_who_was_cut_off_himself(self) -> None:
        """An outage silences all."""
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.look()
        watch.outage.lost(BrokerUnavailable("memory", "gone"))
        watch.passes(600.0)
        watch.outage.answered()
        watch.passes(24.0)
        assert watch.look() == []
        watch.passes(2.0)
        assert watch.look() == ["far:1:jobs"]

    def test_says_nothing_to_one_who_is_the_first_of_his_process_to_be_answered_again(self) -> None:
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.look()
        watch.outage.lost(BrokerUnavailable("memory", "gone"))
        watch.passes(600.0)
        assert watch.look() == []

    def test_of_its_own_is_no_business_of_the_one_who_looks(self) -> None:
        watch = Watch()
        stranger(watch.broker, ME, dead_after=25.0)
        watch.look()
        watch.passes(3600.0)
        watch.look()
        watch.passes(3600.0)
        assert watch.look() == []


class TestAtStart:
    def test_whoever_was_silent_for_300_seconds_is_dead_at_once(self) -> None:
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=1000.0)
        watch.passes(299.0)
        assert watch.look(at_start=True) == []
        watch.passes(3.0)
        watch.broker._claims.clear()  # Resque's lock is held for a minute
        assert watch.look(at_start=True) == ["far:1:jobs"]

    def test_but_not_where_another_looked_within_the_last_minute(self) -> None:
        watch = Watch()
        stranger(watch.broker, "far:1:jobs", dead_after=1000.0)
        watch.passes(301.0)
        assert watch.broker.claim_recovery("another", 60.0, at_start=True)
        assert watch.look(at_start=True) == []


class TestProcess:
    def test_that_is_gone_here_is_dead_at_the_first_look(self, other: subprocess.Popen[bytes]) -> None:
        watch = Watch()
        stranger(watch.broker, "host:2:jobs", process=here(watch, other.pid))
        assert watch.look() == []
        other.kill()
        other.wait()
        watch.passes(BEAT)
        assert watch.look() == ["host:2:jobs"]
        [recovered] = watch.told.of(events.Recovered)
        assert recovered.why == f"its process {other.pid} is gone"

    def test_that_falls_wakes_and_is_found_at_once(self, other: subprocess.Popen[bytes]) -> None:
        watch = Watch()
        stranger(watch.broker, "host:2:jobs", process=here(watch, other.pid))
        watch.look()
        [fd] = watch.lookout.fds
        os.kill(other.pid, signal.SIGKILL)
        assert readable([fd], 30.0) == {fd}
        watch.lookout.look_at_fallen()
        assert watch.lookout.fds == ()
        assert [event.worker for event in watch.told.of(events.Recovered)] == ["host:2:jobs"]

    def test_that_is_elsewhere_is_not_judged_by_its_pid(self) -> None:
        watch = Watch()
        stranger(watch.broker, "host:2:jobs", process=replace(GONE, pid=2**22 - 1))
        assert watch.look() == []
        assert watch.lookout.fds == ()

    def test_that_left_is_watched_no_more(self, other: subprocess.Popen[bytes]) -> None:
        watch = Watch()
        tokens = stranger(watch.broker, "host:2:jobs", process=here(watch, other.pid))
        since = Since()
        watch.look()
        assert len(since.descriptors()) == 1
        watch.broker.unregister("host:2:jobs", tokens.process)
        watch.look()
        assert watch.lookout.fds == ()
        assert since.descriptors() == set()

    def test_is_watched_through_one_descriptor_however_often_one_looks(self, other: subprocess.Popen[bytes]) -> None:
        watch = Watch()
        stranger(watch.broker, "host:2:jobs", process=here(watch, other.pid))
        for _ in range(5):
            watch.look()
            watch.passes(BEAT)
        assert len(watch.lookout.fds) == 1
        watch.lookout.close()

    def test_of_too_many_are_watched_only_so_many(
        self, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lookouts, "_PEERS_MOST", 3)
        watch = Watch()
        for number in range(5):
            stranger(watch.broker, f"host:{number}:other", process=here(watch, other.pid))
        watch.look()
        assert len(watch.lookout.fds) == 3
        watch.lookout.close()


class TestClaim:
    def test_one_looks_at_a_time_and_the_holder_goes_on_looking(self) -> None:
        watch = Watch()
        assert watch.broker.claim_recovery("another", 3600.0)
        stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.look()
        for _ in range(20):
            watch.passes(1.0)
            assert watch.look() == []

    def test_who_does_not_hold_it_still_learns_who_is_on_this_machine(self, other: subprocess.Popen[bytes]) -> None:
        watch = Watch()
        assert watch.broker.claim_recovery("another", 3600.0)
        watch.look()
        stranger(watch.broker, "host:2:jobs", process=here(watch, other.pid))
        watch.passes(BEAT)
        watch.look()
        assert list(watch.lookout.fds) == []
        watch.passes(40.0)
        watch.look()
        assert len(watch.lookout.fds) == 1
        watch.lookout.close()

    def test_the_next_look_is_due_a_beat_later_even_where_this_one_met_an_outage(self) -> None:
        watch = Watch()
        watch.broker.away = True
        with pytest.raises(BrokerUnavailable):
            watch.look()
        assert watch.lookout.next_look == watch.clock() + BEAT


def job(number: int) -> None:
    """Registered, never performed here."""


class TestWhatTheyLeft:
    def test_the_job_in_hand_is_failed_in_rubys_words_and_what_was_held_ahead_goes_back(self) -> None:
        watch = Watch(job)
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        takes(watch, "far:1:jobs", tokens, 1, 2, 3, limit=2)
        watch.look()
        watch.passes(30.0)
        watch.look()
        [failed] = failed_jobs(watch.broker)
        assert failed.body == payload("job", 1)
        assert failed.exception == "Resque::PruneDeadWorkerDirtyExit"
        assert failed.error == "Worker far:1:jobs did not gracefully exit while processing job"
        assert failed.worker == "far:1:jobs"
        assert list(watch.broker.peek("jobs", 0, 9)) == [payload("job", 2), payload("job", 3)]
        assert watch.told.of(events.Recovered) == [events.Recovered("far:1:jobs", "no heartbeat for 29 s", "failed")]
        [settled] = [event.settled for event in watch.told.of(events.SettledJob)]
        assert (settled.outcome, settled.decision, settled.seconds) == ("failed", Fail(), None)

    def test_of_one_whose_process_is_gone_is_failed_as_still_being_processed(
        self, other: subprocess.Popen[bytes]
    ) -> None:
        watch = Watch(job)
        tokens = stranger(watch.broker, "host:2:jobs", process=here(watch, other.pid))
        takes(watch, "host:2:jobs", tokens, 1)
        other.kill()
        other.wait()
        watch.look()
        [failed] = failed_jobs(watch.broker)
        assert (failed.exception, failed.error) == ("Resque::DirtyExit", "Job still being processed")
        assert isinstance(watch.handler, Decides)
        [failure] = watch.handler.asked
        assert failure.cause == Crash(worker_lost=True)

    def test_goes_back_to_the_front_where_a_handler_retries_it(self) -> None:
        watch = Watch(job, handler=Decides(Retry()))
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        takes(watch, "far:1:jobs", tokens, 1, 2)
        watch.look()
        watch.passes(30.0)
        watch.look()
        assert list(watch.broker.peek("jobs", 0, 9)) == [payload("job", 1), payload("job", 2)]
        assert watch.broker.failure_count() == 0
        assert watch.told.of(events.Recovered)[0].became == "retried"

    @pytest.mark.parametrize("known", [True, False], ids=["known here", "not known here"])
    def test_goes_back_to_the_front_and_is_counted_where_its_worker_said_so(self, known: bool) -> None:
        """By any finder, of another application too."""
        watch = Watch(*([job] if known else []), handler=FailedList())
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0, requeues={"job": 2})
        takes(watch, "far:1:jobs", tokens, 1, 2)
        watch.look()
        watch.passes(30.0)
        watch.look()
        counted = b'{"class":"job","args":[1],"taskq:crashes":1}'
        assert list(watch.broker.peek("jobs", 0, 9)) == [counted, payload("job", 2)]
        assert watch.broker.failure_count() == 0
        assert watch.told.of(events.Recovered)[0].became == "retried"

    def test_one_that_was_suspected_and_had_not_begun_goes_back_as_it_came(self) -> None:
        """It waited for the end of another one, which took the process along, as often as that may be."""
        watch = Watch(handler=FailedList())
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0, requeues={"job": 2})
        suspected = b'{"class":"job","args":[1],"taskq:crashes":2}'
        watch.broker.push("jobs", [suspected, payload("job", 2)])
        watch.broker.reserve("far:1:jobs", ["jobs"], tokens.next())
        watch.look()
        watch.passes(30.0)
        watch.look()
        assert list(watch.broker.peek("jobs", 0, 9)) == [suspected, payload("job", 2)]
        assert watch.broker.workers() == []
        assert watch.told.of(events.Recovered)[0].became == "retried"

    def test_is_quarantined_where_it_killed_too_many(self) -> None:
        watch = Watch(handler=FailedList())
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0, requeues={"job": 2})
        watch.broker.push("jobs", [b'{"class":"job","args":[1],"taskq:crashes":2}'])
        [held] = watch.broker.reserve("far:1:jobs", ["jobs"], tokens.next()).jobs
        crashes.begins(watch.broker, envelope.decode(held.body), held)
        watch.look()
        watch.passes(30.0)
        watch.look()
        [failed] = failed_jobs(watch.broker)
        assert failed.quarantined == "it killed its process 3 times"
        assert watch.broker.size("jobs") == 0

    def test_is_failed_where_only_the_finder_would_requeue_it(self) -> None:
        watch = Watch(job, handler=FailedList(), on_crash="requeue")
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        takes(watch, "far:1:jobs", tokens, 1)
        watch.look()
        watch.passes(30.0)
        watch.look()
        assert [failed.body for failed in failed_jobs(watch.broker)] == [payload("job", 1)]

    def test_goes_into_its_queues_own_list_where_a_handler_says_so(self) -> None:
        watch = Watch(job, handler=Decides(Fail(by_queue=True)))
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        takes(watch, "far:1:jobs", tokens, 1)
        watch.look()
        watch.passes(30.0)
        watch.look()
        assert (watch.broker.failure_count(), watch.broker.failure_count(queue="jobs")) == (0, 1)

    @pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", payload("nobody", 1)])
    def test_that_cannot_be_read_or_is_not_known_here_is_failed_all_the_same(self, body: bytes) -> None:
        watch = Watch()
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        watch.broker.push("jobs", [body])
        watch.broker.reserve("far:1:jobs", ["jobs"], tokens.next())
        watch.look()
        watch.passes(30.0)
        assert watch.look() == ["far:1:jobs"]
        assert [failed.body for failed in failed_jobs(watch.broker)] == [body]

    def test_is_left_alone_where_it_did_something_in_between(self) -> None:
        """Judged dead, it beats before it is recovered: `recover` is fenced."""
        watch = Watch(job)
        tokens = stranger(watch.broker, "far:1:jobs", dead_after=25.0)
        takes(watch, "far:1:jobs", tokens, 1)

        class Revives(Decides):
            def decide(self, failure: Failure) -> Decision | None:
                watch.passes(0.5)
                watch.broker.heartbeat("far:1:jobs", tokens.process)
                return super().decide(failure)

        watch.lookout._tools.handlers = (Revives(Fail()),)
        watch.look()
        watch.passes(30.0)
        assert watch.look() == []
        assert watch.told.of(events.SettledJob) == []
        assert watch.broker.failure_count() == 0
        assert watch.broker.workers()[0].job is not None


def test_hooks_are_told_that_it_was_settled() -> None:
    seen: list[Settled] = []

    class Listens:
        name = "listens"

        def settled(self, settled: Settled) -> None:
            seen.append(settled)

    with Bench(job, hooks=[Listens()]) as bench:
        tokens = stranger(bench.broker, "far:1:jobs", dead_after=0.0, beat=0.0)
        bench.push("job", 1)
        bench.broker.reserve("far:1:jobs", ["jobs"], tokens.next())
        bench.clock.passes(400.0)
        bench.lookout.look(ME, at_start=True)
    assert [settled.outcome for settled in seen] == ["failed"]
