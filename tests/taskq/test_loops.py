"""An event loop for one coroutine: it is closed whatever breaks into it."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any

import pytest

from taskq.errors import TermException
from taskq.loops import at_a_seam, run

_FILES = (run.__code__.co_filename, asyncio.runners.__file__)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[asyncio.AbstractEventLoop]]:
    """The loops that are made."""
    loops: list[asyncio.AbstractEventLoop] = []
    new = asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        loops.append(new())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", noted)
    monkeypatch.setattr(asyncio.events, "new_event_loop", noted)
    yield loops
    for loop in loops:
        loop.close()


async def answers() -> int:
    await asyncio.sleep(0)
    return 7


async def awaits(it: Coroutine[Any, Any, int]) -> int:
    return await it


class TestRun:
    def test_is_what_asyncio_run_is(self, made: list[asyncio.AbstractEventLoop]) -> None:
        inner = answers()
        assert run(awaits(inner), inner) == 7
        assert [loop.is_closed() for loop in made] == [True]

    def test_leaves_no_loop_whatever_line_it_is_broken_into_at(self, made: list[asyncio.AbstractEventLoop]) -> None:
        """And no coroutine that was never awaited."""
        hit = 0
        for number in itertools.count(1):
            lines = iter(range(1, 1000))
            came = False

            def at_line(
                frame: FrameType, event: str, arg: object, lines: Iterator[int] = lines, number: int = number
            ) -> object:
                nonlocal came, hit
                if frame.f_code.co_filename not in _FILES:
                    return None
                if event == "line" and not came and next(lines) >= number:
                    came = True
                    if not at_a_seam(frame):
                        hit += 1
                        raise TermException("SIGTERM")
                return at_line

            inner = answers()
            outer = awaits(inner)
            sys.settrace(at_line)  # type: ignore[arg-type]  # mypy wants a protocol that names its arguments
            try:
                run(outer, inner)
            except (TermException, UnboundLocalError):  # so asyncio's own, where it is broken into as it closes
                pass
            finally:
                sys.settrace(None)
            assert all(loop.is_closed() for loop in made)
            if not came:
                break
        assert hit > 10


class TestAtASeam:
    def test_what_finalizes_an_object_is_one(self) -> None:
        seen: list[bool] = []

        def look() -> None:
            seen.append(at_a_seam(sys._getframe()))

        class Dies:
            def __del__(self) -> None:
                look()

        Dies()
        assert seen == [True]

    def test_a_job_is_none(self) -> None:
        seen: list[bool] = []

        async def job() -> None:
            seen.append(at_a_seam(sys._getframe()))

        inner = job()
        run(inner, inner)
        assert seen == [False]
        assert not at_a_seam(None)
