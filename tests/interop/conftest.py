"""node-resque and taskq on one Redis."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from taskq.app import TaskQ
from taskq_redis.testing import RedisServer
from tests.support import node
from tests.support.node import Node
from tests.support.workers import RunningWorker, wait_until


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """Where node-resque is installed."""
    if reason := node.missing():
        # Where everybody's changes are judged, nothing may pass because it was not looked at.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return node.packages()


class Shared:
    """One Redis, and whoever is at work on it. What is started here ends with the test."""

    def __init__(self, server: RedisServer, packages: Path, journal: Path, running: ExitStack) -> None:
        self.server = server
        self.redis = server.client(decode_responses=True)
        self.journal = journal
        self._packages = packages
        self._running = running
        self.app = TaskQ(broker=server.url)
        running.callback(self.redis.close)
        running.callback(self.app.close)

    def node(self, program: str, *arguments: str) -> Node:
        """Start a program of tests/interop/node."""
        return self._running.enter_context(Node(self._packages, self.server.port, program, *arguments))

    def taskq_worker(self, *arguments: str) -> RunningWorker:
        """Start `taskq worker` on the queue `python`. It is registered when this returns."""
        worker = RunningWorker(
            self.server.url, "-q", "python", *arguments, app="tests.interop.jobs",
            env={"TASKQ_TEST_JOURNAL": str(self.journal)},
        )  # fmt: skip
        self._running.enter_context(worker)
        worker.started()
        return worker

    def performed(self, count: int) -> list[list[Any]]:
        """Wait until taskq's `echo` has written down so many calls; their arguments."""
        wait_until(lambda: len(self._lines()) >= count, f"{count} jobs in the journal")
        return [json.loads(line) for line in self._lines()]

    def _lines(self) -> list[str]:
        return self.journal.read_text().splitlines()

    def settled(self, *, processed: int, failed: int = 0) -> None:
        """Wait until the counters, which all workers share, say so."""

        def said() -> tuple[int, int]:
            counters = self.redis.mget("resque:stat:processed", "resque:stat:failed")
            return int(counters[0] or 0), int(counters[1] or 0)

        wait_until(lambda: said() == (processed, failed), f"{processed} processed and {failed} failed")


@pytest.fixture
def shared(redis_server: RedisServer, node_packages: Path, tmp_path: Path) -> Iterator[Shared]:
    """A Redis to share, with nothing in it."""
    journal = tmp_path / "journal"
    journal.touch()
    with ExitStack() as running:
        yield Shared(redis_server, node_packages, journal, running)


@pytest.fixture
def client(shared: Shared) -> Callable[..., Any]:
    """node-resque's client: `client("enqueue", "python", "echo", [1])`."""
    return shared.node("client").ask
