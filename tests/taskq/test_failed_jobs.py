from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import taskq
from taskq import failed_entry
from taskq.broker import Requeued
from taskq.errors import InvalidPayload
from taskq.failed_filter import FailureFilter
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord
from taskq.testing.contract.broker.holder import Holder

WORKER = "vm:1:*"


class Shop:
    """An application whose jobs fail."""

    def __init__(self) -> None:
        self.app = taskq.TaskQ(broker="memory://")
        self.worker = Holder(self.app.broker, WORKER)
        self.worker.register()

    def fail(self, queue: str, body: bytes, *, by_queue: bool = False, entry: bytes | None = None) -> None:
        self.app.broker.push(queue, [body])
        held = self.worker.take(queue)
        if entry is None:
            cause = ErrorRecord("RuntimeError", "boom")
            entry = failed_entry.encode(Failure(None, body, queue, WORKER, cause, held.run_at, held.run_at))
        assert self.worker.fail(held, entry, by_queue=by_queue)

    def fail_numbers(self, queue: str, numbers: range, *, by_queue: bool = False) -> None:
        for number in numbers:
            self.fail(queue, b'{"class":"Job","args":[%d]}' % number, by_queue=by_queue)

    def waiting(self, queue: str) -> list[str]:
        return [body.decode() for body in self.app.broker.peek(queue, 0, 1000)]


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.app.close()


def test_requeue_starts_the_count_of_crashes_anew(shop: Shop) -> None:
    shop.fail("a", b'{"class":"Job","args":[1.50],"id":7,"taskq:crashes":4}')
    shop.fail("a", b'{"class":"Job","taskq:crashes":4}')
    assert shop.app.failures.requeue_all() == 2
    assert shop.waiting("a") == ['{"class":"Job","args":[1.50],"id":7}', '{"class":"Job","args":[]}']


def numbers(failed: Iterator[failed_entry.FailedJob] | list[failed_entry.FailedJob]) -> list[object]:
    return [each.payload.args[0] if each.payload is not None else None for each in failed]


def test_list_gives_the_newest_first(shop: Shop) -> None:
    shop.fail_numbers("a", range(5))
    failures = shop.app.failures
    assert failures.count() == 5
    assert numbers([*failures.list()]) == [4, 3, 2, 1, 0]
    assert numbers([*failures.list(1, 2)]) == [3, 2]
    assert numbers([*failures.list(1, 2, newest_first=False)]) == [1, 2]
    assert numbers([*failures.list(4, 9)]) == [0]
    assert failures.list(5, 9) == []
    assert failures.list(0, 0) == []


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1)])
def test_list_refuses_numbers_below_zero(start: int, count: int, shop: Shop) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        shop.app.failures.list(start, count)


def test_list_goes_on_from_the_common_list_to_those_of_queues(shop: Shop) -> None:
    shop.fail_numbers("a", range(3))
    shop.fail_numbers("b", range(10, 13), by_queue=True)
    shop.fail_numbers("c", range(20, 22), by_queue=True)
    failures = shop.app.failures
    assert failures.count() == 8
    assert numbers([*failures.list(newest_first=False)]) == [0, 1, 2, 10, 11, 12, 20, 21]
    assert numbers([*failures.list(2, 4, newest_first=False)]) == [2, 10, 11, 12]
    assert numbers([*failures.list(5, 2, newest_first=False)]) == [12, 20]
    assert numbers(failures.each()) == [2, 1, 0, 12, 11, 10, 21, 20]
    assert shop.app.info()["failed"] == 8


def test_list_of_a_queue_finds_its_jobs_in_both_lists(shop: Shop) -> None:
    shop.fail_numbers("a", range(2))
    shop.fail_numbers("b", range(10, 12))
    shop.fail_numbers("a", range(20, 22), by_queue=True)
    assert numbers([*shop.app.failures.list(queue="a")]) == [1, 0, 21, 20]
    assert numbers([*shop.app.failures.list(1, 2, queue="a")]) == [0, 21]
    assert shop.app.failures.count(queue="a") == 4


def test_a_long_list_is_read_page_by_page(shop: Shop) -> None:
    shop.fail_numbers("a", range(450))
    assert numbers(shop.app.failures.each()) == list(range(449, -1, -1))
    assert numbers(shop.app.failures.each(newest_first=False)) == list(range(450))


def test_rubbish_is_listed_and_can_be_removed(shop: Shop) -> None:
    shop.fail("a", b"{}", entry=b"\xff rubbish")
    (rubbish,) = shop.app.failures.list()
    assert not rubbish.requeueable
    with pytest.raises(InvalidPayload, match=r"cannot be requeued\. The entry cannot be read"):
        shop.app.failures.requeue(rubbish)
    assert shop.app.failures.requeue_all() == 0
    assert shop.app.failures.remove(rubbish)
    assert not shop.app.failures.remove(rubbish)


def test_requeue_pushes_the_very_bytes_and_marks_the_entry(shop: Shop) -> None:
    body = b'{"class": "Job", "args": [1], "extra": "kept"}'
    shop.fail("a", body)
    (failed,) = shop.app.failures.list()
    assert shop.app.failures.requeue(failed) is Requeued.DONE
    assert shop.waiting("a") == [body.decode()]
    (kept,) = shop.app.failures.list()
    assert kept.retried_at is not None
    assert list(json.loads(kept.entry))[-1] == "retried_at"


