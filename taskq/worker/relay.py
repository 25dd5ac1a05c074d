"""Children that run the loop themselves, one after another, each for many jobs: isolation at the price of none.

The parent performs nothing. It registers, beats, looks out for other workers' dead, hands on what it is told, and has
the next child stand by. One child at a time makes the worker's calls; it says when its leg is over, and the parent
hands the baton to the next. When one dies, the parent waits until the broker has heard all that it said, settles what
it left, and only then lets the next one run.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from taskq import events, performing
from taskq.cancelling import AGE
from taskq.errors import BrokerUnavailable
from taskq.performing import prepare
from taskq.records import Crash, Ended, Reservation, Token, Tokens
from taskq.worker import children, orphans
from taskq.worker.control import Control
from taskq.worker.loop import Worker, leave, look_out
from taskq.worker.offspring import Offspring, Work
from taskq.worker.outage import GaveUp
from taskq.worker.runner import BATON, Word
from taskq.worker.waiting import readable

__all__ = ["Relay", "shared_tokens"]

_LOOK: Final = 0.02  # seconds between looks for a child's death, where the system has no descriptor for a process
_LIVED: Final = 1.0  # seconds after which a child that died without a job is news, not a habit
_STOPS: Final = 0.1  # seconds that a process has for standing still
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


_LAST: Final = frozenset({Word.LEG_OVER, Word.STOPPED, Word.EMPTY, Word.UNSEATED, Word.AWAY})


@dataclass(slots=True)
class _Runner:
    """A child. Times by the monotonic clock.

    Attributes:
        since: when it was handed the baton; None while it stands by.
        word: the last thing that it said of itself; None where it said nothing.
        why: what came of it where the broker was away for too long: lines for a person.
        limit: the seconds that its job may take; None for any.
        limited: the fence of that job.
        kill_at: when it is killed for having taken longer.
        gone_by: when it must have ended, its last job being over.
        ended: why we ended it; empty where we did not.
        meant: the fence of the one job for which we did, where it was about one.
        by: who cancelled that; empty where nobody did.
    """

    offspring: Offspring
    since: float | None = None
    word: Word | None = None
    why: tuple[str, ...] = ()
    limit: float | None = None
    limited: str = ""
    kill_at: float = float("inf")
    gone_by: float = float("inf")
    ended: Ended = ""
    meant: str = ""
    by: str = ""
    _heard: bytes = b""

    def hear(self, grace: float) -> None:
        """Take in what it said of itself. A job may have written there; that says nothing."""
        *lines, self._heard = (self._heard + self.offspring.said()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                word, _, more = line.decode().partition(" ")
                self.word = Word(word)
                now = time.monotonic()
                self.kill_at = float("inf")
                if self.word is Word.LIMITED:
                    seconds, _, self.limited = more.partition(" ")
                    self.limit = float(seconds)
                    self.kill_at = now + self.limit + grace
                elif self.word is Word.AWAY:
                    self.why = tuple(str(text) for text in json.loads(more))
                if self.word in _LAST:
                    self.gone_by = now + children.FLUSHES


class _AwayForGood(BrokerUnavailable):
    """The broker was away for longer than a burst waits: a child found out, and said so in these lines."""

    def __init__(self, backend: str, lines: Sequence[str]) -> None:
        super().__init__(backend, "\n".join(lines))
        self.args = (self.reason,)


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
                if self._running is None and not self._leaving and self._ends:
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

    @property
    def _ends(self) -> bool:
        """Whether no other is to run."""
        return self._control.stopping or self._over

    # ---- beginnings

    def _have_one_run(self) -> None:
        """Hand the baton to whoever stands by, and have another one stand by."""
        control = self._control
        if self._ends:
            return
        if self._running is None and time.monotonic() >= self._next_at:
            one = self._standby or self._forked()
            if one is None:
                return
            self._running, self._standby = one, None
            one.since = time.monotonic()
            self._worker.seat.speaks = False
            self._worker.tell(events.Forked(one.offspring.pid))
            # In one: between two it might take a job. It looks for orders before its first.
            one.offspring.tell(BATON + (bytes([signal.SIGUSR2]) if control.paused else b""))
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
        worker, control = self._worker, self._control
        self._listen()  # what was said while this process was held up comes before what is due
        now = time.monotonic()
        due = min(worker.seat.next_beat, worker.lookout.next_look, self._kill_if_due(now), self._see_out(now))
        running = self._running
        if running is not None:
            due = min(due, self._cancel_if_asked(running, now))
        elif not self._ends:
            due = min(due, self._next_at)
        fds = [*control.fds, *worker.lookout.fds]
        for child in self.children():
            fds += child.to_wait_on
            if child.death is None:
                due = min(due, now + _LOOK)
        readable(fds, max(due - now, 0.0))
        control.listen()
        if control.takes_kill() and self._running is not None:
            self._kill_for_its_job(self._running)
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
            self._kill_late(running)
        elif now >= stop_at:
            self._kill(running, "shutdown")
        return min(stop_at, running.kill_at)

    def _kill_late(self, one: _Runner) -> None:
        """Kill who runs for its job's time, if that has not ended this very moment: it stands still while we look."""
        one.offspring.send(signal.SIGSTOP)
        one.offspring.await_stop(_STOPS)
        one.hear(self._control.manners.timeout_grace)
        if time.monotonic() >= one.kill_at:
            one.meant = one.limited
            self._kill(one, "timeout")
        else:
            one.offspring.send(signal.SIGCONT)

    def _see_out(self, now: float) -> float:
        """Kill who has nothing to do any more, and does not end. When to look again."""
        control, due = self._control, float("inf")
        stop_at = float("inf") if control.kill_at is None else control.kill_at
        for one in (*self._leaving, *([self._running] if self._running is not None else [])):
            over = one.gone_by <= now or (one in self._leaving and stop_at <= now)
            if over and one.offspring.is_dead():  # while this process was held up; it is buried next
                due = now
            elif over:
                if one.gone_by <= now:
                    self._worker.tell(events.Warned(children.hangs(one.offspring.pid)))
                one.gone_by = float("inf")
                _end_group(one.offspring.pid)
                one.offspring.send(signal.SIGKILL)
            else:
                due = min(due, one.gone_by, stop_at)
        return due

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
                    one.meant, one.by = job.fence, by
                    self._kill(one, "cancel")
                else:
                    one.offspring.send(signal.SIGCONT)
        return self._look_at

    def _kill_for_its_job(self, one: _Runner) -> None:
        """USR1: kill who runs, if it has a job; it stands still while we look. Who does not say so is killed too."""
        if one.ended:
            return
        one.offspring.send(signal.SIGSTOP)
        one.offspring.await_stop(_STOPS)
        try:
            seen = self._worker.broker.worker(self._worker.seat.id)
        except BrokerUnavailable as error:
            self._worker.seat.outage.lost(error, "look")
            seen = None
        if seen is not None and seen.job is None:
            one.offspring.send(signal.SIGCONT)  # it is about nothing
            return
        one.meant = "" if seen is None or seen.job is None else seen.job.fence
        self._kill(one, "kill")

    def _in_hand(self) -> Reservation | None:
        try:
            seen = self._worker.broker.worker(self._worker.seat.id)
        except BrokerUnavailable as error:
            self._worker.seat.outage.lost(error, "look")
            return None
        self._worker.seat.outage.mended("look")
        return None if seen is None else seen.job

    def _kill(self, one: _Runner, why: Ended) -> None:
        # One that died by itself while this process was held up did so, but who cancelled its job has it so.
        if not one.ended and (why == "cancel" or not one.offspring.is_dead()):
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
            case Word.AWAY:
                raise _AwayForGood(self._worker.broker.name, running.why)
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
            by=dead.by,
        )
        registration = worker.seat.registration
        held = worker.seat.held()
        if worker.seat.registration != registration:
            self._dismiss_standby()  # it knows the one before
        lived = time.monotonic() - (dead.since or 0.0)
        self._deaths = 0 if held or lived > _LIVED or dead.ended else self._deaths + 1
        begun = bool(held) and held[0].started
        if begun and dead.meant not in ("", held[0].fence):
            # Who is strict reserved that when it was ended for another, and stood still: it has not begun. Else it may
            # have: what was seen in hand lacked what the broker had not read yet. It died with its process, no more.
            begun = worker.hand.most > 1
            crash = replace(crash, ended="", by="")
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
        """What there is still ends now."""
        self._dismiss_standby()
        for one in (*self._leaving, *([self._running] if self._running is not None else [])):
            _end_group(one.offspring.pid)
            one.offspring.end()
        self._leaving.clear()
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
