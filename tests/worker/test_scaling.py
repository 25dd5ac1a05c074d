"""The decision on how many workers there should be, and the gauge before it, by a clock that a test moves."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq.config import Count
from taskq.worker import scaling
from taskq.worker.scaling import Gauge, Look, Step, decide
from tests.support.bench import Clock

COUNT = Count(1, 8)
SOME = {"emails": 12, "low": 3}


def look(
    waiting: dict[str, int], running: int, *, leaving: int = 0, waited: float = 0.0, quiet: float = 0.0
) -> Step | None:
    return decide(Look(waiting, running, leaving, waited, quiet), COUNT)


class TestUp:
    def test_doubles_while_jobs_wait(self) -> None:
        steps = [look({"emails": 99}, running, waited=1.0) for running in (1, 2, 4, 7)]
        assert [step.target for step in steps if step] == [2, 4, 8, 8]

    def test_says_how_many_wait_and_where(self) -> None:
        assert look(SOME, 2, waited=1.0) == Step(4, "15 jobs wait in emails (12), low (3)")
        assert look({"low": 1}, 2, waited=1.0) == Step(3, "1 job waits in low")
        assert look({"a": 1, "b": 3, "c": 2, "d": 1, "e": 1}, 1, waited=1.0) == Step(
            2, "8 jobs wait in b (3), c (2), a (1) and 2 other queues"
        )

    def test_starts_no_more_than_there_are_jobs(self) -> None:
        assert look({"emails": 3}, 4, waited=1.0) == Step(7, "3 jobs wait in emails")

    def test_not_at_the_first_look_that_finds_some(self) -> None:
        assert look(SOME, 2, waited=0.0) is None

    def test_not_beyond_the_most_and_those_that_still_leave_count(self) -> None:
        assert look(SOME, 8, waited=1.0) is None
        assert look(SOME, 4, leaving=4, waited=1.0) is None
        step = look(SOME, 4, leaving=3, waited=1.0)
        assert step is not None
        assert step.target == 5


class TestDown:
    def test_by_one_where_none_has_waited_for_half_a_minute(self) -> None:
        assert look({}, 4, quiet=30.0) == Step(3, "nothing has waited for 30 s")
        assert look({}, 4, quiet=29.0) is None

    def test_not_below_the_least(self) -> None:
        assert look({}, 1, quiet=999.0) is None


@given(
    waiting=st.dictionaries(st.text(max_size=3), st.integers(1, 10**9), max_size=4),
    least=st.integers(1, 50),
    more=st.integers(0, 50),
    data=st.data(),
)
def test_it_stays_between_the_two_numbers(waiting: dict[str, int], least: int, more: int, data: st.DataObject) -> None:
    count = Count(least, least + more)
    running = data.draw(st.integers(least, count.most))
    leaving = data.draw(st.integers(0, count.most - running))
    step = decide(Look(waiting, running, leaving, 99.0 if waiting else 0.0, 0.0 if waiting else 99.0), count)
    if step is not None:
        assert step.target != running
        assert count.least <= step.target
        assert step.target + leaving <= count.most


class TestGauge:
    @staticmethod
    def course(*waiting: int, every: float = 1.0) -> list[int]:
        """How many workers there are after each look that finds so many jobs."""
        gauge, clock, running = Gauge(COUNT), Clock(), 1
        found = []
        for jobs in waiting:
            step = gauge.step({"q": jobs} if jobs else {}, running, 0, clock())
            running = running if step is None else step.target
            found.append(running)
            clock.passes(every)
        return found

    def test_grows_from_the_second_look_that_finds_jobs_and_then_at_each(self) -> None:
        assert self.course(99, 99, 99, 99, 99) == [1, 2, 4, 8, 8]

    def test_what_waits_at_every_other_look_only_is_no_reason(self) -> None:
        assert self.course(*[5, 0] * 30) == [1] * 60

    def test_shrinks_by_one_each_half_minute_of_silence(self) -> None:
        after = self.course(99, 99, 99, 99, *[0] * 240)[4:]
        assert [(number, len(list(looks))) for number, looks in itertools.groupby(after)] == [
            (8, 30), (7, 30), (6, 30), (5, 30), (4, 30), (3, 30), (2, 30), (1, 30),
        ]  # fmt: skip

    def test_one_job_that_waits_begins_the_half_minute_anew(self) -> None:
        after = self.course(9, 9, *[0] * 25, 1, *[0] * 31)[2:]
        assert (after[:-1], after[-1]) == ([2] * 56, 1)

    def test_a_silence_of_the_broker_is_none_of_the_queues(self) -> None:
        """Nobody knows what was in between: neither half a minute of nothing nor of jobs that waited."""
        gauge, clock = Gauge(COUNT), Clock()
        assert gauge.step({}, 4, 0, clock()) is None
        clock.passes(600.0)
        assert gauge.step({}, 4, 0, clock()) is None
        clock.passes(600.0)
        assert gauge.step(SOME, 4, 0, clock()) is None
        clock.passes(600.0)
        assert gauge.step(SOME, 4, 0, clock()) is None

    def test_looks_may_come_a_little_early(self) -> None:
        assert self.course(99, 99, 99, every=scaling.LOOK_EVERY * 0.9) == [1, 2, 4]


@pytest.mark.parametrize(("count", "text"), [(Count(), "1"), (Count(4, 4), "4"), (Count(1, 8), "1-8")])
def test_a_count_reads_as_it_is_written(count: Count, text: str) -> None:
    assert str(count) == text
