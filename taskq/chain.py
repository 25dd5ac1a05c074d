"""The enabled hooks as one object: what wraps is nested once, who is told is looked up once.

Only methods that a hook defines itself are ever called, so that with no hooks there is nothing to pay.
This module knows neither brokers nor jobs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

from taskq.errors import ConfigurationError, Problem
from taskq.hook import Enqueued, EnqueueRequest, Hook, PerformContext

__all__ = ["Hooks", "Moment"]

Moment: TypeAlias = Literal[
    "before_first_fork",
    "before_fork",
    "after_fork",
    "before_pause",
    "after_pause",
    "queue_empty",
    "worker_exit",
    "shutdown",
    "progressed",
    "settling",
    "settled",
    "requeueing",
    "cancelled",
    "flush",
]

_MOMENTS: Final[tuple[Moment, ...]] = (
    "before_first_fork",
    "before_fork",
    "after_fork",
    "before_pause",
    "after_pause",
    "queue_empty",
    "worker_exit",
    "shutdown",
    "progressed",
    "settling",
    "settled",
    "requeueing",
    "cancelled",
    "flush",
)


class Hooks:
    """The hooks of an application, in order; the first is the outermost.

    Args:
        hooks: objects that define some of the methods of `taskq.hook.Hook`.

    Attributes:
        hooks: these, in their order.
        names: their names, in the same order.

    Raises:
        ConfigurationError: one stands on the wrong side of another that it names in `before` or `after`.
    """

    __slots__ = ("_told", "hooks", "names")

    def __init__(self, hooks: Sequence[object] = ()) -> None:
        self.hooks: tuple[Any, ...] = tuple(hooks)
        self.names = tuple(_name(hook) for hook in self.hooks)
        self._check_order()
        self._told: dict[Moment, tuple[tuple[str, Callable[..., object]], ...]] = {
            moment: self._defining(moment) for moment in _MOMENTS
        }

    def around_enqueue(self, inner: Callable[[EnqueueRequest], Enqueued]) -> Callable[[EnqueueRequest], Enqueued]:
        """`inner` within every hook's `wrap_enqueue`; `inner` itself where none has it."""
        return self._nested([_answering(name, method) for name, method in self._defining("wrap_enqueue")], inner)

    def around_perform(self, inner: Callable[[PerformContext], object]) -> Callable[[PerformContext], object]:
        """`inner`, which performs a plain job, within every hook's `wrap_perform`."""
        return self._nested([method for _, method in self._defining("wrap_perform")], inner)

    def around_perform_async(
        self, inner: Callable[[PerformContext], Awaitable[object]]
    ) -> Callable[[PerformContext], Awaitable[object]]:
        """`inner`, which performs an `async def` job on its event loop, within every hook's `awrap_perform`."""
        return self._nested([method for _, method in self._defining("awrap_perform")], inner)

    def around_loop(self, inner: Callable[[PerformContext], object]) -> Callable[[PerformContext], object]:
        """`inner`, which runs an event loop for one `async def` job, within each `wrap_perform` that has no twin."""
        return self._nested(
            [
                hook.wrap_perform
                for hook in self.hooks
                if _defines(hook, "wrap_perform") and not _defines(hook, "awrap_perform")
            ],
            inner,
        )

    def wraps_perform(self) -> bool:
        """Whether any hook wraps the performing of plain jobs."""
        return bool(self._defining("wrap_perform"))

    def listens(self, moment: Moment) -> bool:
        """Whether any hook is told this moment: where none is, the caller need not make what it would be told."""
        return bool(self._told[moment])

    def tell(self, moment: Moment, *args: object) -> None:
        """Tell every hook; what one raises rises, and those after it are not told."""
        for _, method in self._told[moment]:
            method(*args)

    def tell_quietly(self, moment: Moment, *args: object) -> None:
        """Tell every hook; what one raises is logged under `taskq.hooks`, and the next one is told."""
        for name, method in self._told[moment]:
            _quietly(name, moment, method, *args)

    def tell_requeueing(self, queue: str, body: bytes) -> Callable[[], None]:
        """Tell every hook `requeueing`, quietly. What is returned has each take back what it did, the last first."""
        undoing = [
            (name, undo)
            for name, method in self._told["requeueing"]
            if (undo := _quietly(name, "requeueing", method, queue, body)) is not None
        ]

        def take_back() -> None:
            for name, undo in reversed(undoing):
                _quietly(name, "taking back what it did in requeueing", cast("Callable[[], object]", undo))

        return take_back

    def _defining(self, method: str) -> tuple[tuple[str, Callable[..., Any]], ...]:
        return tuple(
            (name, getattr(hook, method))
            for name, hook in zip(self.names, self.hooks, strict=True)
            if _defines(hook, method)
        )

    @staticmethod
    def _nested(layers: list[Callable[..., Any]], inner: Callable[..., Any]) -> Callable[..., Any]:
        for layer in reversed(layers):
            inner = _layer(layer, inner)
        return inner

    def _check_order(self) -> None:
        place = {name: i for i, name in enumerate(self.names)}
        problems = []
        for name, hook in zip(self.names, self.hooks, strict=True):
            wrong = [
                (name, other) for other in getattr(hook, "before", ()) if place.get(other, len(place)) < place[name]
            ]
            wrong += [(other, name) for other in getattr(hook, "after", ()) if place.get(other, -1) > place[name]]
            problems += [
                Problem("hooks", "hooks", f"{first} must come before {second}, says {name}; here it comes after it.")
                for first, second in wrong
            ]
        if problems:
            raise ConfigurationError(problems)


def _quietly(name: str, moment: str, method: Callable[..., object], *args: object) -> object:
    """What a hook's method returns; None where it raised, which is logged."""
    try:
        return method(*args)
    except (Exception, SystemExit):  # a hook's `sys.exit()` would end the worker, its job in hand
        import logging

        logging.getLogger("taskq.hooks").exception("Hook %s failed in %s.", name, moment)
        return None


def _layer(wrap: Callable[..., Any], call_next: Callable[..., Any]) -> Callable[..., Any]:
    return lambda subject: wrap(subject, call_next)


def _answering(name: str, wrap: Callable[..., Any]) -> Callable[..., Enqueued]:
    def wrap_enqueue(request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        answer = wrap(request, call_next)
        if not isinstance(answer, Enqueued):
            raise TypeError(
                f"wrap_enqueue of the hook {name} returned {type(answer).__name__}. It must return what "
                "call_next(request) gave, or Vetoed(...), or Deferred(...). The job may have been enqueued."
            )
        return answer

    return wrap_enqueue


def _defines(hook: object, method: str) -> bool:
    own = getattr(type(hook), method, None)
    return (own is not None and own is not getattr(Hook, method)) or method in getattr(hook, "__dict__", ())


def _name(hook: object) -> str:
    return getattr(hook, "name", "") or type(hook).__name__
