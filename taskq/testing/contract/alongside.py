"""How a contract does something beside the test: in a forked child, in several threads, or with an end to its patience.

Whatever happens there comes back: what it raised is raised in the test, and nothing is left running.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

import pytest

__all__ = ["PATIENCE", "in_child", "in_children", "killed_at", "side_by_side", "within"]

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

    def silent() -> bytes:
        work()
        return b""

    in_children(silent, patience=patience)


def in_children(*works: Callable[[], bytes], patience: float = PATIENCE) -> list[bytes]:
    """What each of these returns, all of them at once, each in a forked child of its own.

    Fails the test where one of them raises, or is not done in time. It is skipped where there is no fork.
    """
    children = [_Child(work) for work in works]
    try:
        said = _heard({child.ear: child for child in children}, patience)
    finally:
        ended = [child.end() for child in children]
    for status, heard in zip(ended, said, strict=True):
        if status:
            pytest.fail(f"in a forked child (status {status}):\n{heard.decode(errors='replace')}")
    return said


def killed_at(
    step: int, work: Callable[[Callable[[], None]], object], *, into: float = 0.0005, patience: float = PATIENCE
) -> bool:
    """Begin something in a forked child, and kill the child (-9) in the middle of a step.

    Args:
        step: which one, from 1.
        work: what the child does. It is given what it has to call at the beginning of each step.
        into: seconds at most from the step's beginning to the kill. A step may be one call, whose middle is some
            microseconds away or, with a slow store, milliseconds.
        patience: seconds until the step must have come.

    Returns:
        Whether there was such a step: False where the child had done all before.
    """
    ear, bell = os.pipe()

    def work_on() -> bytes:
        work(lambda: _ring(bell))
        return b""

    child = _Child(work_on)
    os.close(bell)
    try:
        for _ in range(step):
            if not select.select([ear], [], [], patience)[0]:
                pytest.fail(f"a forked child was not at step {step} after {patience:g} s")
            if not os.read(ear, 1):
                heard = _heard({child.ear: child}, patience)[0]
                if status := child.end():
                    pytest.fail(f"in a forked child (status {status}):\n{heard.decode(errors='replace')}")
                return False
        time.sleep(into * random.uniform(0.5, 1.0))
        return True
    finally:
        os.close(ear)
        child.end(kill=True)


def _ring(bell: int) -> None:
    os.write(bell, b"!")


class _Child:
    """A forked child that does something, says what came of it, and ends."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        if not hasattr(os, "fork"):
            pytest.skip("there is no fork here")
        self.ear, mouth = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that threads and forks do not mix: the child is small
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self.ear)
            _end_as_child(work, mouth)
        os.close(mouth)
        self._status: int | None = None

    def end(self, *, kill: bool = False) -> int:
        """Its exit status, once it is gone. May come twice."""
        if self._status is None:
            if kill:
                os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]
            os.close(self.ear)
        return self._status


def _end_as_child(work: Callable[[], bytes], mouth: int) -> NoReturn:
    code = 0
    try:
        said = work()
    except BaseException:
        code, said = 1, traceback.format_exc().encode()
    try:
        with open(mouth, "wb") as out:
            out.write(said)
    finally:
        os._exit(code)


def _heard(children: Mapping[int, _Child], patience: float) -> list[bytes]:
    """All that each child said until it ended, in their order. Kills those that do not end in time."""
    said = dict.fromkeys(children, b"")
    open_ = set(children)
    while open_:
        ready = select.select(list(open_), [], [], patience)[0]
        if not ready:
            for ear in open_:
                children[ear].end(kill=True)
            pytest.fail(f"a forked child was not done after {patience:g} s")
        for ear in ready:
            chunk = os.read(ear, 65_536)
            said[ear] += chunk
            if not chunk:
                open_.discard(ear)
    return list(said.values())
