"""A worker's place at the broker: its id, its tokens, its heartbeat, and what it does while the broker is away."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
import time
from typing import Any

import pytest

from taskq import crashes, events
from taskq.errors import BrokerRefused, BrokerUnavailable
from taskq.performing import prepare
from taskq.records import Reservation, Token
from taskq.worker.control import Manners
from taskq.worker.outage import GaveUp
from tests.support.bench import Bench, CutBroker, held, payload, stranger

PID = os.getpid()


class Recording(CutBroker):
    """Notes the tokens of changing calls, and can lose an answer after the call was carried out.

    Attributes:
        loses: how many answers get lost.
    """

    loses = 0

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.tokens: list[Token] = []

    def _noted(self, token: Token, answer: Any) -> Any:
        self.tokens.append(token)
        if self.loses:
            self.loses -= 1
            raise BrokerUnavailable("memory", "connection reset")
        return answer

    def reserve(self, worker: str, queues: Any, token: Token, **more: Any) -> Any:
        return self._noted(token, super().reserve(worker, queues, token, **more))

    def finish(self, reservation: Reservation, token: Token) -> Any:
        return self._noted(token, super().finish(reservation, token))


class TestRegister:
    def test_takes_host_pid_and_queues_for_an_id(self) -> None:
        with Bench(queues="a,*,!b") as bench:
            bench.seat.register()
            assert bench.seat.id == f"host:{PID}:a,*"
            assert bench.told.all == [events.Registered(f"host:{PID}:a,*")]
            [info] = bench.broker.workers()
            assert info.registration is not None
            assert (info.registration.dead_after, info.registration.beat) == (25.0, 5.0)
            assert info.registration.process == bench.process

    def test_names_the_jobs_that_are_requeued_when_this_worker_dies_with_them(self) -> None:
        with Bench() as bench:
            said = {"Charge": 5}
            bench.seat._requeues = lambda: said
            bench.seat.register()
            [info] = bench.broker.workers()
            assert info.registration is not None
            assert info.registration.requeues == {"Charge": 5}

    def test_takes_the_next_id_where_one_belongs_to_somebody_else_dead_or_alive(self) -> None:
        """Containers share host names and pid 1."""
        with Bench() as bench:
            for taken in (f"host:{PID}:jobs", f"host+1:{PID}:jobs"):
                stranger(bench.broker, taken)
            bench.seat.register()
            assert bench.seat.id == f"host+2:{PID}:jobs"
            assert len(bench.broker.workers()) == 3

    def test_waits_for_a_broker_that_is_away(self) -> None:
        with Bench() as bench:
            bench.broker.away = 2
            bench.seat.register()
            assert [type(event) for event in bench.told.all] == [
                events.BrokerLost,
                events.BrokerBack,
                events.Registered,
            ]

    def test_gives_up_where_the_worker_is_told_to_end_first(self) -> None:
        with Bench() as bench:
            bench.broker.away = True
            bench.broker.on_away = lambda: signal.raise_signal(signal.SIGTERM)
            with pytest.raises(GaveUp):
                bench.seat.register()
            assert bench.seat.id == ""

    def test_lets_a_refusal_rise(self) -> None:
        with Bench() as bench:
            bench.broker.refusing = True
            with pytest.raises(BrokerRefused):
                bench.seat.register()


class TestReserve:
    def test_carries_a_new_token_each_time_and_the_same_one_while_it_asks_again(self) -> None:
        broker = Recording()
        with Bench(broker=broker) as bench:
            bench.seat.register()
            bench.push("job", 1)
            broker.loses = 3
            reserved = bench.seat.reserve(["jobs"])
            assert [job.body for job in reserved.jobs] == [payload("job", 1)]
            assert len(broker.tokens) == 4
            assert len(set(broker.tokens)) == 1
            bench.seat.finish(reserved.jobs[0])
            assert broker.tokens[-1].number == broker.tokens[0].number + 1
            assert broker.stats().processed == 1

    def test_registers_anew_where_it_was_taken_for_dead_and_takes_a_job_at_once(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            [seen] = bench.broker.workers()
            bench.broker.recover(seen, None)
            bench.push("job", 1)
            reserved = bench.seat.reserve(["jobs"])
            assert [job.body for job in reserved.jobs] == [payload("job", 1)]
            assert reserved.settled
            assert bench.told.all[1:] == [
                events.Pruned(f"host:{PID}:jobs"),
                events.Registered(f"host:{PID}:jobs", again=True),
            ]

    def test_says_that_what_was_to_be_settled_is_not_where_it_was_taken_for_dead(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.push("job", 1)
            [job] = bench.seat.reserve(["jobs"]).jobs
            [seen] = bench.broker.workers()
            bench.broker.recover(seen, b"{}")
            reserved = bench.seat.reserve(["jobs"], settled=job)
            assert (reserved.settled, reserved.jobs) == (False, ())
            assert bench.broker.stats().processed == 1  # by whoever recovered it

    def test_says_once_that_it_was_taken_for_dead_though_the_heart_found_out_first(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            [seen] = bench.broker.workers()
            bench.broker.recover(seen, None)
            bench.seat.beat()
            bench.seat.beat()
            bench.seat.reserve(["jobs"])
            assert len(bench.told.of(events.Pruned)) == 1


class TestBeat:
    def test_writes_the_brokers_time_and_is_due_a_beat_later(self) -> None:
        with Bench(beat=5.0) as bench:
            bench.seat.register()
            bench.clock.passes(3.0)
            bench.seat.beat()
            assert bench.broker.workers()[0].heartbeat == bench.clock()
            assert 4.0 < bench.seat.next_beat - time.monotonic() <= 5.0

    def test_is_written_only_when_it_is_due(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.clock.passes(3.0)
            bench.seat.beat_if_due()
            assert bench.broker.workers()[0].heartbeat == bench.clock() - 3.0
            bench.seat.next_beat = time.monotonic()
            bench.seat.beat_if_due()
            assert bench.broker.workers()[0].heartbeat == bench.clock()

    def test_comes_again_soon_where_the_broker_is_away_which_is_said_once(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.broker.away = True
            bench.seat.beat()
            bench.seat.beat()
            assert 0.0 < bench.seat.next_beat - time.monotonic() <= 1.0
            bench.broker.away = False
            bench.seat.beat()
            assert [type(event) for event in bench.told.all[1:]] == [events.BrokerLost, events.BrokerBack]

    def test_that_is_refused_ends_nothing_and_is_said_once(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.broker.refusing = True
            bench.seat.beat()
            bench.seat.beat()
            assert 0.0 < bench.seat.next_beat - time.monotonic() <= 1.0
            [warned] = bench.told.of(events.Warned)
            assert warned.message == f"host:{PID}:jobs could not write its heartbeat: memory refused: wrong password."

    def test_says_that_the_worker_was_taken_for_dead(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            [seen] = bench.broker.workers()
            bench.broker.recover(seen, None)
            bench.seat.beat()
            assert bench.told.of(events.Pruned) == [events.Pruned(bench.seat.id)]
            assert bench.broker.workers() == []

    def test_an_answer_that_comes_when_the_worker_has_registered_anew_is_about_the_time_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Bench() as bench:
            bench.seat.register()
            [seen] = bench.broker.workers()
            bench.broker.recover(seen, None)
            heartbeat = bench.broker.heartbeat

            def late(*asked: Any, **more: Any) -> bool:
                answer = heartbeat(*asked, **more)
                bench.seat.reserve(["jobs"])  # the worker's own thread, meanwhile
                return answer

            monkeypatch.setattr(bench.broker, "heartbeat", late)
            bench.seat.beat()
            assert len(bench.told.of(events.Pruned)) == 1
            assert bench.seat.holds()


class TestGivingUp:
    def test_a_worker_that_goes_on_never_does(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.broker.away = 4
            assert bench.seat.look(bench.broker.queues) == []

    def test_a_stopping_worker_asks_for_no_more_jobs(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.broker.away = True
            bench.broker.on_away = lambda: signal.raise_signal(signal.SIGQUIT)
            with pytest.raises(GaveUp):
                bench.seat.reserve(["jobs"])

    def test_but_goes_on_saying_what_became_of_a_job_however_long_ago_quit_stopped_it(self) -> None:
        with Bench(patience=5.0) as bench:
            bench.seat.register()
            bench.push("job", 1)
            [job] = bench.seat.reserve(["jobs"]).jobs
            signal.raise_signal(signal.SIGQUIT)
            bench.control.listen()
            assert bench.control.stopped_at is not None
            bench.control.stopped_at -= 3600.0
            bench.broker.away = 4
            assert bench.seat.finish(job)
            assert bench.broker.stats().processed == 1

    @pytest.mark.parametrize("left", [True, False], ids=["left", "over"])
    def test_by_term_it_has_what_is_left_of_the_jobs_time_and_none_of_its_own(self, left: bool) -> None:
        with Bench(patience=3600.0, manners=Manners(shutdown_timeout=5.0 if left else -60.0)) as bench:
            bench.seat.register()
            bench.push("job", 1)
            [job] = bench.seat.reserve(["jobs"]).jobs
            signal.raise_signal(signal.SIGTERM)
            bench.control.listen()
            bench.broker.away = 4 if left else True
            if left:
                assert bench.seat.finish(job)
            else:
                with pytest.raises(GaveUp):
                    bench.seat.finish(job)

    def test_and_gives_up_after_its_patience(self) -> None:
        with Bench(patience=0.1) as bench:
            bench.seat.register()
            bench.push("job", 1)
            [job] = bench.seat.reserve(["jobs"]).jobs
            signal.raise_signal(signal.SIGQUIT)
            bench.control.listen()
            bench.broker.away = True
            with pytest.raises(GaveUp):
                bench.seat.finish(job)

    def test_or_at_once_where_somebody_hurries(self) -> None:
        with Bench(patience=3600.0) as bench:
            bench.seat.register()
            bench.push("job", 1)
            [job] = bench.seat.reserve(["jobs"]).jobs
            bench.broker.away = True
            calls = itertools.chain([signal.SIGTERM], itertools.repeat(signal.SIGINT))
            bench.broker.on_away = lambda: signal.raise_signal(next(calls))
            with pytest.raises(GaveUp):
                bench.seat.finish(job)
            assert bench.control.status == 128 + signal.SIGINT


class TestBegins:
    """Where a job begins that was in hand before when its process died."""

    SUSPECTED = b'{"class":"job","args":[1],"taskq:crashes":1}'

    def test_is_noted_once_the_broker_is_there(self) -> None:
        with Bench() as bench:
            task = prepare(held(self.SUSPECTED), bench.tools)
            assert not crashes.had_begun(bench.broker, task.payload, task.reservation)
            bench.broker.away = 2
            bench.seat.begins(task)
            assert crashes.had_begun(bench.broker, task.payload, task.reservation)

    def test_asks_nothing_for_any_other(self) -> None:
        with Bench() as bench:
            bench.broker.away = True
            for body in (payload("job", 1), b'{"class":"job","args":[1],"id":7}', b"no payload"):
                bench.seat.begins(prepare(held(body), bench.tools))

    def test_a_broker_that_takes_no_notes_is_worked_for_all_the_same(self) -> None:
        """It is full, say, and drained by its workers; none of them waits for it."""
        with Bench() as bench:
            task = prepare(held(self.SUSPECTED), bench.tools)
            bench.broker.refusing = True
            bench.seat.begins(task)
            bench.broker.refusing = False
            assert not crashes.had_begun(bench.broker, task.payload, task.reservation)


class TestLeave:
    def test_forgets_an_idle_worker(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            assert bench.seat.leave()
            assert bench.broker.workers() == []

    def test_leaves_a_job_in_hand_to_recovery(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            bench.push("job", 1)
            bench.seat.reserve(["jobs"])
            assert not bench.seat.leave()
            assert bench.broker.workers()[0].job is not None

    def test_does_not_wait_for_a_broker_that_is_away(self) -> None:
        with Bench() as bench:
            bench.seat.register()
            signal.raise_signal(signal.SIGQUIT)
            bench.control.listen()
            bench.broker.away = True
            assert not bench.seat.leave()


def test_in_a_child_that_stands_by_no_beat_is_due_until_it_introduces_itself() -> None:
    with Bench() as bench:
        bench.seat.register()
        bench.push("note")
        held = bench.seat.reserve(["jobs"]).jobs
        lent = bench.seat.lend(bench.control, bench.seat.outage, bench.told)
        lent.stand_by(ahead=True)
        assert lent.next_beat == math.inf
        assert bench.seat.next_beat < math.inf
        assert bench.seat.held() == held != ()
        assert lent.introduce()
        assert lent.next_beat < math.inf


def test_a_heart_may_beat_beside_every_other_call() -> None:
    with Bench(beat=60.0) as bench:
        bench.seat.register()
        done = threading.Event()

        def beat() -> None:
            while not done.is_set():
                bench.seat.beat()

        heart = threading.Thread(target=beat)
        heart.start()
        try:
            for number in range(500):
                bench.push("job", number)
                [job] = bench.seat.reserve(["jobs"]).jobs
                if number % 100 == 0:
                    [seen] = bench.broker.workers()
                    while not bench.broker.recover(seen, b"{}"):
                        [seen] = bench.broker.workers()
                    assert not bench.seat.finish(job)
                else:
                    assert bench.seat.finish(job)
        finally:
            done.set()
            heart.join()
        assert bench.broker.stats().processed == 500
