"""The plugin `limit`: how many of a key run at once or start within a time, and what becomes of the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

import taskq
from taskq.errors import ConfigurationError, JobDefinitionError, NotNow
from taskq.hook import PerformContext, Settled
from taskq.records import Crash, Payload, Reservation
from taskq.testing import stores
from taskq.testing.contract import HookContract
from taskq_limit import Limit, LimitHook
from taskq_limit import leases as leases_module
from taskq_limit.leases import Leases
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
        with taskq.using(taskq.TaskQ(broker="memory://", hooks=["limit"], registry=REGISTRY, inline=True)):
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
