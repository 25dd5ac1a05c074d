"""Linux's inotify by ctypes: a descriptor that becomes readable when a file in a directory is written to."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final

__all__ = ["Watch", "watch"]

_IN_MODIFY: Final = 0x2
_IN_Q_OVERFLOW: Final = 0x4000
_HEAD: Final = struct.Struct("iIII")
_ENOUGH: Final = 65536


class Watch:
    """Watches one name in a directory: the log is deleted and made anew, a watch on the file itself would go with it.

    Attributes:
        fd: readable when something in the directory was written to.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self._name = os.fsencode(name)

    def heard(self) -> bool:
        """Take what was heard; whether the name was among it."""
        found = False
        while True:
            try:
                data = os.read(self.fd, _ENOUGH)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data) and not found:
                _, mask, _, length = _HEAD.unpack_from(data, at)
                name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
                found = name == self._name or bool(mask & _IN_Q_OVERFLOW)
                at += _HEAD.size + length
            if len(data) < _ENOUGH // 2:
                return found

    def close(self) -> None:
        """Watch no more."""
        os.close(self.fd)


def watch(directory: str, name: str) -> Watch | None:
    """A watch; None where this is no Linux, or it has none left to give."""
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return None
    if fd < 0:
        return None
    if libc.inotify_add_watch(fd, os.fsencode(directory), _IN_MODIFY) < 0:
        os.close(fd)
        return None
    return Watch(fd, name)
