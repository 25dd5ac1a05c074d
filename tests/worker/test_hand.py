"""What a worker holds ahead of its turn: taken, begun, noted, given back, lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from taskq import events
from taskq.errors import BrokerInTrouble, BrokerUnavailable
from taskq.outcome import Done
from taskq.performing import prepare
from taskq.records import Reservation, Reserved, Stats, Token
from taskq.worker.hand import Hand
from taskq.worker.loop import work
from tests.support.bench import Bench, Clock, CutBroker, SideBySide, held, payload

performed: list[object] = []


@pytest.fixture(autouse=True)
def nothing_performed_yet() -> None:
    performed.clear()


def note(value: object = None) -> None:
    performed.append(value)


def fails(value: object = None) -> None:
    performed.append(value)
    raise ValueError(f"bad {value}")


class Counting(CutBroker):
    """Remembers how many jobs each reserve asked for."""

    def __init__(self) -> None:
        super().__init__(clock=Clock())
        self.limits: list[int] = []

    def reserve(
        self,
        worker: str,
        queues: Sequence[str],
        token: Token,
        *,
        limit: int = 1,
        settled: Reservation | None = None,
    ) -> Reserved:
        self.limits.append(limit)
        return super().reserve(worker, queues, token, limit=limit, settled=settled)


def works(bench: Bench) -> None:
    with bench:
        work(bench.worker)


def filled(
    *written: object,
    jobs: int = 20,
    prefetch: int = 8,
    broker: CutBroker | None = None,
    tell: events.Tell = lambda event: None,
) -> Bench:
    bench = Bench(note, *written, prefetch=prefetch, broker=broker, tell=tell)
    for number in range(jobs):
        bench.push("note", number)
    return bench


def waiting(bench: Bench) -> list[bytes]:
    return list(bench.broker.peek("jobs", 0, 100))


class TestBatches:
    def test_performs_all_in_order_and_counts_each_once(self) -> None:
        bench = filled()
        works(bench)
        assert performed == list(range(20))
        assert bench.broker.stats() == Stats(processed=20, failed=0)
        assert [event.settled.outcome for event in bench.told.of(events.SettledJob)] == ["done"] * 20
        assert bench.broker.workers() == []

    def test_the_first_is_taken_alone_for_nobody_knows_how_long_it_takes(self) -> None:
        broker = Counting()
        works(filled(broker=broker))
        assert broker.limits[0] == 1
        assert max(broker.limits) == 8

    def test_strict_is_one_at_a_time(self) -> None:
        broker = Counting()
        works(filled(prefetch=1, broker=broker))
        assert set(broker.limits) == {1}

    def test_one_that_fails_in_the_middle_is_failed_and_those_before_it_are_done(self) -> None:
        bench = filled(fails, jobs=6)
        bench.push("fails", "x")
        for number in range(6, 10):
            bench.push("note", number)
        works(bench)
        assert performed == [0, 1, 2, 3, 4, 5, "x", 6, 7, 8, 9]
        assert bench.broker.stats() == Stats(processed=11, failed=1)

    def test_a_higher_queue_is_looked_at_with_each_batch(self) -> None:
        def pushes_high() -> None:
            performed.append("pushed")
            bench.push("note", "high", queue="high")

        bench = Bench(note, pushes_high, queues="high,low", prefetch=4)
        bench.push("note", 0, queue="low")
        bench.push("pushes_high", queue="low")
        for number in range(1, 12):
            bench.push("note", number, queue="low")
        works(bench)
        assert performed.index("high") <= performed.index("pushed") + 4


class TestSizing:
    def hand(self, most: int = 32) -> Hand:
        return Hand(Bench().seat, most=most, clock=Clock())

    def test_grows_to_what_may_be_held_while_jobs_are_short(self) -> None:
        hand = self.hand()
        limits = []
        for _ in range(40):
            hand.ran(0.0001)
            limits.append(hand.limit)
        assert limits == sorted(limits)
        assert limits[-1] == 32

    def test_holds_a_tenth_of_a_second_of_work(self) -> None:
        hand = self.hand()
        for _ in range(100):
            hand.ran(0.02)
        assert hand.limit in {4, 5}

    def test_one_long_job_is_enough_to_take_one_at_a_time(self) -> None:
        hand = self.hand()
        for _ in range(40):
            hand.ran(0.0001)
        hand.ran(0.5)
        assert hand.limit == 1

    def test_takes_no_more_than_a_child_performs_before_the_next_takes_over(self) -> None:
        hand = Hand(Bench().seat, most=32, clock=Clock()).lent(Bench().seat, 5)
        limits = []
        for _ in range(6):
            hand.ran(0.0001)
            limits.append(hand.limit)
            hand.take([held(payload("note"))])
        assert limits == [5, 4, 3, 2, 1, 1]


class TestGivingBack:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    def test_a_worker_that_is_told_to_end_gives_back_what_has_not_begun_in_order(self, number: int) -> None:
        def stop() -> None:
            signal.raise_signal(number)

        bench = filled(stop, jobs=10)
        bench.push("stop")
        for each in range(10, 20):
            bench.push("note", each)
        with bench:
            work(bench.worker)
        assert performed == list(range(10))
        assert waiting(bench) == [payload("note", each) for each in range(10, 20)]
        assert bench.broker.stats() == Stats(processed=11, failed=0)
        assert bench.broker.workers() == []

    def test_a_paused_worker_holds_nothing(self) -> None:
        seen: list[list[bytes]] = []

        def pause() -> None:
            signal.raise_signal(signal.SIGUSR2)

        def told(event: events.Event) -> None:
            if isinstance(event, events.Paused):
                seen.append(waiting(bench))
                assert all(not info.ahead and info.job is None for info in bench.broker.workers())
                os.kill(os.getpid(), signal.SIGCONT)

        bench = Bench(note, pause, prefetch=8, tell=told)
        for each in range(10):
            bench.push("note", each)
        bench.push("pause")
        for each in range(10, 14):
            bench.push("note", each)
        works(bench)
        assert seen == [[payload("note", each) for each in range(10, 14)]]
        assert performed == list(range(14))

    def test_an_overdue_job_holds_no_others_up(self) -> None:
        given_back = threading.Event()

        def waits() -> None:
            assert given_back.wait(20)
            performed.append(waiting(bench))

        def told(event: events.Event) -> None:
            if isinstance(event, events.GaveBack):
                given_back.set()

        bench = Bench(note, waits, prefetch=8, tell=told)
        for each in range(10):
            bench.push("note", each)
        bench.push("waits")
        for each in range(10, 14):
            bench.push("note", each)
        works(bench)
        rest = [payload("note", each) for each in range(10, 14)]
        assert performed == [*range(10), rest, *range(10, 14)]
        assert bench.broker.stats() == Stats(processed=15, failed=0)

    def test_what_nobody_answered_to_is_asked_again_before_anything_is_taken(self) -> None:
        bench = filled(jobs=5)
        with bench:
            bench.seat.register()
            jobs = bench.seat.reserve(["jobs"], limit=4).jobs
            bench.broker.away = 1
            bench.seat.give_back(jobs[1:], once=True)
            assert len(waiting(bench)) == 1
            assert bench.seat.finish(jobs[0])  # it is done, whatever else cannot be
            assert len(waiting(bench)) == 1
            assert [job.body for job in bench.seat.reserve(["jobs"], limit=9).jobs] == [
                payload("note", each) for each in range(1, 5)
            ]
        assert bench.broker.stats() == Stats(processed=1, failed=0)

    def test_what_is_owed_is_paid_where_nothing_else_is_to_go_back(self) -> None:
        bench = filled(jobs=5)
        with bench:
            bench.seat.register()
            jobs = bench.seat.reserve(["jobs"], limit=4).jobs
            bench.broker.away = 1
            bench.seat.give_back(jobs[1:], once=True)
            bench.settling.settle(prepare(jobs[0], bench.tools), Done(0.1), bench.broker.now)
            bench.settling.finish()
            assert bench.seat.leave()
        assert waiting(bench) == [payload("note", each) for each in range(1, 5)]
        assert bench.broker.stats() == Stats(processed=1, failed=0)

    def test_an_answer_that_was_lost_gives_back_once(self) -> None:
        class Forgetful(CutBroker):
            lose = False

            def release(
                self,
                reservations: Sequence[Reservation],
                token: Token,
                *,
                body: bytes | None = None,
                front: bool = True,
                at: float | None = None,
            ) -> bool:
                answer = super().release(reservations, token, body=body, front=front, at=at)
                if self.lose:
                    self.lose = False
                    raise BrokerUnavailable("memory", "cut", sent="unknown")
                return answer

        broker = Forgetful(clock=Clock())
        bench = filled(jobs=5, broker=broker)
        with bench:
            bench.seat.register()
            jobs = bench.seat.reserve(["jobs"], limit=4).jobs
            broker.lose = True
            bench.seat.give_back(jobs[1:], once=True)
            assert bench.seat.finish(jobs[0])
            bench.seat.pay()
        assert waiting(bench) == [payload("note", each) for each in range(1, 5)]


class TestLooking:
    def hand(self, ahead: int) -> tuple[Bench, Hand, Clock]:
        clock = Clock()
        bench = filled(jobs=10)
        hand = Hand(bench.seat, most=8, clock=clock)
        bench.seat.register()
        hand.take(bench.seat.reserve(["jobs"], limit=ahead + 1).jobs)
        return bench, hand, clock

    def test_nobody_is_to_look_where_nothing_is_held_ahead(self) -> None:
        bench, hand, _ = self.hand(0)
        assert hand.look() is None
        assert len(waiting(bench)) == 9

    def test_gives_back_once_the_job_in_hand_has_had_its_time(self) -> None:
        bench, hand, clock = self.hand(3)
        assert hand.look() == pytest.approx(0.1, abs=1e-5)
        clock.passes(0.06)
        assert hand.look() == pytest.approx(0.04, abs=1e-5)
        assert len(waiting(bench)) == 6
        clock.passes(0.05)
        hand.look()
        assert len(waiting(bench)) == 9
        assert hand.begin() is None
        assert hand.look() is None

    def test_a_job_that_began_since_has_its_own_time(self) -> None:
        bench, hand, clock = self.hand(3)
        hand.look()
        clock.passes(0.11)
        assert hand.begin() is not None
        assert hand.look() == pytest.approx(0.1, abs=1e-5)
        assert len(waiting(bench)) == 6

    def test_who_is_at_the_broker_is_not_in_a_job(self) -> None:
        bench, hand, clock = self.hand(3)
        hand.look()
        clock.passes(0.11)
        looked = threading.Thread(target=hand.look)
        with bench.seat.turn:
            looked.start()
            looked.join(20)
        assert not looked.is_alive()
        assert len(waiting(bench)) == 6


class Asked(Counting):
    """Remembers how many jobs were asked for, by `reserve` and ahead; an answer may come late."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: Callable[[float], None] = lambda seconds: None
        self.ahead: list[int] = []
        self.silent = 0  # answers that nobody hears
        self.trouble = False  # whether it says why
        self.heard: Callable[[], Reserved] = Reserved
        self.takes = 0.0  # seconds until an answer is there
        self.late = False  # whether it has not heard of it before the answer is asked for
        self.refused = [0]
        self.ends = False  # whether the worker is told to end when it is not answered

    def reserve_ahead(self, worker: str, queues: Sequence[str], token: Token, *, limit: int) -> Callable[[], Reserved]:
        self.ahead.append(limit)
        asks = super().reserve_ahead
        if not self.late:
            self.heard = asks(worker, queues, token, limit=limit)

        def answer() -> Reserved:
            self.passes(self.takes)
            self.refused[0] += self.refusing
            if self.late and not self.silent:
                self.heard = asks(worker, queues, token, limit=limit)
            reserved = self.heard()
            if self.silent:
                self.silent -= 1
                if self.ends:
                    signal.raise_signal(signal.SIGTERM)
                if self.trouble:
                    raise BrokerInTrouble("memory", "a key of the wrong type", sent="no")
                raise BrokerUnavailable("memory", "cut", sent="unknown")
            return reserved

        return answer


