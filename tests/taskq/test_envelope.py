from __future__ import annotations

import base64
import json
import random
import re
import struct
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskq import envelope
from taskq.errors import InvalidPayload
from taskq.records import Payload
from tests.support.vectors import vector

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


def pushed(number: str) -> list[bytes]:
    """The payloads of a recording, in order; what is no UTF-8 stands there in hex."""
    raw = (command[2] for command in vector(number)["commands"] if command[0] == "rpush")
    return [bytes.fromhex(each["hex"]) if isinstance(each, dict) else each.encode() for each in raw]


def why(body: bytes) -> str:
    with pytest.raises(InvalidPayload) as caught:
        envelope.decode(body)
    return str(caught.value)


class TestWriting:
    def test_every_recorded_payload_is_written_byte_for_byte(self) -> None:
        bodies = pushed("01")
        assert len(bodies) == 24
        for body in bodies:
            payload = envelope.decode(body)
            assert envelope.encode(payload.job, envelope.dump(payload.args)) == body

    def test_floats_are_rubys(self) -> None:
        floats = [1.0, -0.0, 0.1, 100.0, 1e15, 1e16, 1e20, 1e100, 1e-4, 1e-5, 1.5e-7, 3.14159265358979]
        recorded = next(body for body in pushed("01") if b"1.0e+15" in body)
        assert envelope.encode("Types", envelope.dump(floats)) == recorded

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (3924930133953100.5, "3924930133953100.5"),
            (1234567890123456.0, "1.234567890123456e+15"),
            (-1000000000000000.0, "-1.0e+15"),
            (999999999999999.0, "999999999999999.0"),
            (9999999999999998.0, "9.999999999999998e+15"),
            (5e-324, "5.0e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (-1e-7, "-1.0e-07"),
            (1234567890123456, "1234567890123456"),
        ],
    )
    def test_odd_floats(self, value: float, text: str) -> None:
        assert envelope.dump([value]) == f"[{text}]"
        assert envelope.dump({"k": [value, value]}) == f'{{"k":[{text},{text}]}}'
        assert envelope.dump(value) == text

    def test_random_floats_keep_rubys_rules_and_their_value(self) -> None:
        rng = random.Random(20_000)
        for _ in range(20_000):
            (value,) = struct.unpack("<d", rng.randbytes(8))
            if value != value or value in (float("inf"), float("-inf")):
                continue
            text = envelope.dump([value])[1:-1]
            assert float(text) == value
            # A point always; exponents of a sign and two digits at least, only where Ruby has them.
            assert re.fullmatch(r"-?\d+\.\d+(e[+-]\d\d+)?", text), text
            plain = 1e-4 <= abs(value) < (1e15 if value.is_integer() else 1e16)
            assert ("e" not in text) == (plain or value == 0)

    @given(st.floats(min_value=1e15, max_value=1e16, exclude_max=True))
    def test_whole_numbers_take_an_exponent_from_1e15(self, value: float) -> None:
        text = envelope.dump([value])[1:-1]
        assert text.endswith("e+15") == value.is_integer()
        assert float(text) == value

    def test_text_that_looks_like_a_float_stays(self) -> None:
        odd = 'he said "1e+20" \\ 1000000000000000.0 and 1e-05\n'
        text = envelope.dump([odd, 1e20, {odd: odd}])
        assert json.loads(text) == [odd, 1e20, {odd: odd}]
        assert "1.0e+20" in text
        assert text.count("1000000000000000.0") == 3
        assert text.count('1e+20\\"') == 3

    @given(VALUES)
    def test_what_is_dumped_is_the_same_to_json(self, value: object) -> None:
        text = envelope.dump(value)
        assert json.loads(text) == value
        assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":")) or "e" in text

    def test_tuples_are_lists(self) -> None:
        assert envelope.dump((1, (2.0,))) == "[1,[2.0]]"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), pytest.param(10**5000, id="digits")])
    def test_dump_refuses_what_has_no_json(self, value: object) -> None:
        with pytest.raises(ValueError):
            envelope.dump([value])

    def test_dump_refuses_a_circle(self) -> None:
        circle: list[object] = []
        circle.append(circle)
        with pytest.raises(ValueError, match="contains itself"):
            envelope.dump(circle)
        assert envelope.dump([1]) == "[1]"

    def test_dump_refuses_other_types(self) -> None:
        with pytest.raises(TypeError, match="set"):
            envelope.dump([{1}])

    def test_further_keys_follow_in_their_order(self) -> None:
        body = envelope.encode("Ok", "[1]", {"queue": "jobs", "n": 1e20, "a": {"b": None}})
        assert body == b'{"class":"Ok","args":[1],"queue":"jobs","n":1.0e+20,"a":{"b":null}}'

    @pytest.mark.parametrize("key", ["class", "args"])
    def test_further_keys_cannot_double_ours(self, key: str) -> None:
        with pytest.raises(InvalidPayload, match=key):
            envelope.encode("Ok", "[]", {key: 1})

    def test_a_payload_has_a_name(self) -> None:
        with pytest.raises(InvalidPayload, match="empty"):
            envelope.encode("", "[]")

    @pytest.mark.parametrize(
        ("job", "args", "extra"), [("\ud800", "[]", {}), ("A", '["\udfff"]', {}), ("A", "[]", {"k": "\ud83d"})]
    )
    def test_lone_surrogates_are_refused(self, job: str, args: str, extra: dict[str, object]) -> None:
        with pytest.raises(InvalidPayload, match="surrogate"):
            envelope.encode(job, args, extra)

    @given(TEXT.filter(bool), st.lists(VALUES), st.dictionaries(TEXT, VALUES))
    def test_what_is_encoded_decodes_to_the_same(self, job: str, args: list[object], extra: dict[str, Any]) -> None:
        extra = {key: value for key, value in extra.items() if key not in ("class", "args")}
        payload = envelope.decode(envelope.encode(job, envelope.dump(args), extra))
        assert payload == Payload(job, tuple(args), extra)
        assert list(payload.extra) == list(extra)


