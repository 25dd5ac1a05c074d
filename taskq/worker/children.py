"""Watching a child, however it was made: what it says, when it dies, and how it is ended.

The parent has no thread; it beats, listens and waits for the child in one place. Death is told by the process's own
descriptor and `waitpid`, never by the pipe's end, for a grandchild may hold the pipe.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from taskq import events, performing
from taskq import outcome as outcomes
from taskq.cancelling import AGE
from taskq.outcome import Done, Failed, NotBegun, Outcome, Postponed
from taskq.performing import Task, Tools
from taskq.records import Crash, Ended, Reservation
from taskq.worker import handover, orphans
from taskq.worker.control import Control
from taskq.worker.hand import Hand
from taskq.worker.seat import Seat
from taskq.worker.signals import poke
from taskq.worker.waiting import readable

__all__ = ["FLUSHES", "LOOK", "Child", "Children", "hangs"]

_NOTHING: Final = memoryview(b"")
_LEAVES: Final = 1.0  # seconds that one has for ending which does nothing but wait
LOOK: Final = 0.02  # seconds between looks for a child's death, where nobody waits for its descriptor
FLUSHES: Final = 30.0
"""Seconds that a child has for what runs in it after its last job: `flush` of hooks, `atexit` functions."""


@dataclass(slots=True)
class Child:
    """A process of ours, until it is dead.

    Attributes:
        pid: its id, and its group's.
        pipe: where it says how its job ended; None once that was read, or its end.
        death: readable once it is dead; None where the system has no such thing.
        orders: where it is told what to do; None where it will not be told any more.
        taken: whether it has its job: it was made with it, or said that it has it.
        unsent: what it is still to be told.
        first: what is to be done once it has its job, before it begins; None where nothing is, or it is done.
        said: what was read so far.
        ended: why we ended it, if we did.
        by: who cancelled its job; empty where nobody did.
        held: its job; None where it has none yet.
        look_at: when to look whether somebody cancelled that, by the monotonic clock.
        allowed: the time limit of its job, in seconds; None where it has none.
        kill_after: how long it has its job until it is killed for that, in seconds.
        kill_at: when that is, by the monotonic clock; once its job is over, when it must have ended.
        over: whether it said how its job ended.
        warned: whether it was said that it is given time to end.
        told: whether its job was told to end.
        termed: whether TERM was handed to it.
        dead: whether it was waited for.
    """

    pid: int
    pipe: int | None
    death: int | None
    orders: int | None
    taken: bool
    unsent: memoryview = _NOTHING
    first: Callable[[], None] | None = None
    said: bytearray = field(default_factory=bytearray)
    ended: Ended = ""
    by: str = ""
    held: Reservation | None = None
    look_at: float = math.inf
    allowed: float | None = None
    kill_after: float = math.inf
    kill_at: float = math.inf
    over: bool = False
    warned: bool = False
    told: bool = False
    termed: bool = False
    dead: bool = False

    def hand(self, order: bytes, first: Callable[[], None] | None = None) -> None:
        """Tell it its one job, as far as its pipe takes that at once; `tell_more` has the rest.

        Args:
            order: that job. Where it says that the child waits, there is something to be done `first`.
            first: called once it has the job; then it is told to begin.
        """
        self.unsent = memoryview(order)
        self.first = first
        self.tell_more()

    def tell_more(self) -> None:
        """Tell it what its pipe takes now. One that is dead is told nothing more."""
        while self.unsent and self.orders is not None:
            try:
                self.unsent = self.unsent[os.write(self.orders, self.unsent) :]
            except BlockingIOError:
                return
            except BrokenPipeError:
                break
        self.unsent = _NOTHING
        if self.first is None or self.dead:
            self.dismiss()

    def begin_if_taken(self) -> None:
        """Do what comes first, where the child has its job by now and waits for that; then tell it to begin.

        Raises:
            GaveUp: by what comes first. The child ends, and has begun nothing.
        """
        if self.first is None or not self.taken:
            return
        first, self.first = self.first, None
        try:
            first()
            self.hand(handover.BEGIN)
        finally:
            self.dismiss()

    def limit(self, seconds: float, grace: float) -> None:
        """Its job may take so long, once it has it. The child raises the exception; after the grace it is killed."""
        self.allowed = seconds
        self.kill_after = seconds + grace
        if self.taken:
            self.kill_at = time.monotonic() + self.kill_after

    def perform(self, job: Reservation) -> None:
        """It performs this, once it has it: from half a second on it is looked whether somebody cancelled that."""
        self.held = job
        if self.taken:
            self.look_at = time.monotonic() + AGE

    def dismiss(self) -> None:
        """Give it no more orders: without any it ends."""
        if self.orders is not None:
            os.close(self.orders)
            self.orders = None

    def read(self) -> Done | Failed | Postponed | None:
        """Read what is there: the outcome, once it is whole. Then, as at the pipe's end, nothing more is heard."""
        if self.pipe is None:
            return None
        try:
            while chunk := os.read(self.pipe, 65536):
                self.said += chunk
                if not self.taken and self.said.startswith(handover.TAKEN):
                    self.taken = True
                    now = time.monotonic()
                    self.kill_at, self.look_at = now + self.kill_after, now + AGE
                    del self.said[: len(handover.TAKEN)]
                # One line, and only the right one: a job may have written there itself.
                if self.said.endswith(b"\n") and (said := outcomes.load(bytes(self.said))) is not None:
                    self._hang_up()
                    self.over, self.look_at = True, math.inf
                    self.kill_at = time.monotonic() + FLUSHES
                    return said
        except BlockingIOError:
            return None
        self._hang_up()  # its end. Whether the child died is another matter.
        return None

    def let_go(self) -> None:
        """It is dead: close all that led to it."""
        self.dead = True
        self._hang_up()
        self.dismiss()
        if self.death is not None:
            os.close(self.death)
            self.death = None

    def _hang_up(self) -> None:
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None


