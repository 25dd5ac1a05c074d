"""Settling: exactly one call settles a reservation; each is fenced, and safe to ask again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskq.broker import Broker
from taskq.records import Again, Reserved, Stats, StoredFailure
from taskq.testing.contract.broker.holder import FOUR, ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Settling"]


class Settling(OnABroker):
    """Settling: exactly one call settles a reservation; each is fenced, and safe to ask again."""

    # ---- tokens: the same again is answered again, an older one is late

    def test_reserve_asked_again_answers_the_same(self, broker: Broker, holder: Holder) -> None:
        """A call whose answer was lost finds what it had taken, and takes nothing more."""
        broker.push("q", [ONE, ONE, ONE])
        token = holder.tokens.next()
        first = broker.reserve(holder.id, ["q"], token)
        again = broker.reserve(holder.id, ["q"], token)
        assert [taken.fence for taken in again.jobs] == [taken.fence for taken in first.jobs]
        assert broker.size("q") == 2

    def test_reserve_asked_again_settles_once(self, broker: Broker, holder: Holder) -> None:
        """What it finished with the same call is counted once."""
        broker.push("q", [ONE, ONE, ONE])
        first = holder.take("q")
        token = holder.tokens.next()
        answers = [broker.reserve(holder.id, ["q"], token, settled=first) for _ in range(3)]
        assert all(answer.settled for answer in answers)
        assert len({answer.jobs[0].fence for answer in answers}) == 1
        assert broker.stats() == Stats(processed=1, failed=0)
        assert broker.size("q") == 1

    def test_reserve_that_found_nothing_asked_again_takes_nothing_new(self, broker: Broker, holder: Holder) -> None:
        """The answer is the same, also where a job came meanwhile."""
        token = holder.tokens.next()
        assert broker.reserve(holder.id, ["q"], token) == Reserved()
        broker.push("q", [ONE])
        assert broker.reserve(holder.id, ["q"], token) == Reserved()
        assert broker.size("q") == 1

    def test_reserve_that_comes_late_changes_nothing(self, broker: Broker, holder: Holder) -> None:
        """One whose number is smaller than the last one's takes nothing, now or later."""
        broker.push("q", [ONE, TWO])
        late = holder.tokens.next()
        taken = holder.take("q")
        answer = broker.reserve(holder.id, ["q"], late)
        assert [job.fence for job in answer.jobs] in ([], [taken.fence])
        assert broker.size("q") == 1
        assert holder.finish(taken)
        assert broker.reserve(holder.id, ["q"], late).jobs == ()
        assert broker.size("q") == 1

    @pytest.mark.parametrize("kind", ["finish", "release", "fail"])
    def test_settle_asked_again_answers_the_same(self, broker: Broker, holder: Holder, kind: str) -> None:
        """True each time, and it happened once."""
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
        """It answers False, and the job is in hand as it was."""
        broker.push("q", [ONE, TWO])
        late = holder.tokens.next()
        taken = holder.take("q")
        assert not broker.finish(taken, late)
        assert not broker.fail(taken, late, b"{}")
        assert not broker.release([taken], late)
        assert holder.in_hand() == ONE
        assert broker.stats() == Stats(0, 0)

    # ---- fences: only who holds it settles it

    def test_settle_by_a_former_holder_is_refused(self, broker: Broker, holder: Holder) -> None:
        """One that has the id, and not this registration's token, settles nothing."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        ghost = Holder(broker, holder.id)
        assert not ghost.finish(taken)
        assert not ghost.fail(taken, b"{}")
        assert not ghost.release(taken)
        assert broker.failure_count() == 0
        assert holder.finish(taken)

    def test_settle_of_what_a_pruner_took_is_refused(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """A worker that was taken for dead while it was stopped changes nothing when it goes on."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert other.recover(holder.seen(), b'{"dead":1}')
        assert not holder.finish(taken)
        assert not holder.fail(taken, b"{}")
        assert not holder.release(taken)
        assert broker.failure_count() == 1
        assert broker.size("q") == 0
        assert broker.stats() == Stats(processed=1, failed=1)

    def test_finish_of_an_equal_job_is_fenced(self, broker: Broker, holder: Holder) -> None:
        """Two equal payloads reserved within one second make equal records, but for the fence."""
        broker.push("q", [ONE, ONE])
        first = holder.take("q")
        assert holder.finish(first)
        second = holder.take("q")
        assert not holder.finish(first)
        assert holder.finish(second)
        assert broker.stats().processed == 2

    # ---- what each does

    def test_finish_counts_and_forgets(self, broker: Broker, holder: Holder) -> None:
        """In all, and for this worker."""
        broker.push("q", [ONE])
        assert holder.finish(holder.take("q"))
        assert broker.stats() == Stats(processed=1, failed=0)
        info = holder.seen()
        assert info.job is None
        assert (info.processed, info.failed) == (1, 0)

    def test_finish_of_what_is_settled_answers_false(self, broker: Broker, holder: Holder) -> None:
        """A second time, by another call, there is nothing to be finished."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert holder.finish(taken)
        assert not holder.finish(taken)
        assert broker.stats().processed == 1

    def test_note_begins_a_job_and_finishes_those_before_it(self, broker: Broker, holder: Holder) -> None:
        """The jobs of a batch are performed in their order: who begins the second says that the first ended well."""
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        broker.note(second)
        assert holder.in_hand() == TWO
        assert holder.ahead() == [THREE]
        assert broker.stats() == Stats(processed=1, failed=0)
        assert holder.seen().processed == 1
        assert not holder.finish(first)
        assert holder.finish(third)
        assert broker.stats() == Stats(processed=3, failed=0)
        assert (holder.in_hand(), holder.ahead()) == (None, [])

    def test_note_of_what_is_not_held_changes_nothing(self, broker: Broker, holder: Holder) -> None:
        """One that was given back, or settled: nothing begins, nothing is counted."""
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        assert holder.release(third)
        assert holder.finish(first)
        broker.note(third)
        broker.note(first)
        assert holder.in_hand() is None
        assert holder.ahead() == [TWO]
        assert holder.fail(second, b"{}")
        broker.note(second)
        assert (holder.in_hand(), holder.ahead()) == (None, [])
        assert broker.stats() == Stats(processed=2, failed=1)

    def test_note_twice_counts_once(self, broker: Broker, holder: Holder) -> None:
        """It begins once."""
        broker.push("q", [ONE, TWO])
        _, second = holder.reserve("q", limit=2).jobs
        broker.note(second)
        broker.note(second)
        assert holder.reserve("q", settled=[second]) == Reserved()
        assert broker.stats() == Stats(processed=2, failed=0)

    def test_note_of_a_worker_that_was_taken_for_dead_changes_nothing(
        self, broker: Broker, other: Broker, holder: Holder
    ) -> None:
        """It brings nobody back."""
        broker.push("q", [ONE, TWO])
        _, second = holder.reserve("q", limit=2).jobs
        assert other.recover(holder.seen(), b"{}")
        broker.note(second)
        assert other.worker(holder.id) is None
        assert list(broker.peek("q", 0, 9)) == [TWO]

    @pytest.mark.parametrize("by", ["finish", "fail", "reserve", "release"])
    def test_note_that_was_lost_is_made_up_for(self, broker: Broker, holder: Holder, by: str) -> None:
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
        assert [*holder.ahead(), holder.in_hand()] == [FOUR, None]

    def test_release_counts_nothing(self, broker: Broker, holder: Holder) -> None:
        """What goes back is neither processed nor failed."""
        broker.push("q", [ONE])
        assert holder.release(holder.take("q"))
        assert broker.stats() == Stats(0, 0)
        assert (holder.seen().processed, holder.in_hand()) == (0, None)

    def test_release_of_several_is_one_step(self, broker: Broker, holder: Holder) -> None:
        """Where one of them is no longer held, none goes back."""
        broker.push("q", [ONE, TWO])
        first, second = holder.reserve("q", limit=2).jobs
        assert holder.finish(first)
        assert not holder.release(first, second)
        assert broker.size("q") == 0
        assert holder.release(second)

    def test_release_of_what_never_began_says_nothing_of_the_others(self, broker: Broker, holder: Holder) -> None:
        """Those held before it are held still."""
        broker.push("q", [ONE, TWO, THREE])
        _, _, third = holder.reserve("q", limit=3).jobs
        assert holder.release(third)
        assert holder.in_hand() == ONE
        assert holder.ahead() == [TWO]
        assert broker.stats() == Stats(0, 0)

    def test_release_with_a_new_body(self, broker: Broker, holder: Holder) -> None:
        """A retry that counts its attempts goes back with other bytes."""
        broker.push("q", [ONE])
        assert holder.release(holder.take("q"), body=TWO)
        assert list(broker.peek("q", 0, 9)) == [TWO]

    def test_release_of_nothing_is_done(self, holder: Holder) -> None:
        """An empty list is no mistake."""
        assert holder.release()

    def test_fail_appends_the_entry_and_counts(self, broker: Broker, holder: Holder) -> None:
        """The newest entry is the last; a failed job counts as processed too."""
        broker.push("q", [ONE, TWO])
        assert holder.fail(holder.take("q"), b'{"e":1}')
        assert holder.fail(holder.take("q"), b'{"e":2}')
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"e":1}', b'{"e":2}']
        assert broker.stats() == Stats(processed=2, failed=2)
        info = holder.seen()
        assert (info.processed, info.failed) == (2, 2)

    def test_fail_by_queue_goes_to_the_queues_own_list(self, broker: Broker, holder: Holder) -> None:
        """And not to the common one."""
        broker.push("q", [ONE])
        assert holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        assert broker.failure_count() == 0
        assert broker.failure_count(queue="q") == 1
        assert list(broker.failed_queues()) == ["q"]
        assert list(broker.failures(0, 9, queue="q")) == [StoredFailure(0, b'{"e":1}', "q")]

    @pytest.mark.parametrize(
        ("again", "left"),
        [(Again(), [ONE, TWO]), (Again(THREE), [THREE, TWO]), (Again(front=False), [TWO, ONE])],
        ids=["as it came", "with another body", "behind what waits"],
    )
    def test_fail_again_puts_the_job_back_in_the_same_step(
        self, broker: Broker, holder: Holder, again: Again, left: list[bytes]
    ) -> None:
        """A try that failed, which another one follows: the entry is there, it is counted, and the job waits."""
        broker.push("q", [ONE, TWO])
        taken = holder.take("q")
        token = holder.tokens.next()
        assert [broker.fail(taken, token, b'{"e":1}', again=again) for _ in range(2)] == [True, True]
        assert holder.in_hand() is None
        assert list(broker.peek("q", 0, 9)) == left
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"e":1}']
        assert broker.stats() == Stats(processed=1, failed=1)

    def test_fail_again_of_what_is_settled_puts_nothing_back(self, broker: Broker, holder: Holder) -> None:
        """It is fenced as a whole."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert holder.finish(taken)
        assert not broker.fail(taken, holder.tokens.next(), b"{}", again=Again())
        assert (broker.size("q"), broker.failure_count()) == (0, 0)

    def test_stats_count_what_many_workers_did(self, broker: Broker, other: Broker) -> None:
        """The totals are over all workers, those that are gone included."""
        for number, on in enumerate([broker, other, broker]):
            holder = Holder(on, f"host:{number}:q")
            assert holder.register()
            broker.push("q", [ONE, TWO])
            assert holder.finish(holder.take("q"))
            assert holder.fail(holder.take("q"), b"{}")
            assert holder.unregister()
        assert broker.stats() == other.stats() == Stats(processed=6, failed=3)

    def test_each_of_many_is_settled_by_itself(self, broker: Broker, holder: Holder) -> None:
        """Of several jobs that were reserved at once one may be finished, one fail, and one go back."""
        broker.push("q", [ONE, TWO, THREE])
        first, second, third = holder.reserve("q", limit=3).jobs
        assert holder.finish(first)
        broker.note(second)
        assert holder.fail(second, b'{"a":2}')
        assert holder.release(third)
        assert broker.stats() == Stats(processed=2, failed=1)
        assert list(broker.peek("q", 0, 9)) == [THREE]
        assert (holder.in_hand(), holder.ahead()) == (None, [])
