"""Keys that change in one step, and expire: the capability KEYS. Each lies under `NAMESPACE:taskq:key:`.

Whoever waits for one does not poll: see `watch`. In a full Redis they are written all the same, for jobs that need one
to begin, or give one back at their end, would otherwise never end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from taskq.records import Taken
from taskq_redis import scripts
from taskq_redis.calls import Calls
from taskq_redis.errors import Answered, error_code
from taskq_redis.watch import Watch
from taskq_redis.wire import pack

__all__ = ["PlainKeys"]

_PUT = scripts.load("put_key", "any")
_TAKE = scripts.load("take_key", "any")
_SWAP = scripts.load("swap_key", "string")
_ADD = scripts.load("add_key", "string any")

_LONGEST = 10**14  # milliseconds; Redis adds them to its clock's, in 64 bits


class PlainKeys(Calls):
    """The part of the broker that keeps keys for plugins."""

    _watch: Watch

    def _begin_plain_keys(self) -> None:
        self._watch = Watch(self._links)

    def get_key(self, key: str) -> bytes | None:
        value: bytes | None = self._read(b"GET", (self._keys.plain(key), "string"))
        return value

    def put_key(self, key: str, value: bytes, seconds: float) -> None:
        self._run(_PUT, [self._keys.plain(key)], value, _milliseconds(seconds))

    def take_key(self, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        if not keys:
            raise ValueError("take_key: no keys to take one of")
        names = [self._keys.plain(key) for key in keys]
        place, there, left = self._run(_TAKE, [self._keys.scratch, *names], value, _milliseconds(seconds))
        return Taken(keys[place - 1] if place else None, there, left / 1000)

    def swap_key(self, key: str, old: bytes, new: bytes | None, seconds: float = 0.0) -> bool:
        other = [] if new is None else [new]
        return bool(self._run(_SWAP, [self._keys.plain(key)], old, _milliseconds(seconds), *other))

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        return int(self._run(_ADD, [self._keys.plain(key), self._keys.scratch], str(amount), _milliseconds(seconds)))

    def await_key(self, key: str, seen: bytes | None, timeout: float) -> bytes | None:
        return self._watch.wait(self._keys.plain(key), seen, timeout)

    def foreign_key(self, key: str) -> bytes | None:
        try:
            value: bytes | None = self._links.ask(pack(b"GET", self._keys.foreign(key)), repeatable=True)
        except Answered as error:
            if error_code(error) == "WRONGTYPE":  # whoever it belongs to, it is no string
                return None
            raise self._links.explained(error, []) from None
        return value

    def put_foreign_key(self, key: str, value: bytes | None, seconds: float = 0.0) -> None:
        name = self._keys.foreign(key)
        milliseconds = _milliseconds(seconds).encode()
        packed = pack(b"DEL", name) if value is None else pack(b"SET", name, value, b"PX", milliseconds)
        try:
            self._links.ask(packed, repeatable=True)
        except Answered as error:
            raise self._links.explained(error, []) from None


def _milliseconds(seconds: float) -> str:
    return str(min(max(math.ceil(seconds * 1000), 1), _LONGEST))
