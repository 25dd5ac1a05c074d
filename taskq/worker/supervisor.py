"""Several workers under one process, which restarts what dies, with a growing pause, and stops them in order.

It performs nothing and talks to no broker. What it is told it hands on through a pipe of each worker's; a signal after
it only wakes. When it dies, the pipes end, and each worker ends as by QUIT. Where the number of workers may change, a
scout looks at the queues for it.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from taskq import events
from taskq.config import Count
from taskq.errors import ConfigurationError
from taskq.queue_lists import QueueList
from taskq.worker import orphans
from taskq.worker.control import Control, Manners
from taskq.worker.offspring import Offspring, Say, Work
from taskq.worker.scaling import Gauge
from taskq.worker.scout import heard
from taskq.worker.signals import MEANINGS, MEANINGS_TO_POOL, Ear, Order, has_terminal
from taskq.worker.waiting import readable

__all__ = ["NOT_REACHED", "Crew", "RunOne", "Scouting", "supervise"]

NOT_REACHED: Final = 69
"""The status of a worker whose broker is away, where it is not to wait for that."""

_PAUSE_MOST: Final = 30.0  # seconds before a worker that keeps dying is started again
_LIVED: Final = 60.0  # seconds after which a death is news, not a habit
_IN_A_ROW: Final = 3  # workers that died before they registered: they cannot start, and trying on would not help
_LAST_GRACE: Final = 10.0  # seconds that workers have beyond their own time to end
_LOOK: Final = 0.2  # seconds between looks for a death, where the system has no descriptor for a process

RunOne: TypeAlias = Callable[[int, Callable[[], None]], int]
"""Runs one worker in this process, given the pipe its supervisor speaks on and what to call once it is registered."""

Scouting: TypeAlias = Callable[[Mapping[str, QueueList]], Work]
"""What a scout does that looks at the queues of these crews (see `taskq.worker.scout`)."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers of one kind.

    Attributes:
        name: what the log calls them; empty where there is one kind only.
        count: how many.
        queues: what they serve; None where they are no workers, but run beside some: they end with the last of these.
        run_one: what each does in a process of its own; its result is the exit status.
        settings: what tells whether a worker of a crew of this name would be another one now.
        burst: a worker that ends with 0 is not started again.
        waits: whether they wait for a broker that is away at their start. Else the others start when the first is
            registered, so that one of them says it where none can be; and it is not tried again.
        grace: the seconds that stopping gives a job in hand, so that it is known when a worker is overdue.
    """

    name: str
    count: Count
    queues: QueueList | None
    run_one: RunOne
    settings: object = None
    burst: bool = False
    waits: bool = True
    grace: float = 8.0


@dataclass(slots=True)
class _Place:
    """A place for one worker, and who has it. Times by the monotonic clock."""

    number: int
    worker: Offspring | None = None
    began: float = 0.0
    registered: bool = False
    leaving: bool = False
    overdue: float | None = None
    killed: bool = False
    deaths: int = 0
    start_at: float = 0.0


@dataclass(slots=True)
class _Muster:
    """A crew, and who of it is there.

    Attributes:
        crew: what was asked for.
        wanted: how many workers there should be now.
        gauge: what was seen of its queues.
        places: those that are there, are about to be, or are about to go.
        unregistered: how many in a row died before they registered.
        began: whether one of them has registered.
        given_up: whether its workers cannot start.
    """

    crew: Crew
    wanted: int
    gauge: Gauge
    places: list[_Place] = field(default_factory=list)
    unregistered: int = 0
    began: bool = False
    given_up: bool = False

    @classmethod
    def of(cls, crew: Crew) -> _Muster:
        return cls(crew, crew.count.least, Gauge(crew.count))

    @property
    def running(self) -> int:
        return sum(not place.leaving for place in self.places)

    def called(self, place: _Place) -> str:
        if self.crew.queues is None:
            return f"The {self.crew.name}"
        return f"Worker {place.number}{f' of {self.crew.name}' if self.crew.name else ''}"


def supervise(
    crews: Sequence[Crew],
    manners: Manners,
    tell: events.Tell,
    *,
    scouting: Scouting | None = None,
    reread: Callable[[], Sequence[Crew]] | None = None,
    entitle: Callable[[str], None] | None = None,
    supervisor: int | None = None,
) -> int:
    """Keep the crews' workers running until told to stop, or, in a burst, until each has ended by itself.

    Args:
        crews: who is to run.
        manners: what stopping means.
        tell: who is told.
        scouting: how the queues of crews are looked at whose count is a range; None where there is none.
        reread: what HUP does: the crews as their file has them now; raises `ConfigurationError`, and then all stays as
            it was. None where HUP is heard as TERM.
        entitle: sets what the process title says; None where it cannot be set.
        supervisor: the pipe on which a supervisor of this one speaks; None where there is none.

    Returns:
        The exit status: 0; 128 and the number of the signal that hurried; or that of workers that could not start.
    """
    with Ear(MEANINGS if reread is None else MEANINGS_TO_POOL) as ear:
        keeper = _Supervisor(crews, manners, tell, scouting, reread, entitle)
        told_to_stop = False

        def hear(event: events.Event) -> None:
            nonlocal told_to_stop
            tell(event)
            if isinstance(event, events.Heard):
                told_to_stop = told_to_stop or MEANINGS_TO_POOL[event.signal] in (Order.QUIT, Order.STOP)
                keeper.hear(event.signal)
            elif isinstance(event, events.Stopping) and not told_to_stop:  # the supervisor of this one is gone
                keeper.hand_on(signal.SIGQUIT)

        return keeper.run(Control(ear, manners, hear, supervisor=supervisor))


class _Supervisor:
    def __init__(
        self,
        crews: Sequence[Crew],
        manners: Manners,
        tell: events.Tell,
        scouting: Scouting | None,
        reread: Callable[[], Sequence[Crew]] | None,
        entitle: Callable[[str], None] | None,
    ) -> None:
        self._musters = [_Muster.of(crew) for crew in crews]
        self._manners = manners
        self._tell = tell
        self._scouting = scouting
        self._reread = reread
        self._entitle = entitle
        self._terminal = has_terminal()
        self._to_reread = False
        self._scout: Offspring | None = None
        self._scout_at = 0.0
        self._heard = b""
        self._status = 0

    def run(self, control: Control) -> int:
        self._show()
        try:
            while True:
                if self._to_reread and not control.stopping:
                    self._take_over()
                now = time.monotonic()
                for muster in self._musters:
                    if control.stopping:
                        muster.places = [place for place in muster.places if place.worker is not None]
                    else:
                        self._fill(muster, now, paused=control.paused)
                self._musters = [muster for muster in self._musters if muster.places or muster.given_up]
                if not any(muster.places for muster in self._musters):
                    return control.status or self._status
                overdue = self._overdue(control)
                self._kill(now, overdue)
                if not control.stopping:
                    self._send_scout(now)
                self._rest(control, now, overdue)
        finally:
            if self._scout is not None:
                self._scout.end()

    def hear(self, number: int) -> None:
        """A signal came."""
        if MEANINGS_TO_POOL[number] is not Order.REREAD:
            self.hand_on(number)
        elif self._terminal and not has_terminal():
            signal.raise_signal(signal.SIGTERM)  # nobody asks for the file: the terminal is gone, and all end
        else:
            self._to_reread = True

    def hand_on(self, number: int) -> None:
        """Tell every worker what was heard, then wake it."""
        for _, place in self._manned():
            assert place.worker is not None
            place.worker.order(number)

    def _manned(self) -> Iterator[tuple[_Muster, _Place]]:
        for muster in self._musters:
            for place in muster.places:
                if place.worker is not None:
                    yield muster, place

    # ---- waiting

    def _overdue(self, control: Control) -> float | None:
        """When who was told to stop does not end any more by itself; None where it may take its time."""
        if control.deadline is None:
            return None
        longer = max(muster.crew.grace for muster in self._musters) - self._manners.grace
        return control.deadline + _LAST_GRACE + (0.0 if control.hurried else max(longer, 0.0))

    def _rest(self, control: Control, now: float, overdue: float | None) -> None:
        fds = list(control.fds)
        pause = 60.0
        if self._scouting is not None and self._scout is None and self._to_look_at():
            pause = min(pause, max(self._scout_at - now, 0.0))
        for other in self._offspring():
            fds += other.to_wait_on
            if other.death is None:
                pause = min(pause, _LOOK)
        for muster in self._musters:
            for place in muster.places:
                if place.worker is None:
                    pause = min(pause, place.start_at - now)
                for due in (overdue, place.overdue):
                    if due is not None:
                        pause = min(pause, due - now) if due > now else min(pause, 1.0)
        readable(fds, max(pause, 0.0))
        control.listen()
        for muster, place in list(self._manned()):
            self._look_at(muster, place, stopping=control.stopping)
        self._listen_to_scout(heed=not (control.stopping or control.paused))
        orphans.reap(frozenset(other.pid for other in self._offspring()))

    def _offspring(self) -> list[Offspring]:
        workers = [place.worker for _, place in self._manned() if place.worker is not None]
        return workers if self._scout is None else [*workers, self._scout]

    def _look_at(self, muster: _Muster, place: _Place, *, stopping: bool) -> None:
        worker = place.worker
        assert worker is not None
        code = worker.ended()
        if worker.said():
            place.registered = muster.began = True
            muster.unregistered = 0
        if code is not None:
            worker.close()
            self._buried(muster, place, worker.pid, code, stopping=stopping)

    # ---- beginnings and ends

    def _fill(self, muster: _Muster, now: float, *, paused: bool) -> None:
        """Have as many places as are wanted, never more than there may be, and a worker in each whose time has come."""
        room = muster.crew.count.most - len(muster.places)
        for _ in range(min(muster.wanted - muster.running, room)):
            taken = {place.number for place in muster.places}
            number = next(number for number in itertools.count(1) if number not in taken)
            muster.places.append(_Place(number, start_at=now))
        for place in muster.places:
            if not (muster.crew.waits or muster.began) and any(other.worker is not None for other in muster.places):
                return  # whether the broker takes us says the first
            if place.worker is None and now >= place.start_at:
                self._start(muster, place, paused=paused)

    def _start(self, muster: _Muster, place: _Place, *, paused: bool) -> None:
        run_one = muster.crew.run_one

        def work(orders: int, say: Say) -> int:
            return run_one(orders, lambda: say(b"r"))

        place.began = time.monotonic()
        place.registered = place.killed = False
        try:
            place.worker = Offspring.forked(work, beside=self._offspring())
        except OSError as error:
            place.start_at = place.began + _PAUSE_MOST
            self._warn(f"{muster.called(place)} could not be forked: {error.strerror}. Again in {_PAUSE_MOST:g} s.")
            return
        if paused:
            place.worker.order(signal.SIGUSR2)

    def _buried(self, muster: _Muster, place: _Place, pid: int, code: int, *, stopping: bool) -> None:
        """A worker ended: give up its place, or have it filled again after a pause."""
        place.worker = None
        who = f"{muster.called(place)} (pid {pid})"
        end = f"was killed by {_signal(-code)}" if code < 0 else f"ended with status {code}"
        ends_burst = muster.crew.burst and code == 0
        if stopping or place.leaving or ends_burst:
            muster.places.remove(place)
            if stopping and code > 0:
                self._status = self._status or code
            elif place.leaving and code and not stopping:
                self._warn(f"{who} {end} when it was to end.")
            elif ends_burst:
                muster.wanted -= 1
            return
        if code == NOT_REACHED and not muster.crew.waits and not muster.began:
            muster.places.remove(place)
            self._give_up(muster, f"{who} {end}, not being told to wait for its broker.", code)
            return
        if code == NOT_REACHED and muster.crew.burst:
            muster.places.remove(place)
            muster.wanted -= 1
            self._status = self._status or code
            return
        if not place.registered:
            muster.unregistered += 1
        if muster.unregistered >= _IN_A_ROW:
            muster.places.remove(place)
            why = f"{who} {end}. {_IN_A_ROW} in a row ended before they registered: they cannot start."
            self._give_up(muster, why, code)
            return
        place.deaths = 1 if time.monotonic() - place.began > _LIVED else place.deaths + 1
        pause = min(2.0 ** (place.deaths - 1), _PAUSE_MOST)
        place.start_at = time.monotonic() + pause
        self._warn(f"{who} {end}; another starts in {pause:g} s.")

    def _give_up(self, muster: _Muster, why: str, code: int) -> None:
        """Its workers cannot start: end those that could."""
        muster.given_up = True
        self._status = code if code > 0 else 128 - code
        if all(other.given_up for other in self._musters if other.crew.queues is not None):
            then = "The supervisor ends."
            for other in self._musters:
                if other.crew.queues is None:
                    self._end(other)
        elif muster.crew.queues is None:
            then = "The others go on without."
        else:
            then = f"Nobody serves {muster.crew.queues.id} for {muster.crew.name} until the file is read again (HUP)."
        self._warn(f"{why} {then}")
        self._end(muster)
        self._show()

    def _end(self, muster: _Muster) -> None:
        muster.wanted = 0
        for place in list(muster.places):
            self._let_go(muster, place, signal.SIGTERM)
            place.overdue = time.monotonic() + muster.crew.grace + _LAST_GRACE

    def _let_go(self, muster: _Muster, place: _Place, number: int) -> None:
        """Nobody comes after it: it ends as by this signal, or at once where it is not even there."""
        if place.worker is None:
            muster.places.remove(place)
        else:
            place.leaving = True
            place.worker.order(number)

    def _kill(self, now: float, overdue: float | None) -> None:
        for muster, place in self._manned():
            late = any(due is not None and now >= due for due in (overdue, place.overdue))
            if place.worker is not None and late and not place.killed:
                place.killed = True
                self._warn(f"{muster.called(place)} (pid {place.worker.pid}) does not end; it is killed.")
                place.worker.send(signal.SIGKILL)

    # ---- other crews

    def _take_over(self) -> None:
        """Have the crews that the file has now. Who is of a crew that is as it was is not touched."""
        self._to_reread = False
        assert self._reread is not None
        try:
            crews = self._reread()
        except ConfigurationError as error:
            self._tell(events.PoolKept(error))
            return
        former = {muster.crew.name: muster for muster in self._musters}
        musters, added, changed, same = [], [], [], []
        for crew in crews:
            muster = former.pop(crew.name, None)
            if muster is None:
                added.append(_described(crew))
                musters.append(_Muster.of(crew))
                continue
            musters.append(muster)
            before, muster.crew, muster.gauge = muster.crew, crew, Gauge(crew.count)
            if not muster.wanted:  # given up, or removed lately, and some still end their jobs
                added.append(_described(crew))
                muster.given_up, muster.unregistered = False, 0
            elif before.settings != crew.settings:
                changed.append(_described(crew))
                for place in list(muster.places):
                    self._let_go(muster, place, signal.SIGQUIT)
            elif before.count != crew.count:
                changed.append(f"{crew.name} (count {before.count}, now {crew.count})")
            else:
                same.append(crew.name)
            muster.wanted = min(max(muster.wanted, crew.count.least), crew.count.most)
            while muster.running > muster.wanted:
                self._dismiss(muster)
        for muster in former.values():
            muster.wanted = 0
            for place in list(muster.places):
                self._let_go(muster, place, signal.SIGQUIT)
        self._musters = [*musters, *former.values()]
        if not any(muster.given_up for muster in self._musters):
            self._status = 0
        if self._scout is not None:
            self._scout.end()
            self._scout, self._scout_at, self._heard = None, 0.0, b""
        self._tell(events.PoolRead(tuple(added), tuple(changed), tuple(former), tuple(same)))
        self._show()

    # ---- growing and shrinking

    def _to_look_at(self) -> Mapping[str, QueueList]:
        ranging = [muster.crew for muster in self._musters if muster.wanted and muster.crew.count.is_range]
        return {crew.name: crew.queues for crew in ranging if crew.queues is not None}

    def _send_scout(self, now: float) -> None:
        """Have the queues of those looked at whose number may change."""
        lists = self._to_look_at()
        if self._scouting is None or not lists or self._scout is not None or now < self._scout_at:
            return
        self._scout_at = now + _PAUSE_MOST
        try:
            self._scout = Offspring.forked(self._scouting(lists), beside=self._offspring())
        except OSError as error:
            self._warn(f"The queues cannot be looked at: {error.strerror}. Again in {_PAUSE_MOST:g} s.")

    def _listen_to_scout(self, *, heed: bool) -> None:
        if self._scout is None:
            return
        code = self._scout.ended()
        seen, self._heard = heard(self._heard + self._scout.said())
        if code is not None:
            self._scout.close()
            self._scout, self._heard = None, b""
            pause = max(self._scout_at - time.monotonic(), 0.0)
            self._warn(f"The process that looks at the queues ended with {code}; another starts in {pause:.0f} s.")
        for muster in self._musters:
            waiting = None if seen is None else seen.get(muster.crew.name)
            if waiting is not None and heed and muster.wanted:
                self._scale(muster, waiting)

    def _scale(self, muster: _Muster, waiting: Mapping[str, int]) -> None:
        running = muster.running
        step = muster.gauge.step(waiting, running, len(muster.places) - running, time.monotonic())
        if step is None:
            return
        muster.wanted = step.target
        for _ in range(running - step.target):
            self._dismiss(muster)
        self._tell(events.Scaled(muster.crew.name, running, step.target, str(muster.crew.count), step.reason))
        self._show()

    def _dismiss(self, muster: _Muster) -> None:
        """Let one go: one that is not even there, else the last. It ends its job, if it has one, and takes no other."""
        staying = [place for place in muster.places if not place.leaving]
        place = next((place for place in staying if place.worker is None), max(staying, key=lambda place: place.number))
        self._let_go(muster, place, signal.SIGQUIT)

    def _show(self) -> None:
        if self._entitle is not None:
            counts = [_counted(muster) for muster in self._musters if muster.wanted]
            self._entitle(f"Supervising {', '.join(counts) or 'none'}")

    def _warn(self, message: str) -> None:
        self._tell(events.Warned(message))


def _described(crew: Crew) -> str:
    return f"{crew.name} ({crew.count} for {crew.queues.id})" if crew.queues is not None else crew.name


def _counted(muster: _Muster) -> str:
    if muster.crew.queues is None:
        return f"a {muster.crew.name}"
    many = f" (of {muster.crew.count})" if muster.crew.count.is_range else ""
    if muster.crew.name:
        return f"{muster.crew.name}: {muster.wanted}{many}"
    return f"{muster.wanted} worker{'' if muster.wanted == 1 else 's'}{many}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
