"""The worker's loop: what a turn is. What happens to one job is `taskq.performing`'s, and where is the model's."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskq import events
from taskq.broker import Broker
from taskq.errors import BrokerInTrouble, BrokerUnavailable
from taskq.outcome import NotBegun
from taskq.performing import Task, Tools, crashed, prepare
from taskq.records import Crash, Reservation
from taskq.worker.control import Instructions
from taskq.worker.execution import Execution
from taskq.worker.hand import Hand
from taskq.worker.line import Line
from taskq.worker.lookout import Watch
from taskq.worker.outage import GaveUp, last_words
from taskq.worker.seat import Seat
from taskq.worker.settle import Settling
from taskq.worker.takings import Takings

__all__ = ["Worker", "leave", "look_out", "settle_unfinished", "take_turns", "work"]

_BREATH: Final = 1.0  # seconds before another job is taken, where one could not be begun


@dataclass(frozen=True, slots=True)
class Worker:
    """All that a worker is made of.

    Attributes:
        broker: where the jobs are.
        seat: its place there.
        line: the queues it looks at.
        execution: where it performs.
        control: what it has been told.
        wait: waits until there may be work, as `Broker.wait` does it.
        lookout: its watch over other workers.
        hand: what it holds ahead of its turn.
        settling: how outcomes reach the broker.
        takings: what it took from which queue.
        tools: what performing needs.
        tell: who is told what happens.
        interval: seconds between two looks at most.
        burst: end where a reserve finds nothing.
        lasts: whether this process is to take another job: one of several that take turns ends after so many.
        health_file: what is touched at each turn that the broker answered; None for nothing.
    """

    broker: Broker
    seat: Seat
    line: Line
    execution: Execution
    control: Instructions
    wait: Callable[[Sequence[str] | None, float, Sequence[int]], bool]
    lookout: Watch
    hand: Hand
    settling: Settling
    takings: Takings
    tools: Tools
    tell: events.Tell
    interval: float
    burst: bool
    health_file: Path | None
    lasts: Callable[[], bool] = lambda: True


def work(worker: Worker) -> None:
    """Register, take turns until told to stop, and leave."""
    worker.seat.register()
    worker.execution.start()
    try:
        look_out(worker, at_start=True)
        take_turns(worker)
    except GaveUp as gave_up:
        worker.tell(events.Warned(last_words(gave_up)))
    finally:
        worker.execution.stop()
    leave(worker)


def take_turns(worker: Worker) -> None:
    """Until told to stop: reserve or wait, perform, settle. Nothing is held any more when it returns.

    Raises:
        GaveUp: it was told to stop while the broker was away; what is held is left to recovery.
    """
    alive = _sign_of_life(worker.health_file, worker.tell)
    while worker.control.goes_on() and worker.lasts():
        if worker.control.paused:
            _pause(worker, alive)
            continue
        try:
            task = _next(worker)  # a crash here leaves the job in hand: recovery fails or requeues it
        except GaveUp as gave_up:
            if isinstance(gave_up.__cause__, BrokerInTrouble):
                break  # it answers, and may settle a job though it cannot give out any
            raise
        alive()
        if task is not None:
            worker.control.takes_kill()
            outcome = worker.execution.perform(task)  # a crash here too
            worker.tell(events.Performed(task, outcome))
            worker.settling.settle(task, outcome, worker.broker.now)  # and here, where it is not settled yet
            if isinstance(outcome, NotBegun):
                _rest(worker, _BREATH)  # for the system to recover, and others to take it
        elif worker.burst:
            _tell_paused(worker)
            break
        else:
            _wait(worker)
    worker.settling.finish()
    if worker.seat.outage.since is None:
        worker.takings.end()


def _next(worker: Worker) -> Task | None:
    """The next job, or None where there is none: then the queues were looked at, and what ended well is settled.

    One that was taken ahead of its turn comes before any look at the queues.
    """
    hand, line = worker.hand, worker.line
    held = hand.begin()
    if held is None and (more := hand.fetch()):
        worker.takings.took(more)
        line.took(more[-1].queue)
        held = hand.begin()
        if held is not None:
            worker.settling.noted()  # no reserve comes to say it while there is always more
    if held is not None:
        if hand.low and (more_from := line.at_hand) is not None:
            hand.ask(more_from)
        return _make_ready(worker, held, ())
    names = line.at_hand
    if names is None:
        names = worker.seat.look(line.names)
    reserved = worker.settling.reserve(names)
    if not reserved.jobs and line.came_back_empty():
        names = worker.seat.look(line.names)
        reserved = worker.settling.reserve(names)
        line.came_back_empty()
    worker.takings.took(reserved.jobs)
    if not reserved.jobs:
        worker.tell(events.Empty(names, None if worker.burst else worker.interval, line.title))
        return None
    line.took(reserved.jobs[-1].queue)
    return _make_ready(worker, hand.take(reserved.jobs), names)


def _make_ready(worker: Worker, held: Reservation, looked_at: tuple[str, ...]) -> Task:
    task = prepare(held, worker.tools)
    worker.tell(events.Found(task, looked_at))
    return task


def _tell_paused(worker: Worker) -> None:
    """Before a burst ends: paused queues count as empty, and what waits there stays."""
    paused = worker.seat.look(worker.broker.paused)
    closed = [name for name in worker.seat.look(worker.line.names) if paused.all or name in paused.queues]
    waiting = {name: size for name, size in worker.seat.look(lambda: worker.broker.sizes(closed)).items() if size}
    if waiting:
        left = ", ".join(f"{name} ({size})" for name, size in waiting.items())
        worker.tell(events.Warned(f"Paused, and left as it is: {left}. To go on there: taskq queues unpause."))


def _wait(worker: Worker) -> None:
    """Until there may be work, something is said, or something else is due."""
    seat, control, lookout = worker.seat, worker.control, worker.lookout
    ends = time.monotonic() + worker.interval
    while not control.stopping and not control.paused:
        now = time.monotonic()
        beat_in = worker.execution.between()
        due = min(ends, lookout.next_look, ends if beat_in is None else now + beat_in)
        try:
            woken = worker.wait(worker.line.to_wait_for, max(due - now, 0.0), [*control.fds, *lookout.fds])
        except BrokerUnavailable as error:
            seat.outage.lost(error, (seat, "wait"))
            if isinstance(error, BrokerInTrouble):
                control.rest(_BREATH)  # what is asked next may be answered, and this come back at once
            return
        seat.outage.mended((seat, "wait"))
        control.listen()
        look_out(worker)
        if woken or time.monotonic() >= ends:
            return


def _pause(worker: Worker, alive: Callable[[], None]) -> None:
    """Take nothing until told to go on. Ruby's workers write nothing meanwhile but their heartbeat."""
    worker.settling.finish()
    worker.tell(events.Paused())
    while worker.control.paused and not worker.control.stopping:
        _be_idle(worker)
        if worker.seat.outage.since is None:
            alive()
    worker.tell(events.Resumed())


