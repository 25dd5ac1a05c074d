"""Connections to Redis: one a call, kept for the next one, and nothing repeated but what is safe to repeat.

This module knows packed bytes and answers, not what they mean.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from taskq.errors import BrokerError, BrokerInTrouble
from taskq_redis.errors import (
    Answered,
    Cut,
    Late,
    Place,
    RedisError,
    Sent,
    Unserved,
    error_code,
    refused_by_server,
    translated,
)
from taskq_redis.scripts import Script
from taskq_redis.wire import Connection, Version, Wire, pack

__all__ = ["SKIP", "Connect", "Links", "own_connection_ids", "pack_script"]

_IDLE = 1.0  # seconds a kept connection may be old before it is looked at: one look costs 3 us, a call 90
_KNOWN = 1.0  # seconds for which Redis is believed to know a script: after a flush another worker may load the others
_RUSH = 0.0002  # seconds: what is told in less than that after the last is kept by the system, which has it each time
_TOGETHER = 16  # that Redis is woken up for at once: that takes longer than to write one, and than Redis needs for it
_KEPT = 32  # idle connections at most; one a thread is what there is


class Connect(Protocol):
    """Makes a connection that is not yet open."""

    def __call__(self, *, protocol: Version = 2, seconds: float | None = None) -> Connection:
        """With other limits of time than the address's where `seconds` says one, for connecting and each answer."""
        ...


_CLIENT_ID = pack(b"CLIENT", b"ID")
SKIP = pack(b"CLIENT", b"REPLY", b"SKIP")
"""Ahead of a command: it is not answered."""


