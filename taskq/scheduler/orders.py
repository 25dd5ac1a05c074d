"""What a scheduler has been told: by signals, or under a supervisor through its pipe. It knows no broker."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Final

from taskq.worker.signals import Hearing, Order, has_terminal
from taskq.worker.waiting import readable

__all__ = ["SIGNALS", "Orders"]

_STOP: Final = {signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGQUIT", signal.SIGTERM)}
_SHOW: Final = {getattr(signal, "SIGUSR1", None)}
_RELOAD: Final = {getattr(signal, "SIGUSR2", None), getattr(signal, "SIGHUP", None)}

SIGNALS: Final = {number: Order.QUIT for number in (*_STOP, *_SHOW, *_RELOAD) if number is not None}
"""Those that a scheduler hears: resque-scheduler's (WIRE.md section 9), and HUP."""


class Orders:
    """The orders given so far.

    Args:
        ear: where signals are heard.
        supervisor: the pipe on which a supervisor speaks, a byte each, the signal's number; its end means that the
            supervisor is gone. None where there is none.

    Attributes:
        stopping: it is to end.
        show: somebody asked what recurs; set back by whoever answers.
        reload: what recurs is to be read again; likewise.
    """

    def __init__(self, ear: Hearing, *, supervisor: int | None = None) -> None:
        self._ear = ear
        self._supervisor = supervisor
        self._terminal = has_terminal()
        self.stopping = False
        self.show = False
        self.reload = False

    @property
    def fds(self) -> Sequence[int]:
        """What to wait on; when one is readable, `listen`."""
        return (self._ear.fd,) if self._supervisor is None else (self._ear.fd, self._supervisor)

    def listen(self) -> None:
        """Take in what was said since the last time."""
        for number in self._ear.heard():
            # Only the top process takes these from outside: a Ctrl-C reaches a whole group.
            if number not in _STOP or self._supervisor is None:
                self._hear(number)
        while self._supervisor is not None and readable([self._supervisor], 0):
            said = os.read(self._supervisor, 64)
            # What else a supervisor hands on concerns jobs in hand; a scheduler has none.
            if not said or _STOP.intersection(said):
                self.stopping = True
            if not said:
                self._supervisor = None

    def rest(self, seconds: float) -> None:
        """Wait so long, or until something is said. Then listen."""
        readable(self.fds, seconds)
        self.listen()

    def _hear(self, number: int) -> None:
        if number in _STOP:
            self.stopping = True
        elif number in _SHOW:
            self.show = True
        elif number == getattr(signal, "SIGHUP", None) and self._terminal and not has_terminal():
            self.stopping = True  # nobody asks for the file: the terminal is gone
        else:
            self.reload = True
