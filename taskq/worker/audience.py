"""Who is told what happens: the log, the hooks, whoever observes; of one worker, or of all of its process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskq import events
from taskq.chain import Hooks
from taskq.worker.moments import Moments
from taskq.worker.report import Report

__all__ = ["Audience"]


class Audience:
    """Told of an event, it tells everybody: what concerns all workers of this process. For those of one, see `of`."""

    def __init__(
        self, report: Report, hooks: Hooks, observers: Sequence[events.Tell], registered: Callable[[], None]
    ) -> None:
        """Nobody works yet.

        Args:
            report: the log; told first.
            hooks: told the moments among them.
            observers: told last.
            registered: called once the broker knows a worker.
        """
        self._report = report
        self._hooks = hooks
        self._observers = tuple(observers)
        self._registered = registered
        self._moments: list[Moments] = []
        self._child_tells: Callable[[events.Event], bool] = lambda _: False

    def __call__(self, event: events.Event) -> None:
        """Tell it."""
        if self._child_tells(event):
            return
        for listener in self._listeners(type(event), self._moments, self._observers):
            listener(event)

    def leave_to_child(self, tells: Callable[[events.Event], bool], hear: events.Tell) -> None:
        """From now on pass over what a child tells, and have its parent hear the rest."""
        self._child_tells = tells
        self._observers = (*self._observers, hear)

    def of(self, worker: Callable[[], str]) -> events.Tell:
        """Who is told what one worker does, given what says its id."""
        its_moments, observers = Moments(self._hooks, worker), self._observers
        self._moments.append(its_moments)
        # A job has three events, and most listeners mean none of them: who is told is looked up once a kind.
        listeners: dict[type, tuple[events.Tell, ...]] = {}

        def tell(event: events.Event) -> None:
            kind = type(event)
            hearing = listeners.get(kind)
            if hearing is None:
                hearing = self._listeners(kind, [its_moments], observers)
                if kind is events.Registered:
                    hearing = (*hearing, lambda _: self._registered())
                listeners[kind] = hearing
            for listener in hearing:
                listener(event)

        return tell

    def _listeners(
        self, kind: type, moments: Sequence[Moments], observers: Sequence[events.Tell]
    ) -> tuple[events.Tell, ...]:
        hearing = [self._report.hears(kind), *(each.hears(kind) for each in moments)]
        return (*filter(None, hearing), *observers)
