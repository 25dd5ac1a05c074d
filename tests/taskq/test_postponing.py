"""Jobs that go back though nothing failed: a hook said so, or this worker does not know them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import taskq
from taskq import envelope, events, postponing
from taskq.hook import Hook, PerformContext
from taskq.outcome import Failed, Postponed, dump, load
from taskq.performing import perform, perform_inline, prepare
from taskq.worker.loop import work
from tests.support.bench import Bench, held, payload, task_of, tools_of

NOW = 1_800_000_001.0


class Later(Hook):
    name = "later"

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        raise taskq.NotNow(12.5, "it is night")


def works() -> None: ...


def says_so_itself() -> None:
    raise taskq.NotNow(3)


class TestNotNow:
    def test_raised_around_a_job_has_it_performed_later(self) -> None:
        tools = tools_of(works, hooks=[Later()])
        body = payload("works")[:-1] + b',"taskq:postponed":1}'
        assert perform(task_of(tools, "works"), tools) == Postponed(12.5, "it is night", body)

    def test_counts_how_often(self) -> None:
        tools = tools_of(says_so_itself)
        first = perform(task_of(tools, "says_so_itself"), tools)
        assert isinstance(first, Postponed)
        second = perform(prepare(held(first.body), tools), tools)
        assert isinstance(second, Postponed)
        assert second.body == payload("says_so_itself")[:-1] + b',"taskq:postponed":2}'
        assert postponing.times(envelope.decode(second.body)) == 2

    def test_crosses_a_pipe(self) -> None:
        later = Postponed(1.5, "why\n", b"\xff{")
        assert load(dump(later)) == later

    def test_inline_rises_to_the_caller(self) -> None:
        with pytest.raises(taskq.NotNow):
            perform_inline(tools_of(says_so_itself), payload("says_so_itself"), "jobs")

    @pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "3"])
    def test_takes_seconds(self, seconds: object) -> None:
        with pytest.raises(ValueError, match="number of seconds"):
            taskq.NotNow(seconds)  # type: ignore[arg-type]

    def test_a_worker_puts_it_among_the_delayed_and_goes_on(self) -> None:
        with Bench(works, says_so_itself) as bench:
            bench.push("says_so_itself")
            bench.push("works")
            work(bench.worker)
            [waits] = bench.broker.scheduled(0, 0, 10)
            assert (waits.at, waits.queue) == (bench.clock() + 3, "jobs")
            assert bench.broker.stats().processed == 1
            assert bench.broker.failure_count() == 0
            outcomes = [event.settled.outcome for event in bench.told.of(events.SettledJob)]
            assert outcomes == ["postponed", "done"]
            assert any("is postponed by 3 s: it said so itself." in line for line in bench.lines)


class TestUnknown:
    def kept(self, body: bytes, *, seconds: float = 0.0) -> Postponed | Failed:
        tools = tools_of(works, now=lambda: NOW + seconds)
        tools.keeps_unknown = True
        outcome = perform(prepare(held(body), tools), tools)
        assert isinstance(outcome, Postponed | Failed)
        return outcome

    def test_fails_by_default(self) -> None:
        tools = tools_of(works)
        assert isinstance(perform(task_of(tools, "elsewhere"), tools), Failed)

    def test_goes_back_for_an_hour_and_then_fails(self) -> None:
        first = self.kept(payload("elsewhere"))
        assert first == Postponed(
            1.0, "no job of that name is registered here", payload("elsewhere")[:-1] + b',"taskq:unknown":1800000001}'
        )
        assert isinstance(first, Postponed)
        again = self.kept(first.body, seconds=40)
        assert again == Postponed(10.0, first.reason, first.body)
        assert isinstance(self.kept(first.body, seconds=3599), Postponed)
        assert isinstance(self.kept(first.body, seconds=3600), Failed)

    @pytest.mark.parametrize("since", ["-5", "0", "true", '"x"', "99999999999999"])
    def test_what_is_no_time_counts_from_now_on(self, since: str) -> None:
        outcome = self.kept(payload("elsewhere")[:-1] + b',"taskq:unknown":%s}' % since.encode())
        assert isinstance(outcome, Postponed)
        assert b'"taskq:unknown":1800000001' in outcome.body

    def test_what_is_no_payload_fails(self) -> None:
        assert isinstance(self.kept(b"\xff{"), Failed)
