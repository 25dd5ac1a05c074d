"""Waiting: woken by whoever writes, by nothing else for long, and without taking anything."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from taskq.testing.contract.broker.holder import ONE, Holder
from taskq_sqlite import SQLiteBroker, inotify, wakeup

Make = Callable[..., SQLiteBroker]


@pytest.fixture(params=["inotify", "looking"])
def waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, make_broker: Make) -> SQLiteBroker:
    """A broker that waits by inotify, and one that looks every 20 ms."""
    if request.param == "looking":
        monkeypatch.setattr("taskq_sqlite.inotify.watch", lambda directory, name: None)
    elif sys.platform != "linux":
        pytest.skip("only Linux has inotify")
    broker = make_broker()
    broker.push("other", [ONE])
    return broker


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def wait_on(broker: SQLiteBroker, pool: ThreadPoolExecutor, *queues: str, seconds: float = 30) -> Future[bool]:
    """A wait in a thread that has begun."""
    there = len(broker._wakeup._waiters)
    future = pool.submit(broker.wait, queues, seconds)
    while len(broker._wakeup._waiters) == there:
        time.sleep(0.001)
    return future


def test_a_strangers_insert_wakes(waiting: SQLiteBroker, path: Path, pool: ThreadPoolExecutor) -> None:
    """Whoever writes the row: the `sqlite3` program, another language, an application's own transaction."""
    future = wait_on(waiting, pool, "q")
    with sqlite3.connect(path) as stranger:
        queue = stranger.execute("INSERT INTO taskq_queues (name) VALUES ('q')").lastrowid
        stranger.execute("INSERT INTO taskq_jobs (queue, pos, body) VALUES (?, 1, x'7b7d')", (queue,))
        assert not future.done()
    stranger.close()
    assert future.result(30)


def test_a_commit_while_another_connection_was_opened_wakes(
    waiting: SQLiteBroker, make_broker: Make, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at a fork, which closes the connection: SQLite counts commits anew for the next one."""
    looked, readable = threading.Event(), wakeup._readable

    def rests(fds: Sequence[int], seconds: float) -> set[int]:
        looked.set()
        return readable(fds, seconds)

    monkeypatch.setattr(wakeup, "_readable", rests)
    other = make_broker()
    other.push("other", [ONE])
    waiting._store.close()  # the next one has seen no commit of another's, as the one after it
    future = wait_on(waiting, pool, "q")
    assert looked.wait(30)
    with waiting._store._lock:
        waiting._store.close()
        other.push("q", [ONE])
    assert future.result(40)


def test_every_waiting_thread_wakes(waiting: SQLiteBroker, make_broker: Make, pool: ThreadPoolExecutor) -> None:
    futures = [wait_on(waiting, pool, "q") for _ in range(3)]
    make_broker().push("q", [ONE])
    assert [future.result(30) for future in futures] == [True] * 3


def test_a_push_by_this_process_wakes(waiting: SQLiteBroker, pool: ThreadPoolExecutor) -> None:
    future = wait_on(waiting, pool, "q")
    waiting.push("q", [ONE])
    assert future.result(30)


def test_a_push_to_another_queue_does_not(waiting: SQLiteBroker, make_broker: Make, pool: ThreadPoolExecutor) -> None:
    future = wait_on(waiting, pool, "q", seconds=0.3)
    for _ in range(10):
        make_broker().push("other", [ONE])
    assert not future.result(30)


def test_what_is_unpaused_wakes(waiting: SQLiteBroker, make_broker: Make, pool: ThreadPoolExecutor) -> None:
    waiting.push("q", [ONE])
    waiting.pause("q")
    future = wait_on(waiting, pool, "q")
    make_broker().unpause("q")
    assert future.result(30)


def test_many_queues_are_looked_at(waiting: SQLiteBroker) -> None:
    names = [f"q{number}" for number in range(1000)]
    assert not waiting.wait(names, 0)
    waiting.push("q999", [ONE])
    assert waiting.wait(names, 0)


def test_an_idle_look_that_finds_nothing_writes_nothing(waiting: SQLiteBroker, make_broker: Make) -> None:
    """Else idle workers would wake one another for ever."""
    other = make_broker()
    before = other._store.data_version()
    holder = Holder(waiting, "host:1:q")
    assert holder.register()
    registered = other._store.data_version()
    assert registered != before
    for _ in range(5):
        assert not holder.reserve("q").jobs
    assert other._store.data_version() == registered


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has inotify")
def test_it_looks_rarely_while_others_are_busy(broker: SQLiteBroker, make_broker: Make) -> None:
    """Every 5 ms at most, however many commit to queues that are not ours."""
    looks = 0
    version = broker._store.data_version

    def counted() -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return version()

    broker._wakeup._data_version = counted
    busy = make_broker()
    ended = threading.Event()

    def push() -> None:
        while not ended.is_set():
            busy.push("other", [ONE])

    thread = threading.Thread(target=push)
    thread.start()
    began = time.monotonic()
    assert not broker.wait(["q"], 0.5)
    seconds = time.monotonic() - began
    ended.set()
    thread.join()
    assert busy.size("other") > 5
    assert looks < 20 + 3 * seconds / 0.005


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has inotify")
def test_a_watch_hears_its_name_alone(tmp_path: Path) -> None:
    watch = inotify.watch(str(tmp_path), "wanted")
    assert watch is not None
    (tmp_path / "other").write_text("x")
    assert not watch.heard()
    (tmp_path / "wanted").write_text("x")
    (tmp_path / "other").write_text("y")
    assert watch.heard()
    assert not watch.heard()
    watch.close()


def test_a_watch_on_no_directory_is_none(tmp_path: Path) -> None:
    assert inotify.watch(str(tmp_path / "gone"), "x") is None
