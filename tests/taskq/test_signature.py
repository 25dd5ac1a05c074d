from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq.errors import JobDefinitionError, WrongCall
from taskq.signature import Signature

UNSET = object()


def plain(to: str, subject: str, body: str = "...") -> None: ...


def keyword_only(user: int, *, when: str, retry: bool = False) -> None: ...


def everything(a: int, /, b: int, c: int = 3, *rest: int, d: int = 4, **more: int) -> None: ...


def sentinel(a: int, b: object = UNSET, c: int = 3) -> None: ...


def signature(function: Callable[..., object]) -> Signature:
    return Signature(function.__name__, function)


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "sent"),
    [
        (plain, ("a", "b"), {}, ("a", "b")),
        (plain, ("a",), {"subject": "b"}, ("a", "b")),
        (plain, (), {"body": "x", "subject": "b", "to": "a"}, ("a", "b", "x")),
        (keyword_only, (1,), {"when": "now"}, (1, {"taskq:kw": {"when": "now"}})),
        (
            keyword_only,
            (),
            {"retry": True, "when": "now", "user": 1},
            (1, {"taskq:kw": {"when": "now", "retry": True}}),
        ),
        (everything, (1, 2, 3, 4, 5), {}, (1, 2, 3, 4, 5)),
        (everything, (1, 2), {"z": 9}, (1, 2, {"taskq:kw": {"z": 9}})),
        (everything, (1, 2), {"a": 9}, (1, 2, {"taskq:kw": {"a": 9}})),
    ],
)
def test_bind_makes_positions_of_keywords_where_it_can(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object], sent: tuple[object, ...]
) -> None:
    assert signature(function).bind(args, kwargs) == sent


def test_bind_sends_a_default_that_stands_before_what_was_said() -> None:
    def job(a: int, b: int = 2, c: int = 3) -> None: ...

    assert signature(job).bind((1,), {"c": 9}) == (1, 2, 9)


def test_bind_leaves_a_default_that_no_serializer_carries_at_home() -> None:
    assert signature(sentinel).bind((1,), {"c": 9}) == (1, {"taskq:kw": {"c": 9}})


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        (("a",), {}, 'misses the argument "subject"'),
        ((), {}, 'misses the arguments "to" and "subject"'),
        (("a", "b", "c", "d"), {}, "takes at most 3 arguments, and was given 4"),
        (("a", "b"), {"to": "c"}, 'was given "to" twice, by position and by keyword'),
        (("a", "b"), {"bdoy": "c"}, 'has no argument "bdoy" (did you mean "body"?)'),
        (("a", "b"), {"zzzz": "c"}, 'has no argument "zzzz"'),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_shows_the_right_one(
    args: tuple[object, ...], kwargs: dict[str, object], reason: str
) -> None:
    with pytest.raises(WrongCall) as caught:
        Signature("send_email", plain).bind(args, kwargs)
    assert str(caught.value) == (
        f"send_email() {reason}. Signature: send_email(to: str, subject: str, body: str = '...'). Nothing was enqueued."
    )


def test_a_missing_keyword_only_argument_is_named() -> None:
    with pytest.raises(WrongCall, match=r'keyword_only\(\) misses the argument "when"\.'):
        signature(keyword_only).bind((1,), {})


def test_an_argument_that_looks_like_keywords_arrives_as_an_argument() -> None:
    marked = {"taskq:kw": {"body": "x"}}
    sent = signature(plain).bind(("a", marked), {})
    assert sent == ("a", marked, {"taskq:kw": {}})
    assert signature(plain).unbind(sent) == (("a", marked), {})


@pytest.mark.parametrize("args", [("a",), ("a", "b", "c", "d"), ("a", "b", {"taskq:kw": {"x": 1}})])
def test_a_payload_that_does_not_fit_is_a_type_error_with_the_signature(args: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match=r"plain\(\) .*Signature here: plain\(to: str, subject: str"):
        signature(plain).unbind(args)


def test_names_are_those_of_the_parameters() -> None:
    assert signature(plain).names(("a", "b")) == ("to", "subject")
    assert signature(everything).names((1, 2, 3, 4, 5)) == ("a", "b", "c", "rest[0]", "rest[1]")
    assert signature(keyword_only).names((1, {"taskq:kw": {"when": "x"}})) == ("user", "taskq:kw")
    assert signature(plain).names(("a", "b", "c", "d")) == ("to", "subject", "body", "args[3]")


