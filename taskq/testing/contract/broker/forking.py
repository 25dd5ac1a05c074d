"""Safe after a fork: a broker that was used in the parent is used in the child, and both go on."""

from __future__ import annotations

import threading
from functools import partial

from taskq.broker import Broker
from taskq.testing.contract.alongside import in_child, in_children
from taskq.testing.contract.broker.holder import ONE, TWO, Holder, job
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Forking"]


class Forking(OnABroker):
    """Safe after a fork: a broker that was used in the parent is used in the child, and both go on."""

    def test_fork_leaves_the_broker_usable_on_both_sides(self, broker: Broker, holder: Holder) -> None:
        """Parent and child use the same object at the same time, and hear their own answers."""
        self.needs_processes(broker)
        broker.push("q", [ONE, TWO])
        taken = holder.take("q")

        def in_the_child() -> None:
            mine = Holder(broker, "host:99:q")
            assert mine.register()
            assert mine.finish(mine.take("q"))
            broker.push("from the child", [job(number) for number in range(10)])
            assert mine.unregister()

        in_child(in_the_child, patience=self.patience)
        assert broker.size("from the child") == 10
        assert holder.finish(taken)
        assert broker.stats().processed == 2

    def test_fork_of_several_children_at_once(self, broker: Broker) -> None:
        """Each is as if it had made the broker itself: no answer goes to another."""
        self.needs_processes(broker)
        broker.push("q", [ONE])

        def push(number: int) -> bytes:
            for place in range(20):
                broker.push(f"q{number}", [job(place)])
                assert broker.size(f"q{number}") == place + 1
            return b""

        in_children(*(partial(push, number) for number in range(3)), patience=self.patience)
        assert dict(broker.sizes(["q", "q0", "q1", "q2"])) == {"q": 1, "q0": 20, "q1": 20, "q2": 20}

    def test_fork_while_other_threads_are_in_a_call(self, broker: Broker) -> None:
        """A lock that a thread of the parent held at the fork is nobody's in the child."""
        self.needs_processes(broker)
        broker.push("q", [ONE])
        over = threading.Event()
        wrong: list[int] = []

        def look() -> None:
            while not over.is_set():
                if (size := broker.size("q")) != 1:
                    wrong.append(size)

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                in_child(partial(broker.push, f"q{number}", [ONE]), patience=self.patience)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert sum(broker.sizes([f"q{number}" for number in range(10)]).values()) == 10

    def test_fork_while_a_thread_waits(self, broker: Broker) -> None:
        """The parent's wait goes on, and a push of the child ends it."""
        self.needs_processes(broker)
        woken, over = threading.Event(), threading.Event()

        def wait() -> None:
            while not broker.size("q") and not over.is_set():
                broker.wait(["q"], self.patience)
            woken.set()

        thread = threading.Thread(target=wait)
        thread.start()

        def in_the_child() -> None:
            broker.push("q", [ONE])
            assert broker.wait(["q"], self.patience)

        try:
            in_child(in_the_child, patience=self.patience)
            assert woken.wait(self.patience)
        finally:
            over.set()
            thread.join()

    def test_close_in_a_child_closes_the_childs_own(self, broker: Broker, holder: Holder) -> None:
        """What the parent has open stays open."""
        self.needs_processes(broker)
        broker.push("q", [ONE])
        taken = holder.take("q")

        def in_the_child() -> None:
            assert broker.size("q") == 0
            broker.close()

        in_child(in_the_child, patience=self.patience)
        in_child(broker.close, patience=self.patience)
        assert holder.finish(taken)
        broker.push("q", [TWO])
        assert broker.wait(["q"], self.patience)
