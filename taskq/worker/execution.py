"""What an execution model is: where a job is performed. The loop cannot tell which it has."""

from __future__ import annotations

from typing import Protocol

from taskq.outcome import Outcome
from taskq.performing import Task

__all__ = ["Execution"]


class Execution(Protocol):
    """Performs one task at a time, somewhere, for the worker that holds it."""

    def start(self) -> None:
        """Make ready, once the worker is registered: heartbeats are this model's to keep up from now on."""
        ...

    def perform(self, task: Task) -> Outcome:
        """Perform it and say how it ended, whatever happens to it.

        Until it returns, this model keeps the worker's heart beating, and ends the task when `Control` says so.
        """
        ...

    def between(self) -> float | None:
        """Called while the worker is idle. In how many seconds it wants to be called again; None if never."""
        ...

    def stop(self) -> None:
        """End what was started. Complete when it returns; may come twice, or before `start`."""
        ...
