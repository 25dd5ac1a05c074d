"""Jobs in the worker's own process and thread, one after another: no isolation, and nothing to pay for it.

A heart beats in a thread beside it. A job can be asked to end (an exception is raised in it) but not be killed: one
that never comes back from C holds its worker until that is told to stop, and then its process ends with it. One that
takes the process with it is found by others.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import ClassVar, Final, NoReturn

from taskq import events, limits, performing
from taskq.cancelling import AGE
from taskq.errors import JobCancelled, TermException
from taskq.outcome import Outcome
from taskq.performing import Task, Tools
from taskq.records import Reservation
from taskq.worker import orphans
from taskq.worker.control import LAST_WORDS, Control
from taskq.worker.hand import Hand
from taskq.worker.heartbeat import Heart
from taskq.worker.interrupt import in_job
from taskq.worker.seat import Seat
from taskq.worker.signals import Ear

__all__ = ["Inline"]

_AGAIN: Final = 0.02  # seconds to the next try to interrupt a job, where taskq's own code stood in its place

_NO_KILL: Final = "USR1 ends no job in the worker's own process. taskq cancel has one end; TERM ends the worker."

_forks = 0  # that led here; `os.getpid` asks the system, which is too dear for each job


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Inline:
    """The execution model `inline`.

    Attributes:
        tools: what performing needs.
        give_up: settles a job that does not end though its worker has to, given for how long it ran, and ends the
            process; called in the heart's thread. None where somebody else sees to that.
    """

    hears_words: ClassVar[bool] = True
    """Whether it looks itself whether its job was cancelled; a parent that watches kills it."""

    def __init__(
        self,
        tools: Tools,
        seat: Seat,
        hand: Hand,
        control: Control,
        ear: Ear,
        tell: events.Tell = lambda _: None,
    ) -> None:
        """Not started yet. `tell` is told what cannot be done here."""
        self.tools = tools
        self._seat = seat
        self._held: Reservation | None = None
        self._look_at = 0.0
        self._cancelled = ("", "")  # the fence of a job that was cancelled, and who did that
        self._hand = hand
        self._limiter = limits.by_alarm(control.manners.timeout_grace)
        self._control = control
        self._tell = tell
        self._ear = ear
        self.give_up: Callable[[Task, float], NoReturn] | None = None
        self._heart = Heart(seat, beside=self._look_after_job, fds=lambda: control.fds if self._busy else ())
        hand.watch = self._heart.nudge
        self._busy = False
        self._task: Task | None = None
        self._began = 0.0
        self._taking = threading.Lock()  # held where a job ends, or is taken from the thread that performs it
        self._taken = False
        self._told_at: float | None = None  # when the job in hand was to end
        self._in_a_hurry = False  # whether somebody had hurried by then
        self._forks = _forks
        # Whether the job in hand was interrupted, and whether somebody had hurried by then; None where it was not yet.
        self._interrupted: bool | None = None

    def start(self) -> None:
        """Beat."""
        self._heart.start()

    def perform(self, task: Task) -> Outcome:
        """Perform it here."""
        outcome: Outcome
        self._seat.begins(task)
        self._interrupted = self._told_at = None
        self._began = time.monotonic()
        self._task, self._held, self._look_at = task, task.reservation, self._began + AGE
        self._busy = True
        self._ear.at_once = self._signalled
        if self._ear.pending:
            self._heart.nudge()  # it came while the job was reserved, when nobody would have nudged
        try:
            outcome = performing.perform(task, self.tools, self._limiter)
        except TermException as late:  # after the job raised something else, while that was being looked at
            self._busy = False  # what follows must not be interrupted too
            outcome = performing.failed(task, late, self.tools, 0.0)
        finally:
            with self._taking:
                self._busy = False
            self._ear.at_once = None
        while self._taken:
            time.sleep(LAST_WORDS)  # it came too late: it is settled, and the process about to end
        self._ear.retake()  # what the job did about signals was for itself
        if _forks != self._forks:
            os._exit(1)  # the job forked, and its copy came back too: there must not be two of this worker
        return outcome

    def between(self) -> float | None:
        """The heart beats by itself."""
        self._ear.retake_bell()
        orphans.reap()
        return None

    def stop(self) -> None:
        """Beat no more."""
        self._heart.stop()

    def _signalled(self, poked: bool, frame: FrameType | None) -> None:
        """In the signal handler, in the middle of a job: the heart's thread listens, for this one is busy."""
        if not poked:
            self._heart.nudge()
        elif self._is_cancelled() and in_job(frame, Inline.perform.__code__):
            by, self._cancelled = self._cancelled[1], ("", "")
            raise JobCancelled(f"Cancelled by {by}")
        elif self._to_be_interrupted() and in_job(frame, Inline.perform.__code__):
            self._interrupted = self._control.hurried
            raise TermException("SIGTERM")

    def _to_be_interrupted(self) -> bool:
        """Once, for what cleans up should have its way; and once more when somebody hurries after that."""
        if not self._busy or not self._control.raises_at_once:
            return False
        return self._interrupted is None or (self._control.hurried and not self._interrupted)

    def _look_after_job(self) -> float | None:
        """In the heart's thread: give back what the job in hand holds up, hear for the busy one, interrupt its job."""
        due = (self._interrupt_if_told(), self._hand.look(), self._cancel_if_asked())
        return min((seconds for seconds in due if seconds is not None), default=None)

    def _is_cancelled(self) -> bool:
        return self._busy and self._held is not None and self._held.fence == self._cancelled[0]

    def _cancel_if_asked(self) -> float | None:
        """In the heart's thread: it looks twice a second, for nobody nudges it when a job begins."""
        if not self.hears_words:
            return None
        if self._is_cancelled():
            self._ear.poke()
            return _AGAIN
        held, now = self._held, time.monotonic()
        if self._busy and held is not None and now >= self._look_at and self._seat.outage.since is None:
            self._look_at = now + AGE
            by = self._seat.words.about([held]).get(held.fence)
            if by is not None:
                self._cancelled = held.fence, by
                return 0.0
        return AGE

    def _interrupt_if_told(self) -> float | None:
        if not self._busy:
            return None
        self._control.listen()
        if self._control.takes_kill():
            self._tell(events.Warned(_NO_KILL))
        deadline = self._control.term_at or self._control.deadline
        if deadline is None:
            return None
        if not self._control.raises_at_once:
            return max(deadline - time.monotonic(), 0.001)
        again = self._give_up_if_due()
        if self._to_be_interrupted():
            self._ear.poke()
            return _AGAIN
        return again

    def _give_up_if_due(self) -> float | None:
        """Give up the job that was told to end, and does not. In how many seconds to look again."""
        control, now = self._control, time.monotonic()
        if self.give_up is None or control.deadline is None:
            return None
        if self._told_at is None:
            self._told_at, self._in_a_hurry = now, control.hurried
        due = max(control.deadline, self._told_at + LAST_WORDS)
        if control.hurried and not self._in_a_hurry:
            due = now  # somebody hurries what is cleaning up
        if now < due:
            return due - now
        with self._taking:
            self._taken = self._busy
        if self._taken:
            assert self._task is not None
            self.give_up(self._task, now - self._began)
        return None