def _rest(worker: Worker, seconds: float) -> None:
    """Take nothing for so long."""
    ends = time.monotonic() + seconds
    while not worker.control.stopping and time.monotonic() < ends:
        _be_idle(worker, ends)


def _be_idle(worker: Worker, ends: float = math.inf) -> None:
    """Until something is said, or something else than a job is due: see to it."""
    beat_in = worker.execution.between()
    due = min(ends, worker.lookout.next_look) - time.monotonic()
    worker.control.rest(due if beat_in is None else min(due, beat_in), worker.lookout.fds)
    look_out(worker)


def look_out(worker: Worker, *, at_start: bool = False) -> None:
    """Look for dead workers, where the time has come or one was seen to fall. An outage is found out elsewhere."""
    lookout = worker.lookout
    try:
        if lookout.fds:
            lookout.look_at_fallen()
        if at_start or time.monotonic() >= lookout.next_look:
            lookout.look(worker.seat.id, at_start=at_start)
            worker.seat.outage.mended((worker.seat, "lookout"))
    except BrokerUnavailable as error:
        worker.seat.outage.lost(error, (worker.seat, "lookout"))


def settle_unfinished(worker: Worker, task: Task, seconds: float) -> None:
    """Settle a job that does not end though its worker has to, in the place of who performs it; then unregister.

    Args:
        worker: the worker that has it in hand.
        task: the job, taken from who performs it.
        seconds: for how long it ran.
    """
    outcome = crashed(task, Crash(ended="shutdown"), worker.tools, seconds)
    worker.tell(events.Performed(task, outcome))
    try:
        worker.settling.settle(task, outcome, worker.broker.now)
        worker.settling.finish()
    except GaveUp as gave_up:
        worker.tell(events.Warned(last_words(gave_up)))
    else:
        worker.seat.leave()


def leave(worker: Worker) -> None:
    """Unregister, and watch nobody any more."""
    if not worker.seat.leave():
        worker.tell(events.Warned(f"{worker.seat.id} could not be unregistered; it is left to recovery."))
    worker.lookout.close()


def _sign_of_life(path: Path | None, tell: events.Tell) -> Callable[[], None]:
    """Touches the health file, once a second at most. Where it cannot, it says so once: jobs go on all the same."""
    if path is None:
        return lambda: None
    last = float("-inf")
    told = False

    def touch() -> None:
        nonlocal last, told
        now = time.monotonic()
        if now - last < 1.0:
            return
        last = now
        try:
            try:
                os.utime(path)
            except FileNotFoundError:
                path.touch()
        except OSError as error:
            if not told:
                told = True
                tell(events.Warned(f"The health file {path} cannot be touched: {error.strerror}."))

    return touch
