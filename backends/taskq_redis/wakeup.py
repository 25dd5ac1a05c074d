"""Waking a waiting worker when a job may be there, without taking anything and without telling any producer.

A connection of its own has Redis tell of every write to a key that begins as a queue's does (CLIENT TRACKING in
broadcasting mode, RESP3): 40 to 90 us after anybody's bare RPUSH. Where that is not to be had there is a slow poll.

Fifty idle workers must not all ask at each push. A worker waits a random time before it answers "there may be work", up
to a bound that doubles with each wake that found nothing and never passes 5 ms for each rival. Who found a job does not
wait at all the next time, and has half the bound after that; three seconds of quiet halve it too. So fifty together ask
some 600 times a second at 100 pushes, one of them within 3 ms at the median, and one alone never waits.

A scheduler waits in the same way for what is about delayed jobs, with a doorbell of its own: see `delayed`.

Not taken: BLMOVE q q LEFT LEFT, a blocking peek, is for one queue only; BLPOP would take a job before it is recorded.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence

from taskq.errors import BrokerError, BrokerRefused
from taskq_redis.errors import RedisError
from taskq_redis.keys import Keys
from taskq_redis.link import Links
from taskq_redis.tracking import Lost, Refused, Tracker, has_read_ahead

__all__ = ["Wakeup"]

_IDLE = 1.0  # seconds without a wait after which the doorbell is turned off: nobody would read what Redis sends
_SHARE = 0.005  # seconds of delay for each rival, at most
_FIRST, _LONGEST = 0.004, 2.0  # seconds of delay: after the first vain wake, at most
_QUIET = 3.0  # seconds without a vain wake that halve the delay
_POLL_FIRST, _POLL_LONGEST = 0.02, 1.0  # seconds between looks where there is no doorbell
_A_DAY = 86400.0  # seconds of one wait at most: `poll` takes no more than 24 days
_TRY_AGAIN, _REFUSED_FOR = 5.0, 60.0  # seconds until the doorbell is tried again


class _Bell(Tracker):
    """One thread's doorbell. What changes its connection holds `lock`, for a heartbeat's thread may turn it off."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.on = False
        self.waiting = False
        self.used = 0.0  # when it was last waited on
        self.not_before = 0.0  # when turning it on may be tried again
        self.rung = False  # something was heard since the last look
        self.woken = False  # the last wait ended because something was heard
        self.bound = 0.0  # seconds of delay at most
        self.vain_at = 0.0  # when a wake found nothing last
        self.found = False  # the last look found a job
        self.step = _POLL_FIRST
        self.unseen: set[bytes] = set()  # what was heard of before a look that did not look at it

    def turn_on(self, links: Links, prefixes: Sequence[bytes]) -> None:
        """Raises `Lost`, `Refused`, or what connecting raises."""
        self.connect(links)
        words = [word for prefix in prefixes for word in (b"PREFIX", prefix)]
        self.command(b"CLIENT", b"TRACKING", b"ON", b"BCAST", *words, b"NOLOOP")
        self.on = True
        self.used = time.monotonic()

    def turn_off(self) -> None:
        """Nothing is sent to us any more; the connection stays for the next time."""
        if self.on:
            self.on = False
            try:
                self.command(b"CLIENT", b"TRACKING", b"OFF")
            except (Lost, Refused):
                self.drop()
            self.forget()
            self.unseen.clear()

    def delay(self, left: float) -> float:
        """How long to wait until "there may be work" is said, not longer than what is left."""
        if self.found:
            return 0.0
        return min(random.uniform(0, self._bound_now()), left)

    def _bound_now(self) -> float:
        return self.bound * math.pow(0.5, (time.monotonic() - self.vain_at) / _QUIET)

    def looked(self, found: bool, most: float) -> None:
        """What the look found, and the greatest bound there may be with so many rivals."""
        if found:
            self.bound, self.step = self.bound / 2, _POLL_FIRST
        elif self.woken:
            self.bound, self.vain_at = min(max(2 * self._bound_now(), _FIRST), most), time.monotonic()
            self.step = min(2 * self.step, _POLL_LONGEST)
        self.found, self.woken = found, False

    def drop(self) -> None:
        self.on = False
        super().drop()
        self.unseen.clear()


