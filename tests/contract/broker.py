"""What every broker promises: a class to subclass, a test a promise, each named for the method it proves.

A subclass gives `make_broker`. Where the store is shared, every broker that it makes sees the same one; `broker` and
`other` are two of them. Where it is not, `other` is `broker` itself.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest

from taskq.broker import Broker, Capability, Requeued
from taskq.errors import NotRegistered, NotSupported, WrongConnection
from taskq.records import (
    Paused,
    ProcessIdentity,
    Registration,
    Reservation,
    Reserved,
    Stats,
    StoredFailure,
    Tokens,
    WorkerInfo,
)

ODD_NAMES = ["", "a:b", "sp ace", "new\nline", "ü✓", "a,b", "*", "[x]", "{tag}", "failed", "queues", "nul\0"]
ODD_BODIES = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"null",
    b"[1]",
    b"17",
    b'"text"',
    b"{",
    b'{"class":"A","args":[1.0,[],{}]}',
    b'{"class":"A","args":[NaN]}',
    b" \xef\xbb\xbf{}",
    b'{"class":"A","args":["' + b"x" * 70_000 + b'"]}',
    b"[" * 100_000,
]


def job(number: int) -> bytes:
    return b'{"class":"Job","args":[%d]}' % number


ONE, TWO, THREE, FOUR = (job(n) for n in range(1, 5))


@dataclass
class Holder:
    """A registered worker as a test holds it: an id and its tokens."""

    broker: Broker
    id: str
    tokens: Tokens = field(default_factory=Tokens)

    def registration(self, *, dead_after: float = 25.0) -> Registration:
        process = ProcessIdentity(host="host", boot="boot", namespace="pid", pid=os.getpid(), started="1")
        return Registration(self.id, process, dead_after=dead_after, beat=5.0, process_token=self.tokens.process)

    def register(self) -> bool:
        return self.broker.register(self.registration())

    def reserve(self, *queues: str, limit: int = 1, settled: Sequence[Reservation] = ()) -> Reserved:
        last = settled[-1] if settled else None
        return self.broker.reserve(self.id, queues, self.tokens.next(), limit=limit, settled=last)

    def take(self, *queues: str) -> Reservation:
        (taken,) = self.reserve(*queues).jobs
        return taken

    def finish(self, reservation: Reservation) -> bool:
        return self.broker.finish(reservation, self.tokens.next())

    def fail(self, reservation: Reservation, entry: bytes, *, by_queue: bool = False) -> bool:
        return self.broker.fail(reservation, self.tokens.next(), entry, by_queue=by_queue)

    def release(self, *reservations: Reservation, front: bool = True, body: bytes | None = None) -> bool:
        return self.broker.release(reservations, self.tokens.next(), front=front, body=body)

    def seen(self) -> WorkerInfo:
        info = self.broker.worker(self.id)
        assert info is not None
        return info


class BrokerContract:
    """Subclass it, give `make_broker`, and every promise of `taskq.broker.Broker` is tested."""

    def make_broker(self) -> Broker:
        """A broker on the store of this test."""
        raise NotImplementedError

    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        broker = self.make_broker()
        yield broker
        broker.close()

    @pytest.fixture
    def other(self, broker: Broker) -> Iterator[Broker]:
        if Capability.SHARED not in broker.capabilities:
            yield broker
            return
        other = self.make_broker()
        yield other
        other.close()

    @pytest.fixture
    def hire(self, broker: Broker) -> Callable[..., Holder]:
        numbers = itertools.count(1)

        def hire(on: Broker | None = None) -> Holder:
            holder = Holder(on or broker, f"host:{next(numbers)}:q")
            assert holder.register()
            return holder

        return hire

    @pytest.fixture
    def holder(self, hire: Callable[..., Holder]) -> Holder:
        return hire()

    # ---- the connection and the clock

    def test_check_returns_where_the_broker_answers(self, broker: Broker) -> None:
        broker.check()

    def test_now_goes_on(self, broker: Broker) -> None:
        first = broker.now()
        assert broker.now() >= first

    def test_close_may_come_twice_or_first(self) -> None:
        broker = self.make_broker()
        broker.close()
        broker.close()

    def test_address_and_name_are_for_people(self, broker: Broker) -> None:
        assert broker.name
        assert broker.address

    # ---- queues

    def test_push_is_seen_by_others(self, broker: Broker, other: Broker) -> None:
        broker.push("q", [ONE])
        assert list(other.peek("q", 0, 10)) == [ONE]

    def test_push_keeps_order(self, broker: Broker) -> None:
        broker.push("q", [ONE, TWO])
        broker.push("q", [THREE])
        assert list(broker.peek("q", 0, 10)) == [ONE, TWO, THREE]

    def test_push_to_the_front_goes_ahead_in_its_own_order(self, broker: Broker) -> None:
        broker.push("q", [THREE])
        broker.push("q", [ONE, TWO], front=True)
        assert list(broker.peek("q", 0, 10)) == [ONE, TWO, THREE]

    def test_push_of_many_is_whole(self, broker: Broker) -> None:
        bodies = [job(number) for number in range(5000)]
        broker.push("q", bodies)
        assert broker.size("q") == 5000
        assert list(broker.peek("q", 4998, 10)) == bodies[4998:]

    @pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: repr(body[:12]))
    def test_push_keeps_bytes_exactly(self, broker: Broker, holder: Holder, body: bytes) -> None:
        broker.push("q", [body])
        assert list(broker.peek("q", 0, 1)) == [body]
        taken = holder.take("q")
        assert taken.body == body
        in_hand = holder.seen().job
        assert in_hand is not None
        assert in_hand.body == body
        assert holder.release(taken)
        assert list(broker.peek("q", 0, 1)) == [body]

    @pytest.mark.parametrize("queue", ODD_NAMES, ids=repr)
    def test_push_takes_any_queue_name(self, broker: Broker, holder: Holder, queue: str) -> None:
        broker.push(queue, [ONE])
        assert list(broker.queues()) == [queue]
        assert broker.size(queue) == 1
        taken = holder.take(queue)
        assert taken.queue == queue
        in_hand = holder.seen().job
        assert in_hand is not None
        assert in_hand.queue == queue
        assert holder.release(taken)
        assert broker.remove_queue(queue) == 1
        assert list(broker.queues()) == []

    def test_push_within_is_refused_where_there_are_no_transactions(self, broker: Broker) -> None:
        if Capability.IN_TRANSACTION in broker.capabilities:
            pytest.skip("this backend has them")
        with pytest.raises(NotSupported, match=f"The backend {broker.name} does not support enqueueing in a trans"):
            broker.push_within(object(), "q", [ONE])
        assert broker.size("q") == 0

    def test_push_within_refuses_what_is_no_connection(self, broker: Broker) -> None:
        if Capability.IN_TRANSACTION not in broker.capabilities:
            pytest.skip("this backend has no transactions")
        with pytest.raises(WrongConnection):
            broker.push_within(object(), "q", [ONE])
        assert broker.size("q") == 0

    def test_size_of_no_queue_is_zero(self, broker: Broker) -> None:
        assert broker.size("none") == 0

    def test_sizes_come_in_the_order_given(self, broker: Broker) -> None:
        broker.push("a", [ONE])
        broker.push("b", [ONE, TWO])
        assert list(broker.sizes(["b", "none", "a"]).items()) == [("b", 2), ("none", 0), ("a", 1)]

    def test_sizes_of_nothing(self, broker: Broker) -> None:
        assert dict(broker.sizes([])) == {}

    def test_queues_are_sorted_by_their_bytes(self, broker: Broker) -> None:
        for queue in ["b", "ü", "a", "B"]:
            broker.push(queue, [ONE])
        assert list(broker.queues()) == ["B", "a", "b", "ü"]

    def test_queues_keep_an_empty_one(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        holder.finish(holder.take("q"))
        assert list(broker.queues()) == ["q"]

    def test_peek_pages(self, broker: Broker) -> None:
        broker.push("q", [ONE, TWO, THREE, FOUR])
        assert list(broker.peek("q", 1, 2)) == [TWO, THREE]
        assert list(broker.peek("q", 3, 2)) == [FOUR]
        assert list(broker.peek("q", 4, 2)) == []
        assert list(broker.peek("q", 0, 0)) == []
        assert list(broker.peek("none", 0, 5)) == []

    def test_remove_takes_every_equal_one_and_no_other(self, broker: Broker) -> None:
        broker.push("q", [ONE, TWO, ONE, b'{"class":"Job","args":[1] }'])
        assert broker.remove("q", ONE) == 2
        assert broker.size("q") == 2
        assert broker.remove("q", ONE) == 0
        assert broker.remove("none", ONE) == 0

    def test_remove_queue_takes_its_jobs_and_its_pause(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        broker.pause("q")
        assert broker.remove_queue("q") == 2
        assert list(broker.queues()) == []
        assert broker.paused() == Paused()
        assert broker.remove_queue("q") == 0

    # ---- reserving

    def test_reserve_takes_the_first_of_the_first_queue_that_has_one(self, broker: Broker, holder: Holder) -> None:
        broker.push("low", [ONE])
        broker.push("high", [TWO, THREE])
        for expected in [("high", TWO), ("high", THREE), ("low", ONE)]:
            taken = holder.take("none", "high", "low")
            assert (taken.queue, taken.body) == expected
            assert holder.finish(taken)
        assert holder.reserve("none", "high", "low") == Reserved()

    def test_reserve_records_what_it_took(self, broker: Broker, other: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert taken.worker == holder.id
        assert taken.started
        assert abs(taken.run_at - broker.now()) < 60
        info = other.worker(holder.id)
        assert info is not None
        assert info.job is not None
        assert (info.job.queue, info.job.body, info.job.fence) == ("q", ONE, taken.fence)
        assert abs(info.job.run_at - taken.run_at) <= 1
        assert broker.size("q") == 0

    def test_reserve_finishes_what_is_settled_in_the_same_step(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        first = holder.take("q")
        answer = holder.reserve("q", settled=[first])
        assert answer.settled
        assert [taken.body for taken in answer.jobs] == [TWO]
        assert broker.stats() == Stats(processed=1, failed=0)
        assert not holder.finish(first)

    def test_reserve_finishes_what_is_settled_where_nothing_is_left(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        assert holder.reserve("q", settled=[holder.take("q")]) == Reserved()
        assert broker.stats() == Stats(processed=1, failed=0)
        assert holder.seen().job is None

    def test_reserve_changes_nothing_where_somebody_else_settled(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        first = holder.take("q")
        assert holder.release(first, front=False)
        assert holder.reserve("q", settled=[first]) == Reserved(settled=False)
        assert broker.stats() == Stats(0, 0)
        assert list(broker.peek("q", 0, 9)) == [TWO, ONE]

    def test_reserve_asked_again_answers_the_same(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, ONE, ONE])
        token = holder.tokens.next()
        first = broker.reserve(holder.id, ["q"], token)
        again = broker.reserve(holder.id, ["q"], token)
        assert [taken.fence for taken in again.jobs] == [taken.fence for taken in first.jobs]
        assert broker.size("q") == 2

    def test_reserve_asked_again_settles_once(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, ONE, ONE])
        first = holder.take("q")
        token = holder.tokens.next()
        answers = [broker.reserve(holder.id, ["q"], token, settled=first) for _ in range(3)]
        assert all(answer.settled for answer in answers)
        assert len({answer.jobs[0].fence for answer in answers}) == 1
        assert broker.stats() == Stats(processed=1, failed=0)
        assert broker.size("q") == 1

    def test_reserve_that_found_nothing_asked_again_takes_nothing_new(self, broker: Broker, holder: Holder) -> None:
        token = holder.tokens.next()
        assert broker.reserve(holder.id, ["q"], token) == Reserved()
        broker.push("q", [ONE])
        assert broker.reserve(holder.id, ["q"], token) == Reserved()
        assert broker.size("q") == 1

    def test_reserve_that_comes_late_changes_nothing(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        late = holder.tokens.next()
        taken = holder.take("q")
        answer = broker.reserve(holder.id, ["q"], late)
        assert [job.fence for job in answer.jobs] in ([], [taken.fence])
        assert broker.size("q") == 1
        assert holder.finish(taken)
        assert broker.reserve(holder.id, ["q"], late).jobs == ()
        assert broker.size("q") == 1

    def test_reserve_by_one_who_holds_something_answers_that(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        taken = holder.take("q")
        again = holder.reserve("q")
        assert again.held
        assert [job.fence for job in again.jobs] == [taken.fence]
        assert [job.body for job in again.jobs] == [ONE]
        assert broker.size("q") == 1

    def test_reserve_by_an_unregistered_worker_hears_so(self, broker: Broker) -> None:
        broker.push("q", [ONE])
        stranger = Holder(broker, "host:9:q")
        with pytest.raises(NotRegistered) as raised:
            stranger.reserve("q")
        assert raised.value.worker == "host:9:q"
        assert broker.size("q") == 1

    def test_reserve_under_another_process_part_hears_so(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        ghost = Holder(broker, holder.id)
        with pytest.raises(NotRegistered):
            ghost.reserve("q")
        assert broker.size("q") == 1

    def test_reserve_of_no_queues_takes_nothing(self, holder: Holder) -> None:
        assert holder.reserve() == Reserved()

    def test_reserve_takes_nothing_while_all_is_paused(self, broker: Broker, other: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        other.pause()
        assert holder.reserve("q") == Reserved()
        other.unpause()
        assert holder.take("q").body == ONE

    def test_reserve_takes_nothing_from_a_paused_queue(self, broker: Broker, other: Broker, holder: Holder) -> None:
        broker.push("a", [ONE])
        broker.push("b", [TWO])
        other.pause("a")
        taken = holder.take("a", "b")
        assert taken.body == TWO
        other.unpause("a")
        (taken,) = holder.reserve("a", "b", settled=[taken]).jobs
        assert taken.body == ONE

    def test_reserve_settles_also_while_paused(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        taken = holder.take("q")
        broker.pause()
        assert holder.reserve("q", settled=[taken]) == Reserved()
        assert broker.stats().processed == 1

    def test_reserve_of_many_keeps_their_order(self, broker: Broker, holder: Holder) -> None:
        broker.push("b", [THREE, FOUR])
        broker.push("a", [ONE, TWO])
        jobs = holder.reserve("a", "b", limit=3).jobs
        assert [(taken.queue, taken.body) for taken in jobs] == [("a", ONE), ("a", TWO), ("b", THREE)]
        assert [taken.started for taken in jobs] == [True, False, False]
        assert len({taken.fence for taken in jobs}) == 3
        assert broker.size("b") == 1
        info = holder.seen()
        assert info.job is not None
        assert info.job.body == ONE
        assert [taken.body for taken in info.ahead] == [TWO, THREE]

    def test_reserve_of_many_is_settled_one_by_one(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        assert holder.finish(first)
        broker.note(second)
        assert holder.fail(second, b'{"a":2}')
        assert holder.release(third)
        assert broker.stats() == Stats(processed=2, failed=1)
        assert list(broker.peek("q", 0, 9)) == [THREE]
        assert holder.seen().job is None
        assert holder.seen().ahead == ()

    def test_reserve_finishes_several_at_once(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO, THREE, FOUR])
        first, second, third = holder.reserve("q", limit=3).jobs
        answer = holder.reserve("q", limit=3, settled=[first, second, third])
        assert answer.settled
        assert [taken.body for taken in answer.jobs] == [FOUR]
        assert broker.stats().processed == 3

    def test_reserve_with_some_left_ahead_answers_those(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO, THREE])
        first, second = holder.reserve("q", limit=2).jobs
        answer = holder.reserve("q", limit=2, settled=[first])
        assert answer.held
        assert [taken.fence for taken in answer.jobs] == [second.fence]
        assert broker.size("q") == 1

    def test_reserve_side_by_side_gives_each_job_to_one(self, hire: Callable[..., Holder], broker: Broker) -> None:
        broker.push("q", [job(number) for number in range(200)])
        got: list[list[bytes]] = [[], [], [], []]
        barrier = threading.Barrier(4)

        def work(mine: list[bytes], holder: Holder) -> None:
            barrier.wait()
            settled: Sequence[Reservation] = ()
            while jobs := holder.reserve("q", settled=settled).jobs:
                mine.append(jobs[0].body)
                settled = jobs

        holders = [hire() for _ in got]
        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(work, mine, holder) for mine, holder in zip(got, holders, strict=True)]:
                future.result()
        assert sorted(itertools.chain(*got)) == sorted(job(number) for number in range(200))
        assert broker.stats() == Stats(processed=200, failed=0)

    def test_reserve_keeps_strict_order_while_others_push(self, broker: Broker, holder: Holder) -> None:
        """Whenever the higher queue has a job before the call, that one is taken."""
        rounds = 100
        broker.push("low", [job(number) for number in range(rounds)])

        def push() -> None:
            for number in range(rounds):
                broker.push("high", [job(1000 + number)])

        with ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(push)
            settled: Sequence[Reservation] = ()
            high: list[bytes] = []
            for _ in range(2 * rounds):
                waiting = broker.size("high")
                answer = holder.reserve("high", "low", settled=settled)
                settled = answer.jobs
                if waiting:
                    assert settled[0].queue == "high"
                if settled and settled[0].queue == "high":
                    high.append(settled[0].body)
            pushing.result()
        assert high == sorted(high)

    # ---- waiting

    def test_wait_wakes_on_a_push_by_another(self, broker: Broker, other: Broker, holder: Holder) -> None:
        def settle_into_waiting() -> bytes:
            while not (jobs := holder.reserve("q").jobs):
                broker.wait(["q"], 20)
            return jobs[0].body

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(settle_into_waiting)
            other.push("q", [ONE])
            assert waiting.result(timeout=20) == ONE

    def test_wait_for_any_queue_wakes_on_a_new_one(self, broker: Broker, other: Broker, holder: Holder) -> None:
        def settle_into_waiting() -> bytes:
            while not (jobs := holder.reserve(*broker.queues()).jobs):
                broker.wait(None, 20)
            return jobs[0].body

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(settle_into_waiting)
            other.push("never seen before", [ONE])
            assert waiting.result(timeout=20) == ONE

    def test_wait_removes_nothing(self, broker: Broker) -> None:
        broker.push("q", [ONE])
        broker.wait(["q"], 0.01)
        assert broker.size("q") == 1

    def test_wait_ends_at_its_timeout(self, broker: Broker) -> None:
        began = time.monotonic()
        deadline = began + 0.2
        while (left := deadline - time.monotonic()) > 0:
            broker.wait(["q"], left)
        assert time.monotonic() - began < 10

    def test_wait_ends_when_an_interrupt_is_readable(self, broker: Broker) -> None:
        ear, bell = os.pipe()
        try:
            os.write(bell, b"!")
            began = time.monotonic()
            broker.wait(["q"], 20, [ear])
            broker.wait(["q"], 20, [ear])
            assert time.monotonic() - began < 10
        finally:
            os.close(ear)
            os.close(bell)

    def test_wait_does_not_spin_on_paused_jobs(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        broker.pause("q")
        deadline = time.monotonic() + 0.5
        wakes = 0
        while (left := deadline - time.monotonic()) > 0:
            broker.wait(["q"], left)
            assert holder.reserve("q").jobs == ()
            wakes += 1
        assert wakes < 20

    # ---- settling

    def test_finish_counts_and_forgets(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        assert holder.finish(holder.take("q"))
        assert broker.stats() == Stats(processed=1, failed=0)
        info = holder.seen()
        assert info.job is None
        assert (info.processed, info.failed) == (1, 0)

    def test_finish_of_what_is_settled_answers_false(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert holder.finish(taken)
        assert not holder.finish(taken)
        assert broker.stats().processed == 1

    def test_finish_of_an_equal_job_is_fenced(self, broker: Broker, holder: Holder) -> None:
        """Two equal payloads reserved within one second make equal records, but for the fence."""
        broker.push("q", [ONE, ONE])
        first = holder.take("q")
        assert holder.finish(first)
        second = holder.take("q")
        assert not holder.finish(first)
        assert holder.finish(second)
        assert broker.stats().processed == 2

    @pytest.mark.parametrize("kind", ["finish", "release", "fail"])
    def test_settle_asked_again_answers_the_same(self, broker: Broker, holder: Holder, kind: str) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        token = holder.tokens.next()

        def settle() -> bool:
            if kind == "finish":
                return broker.finish(taken, token)
            if kind == "release":
                return broker.release([taken], token)
            return broker.fail(taken, token, b'{"e":1}')

        assert [settle() for _ in range(3)] == [True, True, True]
        assert broker.stats().processed == (0 if kind == "release" else 1)
        assert broker.stats().failed == (1 if kind == "fail" else 0)
        assert broker.failure_count() == (1 if kind == "fail" else 0)
        assert broker.size("q") == (1 if kind == "release" else 0)

    def test_settle_that_comes_late_changes_nothing(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        late = holder.tokens.next()
        taken = holder.take("q")
        assert not broker.finish(taken, late)
        assert not broker.fail(taken, late, b"{}")
        assert not broker.release([taken], late)
        assert holder.seen().job is not None
        assert broker.stats() == Stats(0, 0)

    def test_settle_by_a_former_holder_is_refused(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        ghost = Holder(broker, holder.id)
        assert not ghost.finish(taken)
        assert not ghost.fail(taken, b"{}")
        assert not ghost.release(taken)
        assert holder.finish(taken)

    def test_note_begins_a_job_and_finishes_those_before_it(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        broker.note(second)
        begun = holder.seen().job
        assert begun is not None
        assert begun.body == TWO
        assert [taken.body for taken in holder.seen().ahead] == [THREE]
        assert broker.stats() == Stats(processed=1, failed=0)
        assert holder.seen().processed == 1
        assert not holder.finish(first)
        assert holder.finish(third)
        assert broker.stats() == Stats(processed=3, failed=0)
        assert (holder.seen().job, holder.seen().ahead) == (None, ())

    def test_note_of_what_is_not_held_changes_nothing(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        assert holder.release(third)
        assert holder.finish(first)
        broker.note(third)
        broker.note(first)
        assert holder.seen().job is None
        assert [taken.body for taken in holder.seen().ahead] == [TWO]
        assert holder.fail(second, b"{}")
        broker.note(second)
        assert (holder.seen().job, holder.seen().ahead) == (None, ())
        assert broker.stats() == Stats(processed=2, failed=1)

    def test_note_twice_counts_once(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        _, second = holder.reserve("q", limit=2).jobs
        broker.note(second)
        broker.note(second)
        assert holder.reserve("q", settled=[second]) == Reserved()
        assert broker.stats() == Stats(processed=2, failed=0)

    def test_note_of_a_worker_that_was_taken_for_dead_changes_nothing(
        self, broker: Broker, other: Broker, holder: Holder
    ) -> None:
        broker.push("q", [ONE, TWO])
        _, second = holder.reserve("q", limit=2).jobs
        assert other.recover(holder.seen(), b"{}")
        broker.note(second)
        assert other.worker(holder.id) is None
        assert list(broker.peek("q", 0, 9)) == [TWO]

    @pytest.mark.parametrize("by", ["finish", "fail", "reserve", "release"])
    def test_a_note_that_was_lost_is_made_up_for(self, broker: Broker, holder: Holder, by: str) -> None:
        """Whoever speaks of a job says that those held before it ended well."""
        broker.push("q", [ONE, TWO, THREE, FOUR])
        _, _, third, _ = holder.reserve("q", limit=4).jobs
        third = replace(third, started=True)
        if by == "finish":
            assert holder.finish(third)
        elif by == "fail":
            assert holder.fail(third, b"{}")
        elif by == "reserve":
            assert holder.reserve("q", settled=[third]).held
        else:
            assert holder.release(third)
            assert list(broker.peek("q", 0, 9)) == [THREE]
        expected = {"fail": Stats(3, 1), "release": Stats(2, 0)}.get(by, Stats(3, 0))
        assert broker.stats() == expected
        assert [one.body for one in (*holder.seen().ahead, holder.seen().job) if one] == [FOUR]

    def test_release_puts_back_to_the_front_or_the_back(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        assert holder.release(holder.take("q"))
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]
        assert holder.release(holder.take("q"), front=False)
        assert list(broker.peek("q", 0, 9)) == [TWO, ONE]
        assert broker.stats() == Stats(0, 0)

    def test_release_of_several_keeps_their_order_ahead_of_what_is_there(self, broker: Broker, holder: Holder) -> None:
        broker.push("a", [ONE, TWO, FOUR])
        broker.push("b", [THREE])
        jobs = holder.reserve("b", "a", limit=3).jobs
        assert [taken.body for taken in jobs] == [THREE, ONE, TWO]
        assert holder.release(*jobs)
        assert list(broker.peek("a", 0, 9)) == [ONE, TWO, FOUR]
        assert list(broker.peek("b", 0, 9)) == [THREE]
        assert holder.seen().job is None

    def test_release_of_several_is_one_step(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        first, second = holder.reserve("q", limit=2).jobs
        assert holder.finish(first)
        assert not holder.release(first, second)
        assert broker.size("q") == 0
        assert holder.release(second)

    def test_release_with_a_new_body(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        assert holder.release(holder.take("q"), body=TWO)
        assert list(broker.peek("q", 0, 9)) == [TWO]

    def test_release_of_nothing_is_done(self, holder: Holder) -> None:
        assert holder.release()

    def test_fail_appends_the_entry_and_counts(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        assert holder.fail(holder.take("q"), b'{"e":1}')
        assert holder.fail(holder.take("q"), b'{"e":2}')
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"e":1}', b'{"e":2}']
        assert broker.stats() == Stats(processed=2, failed=2)
        info = holder.seen()
        assert (info.processed, info.failed) == (2, 2)

    def test_fail_by_queue_goes_to_the_queues_own_list(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        assert holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        assert broker.failure_count() == 0
        assert broker.failure_count(queue="q") == 1
        assert list(broker.failed_queues()) == ["q"]
        assert list(broker.failures(0, 9, queue="q")) == [StoredFailure(0, b'{"e":1}', "q")]

    # ---- workers

    def test_register_is_exclusive(self, broker: Broker, other: Broker, holder: Holder) -> None:
        rival = Holder(other, holder.id)
        assert not rival.register()
        assert broker.heartbeat(holder.id, holder.tokens.process)
        assert not other.heartbeat(holder.id, rival.tokens.process)

    def test_register_again_by_the_same_answers_true(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert holder.register()
        assert holder.finish(taken)

    def test_register_side_by_side_lets_one_in(self, broker: Broker, other: Broker) -> None:
        for number in range(20):
            rivals = [Holder(on, f"host:{number}:q") for on in (broker, other, broker, other)]
            barrier = threading.Barrier(len(rivals))

            def register(rival: Holder, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                return rival.register()

            with ThreadPoolExecutor(len(rivals)) as pool:
                assert sum(pool.map(register, rivals)) == 1

    def test_register_refuses_an_id_that_left_a_job_in_hand(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        holder.take("q")
        assert not Holder(broker, holder.id).register()
        assert holder.seen().job is not None

    def test_register_shows_the_worker_to_others(self, other: Broker, holder: Holder) -> None:
        info = other.worker(holder.id)
        assert info is not None
        assert info.registered
        assert info.registration == holder.registration()
        assert info.heartbeat is not None
        assert info.started is not None
        assert abs(info.heartbeat - other.now()) < 5
        assert abs(info.started - other.now()) < 5
        assert [one.id for one in other.workers()] == [holder.id]

    def test_heartbeat_of_a_stranger_writes_nothing(self, broker: Broker) -> None:
        assert not broker.heartbeat("host:1:q", "0" * 8)
        assert broker.worker("host:1:q") is None
        assert list(broker.workers()) == []

    def test_heartbeat_asks_nothing_of_the_order_of_calls(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert broker.heartbeat(holder.id, holder.tokens.process)
        assert holder.finish(taken)

    def test_unregister_leaves_no_trace(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        holder.finish(holder.take("q"))
        assert broker.unregister(holder.id, holder.tokens.process)
        assert broker.worker(holder.id) is None
        assert list(broker.workers()) == []
        assert not broker.heartbeat(holder.id, holder.tokens.process)
        assert broker.stats().processed == 1
        assert Holder(broker, holder.id).register()

    def test_unregister_refuses_while_a_job_is_in_hand(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        first, second = holder.reserve("q", limit=2).jobs
        assert not broker.unregister(holder.id, holder.tokens.process)
        assert holder.finish(first)
        assert not broker.unregister(holder.id, holder.tokens.process)
        assert holder.release(second)
        assert broker.unregister(holder.id, holder.tokens.process)

    def test_unregister_of_a_stranger_answers_false(self, broker: Broker, holder: Holder) -> None:
        assert not broker.unregister(holder.id, "0" * 8)
        assert not broker.unregister("host:99:q", "0" * 8)
        assert broker.worker(holder.id) is not None

    def test_workers_are_sorted_by_id(self, broker: Broker) -> None:
        for number in (3, 1, 2):
            assert Holder(broker, f"host:{number}:q").register()
        assert [info.id for info in broker.workers()] == ["host:1:q", "host:2:q", "host:3:q"]

    def test_claim_recovery_lets_one_in_at_a_time(self, broker: Broker, other: Broker) -> None:
        assert broker.claim_recovery("host:1:q", 30)
        assert not other.claim_recovery("host:2:q", 30)

    def test_claim_recovery_is_renewed_by_who_holds_it(self, broker: Broker, other: Broker) -> None:
        assert broker.claim_recovery("host:1:q", 30)
        assert broker.claim_recovery("host:1:q", 30)
        assert not other.claim_recovery("host:2:q", 30)
        assert broker.claim_recovery("host:1:q", 30, at_start=True)
        assert not broker.claim_recovery("host:1:q", 30, at_start=True)

    def test_claim_recovery_at_the_start_is_a_lock_of_its_own(self, broker: Broker, other: Broker) -> None:
        assert broker.claim_recovery("host:1:q", 30, at_start=True)
        assert not other.claim_recovery("host:2:q", 30, at_start=True)
        assert other.claim_recovery("host:2:q", 30)

    def test_claim_recovery_comes_back_after_its_time(self, broker: Broker) -> None:
        assert broker.claim_recovery("host:1:q", 0.05)
        deadline = time.monotonic() + 20
        while not broker.claim_recovery("host:2:q", 0.05):
            assert time.monotonic() < deadline

    # ---- recovering

    def test_recover_fails_the_job_in_hand(self, broker: Broker, other: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert other.recover(holder.seen(), b'{"dead":1}')
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"dead":1}']
        assert broker.worker(holder.id) is None
        assert broker.stats() == Stats(processed=1, failed=1)
        assert not holder.finish(taken)
        assert broker.stats() == Stats(processed=1, failed=1)
        with pytest.raises(NotRegistered):
            holder.reserve("q")

    def test_recover_fails_by_queue_where_told(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        holder.take("q")
        assert broker.recover(holder.seen(), b'{"dead":1}', by_queue=True)
        assert broker.failure_count() == 0
        assert [failure.entry for failure in broker.failures(0, 9, queue="q")] == [b'{"dead":1}']

    def test_recover_requeues_the_job_in_hand_where_told(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        holder.take("q")
        assert broker.recover(holder.seen(), None)
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]
        assert broker.stats() == Stats(0, 0)

    def test_recover_requeues_with_another_body_where_told(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO])
        holder.take("q")
        assert broker.recover(holder.seen(), None, body=THREE)
        assert list(broker.peek("q", 0, 9)) == [THREE, TWO]

    def test_recover_gives_back_what_never_started_in_order(self, broker: Broker, holder: Holder) -> None:
        broker.push("a", [ONE, TWO])
        broker.push("b", [THREE, FOUR])
        holder.reserve("a", "b", limit=3)
        assert broker.recover(holder.seen(), b'{"dead":1}')
        assert list(broker.peek("a", 0, 9)) == [TWO]
        assert list(broker.peek("b", 0, 9)) == [THREE, FOUR]
        assert broker.failure_count() == 1
        assert broker.stats() == Stats(processed=1, failed=1)

    def test_recover_requeues_ahead_of_what_never_started(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, TWO, THREE])
        holder.reserve("q", limit=2)
        assert broker.recover(holder.seen(), None)
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO, THREE]

    def test_recover_of_an_idle_worker_forgets_it(self, broker: Broker, holder: Holder) -> None:
        assert broker.recover(holder.seen(), b"{}")
        assert broker.worker(holder.id) is None
        assert broker.failure_count() == 0
        assert broker.stats() == Stats(0, 0)
        assert not broker.heartbeat(holder.id, holder.tokens.process)

    def test_recover_refuses_where_the_worker_went_on(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE, ONE])
        taken = holder.take("q")
        seen = holder.seen()
        holder.reserve("q", settled=[taken])
        assert not broker.recover(seen, b"{}")
        assert broker.failure_count() == 0
        assert holder.seen().job is not None

    def test_recover_happens_once(self, broker: Broker, other: Broker, hire: Callable[..., Holder]) -> None:
        for number in range(1, 16):
            holder = hire()
            broker.push("q", [job(number)])
            holder.take("q")
            seen = holder.seen()
            barrier = threading.Barrier(2)

            def recover(on: Broker, seen: WorkerInfo = seen, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                return on.recover(seen, b"{}")

            with ThreadPoolExecutor(2) as pool:
                assert sorted(pool.map(recover, [broker, other])) == [False, True]
            assert broker.failure_count() == number

    # ---- pause

    def test_pause_of_all_and_of_one_are_two_things(self, broker: Broker, other: Broker) -> None:
        assert broker.paused() == Paused()
        broker.pause()
        broker.pause("a")
        broker.pause("a")
        broker.pause("b")
        assert other.paused() == Paused(all=True, queues=frozenset({"a", "b"}))
        other.unpause()
        other.unpause("a")
        assert broker.paused() == Paused(all=False, queues=frozenset({"b"}))
        broker.unpause("never paused")

    # ---- failures

    def fill(self, broker: Broker, holder: Holder, count: int) -> list[bytes]:
        entries = [b'{"payload":{"class":"Job","args":[%d]},"queue":"q"}' % number for number in range(count)]
        broker.push("q", [ONE] * count)
        for entry in entries:
            assert holder.fail(holder.take("q"), entry)
        return entries

    def test_failures_page(self, broker: Broker, holder: Holder) -> None:
        entries = self.fill(broker, holder, 5)
        page = broker.failures(1, 3)
        assert [failure.entry for failure in page] == entries[1:4]
        assert [failure.position for failure in page] == [1, 2, 3]
        assert list(broker.failures(5, 3)) == []
        assert list(broker.failures(0, 0)) == []
        assert broker.failure_count() == 5

    def test_failures_of_a_queue_without_a_list(self, broker: Broker) -> None:
        assert list(broker.failures(0, 5, queue="q")) == []
        assert broker.failure_count(queue="q") == 0
        assert list(broker.failed_queues()) == []

    def test_requeue_failure_pushes_and_marks(self, broker: Broker, holder: Holder) -> None:
        entries = self.fill(broker, holder, 3)
        failure = broker.failures(1, 1)[0]
        marked = failure.entry[:-1] + b',"retried_at":"now"}'
        assert broker.requeue_failure(failure, queue="again", body=TWO, replacement=marked) is Requeued.DONE
        assert list(broker.peek("again", 0, 9)) == [TWO]
        assert "again" in broker.queues()
        assert [one.entry for one in broker.failures(0, 9)] == [entries[0], marked, entries[2]]

    def test_requeue_failure_twice_hears_already(self, broker: Broker, holder: Holder) -> None:
        self.fill(broker, holder, 3)
        failure = broker.failures(1, 1)[0]
        marked = failure.entry[:-1] + b',"retried_at":"now"}'
        broker.requeue_failure(failure, queue="again", body=TWO, replacement=marked)
        assert broker.requeue_failure(failure, queue="again", body=TWO, replacement=marked) is Requeued.ALREADY
        assert broker.size("again") == 1

    def test_requeue_failure_that_is_gone(self, broker: Broker, holder: Holder) -> None:
        self.fill(broker, holder, 1)
        gone = StoredFailure(0, b'{"other":1}')
        assert broker.requeue_failure(gone, queue="q", body=TWO, replacement=b"{}") is Requeued.GONE
        assert broker.size("q") == 0

    def test_requeue_failure_finds_one_that_moved(self, broker: Broker, holder: Holder) -> None:
        entries = self.fill(broker, holder, 6)
        failure = broker.failures(5, 1)[0]
        for first in broker.failures(0, 3):
            assert broker.remove_failure(first)
        marked = failure.entry[:-1] + b',"retried_at":"now"}'
        assert broker.requeue_failure(failure, queue="again", body=TWO, replacement=marked) is Requeued.DONE
        assert [one.entry for one in broker.failures(0, 9)] == [*entries[3:5], marked]

    def test_remove_failure_takes_one_of_equal_ones(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE] * 3)
        for _ in range(3):
            assert holder.fail(holder.take("q"), b'{"same":1}')
        failure = broker.failures(1, 1)[0]
        assert broker.remove_failure(failure)
        assert broker.failure_count() == 2

    def test_remove_failure_that_is_gone_answers_false(self, broker: Broker, holder: Holder) -> None:
        entries = self.fill(broker, holder, 2)
        failure = broker.failures(0, 1)[0]
        assert broker.remove_failure(failure)
        assert not broker.remove_failure(failure)
        assert [one.entry for one in broker.failures(0, 9)] == entries[1:]

    def test_remove_failure_never_takes_the_one_that_moved_there(self, broker: Broker, holder: Holder) -> None:
        entries = self.fill(broker, holder, 3)
        first, second, _ = broker.failures(0, 3)
        assert broker.remove_failure(first)
        assert broker.remove_failure(second)
        assert [one.entry for one in broker.failures(0, 9)] == entries[2:]

    def test_remove_failure_from_a_queues_list(self, broker: Broker, holder: Holder) -> None:
        broker.push("q", [ONE])
        holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        (failure,) = broker.failures(0, 9, queue="q")
        assert broker.remove_failure(failure)
        assert broker.failure_count(queue="q") == 0

    def test_clear_failures(self, broker: Broker, holder: Holder) -> None:
        self.fill(broker, holder, 3)
        broker.push("q", [ONE])
        holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        assert broker.clear_failures() == 3
        assert broker.failure_count() == 0
        assert broker.failure_count(queue="q") == 1
        assert broker.clear_failures(queue="q") == 1
        assert broker.clear_failures(queue="none") == 0

    # ---- the law of conservation

    def test_every_job_is_in_one_place_whatever_happens(self, broker: Broker, other: Broker) -> None:
        """Random calls, each perhaps asked again or late, workers that die and are recovered: nothing is lost."""
        seed = random.randrange(2**32)
        print(f"seed {seed}")
        random_ = random.Random(seed)
        count = 60
        for number in range(count):
            broker.push(random_.choice(["a", "b"]), [job(number)])
        finished: list[bytes] = []
        numbers = itertools.count(1)
        holders: list[tuple[Holder, list[Reservation]]] = []

        def hire() -> None:
            holder = Holder(random_.choice([broker, other]), f"host:{next(numbers)}:a,b")
            assert holder.register()
            holders.append((holder, []))

        for _ in range(400):
            if len(holders) < 3:
                hire()
            place = random_.randrange(len(holders))
            holder, held = holders[place]
            on, token, repeats = holder.broker, holder.tokens.next(), random_.choice([1, 1, 2])
            act = random_.choice(["reserve", "reserve", "finish", "fail", "release", "die", "turn"])
            if act == "reserve" and not held:
                for _ in range(repeats):
                    answer = on.reserve(holder.id, ["a", "b"], token, limit=random_.choice([1, 3]))
                held[:] = answer.jobs
            elif act == "turn" and held and held[0].started:
                for _ in range(repeats):
                    answer = on.reserve(holder.id, ["b", "a"], token, settled=held[0])
                assert answer.settled
                finished.append(held[0].body)
                held[:] = answer.jobs
            elif act == "die":
                assert broker.recover(holder.seen(), b'{"by":"death"}' if random_.random() < 0.5 and held else None)
                if broker.failure_count() and broker.failures(0, 1)[0].entry == b'{"by":"death"}':
                    finished.append(held[0].body)
                    broker.clear_failures()
                holders.pop(place)
            elif held:
                first = held[0]
                if not first.started:
                    on.note(first)
                    held[0] = replace(first, started=True)
                elif act == "finish":
                    assert [on.finish(first, token) for _ in range(repeats)] == [True] * repeats
                    finished.append(held.pop(0).body)
                elif act == "fail":
                    assert [on.fail(first, token, first.body) for _ in range(repeats)] == [True] * repeats
                    held.pop(0)
                    (failure,) = broker.failures(0, 9)
                    finished.append(failure.entry)
                    broker.clear_failures()
                elif act == "release":
                    assert [on.release(held, token) for _ in range(repeats)] == [True] * repeats
                    held.clear()
        queued = [*broker.peek("a", 0, 999), *broker.peek("b", 0, 999)]
        in_hand = [one.body for _, held in holders for one in held]
        assert sorted(finished + queued + in_hand) == sorted(job(number) for number in range(count))
