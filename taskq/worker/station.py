"""Where the threads of one process stand: what each is told of what the main thread heard, and how they wait for work.

One of them waits with the broker, for all: so many doorbells as threads would cost every producer as many messages a
push, and a push would wake them all. Who is woken looks; who finds a job lets the next one look before it performs, for
one ring may stand for many jobs. So the chain ends with who finds nothing, and waits with the broker again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from taskq.worker.control import Control

__all__ = ["Room", "Station"]

Wait: TypeAlias = Callable[[Sequence[str] | None, float, Sequence[int]], bool]


class Room:
    """Where idle threads are. `close` may come twice, when none is in it any more."""

    def __init__(self, wait: Wait) -> None:
        """Nobody is in it yet. `wait` is the broker's."""
        self._wait = wait
        self._lock = threading.Lock()
        self._one_waits = False
        # The last to come is the first to look: few threads, and so few connections, do what little there is.
        self._others: list[Station] = []
        self._calls = 0  # that went to all; who was on the way here when one came looks all the same
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._closed = False

    def wait(self, station: Station, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int]) -> bool:
        """Wait until there may be work for this thread, or something was said. True where there may be work."""
        with self._lock:
            if station.calls != self._calls:
                station.calls = self._calls
                return True
            with_broker = not self._one_waits
            if with_broker:
                self._one_waits = True
            else:
                self._others.append(station)
        if not with_broker:
            station.rest(threading.TIMEOUT_MAX)
            with self._lock:
                called = station not in self._others
                if not called:
                    self._others.remove(station)
            return called
        try:
            return self._wait(queues, timeout, [self._ear, *interrupts])
        finally:
            with self._lock:
                self._one_waits = False
                try:
                    os.read(self._ear, 512)
                except BlockingIOError:
                    pass

    def call_next(self) -> None:
        """Somebody found a job, or will not look any more: the next one looks, where nobody waits with the broker."""
        with self._lock:
            if not self._one_waits and self._others:
                self._others.pop().ring()

    def call_all(self) -> None:
        """Have everybody look."""
        with self._lock:
            self._calls += 1
            others, self._others = self._others, []
            for station in others:
                station.calls = self._calls
                station.ring()
        self.wake()

    def wake(self) -> None:
        """End the wait with the broker: something was said."""
        with self._lock:
            if not self._closed:
                try:
                    os.write(self._bell, b"!")
                except BlockingIOError:
                    pass  # full of rings that were not heard yet

    def close(self) -> None:
        """Give back its descriptors."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._ear)
                os.close(self._bell)


class Station:
    """One thread's own. For its loop and its seat it is what a `Control` is to a worker that hears for itself.

    Attributes:
        calls: how many of the calls that went to all it has heard; the room's own.
    """

    fds: tuple[int, ...] = ()

    def __init__(self, control: Control, room: Room) -> None:
        """Nothing was said yet."""
        self._control = control
        self._room = room
        self._rung = threading.Event()
        self.calls = 0

    @property
    def stopping(self) -> bool:
        """No more jobs are to be taken."""
        return self._control.stopping

    @property
    def stopped_at(self) -> float | None:
        """When that was said."""
        return self._control.stopped_at

    @property
    def deadline(self) -> float | None:
        """When the time of what is in hand is over."""
        return self._control.deadline

    @property
    def hurried(self) -> bool:
        """It was said again."""
        return self._control.hurried

    @property
    def paused(self) -> bool:
        """No more jobs are to be taken for now."""
        return self._control.paused

    def goes_on(self) -> bool:
        """Whether to take another job."""
        return not self._control.stopping

    def listen(self) -> None:
        """The main thread does."""

    def takes_kill(self) -> bool:
        """The main thread does, for all of them."""
        return False

    def ring(self) -> None:
        """Something was said. From any thread."""
        self._rung.set()

    def rest(self, seconds: float, fds: Sequence[int] = ()) -> None:
        """Wait so long, or until `ring`. One that came before is not missed: then it is no wait at all."""
        self._rung.wait(min(seconds, threading.TIMEOUT_MAX))
        self._rung.clear()

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        """Wait for work, as `Broker.wait` does it."""
        return self._room.wait(self, queues, timeout, interrupts)
