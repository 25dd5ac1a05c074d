"""What the scout sees and says: jobs that wait and may be taken, by crew."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from taskq.queue_lists import parse
from taskq.worker.offspring import Offspring, Say
from taskq.worker.scout import heard, scout, waiting
from taskq.worker.waiting import readable
from taskq_memory import MemoryBroker
from tests.support.bench import CutBroker


def stocked() -> CutBroker:
    broker = CutBroker()
    broker.push("mail", [b"{}"] * 3)
    broker.push("low", [b"{}"])
    broker.push("empty", [b"{}"])
    broker.remove("empty", b"{}")
    return broker


@pytest.fixture
def broker() -> Iterator[CutBroker]:
    with contextlib.closing(stocked()) as broker:
        yield broker


class TestWaiting:
    def test_is_what_each_crew_may_take(self, broker: MemoryBroker) -> None:
        lists = {"a": parse("mail"), "b": parse("*,!mail"), "c": parse("gone")}
        assert waiting(broker, lists) == {"a": {"mail": 3}, "b": {"low": 1}, "c": {}}

    def test_leaves_out_what_is_paused(self, broker: MemoryBroker) -> None:
        broker.pause("mail")
        assert waiting(broker, {"": parse("*")}) == {"": {"low": 1}}
        broker.pause()
        assert waiting(broker, {"": parse("*")}) == {"": {}}


class TestHeard:
    def test_is_the_last_whole_line_and_what_follows_it(self) -> None:
        assert heard(b'{"": {"a": 1}}\n{"": {"a": 2}}\n{"": ') == ({"": {"a": 2}}, b'{"": ')
        assert heard(b'{"": ') == (None, b'{"": ')
        assert heard(b"") == (None, b"")


class TestScout:
    """Each in a process of its own, with a broker of its own."""

    def test_says_what_it_sees_until_its_orders_end(self) -> None:
        orders, speak = os.pipe()

        def work(_: int, say: Say) -> int:
            os.close(speak)
            return scout(stocked(), {"": parse("mail")}, 0.01, orders, say)

        process = Offspring.forked(work)
        os.close(orders)
        assert heard(lines(process, 2))[0] == {"": {"mail": 3}}
        assert process.ended() is None
        os.close(speak)
        assert os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1]) == 0
        process.close()

    def test_says_nothing_of_a_broker_that_is_away(self) -> None:
        def work(orders: int, say: Say) -> int:
            broker = stocked()
            broker.away = 3
            broker.on_away = lambda: say(b"away\n")
            return scout(broker, {"": parse("mail")}, 0.01, orders, say)

        process = Offspring.forked(work)
        said = lines(process, 4)
        process.end()
        assert said.splitlines()[:4] == [b"away", b"away", b"away", b'{"": {"mail": 3}}']

    def test_is_not_ended_by_what_a_terminal_sends_to_all(self) -> None:
        process = Offspring.forked(lambda orders, say: scout(stocked(), {"": parse("mail")}, 0.01, orders, say))
        lines(process, 1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            process.send(number)
        lines(process, 3)
        assert process.ended() is None
        process.end()


def lines(process: Offspring, count: int) -> bytes:
    """What it says until it has said so many lines."""
    said = b""
    while said.count(b"\n") < count:
        assert readable(process.to_wait_on, 30.0)
        said += process.said()
    return said
