"""A child for each job, Resque's own way: the parent reserves, a fresh child performs, the parent watches and settles.

Whatever the child does, its job ends with an outcome: the one it wrote, or how it died.

A child that has said its outcome has still to flush and to die, which takes the system longer than settling the job and
reserving the next one; so these go on meanwhile. Where something of the application's runs in it after that (`flush`),
the next child is forked only when it is dead; else all that is left of it is the system's to clear away.

The next child stands by, forked before its job is there: while the worker is idle, and while the present job runs, so
that up to half of what a fork costs is hidden. There is none where a hook listens to `before_fork`, which comes before
the fork and knows the job. Until it has answered that it has its job, it has none: where it dies before, another child
performs it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

from taskq import events, performing
from taskq.outcome import NotBegun, Outcome
from taskq.performing import Task, Tools
from taskq.worker import adapters, child, handover
from taskq.worker.children import LOOK, Child, Children
from taskq.worker.control import Control
from taskq.worker.hand import Hand
from taskq.worker.seat import Seat
from taskq.worker.signals import Ear

__all__ = ["Fork"]


class Fork:
    """The execution model `fork`."""

    def __init__(
        self,
        tools: Tools,
        seat: Seat,
        hand: Hand,
        control: Control,
        ear: Ear,
        tell: events.Tell,
        *,
        beside: Callable[[], None] = lambda: None,
        entitle: Callable[[Task | None], None] = lambda _: None,
        term_child: bool = False,
        run_at_exit: bool = False,
    ) -> None:
        """Not started yet.

        Args:
            tools: what performing needs.
            seat: whose heart is to be kept beating.
            hand: what the job in hand must not hold up.
            control: what the worker has been told.
            ear: where signals are heard; a child has its handlers.
            tell: who is told.
            beside: called at each heartbeat: something else to look after while a job is long.
            entitle: called in a child that stands by, and again once it has its task: sets the title of its process.
            term_child: Resque's TERM_CHILD.
            run_at_exit: Resque's RUN_AT_EXIT_HOOKS.
        """
        self._tools = tools
        self._seat = seat
        self._control = control
        self._ear = ear
        self._tell = tell
        self._entitle = entitle
        self._term_child = term_child
        self._run_at_exit = run_at_exit
        self._children = Children(seat, hand, control, tell, beside=beside)
        self._leash: tuple[int, ...]
        self._tie, self._leash = child.prepare_tie()
        self._warned = False
        self._at_work: Child | None = None  # that performs, or did last: it may be dying still
        self._standby: Child | None = None

    def start(self) -> None:
        """Nothing to make ready: the parent beats whenever it waits."""

    def perform(self, task: Task) -> Outcome:
        """Perform it in a child, and watch."""
        if task.problem is not None:  # nothing of it will run, so nothing needs a process of its own
            return performing.perform(task, self._tools)
        self._seat.begins(task)
        if self._run_at_exit or self._tools.hooks.listens("flush"):
            self._children.see_out(self._at_work)  # something of the application's runs in it after its outcome
        else:
            self._children.bury_the_dead()
        try:
            if self._tools.hooks.listens("before_fork"):
                self._tools.hooks.tell("before_fork", task.context())
        except (Exception, SystemExit) as error:  # a hook's `sys.exit()` ends the job, not the worker
            return performing.failed(task, error, self._tools, 0.0)
        self._at_work = self._hand_over(task)
        if self._at_work is not None:
            self._stand_by()  # the next one, while this one performs
            outcome = self._children.see_through(task, self._at_work, self._tools)
            if not isinstance(outcome, NotBegun) or self._control.deadline is not None:
                return outcome
        try:
            self._at_work = self._fork(task)
        except OSError as error:
            return NotBegun(f"no process could be forked for it ({error.strerror})")
        self._stand_by()
        return self._children.see_through(task, self._at_work, self._tools)

    def between(self) -> float | None:
        """Beat, and have a child stand by."""
        self._children.look_after()
        self._stand_by()
        beat_in = self._seat.next_beat - time.monotonic()
        stands_by = self._standby is not None and not self._standby.dead
        dies_soon = self._children.count > stands_by  # and must not stay a zombie
        return min(beat_in, LOOK) if dies_soon else beat_in

    def stop(self) -> None:
        """See every child out, and let go of the leash."""
        if self._standby is not None:
            self._children.dismiss(self._standby)
        self._at_work = self._standby = None
        self._children.see_all_out()
        for fd in self._leash:
            os.close(fd)
        self._leash = ()

    def _stand_by(self) -> None:
        """Fork the child that performs the next job, where there may be one, and nobody wants to know it before."""
        if self._standby is not None and not self._standby.dead:
            return
        self._standby = None
        if not self._control.stopping and not self._tools.hooks.listens("before_fork"):
            with contextlib.suppress(OSError):  # whoever needs it forks it then, and says why it cannot
                self._standby = self._fork(None)

    def _hand_over(self, task: Task) -> Child | None:
        """Tell the child that stands by which job is its own; None where there is none."""
        standby, self._standby = self._standby, None
        if standby is None or standby.dead or self._children.bury(standby) is not None:
            return None
        standby.hand(handover.order(task.reservation))
        return standby

    def _fork(self, task: Task | None) -> Child:
        """Fork a child for the task, or one that stands by."""
        self._warn_of_threads()
        adapters.before_fork()
        reader, writer = os.pipe()
        told: tuple[int, ...] = ()
        try:
            if task is None:
                told = os.pipe()
            pid = os.fork()
        except OSError:
            for fd in (reader, writer, *told):
                os.close(fd)
            raise
        if pid == 0:
            for fd in (reader, *told[1:]):
                os.close(fd)
            child.run(
                told[0] if task is None else task,
                self._tools,
                writer,
                tie=self._tie,
                entitle=self._entitle,
                ear=self._ear,
                timeout_grace=self._control.manners.timeout_grace,
                term_child=self._term_child,
                run_at_exit=self._run_at_exit,
            )
        for fd in (writer, *told[:1]):
            os.close(fd)
        return self._children.adopt(pid, reader, *told[1:])

    def _warn_of_threads(self) -> None:
        """Say once which of the application's threads a child will not have, though perhaps their locks."""
        if self._warned:
            return
        self._warned = True
        others = {thread.name for thread in threading.enumerate() if thread is not threading.main_thread()}
        if others:
            self._tell(
                events.Warned(
                    f"Threads were started before the fork ({', '.join(sorted(others))}); a child has none of them, "
                    "and a lock that one of them holds stays locked there. Start them in after_fork."
                )
            )
