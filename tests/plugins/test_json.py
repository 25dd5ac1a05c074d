from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import envelope
from taskq.serializer import Serializer
from taskq_json import JSONSerializer
from tests.support.refusals import WordedRefusals
from tests.support.vectors import vector

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class TestJSONSerializer(WordedRefusals):
    more = (2**64, -(10**100))

    def make_serializer(self) -> Serializer:
        return JSONSerializer()

    def test_recorded_payloads_byte_for_byte(self) -> None:
        serializer = JSONSerializer()
        bodies = [command[2].encode() for command in vector("01")["commands"] if command[0] == "rpush"]
        assert len(bodies) == 24
        for body in bodies:
            args = serializer.loads(list(envelope.decode(body).args))
            assert args is not None
            assert envelope.encode("Types", serializer.dumps("Types", (), args)) == body

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.none() | st.booleans()))
    def test_flat_arguments_stay_in_place(self, args: list[object]) -> None:
        if envelope.tag(args) is None:
            assert json.loads(JSONSerializer().dumps("a", (), tuple(args))) == args

    @pytest.mark.parametrize(
        ("value", "advice"),
        [
            (MOMENT, "Send when.isoformat(), or use the serializer msgpack."),
            (dt.date(2026, 1, 1), "Send when.isoformat(), or use the serializer msgpack."),
            (b"x", "Send base64.b64encode(when).decode(), or use the serializer msgpack."),
            (dt.time(1), "Send when.isoformat()."),
            ({1: "x"}, "Make all its keys strings."),
            (float("inf"), "Send None in its place."),
            (float("nan"), "Send None in its place."),
        ],
    )
    def test_advice(self, value: object, advice: str) -> None:
        assert advice in str(self.refused(value))

    def test_the_wording_of_the_most_frequent_refusal(self) -> None:
        assert str(self.refused(MOMENT)) == (
            'Argument "when" of remind() is a datetime, which JSON cannot carry. '
            "Send when.isoformat(), or use the serializer msgpack. Nothing was enqueued."
        )

    def test_a_number_that_python_does_not_write_is_refused(self) -> None:
        refused = self.refused("x", {"n": [10**5000]}, names=("a", "options"))
        assert (refused.argument, refused.type_name) == ("options.n[0]", "number of more than 4300 digits")
        assert "Send hex(options.n[0])." in str(refused)

    def test_text_that_would_be_taken_for_a_tag_is_refused(self) -> None:
        refused = self.refused("taskq:msgpack:abc")
        assert refused.type_name == "str that begins like a serializer's tag"
        # Beside another argument it is text like any other.
        assert self.through(("taskq:msgpack:abc", 1)) == ("taskq:msgpack:abc", 1)
        assert self.through(("taskq: msgpack",)) == ("taskq: msgpack",)
