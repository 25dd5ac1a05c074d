"""A heart for workers whose own threads perform their jobs: a thread that beats beside them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

from taskq.worker.seat import Seat
from taskq.worker.waiting import readable

__all__ = ["Heart"]


class Heart:
    """Beats in a thread of its own. `stop` is complete when it returns, and may come twice, or before `start`."""

    def __init__(
        self,
        *seats: Seat,
        beside: Callable[[], float | None] = lambda: None,
        fds: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        """Not beating yet.

        Args:
            seats: whose heart it is.
            beside: called at each beat, when `nudge` was called, when a descriptor was readable, and when it asked to
                be: something else to look after while the workers' own threads are busy. It says in how many seconds it
                wants to be called again; None for the next beat.
            fds: the descriptors that concern `beside`.
        """
        self._seats = list(seats)
        self._beating = threading.Lock()
        self._beside = beside
        self._fds = fds
        self._ended = False
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Beat from now on."""
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._live, name="taskq heartbeat", daemon=True)
            self._thread.start()

    def take_in(self, seat: Seat) -> None:
        """Beat for this one too."""
        with self._beating:
            self._seats.append(seat)
        self.nudge()

    def let_go(self, seat: Seat) -> None:
        """Beat for it no more; none of its beats is on the way when this returns. May come twice, or first."""
        with self._beating:
            if seat in self._seats:
                self._seats.remove(seat)

    def nudge(self) -> None:
        """Have `beside` called now. Safe in a signal handler: it writes one byte."""
        if not self._ended:  # else the descriptor may be somebody else's by now
            self._ring()

    def stop(self) -> None:
        """Beat no more."""
        if self._ended:
            return
        self._ended = True
        self._ring()
        if self._thread is not None:
            self._thread.join()
        os.close(self._ear)
        os.close(self._bell)

    def _ring(self) -> None:
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:
            pass  # full of rings that were not heard yet

    def _live(self) -> None:
        while not self._ended:
            again = self._beside()
            next_beat = min((seat.next_beat for seat in tuple(self._seats)), default=None)
            due = 60.0 if next_beat is None else max(next_beat - time.monotonic(), 0.0)
            if self._ear in readable([self._ear, *self._fds()], due if again is None else min(due, again)):
                os.read(self._ear, 512)
            elif not self._ended:
                self._beat()

    def _beat(self) -> None:
        for seat in tuple(self._seats):
            with self._beating:
                answered = seat.beat_if_due() if seat in self._seats else True
            if not answered:  # it would be the same for the others, and each try takes its time
                for other in tuple(self._seats):
                    other.next_beat = max(other.next_beat, seat.next_beat)
                return