def ask(hand: Hand) -> None:
    """As the loop does it."""
    if hand.low:
        hand.ask(["jobs"])


class TestAskingAhead:
    def hand(self, jobs: int = 20, taken: int = 8, *, leg: int | None = None) -> tuple[Bench, Hand, Clock]:
        """One that holds a whole batch of short jobs, the first of them begun."""
        clock = Clock()
        bench = filled(jobs=jobs, broker=Asked())
        hand = Hand(bench.seat, most=8, jobs=leg, clock=clock)
        self.of(bench).passes = clock.passes
        hand.ran(0.0001)
        bench.seat.register()
        hand.take(bench.seat.reserve(["jobs"], limit=taken).jobs)
        return bench, hand, clock

    def asks(self, hand: Hand, begins: int) -> None:
        for _ in range(begins):
            assert hand.begin() is not None
            ask(hand)

    def first(self, bench: Bench) -> Reservation:
        """The one in hand."""
        [seen] = bench.broker.workers()
        assert seen.job is not None
        return seen.job

    def of(self, bench: Bench | SideBySide) -> Asked:
        assert isinstance(bench.broker, Asked)
        return bench.broker

    def test_more_are_there_before_the_last_has_begun_and_nothing_is_waited_for(self) -> None:
        bench = filled(jobs=100, broker=Asked())
        bench.hand._clock = Clock()  # by which nobody waits
        works(bench)
        assert performed == list(range(100))
        assert bench.broker.stats() == Stats(processed=100, failed=0)
        assert self.of(bench).limits[:3] == [1, 8, 8]  # the last of these came too late to find anything
        assert sum(self.of(bench).ahead) >= 91

    def test_no_more_are_held_than_may_be(self) -> None:
        holds: list[int] = []

        def counts() -> None:
            [seen] = bench.broker.workers()
            holds.append(len(seen.ahead) + 1)

        bench = Bench(counts, prefetch=8, broker=Asked())
        bench.hand._clock = Clock()
        for _ in range(60):
            bench.push("counts")
        works(bench)
        assert len(holds) == 60
        assert max(holds) == 8
        assert min(holds[9:50]) > 1

    def test_it_asks_once_half_of_them_have_begun(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 3)
        assert self.of(bench).ahead == []
        self.asks(hand, 1)
        assert self.of(bench).ahead == [4]
        self.asks(hand, 3)
        assert self.of(bench).ahead == [4]
        assert [job.body for job in hand.fetch()] == [payload("note", number) for number in range(8, 12)]
        self.asks(hand, 1)
        assert self.of(bench).ahead == [4, 4]

    def test_it_does_not_ask_where_the_queues_had_no_more(self) -> None:
        bench, hand, _ = self.hand(jobs=7)
        self.asks(hand, 6)
        assert self.of(bench).ahead == []
        bench, hand, _ = self.hand(jobs=10)
        self.asks(hand, 7)
        assert len(hand.fetch()) == 2
        self.asks(hand, 2)
        assert self.of(bench).ahead == [4]
        assert (hand.begin(), hand.fetch()) == (None, ())

    def test_one_of_several_threads_does_not_ask(self) -> None:
        side = SideBySide(note, broker=Asked(), at_once=2, prefetch=8)
        side.push("note", times=100)
        assert not side.works()
        assert len(performed) == 100
        assert self.of(side).ahead == []

    def test_it_does_not_ask_for_jobs_that_are_long(self) -> None:
        bench, hand, _ = self.hand()
        hand.ran(0.04)
        self.asks(hand, 7)
        assert self.of(bench).ahead == []

    def test_one_that_is_to_end_asks_for_what_it_will_begin(self) -> None:
        bench, hand, _ = self.hand(jobs=30, taken=8, leg=10)
        self.asks(hand, 6)
        assert self.of(bench).ahead == []  # two are left to it, and it holds one
        bench, hand, _ = self.hand(jobs=30, taken=8, leg=14)
        self.asks(hand, 7)
        assert self.of(bench).ahead == [4]

    def test_what_was_asked_for_goes_back_behind_what_was_held(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 4)
        hand.give_back()
        assert waiting(bench) == [payload("note", number) for number in range(5, 20)]
        assert (hand.begin(), hand.fetch()) == (None, ())

    def test_an_overdue_job_holds_up_nothing_that_was_asked_for(self) -> None:
        bench, hand, clock = self.hand()
        self.asks(hand, 4)
        hand.look()
        clock.passes(0.11)
        hand.look()
        assert waiting(bench) == [payload("note", number) for number in range(5, 20)]
        assert hand.begin() is None

    def test_an_overdue_one_gives_back_nothing_until_it_knows_what_came(self) -> None:
        bench, hand, clock = self.hand()
        self.asks(hand, 4)
        self.of(bench).silent = 1
        hand.look()
        clock.passes(0.11)
        assert hand.look() == pytest.approx(0.1)
        assert len(waiting(bench)) == 8
        hand.look()
        assert len(waiting(bench)) == 8
        bench.seat.beat()  # which is answered: the broker is back
        clock.passes(1.0)
        hand.look()
        assert waiting(bench) == [payload("note", number) for number in range(5, 20)]

    def test_an_answer_that_was_lost_is_asked_for_again(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 7)
        self.of(bench).silent = 2
        with bench:
            assert len(hand.fetch()) == 4
        assert len(bench.told.of(events.BrokerLost)) == len(bench.told.of(events.BrokerBack)) == 1
        self.asks(hand, 4)
        assert len(waiting(bench)) == 4

    def test_nothing_is_asked_ahead_while_the_broker_is_away(self) -> None:
        bench, hand, _ = self.hand()
        bench.outage.lost(BrokerUnavailable("memory", "cut", sent="no"))
        self.asks(hand, 7)
        assert self.of(bench).ahead == []

    def test_one_that_was_taken_for_dead_begins_nothing_of_it(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 4)
        [seen] = bench.broker.workers()
        assert bench.broker.recover(seen, b"{}")
        assert len(waiting(bench)) == 15
        bench.seat.beat()
        assert (hand.begin(), hand.fetch()) == (None, ())

    def test_who_hears_of_its_death_by_the_answer_begins_nothing(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 4)
        [seen] = bench.broker.workers()
        assert bench.broker.recover(seen, b"{}")
        assert hand.fetch() == ()
        assert bench.told.of(events.Pruned) == [events.Pruned(bench.seat.id)]
        assert hand.begin() is None

    def test_who_asks_is_watched_though_nobody_watches_any_more(self) -> None:
        bench, hand, clock = self.hand()
        for _ in range(7):
            hand.begin()
        hand.look()
        clock.passes(0.11)
        assert hand.look() is None
        nudges: list[int] = []
        hand.watch = lambda: nudges.append(1)
        ask(hand)
        assert nudges == [1]
        hand.look()
        assert len(waiting(bench)) == 12

    def test_one_that_cannot_be_answered_is_asked_for_once_a_second(self) -> None:
        bench, hand, clock = self.hand()
        self.asks(hand, 4)
        self.of(bench).silent, self.of(bench).trouble = 99, True
        for _ in range(30):
            hand.look()
            bench.seat.beat()
            clock.passes(0.11)
        assert self.of(bench).silent == 96
        assert bench.outage.since is None  # nothing that others ask waits for it
        assert len(waiting(bench)) == 8
        self.of(bench).silent = 0
        clock.passes(1.0)
        hand.look()
        assert waiting(bench) == [payload("note", number) for number in range(5, 20)]

    @pytest.mark.parametrize("taken", [True, False], ids=["it had taken them", "it had not"])
    def test_what_is_held_goes_back_though_the_broker_cannot_say_what_else_there_is(self, taken: bool) -> None:
        bench, hand, _ = self.hand()
        broker = self.of(bench)
        broker.late = not taken
        self.asks(hand, 4)
        broker.silent, broker.trouble = 1, True
        hand.give_back()
        behind = [payload("note", number) for number in range(5, 20)]
        assert sorted(waiting(bench)) == sorted(
            behind
        )  # in the wrong order, where it had taken them: that is the price
        assert taken or waiting(bench) == behind
        assert (hand.begin(), hand.fetch()) == (None, ())

    def test_what_cannot_be_told_at_all_is_answered_to_the_next_reserve(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 4)
        self.of(bench).silent, self.of(bench).trouble = 2, True
        hand.give_back()
        assert len(waiting(bench)) == 11
        jobs = bench.seat.reserve(["jobs"], limit=8, settled=self.first(bench)).jobs
        assert [job.body for job in jobs] == [payload("note", number) for number in range(8, 12)]
        assert hand.take(jobs).fence == self.first(bench).fence  # the broker sees it in hand

    @pytest.mark.parametrize("prefetch", [1, 8], ids=["strict", "prefetch"])
    def test_one_that_waits_for_a_broker_that_gives_out_none_settles_what_is_done_before_it_ends(
        self, prefetch: int
    ) -> None:
        class Spoilt(Asked):
            spoilt = False

            def reserve(self, *args: Any, **kwargs: Any) -> Reserved:
                if self.spoilt:
                    signal.raise_signal(signal.SIGTERM)
                    raise BrokerInTrouble("memory", "a key of the wrong type", sent="no")
                return super().reserve(*args, **kwargs)

        def told(event: events.Event) -> None:
            if isinstance(event, events.Performed) and len(bench.told.of(events.Performed)) == 20:
                broker.spoilt = broker.late = True
                broker.silent, broker.trouble, broker.ends = 999, True, True

        broker = Spoilt()
        bench = filled(jobs=60, prefetch=prefetch, broker=broker, tell=told)
        bench.hand._clock = Clock()
        broker.late = True
        with bench:
            work(bench.worker)
        done = len(bench.told.of(events.Performed))
        assert done >= 20
        assert bench.broker.stats() == Stats(processed=done, failed=0)
        assert bench.broker.workers() == []
        assert len(waiting(bench)) == 60 - done

    def test_a_job_that_is_done_is_settled_and_the_worker_gone_though_nobody_says_what_was_asked_for(self) -> None:
        def told(event: events.Event) -> None:
            if isinstance(event, events.Performed) and len(bench.told.of(events.Performed)) == 20:
                self.of(bench).silent, self.of(bench).trouble = 999, True
                signal.raise_signal(signal.SIGTERM)

        bench = filled(jobs=60, broker=Asked(), tell=told)
        bench.hand._clock = Clock()
        self.of(bench).late = True
        works(bench)
        assert bench.broker.stats() == Stats(processed=20, failed=0)
        assert bench.broker.workers() == []
        assert len(waiting(bench)) == 40

    def test_one_that_is_refused_does_not_end_who_looks(self) -> None:
        bench, hand, clock = self.hand()
        self.asks(hand, 4)
        hand.look()
        clock.passes(0.11)
        self.of(bench).refusing = True
        refused = self.of(bench).refused = [0]
        for _ in range(30):
            assert hand.look() == pytest.approx(0.1)
            clock.passes(0.11)
        assert refused == [3]

    def test_who_looks_and_who_loses_do_not_meet(self) -> None:
        bench, hand, clock = self.hand()
        self.asks(hand, 4)
        hand.look()
        clock.passes(0.11)
        loses = threading.Thread(target=hand.lost)

        def answered() -> Reserved:
            loses.start()
            loses.join(0.05)
            assert loses.is_alive()  # until this is over
            return heard()

        heard, self.of(bench).heard = self.of(bench).heard, answered
        hand.look()
        loses.join(20)
        assert (hand.begin(), hand.fetch()) == (None, ())

    def test_what_came_is_counted_as_taken_and_moves_the_line_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bench = filled(jobs=100, broker=Asked())
        bench.hand._clock = Clock()
        moved: list[str] = []
        monkeypatch.setattr(bench.worker.line, "took", moved.append)
        works(bench)
        assert bench.worker.takings._counts["jobs"] == 100
        assert len(moved) >= len(self.of(bench).ahead)

    def test_one_that_may_not_ask_has_children_that_may_not(self) -> None:
        bench, _, clock = self.hand()
        child = Hand(bench.seat, most=8, asks=False, clock=clock).lent(bench.seat, 100)
        child.ran(0.0001)
        child.take([held(payload("note"))] * 8)
        assert not child.low
        for _ in range(7):
            child.begin()
            assert not child.low

    def test_nothing_is_asked_ahead_of_what_is_owed(self) -> None:
        bench, hand, _ = self.hand()
        first = self.first(bench)
        self.of(bench).away = 1
        bench.seat.give_back([first], once=True)
        bench.outage.answered()
        self.asks(hand, 7)
        assert self.of(bench).ahead == []

    def test_nothing_is_asked_by_one_that_was_taken_for_dead(self) -> None:
        bench, hand, _ = self.hand()
        [seen] = bench.broker.workers()
        assert bench.broker.recover(seen, b"{}")
        bench.seat.beat()
        hand.ask(["jobs"])
        assert self.of(bench).ahead == []

    def test_an_answer_says_that_the_worker_is_known(self) -> None:
        bench, hand, _ = self.hand()
        self.asks(hand, 4)
        bench.seat._heard = float("-inf")
        assert hand.fetch()
        assert bench.seat._heard > float("-inf")

    def test_one_that_stands_by_asks_too_late_for_anything(self) -> None:
        bench, _, _ = self.hand()
        bench.seat.stand_by(ahead=False)
        assert self.of(bench).ahead == []
        bench.seat.stand_by(ahead=True)
        assert self.of(bench).ahead == [1]
        assert len(waiting(bench)) == 12

    def test_a_backend_that_has_no_use_for_it_is_not_asked(self) -> None:
        bench, hand, _ = self.hand()
        self.of(bench).capabilities = frozenset()
        for _ in range(4):
            hand.begin()
        for may in (True, False):
            assert hand.low is may
            hand.ask(["jobs"])
        assert self.of(bench).ahead == []

    def test_who_has_to_wait_for_them_takes_whole_batches_for_a_while(self) -> None:
        bench, hand, clock = self.hand(jobs=5000)
        broker = self.of(bench)

        def batches_until_it_asks(waits: float) -> int:
            """Fetch what was asked for, having waited so long; how many batches are taken in one, from then on."""
            asked = len(broker.ahead)
            broker.takes = waits
            hand.fetch()
            held = broker.takes = 0
            while len(broker.ahead) == asked:
                while (job := hand.begin()) is not None:
                    clock.passes(0.0001)
                    ask(hand)
                    last = job
                if len(broker.ahead) == asked:
                    hand.take(bench.seat.reserve(["jobs"], limit=8, settled=last).jobs)
                    held += 1
            return int(held)

        self.asks(hand, 7)
        clock.passes(0.0003)
        assert [batches_until_it_asks(0.001) for _ in range(8)] == [2, 3, 5, 9, 17, 33, 65, 65]
        assert batches_until_it_asks(0.00005) == 0  # nearly there when it was wanted
        assert batches_until_it_asks(0.001) == 2

    def test_what_is_done_is_said_though_there_is_always_more(self) -> None:
        unsaid: list[int] = []

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Performed):
                performed.append(event)
                unsaid.append(len(performed) - len(bench.told.of(events.SettledJob)))

        def nothing() -> None:
            pass

        bench = Bench(nothing, prefetch=8, tell=tell)
        bench.hand._clock = Clock()
        for _ in range(200):
            bench.push("nothing")
        works(bench)
        assert len(unsaid) == 200
        assert max(unsaid) <= 9
        assert [event.settled.outcome for event in bench.told.of(events.SettledJob)] == ["done"] * 200


