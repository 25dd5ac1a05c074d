"""What waits for the disk: SQLite's own word at the end of each call, 2 where the commit waited and 1 where not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from taskq.records import Reservation
from taskq.testing.contract.broker.holder import ONE, Holder
from taskq_sqlite import SQLiteBroker
from tests.backends.taskq_sqlite.test_trouble import holder_on

Make = Callable[..., SQLiteBroker]

WAITED, DID_NOT = 2, 1


def last_commit(broker: SQLiteBroker) -> int:
    with broker._store.reading() as connection:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])


def turn(holder: Holder, settled: Reservation | None = None) -> Reservation:
    (job,) = holder.reserve("q", settled=[settled] if settled else ()).jobs
    return job


def test_what_is_pushed_failed_or_put_back_is_on_the_disk(broker: SQLiteBroker) -> None:
    holder = holder_on(broker)
    broker.push("q", [ONE] * 3)
    assert last_commit(broker) == WAITED
    job = turn(holder)
    assert last_commit(broker) == DID_NOT
    assert holder.fail(job, b"{}")
    assert last_commit(broker) == WAITED
    job = turn(holder)
    assert last_commit(broker) == DID_NOT
    assert holder.release(job)
    assert last_commit(broker) == WAITED


def test_a_turn_is_within_25_ms_and_takes_all_before_it_along(
    broker: SQLiteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq_sqlite.store._OWED", 3600.0)
    holder = holder_on(broker)
    broker.push("q", [ONE] * 9)
    job = turn(holder)
    for _ in range(3):
        job = turn(holder, job)
        assert last_commit(broker) == DID_NOT
    monkeypatch.setattr("taskq_sqlite.store._OWED", 0.0)
    time.sleep(0.001)
    job = turn(holder, job)
    assert last_commit(broker) == WAITED
    turn(holder, job)
    assert last_commit(broker) == DID_NOT  # owed since that one


def test_what_is_owed_outlives_the_connection(broker: SQLiteBroker) -> None:
    """Each fork closes it, and a fork comes with every job."""
    holder = holder_on(broker)
    broker.push("q", [ONE])
    turn(holder)
    broker._store.close()
    assert broker._store._owes_since is not None


def test_who_becomes_idle_waits_for_the_disk_first(broker: SQLiteBroker) -> None:
    holder = holder_on(broker)
    broker.push("q", [ONE])
    job = turn(holder)
    assert not holder.reserve("q", settled=[job]).jobs
    assert last_commit(broker) == DID_NOT
    broker.wait(["q"], 0)
    assert last_commit(broker) == WAITED


def test_a_heartbeat_pays_what_a_long_job_left_owing(broker: SQLiteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = holder_on(broker)
    broker.push("q", [ONE])
    turn(holder)
    monkeypatch.setattr("taskq_sqlite.store._OWED", 0.0)
    time.sleep(0.001)
    assert broker.heartbeat(holder.id, holder.tokens.process)
    assert last_commit(broker) == WAITED


def test_strict_waits_at_each_turn_but_not_for_a_note(make_broker: Make) -> None:
    broker = make_broker("?synchronous=full")
    holder = holder_on(broker)
    broker.push("q", [ONE] * 9)
    job = turn(holder)
    assert last_commit(broker) == WAITED
    assert holder.finish(job)
    assert last_commit(broker) == WAITED
    _, second = holder.reserve("q", limit=2).jobs
    broker.note(second)
    assert last_commit(broker) == DID_NOT
