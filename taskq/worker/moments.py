"""The moments of a worker's life, as its hooks are told them: what happens, in the words of `taskq.hook.Hook`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from taskq import events
from taskq.chain import Hooks, Moment

__all__ = ["moments"]


def moments(hooks: Hooks, worker: Callable[[], str]) -> events.Tell:
    """Tells hooks the moments of the worker's life: only those that any of them listens to."""
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

    def settled(event: events.SettledJob) -> None:
        task = event.task
        if task.problem is None and task.definition is not None:
            hooks.tell_quietly("settled", replace(event.settled, context=task.context()))
        else:
            hooks.tell_quietly("settled", event.settled)

    tells: Mapping[Moment, Mapping[type, Callable[..., None]]] = {
        "settled": {events.SettledJob: settled},
        "queue_empty": {events.Found: found, events.Empty: empty},
        "shutdown": {events.Stopping: stopping},
        "before_pause": {events.Paused: lambda _: hooks.tell_quietly("before_pause", worker())},
        "after_pause": {events.Resumed: lambda _: hooks.tell_quietly("after_pause", worker())},
    }
    told = {event: tell for moment, its in tells.items() if hooks.listens(moment) for event, tell in its.items()}

    def tell(event: events.Event) -> None:
        listener = told.get(type(event))
        if listener is not None:
            listener(event)

    return tell