class Children:
    """Those of a worker that live, and the watch over the one that performs."""

    def __init__(
        self, seat: Seat, hand: Hand, control: Control, tell: events.Tell, *, beside: Callable[[], None]
    ) -> None:
        """None yet.

        Args:
            seat: whose heart is to be kept beating.
            hand: what the job in hand must not hold up.
            control: what the worker has been told.
            tell: who is told.
            beside: called at each heartbeat: something else to look after while a job is long.
        """
        self._seat = seat
        self._hand = hand
        self._control = control
        self._tell = tell
        self._beside = beside
        self._living: dict[int, Child] = {}

    def adopt(self, pid: int, pipe: int, orders: int | None = None) -> Child:
        """Take charge of a process that was just made, and of our ends of its pipes.

        Args:
            pid: its id.
            pipe: where it says how its job ended.
            orders: where it is told which one that is, and answers that it has it; None where it has it already.
        """
        os.set_blocking(pipe, False)
        if orders is not None:
            os.set_blocking(orders, False)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # whoever comes first, it or its parent: before anyone signals the group
        death = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                death = os.pidfd_open(pid)
        child = self._living[pid] = Child(pid, pipe, death, orders, taken=orders is None)
        return child

    def look_after(self) -> None:
        """Between jobs: bury the dead, and beat."""
        self.bury_the_dead()
        self._reap()
        self._seat.beat_if_due()

    def bury_the_dead(self) -> None:
        """Bury those that are dead by now."""
        for child in tuple(self._living.values()):
            self.bury(child)

    @property
    def count(self) -> int:
        """How many live, or were not buried yet."""
        return len(self._living)

    def watch(self, child: Child) -> Done | Failed | Postponed | Crash:
        """Beat, listen and read until the child says its outcome or, where it did before or never will, is dead.

        Returns:
            What it said, or how it died. One that died without having `taken` its job began nothing of it.
        """
        control = self._control
        while True:
            now = time.monotonic()
            # This process may have been held up: none is killed for a job that has ended, nor one that is dead.
            if now >= min(child.kill_at, child.look_at):
                if (said := child.read()) is not None:
                    return said
                if now >= child.kill_at and (ended := self.bury(child)) is not None:
                    return ended
            pause = max(self._end_if_told(child, now) - now, 0.0)
            look_in = self._hand.look()
            if look_in is not None:
                pause = min(pause, look_in)
            fds = list(control.fds)
            if child.pipe is not None:
                fds.append(child.pipe)
            if child.death is None:
                pause = min(pause, LOOK)
            else:
                fds.append(child.death)
            if child.unsent and child.orders is not None:
                ready = readable(fds, pause, writing=(child.orders,))
                child.tell_more()
            else:
                ready = readable(fds, pause)
            if child.pipe in ready and (said := child.read()) is not None:
                return said
            child.begin_if_taken()
            if child.death is None or child.death in ready:
                ended = self.bury(child)
                if ended is not None:
                    return ended
            if not ready.isdisjoint(control.fds):
                control.listen()
            if time.monotonic() >= self._seat.next_beat:
                self._seat.beat()
                self._beside()
                self._reap()

    def see_through(self, task: Task, child: Child, tools: Tools) -> Outcome:
        """Watch until the job's end, or the child's. `NotBegun` where it died before it had the job."""
        began = time.monotonic()
        self._tell(events.Forked(child.pid))
        if task.definition is not None and task.definition.timeout is not None:
            child.limit(task.definition.timeout, self._control.manners.timeout_grace)
        child.perform(task.reservation)
        ended = self.watch(child)
        if not isinstance(ended, Crash):
            return ended
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)  # what a dead child left running
        if not child.taken or child.first is not None:
            missed = "began" if child.taken else "had it"
            how = f"signal {ended.signal}" if ended.signal is not None else f"status {ended.status}"
            return NotBegun(f"process {child.pid} that was to perform it ended with {how} before it {missed}")
        return performing.crashed(task, ended, tools, time.monotonic() - began)

    def see_out(self, child: Child | None) -> None:
        """Return when it is dead."""
        if child is not None and not child.dead:
            self.watch(child)

    def dismiss(self, child: Child) -> None:
        """Have one that stands by end, and see it out. Nothing is said of it: it never had a job."""
        child.dismiss()
        ends = time.monotonic() + _LEAVES
        while not child.dead and self.bury(child) is None:
            if time.monotonic() >= ends:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            readable([] if child.death is None else [child.death], LOOK)

    def see_all_out(self) -> None:
        """Return when all are dead."""
        for child in tuple(self._living.values()):
            self.see_out(child)

    def bury(self, child: Child) -> Done | Failed | Postponed | Crash | None:
        """What a dead child said last, else how it died; None where it lives."""
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if not pid:
            return None
        del self._living[pid]
        said = child.read()
        child.let_go()
        return _crash(child, status) if said is None else said

    def kill(self, child: Child, why: Ended, by: str = "") -> None:
        """End it now, with all that it started. Told once; `why` and `by` are what its job's failure says."""
        if child.ended:
            return
        child.ended, child.by = why, by
        said = why if child.taken and child.pipe is not None and not self._control.hurried else ""
        grace = self._control.manners.grace
        self._tell(events.ChildEnding(child.pid, signal.SIGKILL, grace, after_term=child.termed, why=said))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    def _end_if_told(self, child: Child, now: float) -> float:
        """Signal the child where its time has come. When to look again, at the latest."""
        control = self._control
        if control.takes_kill():
            self.kill(child, "kill")
        if now >= child.kill_at:
            if child.over and not child.ended:
                self._tell(events.Warned(hangs(child.pid)))
            self.kill(child, "timeout")
        if now >= child.look_at:
            self._cancel_if_asked(child)
        due = min(child.kill_at, child.look_at)
        again = self._seat.next_beat if child.ended else min(self._seat.next_beat, due)
        deadline = control.deadline
        if deadline is None:
            return again
        term_at, kill_at = control.term_at, control.kill_at
        if kill_at is None or now >= kill_at or (now >= deadline and not child.taken):
            self.kill(child, "shutdown")
            return self._seat.next_beat
        if now >= deadline:
            if not child.told:
                child.told = True
                poke(child.pid)
            return min(kill_at, again)
        if term_at is None:
            return min(deadline, again)
        if now >= term_at and not child.termed:
            child.termed = True
            self._tell(events.ChildEnding(child.pid, signal.SIGTERM))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        elif now < term_at and not child.warned:
            child.warned = True
            self._tell(events.ChildEnding(child.pid, seconds=control.before_term))
        return min(deadline if child.termed else term_at, again)

    def _cancel_if_asked(self, child: Child) -> None:
        child.look_at = time.monotonic() + AGE
        if child.held is not None and self._seat.outage.since is None:
            by = self._seat.words.about([child.held]).get(child.held.fence)
            if by is not None:
                self.kill(child, "cancel", by)

    def _reap(self) -> None:
        orphans.reap(frozenset(self._living))


def hangs(pid: int) -> str:
    """What is said of a child that is killed for not ending, though its last job has."""
    return (
        f"Child {pid} has not ended {FLUSHES:g} s after its last job, which is settled: it is killed. Does a hook hang "
        "in flush, or an atexit function?"
    )


def _crash(child: Child, status: int) -> Crash:
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    exited = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    return Crash(
        pid=child.pid,
        signal=killed,
        status=exited,
        ended=child.ended,
        limit=child.allowed if child.ended == "timeout" else None,
        by=child.by,
    )
