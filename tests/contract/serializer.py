"""What every serializer promises: a class to subclass, a test a promise, each named for the method it proves.

A subclass gives `make_serializer`; where the serializer carries more than JSON's types, `more` are values of them.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
from collections import OrderedDict, namedtuple
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import envelope
from taskq.errors import InvalidPayload, UnserializableArgument
from taskq.records import Payload
from taskq.serializer import Serializer

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(-0.0)
    | TEXT
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


class Colour(enum.IntEnum):
    RED = 1


class Mood(enum.Enum):
    GOOD = "good"


class SubStr(str):
    __slots__ = ()


class SubInt(int):
    pass


class SubFloat(float):
    pass


class SubList(list[int]):
    pass


class SubDict(dict[str, int]):
    pass


class Order:
    id = 7


Point = namedtuple("Point", "x y")  # noqa: PYI024


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def circle() -> list[object]:
    inner: list[object] = []
    around: list[object] = [{"inner": inner}]
    inner.append(around)
    return around


# What comes back as something else, or not at all, from every serializer.
NEVER = [
    pytest.param((1, 2), "tuple", "Send list(when).", id="tuple"),
    pytest.param({1, 2}, "set", "Send list(when).", id="set"),
    pytest.param(frozenset({1}), "frozenset", "Send list(when).", id="frozenset"),
    pytest.param(Point(1, 2), "Point", "Send list(when).", id="namedtuple"),
    pytest.param(bytearray(b"x"), "bytearray", "base64.b64encode(when).decode()", id="bytearray"),
    pytest.param(Colour.RED, "Colour", "Send when.value.", id="IntEnum"),
    pytest.param(Mood.GOOD, "Mood", "Send when.value.", id="Enum"),
    pytest.param(SubStr("x"), "SubStr", "Send str(when).", id="str subclass"),
    pytest.param(SubInt(1), "SubInt", "Send int(when).", id="int subclass"),
    pytest.param(SubFloat(1), "SubFloat", "Send float(when).", id="float subclass"),
    pytest.param(SubList([1]), "SubList", "Send list(when).", id="list subclass"),
    pytest.param(SubDict(a=1), "SubDict", "Send dict(when).", id="dict subclass"),
    pytest.param(OrderedDict(a=1), "OrderedDict", "Send dict(when).", id="OrderedDict"),
    pytest.param(decimal.Decimal("1.5"), "Decimal", "Send str(when).", id="Decimal"),
    pytest.param(dt.timedelta(1), "timedelta", "Send when.total_seconds().", id="timedelta"),
    pytest.param(complex(1, 2), "complex", "strings, numbers", id="complex"),
    pytest.param(object(), "object", "strings, numbers", id="object"),
    pytest.param(Order(), "Order", "Send when.id, and look it up in the job.", id="model"),
    pytest.param(Order, "type", "strings, numbers", id="class"),
    pytest.param(len, "builtin_function_or_method", "strings, numbers", id="function"),
    pytest.param(float("nan"), "float that is not a number", "None", id="NaN"),
    pytest.param("\ud800", "str with a lone surrogate", "when.encode", id="lone surrogate"),
    pytest.param({"\udfff": 1}, "dict with a key that is a str with a lone surrogate", "encode", id="surrogate key"),
    pytest.param({None: 1}, "dict with a NoneType for a key", "keys", id="None key"),
    pytest.param({(1,): 1}, "dict with a tuple for a key", "keys", id="tuple key"),
    pytest.param({1.5: 1}, "dict with a float for a key", "keys", id="float key"),
    pytest.param({True: 1}, "dict with a bool for a key", "keys", id="bool key"),
    pytest.param({SubStr("k"): 1}, "dict with a SubStr for a key", "keys", id="subclass key"),
    pytest.param(nested(98), "list more than 97 levels deep", "flatter", id="too deep"),
    pytest.param(nested(5000), "list more than 97 levels deep", "flatter", id="far too deep"),
]


class SerializerContract:
    more: Sequence[object] = ()

    def make_serializer(self) -> Serializer:
        raise NotImplementedError

    def through(self, args: tuple[object, ...]) -> tuple[object, ...] | None:
        """The arguments as a worker gets them: encoded into a payload, read from its bytes."""
        serializer = self.make_serializer()
        text = serializer.dumps("remind", tuple(f"a{place}" for place in range(len(args))), args)
        return serializer.loads(list(envelope.decode(envelope.encode("remind", text)).args))

    def refused(self, *args: object, names: tuple[str, ...] = ("when",)) -> UnserializableArgument:
        with pytest.raises(UnserializableArgument) as caught:
            self.make_serializer().dumps("remind", names, args)
        return caught.value

    def test_loads_gives_back_what_dumps_was_given(self) -> None:
        # Hypothesis wants each function that it drives to belong to one class; this one belongs to the test.
        @given(args=st.lists(VALUES).map(tuple))
        def check(args: tuple[object, ...]) -> None:
            back = self.through(args)
            assert back == args
            # 1 == 1.0 == True, but not to a job; and -0.0 is not 0.0.
            assert repr(back) == repr(args)

        check()

    def test_loads_gives_back_the_further_types_of_this_serializer(self) -> None:
        for value in self.more:
            args = (value, [value], {"k": value})
            assert self.through(args) == args
            assert repr(self.through(args)) == repr(args)

    def test_dumps_makes_the_text_of_a_list_that_json_reads(self) -> None:
        calls: list[tuple[object, ...]] = [(), (1,), ("é", None, [1.5], {"k": {}})]
        for args in calls:
            text = self.make_serializer().dumps("remind", (), args)
            assert isinstance(json.loads(text), list)
            text.encode()

    def test_dumps_of_equal_arguments_is_equal(self) -> None:
        # Dequeueing by arguments finds a job by its bytes.
        dumps = self.make_serializer().dumps
        assert dumps("a", ("x",), ("é", [1.0], {"b": 1, "a": 2})) == dumps("b", (), ("é", [1.0], {"b": 1, "a": 2}))

    @pytest.mark.parametrize(("value", "kind", "advice"), NEVER)
    def test_dumps_refuses_what_would_not_come_back(self, value: object, kind: str, advice: str) -> None:
        refused = self.refused(value)
        assert (refused.job, refused.argument.partition("[")[0], refused.type_name) == ("remind", "when", kind)
        assert advice in str(refused)
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        assert f"of remind() is {article} {kind}, which {refused.serializer} cannot carry. " in str(refused)
        assert str(refused).endswith("Nothing was enqueued.")
        assert len(str(refused)) < 300

    @pytest.mark.parametrize(("value", "kind", "advice"), NEVER)
    def test_dumps_refuses_it_wherever_it_is(self, value: object, kind: str, advice: str) -> None:
        for args in ((1, [value]), ("x", {"k": [1, {"deep": value}]})):
            refused = self.refused(*args, names=("first", "second"))
            assert refused.argument.startswith("second")
            assert refused.type_name == kind

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ({"when": {1}}, "options.when"),
            ([1, {1}], "options[1]"),
            ({"a b": [{"c": {1}}]}, 'options["a b"][0].c'),
            ([[[{"x": [{1}]}]]], "options[0][0][0].x[0]"),
        ],
    )
    def test_dumps_says_where_it_is(self, value: object, path: str) -> None:
        refused = self.refused(1, value, names=("to", "options"))
        assert refused.argument == path
        assert f'Argument "{path}" of remind() is a set' in str(refused)
        assert f"Send list({path})." in str(refused)

    def test_dumps_names_a_keyword_by_its_name(self) -> None:
        assert self.refused("a", {"taskq:kw": {"to": 1, "when": {1}}}, names=("first",)).argument == "when"

    def test_dumps_counts_arguments_that_have_no_name(self) -> None:
        assert self.refused(1, 2, {1}, names=("first",)).argument == "args[2]"

    def test_dumps_refuses_a_circle(self) -> None:
        refused = self.refused(circle())
        assert refused.type_name == "list that contains itself"
        assert refused.argument == "when[0].inner[0]"

    def test_dumps_carries_one_value_seen_twice(self) -> None:
        shared = ["x"]
        assert self.through(([shared, shared], {"a": shared})) == ([["x"], ["x"]], {"a": ["x"]})

    def test_dumps_carries_the_deepest_that_a_payload_may_be(self) -> None:
        assert self.through((nested(97),)) == (nested(97),)

    def test_dumps_carries_a_refused_value_no_further(self) -> None:
        serializer = self.make_serializer()
        for _ in range(3):
            with pytest.raises(UnserializableArgument):
                serializer.dumps("remind", ("when",), (circle(),))
            assert serializer.loads(json.loads(serializer.dumps("remind", ("when",), ([1],)))) == ([1],)

    def test_loads_leaves_what_bears_another_tag(self) -> None:
        assert self.make_serializer().loads(json.loads(envelope.tagged("another", b"x"))) is None

    def test_loads_raises_nothing_but_invalid_payload(self) -> None:
        serializer = self.make_serializer()

        @given(data=st.binary())
        def check(data: bytes) -> None:
            try:
                serializer.loads(json.loads(envelope.tagged(serializer.name, data)))
            except InvalidPayload:
                pass

        check()

    def test_the_payload_shows_its_job_to_whoever_reads_json(self) -> None:
        text = self.make_serializer().dumps("remind", (), ("é", 1))
        payload = envelope.decode(envelope.encode("remind", text))
        assert isinstance(payload, Payload)
        assert payload.job == "remind"

    def test_the_name_can_be_a_tag(self) -> None:
        name = self.make_serializer().name
        assert envelope.tag(json.loads(envelope.tagged(name, b""))) == name

    def test_arguments_are_not_changed(self) -> None:
        args: tuple[Any, ...] = ([1, {"k": [2.0]}], {"a": None})
        self.through(args)
        assert args == ([1, {"k": [2.0]}], {"a": None})
