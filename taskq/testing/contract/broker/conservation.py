"""The law of conservation: whatever happens, to whomever, at whatever step, a job is in exactly one place."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from taskq.broker import Broker, Capability
from taskq.records import Again, StoredFailure
from taskq.testing.contract.alongside import killed_at
from taskq.testing.contract.broker.delaying import THEN, waiting_jobs
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder, job
from taskq.testing.contract.broker.lives import Lives
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Conservation"]

_STEPS: Final = 50
_AGAIN: Final = job(99)  # what goes back of a job that failed, and
_TRIED: Final = b'{"tried":1}'  # what that leaves in the failed list: both, or neither


class Conservation(OnABroker):
    """Conservation: whatever happens, to whomever, at whatever step, a job is in exactly one place."""

    def test_every_job_is_in_one_place_whatever_happens(self, broker: Broker, other: Broker) -> None:
        """Random lives, step by step beside a model: calls asked again or late, workers that die and are recovered."""
        numbers = itertools.count(1)

        class Life(Lives):
            def __init__(self) -> None:
                super().__init__(broker, other, next(numbers))

        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=_STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

    @pytest.mark.parametrize("turn", range(3))
    def test_a_worker_that_is_killed_at_any_step_loses_and_doubles_nothing(self, broker: Broker, turn: int) -> None:
        """Kill -9 in the middle of each call that a worker makes; a push is there whole, or not at all."""
        self.needs_processes(broker)
        for step in itertools.count(1):
            queue = f"q{step}"
            before = broker.stats()
            broker.push(queue, [job(number) for number in range(6)])
            killed = killed_at(step, partial(self.life, queue), into=self.kills[turn], patience=self.patience)
            _recover_all(broker, self.patience)
            after = broker.stats()
            done = (after.processed - after.failed) - (before.processed - before.failed)
            entries = [failure.entry for failure in broker.failures(0, 99)]
            delayed = [body for _, name, body in _delayed(broker) if name == queue]
            places = [*broker.peek(queue, 0, 99), *(entry for entry in entries if entry != _TRIED), *delayed]
            shown = f"killed at step {step}: {len(places)} in a place, {done} done"
            assert sorted(places) == sorted(set(places)), f"{shown}, and one of them is in two"
            assert len(places) + done in {6, 6 + 2, 6 + 2 + 3}, shown
            assert entries.count(_TRIED) == places.count(_AGAIN), f"{shown}, and the try is not in step with the entry"
            broker.clear_failures()
            if delayed:
                broker.clear_scheduled()
            if not killed:
                break

    def life(self, queue: str, step: Callable[[], None]) -> None:
        """What a worker does, each call a step."""
        mine = self.make_broker()
        holder = Holder(mine, f"host:{queue}:*")
        step()
        assert holder.register()
        step()
        mine.push(queue, [job(6), job(7)])
        step()
        first = holder.take(queue)
        step()
        (second,) = holder.reserve(queue, settled=[first]).jobs
        step()
        assert holder.fail(second, second.body)
        step()
        _, fourth, fifth = holder.reserve(queue, limit=3).jobs
        step()
        mine.note(fourth)
        step()
        assert holder.release(fifth, front=False)
        step()
        assert holder.finish(fourth)
        step()
        assert holder.release(*holder.reserve(queue, limit=2).jobs)
        if Capability.DELAY in mine.capabilities:
            self.later_life(mine, holder, queue, step)
        step()
        assert holder.unregister()

    def later_life(self, mine: Broker, holder: Holder, queue: str, step: Callable[[], None]) -> None:
        """What it does where jobs can wait for a time, and what a scheduler does."""
        step()
        mine.schedule(THEN + 1, queue, [job(10), job(11), job(12)])
        step()
        assert holder.release(*holder.reserve(queue, limit=2).jobs, at=THEN)
        taken = holder.take(queue)
        step()
        assert mine.fail(taken, holder.tokens.next(), _TRIED, again=Again(_AGAIN, at=THEN + 2))
        step()
        scheduler = mine.claim_schedule("host:0:scheduler", 60)
        step()
        assert mine.promote_due(scheduler, THEN + 1, 3).moved == 3
        first, second, *_ = mine.scheduled(0, 0, 9)
        step()
        assert mine.promote(first)
        step()
        assert mine.bury(second, second.body)

    @pytest.mark.parametrize("turn", range(3))
    def test_recover_killed_at_any_step_settles_once(self, broker: Broker, turn: int) -> None:
        """Who recovers may itself die in the middle: the next one finds all, or nothing left to do."""
        self.needs_processes(broker)
        broker.push("q", [ONE, TWO, THREE])
        dead = Holder(broker, "host:1:q")
        assert dead.register()
        assert len(dead.reserve("q", limit=3).jobs) == 3
        seen = dead.seen()

        def recover(step: Callable[[], None]) -> None:
            mine = self.make_broker()
            mine.check()
            step()
            mine.recover(seen, ONE)

        killed_at(1, recover, into=self.kills[turn], patience=self.patience)
        _recover_all(broker, self.patience)
        assert [failure.entry for failure in broker.failures(0, 9)] == [ONE]
        assert list(broker.peek("q", 0, 9)) == [TWO, THREE]
        assert (broker.stats().processed, broker.stats().failed) == (1, 1)

    @pytest.mark.parametrize("turn", range(3))
    def test_requeue_failure_killed_at_any_step_is_whole(self, broker: Broker, turn: int) -> None:
        """Either the job waits and its entry is marked, or neither."""
        self.needs_processes(broker)
        holder = Holder(broker, "host:1:q")
        assert holder.register()
        broker.push("q", [ONE])
        assert holder.fail(holder.take("q"), ONE)
        marked = ONE[:-1] + b',"retried_at":"now"}'

        def requeue(step: Callable[[], None]) -> None:
            mine = self.make_broker()
            mine.check()
            step()
            mine.requeue_failure(StoredFailure(0, ONE), queue="q", body=ONE, replacement=marked)

        killed_at(1, requeue, into=self.kills[turn], patience=self.patience)
        broker.check()
        entries = [failure.entry for failure in broker.failures(0, 9)]
        assert (entries, list(broker.peek("q", 0, 9))) in [([ONE], []), ([marked], [ONE])]


def _delayed(broker: Broker) -> Sequence[tuple[float, str, bytes]]:
    return waiting_jobs(broker) if Capability.DELAY in broker.capabilities else []


def _recover_all(broker: Broker, patience: float) -> None:
    """Recover every worker there is, as one that finds them dead. What was in hand is failed, its bytes the entry."""
    deadline = time.monotonic() + patience
    while found := broker.workers():
        assert time.monotonic() < deadline, f"{found[0].id} cannot be recovered"
        for info in found:  # False where a call of the dead one's came in late: it is looked at again
            broker.recover(info, info.job.body if info.job is not None else b"{}")
