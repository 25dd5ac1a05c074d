"""An outcome on the pipe between a child and its parent comes back as it went, and rubbish is no outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq.failure_handler import Decision, Discard, Fail, Quarantine, Retry
from taskq.outcome import Done, Failed, Postponed, dump, load
from taskq.records import ErrorRecord

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too: an exception may say anything
decisions = st.one_of(
    st.builds(Retry, front=st.booleans(), body=st.none() | st.binary()),
    st.builds(Discard, any_text),
    st.builds(Fail, by_queue=st.booleans()),
    st.builds(Quarantine, any_text),
)
some_texts = st.lists(any_text, max_size=3).map(tuple)
errors = st.builds(ErrorRecord, any_text, any_text, some_texts, any_text, some_texts)
seconds = st.floats(min_value=0, max_value=1e9)
postponed = st.builds(Postponed, seconds, any_text, st.binary())
outcomes = st.builds(Done, seconds) | st.builds(Failed, errors, decisions, seconds) | postponed

ERROR = ErrorRecord("ValueError", "no", ("a.py:1:in 'f'",), "Traceback ...")


class TestLoad:
    @given(outcomes)
    def test_gives_what_dump_wrote(self, outcome: Done | Failed | Postponed) -> None:
        assert load(dump(outcome)) == outcome

    @given(outcomes, st.data())
    def test_gives_nothing_where_the_writer_died_while_it_wrote(
        self, outcome: Done | Failed | Postponed, data: st.DataObject
    ) -> None:
        line = dump(outcome)
        assert load(line[: data.draw(st.integers(0, len(line) - 1))]) is None

    @given(outcomes, st.binary())
    def test_takes_the_first_line_where_something_else_wrote_behind_it(
        self, outcome: Done | Failed | Postponed, behind: bytes
    ) -> None:
        assert load(dump(outcome) + behind) == outcome

    @given(st.binary())
    def test_gives_nothing_for_bytes_that_are_no_outcome(self, rubbish: bytes) -> None:
        assert load(rubbish + b"\n") is None

    @pytest.mark.parametrize(
        "line",
        [
            b"{}",
            b"null",
            b"[]",
            b"17",
            b"[" * 100_000,
            b'"done"',
            b'{"error":null}',
            b'{"error":{},"facts":{},"decision":"Fail","seconds":1}',
            dump(Failed(ERROR, Fail(), 1.0)).replace(b'"Fail"', b'"Forget"').strip(),
            dump(Failed(ERROR, Retry(body=b"x"), 1.0)).replace(b"eA==", b"?").strip(),
        ],
    )
    def test_gives_nothing_for_json_of_another_shape(self, line: bytes) -> None:
        assert load(line + b"\n") is None


class TestDump:
    @pytest.mark.parametrize("decision", [Retry(front=True, body=b"\xff\0\n"), Discard("a\nb"), Quarantine("ü\ud800")])
    def test_is_one_line_whatever_is_in_it(self, decision: Decision) -> None:
        line = dump(Failed(ERROR, decision, 0.5))
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")

    def test_keeps_seconds_exactly(self) -> None:
        assert load(dump(Done(0.1 + 0.2))) == Done(0.1 + 0.2)


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Done(1.0).seconds = 2.0  # type: ignore[misc]
