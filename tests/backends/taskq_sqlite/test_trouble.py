"""What may befall a file: it is full, locked, read-only, damaged, deleted, replaced. A clear error; nothing lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskq_sqlite
from taskq.errors import BrokerInTrouble, BrokerRefused, BrokerUnavailable
from taskq.records import Reservation, Stats, Token
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder
from taskq_sqlite import SQLiteBroker
from taskq_sqlite.statements import SQL
from tests.support import disks

Make = Callable[..., SQLiteBroker]


def holder_on(broker: SQLiteBroker) -> Holder:
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    return holder


@pytest.fixture
def stranger(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the same file, in another process's place."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


# ---- locked


def test_a_write_that_waits_in_vain_says_who_is_in_the_way(
    broker: SQLiteBroker, stranger: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq_sqlite.store.BUSY", 0.05)
    broker.push("q", [ONE])
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerUnavailable, match="somebody held its lock") as raised:
        broker.push("q", [TWO])
    assert raised.value.sent == "no"
    assert "Keep transactions on this file short." in str(raised.value)
    assert list(broker.peek("q", 0, 9)) == [ONE]
    broker.check()
    stranger.execute("COMMIT")
    broker.push("q", [TWO])
    assert broker.size("q") == 2


# ---- full


def test_a_full_file_keeps_the_settle_for_when_there_is_room(broker: SQLiteBroker) -> None:
    holder = holder_on(broker)
    broker.push("q", [ONE, TWO])
    taken = holder.take("q")
    _limit(broker)
    with pytest.raises(BrokerUnavailable, match="the disk is full") as raised:
        broker.push("q", [b"x" * 100_000])
    assert raised.value.sent == "no"
    _limit(broker)
    token = holder.tokens.next()
    with pytest.raises(BrokerUnavailable, match="Make room there: what is to be settled is kept and asked again"):
        broker.fail(taken, token, b"x" * 100_000)
    assert broker.stats() == Stats(0, 0)
    assert broker.fail(taken, token, b"x" * 100_000)  # the connection is another one, without the limit
    assert broker.stats() == Stats(1, 1)
    assert broker.failure_count() == 1


def _limit(broker: SQLiteBroker) -> None:
    """Let the file grow no more, as a full disk would."""
    with broker._store.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with disks.small_disk() as disk:
        yield disk


def test_a_full_disk_refuses_and_loses_nothing(small_disk: Path, make_broker: Make) -> None:
    broker = make_broker(at=small_disk / "jobs.db")
    holder = holder_on(broker)
    broker.push("q", [ONE])
    taken = holder.take("q")
    ballast = disks.fill(small_disk)
    pushed = 0
    token = holder.tokens.next()
    with pytest.raises(BrokerUnavailable, match=r"the disk (is full|failed)"):
        while True:
            broker.push("q", [TWO])
            pushed += 1
    with pytest.raises(BrokerUnavailable, match=r"the disk (is full|failed)"):
        broker.finish(taken, token)
    ballast.unlink()
    assert broker.finish(taken, token)
    assert broker.size("q") == pushed
    assert broker.stats() == Stats(1, 0)


# ---- read-only, or not there


@pytest.fixture
def as_nobody(make_broker: Make) -> Iterator[Path]:
    """A directory, and the rights of somebody who has none: root may write everywhere."""
    directory = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(directory, 65534, -1)
        os.seteuid(65534)
    yield directory
    if root:
        os.seteuid(0)
    os.chmod(directory, 0o777)
    shutil.rmtree(directory)


def test_a_read_only_file_is_refused(as_nobody: Path, make_broker: Make) -> None:
    path = as_nobody / "jobs.db"
    make_broker(at=path).push("q", [ONE])
    path.chmod(0o444)
    broker = make_broker(at=path)
    with pytest.raises(BrokerRefused, match="the file is read-only for this user"):
        broker.push("q", [TWO])
    with pytest.raises(BrokerRefused, match="Give this user the right to write there"):
        broker.check()
    path.chmod(0o644)
    broker.push("q", [TWO])
    assert broker.size("q") == 2


def test_a_read_only_directory_is_refused(as_nobody: Path, make_broker: Make) -> None:
    broker = make_broker(at=as_nobody / "jobs.db")
    broker.push("q", [ONE])
    broker.close()
    as_nobody.chmod(0o555)
    with pytest.raises(BrokerRefused, match="read-only"):
        broker.push("q", [TWO])


def test_no_directory_is_named_with_how_to_make_it(path: Path, make_broker: Make) -> None:
    where = path / "there"
    with pytest.raises(BrokerRefused, match=f"there is no directory {where}. Make it: mkdir -p {where}"):
        make_broker(at=where / "jobs.db").check()


def test_a_directory_is_no_file(path: Path, make_broker: Make) -> None:
    path.mkdir()
    with pytest.raises(BrokerRefused, match="it is a directory"):
        make_broker().push("q", [ONE])


# ---- damaged


def test_a_text_is_no_database(path: Path, broker: SQLiteBroker) -> None:
    path.write_text("Dear diary, today I was taken for a database. " * 100)
    with pytest.raises(BrokerRefused, match="damaged, or no database") as raised:
        broker.push("q", [ONE])
    assert f"sqlite3 {path} 'PRAGMA quick_check'" in str(raised.value)
    assert path.read_text().startswith("Dear diary")


def test_a_truncated_file_is_refused(path: Path, make_broker: Make) -> None:
    broker = make_broker()
    broker.push("q", [b"x" * 1000] * 100)
    broker.close()
    os.truncate(path, 20_000)
    with pytest.raises(BrokerRefused, match="damaged"):
        make_broker().peek("q", 0, 200)


def test_a_file_emptied_under_a_worker_is_no_new_database(path: Path, make_broker: Make) -> None:
    broker = make_broker()
    broker.push("q", [ONE])
    os.truncate(path, 0)
    with pytest.raises(BrokerRefused, match="the file was emptied"):
        broker.push("q", [TWO])
    with pytest.raises(BrokerRefused, match="the file was emptied"):
        make_broker().push("q", [TWO])  # a newcomer, to whom SQLite would give a new one, throwing the log away


def test_a_damaged_page_is_found_when_it_is_met(path: Path, make_broker: Make) -> None:
    broker = make_broker()
    broker.push("q", [b"x" * 3000] * 50)
    broker.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(BrokerRefused, match="damaged"):
        make_broker().peek("q", 0, 50)


@pytest.mark.parametrize(
    ("harm", "done"), [(lambda log: os.truncate(log, 0), "emptied"), (os.unlink, "deleted")], ids=["emptied", "deleted"]
)
def test_a_push_into_a_log_that_nobody_can_read_is_refused(
    path: Path, broker: SQLiteBroker, harm: Callable[[str], None], done: str
) -> None:
    broker.push("q", [ONE])
    harm(f"{path}-wal")
    with pytest.raises(BrokerRefused, match=f"its log {path}-wal was {done} while it was in use"):
        broker.push("q", [TWO])


def test_a_log_that_another_program_copied_back_is_no_trouble(
    path: Path, broker: SQLiteBroker, stranger: sqlite3.Connection
) -> None:
    broker.push("q", [ONE])
    stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert os.stat(f"{path}-wal").st_size == 0
    broker.push("q", [TWO])
    assert list(broker.peek("q", 0, 9)) == [ONE, TWO]


def test_the_log_lies_beside_the_file_that_a_link_leads_to(path: Path, make_broker: Make, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere" / "real.db")
    broker = make_broker()
    broker.push("q", [ONE])
    assert list(broker.peek("q", 0, 9)) == [ONE]


# ---- deleted, replaced


def test_a_deleted_file_takes_no_push(path: Path, broker: SQLiteBroker) -> None:
    holder = holder_on(broker)
    path.unlink()
    with pytest.raises(BrokerInTrouble, match=f"The database {path} was deleted while this process used it"):
        broker.push("q", [ONE])
    with pytest.raises(BrokerInTrouble, match="deleted"):
        broker.wait(["q"], 5)
    with pytest.raises(BrokerInTrouble, match="deleted"):
        broker.heartbeat(holder.id, holder.tokens.process)
    broker.close()
    with pytest.raises(BrokerInTrouble, match="deleted"):
        broker.size("q")  # SQLite would make a new one, silently
    assert not path.exists()


def test_a_file_that_is_put_back_goes_on(path: Path, broker: SQLiteBroker) -> None:
    broker.push("q", [ONE])
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(BrokerInTrouble):
        broker.push("q", [TWO])
    path.with_name("elsewhere").rename(path)
    broker.push("q", [TWO])
    assert list(broker.peek("q", 0, 9)) == [ONE, TWO]


def test_a_replaced_file_is_told_once_and_then_used(path: Path, make_broker: Make) -> None:
    broker = make_broker()
    broker.push("q", [ONE])
    other = make_broker(at=path.with_name("other"))
    other.push("q", [TWO])
    other.close()
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.with_name("other").rename(path)
    with pytest.raises(BrokerInTrouble, match="replaced by another while this process used it"):
        broker.push("q", [ONE])
    broker.push("q", [ONE])
    assert list(broker.peek("q", 0, 9)) == [TWO, ONE]


# ---- the schema


def test_a_newer_schema_is_refused(broker: SQLiteBroker, path: Path, make_broker: Make) -> None:
    broker.push("q", [ONE])
    with broker._store.writing() as connection:
        connection.execute("UPDATE taskq_meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(BrokerRefused, match=r"schema is of version 99.*Upgrade taskq here as well"):
        make_broker().push("q", [ONE])


def test_a_file_of_the_applications_own_keeps_what_is_in_it(
    path: Path, broker: SQLiteBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(path) as own:
        own.execute("PRAGMA user_version = 7")
        own.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        own.execute("INSERT INTO orders VALUES (1)")
    broker.push("q", [ONE])
    assert "it had tables already (orders), and now has taskq's beside them" in caplog.text
    assert own.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    assert own.execute("PRAGMA user_version").fetchone() == (7,)
    tables = own.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert all(name.startswith(("taskq_", "sqlite_")) or name == "orders" for (name,) in tables)
    own.close()


def test_another_programs_file_is_left_as_it_is(path: Path, make_broker: Make) -> None:
    with contextlib.closing(sqlite3.connect(path)) as own:
        own.executescript("PRAGMA application_id = 0x47504B47; CREATE TABLE features (id INTEGER PRIMARY KEY)")
        before = path.read_bytes()
        with pytest.raises(
            BrokerRefused, match=r"another program's file: its application_id is 1196444487 .\"GPKG\"."
        ) as no:
            make_broker().size("q")
        assert path.read_bytes() == before
        assert f"sqlite:///{path}?application_id=1196444487" in str(no.value)
        with pytest.raises(BrokerRefused, match="another program's"):
            make_broker("?application_id=7").push("q", [ONE])
        make_broker("?application_id=0x47504B47").push("q", [ONE])
        assert make_broker().size("q") == 1  # they share it now
        assert own.execute("PRAGMA application_id").fetchone() == (0x47504B47,)


@pytest.mark.parametrize(
    "table", ["taskq_meta (name TEXT)", "taskq_meta (key TEXT, value TEXT)", "taskq_jobs (id TEXT)"]
)
def test_tables_of_anothers_under_taskqs_names_are_left_as_they_are(
    table: str, path: Path, broker: SQLiteBroker
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as own:
        own.execute(f"CREATE TABLE {table}")
        with pytest.raises(BrokerRefused, match=r"named as taskq's are, and are another's: .*\. Name another file\."):
            broker.push("q", [ONE])
        assert own.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() == (1,)


def test_a_file_of_version_1_is_brought_up_with_what_is_in_it(path: Path, make_broker: Make) -> None:
    """Its jobs, failures and pauses stay, and a producer of the older version that has it open goes on."""
    with of_version(1, path) as old:
        old.execute("INSERT INTO taskq_queues (name) VALUES ('q')")
        old.execute("INSERT INTO taskq_jobs (queue, pos, body) VALUES (1, 1, ?)", (ONE,))
        broker = make_broker()
        broker.schedule(4e9, "q", [TWO])
        broker.put_key("a", b"1", 60)
        assert list(broker.peek("q", 0, 9)) == [ONE]
        assert [job.body for job in broker.scheduled(0, 0, 9)] == [TWO]
        old.execute("INSERT INTO taskq_jobs (queue, pos, body) VALUES (1, 2, ?)", (TWO,))
        assert list(make_broker().peek("q", 0, 9)) == [ONE, TWO]


def test_a_batch_in_a_file_of_version_3_is_held_as_before(path: Path, broker: SQLiteBroker) -> None:
    """What its worker holds stays in its places; that worker, which would misread them from then on, is told."""
    with of_version(3, path) as old:
        columns = "name, process, registration, started, beat, batch, changes, processed, hand, queue, run_at, body"
        worker = ("host:1:q", "00000001", "{}", 1.0, 1.0, 7, 5, 1, 2, "q", 1.0, ONE)
        old.execute(f"INSERT INTO taskq_workers ({columns}) VALUES ({', '.join('?' * 12)})", worker)
        old.executemany("INSERT INTO taskq_ahead VALUES (1, ?, 'q', 1.0, ?)", [(3, TWO), (4, THREE)])
        with broker._store.reading() as db:
            held = db.execute(SQL["held"], (1,)).fetchall()
        assert held == [(2, 1, "q", 1.0, ONE), (3, 0, "q", 1.0, TWO), (4, 0, "q", 1.0, THREE)]
        with pytest.raises(sqlite3.OperationalError, match="no such table: taskq_ahead"):
            old.execute("SELECT place FROM taskq_ahead")
    third = Reservation("host:1:q", "q", TWO, "0000000100000007:0003", 1.0, started=False)
    broker.note(third)
    assert broker.finish(third, Token("00000001", 8))
    assert broker.stats() == Stats(3, 0)


@contextlib.contextmanager
def of_version(version: int, path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of an older taskq's to its file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        for step in range(1, version + 1):
            old.executescript(Path(taskq_sqlite.__file__).with_name("versions").joinpath(f"{step}.sql").read_text())
        old.execute("INSERT INTO taskq_meta (key, value) VALUES ('schema', ?)", (str(version),))
        yield old


MAKES_IT = "import sys; from taskq_sqlite import open_broker; open_broker(sys.argv[1]).push('q', [b'{}'])"


def test_processes_that_make_it_at_once_make_one(path: Path, broker: SQLiteBroker) -> None:
    running = [subprocess.Popen([sys.executable, "-c", MAKES_IT, f"sqlite:///{path}"]) for _ in range(4)]
    assert [process.wait(50) for process in running] == [0] * 4
    assert broker.size("q") == 4


# ---- a power cut: the log ends anywhere

LIVES = """
import os, signal, sys
from taskq.records import ProcessIdentity, Registration, Tokens
from taskq_sqlite import open_broker
broker, tokens = open_broker(sys.argv[1]), Tokens()
me = ProcessIdentity("host", "boot", "pid", os.getpid(), "1")
broker.register(Registration("host:1:q", me, 25.0, 5.0, tokens.process))
done = None
for number in range(60):
    broker.push("q", [b"%d" % (2 * number), b"%d" % (2 * number + 1)])
    (job,) = broker.reserve("host:1:q", ["q"], tokens.next(), settled=done).jobs
    done = None if number % 7 == 6 else job
    if done is None:
        broker.fail(job, tokens.next(), job.body)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_log_cut_or_garbled_anywhere_leaves_a_prefix(path: Path, tmp_path: Path, make_broker: Make) -> None:
    """What a power cut leaves of commits that did not wait for the disk: each job in one place, the first ones done."""
    subprocess.run([sys.executable, "-c", LIVES, f"sqlite:///{path}"])
    log = Path(f"{path}-wal").read_bytes()
    assert len(log) > 400_000
    chance = random.Random()
    states = set()
    for round_ in range(60):
        where = tmp_path / str(round_) / "jobs.db"
        where.parent.mkdir()
        shutil.copy(path, where)
        end = chance.randrange(len(log))
        tail = chance.choice([b"", bytes(4096), os.urandom(9000), log[end + 1 : end + 5000]])
        Path(f"{where}-wal").write_bytes(log[:end] + tail)
        with sqlite3.connect(where) as look:
            assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            began = look.execute("SELECT count(*) FROM sqlite_master WHERE name = 'taskq_jobs'").fetchone()[0]
        look.close()
        if not began:
            continue
        broker = make_broker(at=where)
        queued = [int(body) for body in broker.peek("q", 0, 999)]
        held = [int(info.job.body) for info in broker.workers() if info.job is not None]
        failed = [int(failure.entry) for failure in broker.failures(0, 999)]
        done = broker.stats().processed
        broker.close()
        assert held in ([], [done])
        assert queued == list(range(done + len(held), done + len(held) + len(queued)))
        assert all(number < done for number in failed)
        states.add((done, len(held), len(queued)))
    assert len(states) > 10
