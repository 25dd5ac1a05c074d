"""A value that holds for a while: in a context, and from the main thread everywhere. It knows nothing of what it holds.

What `using(...)` puts in force and what `plugins.override(...)` puts in its place are seen by the same rule.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Generic, TypeVar

__all__ = ["Scoped"]

T = TypeVar("T")


class Scoped(Generic[T]):
    """Values, one within the other; the innermost holds.

    Who sees one: the code within, and what runs in its context (`asyncio` tasks, `asyncio.to_thread`). Entered in the
    main thread outside of an event loop, as test suites and scripts do, it also holds for every thread of the process
    that has not entered one of its own. Entered in another thread or within an event loop, as request handlers do, it
    is nobody else's.

    Args:
        name: what a debugger shows.
    """

    __slots__ = ("_everywhere", "_lock", "_of_context")

    def __init__(self, name: str) -> None:
        self._of_context: ContextVar[T | None] = ContextVar(name, default=None)
        self._everywhere: list[T] = []
        self._lock = threading.Lock()

    def value(self) -> T | None:
        """What holds here; None where nothing was entered."""
        found = self._of_context.get()
        if found is not None:
            return found
        return self._everywhere[-1] if self._everywhere else None

    @contextlib.contextmanager
    def within(self, value: T) -> Iterator[None]:
        """Have a value hold until it is left."""
        everywhere = threading.current_thread() is threading.main_thread() and not _in_event_loop()
        token = self._of_context.set(value)
        if everywhere:
            with self._lock:
                self._everywhere.append(value)
        try:
            yield
        finally:
            if everywhere:
                with self._lock:
                    self._forget(value)
            # An asynchronous fixture may be left in another context than it was entered in; that one never saw it.
            with contextlib.suppress(ValueError):
                self._of_context.reset(token)

    def _forget(self, value: T) -> None:
        """Take out the last entry of this value, wherever it stands: fixtures may be left in any order."""
        for place in range(len(self._everywhere) - 1, -1, -1):
            if self._everywhere[place] is value:
                del self._everywhere[place]
                return


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # nobody is in a loop of what was never imported
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
