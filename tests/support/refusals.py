"""What taskq's own serializers promise beyond the contract: the words of a refusal, and what they send instead."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
from collections import OrderedDict, namedtuple

import pytest

from taskq.testing.contract import SerializerContract


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


class WordedRefusals(SerializerContract):
    @pytest.mark.parametrize(("value", "kind", "advice"), NEVER)
    def test_a_refusal_says_what_it_is_and_what_to_send(self, value: object, kind: str, advice: str) -> None:
        refused = self.refused(value)
        assert refused.type_name == kind
        assert advice in str(refused)
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        assert f"of remind() is {article} {kind}, which {refused.serializer} cannot carry. " in str(refused)
        assert len(str(refused)) < 300

    @pytest.mark.parametrize(("value", "kind", "advice"), NEVER)
    def test_a_refusal_of_what_lies_within_says_the_same(self, value: object, kind: str, advice: str) -> None:
        assert self.refused("x", {"k": [1, {"deep": value}]}).type_name == kind

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ({"when": {1}}, "options.when"),
            ([1, {1}], "options[1]"),
            ({"a b": [{"c": {1}}]}, 'options["a b"][0].c'),
            ([[[{"x": [{1}]}]]], "options[0][0][0].x[0]"),
        ],
    )
    def test_a_refusal_says_where_it_is(self, value: object, path: str) -> None:
        refused = self.refused(1, value, names=("to", "options"))
        assert refused.argument == path
        assert f'Argument "{path}" of remind() is a set' in str(refused)
        assert f"Send list({path})." in str(refused)

    def test_a_refusal_says_where_a_circle_closes(self) -> None:
        inner: list[object] = []
        inner.append([{"inner": inner}])
        refused = self.refused(inner[0])
        assert refused.type_name == "list that contains itself"
        assert refused.argument == "when[0].inner[0]"
