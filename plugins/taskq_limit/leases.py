"""Keeps what running jobs hold from expiring: a thread that extends their leases beside them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from taskq.broker import Broker
from taskq.errors import BrokerError

__all__ = ["Leases"]

_log: Final = logging.getLogger("taskq.limit")

_EARLY: Final = 3.0  # a lease is extended so many times while it lasts: two tries may find the broker away
_LINGER: Final = 1.0  # seconds that the thread waits for another lease: a worker of such jobs need not start one a job


@dataclass(slots=True)
class _Lease:
    value: bytes
    seconds: float
    due: float


class Leases:
    """The leases that jobs of this process hold. Safe to use from several threads, and in a child after a fork."""

    def __init__(self, broker: Callable[[], Broker]) -> None:
        """None yet, and no thread: it starts with the first. `broker` gives where they are held."""
        self._broker = broker
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._held: dict[str, _Lease] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def hold(self, key: str, value: bytes, seconds: float) -> None:
        """Extend this lease from now on, which was just taken."""
        if self._pid != os.getpid():  # a child has no thread of its parent's, and none of what that holds
            self._forget()
        with self._changed:
            self._held[key] = _Lease(value, seconds, time.monotonic() + seconds / _EARLY)
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="taskq leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def let_go(self, key: str) -> None:
        """Extend it no more; no extension of it is on its way when this returns."""
        with self._changed:
            self._held.pop(key, None)

    def _live(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for key, lease in list(self._held.items()):
                    if lease.due <= now:
                        self._extend(key, lease)
                nearest = min((lease.due for lease in self._held.values()), default=None)
                if nearest is not None:
                    self._changed.wait(max(nearest - time.monotonic(), 0.0))
                elif not self._changed.wait_for(lambda: self._held, _LINGER):
                    self._thread = None
                    return

    def _extend(self, key: str, lease: _Lease) -> None:
        lease.due = time.monotonic() + lease.seconds / _EARLY
        with suppress(BrokerError):
            if not self._broker().swap_key(key, lease.value, lease.value, lease.seconds):
                del self._held[key]
                _log.warning(
                    "A job's place under its limit expired while it ran, for its process stood still longer than %g s; "
                    "another one may run beside it.",
                    lease.seconds,
                )
