"""The processes that are measured: the real worker, as a user starts it, and the private server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.work import NOTES
from taskq_redis.testing import RedisServer

__all__ = ["ROOT", "Bench", "until", "worker"]

ROOT = Path(__file__).parent.parent


class Bench:
    """A private server, and a place for notes."""

    def __init__(self, server: RedisServer, directory: Path, *, rounds: int) -> None:
        self.server = server
        self.redis = server.client(unix_socket_path=None, host="127.0.0.1", port=server.port)
        self.notes = directory / "notes"
        self.rounds = rounds

    def clean(self) -> None:
        """Empty both."""
        self.redis.flushall()
        self.notes.write_text("")

    def noted(self) -> list[list[float]]:
        """What jobs noted, a list of numbers each."""
        return [[float(word) for word in note.split()] for note in self.notes.read_text().splitlines()]

    def environment(self) -> dict[str, str]:
        """The environment of a process that is measured."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("TASKQ_", "QUEUE", "COUNT"))}
        return {**mine, "TASKQ_BROKER": self.server.url, NOTES: str(self.notes)}

    def run(self, *words: str) -> str:
        """Run `python -m WORDS` to its end. What it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, text=True,
            check=True, timeout=600,
        )  # fmt: skip
        return done.stdout


@contextlib.contextmanager
def worker(bench: Bench, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`taskq worker` on the benchmark's jobs, while this lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "taskq", "worker", "--app", "benchmarks.jobs", *arguments],
        cwd=ROOT, env=bench.environment(), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def until(true: Callable[[], object], seconds: float = 120) -> None:
    """Return as soon as it is true."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.002)
