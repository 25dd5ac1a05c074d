"""One database as one process has it open: the connection, its lock, its transactions, and what a fork does to them.

It knows no queue and no job. A process has one connection for each broker, guarded by a lock: SQLite lets one write at
a time anyway, and its locks are those of the whole process.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Final

from taskq.errors import BrokerRefused
from taskq_sqlite import schema
from taskq_sqlite.errors import BUSY, is_busy, replaced, translated
from taskq_sqlite.gate import Gate
from taskq_sqlite.statements import SQL

__all__ = ["Durable", "Store"]

_OWED: Final = 0.025
"""Seconds until what was committed without waiting for the disk is waited for. At 10 to 50 ms that costs nothing that
can be measured: the log is one, and the disk is waited for once for all."""

_LOG: Final = 16 * 1024 * 1024  # bytes to which the log is cut back after a long reader let it grow
_LOG_BEGINS: Final = b"\x37\x7f\x06"  # as every log of SQLite's does


class Durable(enum.Enum):
    """When a transaction is on the disk. One that is takes all before it along, other processes' too."""

    NOW = "when it returns"
    SOON = "within 25 ms of work, and when it returns where the address says synchronous=full"
    LATER = "with the next one that is"


class Store:
    """A database file. Safe in threads; before a fork it closes what it has open, and opens it again when it is needed.

    Attributes:
        path: the file.
        address: what to call it.
    """

    def __init__(self, path: str, *, strict: bool = False, application_id: int | None = None) -> None:
        """Opens nothing yet.

        Args:
            path: the file, absolute.
            strict: whether `Durable.SOON` is now.
            application_id: the application's that shares the file with taskq; None for a file that says none.
        """
        self.path = path
        self.address = f"SQLite at {path}"
        self._strict = strict
        self._application_id = application_id
        self._lock = threading.RLock()
        self._gate = Gate(f"{path}-taskq")
        self._log = f"{path}-wal"
        self._connection: sqlite3.Connection | None = None
        self._openings = 0  # how many connections there were
        self._closing: weakref.finalize[[], Store] | None = None  # closes what nobody closed, at the end at the latest
        self._identity: tuple[int, int] | None = None
        self._waits_for_disk = False  # what PRAGMA synchronous says
        self._owes_since: float | None = None  # the first commit that the disk was not waited for, monotonic
        self._writing = False
        self._torn = False
        _everywhere.add(self)

    # ---- reading and writing

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that change nothing; each sees a picture of its own."""
        with self._lock:
            try:
                yield self._opened()
            except sqlite3.Error as error:
                self._drop_after(error)
                raise translated(error, self.path, "no") from None

    @contextlib.contextmanager
    def writing(self, durable: Durable = Durable.NOW) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, which is rolled back where the block raises."""
        with self._lock:
            sent = False
            try:
                connection = self._opened()
                self._wait_for_disk(connection, wait=self._must_wait(durable))
                self._gate.enter()
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    self._writing = True
                    yield connection
                    sent = True
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:  # some errors roll back by themselves
                        connection.execute("ROLLBACK")
                    raise
                finally:
                    self._writing = False
                    self._gate.leave()
            except sqlite3.Error as error:
                # After an error in COMMIT nobody knows whether it was done.
                self._drop_after(error)
                raise translated(error, self.path, "unknown" if sent else "no") from None
            if durable is Durable.NOW:
                self._check_log()
            if self._waits_for_disk:
                self._owes_since = None
            elif durable is Durable.SOON and self._owes_since is None:
                self._owes_since = time.monotonic()

    def begin_and_commit(self, statement: str, given: Sequence[object]) -> None:
        """Write by one statement that is a transaction by itself; it is on the disk with the next one that is.

        The same as `writing` in half of the time, for what is written with every job.
        """
        with self._lock:
            try:
                connection = self._opened()
                self._wait_for_disk(connection, wait=False)
                self._gate.enter()
                self._writing = True
                try:
                    connection.execute(statement, given)
                finally:
                    self._writing = False
                    self._gate.leave()
            except sqlite3.Error as error:
                self._drop_after(error)
                raise translated(error, self.path, "unknown") from None

    def check(self) -> None:
        """Return where it opens and would take a write; one who writes just now is no reason against it."""
        with self.reading() as connection:
            connection.execute("PRAGMA busy_timeout = 200")
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    connection.execute(SQL["touch"])  # a read-only file lets one begin
                finally:
                    connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")

    def data_version(self) -> tuple[int, int]:
        """What changes when another connection commits; not with the own commits.

        SQLite's number is one of the connection's. Another connection, as after a fork, begins with the same number
        whatever was committed meanwhile: so with each connection it is another version.
        """
        with self.reading() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return self._openings, int(version)

    def settle_debts(self) -> None:
        """Wait for the disk, where something was committed without."""
        if self._owes_since is not None:
            with self.writing() as connection:
                connection.execute(SQL["touch"])

    def _must_wait(self, durable: Durable) -> bool:
        if durable is Durable.SOON and not self._strict:
            return self._owes_since is not None and time.monotonic() - self._owes_since > _OWED
        return durable is not Durable.LATER

    def _wait_for_disk(self, connection: sqlite3.Connection, *, wait: bool) -> None:
        if wait is not self._waits_for_disk:  # within a transaction this would be an error
            connection.execute("PRAGMA synchronous = FULL" if wait else "PRAGMA synchronous = NORMAL")
            self._waits_for_disk = wait

    def _drop_after(self, error: sqlite3.Error) -> None:
        """After an error that says more than that somebody else writes, the connection is not used again."""
        if not is_busy(error):
            self._close()

    # ---- the file

    def check_file(self) -> None:
        """Return where the path still leads to the file that this process knows.

        A deleted file takes pushes without any error, which nobody will ever see. Where another lies there now, this
        raises once, and the next call opens that one.

        Raises:
            BrokerInTrouble: it was deleted or replaced.
            BrokerRefused: it was emptied.
        """
        if self._identity is None:
            return
        try:
            seen = os.stat(self.path)
        except FileNotFoundError:
            raise replaced(self.path, "deleted") from None
        except OSError as error:
            raise replaced(self.path, f"put out of reach ({error.strerror})") from None
        if (seen.st_dev, seen.st_ino) != self._identity:
            with self._lock:
                self._close()
                self._identity = None
            raise replaced(self.path, "replaced by another")
        if seen.st_size == 0:
            raise self._emptied()

    def _look_for_the_emptied(self) -> None:
        """SQLite takes a file of no bytes for a new database, silently, and throws its log away."""
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_size == 0 and os.stat(f"{self.path}-wal").st_size > 0:
                raise self._emptied()

    def _check_log(self) -> None:
        """Return where the log begins as a log does, so that what was just committed can be read back.

        SQLite does not look: it writes on behind the hole in a log that was emptied, and into one that was deleted.
        Nobody else ever sees that, and the hole ends in the database. This is asked of what must not be lost, beside
        whose sync it costs nothing.
        """
        try:
            with open(self._log, "rb", buffering=0) as log:
                begins = log.read(len(_LOG_BEGINS))
        except FileNotFoundError:
            done = "deleted"  # to this process it is still there, whole: to copy it back saves what is in it
        except OSError:
            return
        else:
            if begins in {_LOG_BEGINS, b""}:  # of no bytes: another program had it copied back just now, all of it
                return
            done = "emptied"
        self._close(copy_back=done == "deleted")
        raise BrokerRefused(
            self.address,
            f"its log {self._log} was {done} while it was in use: what was just written may be lost, and what was "
            "written before",
            advice=f"Stop every process that uses it. Then look at it: sqlite3 {self.path} 'PRAGMA quick_check'. "
            "Restore it, or move it away to begin a new one.",
        )

    def _emptied(self) -> BrokerRefused:
        return BrokerRefused(
            self.address,
            "the file was emptied: it has no bytes left",
            advice=f"Restore it; or to begin anew, with every process stopped: rm {self.path}*",
        )

    # ---- opening and closing; the lock is held

    def close(self) -> None:
        """Close what is open. It is opened again by whoever goes on using the store."""
        with self._lock:
            self._close()

    def _close(self, *, copy_back: bool = True) -> None:
        """`copy_back`: whether the log is, by the last one to close, where it can be helped."""
        connection, self._connection = self._connection, None
        if self._closing is not None:
            self._closing.detach()
        if connection is not None:
            if not copy_back and sys.version_info >= (3, 12):
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._gate.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._torn:
                raise BrokerRefused(
                    self.address,
                    "this process was forked, by a signal's handler, in the middle of a transaction of its parent's",
                    advice="Fork elsewhere: what SQLite holds there cannot be let go of.",
                )
            self._connection = self._open()
            self._openings += 1
            self._closing = weakref.finalize(self, self._connection.close)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self.check_file()  # else SQLite would make one anew where it was deleted
        self._look_for_the_emptied()
        connection = sqlite3.connect(
            self.path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=200
        )
        try:
            self._write_ahead(connection)
            connection.execute(f"PRAGMA journal_size_limit = {_LOG}")
            connection.execute("PRAGMA synchronous = FULL")
            if sys.platform == "darwin":  # there a plain sync leaves it in the disk's own cache
                connection.execute("PRAGMA fullfsync = 1")
            if not schema.is_newest(connection, self.address):
                self._check_owner(connection)
                with self._gate.passed():
                    schema.migrate(connection, self.address)
            seen = os.stat(self.path)
        except BaseException:
            connection.close()
            raise
        self._waits_for_disk = True
        self._identity = seen.st_dev, seen.st_ino
        self._log = f"{os.path.realpath(self.path)}-wal"  # beside the file itself, where the path is a link
        return connection

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        schema.check_owner(connection, self.address, self.path, self._application_id)

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Have the database write ahead. Nearly always it does; to begin with that it must be nobody else's."""
        deadline = time.monotonic() + BUSY
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
                if mode != "wal":
                    self._check_owner(connection)
                    with self._gate.passed():
                        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)  # SQLite does not wait here by itself
        if mode != "wal":
            raise BrokerRefused(
                self.address,
                f"this place cannot have a log beside the file (journal_mode stays {mode})",
                advice="Several processes need a file on a local disk, not on a network share.",
            )

    # ---- forks

    def part(self) -> None:
        """Before a fork: wait for the transaction of whichever thread is in one, and close everything.

        What is open on both sides of a fork loses jobs silently: the locks are the process's, and SQLite in the child
        takes those of its parent for its own. To open another connection in the child is not enough.
        """
        self._lock.acquire()
        if self._writing:
            return
        self._close(copy_back=False)  # soon somebody opens it again, and to copy it takes several syncs

    def go_on(self) -> None:
        """After a fork, in the parent."""
        self._lock.release()

    def begin_anew(self) -> None:
        """After a fork, in the child."""
        self._lock = threading.RLock()
        self._owes_since = None  # that is the parent's
        if self._writing:  # the thread that forked was in a transaction itself: its signal's handler forked
            if self._closing is not None:
                self._closing.detach()
            _inherited.append((self._connection, self._gate))
            self._connection, self._gate = None, Gate(f"{self.path}-taskq")
            self._writing, self._torn = False, True


_everywhere: weakref.WeakSet[Store] = weakref.WeakSet()
_forking = threading.Lock()
_parted: list[Store] = []
_inherited: list[object] = []  # connections of a parent's, which must be neither used nor closed here


def _before_fork() -> None:
    _forking.acquire()
    _parted[:] = sorted(_everywhere, key=id)
    for store in _parted:
        store.part()


def _after_in_parent() -> None:
    for store in _parted:
        store.go_on()
    _parted.clear()
    _forking.release()


def _after_in_child() -> None:
    for store in _parted:
        store.begin_anew()
    _parted.clear()
    _forking.release()  # the thread that took it is the one that goes on here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
