"""How a contract does something beside the test: in a forked child, in several threads, or with an end to its patience.

Whatever happens there comes back: what it raised is raised in the test, and nothing is left running.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

import pytest

__all__ = ["PATIENCE", "in_child", "side_by_side", "within"]

T = TypeVar("T")

PATIENCE: Final = 20.0
"""Seconds that a test waits for what must come; only a failing one waits that long."""


def side_by_side(*works: Callable[[], T], patience: float = PATIENCE) -> list[T]:
    """What each of these returns, all of them begun at the same moment in threads of their own."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T:
        barrier.wait(patience)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(patience) for future in [pool.submit(begin, work) for work in works]]


def within(seconds: float, work: Callable[[], T]) -> T:
    """What this returns. Fails the test where it is not done after so many seconds; it is then left behind."""
    done: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not done:
        pytest.fail(f"not done after {seconds:g} s")
    return done[0]


def in_child(work: Callable[[], object], *, patience: float = PATIENCE) -> None:
    """Do something in a forked child of this process, and fail the test where it fails there.

    The test is skipped where there is no fork.
    """
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    ear, mouth = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads and forks do not mix: the child is small
        pid = os.fork()
    if pid == 0:
        os.close(ear)
        _end_as_child(work, mouth)
    os.close(mouth)
    said = _heard(ear, patience)
    os.close(ear)
    if said is None:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if said is None:
        pytest.fail(f"a forked child was not done after {patience:g} s")
    if said or status:
        pytest.fail(f"in a forked child (status {status}):\n{said.decode(errors='replace')}")


def _end_as_child(work: Callable[[], object], mouth: int) -> NoReturn:
    code = 0
    try:
        work()
    except BaseException:
        code = 1
        os.write(mouth, traceback.format_exc().encode()[-60_000:])
    finally:
        os._exit(code)


def _heard(ear: int, patience: float) -> bytes | None:
    """All that the child said until it ended; None where it did not."""
    said = b""
    while True:
        if not select.select([ear], [], [], patience)[0]:
            return None
        chunk = os.read(ear, 65_536)
        if not chunk:
            return said
        said += chunk
