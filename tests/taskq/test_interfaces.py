"""What the methods of a plugin do not take is said when it is loaded, and of whom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock

import pytest

from taskq import plugins
from taskq.app import TaskQ
from taskq.errors import PluginError
from taskq.failure_handler import FailureHandler
from taskq.hook import Hook
from taskq.serializer import Serializer
from taskq_memory import MemoryBroker


def refused(namespace: str, made: object) -> str:
    with plugins.override(namespace, "mine", made), pytest.raises(PluginError) as caught:
        plugins.create_all(namespace, ["mine"], source="TASKQ_HOOKS")
    return str(caught.value)


def hook(**methods: object) -> object:
    return type("Mine", (Hook,), {"queue_empty": lambda self, worker: None, **methods})()


async def awaited(self: object, context: object, call_next: Callable[[object], Any]) -> object: ...


def plain(self: object, context: object, call_next: Callable[[object], object]) -> object: ...


def yielding(self: object, settled: object) -> object:
    yield


@functools.wraps(plain)
def wrapping(*args: object, **kwargs: object) -> object: ...


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("flush", lambda: None, "Mine.flush has no self, and is called with ()"),
        (
            "wrap_enqueue",
            lambda self, request: None,
            "Mine.wrap_enqueue takes (request), and is called with (request, call_next)",
        ),
        ("settled", lambda settled: None, "Mine.settled takes (), and is called with (settled)"),
        ("flush", lambda self, *, seconds: None, "Mine.flush takes (*, seconds), and is called with ()"),
        ("wrap_perform", awaited, "Mine.wrap_perform is an async def, and is called as a plain function"),
        ("awrap_perform", plain, "Mine.awrap_perform is awaited, and has to be an async def"),
        ("settled", yielding, "Mine.settled has a yield: when it is called, nothing in it is run"),
        ("shutdown", "now", "Mine.shutdown is a str, and no method"),
        ("after", "logging", 'Mine.after is a text, and has to be a tuple: ("logging",)'),
    ],
)
def test_a_hook_says_which_method_is_wrong_and_what_it_is_called_with(method: str, given: object, said: str) -> None:
    assert refused(plugins.HOOKS, hook(**{method: given})) == (
        f'TASKQ_HOOKS: "mine" of plugins.override(...) is no hook: {said}. '
        'What it has to have: help("taskq.hook.Hook").'
    )


@pytest.mark.parametrize(
    "methods",
    [
        {"wrap_enqueue": lambda self, a, b: None},
        {"wrap_enqueue": lambda self, *args: None},
        {"wrap_perform": lambda self, context, call_next, extra=1: None},
        {"wrap_perform": wrapping},
        {"awrap_perform": awaited},
        {"settled": staticmethod(lambda settled: None)},
        {"settled": classmethod(lambda cls, settled: None)},
        {"settled": functools.partialmethod(lambda self, ahead, settled: None, 1)},
        {"settled": Mock()},
        {"flush": print},
    ],
    ids=lambda methods: next(iter(methods)),
)
def test_whatever_takes_what_it_is_called_with_is_let_through(methods: dict[str, object]) -> None:
    made = hook(**methods)
    assert plugins.create_all(plugins.HOOKS, [made]) == [made]
    with plugins.override(plugins.HOOKS, "mine", type(made)):  # and of the class, which nobody makes
        [listed] = [info for info in plugins.catalogue() if info.name == "mine"]
    assert listed.error is None


def test_all_that_is_wrong_with_one_comes_at_once() -> None:
    text = refused(plugins.HOOKS, hook(flush=lambda: None, settled=lambda self: None))
    assert "Mine.flush has no self, and is called with (); Mine.settled" in text or "; Mine.flush has no self" in text
    assert "Mine.settled takes (), and is called with (settled)" in text


def test_a_method_put_on_the_object_alone_is_looked_at_too() -> None:
    class Mine:
        def __init__(self) -> None:
            self.settled = lambda: None

    assert "Mine.settled takes (), and is called with (settled)" in refused(plugins.HOOKS, Mine())


class Helped(Hook):
    """What is no hook's method, and stands near to one."""

    names = ("a", "b")

    def wrap_enqueue(self, request: Any, call_next: Callable[[Any], Any]) -> Any:
        self.settle(request)

        def inner() -> None:
            self.progress(request, 1, None)

        inner()

    def wrap_enqueued(self, request: Any, call_next: Callable[[Any], Any]) -> Any: ...
    def settle(self, settled: object) -> None: ...
    def progress(self, context: object, done: float, total: float | None) -> None: ...
    def shut_down(self) -> None: ...
    def flushed(self) -> None: ...
    def _queue_emptyy(self, worker: str) -> None: ...


