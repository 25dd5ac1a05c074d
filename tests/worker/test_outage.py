"""While the broker is away: asked again until it answers, said once when it goes and once when it is back."""

from __future__ import annotations

import threading

import pytest

from taskq import events
from taskq.errors import BrokerRefused, BrokerUnavailable
from taskq.worker.outage import GaveUp, Outage
from tests.support.bench import Clock, Told

AWAY = BrokerUnavailable("memory", "connection refused")


class Call:
    """Fails so often, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self) -> str:
        if self.failures:
            self.failures -= 1
            raise AWAY
        return "answer"


class TestPersist:
    def test_asks_until_it_is_answered(self) -> None:
        told, clock, rests = Told(), Clock(), list[float]()
        outage = Outage(told, clock=clock)

        def rest(seconds: float) -> None:
            rests.append(seconds)
            clock.passes(1.0)

        assert outage.persist(Call(3), rest=rest, give_up=lambda: False, in_hand=True) == "answer"
        [lost, back] = told.all
        assert lost == events.BrokerLost("connection refused", in_hand=True)
        assert isinstance(back, events.BrokerBack)
        assert back.seconds == pytest.approx(3.0)
        assert len(rests) == 3

    def test_rests_longer_and_longer_but_never_over_half_a_second(self) -> None:
        rests: list[float] = []
        outage = Outage(Told())
        outage.persist(Call(40), rest=rests.append, give_up=lambda: False, in_hand=False)
        assert rests[0] <= 0.05
        assert 0.25 <= min(rests[10:]) <= max(rests[10:]) <= 0.5
        assert len(set(rests)) == 40  # a fleet does not come back as one

    def test_gives_up_when_told_to_and_rests_no_more(self) -> None:
        rests: list[float] = []
        outage = Outage(Told())
        with pytest.raises(GaveUp) as gave_up:
            outage.persist(Call(9), rest=rests.append, give_up=lambda: len(rests) == 2, in_hand=False)
        assert gave_up.value.__cause__ is AWAY
        assert len(rests) == 2

    def test_lets_a_refusal_rise(self) -> None:
        def refused() -> None:
            raise BrokerRefused("memory", "wrong password")

        with pytest.raises(BrokerRefused):
            Outage(Told()).persist(refused, rest=lambda _: None, give_up=lambda: False, in_hand=False)


class TestState:
    def test_counts_as_steady_from_the_end_of_the_last_outage(self) -> None:
        clock = Clock()
        outage = Outage(Told(), clock=clock)
        assert outage.steady == clock()
        clock.passes(10)
        outage.lost(AWAY)
        clock.passes(10)
        assert outage.since == clock() - 10
        outage.answered()
        assert [outage.since, outage.steady] == [None, clock()]
        clock.passes(10)
        outage.answered()
        assert outage.steady == clock() - 10

    def test_is_told_once_by_however_many_threads(self) -> None:
        """A heart beats beside the worker's own thread: both find out, one says it."""
        told = Told()
        outage = Outage(told)
        both = threading.Barrier(4)

        def notice() -> None:
            for _ in range(200):
                both.wait()
                outage.lost(AWAY)
                both.wait()
                outage.answered()

        threads = [threading.Thread(target=notice) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told.of(events.BrokerLost)) == len(told.of(events.BrokerBack)) == 200