class TestLosing:
    def test_nothing_begins_of_what_was_taken_with_the_job_that_somebody_else_settled(self) -> None:
        def robbed() -> None:
            [seen] = bench.broker.workers()
            assert bench.broker.recover(seen, b"{}")
            bench.seat.beat()  # as the heart does, which hears of it

        bench = Bench(note, robbed, prefetch=8)
        for each in range(10):
            bench.push("note", each)
        bench.push("robbed")
        for each in range(10, 14):
            bench.push("note", each)
        works(bench)
        assert performed == list(range(14))  # each once: the worker that registered anew took them again
        assert [event.settled.outcome for event in bench.told.of(events.SettledJob)].count("refused") == 1
        assert len(bench.told.of(events.Registered)) == 2

    def test_who_was_silent_for_too_long_asks_before_it_begins_what_it_holds(self) -> None:
        bench = filled(jobs=5)
        with bench:
            bench.seat.register()
            bench.hand.take(bench.seat.reserve(["jobs"], limit=4).jobs)
            [seen] = bench.broker.workers()
            assert bench.broker.recover(seen, b"{}")
            bench.seat._heard = float("-inf")
            assert bench.hand.begin() is None
            assert bench.told.of(events.Pruned) == [events.Pruned(bench.seat.id)]
        assert len(waiting(bench)) == 4

    def test_one_that_is_told_by_its_heart_begins_nothing(self) -> None:
        bench = filled(jobs=5)
        with bench:
            bench.seat.register()
            bench.hand.take(bench.seat.reserve(["jobs"], limit=4).jobs)
            [seen] = bench.broker.workers()
            assert bench.broker.recover(seen, b"{}")
            bench.seat.beat()
            assert bench.hand.begin() is None
