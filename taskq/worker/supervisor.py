"""Several workers under one process, which restarts what dies, with a growing pause, and stops them in order.

It performs nothing and talks to no broker. What it is told it hands on through a pipe of each worker's; a signal after
it only wakes. When it dies, the pipes end, and each worker ends as by QUIT.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from taskq import events
from taskq.worker import orphans
from taskq.worker.control import Control, Manners
from taskq.worker.signals import Ear
from taskq.worker.waiting import readable

__all__ = ["supervise"]

_PAUSE_MOST: Final = 30.0  # seconds before a worker that keeps dying is started again
_LIVED: Final = 60.0  # seconds after which a death is news, not a habit
_IN_A_ROW: Final = 3  # workers that died before they registered: they cannot start, and trying on would not help
_LAST_GRACE: Final = 10.0  # seconds that workers have beyond their own time to end
_LOOK: Final = 0.2  # seconds between looks for a death, where the system has no descriptor for a process

RunOne = Callable[[int, Callable[[], None]], int]
"""Runs one worker in this process, given the pipe its supervisor speaks on and what to call once it is registered."""


@dataclass(slots=True)
class _Place:
    """A place for one worker, and who has it. Times by the monotonic clock."""

    number: int
    pid: int = 0
    orders: int = -1
    news: int = -1
    death: int | None = None
    began: float = 0.0
    registered: bool = False
    killed: bool = False
    deaths: int = 0
    start_at: float | None = 0.0


def supervise(count: int, run_one: RunOne, manners: Manners, tell: events.Tell, *, burst: bool) -> int:
    """Keep `count` workers running until told to stop, or, with `burst`, until each has ended by itself.

    Args:
        count: how many.
        run_one: what each does in a process of its own; its result is the exit status.
        manners: what stopping gives the jobs in hand, so that it is known when a worker is overdue.
        tell: who is told.
        burst: a worker that ends with 0 is not started again.

    Returns:
        The exit status: 0; 128 and the number of the signal that hurried; or that of workers that could not start.
    """
    places = [_Place(number) for number in range(1, count + 1)]
    with Ear() as ear:
        supervisor = _Supervisor(places, run_one, tell, burst=burst, grace=manners.shutdown_timeout)

        def hear(event: events.Event) -> None:
            tell(event)
            if isinstance(event, events.Heard):
                supervisor.hand_on(event.signal)

        control = Control(ear, manners, hear)
        return supervisor.run(control)


class _Supervisor:
    def __init__(self, places: list[_Place], run_one: RunOne, tell: events.Tell, *, burst: bool, grace: float) -> None:
        self._places = places
        self._run_one = run_one
        self._tell = tell
        self._burst = burst
        self._grace = grace
        self._unregistered_deaths = 0
        self._status = 0
        self._given_up = False
        self._gives_up_at: float | None = None  # when the others' time is over, where some cannot start

    def run(self, control: Control) -> int:
        while True:
            now = time.monotonic()
            stopping = control.stopping or self._given_up
            for place in self._places:
                if not place.pid and place.start_at is not None and (stopping or now >= place.start_at):
                    if stopping:
                        place.start_at = None
                    else:
                        self._start(place)
            if all(not place.pid and place.start_at is None for place in self._places):
                return control.status or self._status
            deadline = control.deadline if self._gives_up_at is None else self._gives_up_at
            overdue = None if deadline is None else deadline + _LAST_GRACE
            if overdue is not None and now >= overdue:
                self._kill()
            self._rest(control, now, overdue)

    def hand_on(self, number: int) -> None:
        """Tell every worker what was heard, then wake it."""
        for place in self._places:
            if place.pid:
                with contextlib.suppress(OSError):
                    os.write(place.orders, bytes([number]))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.pid, signal.SIGTERM)  # under a supervisor it means nothing by itself

    # ---- waiting

    def _rest(self, control: Control, now: float, overdue: float | None) -> None:
        fds = list(control.fds)
        pause = 60.0
        for place in self._places:
            if place.pid:
                if place.news >= 0:
                    fds.append(place.news)
                if place.death is None:
                    pause = min(pause, _LOOK)
                else:
                    fds.append(place.death)
            elif place.start_at is not None:
                pause = min(pause, place.start_at - now)
        if overdue is not None:
            pause = min(pause, overdue - now) if overdue > now else min(pause, 1.0)
        ready = readable(fds, max(pause, 0.0))
        control.listen()
        for place in self._places:
            if place.news in ready:
                self._hear_news(place)
            if place.pid and (place.death is None or place.death in ready):
                pid, status = os.waitpid(place.pid, os.WNOHANG)
                if pid:
                    self._hear_news(place)
                    self._buried(place, os.waitstatus_to_exitcode(status), stopping=control.stopping)
        orphans.reap(frozenset(place.pid for place in self._places))

    def _hear_news(self, place: _Place) -> None:
        try:
            news = os.read(place.news, 16)
        except (BlockingIOError, OSError):
            return
        if news:
            place.registered = True
            self._unregistered_deaths = 0
        else:
            os.close(place.news)
            place.news = -1

    # ---- beginnings and ends

    def _start(self, place: _Place) -> None:
        orders, speak = os.pipe()
        listen, news = os.pipe()
        if sys.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
        try:
            pid = os.fork()
        except OSError as error:
            for fd in (orders, speak, listen, news):
                os.close(fd)
            place.start_at = time.monotonic() + _PAUSE_MOST
            self._tell(
                events.Warned(
                    f"Worker {place.number} could not be forked: {error.strerror}. Again in {_PAUSE_MOST:g} s."
                )
            )
            return
        if pid == 0:
            # A copy of another worker's pipe here would keep that worker from hearing the supervisor's end.
            for fd in (speak, listen, *self._open_fds()):
                os.close(fd)
            _work(self._run_one, orders, news)
        os.close(orders)
        os.close(news)
        os.set_blocking(listen, False)
        death = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                death = os.pidfd_open(pid)
        fresh = _Place(place.number, pid, speak, listen, death, time.monotonic(), deaths=place.deaths)
        for field in dataclasses.fields(_Place):
            setattr(place, field.name, getattr(fresh, field.name))

    def _open_fds(self) -> list[int]:
        fds = [fd for place in self._places for fd in (place.orders, place.news, place.death)]
        return [fd for fd in fds if fd is not None and fd >= 0]

    def _buried(self, place: _Place, code: int, *, stopping: bool) -> None:
        """A worker ended: leave its place empty, or have it filled again after a pause."""
        pid, lived = place.pid, time.monotonic() - place.began
        for fd in (place.orders, place.news, place.death):
            if fd is not None and fd >= 0:
                os.close(fd)
        place.pid, place.orders, place.news, place.death = 0, -1, -1, None
        if stopping or (self._burst and code == 0):
            place.start_at = None
            if code > 0:
                self._status = self._status or code
            return
        if not place.registered:
            self._unregistered_deaths += 1
        end = f"was killed by {_signal(-code)}" if code < 0 else f"ended with status {code}"
        if self._unregistered_deaths >= _IN_A_ROW:
            self._given_up = True
            self._gives_up_at = time.monotonic() + self._grace
            self._status = code if code > 0 else 128 - code
            place.start_at = None
            self._tell(
                events.Warned(
                    f"Worker {place.number} (pid {pid}) {end}. {_IN_A_ROW} in a row ended before they registered: "
                    "they cannot start. The supervisor ends."
                )
            )
            self.hand_on(signal.SIGTERM)
            return
        place.deaths = 1 if lived > _LIVED else place.deaths + 1
        pause = min(2.0 ** (place.deaths - 1), _PAUSE_MOST)
        place.start_at = time.monotonic() + pause
        self._tell(events.Warned(f"Worker {place.number} (pid {pid}) {end}; another starts in {pause:g} s."))

    def _kill(self) -> None:
        for place in self._places:
            if place.pid and not place.killed:
                place.killed = True
                self._tell(events.Warned(f"Worker {place.number} (pid {place.pid}) does not end; it is killed."))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.pid, signal.SIGKILL)


def _work(run_one: RunOne, orders: int, news: int) -> NoReturn:
    """In the child: one worker, from start to end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # the supervisor's; the worker sets its own

        def registered() -> None:
            with contextlib.suppress(OSError):
                os.write(news, b"r")

        status = run_one(orders, registered)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
