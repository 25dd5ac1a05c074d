"""Jobs taken together: one begins by moving a pointer, and those before it stay until something is settled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from taskq.records import Reservation
from taskq.testing.contract.broker.holder import Holder, job
from taskq_sqlite import SQLiteBroker
from tests.backends.taskq_sqlite.test_trouble import holder_on


@pytest.fixture
def holder(broker: SQLiteBroker) -> Holder:
    return holder_on(broker)


def batch(holder: Holder, count: int = 5, *, begun: int) -> Sequence[Reservation]:
    """So many jobs in hand, of which the first ones have begun."""
    holder.broker.push("q", [job(number) for number in range(1, count + 1)])
    jobs = holder.reserve("q", limit=count).jobs
    for one in jobs[1:begun]:
        holder.broker.note(one)
    return jobs


def assert_held(holder: Holder, *numbers: int) -> None:
    """By the listing and by what the worker itself is told."""
    info = holder.broker.worker(holder.id)
    assert info is not None
    listed = [*([] if info.job is None else [info.job]), *info.ahead]
    assert [one.body for one in listed] == [job(number) for number in numbers]
    assert [one.body for one in holder.reserve("q").jobs] == [job(number) for number in numbers]


def test_a_job_held_ahead_begins_by_one_page(broker: SQLiteBroker, holder: Holder, path: Path) -> None:
    """It is done for each of them, and what is written then is most of what a job with --prefetch costs."""
    broker.push("q", [b"x" * 3000] * 8)
    jobs = holder.reserve("q", limit=8).jobs
    log = Path(f"{path}-wal")
    for one in jobs[1:]:
        before = log.stat().st_size
        broker.note(one)
        assert log.stat().st_size - before == 24 + 4096
    assert holder.finish(jobs[-1])
    assert broker.stats().processed == 8


def test_those_that_ended_are_held_no_more(broker: SQLiteBroker, holder: Holder) -> None:
    first, _, third, *_ = batch(holder, begun=3)
    assert broker.stats().processed == 2
    assert_held(holder, 3, 4, 5)
    broker.note(first)  # late, and said twice
    broker.note(third)
    assert_held(holder, 3, 4, 5)
    assert broker.stats().processed == 2
    assert not holder.finish(first)


def test_those_that_ended_do_not_come_back_when_the_job_in_hand_goes(broker: SQLiteBroker, holder: Holder) -> None:
    jobs = batch(holder, begun=3)
    assert holder.release(jobs[2])
    assert_held(holder, 4, 5)
    assert list(broker.peek("q", 0, 9)) == [job(3)]
    assert broker.stats().processed == 2


def test_those_that_ended_do_not_come_back_when_their_worker_died(broker: SQLiteBroker, holder: Holder) -> None:
    batch(holder, begun=3)
    info = broker.worker(holder.id)
    assert info is not None
    assert broker.recover(info, b"{}")
    assert list(broker.peek("q", 0, 9)) == [job(4), job(5)]
    assert (broker.failure_count(), broker.stats().processed, broker.stats().failed) == (1, 3, 1)


def test_a_failure_in_the_middle_leaves_the_rest_held(broker: SQLiteBroker, holder: Holder) -> None:
    jobs = batch(holder, begun=2)
    assert holder.fail(jobs[1], b"{}")
    assert_held(holder, 3, 4, 5)
    broker.note(jobs[3])
    assert_held(holder, 4, 5)
    assert broker.stats().processed == 3
    assert holder.finish(jobs[4])
    assert_held(holder)
    assert broker.unregister(holder.id, holder.tokens.process)
