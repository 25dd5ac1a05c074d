"""Jobs in the worker's own process and thread, one after another: no isolation, and nothing to pay for it.

A heart beats in a thread beside it. A job can be asked to end (an exception is raised in it) but not be killed: one
that never comes back from C holds its worker for ever, and one that takes the process with it is found by others.
"""

from __future__ import annotations

import time

from taskq import performing
from taskq.errors import TermException
from taskq.outcome import Outcome
from taskq.performing import Task, Tools
from taskq.worker import orphans
from taskq.worker.control import Control
from taskq.worker.heartbeat import Heart
from taskq.worker.seat import Seat
from taskq.worker.signals import Ear

__all__ = ["Inline"]


class Inline:
    """The execution model `inline`."""

    def __init__(self, tools: Tools, seat: Seat, control: Control, ear: Ear) -> None:
        """Not started yet."""
        self._tools = tools
        self._control = control
        self._ear = ear
        self._heart = Heart(seat, beside=self._look_after_job)
        self._busy = False

    def start(self) -> None:
        """Beat."""
        self._heart.start()

    def perform(self, task: Task) -> Outcome:
        """Perform it here."""
        self._ear.at_once = self._signalled
        self._busy = True
        began = time.perf_counter()
        try:
            return performing.perform(task, self._tools)
        except TermException as late:  # it came in the instant after the job, before the line below
            return performing.failed(task, late, self._tools, time.perf_counter() - began)
        finally:
            self._busy = False
            self._ear.at_once = None

    def between(self) -> float | None:
        """The heart beats by itself."""
        orphans.reap()
        return None

    def stop(self) -> None:
        """Beat no more."""
        self._heart.stop()

    def _signalled(self, poked: bool) -> None:
        """In the signal handler, in the middle of a job: the heart's thread listens, for this one is busy."""
        if not poked:
            self._heart.nudge()
        elif self._busy and self._control.raises_at_once:
            self._busy = False  # once: what cleans up must not be interrupted
            raise TermException("SIGTERM")

    def _look_after_job(self) -> float | None:
        """In the heart's thread: hear for the busy one, and interrupt its job when its time is over."""
        if not self._busy:
            return None
        self._control.listen()
        deadline = self._control.term_at or self._control.deadline
        if deadline is None:
            return None
        if self._control.raises_at_once:
            self._ear.poke()
            return None
        return max(deadline - time.monotonic(), 0.001)
