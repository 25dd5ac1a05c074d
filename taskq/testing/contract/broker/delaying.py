"""Delayed jobs: they wait for their time, and whoever holds the lock moves them, each once."""

from __future__ import annotations

import math
import os
import time
from functools import partial
from typing import Final

import pytest

from taskq.broker import Broker, Capability
from taskq.records import Again, ScheduledJob, Stats
from taskq.spans import LONGEST
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder, job
from taskq.testing.contract.broker.stage import Doing, OnABroker

__all__ = ["THEN", "Delaying", "waiting_jobs"]

THEN: Final = 4_000_000_000.0
"""A time that no clock of a test will see: what waits for it waits until a test says that it is."""

_ME: Final = "host:1:scheduler"
_ANOTHER: Final = "host:2:scheduler"

_NAMES: Final = ["a:b", "sp ace", "new\nline", "ü✓", "a,b", "*", "{tag}", "nul\0", '"quoted\\']

_BODIES: Final = [
    b'{"class":"A","args":[1.0,1e3,-0.0,[],{},null,12345678901234567890123]}',
    '{"class":"Bücher::Job","args":["ü✓ \U0001f600"]}'.encode(),
    b'{"class":"A","args":["\\u00fc\\/\\n"]}',
    b'{ "args" : [ ] , "class" : "A" }',
    b'{"class":"A","args":[],"id":"x","trace":{"b":1,"a":2}}',
    b'{"class":"A","args":["' + b"x" * 70_000 + b'"]}',
]