class TestReading:
    def test_oj_writes_other_floats_of_the_same_value(self) -> None:
        gem = {body: envelope.decode(body) for body in pushed("01")}
        read = 0
        for body in pushed("01b"):
            if b"\xff" in body:
                assert "not UTF-8 (byte" in why(body)
                continue
            assert envelope.decode(body) in gem.values()
            read += 1
        assert read == 24

    @pytest.mark.parametrize(
        ("body", "payload"),
        [
            (
                b'{"id":"01HX","meta":{"a":[1]},"args":[1,"x"],"queue":"zzz","class":"Ok","retries":3}',
                Payload("Ok", (1, "x"), {"id": "01HX", "meta": {"a": [1]}, "queue": "zzz", "retries": 3}),
            ),
            (b' \r\n\t{ "class" : "Ok" ,\n "args" : [ 1 ] } \n', Payload("Ok", (1,))),
            (b'{"class":"Ok","args":["\\u00e9","\\ud83d\\ude00","\\/"]}', Payload("Ok", ("é", "😀", "/"))),
            (b'{"cl\\u0061ss":"Ok","args":[]}', Payload("Ok", ())),
            (b'{"class":"Ok"}', Payload("Ok", ())),
            (b'{"class":"Ok","args":null}', Payload("Ok", ())),
            (b'{"class":"::Ok","args":[]}', Payload("::Ok", ())),
            (b'{"class":"Ok","id":1,"id":2,"args":[]}', Payload("Ok", (), {"id": 2})),
            (b'{"class":"A","args":[{"class":"B","args":[]}]}', Payload("A", ({"class": "B", "args": []},))),
            (b'{"args":[{"class":"B","args":[]}],"class":"A"}', Payload("A", ({"class": "B", "args": []},))),
            (b'{"class":"A","args":["\\"class\\"","{[\\\\"]}', Payload("A", ('"class"', "{[\\"))),
            (b'{"class":"A\\"B","args":[]}', Payload('A"B', ())),
        ],
    )
    def test_what_ruby_accepts_is_accepted(self, body: bytes, payload: Payload) -> None:
        assert envelope.decode(body) == payload

    def test_every_record_of_the_tolerant_worker_is_read(self) -> None:
        records = [
            json.loads(command[2])["payload"]
            for command in vector("12")["commands"]
            if command[0] == "set" and command[2].startswith('{"queue"')
        ]
        assert len(records) > 20
        for record in records:
            body = json.dumps(record).encode()
            good = isinstance(record, dict) and isinstance(record.get("class"), str) and record["class"]
            if good and isinstance(record.get("args", []), list | None):
                assert envelope.decode(body).job == record["class"]
            else:
                assert why(body)

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "empty"),
            (b"not json", "not JSON"),
            (b'{"class":"A"} x', "not JSON: Extra data"),
            (b'{"class":"A","args":[]}}', "not JSON: Extra data"),
            (b'{"class":"A","args":[]', "not JSON"),
            (b'\xef\xbb\xbf{"class":"A","args":[]}', "not JSON"),
            (b"\xff", "not UTF-8 (byte 0)"),
            (b'{"class":"A","args":["\xed\xa0\x80"]}', "not UTF-8"),
            (b"\0", "not JSON"),
            (b'{"class":"A","args":["\0"]}', "control character"),
            (b'{"class":"A","args":["a\nb"]}', "control character"),
            (b"null", "is null, not an object"),
            (b"true", "is true, not an object"),
            (b"[]", "is a list, not an object"),
            (b"5", "is a number, not an object"),
            (b'"str"', "is a string, not an object"),
            (b"{}", 'no "class"'),
            (b'{"args":[1]}', 'no "class"'),
            (b'{"class":null,"args":[1]}', '"class" is null'),
            (b'{"class":5,"args":[1]}', '"class" is a number'),
            (b'{"class":["A"],"args":[1]}', '"class" is a list'),
            (b'{"class":"","args":[1]}', '"class" is empty'),
            (b'{"class":"A","args":"abc"}', '"args" is a string'),
            (b'{"class":"A","args":5}', '"args" is a number'),
            (b'{"class":"A","args":false}', '"args" is false'),
            (b'{"class":"A","args":{"a":1}}', '"args" is an object'),
            (b'{"class":"A","args":[1],"class":"B"}', '"class" twice'),
            (b'{"class":"A","args":[1],"cl\\u0061ss":"B"}', '"class" twice'),
            (b'{"class":"A","args":[1],"args":[2]}', '"args" twice'),
            (b'{"class":"A","args":[1],"x":1,"args":null}', '"args" twice'),
            (b'{"class":"A","args":[NaN]}', "NaN"),
            (b'{"class":"A","args":[1e999]}', "1e999 is beyond what a float can be"),
            (b'{"class":"A","args":[{"a":-1E+999}]}', "-1E+999"),
            (b'{"class":"A","args":[1],"x":1' + b"0" * 400 + b".5}", "a number is beyond"),
            (b'{"class":"A","args":[1,-Infinity]}', "Infinity"),
            (b'{"class":"A","args":["\\ud800"]}', "lone surrogate"),
            (b'{"class":"A","args":[{"\\udfff":1}]}', "lone surrogate"),
            (b'{"class":"\\ud83d","args":[]}', "lone surrogate"),
            (b'{"class":"A","args":[],"x":["\\uDC00\\uD800"]}', "lone surrogate"),
            (b'{"class":"A","args":[1' + b"0" * 4300 + b"]}", "digits"),
            (b"[" * 100_000, "nested more than 99 deep"),
            (b'{"class":"A","args":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than 99 deep"),
            (b'{"class":"A","args":[' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]}", "nested more than 99 deep"),
            (b'{"class":"A","args":["\\"' + b"[" * 100_000, "not JSON"),
        ],
    )
    def test_what_is_no_payload_says_why(self, body: bytes, said: str) -> None:
        assert said in why(body)

    def test_a_number_of_very_many_digits_is_read_as_far_as_python_converts(self) -> None:
        most = sys.get_int_max_str_digits()
        assert envelope.decode(b'{"class":"A","args":[' + b"9" * most + b"]}").args == (10**most - 1,)

    @pytest.mark.parametrize(("levels", "fits"), [(97, True), (98, False)])
    def test_the_bound_of_nesting_is_exact(self, levels: int, fits: bool) -> None:
        # Brackets in strings, behind escapes too, are no nesting.
        filler = b'"' + b"[" * 300 + b'\\"' + b"{" * 300 + b'","\\\\",'
        body = b'{"class":"A","args":[' + filler + b"[" * levels + b"]" * levels + b"]}"
        assert envelope.too_deep(body) is not fits
        if fits:
            assert len(envelope.decode(body).args) == 3
        else:
            assert "nested" in why(body)

    def test_many_brackets_side_by_side_are_not_deep(self) -> None:
        args = [{"a": [i]} for i in range(10_000)]
        assert envelope.decode(envelope.encode("A", envelope.dump(args))).args == tuple(args)

    @given(st.binary())
    @example(b'{"class":"A","args":[')
    @example(b'{"class":"A","args":[]')
    @example(b'{"class":"A","args":[1')
    @example(b'{"class":"')
    @example(b'{"class":"A\\')
    def test_no_bytes_raise_anything_else(self, body: bytes) -> None:
        said = ""
        try:
            envelope.decode(body)
        except InvalidPayload as invalid:
            said = str(invalid)
        assert not said or said.startswith("The payload")

    @given(st.binary(max_size=12), st.integers(0, 80), st.integers(0, 12))
    def test_damaged_payloads_raise_nothing_else(self, damage: bytes, place: int, gone: int) -> None:
        good = b'{"class":"A","args":["\\u00e9",{"class":[1.5,null]},"\xc3\xa9"],"id":"x"}'
        body = good[:place] + damage + good[place + gone :]
        try:
            payload = envelope.decode(body)
        except InvalidPayload:
            return
        # What is taken for a payload is one: JSON by the standard library's reading, whole, of the same meaning.
        plain = json.loads(body)
        assert (payload.job, list(payload.args)) == (plain["class"], plain.get("args") or [])

    @given(VALUES)
    def test_depth_is_told_from_bytes_as_from_values(self, value: object) -> None:
        def depth(value: object) -> int:
            if isinstance(value, dict):
                return 1 + max(map(depth, value.values()), default=0)
            return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

        padded = [value, "x" * 100]  # below that size nothing is counted
        body = json.dumps(padded, ensure_ascii=False).encode()
        for most in range(7):
            assert envelope.too_deep(body, most) is (depth(padded) > most)


