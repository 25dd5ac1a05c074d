"""From an outcome to the broker: each becomes one call, and is told with what the broker answered."""

from __future__ import annotations

import json

import pytest

from taskq import events
from taskq.failure_handler import Decision, Discard, Fail, Quarantine, Retry
from taskq.hook import Settled
from taskq.outcome import Crashed, Done, Failed, NotBegun
from taskq.performing import Task, prepare
from taskq.records import Crash, ErrorRecord
from taskq.recovering import entry_for
from tests.support.bench import Bench, failed_jobs, held, payload, tools_of

ERROR = ErrorRecord("ValueError", "no", ("a.py:1:in 'f'",))
CRASH = Crash(pid=7, signal=9)


def taken(bench: Bench, *args: object) -> Task:
    """A job of this worker's, reserved."""
    if not bench.seat.id:
        bench.seat.register()
    bench.push("job", *args)
    [job] = bench.settling.reserve(("jobs",)).jobs
    return prepare(job, bench.tools)


def rob(bench: Bench) -> None:
    """Another process takes this worker for dead and settles what it had."""
    [seen] = bench.broker.workers()
    assert bench.broker.recover(seen, b'{"robbed":1}')


def settled_of(bench: Bench) -> list[Settled]:
    return [event.settled for event in bench.told.of(events.SettledJob)]


class TestDone:
    def test_waits_for_the_next_reserve_which_settles_it_as_well(self) -> None:
        with Bench() as bench:
            task = taken(bench, 1)
            bench.settling.settle(task, Done(0.25), bench.broker.now)
            assert bench.broker.stats().processed == 0
            assert settled_of(bench) == []
            bench.push("job", 2)
            [job] = bench.settling.reserve(("jobs",)).jobs
            assert job.body == payload("job", 2)
            assert bench.broker.stats().processed == 1
            assert settled_of(bench) == [Settled(task.reservation, "done", seconds=0.25)]

    def test_is_settled_by_finish_without_taking_another_job_and_once(self) -> None:
        with Bench() as bench:
            task = taken(bench, 1)
            bench.push("job", 2)
            bench.settling.settle(task, Done(0.25), bench.broker.now)
            bench.settling.finish()
            bench.settling.finish()
            assert (bench.broker.stats().processed, bench.broker.size("jobs")) == (1, 1)
            assert settled_of(bench) == [Settled(task.reservation, "done", seconds=0.25)]

    @pytest.mark.parametrize("by", ["reserve", "finish"])
    def test_is_refused_where_somebody_else_settled_it(self, by: str) -> None:
        with Bench() as bench:
            task = taken(bench, 1)
            rob(bench)
            bench.settling.settle(task, Done(0.25), bench.broker.now)
            if by == "reserve":
                bench.settling.reserve(("jobs",))
            else:
                bench.settling.finish()
            assert settled_of(bench) == [Settled(task.reservation, "refused", seconds=0.25)]
            assert bench.broker.stats().processed == 1

    def test_that_is_refused_keeps_nobody_from_taking_the_next_job(self) -> None:
        """A burst would take the empty hands for an empty queue, and end."""
        with Bench() as bench:
            task = taken(bench, 1)
            rob(bench)
            bench.push("job", 2)
            bench.settling.settle(task, Done(0.25), bench.broker.now)
            [job] = bench.settling.reserve(("jobs",)).jobs
            assert job.body == payload("job", 2)


