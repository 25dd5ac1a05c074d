"""A fork, in the middle of whatever: SQLite silently loses what is open on both sides of it."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from taskq.errors import BrokerRefused
from taskq.testing.contract.broker.holder import ONE, job
from taskq_sqlite import SQLiteBroker, open_broker

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
# Python 3.12 and later warn of a fork beside threads, which is what some of these are about.
quietly = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

Make = Callable[..., SQLiteBroker]


def in_child(do: Callable[[], object]) -> int:
    """Do it in a forked child. Its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        do()
        status = 0
    except BaseException as error:
        sys.stderr.write(f"in the child: {error!r}\n")
    finally:
        os._exit(status)


def ended_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def test_both_sides_go_on(broker: SQLiteBroker, path: Path, make_broker: Make) -> None:
    """What the child pushed survives that the parent closes, and the other way round."""
    broker.push("q", [job(0)])

    def push() -> None:
        for _ in range(20):
            broker.push("q", [job(1)])

    children = [in_child(push) for _ in range(3)]
    for _ in range(20):
        broker.push("q", [job(2)])
    broker.close()
    assert all(ended_well(child) for child in children)
    broker = make_broker()
    assert broker.size("q") == 81
    broker.close()
    with sqlite3.connect(path) as look:
        assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    look.close()


def test_nothing_is_open_at_the_fork(broker: SQLiteBroker, path: Path) -> None:
    broker.push("q", [ONE])
    broker.wait(["q"], 0)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not show what is open")
    assert ended_well(in_child(lambda: _open_files_hold_nothing_of(path)))


def _open_files_hold_nothing_of(path: Path) -> None:
    for fd in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the one that listed them
            continue
        assert not name.startswith(str(path)), name


@quietly
def test_a_fork_waits_for_the_transaction_of_another_thread(broker: SQLiteBroker) -> None:
    """Else the child would inherit a lock that nobody gives back."""
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with broker._store.writing() as connection:
            connection.execute("INSERT INTO taskq_queues (name) VALUES ('held')")
            inside.set()
            go_on.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(20)
    threading.Timer(0.05, go_on.set).start()
    began = time.monotonic()
    child = in_child(lambda: broker.push("q", [ONE]))
    assert time.monotonic() - began >= 0.04
    broker.push("q", [ONE])
    thread.join()
    assert ended_well(child)
    assert broker.size("q") == 2
    assert list(broker.queues()) == ["held", "q"]


def test_a_fork_by_a_signals_handler_in_the_middle_of_a_transaction(broker: SQLiteBroker) -> None:
    """The parent's transaction is the parent's; the child is told that it can do nothing here."""
    children: list[int] = []

    def refused() -> None:
        with pytest.raises(BrokerRefused, match="forked, by a signal's handler, in the middle of a transaction"):
            broker.push("q", [ONE])

    def fork(number: int, frame: FrameType | None) -> None:
        children.append(in_child(refused))

    before = signal.signal(signal.SIGUSR1, fork)
    try:
        with broker._store.writing() as connection:
            connection.execute("INSERT INTO taskq_queues (name) VALUES ('held')")
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [ended_well(child) for child in children] == [True]
    assert list(broker.queues()) == ["held"]
    broker.push("q", [ONE])


@quietly
def test_a_child_hears_of_pushes_while_its_parent_waits_as_well(broker: SQLiteBroker, make_broker: Make) -> None:
    """Each has a watch of its own: what one hears the other hears too."""
    other = make_broker()
    other.push("other", [ONE])
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(broker.wait(["q"], 30)))
    thread.start()
    while not broker._wakeup._waiters:
        time.sleep(0.001)

    def wait() -> None:
        assert broker.wait(["q"], 30)

    child = in_child(wait)
    other.push("q", [ONE])
    thread.join(30)
    assert waited == [True]
    assert ended_well(child)


@quietly
def test_forks_of_several_threads_at_once(broker: SQLiteBroker) -> None:
    def fork() -> None:
        for _ in range(5):
            broker.push("q", [ONE])
            assert ended_well(in_child(lambda: broker.push("q", [ONE])))

    threads = [threading.Thread(target=fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broker.size("q") == 30


def test_what_nobody_closes_is_closed(path: Path) -> None:
    """By the end of the process at the latest: the last one to close copies the log back and removes it."""
    broker = open_broker(f"sqlite:///{path}")
    broker.push("q", [ONE])
    log = Path(f"{path}-wal")
    assert log.exists()
    del broker
    gc.collect()
    assert not log.exists()