class TestTags:
    @given(st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True), st.binary())
    def test_what_is_tagged_comes_back(self, name: str, data: bytes) -> None:
        args = json.loads(envelope.tagged(name, data))
        assert envelope.tag(args) == name
        assert envelope.untagged(args) == data

    @pytest.mark.parametrize(
        "args", [[], [1], ["text"], ["taskq:"], ["taskq:a"], ["taskq:a:", 1], ["taskq:a b:"], [None]]
    )
    def test_plain_arguments_have_no_tag(self, args: list[object]) -> None:
        assert envelope.tag(args) is None
        with pytest.raises(InvalidPayload, match="no serializer's tag"):
            envelope.untagged(args)

    @pytest.mark.parametrize("text", ["?", "abc", "é", base64.b64encode(b"x").decode() + "\n"])
    def test_a_tag_without_base64_is_invalid(self, text: str) -> None:
        with pytest.raises(InvalidPayload, match="base64"):
            envelope.untagged([f"taskq:msgpack:{text}"])


class TestInspect:
    @pytest.mark.parametrize("number", ["07", "13", "36"])
    def test_recorded_log_lines(self, number: str) -> None:
        recording = vector(number)
        output = recording["output"]
        log = base64.b64decode(output["base64"]).decode(errors="replace") if isinstance(output, dict) else output
        shown = re.findall(r"got: \(Job\{\w+\} \| \S+ \| (.*)\)", log)
        records = [
            json.loads(command[2])["payload"]["args"]
            for command in recording["commands"]
            if command[0] == "set" and command[2].startswith('{"queue"')
        ]
        assert shown
        assert [envelope.inspect(args) for args in records] == shown

    def test_recorded_odd_arguments(self) -> None:
        # The calls of this recording are labelled with Ruby's own inspect of their arguments.
        labels = [call["call"].partition(" ")[2] for call in vector("53")["returns"]]
        shown: list[list[object]] = [
            [],
            [None],
            [""],
            [1, "two", None, True],
            [1.0],
            [1e20],
            [1e-7],
            [{"a": 1, "b": "x"}],
            [{"a": None, "é": [1.0, 'q"']}],
            [[1, [2, 3]], 4],
            [{}],
            ["a b\nc"],
            [12345678901234567890],
        ]
        for args in shown:
            assert envelope.inspect(args) in labels

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("#{x} #$x #@x # #x", r'"\#{x} \#$x \#@x # #x"'),
            ('\\"', r'"\\\""'),
            ("\a\b\t\n\v\f\r\x1b", r'"\a\b\t\n\v\f\r\e"'),
            ("\0\x7f\x85", r'"\u0000\x7F\u0085"'),
            ("é日😀\u00a0", '"é日😀\u00a0"'),
            ("\u2028\ud800\U000e0fff", r'"\u2028\uD800\u{E0FFF}"'),
            (float("nan"), "NaN"),
            (-float("inf"), "-Infinity"),
            (float("inf"), "Infinity"),
            ((1, 2), "[1, 2]"),
            (b"x", "b'x'"),
        ],
    )
    def test_values(self, value: object, shown: str) -> None:
        assert envelope.inspect([value]) == f"[{shown}]"

    def test_it_never_raises(self) -> None:
        class Rude:
            def __repr__(self) -> str:
                raise RuntimeError

        circle: list[object] = []
        circle.append(circle)
        assert envelope.inspect([Rude()]) == "[#<Rude>]"
        assert envelope.inspect([10**5000]) == "[#<int>]"
        assert envelope.inspect(circle) == "[...]"

    def test_what_is_long_is_cut(self) -> None:
        shown = envelope.inspect(["é" * 20_000_000, list(range(1_000_000))], limit=100)
        assert shown == '["' + "é" * 98 + "..."
        assert envelope.inspect(["short"], limit=100) == '["short"]'

    @given(VALUES, st.integers(0, 50))
    def test_a_cut_is_the_beginning_of_the_whole(self, value: object, limit: int) -> None:
        whole = envelope.inspect([value])
        expected = whole if len(whole) <= limit else f"{whole[:limit]}..."
        assert envelope.inspect([value], limit=limit) == expected