class Misspelt:
    wrap_enque = awrap_enqueue = wrapping
    option = int

    def on_settled(self, settled: object) -> None: ...


def test_a_name_that_is_nearly_a_hooks_is_said_and_a_helper_is_let_through() -> None:
    text = refused(plugins.HOOKS, Misspelt())
    assert text.startswith(
        'TASKQ_HOOKS: "mine" of plugins.override(...) is no hook: Misspelt has none of the methods of one; '
    )
    for wrong, right in (
        ("wrap_enque", "wrap_enqueue"),
        ("awrap_enqueue", "wrap_enqueue"),
        ("on_settled", "settled"),
        ("option", "options"),
    ):
        said = f"Misspelt.{wrong} would never be used: call it {right}, or _{wrong} where it is a helper"
        assert said in text
    helped = Helped()
    assert plugins.create_all(plugins.HOOKS, [helped]) == [helped]


def test_what_is_missing_is_said_with_what_it_was_called_instead() -> None:
    class Deciding:
        name = "mine"

        def decides(self, failure: object) -> None: ...

    text = refused(plugins.FAILURE_HANDLERS, Deciding())
    assert "Deciding has no decide, decided; " in text
    assert "Deciding.decides would never be used: call it decide" in text


class Reversed:
    name = "reversed"

    def dumps(self, names: tuple[str, ...], args: tuple[object, ...]) -> str:
        return ""

    async def loads(self, args: list[object]) -> tuple[object, ...] | None: ...


class Undecided(FailureHandler):
    def decide(self) -> None: ...  # type: ignore[override]


def test_serializers_and_failure_handlers_likewise() -> None:
    text = refused(plugins.SERIALIZERS, Reversed())
    assert "Reversed.dumps takes (names, args), and is called with (job, names, args)" in text
    assert "Reversed.loads is an async def" in text
    assert "Undecided.decide takes (), and is called with (failure)" in refused(plugins.FAILURE_HANDLERS, Undecided())


class Narrow(MemoryBroker):
    def push(self, queue: str, bodies: Sequence[bytes]) -> None: ...  # type: ignore[override]


class Renaming(MemoryBroker):
    def pause(self, name: str | None = None) -> None: ...


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        (Narrow, "Narrow.push takes (queue, bodies), and is called with (queue, bodies, *, front=False)"),
        (Renaming, "Renaming.pause takes (name=None), and is called with (queue=None)"),
    ],
)
@pytest.mark.parametrize("ready", [True, False], ids=["object", "address"])
def test_a_broker_as_an_object_or_an_address(broker: type[MemoryBroker], said: str, ready: bool) -> None:
    opens = plugins.override(plugins.BACKENDS, "mine", lambda source, /, **_: broker())
    with opens, pytest.raises(PluginError) as caught:
        plugins.open_broker(broker() if ready else "mine://", place="TASKQ_BROKER")
    who = f'"{broker.__name__}"' if ready else '"mine" of plugins.override(...)'
    assert str(caught.value).startswith(f"TASKQ_BROKER: {who} is no backend: {said}.")


class Audit:
    def wrap_enqueue(self, request: object) -> None:
        raise AssertionError("it was called")


def test_an_application_says_it_before_it_enqueues() -> None:
    said = r'"Audit" is no hook: Audit\.wrap_enqueue takes \(request\)'
    with TaskQ(broker="memory://", hooks=[Audit()]) as app, pytest.raises(PluginError, match=said):
        app.enqueue_to("low", "Some", 1)


def test_every_part_that_taskq_ships_keeps_its_interface() -> None:
    serializers: list[Serializer] = plugins.create_all(plugins.SERIALIZERS, plugins.names(plugins.SERIALIZERS))
    assert serializers
    assert plugins.create_all(plugins.HOOKS, plugins.names(plugins.HOOKS))
    assert plugins.create_all(plugins.FAILURE_HANDLERS, plugins.names(plugins.FAILURE_HANDLERS))
    assert [info for info in plugins.catalogue() if info.error] == []
