"""What a worker has been told to do, and until when: stop, pause, kill the job in hand.

Orders come from signals, or, under a supervisor, through its pipe; the meaning is the same. This module knows neither
the broker nor how a job is performed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from taskq import events
from taskq.worker.signals import MEANINGS_TO_POOL, Hearing, Order
from taskq.worker.waiting import readable

__all__ = ["LAST_WORDS", "Control", "Instructions", "Manners"]

LAST_WORDS: Final = 1.0
"""Seconds that a job has for cleaning up once it was told that its worker ends. With the 8 s before it that is less
than the 10 s after which most of what stops a worker kills it.
"""

_ONE_SIGNAL: Final = 1.0
"""Seconds in which the same signal a second time is the same one: a Ctrl-C reaches a whole group, and what started this
process (`make`, a shell, a container's init) hands on what it got itself. A third one within them is somebody's.
"""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a worker ends the job in hand. Seconds.

    Attributes:
        shutdown_timeout: what STOP gives it; 0 kills at once.
        timeout_grace: what it is given once it went over its own time limit and was told, before it is killed.
        term_child: Resque's TERM_CHILD: STOP hands TERM on to it instead, then KILL.
        pre_shutdown_timeout: with TERM_CHILD, the wait before TERM.
        term_timeout: with TERM_CHILD, the wait between TERM and KILL.
        graceful_term: TERM means QUIT; INT still stops.
    """

    shutdown_timeout: float = 8.0
    timeout_grace: float = 5.0
    term_child: bool = False
    pre_shutdown_timeout: float = 0.0
    term_timeout: float = 4.0
    graceful_term: bool = False

    @property
    def grace(self) -> float:
        """The seconds that STOP gives a job, all in all."""
        return self.pre_shutdown_timeout + self.term_timeout if self.term_child else self.shutdown_timeout


class Instructions(Protocol):
    """What a worker has been told, as its loop and its seat ask for it: from the one who hears, or from a `Control`."""

    @property
    def stopping(self) -> bool:
        """No more jobs are to be taken."""
        ...

    @property
    def stopped_at(self) -> float | None:
        """When that was said, by the monotonic clock; None where it was not."""
        ...

    @property
    def deadline(self) -> float | None:
        """When the time of what is in hand is over, by the monotonic clock; None where it may take it."""
        ...

    @property
    def hurried(self) -> bool:
        """It was said again: nothing is waited for any more."""
        ...

    @property
    def paused(self) -> bool:
        """No more jobs are to be taken for now."""
        ...

    @property
    def fds(self) -> tuple[int, ...]:
        """What to wait on beside everything else; when one is readable, `listen`."""
        ...

    def goes_on(self) -> bool:
        """Whether the worker is to take another job."""
        ...

    def listen(self) -> None:
        """Take in what was said since the last time."""
        ...

    def takes_kill(self) -> bool:
        """Whether the job in hand is to be killed now because somebody asked for it. Said once."""
        ...

    def rest(self, seconds: float, fds: Sequence[int] = ()) -> None:
        """Wait so long, or until something is said or a descriptor is readable. Then listen."""
        ...


class Control:
    """The orders given so far.

    Attributes:
        manners: what they mean for the job in hand.
        stopping: no more jobs are to be taken.
        stopped_at: when that was said, by the monotonic clock; None where it was not.
        paused: no more jobs are to be taken for now.
        changes: how often any of these changed: who looks now and then sees that it did, though it is as it was.
        status: the exit status this amounts to.
    """

    def __init__(
        self,
        ear: Hearing,
        manners: Manners,
        tell: events.Tell,
        *,
        supervisor: int | None = None,
        only_told: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing was said yet.

        Args:
            ear: where signals are heard.
            manners: what stopping means.
            tell: who is told what was heard.
            supervisor: a pipe on which a supervisor says what it would otherwise signal, a byte each, the signal's
                number; its end means that the supervisor is gone. None where there is none.
            only_told: signals only wake, and mean what the supervisor says: it stops this process and has it go on for
                reasons of its own.
            clock: monotonic seconds.
        """
        self._ear = ear
        self.manners = manners
        self._tell = tell
        self._supervisor = supervisor
        self._only_told = only_told
        self._clock = clock
        self._last: dict[int, float] = {}
        self._doubled: set[int] = set()
        self._kill = False
        self._lock = threading.Lock()
        self._listened = float("-inf")  # its supervisor may have said something before it was there to hear
        self.stopping = False
        self.stopped_at: float | None = None
        self.hurried = False
        self.paused = False
        self.changes = 0
        self.status = 0
        self._deadline: float | None = None

    # ---- hearing

    @property
    def fds(self) -> tuple[int, ...]:
        """What to wait on beside everything else; when one is readable, `listen`."""
        return (self._ear.fd,) if self._supervisor is None else (self._ear.fd, self._supervisor)

    def goes_on(self) -> bool:
        """Whether the worker is to take another job: False once it was told to stop.

        It listens, but for next to nothing where no signal came; whole once a second, for a supervisor that is gone.
        Who says something through the supervisor's pipe sends a signal after it, which only wakes.
        """
        if self._ear.pending or (self._supervisor is not None and self._clock() - self._listened > 1.0):
            self.listen()
        return not self.stopping

    def listen(self) -> None:
        """Take in what was said since the last time. From any thread."""
        with self._lock:
            self._listened = self._clock()
            for number in self._ear.heard():
                if self._only_told:
                    continue
                # Only the top process takes these from outside: a Ctrl-C reaches a whole group, and would count twice.
                if self._supervisor is not None and MEANINGS_TO_POOL[number] in (Order.QUIT, Order.STOP):
                    continue
                if not self._is_double(number):
                    self._hear(number)
            if self._supervisor is not None:
                self._listen_to_supervisor(self._supervisor)

    def end(self) -> None:
        """End as by QUIT, for a reason of the worker's own. From any thread."""
        with self._lock:
            if not self.stopping:
                self._stop(None)

    def _listen_to_supervisor(self, pipe: int) -> None:
        while readable([pipe], 0):
            said = os.read(pipe, 64)
            if not said:
                self._supervisor = None
                self._tell(events.Warned("The supervisor is gone; this worker ends when its job has."))
                self._hear(signal.SIGQUIT)  # as if it had said so: children are handed on what is heard
                return
            for number in said:
                self._hear(number)

    def _is_double(self, number: int) -> bool:
        """Whether this is the signal heard a moment ago once more. A supervisor hands on each once."""
        if MEANINGS_TO_POOL[number] is not Order.STOP:
            return False
        now = self._clock()
        if now - self._last.get(number, float("-inf")) >= _ONE_SIGNAL or number in self._doubled:
            self._last[number] = now
            self._doubled.discard(number)
            return False
        self._doubled.add(number)
        self._tell(events.Doubled(number))
        return True

    def _hear(self, number: int) -> None:
        order = MEANINGS_TO_POOL[number]
        self._tell(events.Heard(number))
        if order is Order.QUIT or (number == signal.SIGTERM and self.manners.graceful_term):
            if not self.stopping:
                self._stop(None)
        elif order is Order.STOP:
            if self._deadline is not None:
                self._hurry(number)
            else:
                self._stop(self.manners.grace)
        elif order is Order.KILL:
            self._kill = True
        elif order is Order.PAUSE and not self.paused:
            self.paused = True
        elif order is Order.RESUME and self.paused:
            self.paused = False
        self.changes += 1

    def _stop(self, seconds: float | None) -> None:
        now = self._clock()
        self.stopping = True
        if self.stopped_at is None:
            self.stopped_at = now
        if seconds is not None:
            self._deadline = now + seconds
        self.changes += 1
        self._tell(events.Stopping(seconds))

    def _hurry(self, number: int) -> None:
        self.hurried = True
        self._deadline = self._clock()
        self.status = 128 + number
        self._tell(events.Stopping(0.0, again=True))

    # ---- what it means for the job in hand

    def takes_kill(self) -> bool:
        """Whether the job in hand is to be killed now because somebody asked for it. Said once.

        Asked before a job begins too: what was asked for while there was none is about nothing (WIRE.md section 13).
        """
        kill, self._kill = self._kill, False
        return kill

    @property
    def deadline(self) -> float | None:
        """When the time of the job in hand is over, by the monotonic clock; None where it may take it."""
        return self._deadline

    @property
    def kill_at(self) -> float | None:
        """When the child of the job in hand is killed: at the deadline, or a little later where the job is told first.

        Nobody is told where nothing is given (0 is Resque's way), where somebody hurries, and where TERM_CHILD has it
        told before the deadline.
        """
        if self._deadline is None or self.hurried or self.manners.term_child or not self.manners.shutdown_timeout:
            return self._deadline
        return self._deadline + LAST_WORDS

    @property
    def term_at(self) -> float | None:
        """When TERM is to be handed to the child; None where it is not."""
        if self._deadline is None or self.hurried or not self.manners.term_child:
            return None
        return self._deadline - self.manners.term_timeout

    @property
    def before_term(self) -> float:
        """The seconds that a child is given before TERM is handed to it."""
        return self.manners.pre_shutdown_timeout

    @property
    def raises_at_once(self) -> bool:
        """Whether a job in this very process is to be interrupted now: its time is over, or TERM_CHILD says so."""
        if self._deadline is None:
            return False
        term_at = self.term_at
        return self._clock() >= (self._deadline if term_at is None else term_at)

    # ---- resting

    def rest(self, seconds: float, fds: Sequence[int] = ()) -> None:
        """Wait so long, or until something is said or a descriptor is readable. Then listen."""
        readable([*self.fds, *fds], seconds)
        self.listen()