def test_requeue_twice_of_one_sight_requeues_once(shop: Shop) -> None:
    shop.fail_numbers("a", range(1))
    (failed,) = shop.app.failures.list()
    assert shop.app.failures.requeue(failed) is Requeued.DONE
    assert shop.app.failures.requeue(failed) is Requeued.ALREADY
    assert len(shop.waiting("a")) == 1


def test_requeue_of_one_that_was_removed_requeues_nothing(shop: Shop) -> None:
    shop.fail_numbers("a", range(1))
    (failed,) = shop.app.failures.list()
    shop.app.failures.remove(failed)
    assert shop.app.failures.requeue(failed) is Requeued.GONE
    assert shop.waiting("a") == []


def test_requeue_again_of_one_seen_as_retried_is_taken_as_meant(shop: Shop) -> None:
    shop.fail_numbers("a", range(1))
    shop.app.failures.requeue(*shop.app.failures.list())
    shop.app.failures.requeue(*shop.app.failures.list())
    assert len(shop.waiting("a")) == 2


def test_requeue_may_say_another_queue(shop: Shop) -> None:
    shop.fail_numbers("a", range(1))
    shop.app.failures.requeue(*shop.app.failures.list(), queue="b")
    assert (len(shop.waiting("a")), len(shop.waiting("b"))) == (0, 1)


def test_requeue_of_a_queues_own_list_writes_the_date_without_zone(shop: Shop) -> None:
    shop.fail_numbers("a", range(1), by_queue=True)
    shop.app.failures.requeue(*shop.app.failures.list())
    (kept,) = shop.app.failures.list()
    assert (kept.queue, len(shop.waiting("a"))) == ("a", 1)
    assert kept.retried_at is not None
    assert len(kept.retried_at) == len("2026/11/23 18:47:40")


def test_requeue_writes_the_list_of_arguments_that_the_payload_lacks(shop: Shop) -> None:
    shop.fail("a", b'{"class":"Ok"}')
    shop.app.failures.requeue(*shop.app.failures.list())
    assert shop.waiting("a") == ['{"class":"Ok","args":[]}']


def test_requeue_all_takes_the_oldest_first_and_each_once(shop: Shop) -> None:
    shop.fail_numbers("a", range(3))
    shop.fail_numbers("b", range(10, 12), by_queue=True)
    shop.app.failures.requeue(shop.app.failures.list()[0])
    assert shop.app.failures.requeue_all() == 4
    assert [json.loads(body)["args"] for body in shop.waiting("a")] == [[2], [0], [1]]
    assert len(shop.waiting("b")) == 2
    assert shop.app.failures.requeue_all() == 0
    assert shop.app.failures.requeue_all(again=True) == 5
    assert shop.app.failures.count() == 5


def test_requeue_all_counts_those_that_others_wrote_with_spaces_once_each(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq.failed_jobs._PAGE", 2)
    for number in range(7):
        payload = {"class": "Job", "args": [number]}
        written = {"failed_at": "now", "payload": payload, "exception": "E", "error": "boom", "queue": "a"}
        shop.fail("a", b"{}", entry=json.dumps(written).encode())
    tally = shop.app.failures.requeue_matching(FailureFilter())
    assert (tally.done, tally.already, tally.matched, tally.searched, tally.total) == (7, 0, 7, 7, 7)


def test_requeue_all_of_a_queue_leaves_the_others(shop: Shop) -> None:
    shop.fail_numbers("a", range(2))
    shop.fail_numbers("b", range(10, 12))
    assert shop.app.failures.requeue_all(queue="a") == 2
    assert (len(shop.waiting("a")), len(shop.waiting("b"))) == (2, 0)


def test_clear_removes_all_of_them(shop: Shop) -> None:
    shop.fail_numbers("a", range(3))
    shop.fail_numbers("b", range(2), by_queue=True)
    assert shop.app.failures.clear() == 5
    assert shop.app.failures.count() == 0


def test_clear_of_a_queue_removes_its_jobs_from_both_lists(shop: Shop) -> None:
    shop.fail_numbers("a", range(250))
    shop.fail_numbers("b", range(10, 12))
    shop.fail_numbers("a", range(250, 252))
    shop.fail_numbers("a", range(2), by_queue=True)
    assert shop.app.failures.clear(queue="a") == 254
    assert numbers(shop.app.failures.each()) == [11, 10]


@pytest.mark.parametrize(("given", "shown"), [(None, "not None"), ("12-8f3a1c", "not '12-8f3a1c'"), (5, "not int")])
def test_what_is_no_failed_job_is_refused_in_a_sentence(given: object, shown: str) -> None:
    failures = taskq.TaskQ(broker="memory://").failures
    for act in (
        failures.remove,
        failures.requeue,
        failures.restore,
        failures.editable,
        lambda one: failures.requeue_each([one]),
        lambda one: failures.remove_each([one]),
        lambda one: failures.requeue_edited(one, "[]"),
    ):
        with pytest.raises(TypeError, match=shown) as caught:
            act(given)  # type: ignore[arg-type]
        assert "failures.find(id)" in str(caught.value)