def test_secret_arguments_are_hidden_wherever_they_travel() -> None:
    hidden = "[secret]"
    assert signature(plain).shown(("a", "b"), frozenset({"subject"})) == ("a", hidden)
    assert signature(everything).shown((1, 2, 3, 4, 5), frozenset({"rest"})) == (1, 2, 3, hidden, hidden)
    named = (1, {"taskq:kw": {"when": "x", "retry": True}})
    shown = (1, {"taskq:kw": {"when": hidden, "retry": True}})
    assert signature(keyword_only).shown(named, frozenset({"when"})) == shown
    more = (1, 2, {"taskq:kw": {"d": 1, "z": 2}})
    assert signature(everything).shown(more, frozenset({"more"})) == (1, 2, {"taskq:kw": {"d": 1, "z": hidden}})


def test_a_secret_of_a_payload_that_does_not_fit_stays_hidden() -> None:
    assert signature(plain).shown(("a", "b", "c", "d"), frozenset({"subject"})) == ("a", "[secret]", "c", "d")


def test_what_has_no_signature_cannot_be_a_job() -> None:
    with pytest.raises(JobDefinitionError, match="cannot tell the signature"):
        Signature("job", type("Odd", (), {"__call__": 3, "__signature__": 3})())


@given(
    args=st.lists(st.integers(), max_size=6),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(), max_size=5),
    function=st.sampled_from([plain, keyword_only, everything, sentinel]),
)
def test_binding_agrees_with_python_and_loses_nothing(
    args: list[int], kwargs: dict[str, int], function: Callable[..., Any]
) -> None:
    python = inspect.signature(function)
    ours = signature(function)
    try:
        function(*args, **kwargs)  # not `python.bind`, which in 3.13.0 lets a positional-only one be left out
    except TypeError:
        with pytest.raises(WrongCall):
            ours.bind(tuple(args), kwargs)
        return
    expected = python.bind(*args, **kwargs)
    positional, by_keyword = ours.unbind(ours.bind(tuple(args), kwargs))
    arrived = python.bind(*positional, **by_keyword)
    expected.apply_defaults()
    arrived.apply_defaults()
    assert arrived.arguments == expected.arguments


class TestNamed:
    def test_gives_each_parameter_its_value_or_its_default(self) -> None:
        def job(to: str, /, subject: str = "Hi", *rest: int, urgent: bool = False, **more: str) -> None: ...

        signature = Signature("job", job)
        assert signature.named(("a",)) == {"to": "a", "subject": "Hi", "urgent": False}
        sent = signature.bind(("a", "b", 1, 2), {"urgent": True, "x": "y"})
        named = signature.named(sent)
        assert named == {"to": "a", "subject": "b", "rest[0]": 1, "rest[1]": 2, "urgent": True, "x": "y"}

    def test_what_has_no_parameter_here_has_its_place(self) -> None:
        signature = Signature("job", lambda to: None)
        assert signature.named(("a", "b")) == {"to": "a", "args[1]": "b"}

    def test_an_argument_that_looks_like_keywords_is_an_argument(self) -> None:
        signature = Signature("job", lambda given: None)
        looks = {"taskq:kw": {"x": 1}}
        assert signature.named(signature.bind((looks,), {})) == {"given": looks}


class TestSaid:
    def test_need_not_be_whole(self) -> None:
        signature = Signature("job", lambda to, subject: None)
        assert signature.said((), {"subject": "Hi"}) == {"subject": "Hi"}
        assert signature.said(("a",), {}) == {"to": "a"}

    def test_what_takes_the_rest_takes_anything(self) -> None:
        def job(*to: str, **more: str) -> None: ...

        assert Signature("job", job).said(("a", "b"), {"x": "y"}) == {"to[0]": "a", "to[1]": "b", "x": "y"}

    @pytest.mark.parametrize(("args", "kwargs"), [(("a", "b", "c"), {}), (("a",), {"to": "b"}), ((), {"tu": "a"})])
    def test_what_no_call_can_say_is_refused(self, args: tuple[str, ...], kwargs: dict[str, str]) -> None:
        with pytest.raises(WrongCall):
            Signature("job", lambda to, subject: None).said(args, kwargs)
