from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
import sys
import zoneinfo

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import envelope
from taskq.errors import InvalidPayload
from taskq.serializer import Serializer
from taskq_msgpack import MsgpackSerializer
from tests.support.refusals import WordedRefusals

TOKYO = dt.timezone(dt.timedelta(hours=9))


class TestMsgpackSerializer(WordedRefusals):
    more = (
        b"\x00\xff",
        dt.datetime(2026, 11, 24, 5, 19, 55, 123456),  # noqa: DTZ001, a time without a zone is carried too
        dt.datetime(2026, 11, 24, 5, 19, 55, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 24, 5, 19, 55, tzinfo=TOKYO),
        dt.date(1, 1, 1),
        dt.datetime.max.replace(tzinfo=TOKYO),
        {1: "a", "1": "b", -(2**63): "c"},
        float("inf"),
        2**64 - 1,
        "taskq:json:abc",
    )

    def make_serializer(self) -> Serializer:
        return MsgpackSerializer()

    def test_on_the_wire_it_is_one_tagged_text(self) -> None:
        text = MsgpackSerializer().dumps("remind", (), ("a", 1))
        packed = base64.b64encode(msgpack.packb(["a", 1])).decode()
        assert text == f'["taskq:msgpack:{packed}"]'

    @given(st.datetimes(timezones=st.none() | st.timezones()), st.dates(), st.binary())
    def test_times_and_bytes_come_back_or_are_refused(self, moment: dt.datetime, day: dt.date, data: bytes) -> None:
        same = dt.datetime.fromisoformat(moment.isoformat()) == moment
        if same:
            assert self.through((moment, day, data)) == (moment, day, data)
        else:
            assert self.refused(moment).argument == "when"

    def test_a_time_that_the_clocks_tell_twice_is_refused(self) -> None:
        twice = dt.datetime(2023, 10, 29, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
        refused = self.refused({"at": twice})
        assert (refused.argument, refused.type_name) == ("when.at", "datetime that the clocks tell twice")

    @pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**5000], ids=["above", "below", "far above"])
    def test_a_number_of_more_than_64_bits_is_refused(self, number: int) -> None:
        refused = self.refused([number])
        assert (refused.argument, refused.type_name) == ("when[0]", "number of more than 64 bits")
        assert "or use the serializer json" in str(refused)

    def test_a_key_of_more_than_64_bits_is_refused(self) -> None:
        assert self.refused({2**64: 1}).type_name == "dict with a key that is a number of more than 64 bits"

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "cannot be read"),
            (b"\xc1", "cannot be read"),
            (msgpack.packb([1]) + b"\x00", "cannot be read"),
            (msgpack.packb({"a": 1}), "are no list"),
            (msgpack.packb(5), "are no list"),
            (msgpack.packb([msgpack.ExtType(99, b"")]), "unknown extension type 99"),
            (msgpack.packb([msgpack.ExtType(1, b"yesterday")]), "cannot be read"),
            (b"\x91\xa1\xff", "cannot be read"),
            (b"\x91\x81\x90\x01", "cannot be read"),
            (b"\x91" * 100_000, "cannot be read"),
            (b"\xdd\xff\xff\xff\xff", "cannot be read"),
        ],
    )
    def test_what_cannot_be_read_says_so(self, data: bytes, said: str) -> None:
        with pytest.raises(InvalidPayload, match=said):
            MsgpackSerializer().loads(json.loads(envelope.tagged("msgpack", data)))

    def test_plain_arguments_are_not_its_own(self) -> None:
        assert MsgpackSerializer().loads([1, "a"]) is None
        assert MsgpackSerializer().loads(["a"]) is None


def test_without_the_extra_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['msgpack'] = None\nimport taskq_msgpack"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last == (
        'ModuleNotFoundError: The serializer msgpack needs the package msgpack: pip install "taskq[msgpack]".'
    )
