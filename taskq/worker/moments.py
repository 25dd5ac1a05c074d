"""The moments of a worker's life, as its hooks are told them: what happens, in the words of `taskq.hook.Hook`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskq import events
from taskq.chain import Hooks, Moment
from taskq.hook import Settled

__all__ = ["Moments"]


class Moments:
    """Tells hooks the moments of a worker's life: only those that any of them listens to."""

    def __init__(self, hooks: Hooks, worker: Callable[[], str]) -> None:
        """`worker` says its id."""
        busy = True

        def found(event: events.Found) -> None:
            nonlocal busy
            busy = True

        def empty(event: events.Empty) -> None:
            nonlocal busy
            if busy:
                busy = False
                hooks.tell_quietly("queue_empty", worker())

        def stopping(event: events.Stopping) -> None:
            if not event.again:
                hooks.tell_quietly("shutdown", worker())

        def settling(event: events.SettlingJob) -> None:
            hooks.tell_quietly("settling", _with_context(event))

        def settled(event: events.SettledJob) -> None:
            hooks.tell_quietly("settled", _with_context(event))

        tells: Mapping[Moment, Mapping[type, Callable[..., None]]] = {
            "settling": {events.SettlingJob: settling},
            "settled": {events.SettledJob: settled},
            "queue_empty": {events.Found: found, events.Empty: empty},
            "shutdown": {events.Stopping: stopping},
            "before_pause": {events.Paused: lambda _: hooks.tell_quietly("before_pause", worker())},
            "after_pause": {events.Resumed: lambda _: hooks.tell_quietly("after_pause", worker())},
        }
        self._told = {
            kind: tell for moment, its in tells.items() if hooks.listens(moment) for kind, tell in its.items()
        }

    def __call__(self, event: events.Event) -> None:
        """Tell it."""
        tell = self.hears(type(event))
        if tell is not None:
            tell(event)

    def hears(self, kind: type) -> events.Tell | None:
        """What is to be told events of this kind; None where they mean nothing here."""
        return self._told.get(kind)


def _with_context(event: events.SettlingJob | events.SettledJob) -> Settled:
    task = event.task
    if task.problem is not None or task.definition is None:
        return event.settled
    return event.settled._replace(context=task.context())