class Wakeup:
    """The waiting of one broker in one process. Each thread that waits has its doorbell."""

    def __init__(
        self,
        links: Links,
        keys: Keys,
        poll: Callable[[Sequence[str] | None], bool],
        prefixes: Sequence[bytes] | None = None,
    ) -> None:
        """Nothing is connected to before the first wait.

        Args:
            links: where doorbells are opened.
            keys: whose queues.
            poll: whether one of these queues (None: any) has a job; asked where there is no doorbell.
            prefixes: what the keys begin with that it hears of; None for those about queues.
        """
        self._links = links
        self._keys = keys
        self._poll = poll
        self._prefixes = (keys.queue_prefix, keys.pause_all, keys.paused) if prefixes is None else prefixes
        self._begin()

    def _begin(self) -> None:
        self.armed = False
        """Whether any thread has waited: until then `looking` and `looked` need not be called."""
        self._mine = threading.local()
        self._bells: weakref.WeakSet[_Bell] = weakref.WeakSet()  # a thread that ends takes its own along
        self._lock = threading.Lock()
        self._waiters = 0
        self._closed = False
        self._ends: tuple[int, int] | None = None

    # ---- told by the broker

    def looking(self, keys: Sequence[bytes]) -> None:
        """A reserve of these keys is about to be sent: what was heard of them until now, it will see.

        Not of others: a pattern's names are looked up before, and a queue may be new since.
        """
        bell = getattr(self._mine, "bell", None)
        if bell is None or not bell.on:
            return
        with bell.lock:
            if not bell.on:
                return
            if time.monotonic() - bell.used > _IDLE:
                bell.turn_off()
            else:
                try:
                    bell.unseen.update(key for key in bell.heard() if key is not None)
                except Lost:
                    bell.drop()
                if bell.unseen:
                    bell.unseen.difference_update(keys)
            bell.rung = False

    def looked(self, found: bool, workers: int) -> None:
        """What the reserve found, and how many workers there are."""
        bell = getattr(self._mine, "bell", None)
        if bell is not None:
            bell.looked(found, min(_SHARE * max(workers - 1, 0), _LONGEST))

    def rest(self) -> None:
        """Turn off the doorbells that nobody waits on, or what Redis sends would heap up there."""
        with self._lock:
            bells = list(self._bells)
        for bell in bells:
            if bell.on and not bell.waiting:
                with bell.lock:
                    if bell.on and not bell.waiting and time.monotonic() - bell.used > _IDLE:
                        bell.turn_off()

    # ---- waiting

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int]) -> bool:
        """As `Broker.wait`."""
        wanted = None if queues is None else {self._keys.queue(queue) for queue in queues}
        return self.listen(lambda heard: self._concerns(heard, wanted), lambda: self._poll(queues), timeout, interrupts)

    def listen(
        self,
        concerns: Callable[[Sequence[bytes | None]], bool],
        poll: Callable[[], bool],
        timeout: float,
        interrupts: Sequence[int],
    ) -> bool:
        """Wait until a key is written that concerns whoever waits.

        Args:
            concerns: whether one of these keys does (None: any may have been written).
            poll: asked now and then instead, where there is no doorbell.
            timeout: seconds.
            interrupts: file descriptors that end it too.
        """
        bell = self._bell()
        ear = self._enter()
        if ear is None:
            return False
        with bell.lock:
            bell.waiting = True  # from here on no heartbeat turns it off
        try:
            return self._wait(bell, concerns, poll, time.monotonic() + timeout, [ear, *interrupts])
        finally:
            bell.waiting = False
            bell.used = time.monotonic()
            self._leave()

    def _wait(
        self,
        bell: _Bell,
        concerns: Callable[[Sequence[bytes | None]], bool],
        poll: Callable[[], bool],
        deadline: float,
        interrupts: Sequence[int],
    ) -> bool:
        if not bell.on and time.monotonic() >= bell.not_before and self._turn_on(bell):
            return True  # what was pushed before now was not heard: look again
        if not bell.on:
            return self._wait_by_polling(bell, poll, deadline, interrupts)
        assert bell.socket is not None
        while not bell.rung:
            try:
                with bell.lock:
                    bell.rung = concerns([*bell.heard(), *bell.unseen])
                    bell.unseen.clear()
            except Lost:
                bell.drop()
                return True
            if not bell.rung:
                left = deadline - time.monotonic()
                if left <= 0 or _readable(bell.socket, interrupts, left):
                    return False
        bell.woken = True
        pause = bell.delay(deadline - time.monotonic())
        return pause <= 0 or not _readable(None, interrupts, pause)

    def _concerns(self, heard: Iterable[bytes | None], wanted: set[bytes] | None) -> bool:
        return any(
            wanted is None or key is None or key in wanted or not key.startswith(self._keys.queue_prefix)
            for key in heard
        )

    def _turn_on(self, bell: _Bell) -> bool:
        with bell.lock:
            try:
                bell.turn_on(self._links, self._prefixes)
                return True
            except (Refused, BrokerRefused):
                bell.not_before = time.monotonic() + _REFUSED_FOR
            except (Lost, BrokerError, RedisError, OSError):
                bell.not_before = time.monotonic() + _TRY_AGAIN
            bell.drop()
            return False

    def _wait_by_polling(
        self, bell: _Bell, poll: Callable[[], bool], deadline: float, interrupts: Sequence[int]
    ) -> bool:
        while (left := deadline - time.monotonic()) > 0:
            if _readable(None, interrupts, min(bell.step, left)):
                return False
            if poll():
                bell.woken = True
                return True
            bell.step = min(2 * bell.step, _POLL_LONGEST)
        return False

    def _bell(self) -> _Bell:
        bell: _Bell | None = getattr(self._mine, "bell", None)
        if bell is None:
            bell = self._mine.bell = _Bell()
            with self._lock:
                self._bells.add(bell)
            self.armed = True
        return bell

    # ---- ending

    def _enter(self) -> int | None:
        """The end of a pipe that is readable once all is closed; None where it is."""
        with self._lock:
            if self._closed:
                return None
            if self._ends is None:
                self._ends = os.pipe()
            self._waiters += 1
            return self._ends[0]

    def _leave(self) -> None:
        with self._lock:
            self._waiters -= 1
            if self._closed and not self._waiters:
                self._let_go()

    def _let_go(self) -> None:
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
            self._ends = None
        for bell in self._bells:
            bell.drop()
        self._bells.clear()

    def close(self) -> None:
        """Wake whoever waits, and close the doorbells. May come twice."""
        with self._lock:
            self._closed = True
            if self._waiters and self._ends is not None:
                os.write(self._ends[1], b"!")
            elif not self._waiters:
                self._let_go()

    def forked(self) -> None:
        """In a forked child: let go of the parent's doorbells, and begin anew."""
        for bell in self._bells:
            bell.drop()
        if self._ends is not None:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    os.close(end)
        self._begin()


def _readable(bell: socket.socket | None, interrupts: Sequence[int], seconds: float) -> bool:
    """Wait for the doorbell or an interrupt. True where it was an interrupt."""
    if bell is not None and has_read_ahead(bell):
        return False
    poll = select.poll()
    for fd in interrupts:
        poll.register(fd, select.POLLIN)
    if bell is not None:
        poll.register(bell, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(min(seconds, _A_DAY) * 1000)}
    return not ready.isdisjoint(interrupts)
