"""Children that run the loop themselves, one after another, each for many jobs: isolation at the price of none.

The parent performs nothing. It registers, beats, looks out for other workers' dead, hands on what it is told, and has
the next child stand by. One child at a time makes the worker's calls; it says when its leg is over, and the parent
hands the baton to the next. When one dies, the parent waits until the broker has heard all that it said, settles what
it left, and only then lets the next one run.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from taskq import events, performing
from taskq.cancelling import AGE
from taskq.errors import BrokerUnavailable
from taskq.performing import prepare
from taskq.records import Crash, Ended, Reservation, Token, Tokens
from taskq.worker import orphans
from taskq.worker.control import Control
from taskq.worker.loop import Worker, leave, look_out
from taskq.worker.offspring import Offspring, Work
from taskq.worker.outage import GaveUp
from taskq.worker.runner import BATON, Word
from taskq.worker.waiting import readable

__all__ = ["Relay", "shared_tokens"]

_LOOK: Final = 0.02  # seconds between looks for a child's death, where the system has no descriptor for a process
_LIVED: Final = 1.0  # seconds after which a child that died without a job is news, not a habit
_PAUSE: Final = (0.1, 5.0)  # seconds before the next one runs, where they keep dying without a job: first, most


def shared_tokens() -> Callable[[], Tokens]:
    """What makes tokens whose numbers go on from process to process: all that fork from this one count together.

    So whatever a dead one said that is still on its way is older than anything said after its death.
    """
    number = memoryview(mmap.mmap(-1, 8)).cast("Q")

    class Shared(Tokens):
        def next(self) -> Token:
            number[0] += 1
            return Token(self.process, number[0])

    return Shared


@dataclass(slots=True)
class _Runner:
    """A child. Times by the monotonic clock.

    Attributes:
        since: when it was handed the baton; None while it stands by.
        word: the last thing that it said of itself; None where it said nothing.
        limit: the seconds that its job may take; None for any.
        kill_at: when it is killed for having taken longer.
        ended: why we ended it; empty where we did not.
        cancelled: the fence of the job for which we did, where somebody cancelled that, and who.
    """

    offspring: Offspring
    since: float | None = None
    word: Word | None = None
    limit: float | None = None
    kill_at: float = float("inf")
    ended: Ended = ""
    cancelled: tuple[str, str] = ("", "")
    _heard: bytes = b""

    def hear(self, grace: float) -> None:
        """Take in what it said of itself. A job may have written there; that says nothing."""
        *lines, self._heard = (self._heard + self.offspring.said()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                word, _, seconds = line.decode().partition(" ")
                self.word = Word(word)
                self.limit = float(seconds) if self.word is Word.LIMITED else None
                self.kill_at = float("inf") if self.limit is None else time.monotonic() + self.limit + grace


class Relay:
    """The parent of such children."""

    def __init__(self, worker: Worker, control: Control, run: Work) -> None:
        """Nobody runs yet.

        Args:
            worker: its parts; the loop that they are for runs in the children.
            control: what it has been told.
            run: what a child does (see `taskq.worker.runner`).
        """
        self._worker = worker
        self._control = control
        self._run = run
        self._pid = os.getpid()
        self._running: _Runner | None = None
        self._standby: _Runner | None = None
        self._leaving: list[_Runner] = []
        self._deaths = 0
        self._next_at = 0.0
        self._look_at = 0.0
        self._over = False

    def work(self) -> None:
        """Register, have children run until told to stop, and leave."""
        worker = self._worker
        worker.seat.register()
        try:
            look_out(worker, at_start=True)
            while True:
                self._have_one_run()
                if self._running is None and (self._control.stopping or self._over):
                    break
                self._rest()
        except GaveUp:
            worker.tell(events.Warned("The broker is away; what this worker still holds there is left to recovery."))
        finally:
            self._end_all()
        leave(worker)

    def hear(self, event: events.Event) -> None:
        """Hand on what was heard: a byte in the pipe says what, a signal after it only wakes."""
        if isinstance(event, events.Heard) and self._running is not None and event.signal != signal.SIGUSR1:
            _order(self._running, event.signal)

    def leaves_to_child(self, event: events.Event) -> bool:
        """Whether the child that runs says this too, and knows more of it."""
        by_both = events.Stopping, events.BrokerLost, events.BrokerBack
        return self._running is not None and os.getpid() == self._pid and isinstance(event, by_both)

    def children(self) -> Iterator[Offspring]:
        """Those that live."""
        for one in (self._running, self._standby, *self._leaving):
            if one is not None:
                yield one.offspring

    # ---- beginnings

    def _have_one_run(self) -> None:
        """Hand the baton to whoever stands by, and have another one stand by."""
        control = self._control
        if control.stopping or self._over:
            return
        if self._running is None and time.monotonic() >= self._next_at:
            one = self._standby or self._forked()
            if one is None:
                return
            self._running, self._standby = one, None
            one.since = time.monotonic()
            self._worker.seat.speaks = False
            self._worker.tell(events.Forked(one.offspring.pid))
            one.offspring.tell(BATON)
            if control.paused:
                _order(one, signal.SIGUSR2)
        if self._standby is None and self._running is not None:
            self._standby = self._forked()

    def _forked(self) -> _Runner | None:
        try:
            return _Runner(Offspring.forked(self._run, beside=tuple(self.children())))
        except OSError as error:
            if self._running is None:
                self._next_at = time.monotonic() + _PAUSE[1]
                message = f"No child could be forked: {error.strerror}. Again in {_PAUSE[1]:g} s."
                self._worker.tell(events.Warned(message))
            return None

    # ---- waiting

    def _rest(self) -> None:
        """Until something is said, somebody died, or something is due."""
        worker, control, now = self._worker, self._control, time.monotonic()
        due = min(worker.seat.next_beat, worker.lookout.next_look, self._kill_if_due(now))
        running = self._running
        due = min(due, self._next_at if running is None else self._cancel_if_asked(running, now))
        fds = [*control.fds, *worker.lookout.fds]
        for child in self.children():
            fds += child.to_wait_on
            if child.death is None:
                due = min(due, now + _LOOK)
        readable(fds, max(due - now, 0.0))
        control.listen()
        if control.takes_kill() and self._running is not None:
            self._kill(self._running, "kill")
        self._listen()
        self._bury()
        worker.seat.beat_if_due()
        look_out(worker)
        orphans.reap(frozenset(child.pid for child in self.children()))

    def _kill_if_due(self, now: float) -> float:
        """Kill who runs where its time is over. When to look again."""
        control, running = self._control, self._running
        if running is None or running.ended:
            return float("inf")
        stop_at = float("inf") if control.kill_at is None else control.kill_at
        if now >= running.kill_at:
            self._kill(running, "timeout")
        elif now >= stop_at:
            self._kill(running, "shutdown")
        return min(stop_at, running.kill_at)

    def _cancel_if_asked(self, one: _Runner, now: float) -> float:
        """Kill who runs where somebody cancelled its job. When to look again.

        Which job that is only the broker knows. So it is stopped while we look a second time: what it has then it
        still has when it is killed, or had finished before; and what it was given since it has not begun.
        """
        if one.ended:
            return float("inf")
        if now < self._look_at:
            return self._look_at
        self._look_at = now + AGE
        seat = self._worker.seat
        if seat.outage.since is None and seat.words.rang() and (job := self._in_hand()) is not None:
            by = seat.words.of(job)
            if by is not None:
                one.offspring.send(signal.SIGSTOP)
                seen = self._in_hand()
                if seen is not None and seen.fence == job.fence:
                    one.cancelled = job.fence, by
                    self._kill(one, "cancel")
                else:
                    one.offspring.send(signal.SIGCONT)
        return self._look_at

    def _in_hand(self) -> Reservation | None:
        try:
            seen = self._worker.broker.worker(self._worker.seat.id)
        except BrokerUnavailable as error:
            self._worker.seat.outage.lost(error)
            return None
        return None if seen is None else seen.job

    def _kill(self, one: _Runner, why: Ended) -> None:
        if not one.ended:
            one.ended = why
            said: Ended = "" if self._control.hurried else why
            grace = self._control.manners.grace
            self._worker.tell(events.ChildEnding(one.offspring.pid, signal.SIGKILL, grace, why=said))
            _end_group(one.offspring.pid)
            one.offspring.send(signal.SIGKILL)

    # ---- ends

    def _listen(self) -> None:
        running = self._running
        if running is None:
            return
        running.hear(self._control.manners.timeout_grace)
        if running.word is Word.LEG_OVER:  # it holds nothing, and makes no more calls
            self._leaving.append(running)
            self._running = None
            self._have_one_run()

    def _bury(self) -> None:
        for one in list(self._leaving):
            if one.offspring.ended() is not None:
                self._leaving.remove(one)
                _buried(one)
        standby = self._standby
        if standby is not None and standby.offspring.ended() is not None:
            self._standby = None  # it had nothing; another is forked when the next one is needed
            _buried(standby)
        running = self._running
        status = None if running is None else running.offspring.ended()
        if running is None or status is None:
            return
        running.hear(self._control.manners.timeout_grace)
        self._running = None
        _buried(running)
        self._worker.seat.speaks = True
        match running.word:
            case Word.LEG_OVER | Word.STOPPED:
                pass
            case Word.EMPTY:
                self._over = True
            case Word.UNSEATED:
                self._dismiss_standby()  # it knows the old registration
                self._worker.seat.register()
            case _:
                self._settle_what_is_left(running, status)

    def _settle_what_is_left(self, dead: _Runner, status: int) -> None:
        """Fail or requeue what it was performing, and give back what it had not begun."""
        worker = self._worker
        crash = Crash(
            pid=dead.offspring.pid,
            signal=-status if status < 0 else None,
            status=status if status >= 0 else None,
            ended=dead.ended,
            limit=dead.limit if dead.ended == "timeout" else None,
            by=dead.cancelled[1],
        )
        held = worker.seat.held()
        lived = time.monotonic() - (dead.since or 0.0)
        self._deaths = 0 if held or lived > _LIVED or dead.ended else self._deaths + 1
        begun = bool(held) and held[0].started and (dead.ended != "cancel" or held[0].fence == dead.cancelled[0])
        rest = held[1:] if begun else held
        if len(rest) < len(held):
            task = prepare(held[0], worker.tools)
            outcome = performing.crashed(task, crash, worker.tools, worker.broker.now() - held[0].run_at)
            worker.tell(events.Performed(task, outcome))
            worker.settling.settle(task, outcome, worker.broker.now)
        if rest:
            worker.seat.give_back(rest)
        if not held and not dead.ended:
            how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            pause = min(_PAUSE[0] * 2.0**self._deaths, _PAUSE[1]) if self._deaths else 0.0
            self._next_at = time.monotonic() + pause
            again = f"; the next one runs in {pause:g} s" if pause else ""
            worker.tell(events.Warned(f"Child {crash.pid} ended {how} with no job in hand{again}."))

    def _dismiss_standby(self) -> None:
        if self._standby is not None:
            self._standby.offspring.end()
            self._standby = None

    def _end_all(self) -> None:
        """See out those that say they are done; what else there is ends now."""
        self._dismiss_standby()
        for one in self._leaving:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.offspring.pid, 0)
            _buried(one)
        self._leaving.clear()
        if self._running is not None:
            _end_group(self._running.offspring.pid)
            self._running.offspring.end()
            self._running = None


def _order(one: _Runner, number: int) -> None:
    one.offspring.tell(bytes([number]))
    one.offspring.send(signal.SIGTERM)


def _buried(one: _Runner) -> None:
    _end_group(one.offspring.pid)  # what a dead child left running
    one.offspring.close()


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
