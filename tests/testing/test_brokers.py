"""The brokers that the kit puts before a real one keep its promises."""

from __future__ import annotations

from typing import cast

from taskq.broker import Broker
from taskq.testing.brokers import News, Picking, Switched
from taskq.testing.clock import Clock
from taskq.testing.contract import BrokerContract
from taskq_memory import MemoryBroker


class TestSwitched(BrokerContract):
    def make_broker(self) -> Broker:
        broker = MemoryBroker()
        return cast("Broker", Switched(broker, Clock(broker.now), News()))


class TestPicking:
    def test_keeps_jobs_that_others_bring_or_take_meanwhile(self) -> None:
        broker = MemoryBroker()
        broker.push("jobs", [b"a", b"b", b"a", b"wanted", b"b"])

        def wanted(queue: str, body: bytes) -> bool:
            if body == b"wanted":  # seen after all that it is about was looked at
                broker.remove("jobs", b"b")
                broker.push("jobs", [b"a"])
            return body == b"wanted"

        picking = Picking(broker, wanted)
        picking._set_aside("jobs")
        assert list(broker.peek("jobs", 0, 10)) == [b"wanted"]
        picking.put_back()
        assert sorted(broker.peek("jobs", 0, 10)) == [b"a", b"a", b"a", b"wanted"]


def test_who_waits_hears_of_what_came_between_the_look_and_the_wait() -> None:
    news = News()
    looks: list[int] = []

    def look() -> int:
        looks.append(len(looks))
        news.tell()
        return len(looks)

    assert news.until(look, lambda count: count == 3, 30.0) == 3
