"""The queues a worker looks at: looked up again when a reserve came back empty, and each second while busy."""

from __future__ import annotations

from collections.abc import Sequence

from taskq.queue_lists import parse
from taskq.worker import orders
from taskq.worker.line import Line
from tests.support.bench import Clock


class Known:
    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.asked = 0

    def __call__(self) -> list[str]:
        self.asked += 1
        return self.names


class TestNames:
    def test_of_a_plain_list_is_the_list_and_nobody_is_asked(self) -> None:
        known = Known("other")
        line = Line(parse("b,a,b"), known)
        assert (line.names(), line.at_hand, line.title, line.to_wait_for) == (("b", "a"), ("b", "a"), "b,a", ("b", "a"))
        assert known.asked == 0

    def test_of_patterns_are_what_matches_now(self) -> None:
        line = Line(parse("low,*,!mail"), Known("mail", "low", "high"))
        assert line.names() == ("low", "high")
        assert line.title == "low,high"

    def test_are_kept_for_a_second_while_busy(self) -> None:
        known, clock = Known("a"), Clock()
        line = Line(parse("*"), known, clock=clock)
        assert [line.at_hand] == [None]
        line.names()
        known.names.append("b")
        clock.passes(0.9)
        assert line.at_hand == line.names() == ("a",)
        clock.passes(0.2)
        assert [line.at_hand] == [None]
        assert line.names() == ("a", "b")
        assert known.asked == 2

    def test_are_looked_up_again_after_a_reserve_came_back_empty(self) -> None:
        known = Known()
        line = Line(parse("*"), known, clock=Clock())
        assert line.names() == ()
        known.names.append("new")
        line.came_back_empty()
        assert line.at_hand is None
        assert line.names() == ("new",)

    def test_that_nothing_matches_are_none_and_no_reason_to_ask_again(self) -> None:
        known = Known()
        line = Line(parse("*"), known, clock=Clock())
        line.names()
        assert line.at_hand == ()
        assert known.asked == 1


def test_a_list_with_patterns_waits_for_any_queue_for_a_new_one_may_match() -> None:
    assert Line(parse("mail*"), Known()).to_wait_for is None


class TestOrder:
    def test_is_asked_anew_for_each_reserve(self) -> None:
        line = Line(parse("a,b,c"), Known(), order=orders.round_robin)
        line.took("a")
        assert (line.names(), line.at_hand) == (("b", "c", "a"), ("b", "c", "a"))
        line.took("c")
        assert line.at_hand == ("a", "b", "c")

    def test_knows_the_weights_of_what_matches_now(self) -> None:
        asked: list[tuple[tuple[str, ...], list[int], str]] = []

        def order(names: tuple[str, ...], weights: Sequence[int], last: str) -> tuple[str, ...]:
            asked.append((names, list(weights), last))
            return names[::-1]

        line = Line(parse("mail*=3,*", weighted=True), Known("low", "mail_a", "mail_b"), order=order, clock=Clock())
        line.took("low")
        assert line.names() == line.at_hand == ("low", "mail_b", "mail_a")
        assert asked == [(("mail_a", "mail_b", "low"), [3, 3, 1], "low")] * 2

    def test_changes_neither_the_title_nor_what_is_waited_for(self) -> None:
        line = Line(parse("a,b"), Known(), order=orders.round_robin)
        line.took("a")
        assert (line.title, line.to_wait_for) == ("a,b", ("a", "b"))
