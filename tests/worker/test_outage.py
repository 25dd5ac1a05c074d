"""While the broker is away: asked again until it answers, said once when it goes and once when it is back."""

from __future__ import annotations

import threading

import pytest

from taskq import events
from taskq.errors import BrokerInTrouble, BrokerRefused, BrokerUnavailable, NotRegistered
from taskq.worker.outage import GaveUp, Outage, last_words
from tests.support.bench import Clock, Told

AWAY = BrokerUnavailable("memory", "connection refused")
TROUBLE = BrokerInTrouble("memory", "no")


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

    def test_waits_no_longer_than_it_may_and_says_so(self) -> None:
        clock = Clock()
        outage = Outage(Told(), most=60.0, clock=clock)
        with pytest.raises(BrokerUnavailable) as caught:
            outage.persist(Call(9), rest=lambda _: clock.passes(20.5), give_up=lambda: False, in_hand=False)
        assert "waits 60 s" in caught.value.__notes__[0]
        assert clock() - (outage.since or 0.0) == 61.5

    def test_waits_five_seconds_where_it_answers_and_no_more(self) -> None:
        def refused() -> None:
            raise BrokerInTrouble("memory", "The key x holds a list.")

        clock = Clock()
        outage = Outage(Told(), most=60.0, clock=clock)
        began = clock()
        with pytest.raises(BrokerInTrouble) as caught:
            outage.persist(refused, rest=lambda _: clock.passes(2.0), give_up=lambda: False, in_hand=False)
        assert clock() - began == 6.0
        assert caught.value.__notes__ == ["This worker, a burst, waits 5 s for it and no longer."]

    def test_what_is_said_at_the_end_is_what_let_it_down(self) -> None:
        assert last_words(GaveUp(AWAY, True)) == (
            "The broker is away (connection refused). What this worker still holds there is left to recovery."
        )
        assert "recovery" not in last_words(GaveUp(TROUBLE, False))
        assert last_words(GaveUp(TROUBLE, False)).startswith("no ")

    def test_lets_a_refusal_rise(self) -> None:
        def refused() -> None:
            raise BrokerRefused("memory", "wrong password")

        with pytest.raises(BrokerRefused):
            Outage(Told()).persist(refused, rest=lambda _: None, give_up=lambda: False, in_hand=False)


class TestTrouble:
    """A broker that answers, and cannot do one thing: what it answers to others does not mend that."""

    def test_is_over_when_the_one_who_was_let_down_is_answered(self) -> None:
        told = Told()
        outage = Outage(told)
        outage.lost(TROUBLE, "reserve")
        outage.answered("heartbeat")
        assert outage.since is not None
        assert told.all == [events.BrokerLost("no", trouble=True, held=False)]
        outage.answered("reserve")
        assert [type(event) for event in told.all[1:]] == [events.BrokerBack]
        assert outage.since is None

    def test_is_said_once_whoever_has_it(self) -> None:
        told = Told()
        outage = Outage(told)
        outage.lost(TROUBLE, "one")
        outage.lost(TROUBLE, "two")
        outage.answered("one")
        assert told.all == [events.BrokerLost("no", trouble=True, held=False)]
        outage.answered("two")
        assert len(told.of(events.BrokerBack)) == 1

    def test_beside_the_jobs_is_said_again_once_the_jobs_wait_for_it(self) -> None:
        told = Told()
        outage = Outage(told)
        outage.lost(TROUBLE, "lookout")
        outage.lost(TROUBLE, "reserve", held=True)
        outage.lost(TROUBLE, "lookout")
        assert [event.held for event in told.of(events.BrokerLost)] == [False, True]
        outage.answered("reserve")
        assert told.of(events.BrokerBack) == []
        outage.mended("lookout")
        assert len(told.of(events.BrokerBack)) == 1

    def test_after_an_outage_is_one_with_it(self) -> None:
        told, clock = Told(), Clock()
        outage = Outage(told, clock=clock)
        outage.lost(AWAY)
        clock.passes(5.0)
        outage.lost(TROUBLE, "one")
        outage.answered("two")
        clock.passes(5.0)
        outage.answered("one")
        assert told.of(events.BrokerBack) == [events.BrokerBack(10.0)]

    def test_of_one_call_ends_with_its_answer_even_where_that_is_an_error(self) -> None:
        told = Told()
        answers = iter([TROUBLE, NotRegistered("me")])

        def call() -> None:
            raise next(answers)

        with pytest.raises(NotRegistered):
            Outage(told).persist(call, rest=lambda _: None, give_up=lambda: False, in_hand=False)
        assert [type(event) for event in told.all] == [events.BrokerLost, events.BrokerBack]


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