class TestFailed:
    @pytest.mark.parametrize("cause", [ERROR, CRASH])
    @pytest.mark.parametrize(
        ("decision", "became", "failed", "processed", "waiting"),
        [
            (Fail(), "failed", [None], 1, []),
            (Fail(by_queue=True), "failed", ["jobs"], 1, []),
            (Quarantine("poison"), "failed", [None], 1, []),
            (Retry(), "retried", [], 0, [payload("other"), payload("job", 1)]),
            (Retry(front=True), "retried", [], 0, [payload("job", 1), payload("other")]),
            (Retry(body=b"new"), "retried", [], 0, [payload("other"), b"new"]),
            (Discard("old"), "discarded", [], 1, []),
        ],
    )
    def test_is_carried_out_as_decided(
        self,
        cause: ErrorRecord | Crash,
        decision: Decision,
        became: str,
        failed: list[str | None],
        processed: int,
        waiting: list[bytes],
    ) -> None:
        with Bench() as bench:
            task = taken(bench, 1)
            bench.push("other")
            outcome = Failed(cause, decision, 0.5) if isinstance(cause, ErrorRecord) else Crashed(cause, decision, 0.5)
            bench.settling.settle(task, outcome, bench.broker.now)
            assert bench.broker.stats().processed == processed
            assert [queue for queue in (None, "jobs") if bench.broker.failure_count(queue=queue)] == failed
            assert list(bench.broker.peek("jobs", 0, 9)) == (waiting or [payload("other")])
            [settled] = settled_of(bench)
            assert (settled.outcome, settled.cause, settled.decision, settled.seconds) == (became, cause, decision, 0.5)

    def test_is_refused_where_somebody_else_settled_it(self) -> None:
        for decision in (Fail(), Retry(), Discard("old"), Quarantine("poison")):
            with Bench() as bench:
                task = taken(bench, 1)
                rob(bench)
                bench.settling.settle(task, Failed(ERROR, decision, 0.5), bench.broker.now)
                assert [settled.outcome for settled in settled_of(bench)] == ["refused"]
                assert bench.broker.failure_count() == 1
                assert bench.broker.size("jobs") == 0


class TestNotBegun:
    def test_goes_back_to_the_front_uncounted_and_untold(self) -> None:
        with Bench() as bench:
            task = taken(bench, 1)
            bench.push("job", 2)
            bench.settling.settle(task, NotBegun("no process"), bench.broker.now)
            assert bench.broker.peek("jobs", 0, 9) == [payload("job", 1), payload("job", 2)]
            assert (bench.broker.stats().processed, bench.broker.stats().failed) == (0, 0)
            assert settled_of(bench) == []

    def test_goes_back_ahead_of_what_was_taken_behind_it_and_behind_what_is_done(self) -> None:
        with Bench(prefetch=8) as bench:
            bench.seat.register()
            bench.hand.ran(0.001)
            for number in range(4):
                bench.push("job", number)
            done = prepare(bench.hand.take(bench.settling.reserve(("jobs",)).jobs), bench.tools)
            bench.settling.settle(done, Done(0.001), bench.broker.now)
            held = bench.hand.begin()
            assert held is not None
            bench.settling.settle(prepare(held, bench.tools), NotBegun("no process"), bench.broker.now)
            assert bench.broker.peek("jobs", 0, 9) == [payload("job", number) for number in (1, 2, 3)]
            assert bench.broker.stats().processed == 1
            assert settled_of(bench) == [Settled(done.reservation, "done", seconds=0.001)]
            assert bench.hand.begin() is None


class TestEntryFor:
    def test_has_what_failed_and_when(self) -> None:
        task = prepare(held(payload("job", 1), worker="host:1:jobs"), tools_of())
        entry = json.loads(entry_for(task, ERROR, Fail(), 1_800_000_005.0))
        assert list(entry) == ["failed_at", "payload", "exception", "error", "backtrace", "worker", "queue"]
        assert entry["payload"] == {"class": "job", "args": [1]}
        assert (entry["exception"], entry["error"], entry["backtrace"]) == ("ValueError", "no", ["a.py:1:in 'f'"])
        assert (entry["worker"], entry["queue"]) == ("host:1:jobs", "jobs")

    def test_of_a_child_that_was_killed_is_rubys(self) -> None:
        task = prepare(held(payload("job", 1)), tools_of())
        entry = json.loads(entry_for(task, Crash(pid=12871, signal=9), Fail(), 1_800_000_005.0))
        assert (entry["exception"], entry["error"], entry["backtrace"]) == (
            "Resque::DirtyExit",
            "Child process received unhandled signal pid 12871 SIGKILL (signal 9)",
            [],
        )

    def test_says_why_it_is_quarantined(self) -> None:
        task = prepare(held(payload("job", 1)), tools_of())
        entry = json.loads(entry_for(task, ERROR, Quarantine("it killed 3 workers"), 1_800_000_005.0))
        assert "quarantined: it killed 3 workers" in json.dumps(entry)

    def test_of_what_is_no_payload_keeps_its_bytes(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.broker.push("jobs", [b"\xff\0"])
            [job] = bench.settling.reserve(("jobs",)).jobs
            task = prepare(job, bench.tools)
            bench.settling.settle(task, Failed(ERROR, Fail(), 0.0), bench.broker.now)
            [failed] = failed_jobs(bench.broker)
            assert failed.body == b"\xff\0"
