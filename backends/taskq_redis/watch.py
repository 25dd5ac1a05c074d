"""Waiting until a key holds something else, without polling and without missing a change.

A connection of its own reads the key, and Redis says there, once, when it is written or expires (CLIENT TRACKING).
Reading and the promise to say so are one step of Redis's, so nothing falls in between. Who waits has a connection for
as long; afterwards the next one takes it. Where Redis does not tell us there is a poll.
"""

from __future__ import annotations

import select
import socket
import threading
import time
import weakref
from collections import deque

from taskq.errors import BrokerRefused
from taskq_redis.errors import Answered
from taskq_redis.link import Links
from taskq_redis.tracking import Lost, Refused, Tracker, has_read_ahead
from taskq_redis.wire import pack

__all__ = ["Watch"]

_KEPT = 4  # connections kept for the next ones
_POLL_FIRST, _POLL_LONGEST = 0.01, 0.5  # seconds between looks where Redis does not tell us
_REFUSED_FOR = 60.0  # seconds until it is tried again
_A_DAY = 86400.0  # seconds of one wait at most: `poll` takes no more than 24 days
_SLACK = 0.002  # seconds that a key is given to be gone when its time is over


class Watch:
    """The waiting of one broker in one process. Safe in threads; a forked child begins anew."""

    def __init__(self, links: Links) -> None:
        """Nothing is connected to before the first wait."""
        self._links = links
        self._begin()

    def _begin(self) -> None:
        self._idle: deque[Tracker] = deque()
        self._all: weakref.WeakSet[Tracker] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._closed = False

    def wait(self, key: bytes, seen: bytes | None, timeout: float) -> bytes | None:
        """As `Broker.await_key`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() >= self._not_before:
            try:
                tracker = self._take()
            except (Refused, BrokerRefused):
                self._not_before = time.monotonic() + _REFUSED_FOR
                break
            except Lost:  # it was closed, or cut, before Redis had agreed
                if self._closed:
                    return seen
                break
            try:
                value = self._wait(tracker, key, seen, deadline)
            except Lost:
                tracker.drop()
                if self._closed:
                    return seen
                continue  # connecting says whether Redis is away
            except BaseException:
                tracker.drop()
                raise
            self._give(tracker)
            return value
        return self._poll(key, seen, deadline)

    def _wait(self, tracker: Tracker, key: bytes, seen: bytes | None, deadline: float) -> bytes | None:
        question = pack(b"GET", key) + pack(b"PTTL", key)
        while True:
            value, expires = tracker.ask(question, 2)
            for answer in (value, expires):
                if isinstance(answer, Exception):
                    raise self._links.explained(Answered(str(answer)), [(key, "string")])
            left = deadline - time.monotonic()
            if value != seen or left <= 0 or self._closed:
                return value if value is None else bytes(value)
            # Redis may take its time to notice that a key's is over; asked, it notices.
            until = time.monotonic() + (left if expires < 0 else min(left, expires / 1000 + _SLACK))
            while key not in (heard := tracker.heard()) and None not in heard:
                left = until - time.monotonic()
                if left <= 0:
                    break
                assert tracker.socket is not None
                _readable(tracker.socket, left)

    def _poll(self, key: bytes, seen: bytes | None, deadline: float) -> bytes | None:
        step = _POLL_FIRST
        while True:
            try:
                value: bytes | None = self._links.ask(pack(b"GET", key), repeatable=True)
            except Answered as error:
                raise self._links.explained(error, [(key, "string")]) from None
            left = deadline - time.monotonic()
            if value != seen or left <= 0 or self._closed:
                return value
            time.sleep(min(step, left))
            step = min(2 * step, _POLL_LONGEST)

    def _take(self) -> Tracker:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        tracker = Tracker()
        with self._lock:
            self._all.add(tracker)
        try:
            tracker.connect(self._links)
            tracker.command(b"CLIENT", b"TRACKING", b"ON")
        except BaseException:
            tracker.drop()
            raise
        return tracker

    def _give(self, tracker: Tracker) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            tracker.drop()
        else:
            self._idle.append(tracker)

    def close(self) -> None:
        """Wake whoever waits, and close the connections. May come twice."""
        self._closed = True
        while self._idle:
            self._idle.pop().drop()
        with self._lock:
            waiting = list(self._all)
        for tracker in waiting:
            if tracker.socket is not None:
                try:
                    tracker.socket.shutdown(socket.SHUT_RDWR)  # whoever waits on it hears its end
                except OSError:
                    pass

    def forked(self) -> None:
        """In a forked child: let go of the parent's connections, and begin anew."""
        for tracker in self._all:
            tracker.drop()
        self._begin()


def _readable(sock: socket.socket, seconds: float) -> None:
    if has_read_ahead(sock):
        return
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.poll(min(seconds, _A_DAY) * 1000)
