"""What every serializer promises: a class to subclass, a test a promise, each named for the method that it proves."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import json
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import envelope
from taskq.errors import InvalidPayload, UnserializableArgument
from taskq.serializer import Serializer
from taskq.testing.contract.alongside import side_by_side
from taskq.testing.contract.unhurried import UNHURRIED

__all__ = ["SerializerContract"]

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(-0.0)
    | _TEXT
)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=20)


class _Colour(enum.IntEnum):
    RED = 1


class _Mood(enum.Enum):
    GOOD = "good"


class _SubStr(str):
    __slots__ = ()


class _SubInt(int):
    pass


class _SubFloat(float):
    pass


class _SubList(list[int]):
    pass


class _SubDict(dict[str, int]):
    pass


class _Order:
    id = 7


_Point = namedtuple("_Point", "x y")  # noqa: PYI024


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def _circle() -> list[object]:
    inner: list[object] = []
    around: list[object] = [{"inner": inner}]
    inner.append(around)
    return around


# What JSON, and many another format, gives back as something else or not at all. A serializer may carry any of them;
# it may not change it on the way.
_DELICATE = [
    pytest.param(value, id=name)
    for name, value in {
        "tuple": (1, 2),
        "set": {1, 2},
        "frozenset": frozenset({1}),
        "namedtuple": _Point(1, 2),
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"x"),
        "IntEnum": _Colour.RED,
        "Enum": _Mood.GOOD,
        "str subclass": _SubStr("x"),
        "int subclass": _SubInt(1),
        "float subclass": _SubFloat(1),
        "list subclass": _SubList([1]),
        "dict subclass": _SubDict(a=1),
        "OrderedDict": OrderedDict(a=1),
        "Decimal": decimal.Decimal("1.50"),
        "Fraction": fractions.Fraction(1, 3),
        "complex": complex(1, 2),
        "date": dt.date(2026, 1, 1),
        "datetime with a zone": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "datetime of another zone": dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=9))),
        "datetime without a zone": dt.datetime(2026, 1, 1, 0, 0, 0, 123456),  # noqa: DTZ001
        "time": dt.time(1, 2, 3),
        "timedelta": dt.timedelta(days=1, microseconds=1),
        "UUID": uuid.UUID(int=1),
        "path": PurePosixPath("/tmp/x"),  # noqa: S108
        "range": range(3),
        "object": object(),
        "model": _Order(),
        "class": _Order,
        "function": len,
        "NaN": float("nan"),
        "infinity": float("inf"),
        "a large number": 2**64,
        "a far larger number": 10**5000,
        "lone surrogate": "\ud800",
        "surrogate key": {"\udfff": 1},
        "integer key": {1: "a", "1": "b"},
        "None key": {None: 1},
        "tuple key": {(1,): 1},
        "float key": {1.5: 1},
        "bool key": {True: 1},
        "subclass key": {_SubStr("k"): 1},
        "too deep": _nested(98),
        "far too deep": _nested(5000),
    }.items()
]


class SerializerContract:
    """Subclass it, give `make_serializer`, and every promise of `taskq.serializer.Serializer` is tested.

    Attributes:
        more: values of the further types that this serializer carries beside JSON's: each has to come back.
    """

    more: Sequence[object] = ()

    def make_serializer(self) -> Serializer:
        """A serializer, made anew."""
        raise NotImplementedError(f"{type(self).__name__} has no make_serializer(): give one that returns a serializer")

    def through(self, args: tuple[object, ...]) -> tuple[object, ...] | None:
        """The arguments as a worker gets them: encoded into a payload, read from its bytes."""
        serializer = self.make_serializer()
        text = serializer.dumps("remind", tuple(f"a{place}" for place in range(len(args))), args)
        return serializer.loads(list(envelope.decode(envelope.encode("remind", text)).args))

    def refused(self, *args: object, names: tuple[str, ...] = ("when",)) -> UnserializableArgument:
        """The error by which these arguments are refused."""
        with pytest.raises(UnserializableArgument) as caught:
            self.make_serializer().dumps("remind", names, args)
        return caught.value

    def carries(self, value: object) -> bool:
        """Whether it gives this value back; False where it refuses it. Fails where it gives back another one."""
        try:
            back = self.through((value,))
        except UnserializableArgument:
            return False
        assert back is not None, "loads() did not know what dumps() made"
        sent, came = envelope.inspect((value,), limit=200), envelope.inspect(back, limit=200)
        assert _same(back, (value,)), f"{sent} was sent, and {came} came back: carry it or refuse it"
        return True

    # ---- the name

    def test_name_can_be_a_tag(self) -> None:
        """The name marks this serializer's text on the wire: ASCII letters, digits, `_`, `.`, `-`."""
        name = self.make_serializer().name
        assert envelope.tag(json.loads(envelope.tagged(name, b""))) == name

    # ---- dumps

    def test_dumps_makes_the_text_of_a_list_that_json_reads(self) -> None:
        """The text goes into the envelope as it is, so it is a JSON list, in UTF-8."""
        calls: list[tuple[object, ...]] = [(), (1,), ("é", None, [1.5], {"k": {}})]
        for args in calls:
            text = self.make_serializer().dumps("remind", (), args)
            assert isinstance(json.loads(text), list)
            text.encode()

    def test_dumps_leaves_the_payload_to_whoever_reads_json(self) -> None:
        """Ruby, dashboards and workers that do not accept this serializer still read the job's name."""
        text = self.make_serializer().dumps("remind", (), ("é", 1))
        assert envelope.decode(envelope.encode("remind", text)).job == "remind"

    def test_dumps_of_other_than_json_is_one_tagged_text(self) -> None:
        """What is not plain JSON bears this serializer's name, so that nobody takes it for arguments."""
        serializer = self.make_serializer()
        for args in [("é", 1), ([1.5], {"k": {}}), *((value,) for value in self.more)]:
            made = json.loads(serializer.dumps("remind", (), args))
            assert envelope.tag(made) == serializer.name or _same(tuple(made), args)

    def test_dumps_of_equal_arguments_is_equal(self) -> None:
        """Dequeueing by arguments finds a job by its bytes; neither the job nor the names are in them."""
        args = ("é", [1.0], {"b": 1, "a": 2})
        assert self.make_serializer().dumps("a", ("x",), args) == self.make_serializer().dumps("b", (), args)

    def test_dumps_changes_no_argument(self) -> None:
        """The caller's lists and dicts are as they were."""
        args: tuple[object, ...] = ([1, {"k": [2.0]}], {"a": None})
        self.through(args)
        assert _same(args, ([1, {"k": [2.0]}], {"a": None}))

    @pytest.mark.parametrize("value", _DELICATE)
    def test_dumps_refuses_what_would_not_come_back(self, value: object) -> None:
        """A value comes back equal and of its type, or is refused: it never arrives as something else."""
        if self.carries(value):
            return
        refused = self.refused(value)
        assert (refused.job, refused.argument.partition("[")[0].partition(".")[0]) == ("remind", "when")
        assert refused.type_name
        assert refused.serializer
        assert str(refused).endswith("Nothing was enqueued.")
        assert len(str(refused)) < 1000, "the error shows the value; it may be long, and it may be secret"

    @pytest.mark.parametrize("value", _DELICATE)
    def test_dumps_refuses_it_wherever_it_is(self, value: object) -> None:
        """Within lists and dicts the same holds, and the error names the argument that has it."""
        if self.carries(value):
            assert self.carries([{"deep": value}])
            return
        for args in ((1, [value]), ("x", {"k": [1, {"deep": value}]})):
            assert self.refused(*args, names=("first", "second")).argument.startswith("second")

    def test_dumps_names_a_keyword_by_its_name(self) -> None:
        """Keyword-only arguments travel in a last `{"taskq:kw": {...}}`; the error names the keyword."""
        refused = self.refused("a", {"taskq:kw": {"to": 1, "when": object()}}, names=("first",))
        assert refused.argument == "when"

    def test_dumps_counts_arguments_that_have_no_name(self) -> None:
        """Behind the last name an argument is called by its place."""
        assert self.refused(1, 2, object(), names=("first",)).argument == "args[2]"

    def test_dumps_refuses_a_circle(self) -> None:
        """A list that contains itself ends neither in an overflow nor in a loop."""
        assert self.refused(_circle()).argument.startswith("when")

    def test_dumps_carries_one_value_seen_twice(self) -> None:
        """Twice the same list is no circle."""
        shared = ["x"]
        assert self.through(([shared, shared], {"a": shared})) == ([["x"], ["x"]], {"a": ["x"]})

    def test_dumps_carries_the_deepest_that_a_payload_may_be(self) -> None:
        """Lists and dicts may nest 97 deep."""
        assert self.carries(_nested(97))

    def test_dumps_is_none_the_worse_for_a_refusal(self) -> None:
        """One object serves a whole process: what it refused leaves nothing behind."""
        serializer = self.make_serializer()
        for _ in range(3):
            with pytest.raises(UnserializableArgument):
                serializer.dumps("remind", ("when",), (_circle(),))
            assert serializer.loads(json.loads(serializer.dumps("remind", ("when",), ([1],)))) == ([1],)

    def test_dumps_side_by_side(self) -> None:
        """It has no state, and is safe in every thread."""
        serializer = self.make_serializer()

        def carry(number: int) -> bool:
            sent = [(number, [str(number)] * count) for count in range(200)]
            return all(serializer.loads(json.loads(serializer.dumps("remind", (), args))) == args for args in sent)

        assert side_by_side(*(partial(carry, number) for number in range(4))) == [True] * 4

    # ---- loads

    def test_loads_gives_back_what_dumps_was_given(self) -> None:
        """Whatever JSON has comes back equal and of its type."""

        # Hypothesis wants each function that it drives to belong to one class; this one belongs to the test.
        @UNHURRIED
        @given(args=st.lists(_VALUES).map(tuple))
        def check(args: tuple[object, ...]) -> None:
            assert _same(self.through(args), args)

        check()

    def test_loads_gives_back_the_further_types_of_this_serializer(self) -> None:
        """So do the values in `more`, wherever they stand."""
        for value in self.more:
            assert self.carries(value), f"{envelope.inspect((value,), limit=200)} is in `more`, and is refused"
            assert self.carries([value])
            assert self.carries({"k": value})

    def test_loads_leaves_what_bears_another_tag(self) -> None:
        """Another serializer's list is not ours, and no error: None."""
        assert self.make_serializer().loads(json.loads(envelope.tagged("another", b"x"))) is None

    def test_loads_raises_nothing_but_invalid_payload(self) -> None:
        """Bytes in a queue may be anybody's; what bears our tag and cannot be read is `InvalidPayload`."""
        serializer = self.make_serializer()

        @UNHURRIED
        @given(data=st.binary())
        def check(data: bytes) -> None:
            try:
                read = serializer.loads(json.loads(envelope.tagged(serializer.name, data)))
            except InvalidPayload:
                return
            assert read is None or isinstance(read, tuple)

        check()


def _same(one: object, other: object) -> bool:
    """Whether two values are equal all the way down, types too: 1, 1.0 and True are three things, 0.0 and -0.0 two.

    Not recursive: values may nest deeper than Python does.
    """
    waiting = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, dict) and isinstance(right, dict):
            if len(left) != len(right):
                return False
            waiting += zip(left, right, strict=True)
            waiting += zip(left.values(), right.values(), strict=True)
        elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
            if len(left) != len(right):
                return False
            waiting += zip(left, right, strict=True)
        elif isinstance(left, float):
            if repr(left) != repr(right):
                return False
        elif left != right:
            return False
    return True
