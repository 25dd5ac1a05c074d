"""Who is told what happens: the log, the hooks, whoever observes; of one worker, or of all of its process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskq import events
from taskq.chain import Hooks
from taskq.worker.moments import moments

__all__ = ["Audience"]


class Audience:
    """Told of an event, it tells everybody: what concerns all workers of this process. For those of one, see `of`."""

    def __init__(
        self, report: events.Tell, hooks: Hooks, observers: Sequence[events.Tell], registered: Callable[[], None]
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
        self._moments: list[events.Tell] = []
        self._child_tells: Callable[[events.Event], bool] = lambda _: False

    def __call__(self, event: events.Event) -> None:
        """Tell it."""
        if self._child_tells(event):
            return
        for listener in (self._report, *self._moments, *self._observers):
            listener(event)

    def leave_to_child(self, tells: Callable[[events.Event], bool], hear: events.Tell) -> None:
        """From now on pass over what a child tells, and have its parent hear the rest."""
        self._child_tells = tells
        self._observers = (*self._observers, hear)

    def of(self, worker: Callable[[], str]) -> events.Tell:
        """Who is told what one worker does, given what says its id."""
        its_moments = moments(self._hooks, worker)
        self._moments.append(its_moments)
        listeners = (self._report, its_moments, *self._observers)

        def tell(event: events.Event) -> None:
            for listener in listeners:
                listener(event)
            if isinstance(event, events.Registered):
                self._registered()

        return tell