def pack_script(script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> bytes:
    """A call of a script as it is sent."""
    return pack(b"EVALSHA", script.sha, b"%d" % len(keys), *keys, *args)


def _with_text(script: Script, packed: bytes) -> bytes:
    """The same call, with the script's text in place of its SHA: EVAL, which also has Redis remember it."""
    count, _, behind = packed.partition(b"\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % script.sha)
    return b"%b\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n%b" % (count, len(script.text), script.text, behind)


class _Link:
    __slots__ = ("__weakref__", "connection", "held", "id", "idle", "new", "used", "wire")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.wire = connection.wire()
        self.id: int | None = None  # what Redis calls it; asked for only where a worker needs it
        self.new = True
        self.used = time.monotonic()
        self.idle = math.inf  # seconds between the last two uses
        self.held = 0  # how many were told that the system may keep

    def stale(self) -> bool:
        """Whether the other end is gone, or it holds an answer that nobody waits for."""
        try:
            return self.wire.stale()
        except (RedisError, OSError):
            return True


class Links:
    """The connections of one broker in one process. Safe in threads; a forked child begins with none."""

    def __init__(self, connect: Connect, place: Place) -> None:
        self._connect = connect
        self._place = place
        self._idle: deque[_Link] = deque()
        self._aside: deque[_Link] = deque()  # idle too, kept for calls whose answer is waited for later
        self._open_ones: set[weakref.ref[_Link]] = set()
        self._identified = False
        self._known: dict[bytes, float] = {}  # until when Redis knows a script that is told without an answer
        self._skips: bool | None = None
        self._closed = False
        _everywhere.add(weakref.ref(self, _everywhere.discard))

    # ---- asking

    def ask(self, packed: bytes, *, repeatable: bool = False, soon: bool = False) -> Any:
        """Send one command and return its answer.

        Args:
            packed: the command.
            repeatable: it changes nothing, so that it may be sent again where a kept connection turned out dead.
            soon: see `Wire.read`.

        Raises:
            BrokerUnavailable: no answer came; `sent` says whether the command may have been carried out.
            BrokerRefused: Redis will not have us.
            Answered: Redis answered with an error; the command was not carried out.
        """
        while True:
            link = self._take()
            sent: Sent = "no"
            try:
                link.wire.send(packed)
                sent = "unknown"
                answer = link.wire.read(soon=soon)
            except Answered:
                self._give(link)
                raise
            except (RedisError, OSError) as error:
                self._dead(link, error, sent, repeatable=repeatable)
                continue
            except BaseException:
                link.connection.disconnect()  # there may be an answer on the way that is not the next one's
                raise
            self._give(link)
            return answer

    def ask_all(self, packed: bytes, answers: int, *, repeatable: bool = False) -> list[Any]:
        """Send several commands in one write; their answers, an `Answered` being one of them.

        Raises as `ask` does. Where `sent` is "no" the last of the commands was not carried out.
        """
        while True:
            link = self._take()
            sent: Sent = "no"
            try:
                link.wire.send(packed)
                sent = "unknown"
                got = [self._answer(link.wire) for _ in range(answers)]
            except (RedisError, OSError) as error:
                self._dead(link, error, sent, repeatable=repeatable)
                continue
            except BaseException:
                link.connection.disconnect()
                raise
            self._give(link)
            return got

    @staticmethod
    def _answer(wire: Wire) -> Any:
        try:
            return wire.read()
        except Answered as error:
            return error

    def run(
        self, script: Script, packed: bytes, *, keys: Sequence[bytes] = (), soon: bool = False, repeatable: bool = False
    ) -> Any:
        """Call a script, telling Redis its text where it does not know it.

        Args:
            script: the script.
            packed: the call, as `pack_script` makes it.
            keys: its keys, for the error where one is of the wrong type.
            soon: see `Wire.read`.
            repeatable: as in `ask`.

        Raises:
            BrokerError: as `ask`; and, naming the key, where one holds what it must not. Then nothing was changed.
        """
        try:
            return self.ask(packed, repeatable=repeatable, soon=soon)
        except Answered as error:
            self._known.clear()  # perhaps somebody flushed them all
            if error_code(error) != "NOSCRIPT":
                raise self.explained(error, [(key, script.type_of(place)) for place, key in enumerate(keys)]) from None
        try:
            # Its text and the call in one command: between a SCRIPT LOAD and an EVALSHA somebody may flush again.
            return self.ask(_with_text(script, packed), repeatable=repeatable)
        except Answered as error:
            raise self.explained(error, [(key, script.type_of(place)) for place, key in enumerate(keys)]) from None

    def begin(self, script: Script, packed: bytes, *, keys: Sequence[bytes] = ()) -> Callable[[], Any]:
        """Call a script that may be called again, and wait for its answer later. Does not raise.

        It has a connection of its own until then: no other call waits for it, and nothing that is told waits with it.
        That one is kept for the next; only the first waits for it to be opened.

        Args:
            script: the script.
            packed: the call, as `pack_script` makes it.
            keys: its keys, for the error where one is of the wrong type.

        Returns:
            What waits for the answer, and raises as `run` does. Where the answer was lost, it calls again.
        """
        link = self._sent_aside(packed)

        def answer() -> Any:
            nonlocal link
            waited, link = link, None
            if waited is not None:
                try:
                    answer = waited.wire.read()
                except Answered:
                    self._give(waited, self._aside)  # its text may not be known any more; called again it is told
                except (RedisError, OSError) as error:
                    self._dead(waited, error, "unknown", repeatable=True)
                except BaseException:
                    waited.connection.disconnect()
                    raise
                else:
                    self._give(waited, self._aside)
                    return answer
            return self.run(script, packed, keys=keys)

        return answer

    def _sent_aside(self, packed: bytes) -> _Link | None:
        link = None
        try:
            link = self._take(self._aside)
            link.wire.send(packed)
        except (BrokerError, RedisError, OSError):
            if link is not None:
                link.connection.disconnect()
            return None
        return link

    def tell(self, script: Script, packed: bytes) -> None:
        """Call a script without waiting for its answer. It may be lost, and nobody hears how it went.

        When this returns the system has it, and the death of this process does not take it away.

        Args:
            script: the script.
            packed: the call, as `pack_script` makes it, behind a `SKIP`: of a process that dies with an answer unread
                Redis may not see what it sent last.
        """
        if time.monotonic() >= self._known.get(script.sha, 0.0):
            with contextlib.suppress(BrokerError):
                self.run(script, packed.removeprefix(SKIP))  # only an answer tells whether Redis knows the script
                if self._takes_skip():
                    self._known[script.sha] = time.monotonic() + _KNOWN
            return
        try:
            link = self._take()
        except BrokerError:
            return
        more = link.idle < _RUSH and link.held + 1 < _TOGETHER
        link.held = link.held + 1 if more else 0
        try:
            link.wire.send(packed, more=more)
        except BaseException as error:
            link.connection.disconnect()
            if not isinstance(error, RedisError | OSError):
                raise
        else:
            self._give(link)

    def _takes_skip(self) -> bool:
        """Whether CLIENT REPLY SKIP does here what it says: behind a proxy, or by an ACL, it may not."""
        if self._skips is None:
            link = self._take()
            try:
                link.wire.send(SKIP + pack(b"PING") + pack(b"ECHO", b"skipped"))
                answers = [self._answer(link.wire)]
                while answers[-1] != b"skipped":
                    answers.append(self._answer(link.wire))
            except (RedisError, OSError) as error:
                link.connection.disconnect()
                raise translated(error, self._place, "unknown") from None
            except BaseException:
                link.connection.disconnect()
                raise
            self._give(link)
            self._skips = len(answers) == 1
        return self._skips

    def explained(self, error: Answered, keys: Sequence[tuple[bytes, str]]) -> BrokerError:
        """The error of taskq's for one that Redis answered; of the wrong type of a key it says which key that is."""
        if error_code(error) != "WRONGTYPE":
            return translated(error, self._place, "no")
        types = self.ask_all(b"".join(pack(b"TYPE", key) for key, _ in keys), len(keys), repeatable=True)
        for (key, wanted), found in zip(keys, types, strict=True):
            name = found.decode() if isinstance(found, bytes) else str(found)
            if name not in {wanted, "none"} and wanted != "any":
                return BrokerInTrouble(
                    self._place.address,
                    f"The key {key.decode('utf-8', 'replace')} at {self._place.address} holds a {name} where a "
                    f"{wanted} belongs. Nothing was changed. Another program uses this namespace: look with "
                    f"redis-cli type, and rename or delete the key.",
                )
        return BrokerInTrouble(self._place.address, f"{self._place.address} answered: {error}.")

    @staticmethod
    def once(connection: Connection, place: Place, packed: bytes) -> Any:
        """Send one command over a connection of the caller's own. Raises taskq's errors."""
        try:
            wire = connection.wire()
            wire.send(packed)
            return wire.read()
        except (RedisError, OSError) as error:
            raise translated(error, place, "unknown") from None

    # ---- keeping

    def _take(self, where: deque[_Link] | None = None) -> _Link:
        kept = self._idle if where is None else where
        while True:
            try:
                link = kept.pop()
            except IndexError:
                return self._open()
            now = time.monotonic()
            link.idle, link.used = now - link.used, now
            if link.idle < _IDLE or not link.stale():
                return link
            link.connection.disconnect()

    def _open(self) -> _Link:
        link = _Link(self.open())
        if self._identified:
            with contextlib.suppress(Answered, ValueError):
                try:
                    link.wire.send(_CLIENT_ID)
                    link.id = int(link.wire.read())
                except (Cut, Late, Unserved, OSError) as error:
                    link.connection.disconnect()
                    raise translated(error, self._place, "no") from None
        with _guard:
            _opened.add(weakref.ref(link, _opened.discard))
            self._open_ones.add(weakref.ref(link, self._open_ones.discard))
        return link

    def open(self, *, protocol: Version = 2, seconds: float | None = None) -> Connection:
        """A new open connection of the caller's own. Raises as `ask` does, nothing having been sent."""
        connection = self._connect(protocol=protocol, seconds=seconds)
        try:
            connection.connect()
        except (RedisError, OSError) as error:
            raise translated(error, self._place, "no") from None
        return connection

    def _give(self, link: _Link, where: deque[_Link] | None = None) -> None:
        kept = self._idle if where is None else where
        link.new = False
        if self._closed or len(kept) >= _KEPT:
            link.connection.disconnect()
        else:
            kept.append(link)

    def _dead(self, link: _Link, error: Exception, sent: Sent, *, repeatable: bool) -> None:
        """Return where the call may be sent again on another connection, else raise.

        Where the last byte was not handed over, the last command cannot have been carried out. All kept connections
        are as old as the dead one or older; likely they are dead as well.
        """
        link.connection.disconnect()
        if refused_by_server(error):
            sent = "no"
        elif not link.new and (sent == "no" or (repeatable and not isinstance(error, Late))):
            self.drop()
            return
        self.drop()
        raise translated(error, self._place, sent) from None

    def drop(self) -> None:
        """Close every idle connection."""
        for kept in (self._idle, self._aside):
            while kept:
                with contextlib.suppress(IndexError):
                    kept.pop().connection.disconnect()

    def close(self) -> None:
        """Close every idle connection now, and those in use when they are given back."""
        self._closed = True
        self.drop()

    def identified(self) -> list[int]:
        """What Redis calls our connections, of this call on; empty where it will not say."""
        if not self._identified:
            self._identified = True
            self.drop()
            self._give(self._take())
        with _guard:
            return sorted(_ids(self._open_ones))

    def forked(self) -> None:
        """In a forked child: begin with no connection."""
        _inherited.extend((self._idle, self._aside))
        self._idle, self._aside = deque(), deque()
        self._open_ones = set()
        self._identified = False


# Sets of references and no `WeakSet`, for each child walks them: that would be half of what it does before its job.
_everywhere: set[weakref.ref[Links]] = set()
_opened: set[weakref.ref[_Link]] = set()
_guard = threading.Lock()
_inherited: list[deque[_Link]] = []


def own_connection_ids() -> set[int]:
    """What Redis calls this process's connections."""
    with _guard:
        return _ids(_opened)


def _ids(links: set[weakref.ref[_Link]]) -> set[int]:
    return {link.id for ref in tuple(links) if (link := ref()) is not None and link.id is not None}


def _forked() -> None:
    """Close the child's copies of all connections, also of one that a thread of the parent is using: nothing more.

    They would outlive the parent's. But to disconnect them in due form, as is done too where one is collected, touches
    memory, which is what a fork costs; so those that were idle are kept, closed.
    """
    global _guard
    _guard = threading.Lock()  # a thread that is not here may have held it
    for link in [ref() for ref in tuple(_opened)]:
        if link is not None:
            with contextlib.suppress(OSError):  # not open any more
                link.connection.sock.close()  # `shutdown` would end the parent's too
    for links in [ref() for ref in tuple(_everywhere)]:
        if links is not None:
            links.forked()
    _opened.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
