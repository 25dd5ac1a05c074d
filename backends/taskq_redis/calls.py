"""What every method of the broker is made of: one call of a script or a command, its errors said as taskq's own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from taskq.broker import Broker
from taskq_redis import scripts
from taskq_redis.errors import Answered
from taskq_redis.keys import Keys, from_bytes, to_bytes
from taskq_redis.link import Links, pack_script
from taskq_redis.wire import pack

__all__ = ["LONG", "Calls"]

LONG = 100_000
"""Entries of a failed list from which on a warning is due."""

_FAR = 5_000  # elements from the oldest, up to which LRANGE is the quickest
_SLICE = scripts.load("slice", "list")

_log = logging.getLogger("taskq.redis")


class Calls(Broker):
    """The part of a broker that others build on; it has no promise of its own."""

    _keys: Keys
    _links: Links
    _failed_max: bytes  # how many entries a failed list keeps; 0 for all
    _name_at: bytes  # where a queue's name begins in its key
    _warned: set[bytes]  # keys of which somebody was told

    _ahead_of_monotonic: float | None  # what the time of Redis is beyond our monotonic one; None before the first look

    def _set_clock(self) -> None:
        seconds, micro = self._read(b"TIME")
        self._ahead_of_monotonic = int(seconds) + int(micro) / 1e6 - time.monotonic()

    def _run(self, script: scripts.Script, keys: Sequence[bytes], *args: bytes | str) -> Any:
        words = [one.encode() if isinstance(one, str) else one for one in args]
        return self._links.run(script, pack_script(script, keys, words), keys=keys)

    def _read(self, command: bytes, key: tuple[bytes, str] | None = None, *args: bytes) -> Any:
        return self._ask(command, key, args, repeatable=True)

    def _write(self, command: bytes, key: tuple[bytes, str], *args: bytes) -> Any:
        return self._ask(command, key, args, repeatable=False)

    def _ask(self, command: bytes, key: tuple[bytes, str] | None, args: Sequence[bytes], *, repeatable: bool) -> Any:
        try:
            return self._links.ask(pack(command, *([key[0]] if key else []), *args), repeatable=repeatable)
        except Answered as error:
            raise self._links.explained(error, [key] if key else []) from None

    def _read_all(self, commands: Sequence[tuple[bytes, bytes, str]]) -> list[Any]:
        """Several reads of one key each: the command, the key, the type that it must have."""
        if not commands:
            return []
        packed = b"".join([pack(command, key) for command, key, _ in commands])
        answers = self._links.ask_all(packed, len(commands), repeatable=True)
        for answer in answers:
            if isinstance(answer, Answered):
                raise self._links.explained(answer, [(key, kind) for _, key, kind in commands])
        return answers

    def _slice(self, key: bytes, start: int, count: int) -> list[bytes]:
        if count <= 0:
            return []
        if start < _FAR:
            return list(self._read(b"LRANGE", (key, "list"), b"%d" % start, b"%d" % (start + count - 1)))
        packed = pack_script(_SLICE, [key], [b"%d" % start, b"%d" % count])
        return list(self._links.run(_SLICE, packed, keys=[key], repeatable=True))

    def _failed_list(self, queue: str | None) -> tuple[bytes, bytes]:
        """A failed list's key, and its name in `failed_queues`, where the common one is not."""
        key = self._keys.failed_list(queue)
        return key, b"" if queue is None else key[len(to_bytes(self._keys.namespace)) + 1 :]

    def _warn_of_length(self, key: bytes, length: int) -> None:
        if length >= LONG and key not in self._warned:
            self._warned.add(key)
            _log.warning(
                "%s: the failed list %s has %d entries. Clear it, or let failed_max bound it.",
                self.address, from_bytes(key), length,
            )  # fmt: skip

    def _warn_of_wrong_type(self, key: bytes, passed_over: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            _log.warning("%s: the key %s is no list; %s.", self.address, from_bytes(key), passed_over)
