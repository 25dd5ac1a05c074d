"""The plugin `limit`: how many of a key run at once or start within a time, and what becomes of the others."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

import taskq
from taskq.errors import ConfigurationError, JobDefinitionError, NotNow
from taskq.failure_handler import Retry
from taskq.hook import PerformContext, Settled
from taskq.records import Crash, Payload, Reservation
from taskq.testing import stores
from taskq.testing.contract import HookContract
from taskq_limit import Limit, LimitHook
from taskq_limit import hook as hook_module
from taskq_limit import leases as leases_module
from taskq_limit.leases import Leases
from taskq_limit.line import Line, Waiting
from taskq_limit.turns import tell_turn
from taskq_memory import MemoryBroker
from tests.plugins.stores import ON_EACH, trying
from tests.support.bench import SideBySide

REGISTRY = taskq.Registry()
DID: list[object] = []
WITHIN: list[Callable[[], object]] = []


def bound_to(broker: object) -> LimitHook:
    return LimitHook().bound(taskq.TaskQ(broker=broker))


class TestLimitHook(HookContract):
    job_options: ClassVar[Mapping[str, object]] = {"limit": Limit(at_once=8, starts=500, per=60.0)}

    def make_hook(self) -> LimitHook:
        return bound_to(stores.fresh("sqlite"))  # for a forked child sees no other process's memory


@taskq.job(queue="q", registry=REGISTRY, limit=Limit(at_once=1))
def alone(number: int) -> None:
    DID.append(number)
    for call in tuple(WITHIN):
        call()


@taskq.job(queue="q", registry=REGISTRY, limit=Limit(starts=2, per=60.0, key=lambda shop, n=0: shop))
def calls(shop: str, n: int = 0) -> None:
    DID.append((shop, n))


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DID.clear()
    WITHIN.clear()


def held(number: int, job: str = "job") -> PerformContext:
    fence = f"0123456789abcdef:{number:04d}"
    return PerformContext(Payload(job, (number,)), Reservation("host:1:q", "q", b"{}", fence, 0.0), {}, (number,))


def context(limit: Limit, number: int = 1, *, job: str = "job", postponed: int = 0) -> PerformContext:
    made = held(number, job)
    payload = Payload(job, made.payload.args, {"taskq:postponed": postponed} if postponed else {})
    return PerformContext(payload, made.reservation, {"limit": limit}, made.shown_args)


def nested(hook: LimitHook, *contexts: PerformContext) -> int:
    """How many of these can be within one another; what is over the limit raises."""
    if not contexts:
        return 0
    first, *rest = contexts

    def call(context: PerformContext) -> object:
        return 1 + nested(hook, *rest)

    return int(str(hook.wrap_perform(first, call)))


class TestAtOnce:
    def test_no_more_than_that_run(self) -> None:
        hook, limit = bound_to(MemoryBroker()), Limit(at_once=2)
        assert nested(hook, context(limit, 1), context(limit, 2)) == 2
        with pytest.raises(NotNow, match="2 of its key run at once already"):
            nested(hook, *(context(limit, number) for number in (1, 2, 3)))
        assert nested(hook, context(limit, 4), context(limit, 5)) == 2

    def test_each_key_has_a_limit_of_its_own_and_each_job(self) -> None:
        hook, limit = bound_to(MemoryBroker()), Limit(at_once=1, key=lambda number: number % 2)
        assert nested(hook, context(limit, 1), context(limit, 2), context(limit, 1, job="other")) == 3
        with pytest.raises(NotNow):
            nested(hook, context(limit, 1), context(limit, 3))

    def test_jobs_of_one_name_share_it(self) -> None:
        hook, limit = bound_to(MemoryBroker()), Limit(at_once=1, name="stripe")
        with pytest.raises(NotNow):
            nested(hook, context(limit, 1), context(limit, 2, job="other"))

    def test_one_that_raises_frees_its_place(self) -> None:
        hook, limit = bound_to(MemoryBroker()), Limit(at_once=1)

        def fail(context: PerformContext) -> object:
            raise KeyError

        for _ in range(2):
            with pytest.raises(KeyError):
                hook.wrap_perform(context(limit), fail)

    def test_comes_back_later_and_later(self) -> None:
        hook, limit = bound_to(MemoryBroker()), Limit(at_once=1, wait=2, wait_most=20)
        for times, most in ((0, 2), (1, 4), (3, 16), (9, 20), (10_000, 20)):
            with pytest.raises(NotNow) as raised:
                nested(hook, context(limit, 1), context(limit, 2, postponed=times))
            assert most / 2 <= raised.value.seconds <= most

    def test_one_whose_worker_is_gone_frees_its_place_when_that_is_found(self) -> None:
        broker, limit = MemoryBroker(), Limit(at_once=1, lease=600)
        dead, other = bound_to(broker), bound_to(broker)

        class Killed(BaseException):
            pass

        def die(context: PerformContext) -> object:
            raise Killed

        dead.leases.let_go = lambda key: None  # type: ignore[method-assign]
        broker.swap_key, swap = lambda *a, **k: False, broker.swap_key  # type: ignore[method-assign]
        with pytest.raises(Killed):
            dead.wrap_perform(context(limit, 1), die)
        broker.swap_key = swap  # type: ignore[method-assign]
        with pytest.raises(NotNow):
            nested(other, context(limit, 2))
        lost = context(limit, 1)
        other.settled(Settled(lost.reservation, "failed", Crash(worker_lost=True), context=lost))
        assert nested(other, context(limit, 2)) == 1

    def test_inline_takes_no_place(self) -> None:
        with trying("memory", REGISTRY, mode="inline", hooks=["limit"]):
            WITHIN.extend([WITHIN.clear, lambda: alone.enqueue(2)])
            alone.enqueue(1)
        assert DID == [1, 2]

    @pytest.mark.parametrize("model", ["threads", "async"])
    def test_holds_over_the_threads_of_a_worker(self, model: str) -> None:
        running, most = [0], [0]

        def counts() -> None:
            running[0] += 1
            most[0] = max(most[0], running[0])
            time.sleep(0.01)  # long enough to be beside another
            running[0] -= 1
            DID.append(1)

        broker = MemoryBroker()
        bench = SideBySide(broker=broker, model=model, at_once=6, hooks=["limit"])  # type: ignore[arg-type]
        taskq.job(queue="jobs", registry=bench.app.registry, limit=Limit(at_once=2, wait=0.001))(counts)
        bench.push("counts", times=12)
        bench.works()
        assert most[0] <= 2
        assert len(DID) + sum(count for _, count in broker.scheduled_times(0, 99)) == 12
        assert DID


class TestTurns:
    def test_are_told_so_many_a_time_and_no_earlier_than_can_be(self) -> None:
        broker = MemoryBroker()
        now = broker.now()
        assert [tell_turn(broker, "t", now + 1, 2, 10.0) - now for _ in range(5)] == pytest.approx([1, 1, 11, 11, 21])
        assert tell_turn(broker, "t", now + 50, 2, 10.0) - now == pytest.approx(50)

    def test_who_reckons_a_moment_later_when_a_place_is_free_is_told_of_no_other_turn(self) -> None:
        broker = MemoryBroker()
        now = broker.now()
        told = [tell_turn(broker, "t", now + 100 + late, 2, 100.0) - now for late in (0, 0.005, 0.01)]
        assert told == pytest.approx([100, 100, 200])

    def test_are_not_told_for_ever_ahead(self) -> None:
        broker = MemoryBroker()
        now = broker.now()
        told = [tell_turn(broker, "t", now, 1, 1000.0) - now for _ in range(20)]
        assert told[:4] == pytest.approx([0, 1000, 2000, 3000])
        assert all(1800 <= later <= 3600 for later in told[4:])

    def test_who_is_over_a_limit_of_starts_comes_when_he_may(self) -> None:
        hook, limit = bound_to(MemoryBroker()), Limit(starts=2, per=100.0)
        seconds = []
        for number in range(7):
            try:
                hook.wrap_perform(context(limit, number), lambda context: None)
            except NotNow as later:
                seconds.append(later.seconds)
        assert seconds == pytest.approx([100, 100, 200, 200, 300], abs=5)


@ON_EACH
class TestLine:
    def test_who_frees_a_place_has_the_next_one_come_that_was_postponed_most(self, backend: str) -> None:
        with trying(backend, REGISTRY, hooks=["limit"]) as queue:
            broker = queue.app.broker
            line = Line(broker, "limit:line")
            bodies = [b'{"class":"alone","args":[%d]}' % number for number in range(4)]
            broker.schedule(broker.now() + 100, "q", bodies[1:])
            for body, times in zip(bodies, (3, 0, 1, 0), strict=True):
                line.join(Waiting("q", body, times))
            assert line.call_next()  # the first is not there any more
            assert broker.peek("q", 0, 9) == [bodies[2]]
            assert line.call_next()
            assert line.call_next()
            assert broker.peek("q", 0, 9) == [bodies[2], bodies[1], bodies[3]]
            assert not line.call_next()
            assert broker.get_key("limit:line") is None

    def test_one_after_another_none_waits_for_its_time(self, backend: str) -> None:
        with trying(backend, REGISTRY, hooks=["limit"]) as queue:
            places = [f"limit:{_digest_of_alone()}:at_once:0"]
            broker = queue.app.broker
            broker.put_key(places[0], b"another", 60.0)
            for number in range(3):
                alone.enqueue(number)
            assert [job.outcome for job in queue.perform_all()] == ["postponed"] * 3
            broker.swap_key(places[0], b"another", None)
            alone.enqueue(3)
            assert [job.outcome for job in queue.perform_all()] == ["done"] * 4
            assert DID == [3, 0, 1, 2]

    def test_who_finds_the_place_free_by_now_comes_at_once(self, backend: str) -> None:
        with trying(backend, REGISTRY, hooks=["limit"]) as queue:
            broker = queue.app.broker
            hook, body = queue.app.hooks.hooks[-1], b'{"class":"alone","args":[1],"taskq:postponed":1}'
            broker.schedule(broker.now() + 100, "q", [body])
            late = replace(held(1, "alone"), options=alone.definition.options)
            goes_back = Retry(body=body)
            hook.settled(Settled(late.reservation, "postponed", None, goes_back, 0.0, late, "it said so itself"))
            assert broker.size("q") == 0
            reason = "1 of its key run at once already"
            hook.settled(Settled(late.reservation, "postponed", None, goes_back, 0.0, late, reason))
            assert broker.peek("q", 0, 9) == [body]


def _digest_of_alone() -> str:
    return hook_module._digest(Limit(at_once=1), held(1, "alone"))


@pytest.mark.parametrize("kept", [b"", b"\xff", b"{}", b"[1]", b'[["q","x",1]]'])
def test_what_is_no_line_is_an_empty_one(kept: bytes) -> None:
    broker = MemoryBroker()
    broker.put_key("line", kept, 60.0)
    assert not Line(broker, "line").call_next()
    assert broker.get_key("line") is None


def test_a_line_has_an_end() -> None:
    broker = MemoryBroker()
    line = Line(broker, "line")
    for number in range(110):
        line.join(Waiting("q", b"%d" % number + b"x" * 1000, 0))
    kept = broker.get_key("line") or b""
    assert 40 < len(json.loads(kept)) <= 100
    assert len(kept) <= 64 * 1024 + 2


@ON_EACH
class TestJobs:
    def test_over_the_limit_goes_back_delayed_and_counts_for_nothing(self, backend: str) -> None:
        with trying(backend, REGISTRY, hooks=["limit"]) as queue:
            broker = queue.app.broker
            for shop, number in (("a", 1), ("a", 2), ("a", 3), ("b", 1)):
                calls.enqueue(shop, number)
            outcomes = [job.outcome for job in queue.perform_all()]
            assert outcomes == ["done", "done", "postponed", "done"]
            assert DID == [("a", 1), ("a", 2), ("b", 1)]
            [waits] = broker.scheduled(0, 0, 9)
            assert waits.body == b'{"class":"calls","args":["a",3],"taskq:postponed":1}'
            assert 55 < waits.at - broker.now() < 63
            assert (broker.stats().processed, broker.failure_count()) == (3, 0)

    @pytest.mark.parametrize("lost", ["worker", "child"])
    def test_a_dead_ones_place_is_free_when_it_is_found(self, backend: str, lost: Any) -> None:
        with trying(backend, REGISTRY, hooks=["limit"]) as queue:
            alone.enqueue(1)
            alone.enqueue(2)
            assert queue.crash(alone, lost=lost).outcome == "failed"
            assert [job.outcome for job in queue.perform_all()] == ["done"]


class TestLeases:
    def test_are_extended_for_as_long_as_they_are_held(self) -> None:
        broker = MemoryBroker()
        leases = Leases(lambda: broker)
        broker.put_key("a", b"me", 0.9)
        leases.hold("a", b"me", 0.9)
        assert broker.await_key("a", b"me", 1.2) == b"me"
        leases.let_go("a")
        assert broker.await_key("a", b"me", 10.0) is None

    def test_held_no_more_leave_no_thread_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leases_module, "_LINGER", 0.0)
        before = set(threading.enumerate())
        leases = Leases(MemoryBroker)
        for _ in range(2):
            leases.hold("a", b"me", 0.03)
            [thread] = set(threading.enumerate()) - before
            leases.let_go("a")
            thread.join(30)
            assert not thread.is_alive()

    def test_of_somebody_else_by_now_are_told_and_left_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "taskq.limit")
        broker = MemoryBroker()
        leases = Leases(lambda: broker)
        broker.put_key("a", b"another", 60)
        leases.hold("a", b"me", 0.03)
        ends = time.monotonic() + 30
        while not caplog.records and time.monotonic() < ends:
            time.sleep(0.01)
        assert "expired while it ran" in caplog.text
        assert broker.get_key("a") == b"another"


class TestOption:
    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({}, r"takes at_once=\.\.\., or starts"),
            ({"at_once": 0}, "from 1 to 1000, not 0"),
            ({"at_once": 1001}, "from 1 to 1000"),
            ({"starts": 1}, "takes both"),
            ({"at_once": 1, "per": 3}, "takes both"),
            ({"starts": 1, "per": 0}, r"Limit\(per="),
            ({"at_once": 1, "lease": "x"}, "lease"),
            ({"at_once": 1, "lease": 1e12}, "lease=.* a century at most"),
            ({"at_once": 1, "name": ""}, "name"),
            ({"at_once": 1, "key": "x"}, "key"),
            ({"atonce": 1}, "Did you mean at_once"),
        ],
    )
    def test_what_it_cannot_be_is_told(self, said: dict[str, Any], message: str) -> None:
        with pytest.raises(JobDefinitionError, match=message):
            Limit(**said)

    def test_a_backend_without_what_it_needs_is_refused(self) -> None:
        class Bare(MemoryBroker):
            capabilities = frozenset()

        with taskq.TaskQ(broker=Bare(), hooks=["limit"]) as app, pytest.raises(ConfigurationError) as caught:
            app.load()
        assert len(caught.value.problems) == 2
