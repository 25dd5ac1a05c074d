"""What a child does that runs the loop itself: stand by, take the baton, take turns, say that its leg is over, end.

It never returns into the parent's code. Its place at the broker is the parent's, on loan.
"""

from __future__ import annotations

import atexit
import contextlib
import enum
import json
import mmap
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from taskq import events, performing
from taskq.errors import BrokerUnavailable, TaskqError
from taskq.outcome import Outcome
from taskq.performing import Task, Tools
from taskq.worker.child import Tie
from taskq.worker.control import Control, Manners
from taskq.worker.hand import Hand
from taskq.worker.inline import Inline
from taskq.worker.lookout import Nobody
from taskq.worker.loop import Worker, take_turns
from taskq.worker.offspring import Say, Work
from taskq.worker.outage import GaveUp, Outage
from taskq.worker.seat import Seat, Unseated
from taskq.worker.settle import Settling
from taskq.worker.signals import Ear

__all__ = ["BATON", "Leg", "Word", "resident", "runner"]

BATON: Final = b"\0"  # among orders, which are the numbers of signals

_SEEN_BY_PARENT: Final = (events.Heard, events.Pruned)  # it says these itself


class Word(enum.Enum):
    """What a child says of itself, a line each. After the first three it holds nothing."""

    LEG_OVER = "over"
    STOPPED = "stopped"
    EMPTY = "empty"
    UNSEATED = "unseated"
    LIMITED = "limited"
    """A job begins that may take so many seconds, which stand behind the word, and then the job's fence."""
    AWAY = "away"
    """The broker was away for longer than a burst waits; what came of it stands behind the word, as JSON."""
    FREE = "free"
    """It ended; what follows has no limit."""

    def line(self, *more: object) -> bytes:
        """As it is said."""
        return " ".join([self.value, *map(str, more)]).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Leg:
    """How long one child runs.

    Attributes:
        jobs: the jobs after which it ends.
        mib: the resident mebibytes past which it ends, after its job; None for any.
    """

    jobs: int
    mib: int | None = None


def runner(
    parent: Worker,
    leg: Leg,
    manners: Manners,
    *,
    tie: Tie,
    entitle: Callable[[Task | None], None],
    run_at_exit: bool,
) -> Work:
    """What a child of this worker does, to be run in it.

    Args:
        parent: the parts of the worker whose place it has.
        leg: how long it runs.
        manners: how a worker treats the job in hand when it is told to stop.
        tie: see to it that the child does not outlive its parent.
        entitle: with None, sets the title of a process that stands by.
        run_at_exit: whether the interpreter's `atexit` functions run (Resque's RUN_AT_EXIT_HOOKS).
    """
    learned = memoryview(mmap.mmap(-1, 8)).cast("d")  # the seconds that a job takes: all that fork from here share it

    def run(orders: int, say: Say) -> int:
        tie()
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)  # its own group: what it starts is killed with it, and a Ctrl-C does not reach it
        entitle(None)
        with Ear() as ear:
            # All that can be made ready now is: what is left for after the baton, jobs wait for.
            worker, execution = _ready(parent, leg, manners, ear, orders, say)
            worker.seat.stand_by(ahead=worker.hand.most > 1)
            execution.start()
            if not _baton(orders):
                return 0
            ear.heard()  # signals meant nothing so far
            worker.hand.seconds = learned[0] or None
            try:
                word = _run(worker, execution)
            except Unseated:
                word = Word.UNSEATED
            except GaveUp:
                word = None  # what is left there is the parent's to look at
            except BrokerUnavailable as error:
                word = None
                say(Word.AWAY.line(json.dumps([str(error), *getattr(error, "__notes__", ())])))
            except TaskqError as error:
                parent.tell(events.Warned(str(error)))
                word = None
            if word is not None:
                execution.beat_no_more()  # another one makes the worker's calls from now on
                learned[0] = worker.hand.seconds or 0.0
                say(word.line())
            execution.stop()
        parent.tools.hooks.tell_quietly("flush")
        if run_at_exit:
            atexit._run_exitfuncs()  # noqa: SLF001 - os._exit runs none, and there is no public way to
        return 0 if word is not None else 1

    return run


def _baton(orders: int) -> bool:
    """Wait for it; False where there will be none. Signals mean nothing meanwhile."""
    return os.read(orders, 1) == BATON


def _ready(parent: Worker, leg: Leg, manners: Manners, ear: Ear, orders: int, say: Say) -> tuple[Worker, _Runs]:
    """The worker that runs here, in its parent's place, and where it performs."""

    def tell(event: events.Event) -> None:
        if not isinstance(event, _SEEN_BY_PARENT):
            parent.tell(event)

    mib = resident()
    control = Control(ear, manners, tell, supervisor=orders, only_told=True)
    outage = Outage(tell, most=parent.seat.outage.most)
    seat = parent.seat.lend(control, outage, tell)
    hand = parent.hand.lent(seat, leg.jobs)
    execution = _Runs(parent.tools, seat, hand, control, ear, say)
    worker = replace(
        parent,
        seat=seat,
        execution=execution,
        control=control,
        lookout=Nobody(),  # its parent looks out
        hand=hand,
        settling=Settling(seat, hand, tell),
        tell=tell,
        lasts=lambda: (
            execution.begun == 0  # one that is too big from the start performs all the same
            or (execution.begun < leg.jobs and (leg.mib is None or mib() <= leg.mib))
        ),
    )
    return worker, execution


def _run(worker: Worker, execution: _Runs) -> Word:
    if not worker.seat.introduce():
        raise Unseated
    execution.beat()
    take_turns(worker)
    if worker.control.stopping:
        return Word.STOPPED
    return Word.LEG_OVER if not worker.lasts() else Word.EMPTY


class _Runs(Inline):
    """Performs in this process, and tells of it as a child does: hooks of the fork, the parent of a time limit.

    Attributes:
        begun: how many jobs began here.
    """

    hears_words = False

    def __init__(self, tools: Tools, seat: Seat, hand: Hand, control: Control, ear: Ear, say: Say) -> None:
        """Not started yet; `say` says something to the parent."""
        super().__init__(tools, seat, hand, control, ear)
        self._say = say
        self.begun = 0

    def beat(self) -> None:
        """Beat from now on: when the next one is due was changed."""
        self._heart.nudge()

    def beat_no_more(self) -> None:
        """No beat is on its way when this returns. To `stop` takes longer."""
        self._heart.let_go(self._seat)

    def perform(self, task: Task) -> Outcome:
        """Perform it here."""
        self.begun += 1
        if self.begun == 1 and task.problem is None and self.tools.hooks.listens("after_fork"):
            try:
                self.tools.hooks.tell("after_fork", task.context())
            except BaseException as error:  # as in the job itself: what it says is worth more than that it ended
                return performing.failed(task, error, self.tools, 0.0)
        limit = None if task.definition is None else task.definition.timeout
        if limit is None:
            return super().perform(task)
        self._say(Word.LIMITED.line(limit, task.reservation.fence))
        try:
            return super().perform(task)
        finally:
            self._say(Word.FREE.line())


def resident() -> Callable[[], float]:
    """Return what tells the mebibytes of this process in memory: now or, where the system tells no more, at most."""
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    return lambda: int(os.pread(statm, 64, 0).split()[1]) * page
