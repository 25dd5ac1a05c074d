"""Fault 23: two who want the same thing at the same moment. Exactly one has it, in every round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from taskq.broker import Broker, Requeued
from taskq.records import Reservation
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.broker.holder import Holder
from taskq_redis import open_broker
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG

pytestmark = [pytest.mark.redis, pytest.mark.fault(23)]

ROUNDS = 1000 if LONG else 60
BODY = b'{"class":"numbered","args":[1]}'
ENTRY = b'{"failed_at":"2026/11/28 12:00:00 UTC","payload":{"class":"numbered","args":[1]},"error":"%d"}'


@pytest.fixture
def other(server: RedisServer) -> Iterator[Broker]:
    """The same store, by connections of somebody else."""
    broker = open_broker(server.url)
    yield broker
    broker.close()


def dead_holder(broker: Broker, number: int) -> tuple[Holder, Reservation]:
    """A worker with a job in hand, that may not be heard of again. What it holds."""
    holder = Holder(broker, f"elsewhere:{number}:q")
    assert holder.register()
    broker.push("q", [BODY])
    return holder, holder.take("q")


def test_two_who_find_the_same_dead_worker(broker: Broker, other: Broker) -> None:
    for number in range(1, ROUNDS + 1):
        holder, _ = dead_holder(broker, number)
        seen = holder.seen()
        works = [partial(on.recover, seen, ENTRY % number) for on in (broker, other)]
        assert sorted(side_by_side(*works)) == [False, True]
        assert broker.failure_count() == number
    assert (broker.stats().failed, broker.workers()) == (ROUNDS, [])


def test_who_finishes_and_who_takes_it_for_dead(broker: Broker, other: Broker) -> None:
    """Done, or failed: never both, and never neither."""
    for number in range(1, ROUNDS + 1):
        holder, held = dead_holder(broker, number)
        seen = holder.seen()
        failed = broker.failure_count()
        works: list[Callable[[], bool]] = [
            partial(holder.finish, held),
            partial(other.recover, seen, ENTRY % number),
        ]
        finished, recovered = side_by_side(*works)
        assert finished != (broker.failure_count() > failed)
        assert broker.stats().processed == number
        if not recovered:  # what was read of it was old by then, so nothing of it was touched
            assert broker.recover(holder.seen(), None)
    assert (broker.size("q"), broker.workers()) == (0, [])


def test_requeue_and_remove_of_one_failure(broker: Broker, other: Broker) -> None:
    """Removed it is gone; it may have been requeued just before. It is never requeued after."""
    queued = 0
    for number in range(1, ROUNDS + 1):
        broker.add_failure(ENTRY % number)
        (failure,) = broker.failures(0, 9)
        marked = failure.entry.replace(b'"error"', b'"retried_at":"now","error"')
        requeued, removed = side_by_side(
            partial(broker.requeue_failure, failure, queue="again", body=BODY, replacement=marked),
            partial(other.remove_failure, failure),
        )
        queued += requeued is Requeued.DONE
        assert broker.size("again") == queued
        left = broker.failures(0, 9)
        # Who removes names the entry as he saw it: one that was marked meanwhile is another.
        assert (requeued, removed, [one.entry for one in left]) in (
            (Requeued.GONE, True, []),
            (Requeued.DONE, False, [marked]),
        )
        broker.clear_failures()


def test_pause_and_reserve(broker: Broker, other: Broker) -> None:
    """Taken or left, never both; and once pause has returned nothing is taken any more."""
    holder = Holder(broker, "elsewhere:1:q")
    assert holder.register()
    for _ in range(ROUNDS):
        broker.push("q", [BODY])
        taken, _ = side_by_side(lambda: holder.reserve("q").jobs, lambda: other.pause())
        assert len(taken or ()) + broker.size("q") == 1
        assert not holder.reserve("q", settled=taken or ()).jobs
        broker.unpause()
        broker.remove_queue("q")
