"""The real worker, as its users start it: a process of its own, whose log is read as it comes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import nursery

ROOT = Path(__file__).parent.parent.parent
LONG = 30.0  # seconds after which what a test waits for will not come


def wait_until(true: Callable[[], object], what: str = "", *, seconds: float = LONG) -> None:
    """Return as soon as it is true. For what only another process can bring about, and tells by no event."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise AssertionError(f"it did not come true within {seconds} s: {what or true}")
        time.sleep(0.005)


class RunningWorker:
    """`taskq worker` with these arguments, in a group of its own."""

    def __init__(
        self,
        url: str,
        *arguments: str,
        app: str = "tests.support.fault_jobs",
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = ("worker",),
        prefix: Sequence[str] = (),
        module: str = "taskq",
        cwd: Path = ROOT,
        fresh: bool = False,
    ) -> None:
        """Start it.

        Args:
            fresh: with an interpreter of its own from the start; else it may be forked from the nursery.
        """
        self.output: list[str] = []
        self._came = threading.Condition()
        self._silent = False  # whether nothing more will come
        self._killed = False
        quiet = {name: value for name, value in os.environ.items() if not name.startswith(("TASKQ_", "QUEUE"))}
        variables = {**quiet, "TASKQ_BROKER": url, "PYTHONUNBUFFERED": "", **(env or {})}
        words = [*command, "--app", app, *arguments]
        self.process: subprocess.Popen[str] | nursery.Forked
        if fresh or prefix or not nursery.is_easy(variables):
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, *words],
                cwd=cwd,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        else:
            self.process = nursery.fork(module, words, variables, cwd)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            print("".join(self.output))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        with self._came:
            return "".join(self.output)

    def line(self, pattern: str, *, seconds: float = LONG, times: int = 1) -> re.Match[str]:
        """Wait for a line of the log that matches, the `times`th of them."""
        ends = time.monotonic() + seconds
        with self._came:
            while True:
                found = [match for line in self.output if (match := re.search(pattern, line))]
                if len(found) >= times:
                    return found[times - 1]
                if self._silent or not self._came.wait(ends - time.monotonic()):
                    status = self.process.poll()  # of one that somebody killed, say
                    raise AssertionError(
                        f"no line {pattern!r} came (exit status: {status}); the log:\n{''.join(self.output)}"
                    )

    def started(self) -> str:
        """Wait until it is registered. Its id."""
        return self.line(r"Starting worker (\S+)")[1]

    def send(self, *signals: int) -> None:
        for number in signals:
            os.kill(self.pid, number)

    def send_group(self, number: int) -> None:
        os.killpg(self.pid, number)

    def children(self) -> list[int]:
        """The processes it forked that are there now."""
        return children_of(self.pid)

    def at_work(self) -> int:
        """Wait until all of them but one stand by. The one that performs."""
        found: list[int] = []

        def is_alone() -> bool:
            found[:] = [child for child in self.children() if not _stands_by(child)]
            return len(found) == 1

        wait_until(is_alone, "one is at work")
        return found[0]

    def ended(self, *, seconds: float = LONG) -> int:
        """Wait for its end. Its exit status, negative for a signal."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def kill(self) -> None:
        """End it at once, with all of its group and whatever it forked. Again it does nothing: see `_end_all`."""
        if self._killed:
            return
        self._killed = True
        self._end_all()
        self._reader.join(LONG)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _end_all(self) -> None:
        """Kill it and what it left, and nobody else.

        Once it has been waited for, its number may be another's, who has nothing to do with it: a test that kills 200
        workers takes minutes, in which a busy machine gives each number out anew.
        """
        if self.process.poll() is None:
            for child in self.children():
                _kill(child)
            _kill_group(self.pid)
            _kill(self.pid)  # which may not have made its group yet
            self.process.wait(LONG)
        elif not Path(f"/proc/{self.pid}").exists():  # no number is given out anew while a group has it
            _kill_group(self.pid)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.output.append(line)
                self._came.notify_all()
        with self._came:
            self._silent = True
            self._came.notify_all()


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _stands_by(pid: int) -> bool:
    try:
        return b"Standing by" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
