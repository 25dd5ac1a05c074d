"""Where the tests' workers come from: a process that has imported all that `taskq worker` imports, and forks itself.

Two thirds of the processor's time of a worker that performs some jobs are the start of an interpreter and its imports,
the same each time, and the tests start hundreds. What is forked here then runs `python -m taskq ...` from its first
line: with arguments, variables, working directory, group and output of its own, and with nothing configured. It is a
child of the nursery, not of the test; it is reaped when the test asks how it ended, as a child of its own would be.

One whose variables an interpreter or a linker reads as it starts (`PYTHONPATH`, `LD_PRELOAD`) is started the long way,
and so is one whose start or command line is what a test is about; and in the long forms (`make torture`, `make soak`)
so is every eighth, so that what differs here (an import that another module did, one seed of hashes for many) is met
there as it is in life.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["Forked", "fork", "is_easy"]

ROOT: Final = Path(__file__).parent.parent.parent
_IMPORTED: Final = (
    "asyncio",
    "redis",
    "setproctitle",
    "stevedore",
    "taskq.cli.main",
    "taskq.cli.worker",
    "taskq.worker.run",
    "taskq_failed",
    "taskq_json",
    "taskq_logging",
    "taskq_redis",
)
_READ_EARLY: Final = ("PYTHON", "LD_", "LC_", "LANG")
_VARIABLES: Final = {**os.environ, "PYTHONUNBUFFERED": ""}
_HANDED_DOWN: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_LONG_FORM: Final = bool(os.environ.get("TASKQ_TORTURE") or os.environ.get("TASKQ_SOAK"))
_MOST: Final = 1 << 20  # bytes of a request
_started = itertools.count()


def is_easy(variables: Mapping[str, str]) -> bool:
    """Whether a process with these variables is the same if it is forked, and is to be; in a long form not each is."""

    def early(variables: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in variables.items() if value and name.startswith(_READ_EARLY)}

    if _LONG_FORM and next(_started) % 8 == 0:
        return False
    return early(variables) == early(_VARIABLES)


class Forked:
    """A process that the nursery forked, with what the tests use of a `subprocess.Popen`."""

    def __init__(self, nursery: _Nursery, pid: int, output: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = open(output, encoding="utf-8", errors="replace")  # noqa: SIM115  # closed by who reads it
        self._nursery = nursery
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit status if it has ended, negative for a signal."""
        if self.returncode is None and self._has_ended(0):
            self.returncode = self._nursery.reap(self.pid)
            os.close(self._end)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Its exit status, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if self.returncode is None:
            self._has_ended(None if timeout is None else timeout * 1000)
        status = self.poll()
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _has_ended(self, milliseconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(milliseconds))


def fork(module: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> Forked:
    """What `python -m module ...` is with these variables, in that folder, and in a session of its own.

    Its input is empty, its output a pipe.
    """
    reader, writer = os.pipe()
    try:
        pid = _nursery(os.getpid()).fork([module, *arguments], variables, folder, writer)
    finally:
        os.close(writer)
    return Forked(_nursery(os.getpid()), pid, reader)


@cache
def _nursery(_owner: int) -> _Nursery:
    return _Nursery()


class _Nursery:
    """The process, as the tests see it; it ends with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, 2 * _MOST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env=_VARIABLES,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._owner = os.getpid()
        atexit.register(self._close)

    def fork(self, words: list[str], variables: Mapping[str, str], folder: Path, output: int) -> int:
        ignored = [number for number in _HANDED_DOWN if signal.getsignal(number) is signal.SIG_IGN]
        request = json.dumps([words, dict(variables), str(folder), ignored]).encode()
        return self._ask(request, [output])

    def reap(self, pid: int) -> int:
        return self._ask(json.dumps(pid).encode(), [])

    def _ask(self, request: bytes, descriptors: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._socket, [request], descriptors)
            answer = self._socket.recv(_MOST)
        assert answer, "the nursery of workers is gone"
        return int(answer)

    def _close(self) -> None:
        if os.getpid() != self._owner:  # what a test forked
            return
        # Not only closed: what a test forked may have a copy yet.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._process.wait()


def _serve(asked: socket.socket) -> None:
    """Fork as often as is asked. Returns in who was forked, with all that it was given in force."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, _MOST, 1)
        if not data:
            sys.exit()
        request = json.loads(data)
        if isinstance(request, int):
            _, status = os.waitpid(request, 0)
            asked.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        [output] = descriptors
        if pid := os.fork():
            os.close(output)
            asked.send(str(pid).encode())
            continue
        asked.close()
        words, variables, folder, ignored = request
        _become(words, variables, folder, ignored, output)
        return


def _become(words: list[str], variables: dict[str, str], folder: str, ignored: list[int], output: int) -> None:
    os.setsid()
    for number in _HANDED_DOWN:  # the nursery itself may have been started where one was ignored
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    # What was opened on the nursery's own would take a pipe for what that was.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # for good
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    sys.path[0] = folder
    sys.argv[:] = words


def _main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    # It looks for the room of the title beside the variables, which are others after a fork.
    importlib.import_module("setproctitle").getproctitle()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
