"""The count of the processes that a job killed: in its payload, and nowhere in that of one that killed none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import taskq
from taskq import attempts, crashes, envelope, on_crash
from taskq.failure_handler import Quarantine, Retry
from taskq.on_crash import Requeue


def decided(body: bytes, most: int) -> Retry | Quarantine | None:
    return crashes.decide(envelope.decode(body), body, most)


class TestTimes:
    @pytest.mark.parametrize(("said", "times"), [("fail", 0), ("requeue", 3), (Requeue(), 3), (Requeue(times=7), 7)])
    def test_is_how_often(self, said: Any, times: int) -> None:
        assert on_crash.times(said) == times

    @pytest.mark.parametrize("said", ["retry", "", 3, True, None, Retry()])
    def test_refuses_all_else_and_says_what_can_be_said(self, said: Any) -> None:
        with pytest.raises(ValueError, match=r'on_crash is "fail", "requeue" or taskq.Requeue\(times=...\), not '):
            on_crash.times(said)

    @pytest.mark.parametrize("times", [0, -1, 1.5, "3", True, None])
    def test_of_a_requeue_are_one_at_least(self, times: Any) -> None:
        with pytest.raises(ValueError, match="takes a whole number of at least 1"):
            taskq.Requeue(times=times)


class TestDecide:
    def test_counts_in_the_last_key_and_leaves_every_other_byte(self) -> None:
        body = b'{"class":"Charge","args":[7,1.0e+15,"\xc3\xa9 \\u00e9 \\/"],"id":"x"}'
        first = decided(body, 3)
        assert first == Retry(front=True, body=body[:-1] + b',"taskq:crashes":1}')
        assert isinstance(first, Retry)
        assert first.body is not None
        assert decided(first.body, 3) == Retry(front=True, body=body[:-1] + b',"taskq:crashes":2}')

    def test_quarantines_one_crash_after_the_last_requeue(self) -> None:
        body = b'{"class":"Charge","args":[7],"taskq:crashes":3}'
        assert decided(body, 3) == Quarantine("it killed its process 4 times")
        assert decided(body, 4) == Retry(front=True, body=b'{"class":"Charge","args":[7],"taskq:crashes":4}')

    def test_has_nothing_to_say_of_jobs_that_are_not_requeued(self) -> None:
        assert decided(b'{"class":"Charge","args":[7]}', 0) is None

    @pytest.mark.parametrize("count", ["0", "-9", "true", "1.5", '"2"', "null", "[1]", "{}"])
    def test_takes_what_is_no_count_for_none(self, count: str) -> None:
        """Whoever wrote it: the count starts anew, which is safe, and the key is there once."""
        body = f'{{"taskq:crashes":{count},"class":"Charge","args":[7]}}'.encode()
        assert decided(body, 3) == Retry(front=True, body=b'{"class":"Charge","args":[7],"taskq:crashes":1}')

    @given(
        args=st.lists(st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))),
        crashed=st.integers(1, 9),
    )
    def test_changes_nothing_that_the_job_is_performed_with(self, args: list[object], crashed: int) -> None:
        body = envelope.encode("Charge", envelope.dump(args))
        again = body
        for _ in range(crashed):
            decision = decided(again, 9)
            assert isinstance(decision, Retry)
            assert decision.body is not None
            again = decision.body
        payload = envelope.decode(again)
        assert (payload.job, list(payload.args)) == ("Charge", args)
        assert crashes.count(payload) == crashed
        assert attempts.uncounted(again) == body


class TestUncounted:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"class":"A","args":[]}',
            b' { "args": [1.0e5 ,"\\u00e9"] , "class":"A" } ',
            b'{"class":"A","args":["taskq:crashes"]}',
            b'{"class":"A", "args":[{"taskq:crashes":4}]}',
        ],
    )
    def test_leaves_the_very_bytes_of_what_has_no_count(self, body: bytes) -> None:
        assert attempts.uncounted(body) == body

    def test_takes_the_count_out_wherever_it_stands(self) -> None:
        body = b'{"class":"A","taskq:crashes":2,"args":["taskq:crashes"],"id":{"a":1.50}}'
        assert json.loads(attempts.uncounted(body)).keys() == {"class", "args", "id"}
        assert attempts.uncounted(body) == b'{"class":"A","args":["taskq:crashes"],"id":{"a":1.50}}'
