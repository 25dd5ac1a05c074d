"""Signals, as something that `select` can hear, and the one table that says what each means.

A handler appends and wakes; all else happens where the worker next looks. The waking is done by Python's own wake-up
descriptor, which writes in the C handler: a signal that comes between a look and a `select` is not missed.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Final, Protocol, Self

__all__ = ["MEANINGS", "MEANINGS_TO_POOL", "Ear", "Hearing", "Order", "has_terminal", "poke"]


class Order(enum.Enum):
    """What a worker can be told, by a signal or by its supervisor."""

    QUIT = "finish the job in hand, then end"
    STOP = "give the job in hand its time, then end"
    KILL = "kill the job in hand, go on"
    PAUSE = "take no more jobs after the one in hand"
    RESUME = "take jobs again"
    REREAD = "read the pool's file again"


def _present(names: Mapping[str, Order]) -> dict[int, Order]:
    """Only the signals that this platform has."""
    return {number: order for name, order in names.items() if (number := getattr(signal, name, None)) is not None}


MEANINGS: Final = _present(
    {
        "SIGQUIT": Order.QUIT,
        "SIGTERM": Order.STOP,
        "SIGINT": Order.STOP,
        "SIGUSR1": Order.KILL,
        "SIGUSR2": Order.PAUSE,
        "SIGCONT": Order.RESUME,
    }
)
"""Resque's signals and what they mean (WIRE.md section 13)."""

MEANINGS_TO_POOL: Final = {**MEANINGS, **_present({"SIGHUP": Order.REREAD})}
"""The same, where a pool is supervised. Elsewhere HUP says that the terminal is gone, and is heard as TERM."""

_HANG_UP: Final = getattr(signal, "SIGHUP", None)

# Not one that means something: two of a kind that come close together are one, and either could pass for the other.
# This one nobody sends, and whoever does not handle it ignores it.
_POKE: Final = getattr(signal, "SIGURG", None)

# What `signal.getsignal` asks, without its try to make an enum of the answer: 0.05 us instead of 4, at each job.
_handler_of: Final[Callable[[int], object]] = getattr(signal, "_signal", signal).getsignal


class Hearing(Protocol):
    """Where a worker hears what it is told."""

    @property
    def fd(self) -> int:
        """Readable when something was heard."""

    @property
    def pending(self) -> bool:
        """Whether `heard` has something to say. Costs next to nothing."""

    def heard(self) -> list[int]:
        """The signals since the last look, in order. Quiets `fd`."""


def poke(pid: int) -> None:
    """Have `at_once` called in the main thread of a child that has an ear, which may be dead by now."""
    if _POKE is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _POKE)


class Ear:
    """Hears signals while it is entered. Main thread only.

    Attributes:
        fd: readable when something was heard.
        at_once: called within the handler itself, told whether it was `poke` that made the signal, and what was
            running; the one thing that may raise into that. None but while a job is performed in this very thread.
    """

    def __init__(self, signals: Mapping[int, Order] = MEANINGS) -> None:
        """Hear these signals, when entered; and HUP as TERM where it is none of them and not ignored, as by `nohup`."""
        # Each with its handler as one object: of a method every look makes another, and `retake` compares.
        self._handlers: dict[int, Callable[[int, FrameType | None], None]] = dict.fromkeys(signals, self._hear)
        if _POKE is not None:
            self._handlers[_POKE] = self._feel
        self._heard: deque[int] = deque()
        # Of a signal: 1 where the bell has told of it and its handler not yet,
        # -1 where its handler has and the bell not yet.
        self._ahead: dict[int, int] = {}
        self._former: dict[int, object] = {}
        self._former_wakeup = -1
        self._bell = -1
        self._pid = -1
        self.fd = -1
        self.at_once: Callable[[bool, FrameType | None], None] | None = None

    def __enter__(self) -> Self:
        self._pid = os.getpid()
        if _HANG_UP is not None and _handler_of(_HANG_UP) not in (signal.SIG_IGN, None):
            self._handlers.setdefault(_HANG_UP, self._hang_up)
        self.fd, self._bell = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._bell, False)
        self._former_wakeup = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        for number, handler in self._handlers.items():
            self._former[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for number, former in self._former.items():
            # None where it was set by something that is not Python: leave ours, there is nothing to go back to.
            if former is not None:
                signal.signal(number, former)  # type: ignore[arg-type]  # what signal.signal gave back
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self.fd)
        os.close(self._bell)

    def retake(self) -> None:
        """Take back the signals that somebody else in this process took: an event loop leaves none of ours behind."""
        if [*map(_handler_of, self._handlers)] != [*self._handlers.values()]:  # nearly never, and at each job
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def retake_bell(self) -> None:
        """Take back the waking descriptor, which an event loop takes too. Only who waits needs it."""
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)

    @property
    def pending(self) -> bool:
        """Whether `heard` has something to say. Costs next to nothing."""
        return bool(self._heard)

    def feel(self) -> None:
        """Only be poked by a parent: for a process that hears nothing else, and never enters this."""
        if _POKE is not None:
            signal.signal(_POKE, self._handlers[_POKE])

    def poke(self) -> None:
        """Have `at_once` called in the main thread, breaking into a system call that it may be in. From any thread."""
        if _POKE is not None:
            signal.pthread_kill(threading.main_thread().ident or 0, _POKE)

    def heard(self) -> list[int]:
        """The signals since the last look, in order. Quiets `fd`. One thread at a time.

        Handlers run where Python runs in the main thread. A job there may be in C, and not come back from it: then
        another thread hears by the bell, which rings in C, and the handler says nothing new when it runs at last.
        """
        rung = b""
        try:
            while some := os.read(self.fd, 512):
                rung += some
        except BlockingIOError:
            pass
        heard, ahead = [], self._ahead
        while self._heard:
            number = self._heard.popleft()
            told = ahead.get(number, 0)
            ahead[number] = told - 1
            if told <= 0:
                heard.append(number)
        here = threading.current_thread() is threading.main_thread()
        for number in rung:
            told = ahead.get(number, 0)
            if told < 0:
                ahead[number] = told + 1
            elif not here and _handler_of(number) == self._hear:  # else a job has it for itself
                heard.append(number)
                ahead[number] = 1
        # Where the handlers have run, nothing that the bell told is to come: of several signals one call may come.
        self._ahead = {number: max(told, -1) for number, told in ahead.items() if told < 0 or (told and not here)}
        return heard

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._heard.append(number)
        if self.at_once is not None:
            self.at_once(False, frame)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._hear(signal.SIGTERM, frame)
        else:  # the child of a job, which has it as the system made it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _feel(self, number: int, frame: FrameType | None) -> None:
        if self.at_once is not None:
            self.at_once(True, frame)


def has_terminal() -> bool:
    """Whether this process has a terminal as its input: one that had, and has none any more, was hung up on."""
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except (OSError, ValueError):
        return False