class Delaying(OnABroker):
    """Delayed jobs: they wait for their time, and whoever holds the lock moves them, each once."""

    capability = Capability.DELAY

    # ---- schedule

    def test_schedule_keeps_a_job_until_its_time(self, broker: Broker) -> None:
        """Before it is in no queue; then it is in its queue, and delayed no more."""
        broker.schedule(THEN, "q", [ONE])
        assert broker.size("q") == 0
        assert waiting_jobs(broker) == [(THEN, "q", ONE)]
        assert self.promoted(broker, THEN - 1) == 0
        assert broker.size("q") == 0
        assert self.promoted(broker, THEN) == 1
        assert list(broker.peek("q", 0, 9)) == [ONE]
        assert waiting_jobs(broker) == []

    def test_schedule_is_seen_by_others(self, broker: Broker, other: Broker) -> None:
        """As soon as it returns."""
        broker.schedule(THEN, "q", [ONE])
        assert waiting_jobs(other) == [(THEN, "q", ONE)]
        assert other.next_due() == THEN

    def test_schedule_keeps_order_within_one_time(self, broker: Broker, other: Broker) -> None:
        """First come, first moved, whoever scheduled them and however many at once."""
        broker.schedule(THEN, "q", [TWO, ONE])
        other.schedule(THEN, "q", [FOUR])
        broker.schedule(THEN, "q", [THREE, ONE])
        assert self.promoted(broker, THEN) == 5
        assert list(broker.peek("q", 0, 9)) == [TWO, ONE, FOUR, THREE, ONE]

    def test_schedule_of_nothing_schedules_nothing(self, broker: Broker) -> None:
        """An empty list is no mistake, and no time."""
        broker.schedule(THEN, "q", [])
        assert broker.next_due() is None
        assert broker.scheduled_time_count() == 0
        assert list(broker.scheduled_times(0, 9)) == []

    def test_schedule_never_lets_a_job_begin_early(self, broker: Broker) -> None:
        """A fraction of a second is kept, or rounded up."""
        broker.schedule(THEN + 0.25, "q", [ONE])
        due = broker.next_due()
        assert due is not None
        assert THEN + 0.25 <= due <= THEN + 1
        assert self.promoted(broker, THEN + 0.125) == 0
        assert self.promoted(broker, due) == 1

    def test_schedule_for_what_is_over_waits_for_a_scheduler(self, broker: Broker) -> None:
        """It is kept like any other time."""
        broker.schedule(1.0, "q", [ONE])
        assert broker.size("q") == 0
        assert broker.next_due() == 1.0
        assert self.promoted(broker, 2.0) == 1

    @pytest.mark.parametrize("body", _BODIES, ids=lambda body: repr(body[:20]))
    def test_schedule_keeps_bytes_exactly(self, broker: Broker, body: bytes) -> None:
        """A payload is what was given when it is listed, and when it is in its queue."""
        broker.schedule(THEN, "q", [body])
        assert waiting_jobs(broker) == [(THEN, "q", body)]
        assert list(broker.scheduled_at("q", body)) == [THEN]
        assert self.promoted(broker, THEN) == 1
        assert list(broker.peek("q", 0, 9)) == [body]

    @pytest.mark.parametrize("queue", _NAMES, ids=repr)
    def test_schedule_takes_any_queue_name(self, broker: Broker, queue: str) -> None:
        """A name is any text, with no meaning to the broker."""
        broker.schedule(THEN, queue, [ONE])
        assert waiting_jobs(broker) == [(THEN, queue, ONE)]
        assert self.promoted(broker, THEN) == 1
        assert list(broker.peek(queue, 0, 9)) == [ONE]
        assert list(broker.queues()) == [queue]

    # ---- the scheduler's lock

    def test_claim_schedule_lets_one_in_at_a_time(self, broker: Broker, other: Broker) -> None:
        """Each is told whose the lock is; who has it holds it for longer by asking again."""
        assert broker.claim_schedule(_ME, 60) == _ME
        assert other.claim_schedule(_ANOTHER, 60) == _ME
        assert broker.claim_schedule(_ME, 60) == _ME

    def test_claim_schedule_comes_back_after_its_time(self, broker: Broker, other: Broker) -> None:
        """One that died with it does not hold it for ever."""
        broker.claim_schedule(_ME, 0.05)
        deadline = time.monotonic() + self.patience
        while other.claim_schedule(_ANOTHER, 60) != _ANOTHER:
            assert time.monotonic() < deadline
        assert broker.claim_schedule(_ME, 60) == _ANOTHER

    def test_claim_schedule_again_extends_it(self, broker: Broker, other: Broker) -> None:
        """Who asks again in time keeps it beyond the time that it had first."""
        short = 0.2
        broker.claim_schedule(_ME, short)
        began = time.monotonic()
        assert broker.claim_schedule(_ME, 60) == _ME
        while time.monotonic() < began + 2 * short:
            assert other.claim_schedule(_ANOTHER, 60) == _ME

    def test_give_up_schedule_lets_the_next_one_in(self, broker: Broker, other: Broker) -> None:
        """At once; and nobody gives back what is another's."""
        broker.claim_schedule(_ME, 60)
        other.give_up_schedule(_ANOTHER)
        assert other.claim_schedule(_ANOTHER, 60) == _ME
        broker.give_up_schedule(_ME)
        assert other.claim_schedule(_ANOTHER, 60) == _ANOTHER

    # ---- promote_due

    def test_promote_due_without_the_lock_moves_nothing(self, broker: Broker, other: Broker) -> None:
        """It is told who holds it; empty where nobody does."""
        broker.schedule(THEN, "q", [ONE])
        nobodys = other.promote_due(_ANOTHER, THEN, 9)
        assert (nobodys.moved, nobodys.holder) == (0, "")
        broker.claim_schedule(_ME, 60)
        anothers = other.promote_due(_ANOTHER, THEN, 9)
        assert (anothers.moved, anothers.holder) == (0, _ME)
        assert broker.size("q") == 0
        assert broker.promote_due(_ME, THEN, 9).moved == 1

    def test_promote_due_with_a_lock_that_lapsed_moves_nothing(self, broker: Broker) -> None:
        """Who was stopped for longer than it held the lock hears so."""
        broker.schedule(THEN, "q", [ONE])
        broker.claim_schedule(_ME, 0.05)
        deadline = time.monotonic() + self.patience
        while (done := broker.promote_due(_ME, THEN - 1, 9)).holder == _ME:
            assert time.monotonic() < deadline
        assert done.holder == ""
        assert broker.promote_due(_ME, THEN, 9).moved == 0
        assert broker.size("q") == 0

    def test_promote_due_moves_the_earliest_first(self, broker: Broker) -> None:
        """Whatever their queues, `limit` at most; it says whether there may be more that are due."""
        broker.schedule(THEN + 2, "q", [THREE])
        broker.schedule(THEN, "q", [ONE])
        broker.schedule(THEN + 1, "r", [TWO])
        broker.schedule(THEN + 9, "q", [FOUR])
        broker.claim_schedule(_ME, 60)
        first = broker.promote_due(_ME, THEN + 2, 2)
        assert (first.moved, first.holder, first.more) == (2, _ME, True)
        assert (list(broker.peek("q", 0, 9)), list(broker.peek("r", 0, 9))) == ([ONE], [TWO])
        while (done := broker.promote_due(_ME, THEN + 2, 2)).more:
            assert done.moved
        assert list(broker.peek("q", 0, 9)) == [ONE, THREE]
        assert waiting_jobs(broker) == [(THEN + 9, "q", FOUR)]

    def test_promote_due_within_one_time_goes_on_where_it_ended(self, broker: Broker) -> None:
        """Of many jobs for one time some are moved with each call, in their order."""
        bodies = [job(number) for number in range(7)]
        broker.schedule(THEN, "q", bodies)
        broker.claim_schedule(_ME, 60)
        for moved in (3, 6):
            assert broker.promote_due(_ME, THEN, 3).moved == 3
            assert list(broker.peek("q", 0, 9)) == bodies[:moved]
            assert [body for _, _, body in waiting_jobs(broker)] == bodies[moved:]
        assert broker.promote_due(_ME, THEN, 3).moved == 1

    def test_promote_due_goes_behind_what_waits(self, broker: Broker) -> None:
        """To the end of its queue."""
        broker.push("q", [ONE])
        broker.schedule(THEN, "q", [TWO])
        assert self.promoted(broker, THEN) == 1
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]

    def test_promote_due_wakes_whoever_waits(self, broker: Broker, other: Broker, doing: Doing) -> None:
        """As a push does."""
        broker.schedule(THEN, "q", [ONE])
        woken = doing(lambda: other.wait(["q"], 2 * self.patience))
        assert self.promoted(broker, THEN) == 1
        assert woken.result(timeout=self.patience)

    def test_promote_due_side_by_side_moves_each_once(self, broker: Broker, other: Broker) -> None:
        """Also where one that lost the lock and got it again is still at it."""
        bodies = [job(number) for number in range(60)]
        for number, body in enumerate(bodies):
            broker.schedule(THEN + number // 20, "q", [body])
        broker.claim_schedule(_ME, 60)

        def move(on: Broker) -> int:
            moved = 0
            while (done := on.promote_due(_ME, THEN + 9, 7)).more:
                moved += done.moved
            return moved + done.moved

        assert sum(side_by_side(*(partial(move, on) for on in (broker, other, broker, other)))) == 60
        assert sorted(broker.peek("q", 0, 99)) == sorted(bodies)

    # ---- when the next one is due

    def test_next_due_is_the_earliest(self, broker: Broker) -> None:
        """None where nothing waits; what was moved or removed counts no more."""
        assert broker.next_due() is None
        broker.schedule(THEN + 5, "q", [ONE])
        broker.schedule(THEN, "q", [TWO])
        broker.schedule(THEN + 2, "q", [THREE])
        assert broker.next_due() == THEN
        self.promoted(broker, THEN)
        assert broker.next_due() == THEN + 2
        broker.unschedule("q", THREE)
        assert broker.next_due() == THEN + 5

    def test_wait_due_wakes_for_an_earlier_job(self, broker: Broker, other: Broker, doing: Doing) -> None:
        """Which another schedules, also between `next_due` and the wait."""
        broker.schedule(THEN + 5, "q", [ONE])
        woken = doing(lambda: broker.wait_due(THEN + 5, 2 * self.patience))
        other.schedule(THEN, "q", [TWO])
        assert woken.result(timeout=self.patience)

    def test_wait_due_wakes_for_the_first_job(self, broker: Broker, other: Broker, doing: Doing) -> None:
        """Where none waited before."""
        woken = doing(lambda: broker.wait_due(None, 2 * self.patience))
        other.schedule(THEN, "q", [TWO])
        assert woken.result(timeout=self.patience)

    def test_wait_due_wakes_for_a_schedule_that_changed(self, broker: Broker, other: Broker, doing: Doing) -> None:
        """Which another puts or removes, also between `schedules` and the wait."""
        for body in (b'{"cron":"* * * * *"}', None):
            seen = broker.schedules()
            woken = doing(lambda: broker.wait_due(None, 2 * self.patience))
            other.put_schedule("hourly", body)
            assert woken.result(timeout=self.patience)
            assert broker.schedules() != seen

    def test_wait_due_returns_at_once_where_it_is_another(self, broker: Broker) -> None:
        """What came before it was called is not missed."""
        broker.schedule(THEN, "q", [ONE])
        began = time.monotonic()
        assert broker.wait_due(None, self.patience)
        assert broker.wait_due(THEN + 1, self.patience)
        assert time.monotonic() - began < self.patience / 2

    def test_wait_due_ends_at_its_timeout(self, broker: Broker) -> None:
        """It may end before, and not much later, and takes nothing; jobs that are pushed do not make it spin."""
        broker.schedule(THEN, "q", [ONE])
        began = time.monotonic()
        deadline = began + 0.3
        wakes = 0
        while (left := deadline - time.monotonic()) > 0:
            broker.push("q", [TWO])
            broker.wait_due(THEN, left)
            wakes += 1
        assert time.monotonic() - began < self.patience / 2
        assert wakes < 20
        assert waiting_jobs(broker) == [(THEN, "q", ONE)]

    def test_wait_due_ends_when_an_interrupt_is_readable(self, broker: Broker) -> None:
        """Each time, as long as it is: a scheduler that is told to stop does not wait."""
        ear, bell = os.pipe()
        try:
            os.write(bell, b"!")
            began = time.monotonic()
            broker.wait_due(None, self.patience, [ear])
            assert time.monotonic() - began < self.patience / 2
            broker.wait_due(None, LONGEST, [ear])
            assert time.monotonic() - began < self.patience / 2
        finally:
            os.close(ear)
            os.close(bell)

    # ---- looking

    def test_scheduled_pages(self, broker: Broker) -> None:
        """From a time on, less the first of just that time, `count` at most: so a page begins where one ended."""
        for at, bodies in ((THEN + 1, [TWO, THREE, ONE]), (THEN, [ONE]), (THEN + 2, [FOUR])):
            broker.schedule(at, "q", bodies)
        ordered = [(THEN, ONE), (THEN + 1, TWO), (THEN + 1, THREE), (THEN + 1, ONE), (THEN + 2, FOUR)]

        def page(since: float, skip: int, count: int) -> list[tuple[float, bytes]]:
            return [(one.at, one.body) for one in broker.scheduled(since, skip, count)]

        assert page(0, 0, 9) == ordered
        assert page(0, 0, 2) == ordered[:2]
        assert page(THEN + 1, 1, 2) == ordered[2:4]
        assert page(THEN + 1, 3, 9) == ordered[4:]
        assert page(THEN + 0.5, 1, 9) == ordered[1:]
        assert page(THEN + 3, 0, 9) == []
        assert page(0, 0, 0) == []

    def test_scheduled_removes_nothing(self, broker: Broker) -> None:
        """What was looked at is moved as if nobody had looked."""
        broker.schedule(THEN, "q", [ONE, TWO])
        broker.scheduled(0, 0, 9)
        broker.scheduled_times(0, 9)
        assert self.promoted(broker, THEN) == 2

    def test_scheduled_times_are_in_order_with_their_counts(self, broker: Broker) -> None:
        """From a time on, `count` at most."""
        broker.schedule(THEN + 7, "q", [ONE])
        broker.schedule(THEN, "q", [ONE, TWO])
        broker.schedule(THEN + 3, "r", [ONE])
        broker.schedule(THEN, "r", [ONE])
        assert list(broker.scheduled_times(0, 9)) == [(THEN, 3), (THEN + 3, 1), (THEN + 7, 1)]
        assert list(broker.scheduled_times(THEN + 1, 1)) == [(THEN + 3, 1)]
        assert list(broker.scheduled_times(THEN + 8, 1)) == []
        assert list(broker.scheduled_times(0, 0)) == []
        assert broker.scheduled_time_count() == 3
        assert broker.scheduled_time_count(3) == broker.scheduled_time_count(4) == 3
        assert broker.scheduled_time_count(2) in (2, 3)  # it may count on, where that costs nothing

    def test_scheduled_at_tells_the_times_of_a_job(self, broker: Broker) -> None:
        """Of exactly these bytes, for this queue, in order."""
        for at, queue, bodies in ((THEN + 4, "q", [ONE, ONE]), (THEN, "q", [TWO, ONE]), (THEN + 1, "r", [ONE])):
            broker.schedule(at, queue, bodies)
        assert list(broker.scheduled_at("q", ONE)) == [THEN, THEN + 4]
        found, after = [*broker.scheduled_at_part("q", ONE)[0]], broker.scheduled_at_part("q", ONE)[1]
        while after is not None:
            part, after = broker.scheduled_at_part("q", ONE, after)
            found += part
        assert sorted(set(found)) == [THEN, THEN + 4]
        assert list(broker.scheduled_at("q", THREE)) == []
        assert list(broker.scheduled_at("none", ONE)) == []

    # ---- removing and moving by hand

    def test_unschedule_takes_every_equal_one_and_no_other(self, broker: Broker) -> None:
        """How many there were; another queue's, and other bytes, stay."""
        broker.schedule(THEN, "q", [ONE, TWO, ONE])
        broker.schedule(THEN + 1, "q", [ONE])
        broker.schedule(THEN, "r", [ONE])
        assert broker.unschedule("q", ONE) == 3
        assert waiting_jobs(broker) == [(THEN, "q", TWO), (THEN, "r", ONE)]
        assert broker.unschedule("q", ONE) == 0
        assert broker.scheduled_time_count() == 1

    def test_unschedule_of_one_time_leaves_the_others(self, broker: Broker) -> None:
        """With `at`."""
        broker.schedule(THEN, "q", [ONE, TWO, ONE])
        broker.schedule(THEN + 1, "q", [ONE])
        assert broker.unschedule("q", ONE, at=THEN) == 2
        assert broker.unschedule("q", ONE, at=THEN) == 0
        assert broker.unschedule("q", ONE, at=THEN + 5) == 0
        assert waiting_jobs(broker) == [(THEN, "q", TWO), (THEN + 1, "q", ONE)]

    def test_promote_moves_one_now(self, broker: Broker, other: Broker) -> None:
        """Of equal ones one, to the end of its queue, whoever holds the lock; False where it is gone."""
        broker.push("q", [THREE])
        broker.schedule(THEN, "q", [ONE, TWO])
        broker.schedule(THEN + 1, "q", [ONE])
        other.claim_schedule(_ANOTHER, 60)
        first, *_ = broker.scheduled(0, 0, 1)
        assert broker.promote(first)
        assert list(broker.peek("q", 0, 9)) == [THREE, ONE]
        assert waiting_jobs(broker) == [(THEN, "q", TWO), (THEN + 1, "q", ONE)]
        assert not broker.promote(first)
        assert broker.size("q") == 2

    def test_promote_takes_one_of_equal_ones(self, broker: Broker) -> None:
        """The others wait on."""
        broker.schedule(THEN, "q", [ONE, ONE, ONE])
        assert broker.promote(broker.scheduled(0, 0, 1)[0])
        assert waiting_jobs(broker) == [(THEN, "q", ONE), (THEN, "q", ONE)]

    def test_promote_into_another_queue(self, broker: Broker) -> None:
        """Where it is told."""
        broker.schedule(THEN, "q", [ONE])
        assert broker.promote(broker.scheduled(0, 0, 1)[0], queue="vip")
        assert (list(broker.peek("vip", 0, 9)), broker.size("q")) == ([ONE], 0)

    def test_promote_side_by_side_moves_once(self, broker: Broker, other: Broker) -> None:
        """Of two who see the same job one moves it."""
        broker.schedule(THEN, "q", [ONE])
        seen = broker.scheduled(0, 0, 1)[0]
        answers = side_by_side(*(partial(on.promote, seen) for on in (broker, other, broker, other)))
        assert sorted(answers) == [False, False, False, True]
        assert list(broker.peek("q", 0, 9)) == [ONE]

    def test_bury_takes_it_to_the_failed_list(self, broker: Broker) -> None:
        """It counts as nothing, for it was never performed; False, and no entry, where it is gone."""
        broker.schedule(THEN, "q", [ONE, TWO])
        first = broker.scheduled(0, 0, 1)[0]
        assert broker.bury(first, b'{"why":1}')
        assert not broker.bury(first, b'{"why":2}')
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"why":1}']
        assert waiting_jobs(broker) == [(THEN, "q", TWO)]
        assert broker.stats() == Stats(0, 0)

    def test_withdraw_takes_one_away(self, broker: Broker) -> None:
        """Of equal ones at one time it takes one; False where there is none."""
        broker.schedule(THEN, "q", [ONE, TWO, ONE])
        broker.schedule(THEN + 1, "q", [ONE])
        first = broker.scheduled(0, 0, 1)[0]
        assert [broker.withdraw(first) for _ in range(3)] == [True, True, False]
        assert waiting_jobs(broker) == [(THEN, "q", TWO), (THEN + 1, "q", ONE)]
        assert list(broker.scheduled_at("q", ONE)) == [THEN + 1]
        assert (broker.size("q"), broker.failure_count()) == (0, 0)

    def test_withdraw_many_answers_for_each(self, broker: Broker) -> None:
        """Of equal ones at one time so many as are given, the first of them; what stays is found as before."""
        broker.schedule(THEN, "q", [ONE, TWO, ONE, ONE])
        broker.schedule(THEN + 1, "r", [ONE, TWO])
        one, two, *_ = broker.scheduled(0, 0, 9)
        one_later = broker.scheduled(THEN + 1, 0, 1)[0]
        assert list(broker.withdraw_many([one, two, one, two, one_later])) == [True, True, True, False, True]
        assert waiting_jobs(broker) == [(THEN, "q", ONE), (THEN + 1, "r", TWO)]
        assert list(broker.scheduled_at("q", ONE)) == [THEN]
        assert list(broker.scheduled_at("r", ONE)) == []
        assert list(broker.withdraw_many(broker.scheduled(0, 0, 9))) == [True, True]
        assert (broker.next_due(), list(broker.scheduled_at("q", ONE))) == (None, [])
        assert list(broker.withdraw_many([])) == []

    def test_promote_many_moves_each_in_order(self, broker: Broker) -> None:
        """Each to the end of its queue, in the order given; one that is gone keeps none of the others back."""
        broker.push("q", [b'"first"'])
        broker.schedule(THEN, "q", [ONE, TWO, ONE])
        broker.schedule(THEN, "r", [ONE])
        broker.schedule(THEN + 1, "q", [TWO])
        one, two, _, other, later = broker.scheduled(0, 0, 9)
        assert list(broker.promote_many([later, two, two, one, other])) == [True, True, False, True, True]
        assert list(broker.peek("q", 0, 9)) == [b'"first"', TWO, TWO, ONE]
        assert list(broker.peek("r", 0, 9)) == [ONE]
        assert waiting_jobs(broker) == [(THEN, "q", ONE)]
        assert list(broker.scheduled_at("q", ONE)) == [THEN]
        assert list(broker.promote_many([])) == []

    def test_clear_scheduled_removes_all(self, broker: Broker) -> None:
        """It says how many, as far as it knows; what waits in queues stays."""
        broker.push("q", [ONE])
        broker.schedule(THEN, "q", [ONE, TWO])
        broker.schedule(THEN + 1, "r", [ONE])
        assert broker.clear_scheduled() <= 3
        assert waiting_jobs(broker) == []
        assert broker.next_due() is None
        assert broker.scheduled_time_count() == 0
        assert list(broker.scheduled_at("q", ONE)) == []
        assert list(broker.peek("q", 0, 9)) == [ONE]
        assert broker.clear_scheduled() == 0

    def test_drain_scheduled_takes_the_earliest(self, broker: Broker) -> None:
        """In the order in which they are due; each as it was listed."""
        broker.push("q", [ONE])
        broker.schedule(THEN + 1, "r", [ONE, TWO])
        broker.schedule(THEN, "q", [ONE, TWO, ONE])
        listed = [(job.at, job.queue, job.body) for job in broker.scheduled(0, 0, 9)]
        drained: list[tuple[float, str, bytes]] = []
        while page := broker.drain_scheduled(2):
            assert len(page) <= 2
            drained += [(job.at, job.queue, job.body) for job in page]
            assert drained + waiting_jobs(broker) == listed
        assert drained == listed
        assert broker.next_due() is None
        assert broker.scheduled_time_count() == 0
        assert list(broker.scheduled_at("q", ONE)) == []
        assert list(broker.peek("q", 0, 9)) == [ONE]

    # ---- settling into the delayed jobs

    def test_release_at_waits_for_its_time(self, broker: Broker, holder: Holder) -> None:
        """It counts as nothing, and nobody reserves it before."""
        broker.push("q", [ONE])
        assert holder.release(holder.take("q"), at=THEN)
        assert holder.in_hand() is None
        assert holder.reserve("q").jobs == ()
        assert waiting_jobs(broker) == [(THEN, "q", ONE)]
        assert broker.stats() == Stats(0, 0)

    def test_release_at_with_a_new_body(self, broker: Broker, holder: Holder) -> None:
        """A retry that counts its attempts waits with other bytes."""
        broker.push("q", [ONE])
        assert holder.release(holder.take("q"), body=TWO, at=THEN)
        assert waiting_jobs(broker) == [(THEN, "q", TWO)]

    def test_release_at_of_several_keeps_their_order(self, broker: Broker, holder: Holder) -> None:
        """Each for its own queue, behind what waits for the same time."""
        broker.schedule(THEN, "q", [FOUR])
        broker.push("q", [ONE, TWO])
        broker.push("r", [THREE])
        assert holder.release(*holder.reserve("q", "r", limit=3).jobs, at=THEN)
        assert waiting_jobs(broker) == [(THEN, "q", FOUR), (THEN, "q", ONE), (THEN, "q", TWO), (THEN, "r", THREE)]

    def test_release_at_asked_again_schedules_once(self, broker: Broker, holder: Holder) -> None:
        """The same token again is answered again; a late one, or one by somebody else, changes nothing."""
        broker.push("q", [ONE])
        late = holder.tokens.next()
        taken = holder.take("q")
        assert not broker.release([taken], late, at=THEN)
        assert not Holder(broker, holder.id).release(taken, at=THEN)
        token = holder.tokens.next()
        assert [broker.release([taken], token, at=THEN) for _ in range(3)] == [True, True, True]
        assert waiting_jobs(broker) == [(THEN, "q", ONE)]

    def test_fail_again_at_waits_for_its_time(self, broker: Broker, holder: Holder) -> None:
        """The entry is written and the try counted, and the job waits, in one step that may be asked again."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        token = holder.tokens.next()
        again = Again(TWO, at=THEN)
        assert [broker.fail(taken, token, b'{"e":1}', again=again) for _ in range(2)] == [True, True]
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"e":1}']
        assert waiting_jobs(broker) == [(THEN, "q", TWO)]
        assert broker.stats() == Stats(processed=1, failed=1)

    @pytest.mark.parametrize("entry", [None, b'{"dead":1}'], ids=["without an entry", "with an entry"])
    def test_recover_again_at_waits_for_its_time(self, broker: Broker, holder: Holder, entry: bytes | None) -> None:
        """A dead worker's job waits before its next try; what never began goes back at once, and it happens once."""
        broker.push("q", [ONE, TWO])
        holder.reserve("q", limit=2)
        seen = holder.seen()
        assert broker.recover(seen, entry, again=Again(THREE, at=THEN))
        assert not broker.recover(seen, entry, again=Again(THREE, at=THEN))
        assert waiting_jobs(broker) == [(THEN, "q", THREE)]
        assert list(broker.peek("q", 0, 9)) == [TWO]
        assert broker.failure_count() == (0 if entry is None else 1)
        assert broker.stats().failed == (0 if entry is None else 1)

    # ---- what the tests above are made of

    def promoted(self, broker: Broker, now: float) -> int:
        """How many are moved by the scheduler of this test, all that are due."""
        assert broker.claim_schedule(_ME, 60) == _ME
        done = broker.promote_due(_ME, now, 1000)
        assert not done.stuck
        assert done.holder == _ME
        return done.moved


def waiting_jobs(broker: Broker) -> list[tuple[float, str, bytes]]:
    """All delayed jobs, in order: time, queue, bytes."""
    return [_told(one) for one in broker.scheduled(-math.inf, 0, 999)]


def _told(one: ScheduledJob) -> tuple[float, str, bytes]:
    return one.at, one.queue, one.body
