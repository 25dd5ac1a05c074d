"""Many jobs at once in one process: each thread runs the worker's loop for a seat of its own.

The main thread performs nothing. It hears signals, and tells the threads; it breaks into the jobs whose time is over,
and settles those that do not end even so, for a thread cannot be killed. Then the process has to end with them in it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskq import events
from taskq.cancelling import AGE, Words
from taskq.errors import BrokerUnavailable, JobCancelled, TermException
from taskq.limits import ByThread
from taskq.worker import orphans
from taskq.worker.assembly import Process
from taskq.worker.audience import Audience
from taskq.worker.control import LAST_WORDS, Control
from taskq.worker.heartbeat import Heart
from taskq.worker.in_thread import InThread, Taken
from taskq.worker.lookout import Lookout, Nobody
from taskq.worker.loop import Worker, settle_unfinished, work
from taskq.worker.outage import GaveUp
from taskq.worker.seat import Seat
from taskq.worker.station import Room, Station

if TYPE_CHECKING:  # asyncio takes 40 ms to import, and only one model needs it
    from taskq.worker.event_loop import EventLoop

__all__ = ["Member", "Threads", "work_side_by_side"]

_AGAIN: Final = 0.02  # seconds to the next try to break into a job, where taskq's own code stood in its place
_LONGEST: Final = 60.0  # seconds to the next look, where nothing is due


class Asked(JobCancelled):
    """USR1 asked for the end of the job in hand."""

    named = "Resque::TermException"

    def __init__(self) -> None:
        """Say so."""
        super().__init__("USR1 asked for it")


def _cancelled(by: str) -> type[JobCancelled]:
    """What is raised in a job that they cancelled: a class of its own, for another thread can raise nothing else."""

    class Told(JobCancelled):
        def __init__(self) -> None:
            super().__init__(f"Cancelled by {by}")

    for name in ("__module__", "__qualname__", "__name__"):
        setattr(Told, name, getattr(JobCancelled, name))
    return Told


@dataclass(eq=False, slots=True)
class Member:
    """One of the workers.

    Attributes:
        worker: what its thread runs.
        execution: where it performs: there.
        station: where it hears and waits.
        thread: that thread, once it was started.
        over: whether nothing more will come of it.
    """

    worker: Worker
    execution: InThread
    station: Station
    thread: threading.Thread | None = None
    over: bool = False


def work_side_by_side(process: Process, audience: Audience) -> bool:
    """Several workers in threads of this process, from their registration to their end. Main thread only.

    Returns:
        Whether a thread is left that did not end. Its job is settled, and the process must end by `os._exit`.
    """
    app, count = process.app, process.config.at_once
    seats: list[Seat] = []
    tells = [audience.of(lambda number=number: seats[number].id) for number in range(count)]  # type: ignore[misc]
    loop = None
    if process.config.execution == "async":
        from taskq.worker.event_loop import EventLoop

        loop = EventLoop(audience, again=process.control.manners.timeout_grace)
    threads = Threads(process.control, process.lookout(tells[0]), app.broker.wait, Words(app.broker), loop=loop)
    limits = ByThread(process.control.manners.timeout_grace)
    suspects = threading.Lock()
    for number, tell_it in enumerate(tells):

        def tell(event: events.Event, tell_it: events.Tell = tell_it) -> None:
            tell_it(event)
            threads.heard(event)

        station = threads.station()
        seat = process.seat(tell, number=number, told=station)
        seats.append(seat)
        hand = process.hand(seat)
        hand.watch = threads.heart.nudge
        execution = InThread(app.tools, seat, threads.heart, limits, loop=loop, started=threads.ring, suspects=suspects)
        worker = process.worker(seat, hand, execution, tell, lookout=threads.watch, told=station, wait=station.wait)
        threads.join(Member(worker, execution, station))
    where = f"in {count} threads of this process" if count > 1 else "in a thread of this process"
    if loop is not None:
        where = f"{count} at once, `async def` jobs on one event loop, others in threads of this process"
    audience(events.Chose(f"{where}, each a worker of its own" if count > 1 else where))
    try:
        left = threads.work()
    finally:
        limits.stop()
    for seat in seats:
        if seat.id:
            app.hooks.tell_quietly("worker_exit", seat.id)
    return left


class _AfterTheFirst(Nobody):
    """The watch of one of them: the heart's thread looks for all, and its first look comes before anybody's first job.

    Else a burst could end before what the dead had left is back in its queues.
    """

    def __init__(self, heart: Heart, looked: threading.Event, stopping: Callable[[], bool]) -> None:
        self._heart = heart
        self._looked = looked
        self._stopping = stopping

    def look(self, me: str, *, at_start: bool = False) -> None:
        """Have the heart look, and wait until it has."""
        if at_start:
            self._heart.nudge()
            while not self._looked.wait(_AGAIN) and not self._stopping():
                pass


class Threads:
    """The workers of one process."""

    def __init__(
        self,
        control: Control,
        lookout: Lookout,
        wait: Callable[[Sequence[str] | None, float, Sequence[int]], bool],
        words: Words,
        *,
        loop: EventLoop | None = None,
    ) -> None:
        """Without any worker yet.

        Args:
            control: what the process has been told.
            lookout: its watch over others.
            wait: the broker's.
            words: what was said there about the end of jobs.
            loop: where their `async def` jobs are performed; None is a loop of its own for each.
        """
        self._loop = loop
        self._control = control
        self._lookout = lookout
        self._room = Room(wait)
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._members: list[Member] = []
        self._errors: list[BaseException] = []
        self._looked = threading.Event()
        self._told = 0
        self._to_kill: list[tuple[Member, str]] = []  # with the fence of the job that it had in hand then
        self._words = words
        self._to_cancel: dict[str, tuple[Member, type[JobCancelled]]] = {}
        self._listens_at = 0.0
        self._ended_at: float | None = None  # when jobs were told to end
        self._in_a_hurry = False  # whether somebody had hurried by then
        self.heart = Heart(beside=self._look_after, fds=lambda: lookout.fds)
        self.watch = _AfterTheFirst(self.heart, self._looked, lambda: control.stopping)

    def station(self) -> Station:
        """A place for one more worker's thread."""
        return Station(self._control, self._room)

    def join(self, member: Member) -> None:
        """Add a worker."""
        self._members.append(member)

    def ring(self) -> None:
        """Have the main thread look at everything anew. From any thread."""
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:
            pass  # full of rings that were not heard yet

    def heard(self, event: events.Event) -> None:
        """What concerns the others of what one worker tells."""
        if isinstance(event, events.Found):
            self._room.call_next()
        elif isinstance(event, events.Pruned):
            self._room.call_all()  # idle ones register anew when they look

    def work(self) -> bool:
        """Run every worker from its registration to its leave. Main thread only.

        Returns:
            Whether a thread is left that did not end. Its job is settled, and the process must end by `os._exit`.

        Raises:
            BaseException: what ended a worker that was not told to; the others were told to end then.
        """
        self.heart.start()
        if self._loop is not None:
            self._loop.start(self.ring)
        to_start = deque(self._members)
        try:
            while True:
                self._start_next(to_start)
                if all(member.over for member in self._members):
                    break
                self._hand_on()  # what was heard where it was asked whether to go on wakes no wait any more
                due = self._end_jobs() if self._loop is None else min(self._end_jobs(), self._loop.look())
                self._control.rest(due - time.monotonic(), [self._ear])
                self._hear()
        finally:
            left = any(member.execution.busy for member in self._members)
            if self._loop is not None and left:
                self._loop.leave()
            elif self._loop is not None:
                left = not self._loop.stop(LAST_WORDS)
            for member in self._members:
                if member.thread is not None and member.over and not member.execution.busy:
                    member.thread.join()
            self.heart.stop()
            self._lookout.close()
            self._room.close()
            os.close(self._ear)
            os.close(self._bell)
        if self._errors:
            raise self._errors[0]
        return left

    # ---- the threads

    def _start_next(self, to_start: deque[Member]) -> None:
        """Start the next thread when the one before it is registered, so that ids are taken in their order."""
        if not self._control.goes_on():
            while to_start:
                to_start.popleft().over = True
        number = len(self._members) - len(to_start)
        if to_start and (number == 0 or self._members[number - 1].execution.started):
            self._start(to_start.popleft(), number)

    def _start(self, member: Member, number: int) -> None:
        # A daemon: where this process ends by an exception, it must not wait for jobs.
        member.thread = threading.Thread(target=self._live, args=(member,), name=f"taskq worker {number}", daemon=True)
        member.thread.start()

    def _live(self, member: Member) -> None:
        try:
            work(member.worker)
        except Taken:
            return  # it may be long after all else here has ended
        except GaveUp:
            pass  # told to end before it was registered
        except BaseException as error:
            self._errors.append(error)
            self._control.end()
        member.execution.stop()
        member.over = True
        self.ring()

    # ---- the main thread

    def _hear(self) -> None:
        """Hand on what was said."""
        try:
            os.read(self._ear, 512)
        except BlockingIOError:
            pass
        self._hand_on()

    def _hand_on(self) -> None:
        if self._control.changes != self._told:
            self._told = self._control.changes
            for member in self._members:
                member.station.ring()
            self._room.wake()

    def _end_jobs(self) -> float:
        """Break into the jobs whose time is over, and give up those that do not end. When to look again."""
        control, now = self._control, time.monotonic()
        if control.takes_kill():
            held = [(member, member.execution.in_hand) for member in self._members]
            self._to_kill = [(member, job[0].fence) for member, job in held if job is not None]
        self._to_kill = [
            (member, fence) for member, fence in self._to_kill if not member.execution.interrupt(Asked, fence=fence)
        ]
        again = now + _AGAIN if self._to_kill else now + _LONGEST
        if control.deadline is None:
            return again
        begins = control.term_at or control.deadline
        if now < begins:
            return min(again, begins)
        if self._ended_at is None:
            self._ended_at, self._in_a_hurry = now, control.hurried
        busy = [member for member in self._members if not member.over and member.execution.busy]
        for member in busy:
            if not member.execution.interrupt(TermException):
                again = now + _AGAIN
        gives_up = max(control.deadline, self._ended_at + LAST_WORDS)
        if control.hurried and not self._in_a_hurry:
            gives_up = now  # somebody hurries what is cleaning up
        if now < gives_up:
            return min(again, gives_up)
        for member in busy:
            self._give_up(member)
        return now + _AGAIN  # one may yet begin that was reserved before the worker was told to stop

    def _give_up(self, member: Member) -> None:
        """Settle a job that does not end, in the place of its thread."""
        taken = member.execution.take()
        if taken is None:
            return
        member.execution.stop()
        settle_unfinished(member.worker, *taken)
        member.over = True

    # ---- the heart's thread

    def _look_after(self) -> float | None:
        """Give back what jobs in hand hold up, and look for dead workers. In how many seconds to look again."""
        due = [member.worker.hand.look() for member in self._members]
        due.append(self._look_out())
        due.append(self._cancel_if_asked())
        return min((seconds for seconds in due if seconds is not None), default=None)

    def _cancel_if_asked(self) -> float:
        """Break into the jobs whose end somebody asked for. It looks twice a second, for all of them at once."""
        now = time.monotonic()
        if now >= self._listens_at and self._members[0].worker.seat.outage.since is None:
            self._listens_at = now + AGE
            held = [(member, job) for member in self._members if (job := member.execution.in_hand) is not None]
            old = {job.fence: (member, job) for member, (job, began) in held if now - began >= AGE}
            for fence, by in self._words.about([job for _, job in old.values()]).items():
                self._to_cancel[fence] = old[fence][0], _cancelled(by)
        for fence, (member, kind) in list(self._to_cancel.items()):
            if member.execution.interrupt(kind, fence=fence):
                del self._to_cancel[fence]
        return _AGAIN if self._to_cancel else max(self._listens_at - now, 0.0)

    def _look_out(self) -> float | None:
        """For all of them. An outage is found out elsewhere."""
        if not any(member.execution.busy for member in self._members):
            orphans.reap()  # among the children of a job may be one that it waits for itself
        first = self._members[0].worker.seat
        if not first.id:
            return None
        try:
            if self._lookout.fds:
                self._lookout.look_at_fallen()
            if time.monotonic() >= self._lookout.next_look:
                try:
                    self._lookout.look(first.id, at_start=not self._looked.is_set())
                finally:
                    self._looked.set()
                first.outage.mended(self._lookout)
        except BrokerUnavailable as error:
            first.outage.lost(error, self._lookout)
        except BaseException as error:
            # Refused, say. Let out, it would end the heart alone, and living workers would be taken for dead.
            self._errors.append(error)
            self._control.end()
            self.ring()
            return None
        return max(self._lookout.next_look - time.monotonic(), 0.0)
