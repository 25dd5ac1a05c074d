"""What a test left open in its process: what came since, whatever former tests still have there."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator


class Since:
    """From its making on. What former tests left to the garbage collector is gone then: it would go in between."""

    def __init__(self) -> None:
        gc.collect()
        self._descriptors = set(_descriptors())
        self._threads = set(threading.enumerate())

    def descriptors(self) -> set[str]:
        """Those that were opened since and not closed, each by its number and what it is."""
        return set(_descriptors()) - self._descriptors

    def threads(self) -> set[threading.Thread]:
        """Those that were started since and go on."""
        return set(threading.enumerate()) - self._threads


def _descriptors() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            yield f"{number} {os.readlink(f'/proc/self/fd/{number}')}"
