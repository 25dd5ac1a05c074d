"""A heart for a worker whose own thread performs its jobs: a thread that beats beside it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from taskq.worker.seat import Seat
from taskq.worker.waiting import readable

__all__ = ["Heart"]


class Heart:
    """Beats in a thread of its own. `stop` is complete when it returns, and may come twice, or before `start`."""

    def __init__(self, seat: Seat, *, beside: Callable[[], float | None] = lambda: None) -> None:
        """Not beating yet.

        Args:
            seat: whose heart it is.
            beside: called at each beat, when `nudge` was called, and when it asked to be: something else to look after
                while the worker's own thread is busy. It says in how many seconds it wants to be called again; None
                for the next beat.
        """
        self._seat = seat
        self._beside = beside
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
            due = max(self._seat.next_beat - time.monotonic(), 0.0)
            if readable([self._ear], due if again is None else min(due, again)):
                os.read(self._ear, 512)
            elif not self._ended:
                self._seat.beat_if_due()
