"""The page of hooks has every moment in the order in which a real worker tells it, in the process that it says."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from taskq_redis.testing import RedisServer
from tests.docs import moments
from tests.docs.pages import DOCS, coded, prose, tables
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis
PAGE = DOCS / "reference" / "hooks.md"


def told_of(heading: str) -> list[tuple[str, str]]:
    """The moments of a table, each with the process it says."""
    under: list[str] = []  # the heading that each of them stands under
    for line in prose(PAGE).splitlines():
        if line.startswith("## "):
            last = line[3:]
        elif line.startswith("| moment "):
            under.append(last)
    rows = [table for table in tables(PAGE) if table[0][0] == "moment"][under.index(heading)]
    return [
        (f"{coded(row[0])[0]}{' ends' if row[0].endswith('ends') else ''}", row[2] if "process" in rows[0] else "")
        for row in rows[1:]
    ]


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path

    def noted(self) -> list[tuple[str, int]]:
        """What was noted so far, each with its process."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [(what, int(pid)) for what, pid in (line.split("\t") for line in lines)]

    def names(self) -> list[str]:
        return [what for what, _ in self.noted()]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> Journal:
    path = tmp_path / "moments"
    monkeypatch.setenv(moments.PLACE, str(path))
    return Journal(path)


def worker(server: RedisServer, journal: Journal, *arguments: str) -> RunningWorker:
    return RunningWorker(
        server.url, *arguments, app="tests.docs.moments:app", env={moments.PLACE: str(journal.path)}
    )  # fmt: skip


def enqueue(server: RedisServer, *, fails: bool) -> None:
    with moments.application(server.url) as app:
        app.enqueue(moments.Everything, fails)


def test_enqueueing(redis_server: RedisServer, journal: Journal) -> None:
    enqueue(redis_server, fails=False)
    assert journal.names() == [name for name, _ in told_of("Enqueueing")]


def test_dequeueing(redis_server: RedisServer, journal: Journal) -> None:
    enqueue(redis_server, fails=False)
    journal.path.unlink()
    with moments.application(redis_server.url) as app:
        assert app.dequeue(moments.Everything, False) == 1
    assert journal.names() == [name for name, _ in told_of("Dequeueing")]


@pytest.mark.parametrize(("heading", "fails"), [("A job that ends well", False), ("A job that fails", True)])
def test_a_job(redis_server: RedisServer, journal: Journal, heading: str, fails: bool) -> None:
    enqueue(redis_server, fails=fails)
    journal.path.unlink()
    with worker(redis_server, journal, "--burst") as running:
        assert running.ended() == 0
    of_worker = [name for name, _ in told_of("A worker's life")]
    told = [(name, "worker" if pid == running.pid else "child") for name, pid in journal.noted()]
    of_job = [(name, where) for name, where in told if name not in of_worker or where == "child"]
    # The child flushes while the worker settles.
    flushed = ("flush", "child")
    assert of_job.index(flushed) >= len(of_job) - 2
    assert [each for each in of_job if each != flushed] == [each for each in told_of(heading) if each != flushed]

    journal.path.unlink()
    enqueue(redis_server, fails=fails)
    journal.path.unlink()
    with worker(redis_server, journal, "--burst", "--inline") as running:
        assert running.ended() == 0
    left_out = {"before_fork", "after_fork", "flush"}
    expected = [name for name, _ in told_of(heading) if name not in left_out]
    assert [name for name in journal.names() if name not in of_worker] == expected


def test_a_workers_life(redis_server: RedisServer, journal: Journal) -> None:
    with worker(redis_server, journal) as running:
        running.started()
        wait_until(lambda: "queue_empty" in journal.names())
        for number, moment in ((signal.SIGUSR2, "before_pause"), (signal.SIGCONT, "after_pause")):
            os.kill(running.pid, number)
            wait_until(lambda moment=moment: moment in journal.names())  # type: ignore[misc]
        os.kill(running.pid, signal.SIGTERM)
        assert running.ended() == 0
    assert journal.names() == [name for name, _ in told_of("A worker's life")]
