"""An event loop for one coroutine, made and closed whatever breaks into the thread that runs it.

Where a job is told to end, an exception is raised in it between any two steps of Python's own code. Raised while its
loop is made or closed, it would leave a loop behind that nobody closes: its descriptors stay open until the garbage is
collected, which complains of it. Who raises it asks here whether this is such a moment, and tries again a little later.
This module knows no job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["at_a_seam", "run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], of: Awaitable[object]) -> T:
    """What `asyncio.run` is: what this returns or raises, on a loop of its own.

    Args:
        coroutine: is awaited there.
        of: what it awaits itself, and was made before.
    """
    import asyncio  # 40 ms that only `async def` jobs need

    loop = _made()
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(coroutine)
    finally:
        _close(loop, coroutine, of)


def at_a_seam(frame: FrameType | None) -> bool:
    """Whether what runs here must not be broken into: a loop is being made or closed, or an object finalized.

    An exception out of `__del__` is nobody's: whoever was to hear of it would not.
    """
    if frame is not None and frame.f_code is run.__code__:
        return True
    while frame is not None:
        if frame.f_code in _SEAMS or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _made() -> asyncio.AbstractEventLoop:
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def _close(loop: asyncio.AbstractEventLoop, *awaited: Awaitable[object]) -> None:
    import asyncio
    import inspect

    asyncio.set_event_loop(None)
    loop.close()  # the second time, where nothing broke into the first
    for one in awaited:
        if isinstance(one, Coroutine) and inspect.getcoroutinestate(one) == inspect.CORO_CREATED:
            one.close()  # broken into before its first step it was never awaited, which Python warns of


_SEAMS = frozenset({_made.__code__, _close.__code__})
