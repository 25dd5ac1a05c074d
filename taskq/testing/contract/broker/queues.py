"""Queues: pushing, counting, removing."""

from __future__ import annotations

import threading

from taskq.broker import Broker
from taskq.records import Paused
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Queues"]


class Queues(OnABroker):
    """Queues: pushing, counting, removing."""

    def test_push_is_seen_by_others(self, broker: Broker, other: Broker) -> None:
        """A job is there for everybody when `push` returns."""
        broker.push("q", [ONE])
        assert list(other.peek("q", 0, 10)) == [ONE]

    def test_push_of_nothing_pushes_nothing(self, broker: Broker) -> None:
        """An empty list is no job."""
        broker.push("q", [])
        assert broker.size("q") == 0

    def test_size_of_no_queue_is_zero(self, broker: Broker) -> None:
        """A queue that is not there has no jobs, and looking makes none."""
        assert broker.size("none") == 0
        assert list(broker.queues()) == []

    def test_sizes_come_in_the_order_given(self, broker: Broker) -> None:
        """One number for each queue that was asked about, 0 for one that is not there."""
        broker.push("a", [ONE])
        broker.push("b", [ONE, TWO])
        assert list(broker.sizes(["b", "none", "a"]).items()) == [("b", 2), ("none", 0), ("a", 1)]

    def test_sizes_of_nothing(self, broker: Broker) -> None:
        """Asked about none, it answers none."""
        assert dict(broker.sizes([])) == {}

    def test_queues_are_sorted_by_their_bytes(self, broker: Broker) -> None:
        """Bytewise, by their UTF-8 form."""
        for queue in ["b", "ü", "a", "B"]:
            broker.push(queue, [ONE])
        assert list(broker.queues()) == ["B", "a", "b", "ü"]

    def test_queues_keep_an_empty_one(self, broker: Broker, holder: Holder) -> None:
        """A queue that was pushed to is there until it is removed, jobs or not."""
        broker.push("q", [ONE])
        holder.finish(holder.take("q"))
        assert list(broker.queues()) == ["q"]

    def test_remove_takes_every_equal_one_and_no_other(self, broker: Broker) -> None:
        """Equal is equal in every byte; the answer is how many there were."""
        broker.push("q", [ONE, TWO, ONE, b'{"class":"Job","args":[1] }'])
        assert broker.remove("q", ONE) == 2
        assert list(broker.peek("q", 0, 9)) == [TWO, b'{"class":"Job","args":[1] }']
        assert broker.remove("q", ONE) == 0
        assert broker.remove("none", ONE) == 0

    def test_remove_takes_the_first_ones_where_not_all_are_meant(self, broker: Broker) -> None:
        """`most` of those that are equal, from the front; the rest keeps its order, and pages and sizes stay right."""
        broker.push("q", [ONE, TWO, ONE, THREE, ONE])
        assert broker.remove("q", ONE, most=2) == 2
        assert list(broker.peek("q", 0, 9)) == [TWO, THREE, ONE]
        assert list(broker.peek("q", 1, 1)) == [THREE]
        assert broker.remove("q", ONE, most=0) == 0
        assert broker.remove("q", THREE, most=5) == 1
        assert broker.size("q") == 2
        broker.push("q", [FOUR])
        broker.push("q", [THREE], front=True)
        assert broker.size("q") == 4
        assert list(broker.peek("q", 2, 9)) == [ONE, FOUR]

    def test_remove_leaves_what_is_in_hand(self, broker: Broker, holder: Holder) -> None:
        """Only jobs that wait are removed."""
        broker.push("q", [ONE, ONE])
        taken = holder.take("q")
        assert broker.remove("q", ONE) == 1
        assert holder.finish(taken)

    def test_remove_queue_takes_its_jobs_and_its_pause(self, broker: Broker) -> None:
        """Nothing of it is left; the answer is how many jobs went with it."""
        broker.push("q", [ONE, TWO])
        broker.pause("q")
        assert broker.remove_queue("q") == 2
        assert list(broker.queues()) == []
        assert broker.paused() == Paused()
        assert broker.remove_queue("q") == 0

    def test_drain_takes_the_first_and_with_the_last_the_queue(self, broker: Broker, holder: Holder) -> None:
        """In order and no others; the queue and its pause stay as long as a job waits there."""
        broker.push("q", [ONE, TWO, ONE, THREE])
        broker.push("q2", [FOUR])
        broker.pause("q")
        assert list(broker.drain("q", 0)) == []
        assert list(broker.drain("q", 3)) == [ONE, TWO, ONE]
        assert list(broker.peek("q", 0, 9)) == [THREE]
        assert broker.size("q") == 1
        assert broker.paused().queues == {"q"}
        broker.push("q", [FOUR])
        assert list(broker.drain("q", 2)) == [THREE, FOUR]
        assert list(broker.queues()) == ["q2"]
        assert broker.paused() == Paused()
        assert list(broker.drain("q", 2)) == []
        broker.push("q", [ONE])
        assert holder.reserve("q").jobs
        assert list(broker.drain("q", 1)) == []
        assert list(broker.queues()) == ["q2"]

    def test_drain_loses_nothing_beside_who_pushes(self, broker: Broker, other: Broker) -> None:
        """Each job is drained once, or waits."""
        pushed, drained = self._drained_beside_who_pushes(broker, other)
        assert [*drained, *broker.peek("q", 0, 999)] == pushed

    def test_a_queue_is_listed_while_it_has_jobs_though_it_is_drained_beside_who_pushes(
        self, broker: Broker, other: Broker
    ) -> None:
        """What is pushed as the last job goes is of a queue that is known; an empty one is listed no more."""
        pushed, drained = self._drained_beside_who_pushes(broker, other)
        assert list(broker.queues()) == (["q"] if len(drained) < len(pushed) else [])

    def _drained_beside_who_pushes(self, broker: Broker, other: Broker) -> tuple[list[bytes], list[bytes]]:
        bodies = [b'{"class":"Job","args":[%d]}' % n for n in range(200)]
        drained: list[bytes] = []
        begun, pushed = threading.Event(), threading.Event()

        def push() -> None:
            for at in range(0, 200, 10):
                other.push("q", bodies[at : at + 10])
                begun.wait(self.patience)
            pushed.set()

        def drain() -> None:
            while not pushed.is_set():
                page = broker.drain("q", 7)
                drained.extend(page)
                if page:
                    begun.set()

        side_by_side(push, drain)
        return bodies, drained

    def test_remove_queue_leaves_the_others(self, broker: Broker) -> None:
        """Only that one, also where another's name begins like it."""
        for queue in ("q", "q2", "qq", "*"):
            broker.push(queue, [ONE])
        assert broker.remove_queue("*") == 1
        assert broker.remove_queue("q") == 1
        assert dict(broker.sizes(["q2", "qq"])) == {"q2": 1, "qq": 1}
