"""Failures: addressed by content, near the position where they were seen, while others edit the list."""

from __future__ import annotations

from functools import partial

from taskq.broker import Broker, FailureRequeue, Requeued
from taskq.records import StoredFailure
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.broker.holder import ONE, TWO, Holder
from taskq.testing.contract.broker.stage import Hire, OnABroker

__all__ = ["Failures", "fill"]


class Failures(OnABroker):
    """Failures: addressed by content, near the position where they were seen, while others edit the list."""

    def test_failures_of_a_queue_without_a_list(self, broker: Broker) -> None:
        """There are none, and looking makes no list."""
        assert list(broker.failures(0, 5, queue="q")) == []
        assert broker.failure_count(queue="q") == 0
        assert list(broker.failed_queues()) == []

    def test_requeue_failure_pushes_and_marks(self, broker: Broker, holder: Holder) -> None:
        """The job waits again, in a queue that may be new; its entry stays in its place, marked."""
        entries = fill(broker, holder, 3)
        failure = broker.failures(1, 1)[0]
        marked = _marked(failure)
        assert broker.requeue_failure(failure, queue="again", body=TWO, replacement=marked) is Requeued.DONE
        assert list(broker.peek("again", 0, 9)) == [TWO]
        assert "again" in broker.queues()
        assert [one.entry for one in broker.failures(0, 9)] == [entries[0], marked, entries[2]]

    def test_requeue_failure_of_a_queues_list(self, broker: Broker, holder: Holder) -> None:
        """It is found in the list that it was seen in."""
        broker.push("q", [ONE])
        holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        [failure] = broker.failures(0, 9, queue="q")
        answer = broker.requeue_failure(failure, queue="q", body=ONE, replacement=_marked(failure))
        assert answer is Requeued.DONE
        assert [one.entry for one in broker.failures(0, 9, queue="q")] == [_marked(failure)]
        assert broker.failure_count() == 0

    def test_requeue_failure_twice_hears_already(self, broker: Broker, holder: Holder) -> None:
        """A second click pushes nothing."""
        fill(broker, holder, 3)
        failure = broker.failures(1, 1)[0]
        broker.requeue_failure(failure, queue="again", body=TWO, replacement=_marked(failure))
        answer = broker.requeue_failure(failure, queue="again", body=TWO, replacement=_marked(failure))
        assert answer is Requeued.ALREADY
        assert broker.size("again") == 1

    def test_requeue_failure_side_by_side_pushes_once(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """Two people click at the same moment: one requeues it, the other hears so."""
        fill(broker, holder, 3)
        for place in range(3):
            failure = broker.failures(place, 1)[0]
            works = [
                partial(on.requeue_failure, failure, queue="again", body=TWO, replacement=_marked(failure))
                for on in (broker, other)
            ]
            answers = side_by_side(*works, patience=self.patience)
            assert sorted(answer.name for answer in answers) == ["ALREADY", "DONE"]
        assert broker.size("again") == 3

    def test_requeue_failure_that_is_gone(self, broker: Broker, holder: Holder) -> None:
        """Nothing is pushed where the entry is not there, and not there marked."""
        fill(broker, holder, 1)
        gone = StoredFailure(0, b'{"other":1}')
        assert broker.requeue_failure(gone, queue="q", body=TWO, replacement=b"{}") is Requeued.GONE
        assert broker.size("q") == 0

    def test_requeue_failure_finds_one_that_moved(self, broker: Broker, holder: Holder) -> None:
        """Others removed entries before it: its position is no longer where it was seen."""
        entries = fill(broker, holder, 6)
        failure = broker.failures(5, 1)[0]
        for first in broker.failures(0, 3):
            assert broker.remove_failure(first)
        assert broker.requeue_failure(failure, queue="again", body=TWO, replacement=_marked(failure)) is Requeued.DONE
        assert [one.entry for one in broker.failures(0, 9)] == [*entries[3:5], _marked(failure)]

    def test_remove_failure_takes_one_of_equal_ones(self, broker: Broker, holder: Holder) -> None:
        """One, whichever."""
        broker.push("q", [ONE] * 3)
        for _ in range(3):
            assert holder.fail(holder.take("q"), b'{"same":1}')
        failure = broker.failures(1, 1)[0]
        assert broker.remove_failure(failure)
        assert broker.failure_count() == 2

    def test_remove_failure_that_is_gone_answers_false(self, broker: Broker, holder: Holder) -> None:
        """A second time there is nothing to remove, and nothing else is."""
        entries = fill(broker, holder, 2)
        failure = broker.failures(0, 1)[0]
        assert broker.remove_failure(failure)
        assert not broker.remove_failure(failure)
        assert [one.entry for one in broker.failures(0, 9)] == entries[1:]

    def test_remove_failure_never_takes_the_one_that_moved_there(self, broker: Broker, holder: Holder) -> None:
        """Never by position alone: what stands there now is another."""
        entries = fill(broker, holder, 3)
        first, second, _ = broker.failures(0, 3)
        assert broker.remove_failure(first)
        assert broker.remove_failure(second)
        assert [one.entry for one in broker.failures(0, 9)] == entries[2:]

    def test_remove_failure_from_a_queues_list(self, broker: Broker, holder: Holder) -> None:
        """From that one only, also where the common list has an equal entry."""
        broker.push("q", [ONE, TWO])
        holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        holder.fail(holder.take("q"), b'{"e":1}')
        (failure,) = broker.failures(0, 9, queue="q")
        assert broker.remove_failure(failure)
        assert broker.failure_count(queue="q") == 0
        assert broker.failure_count() == 1

    def test_remove_failure_while_others_edit(self, broker: Broker, other: Broker, hire: Hire) -> None:
        """Two take out every second entry each while a third one adds: what is left is what nobody took."""
        holder = hire()
        entries = fill(broker, holder, 40)
        seen = broker.failures(0, 40)

        def remove(on: Broker, which: int) -> int:
            return sum(on.remove_failure(failure) for failure in seen[which::4])

        def add() -> int:
            for number in range(20):
                broker.push("q", [ONE])
                assert holder.fail(holder.take("q"), b'{"new":%d}' % number)
            return 20

        answers = side_by_side(partial(remove, broker, 0), partial(remove, other, 2), add, patience=self.patience)
        assert answers == [10, 10, 20]
        left = [failure.entry for failure in broker.failures(0, 99)]
        assert left == entries[1::2] + [b'{"new":%d}' % number for number in range(20)]

    def test_requeue_failures_answers_for_each(self, broker: Broker, holder: Holder) -> None:
        """Of many at once, also where they were listed before others were removed: one that is gone stops none."""
        entries = fill(broker, holder, 6)
        seen = broker.failures(0, 6)
        assert broker.remove_failure(seen[0])
        assert broker.remove_failure(seen[2])
        asked = [FailureRequeue(one, "again", b"%d" % place, _marked(one)) for place, one in enumerate(seen[1:], 1)]
        broker.requeue_failure(seen[4], queue="again", body=b"before", replacement=_marked(seen[4]))
        done, gone, already = Requeued.DONE, Requeued.GONE, Requeued.ALREADY
        assert list(broker.requeue_failures(asked)) == [done, gone, done, already, done]
        assert sorted(broker.peek("again", 0, 9)) == [b"1", b"3", b"5", b"before"]
        left = [one.entry for one in broker.failures(0, 9)]
        assert left == [_marked(StoredFailure(0, entries[place])) for place in (1, 3, 4, 5)]
        assert list(broker.requeue_failures([])) == []

    def test_remove_failures_answers_for_each(self, broker: Broker, holder: Holder) -> None:
        """Of many at once, equal ones too, each is one entry; one that is gone stops none."""
        entries = fill(broker, holder, 6)
        broker.push("q", [ONE] * 2)
        for _ in range(2):
            assert holder.fail(holder.take("q"), b'{"same":1}')
        seen = broker.failures(0, 8)
        assert broker.remove_failure(seen[3])
        wanted = [seen[place] for place in (5, 3, 1, 6)]
        assert list(broker.remove_failures(wanted)) == [True, False, True, True]
        left = [one.entry for one in broker.failures(0, 9)]
        assert left == [entries[0], entries[2], entries[4], b'{"same":1}']
        assert list(broker.remove_failures([])) == []

    def test_add_failure_is_the_newest_of_its_list(self, broker: Broker, holder: Holder) -> None:
        """One that was removed is put back, byte for byte, and nothing is counted for it."""
        entries = fill(broker, holder, 2)
        before = broker.stats()
        broker.add_failure(entries[0])
        broker.add_failure(b'{"of":"q"}', queue="q")
        assert [one.entry for one in broker.failures(0, 9)] == [*entries, entries[0]]
        assert [one.entry for one in broker.failures(0, 9, queue="q")] == [b'{"of":"q"}']
        assert list(broker.failed_queues()) == ["q"]
        assert broker.stats() == before

    def test_clear_failures_empties_one_list(self, broker: Broker, holder: Holder) -> None:
        """The common one or a queue's own; the answer is how many there were."""
        fill(broker, holder, 3)
        broker.push("q", [ONE])
        holder.fail(holder.take("q"), b'{"e":1}', by_queue=True)
        assert broker.clear_failures() == 3
        assert broker.failure_count() == 0
        assert broker.failure_count(queue="q") == 1
        assert broker.clear_failures(queue="q") == 1
        assert broker.clear_failures(queue="none") == 0


def fill(broker: Broker, holder: Holder, count: int) -> list[bytes]:
    """Put so many entries into the common failed list, each another."""
    entries = [b'{"payload":{"class":"Job","args":[%d]},"queue":"q"}' % number for number in range(count)]
    broker.push("q", [ONE] * count)
    for entry in entries:
        assert holder.fail(holder.take("q"), entry)
    return entries


def _marked(failure: StoredFailure) -> bytes:
    """The entry as it is after it was retried."""
    return failure.entry[:-1] + b',"retried_at":"now"}'
