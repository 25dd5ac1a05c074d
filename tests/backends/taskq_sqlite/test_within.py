"""A transaction of the application's own: with it or not at all."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskq
from taskq.broker import Capability
from taskq.errors import BrokerRefused, BrokerUnavailable, NotSupported, WrongConnection
from taskq.hook import Enqueued, EnqueueRequest, Hook
from taskq.registry import Registry
from taskq.testing.contract.broker.holder import ONE, THREE, TWO
from taskq_sqlite import SQLiteBroker

Make = Callable[..., SQLiteBroker]


@pytest.fixture
def own(path: Path, broker: SQLiteBroker) -> Iterator[sqlite3.Connection]:
    """The application's connection, with a table of its own."""
    broker.check()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    yield connection
    connection.close()


def orders(own: sqlite3.Connection) -> int:
    return int(sqlite3.Cursor(own).execute("SELECT count(*) FROM orders").fetchone()[0])


def test_it_is_seen_when_the_transaction_commits(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    assert Capability.IN_TRANSACTION in broker.capabilities
    own.execute("BEGIN IMMEDIATE")
    own.execute("INSERT INTO orders DEFAULT VALUES")
    broker.push_within(own, "q", [ONE, TWO])
    assert broker.size("q") == 0
    own.execute("COMMIT")
    assert list(broker.peek("q", 0, 9)) == [ONE, TWO]
    assert list(broker.queues()) == ["q"]


def test_it_is_gone_when_the_transaction_is_rolled_back(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    own.execute("BEGIN IMMEDIATE")
    own.execute("INSERT INTO orders DEFAULT VALUES")
    broker.push_within(own, "q", [ONE])
    own.execute("ROLLBACK")
    assert (broker.size("q"), list(broker.queues()), orders(own)) == (0, [], 0)


def test_order_and_front_are_those_of_a_push(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    broker.push("q", [TWO])
    own.execute("BEGIN IMMEDIATE")
    broker.push_within(own, "q", [THREE])
    broker.push_within(own, "q", [ONE], front=True)
    own.execute("COMMIT")
    assert list(broker.peek("q", 0, 9)) == [ONE, TWO, THREE]


def test_a_waiting_worker_is_woken_by_the_commit(
    broker: SQLiteBroker, own: sqlite3.Connection, make_broker: Make
) -> None:
    waited: list[bool] = []
    waiting = make_broker()
    thread = threading.Thread(target=lambda: waited.append(waiting.wait(["q"], 30)))
    thread.start()
    own.execute("BEGIN IMMEDIATE")
    broker.push_within(own, "q", [ONE])
    own.execute("COMMIT")
    thread.join(30)
    assert waited == [True]


def test_its_factories_may_be_anything(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    own.row_factory = lambda cursor, row: {"row": row}
    own.text_factory = lambda text: text[::-1]
    own.execute("BEGIN IMMEDIATE")
    broker.push_within(own, "ü", [ONE])
    broker.push_within(own, "ü", [TWO])
    own.execute("COMMIT")
    assert list(broker.peek("ü", 0, 9)) == [ONE, TWO]


def test_pythons_own_transactions_are_some_too(broker: SQLiteBroker, own: sqlite3.Connection, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO orders DEFAULT VALUES")  # which begins one, by itself
        broker.push_within(connection, "q", [ONE])
    assert broker.size("q") == 1
    with pytest.raises(RuntimeError, match="no order"), connection:
        connection.execute("INSERT INTO orders DEFAULT VALUES")
        broker.push_within(connection, "q", [TWO])
        raise RuntimeError("no order")
    connection.close()
    assert (broker.size("q"), orders(own)) == (1, 1)


def test_a_file_without_queues_gets_them_in_the_same_transaction(tmp_path: Path, make_broker: Make) -> None:
    broker = make_broker(at=tmp_path / "new.db")
    with sqlite3.connect(tmp_path / "new.db") as own:
        own.execute("BEGIN IMMEDIATE")
        broker.push_within(own, "q", [ONE])
        own.rollback()
        own.execute("BEGIN IMMEDIATE")
        broker.push_within(own, "q", [TWO])
    own.close()
    assert list(broker.peek("q", 0, 9)) == [TWO]


def test_without_a_transaction_there_is_nothing_to_be_a_part_of(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    with pytest.raises(WrongConnection, match=r'Begin one first: connection.execute\("BEGIN IMMEDIATE"\)'):
        broker.push_within(own, "q", [ONE])
    assert broker.size("q") == 0


def test_another_file_is_refused(broker: SQLiteBroker, path: Path, tmp_path: Path) -> None:
    broker.check()
    other = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WrongConnection, match=f"it is to {tmp_path}/other.db, and the queues are in {path}"):
        broker.push_within(other, "q", [ONE])
    other.close()


def test_one_in_memory_is_refused(broker: SQLiteBroker) -> None:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    memory.execute("BEGIN")
    with pytest.raises(WrongConnection, match="it is to a database in memory"):
        broker.push_within(memory, "q", [ONE])
    memory.close()


def test_an_attached_file_is_refused(broker: SQLiteBroker, own: sqlite3.Connection, tmp_path: Path) -> None:
    """Not even the queues' own, under another name: over two files a commit is not one."""
    own.execute("ATTACH ? AS more", (str(tmp_path / "more.db"),))
    own.execute("BEGIN IMMEDIATE")
    with pytest.raises(WrongConnection, match=r"more.db attached as more.*not committed as one"):
        broker.push_within(own, "q", [ONE])


def test_a_link_to_the_file_is_the_file(broker: SQLiteBroker, path: Path, tmp_path: Path) -> None:
    broker.check()
    (tmp_path / "link.db").symlink_to(path)
    own = sqlite3.connect(tmp_path / "link.db", isolation_level=None)
    own.execute("BEGIN IMMEDIATE")
    broker.push_within(own, "q", [ONE])
    own.execute("COMMIT")
    own.close()
    assert broker.size("q") == 1


def test_what_is_no_connection_is_told_where_one_is(broker: SQLiteBroker) -> None:
    with pytest.raises(WrongConnection, match=r"was given builtins.str.*Of Django's it is connection.connection"):
        broker.push_within("jobs.db", "q", [ONE])


def test_a_closed_one_is_refused(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    own.close()
    with pytest.raises(WrongConnection, match="it cannot be used here: Cannot operate on a closed database"):
        broker.push_within(own, "q", [ONE])


def test_one_that_read_before_somebody_wrote_is_told_how_to_begin(
    broker: SQLiteBroker, own: sqlite3.Connection
) -> None:
    own.execute("BEGIN")
    orders(own)
    broker.push("q", [ONE])
    with pytest.raises(BrokerUnavailable, match="Begin it by BEGIN IMMEDIATE, which waits for its turn") as raised:
        broker.push_within(own, "q", [TWO])
    assert raised.value.sent == "no"
    own.execute("ROLLBACK")


def test_what_fails_leaves_the_transaction_as_it_was(broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    own.execute("BEGIN IMMEDIATE")
    own.execute("INSERT INTO orders DEFAULT VALUES")
    broker.push_within(own, "q", [ONE])
    with pytest.raises((BrokerRefused, WrongConnection, sqlite3.Error, TypeError, ValueError, taskq.TaskqError)):
        broker.push_within(own, "q", [TWO, "no bytes"])  # type: ignore[list-item]
    assert own.in_transaction
    own.execute("COMMIT")
    assert list(broker.peek("q", 0, 9)) == [ONE]
    assert orders(own) == 1


def test_one_that_does_not_wait_for_the_disk_is_warned_of_once(
    broker: SQLiteBroker, own: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    own.execute("PRAGMA synchronous = NORMAL")
    own.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING, "taskq.sqlite"):
        broker.push_within(own, "q", [ONE])
        broker.push_within(own, "q", [ONE])
    own.execute("COMMIT")
    assert ["PRAGMA synchronous = FULL" in record.getMessage() for record in caplog.records] == [True]


# ---- said by options(connection=...)


REGISTRY = Registry()


@taskq.job(queue="emails", registry=REGISTRY)
def send_email(to: str) -> None: ...


class Trace(Hook):
    """A hook that passes each request on."""

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        return call_next(request)


@pytest.mark.parametrize("hooks", [[], [Trace()]], ids=["bare", "wrapped"])
def test_options_say_the_connection(hooks: list[Hook], broker: SQLiteBroker, own: sqlite3.Connection) -> None:
    app = taskq.TaskQ(broker=broker, hooks=hooks, registry=REGISTRY)
    with taskq.using(app):
        own.execute("BEGIN IMMEDIATE")
        assert send_email.options(connection=own).enqueue("a@example.com")
        assert app.options(connection=own, front=True).enqueue(send_email, "b@example.com")
        calls = [send_email.options(connection=own).call(f"{number}@example.com") for number in range(3)]
        assert len(app.enqueue_many(calls)) == 3
        assert app.size("emails") == 0
        own.execute("COMMIT")
        first, second, *rest = app.peek("emails", 0, 9)
        assert (first.shown, second.shown) == (("b@example.com",), ("a@example.com",))
        assert [one.shown for one in rest] == [(f"{number}@example.com",) for number in range(3)]


DIES = """
import os, signal, sqlite3, sys
import taskq
broker, path, last = sys.argv[1:]

@taskq.job(queue="emails")
def send_email(to): ...

def die(moment):
    if moment == last:
        os.kill(os.getpid(), signal.SIGKILL)

own = sqlite3.connect(path, isolation_level=None)
with taskq.using(broker):
    for number in range(2):
        own.execute("BEGIN IMMEDIATE")
        send_email.options(connection=own).enqueue(f"{number}@example.com")
        die(f"{number} enqueued")
        own.execute("INSERT INTO orders DEFAULT VALUES")
        die(f"{number} ordered")
        own.execute("COMMIT")
        die(f"{number} committed")
"""


@pytest.mark.parametrize(
    ("moment", "committed"), [("0 ordered", 0), ("0 committed", 1), ("1 enqueued", 1), ("1 ordered", 1)]
)
def test_a_process_killed_in_the_middle_leaves_both_or_neither(
    moment: str, committed: int, broker: SQLiteBroker, own: sqlite3.Connection, path: Path
) -> None:
    died = subprocess.run([sys.executable, "-c", DIES, f"sqlite:///{path}", str(path), moment])
    assert died.returncode == -signal.SIGKILL
    assert (orders(own), broker.size("emails")) == (committed, committed)


def test_what_options_enqueued_is_gone_when_the_transaction_is_rolled_back(
    broker: SQLiteBroker, own: sqlite3.Connection
) -> None:
    app = taskq.TaskQ(broker=broker, registry=REGISTRY)
    with taskq.using(app):
        own.execute("BEGIN IMMEDIATE")
        own.execute("INSERT INTO orders DEFAULT VALUES")
        assert app.options(connection=own).enqueue(send_email, "a@example.com")
        assert send_email.options(connection=own, delay=60).enqueue("b@example.com")
        own.execute("ROLLBACK")
    assert (orders(own), broker.size("emails"), broker.next_due()) == (0, 0, None)


def test_a_backend_without_transactions_is_named(own: sqlite3.Connection) -> None:
    with taskq.using("memory://") as app, pytest.raises(NotSupported, match="The backend memory does not support"):
        app.options(connection=own).enqueue_to("q", "Job")
