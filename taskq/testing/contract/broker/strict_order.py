"""Strict order over several queues, while others push."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from taskq.broker import Broker
from taskq.records import Reservation
from taskq.testing.contract.broker.holder import Holder, job
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["StrictOrder"]

_ROUNDS: Final = 100


class StrictOrder(OnABroker):
    """Strict order over several queues, while others push."""

    def test_reserve_keeps_strict_order_while_others_push(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """Whenever the higher queue has a job before the call, that one is taken, its oldest first."""
        broker.push("low", [job(number) for number in range(_ROUNDS)])

        def push() -> None:
            for number in range(_ROUNDS):
                other.push("high", [job(1000 + number)])

        with ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(push)
            settled: Sequence[Reservation] = ()
            high: list[bytes] = []
            for _ in range(2 * _ROUNDS):
                waiting = broker.size("high")
                answer = holder.reserve("high", "low", settled=settled)
                settled = answer.jobs
                if waiting:
                    assert settled[0].queue == "high"
                if settled and settled[0].queue == "high":
                    high.append(settled[0].body)
            pushing.result()
        assert high == sorted(high)

    def test_reserve_of_many_keeps_strict_order_while_others_push(
        self, broker: Broker, other: Broker, holder: Holder
    ) -> None:
        """A batch has nothing of the lower queue while the higher one had more, and no job of it out of order."""
        broker.push("low", [job(number) for number in range(2 * _ROUNDS)])

        def push() -> None:
            for number in range(_ROUNDS):
                other.push("high", [job(1000 + number), job(3000 + number)])

        with ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(push)
            taken: Sequence[Reservation] = ()
            low: list[bytes] = []
            for _ in range(_ROUNDS):
                waiting = broker.size("high")
                taken = holder.reserve("high", "low", limit=4, settled=taken).jobs
                queues = [held.queue for held in taken]
                assert queues == sorted(queues), "the lower queue's came before the higher one's"
                assert queues.count("high") >= min(waiting, 4)
                low += [held.body for held in taken if held.queue == "low"]
            pushing.result()
        assert low == [job(number) for number in range(len(low))]

    def test_reserve_takes_the_order_of_each_call(self, broker: Broker, holder: Holder) -> None:
        """The order is the call's, not the queues': the other way round, the other one is first."""
        broker.push("a", [job(1), job(2)])
        broker.push("b", [job(3), job(4)])
        first = holder.take("a", "b")
        assert (first.queue, holder.finish(first)) == ("a", True)
        second = holder.take("b", "a")
        assert second.queue == "b"
