"""What a library opened before the fork is not shared by a child: the real libraries, and real forks."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy
import sqlalchemy.pool

from taskq.outcome import Done, Outcome
from taskq.worker import adapters
from taskq.worker.offspring import Offspring, Say
from taskq_redis.testing import RedisServer
from tests.support.bench import task_of
from tests.worker.test_fork import Forking, lines, note

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def performed(job: Callable[[], object], *, standing_by: bool) -> Outcome:
    with Forking(job) as bench:
        if standing_by:
            bench.standby()
        return bench.fork.perform(task_of(bench.tools, "job"))


class Opened(sqlite3.Connection):
    """A connection that knows which process opened it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pid = os.getpid()


@pytest.fixture(params=[False, True], ids=["forked for its job", "standing by"])
def standing_by(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class TestSQLAlchemy:
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
        """One that was used before the fork, so that its pool has a connection."""
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/file", connect_args={"factory": Opened})
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("create table seen (pid integer)"))
        yield engine
        engine.dispose()

    def uses(self, engine: sqlalchemy.Engine) -> Opened:
        """Write and read by a connection of the pool. It."""
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("insert into seen values (1)"))
            opened: Any = connection.connection.dbapi_connection
            return opened  # type: ignore[no-any-return]  # whatever the library calls it, it is the one we had it make

    def test_a_job_has_a_connection_of_its_own_and_the_worker_keeps_its_own(
        self, engine: sqlalchemy.Engine, notes: Path, standing_by: bool
    ) -> None:
        def job() -> None:
            note(notes, self.uses(engine).pid == os.getpid())
            note(notes, self.uses(engine).pid == os.getpid())

        mine = self.uses(engine)
        assert isinstance(performed(job, standing_by=standing_by), Done)
        assert lines(notes) == ["True", "True"]
        assert self.uses(engine) is mine

    def test_a_worker_under_a_supervisor_has_one_of_its_own_too(self, engine: sqlalchemy.Engine, notes: Path) -> None:
        def works(orders: int, say: Say) -> int:
            note(notes, self.uses(engine).pid == os.getpid())
            return 0

        mine = self.uses(engine)
        process = Offspring.forked(works)
        os.waitpid(process.pid, 0)
        process.close()
        assert lines(notes) == ["True"]
        assert self.uses(engine) is mine

    def test_one_that_was_opened_before_the_adapter_listened_counts_as_the_workers(
        self, engine: sqlalchemy.Engine, notes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def job() -> None:
            note(notes, self.uses(engine).pid == os.getpid())

        with engine.connect() as connection:
            connection.connection.record_info.pop("taskq pid", None)  # type: ignore[union-attr]  # it has a record
        assert isinstance(performed(job, standing_by=False), Done)
        assert lines(notes) == ["True"]

    def test_without_the_adapter_the_fault_is_there(
        self, engine: sqlalchemy.Engine, notes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Other tests may have had the adapter listen, and it does so for ever; here it takes all for its own."""
        monkeypatch.setattr(adapters, "_PID", "another note")
        monkeypatch.setattr(adapters, "_heard", None)

        def job() -> None:
            monkeypatch.setattr(adapters, "_heard", os.getpid())
            note(notes, self.uses(engine).pid == os.getpid())

        assert isinstance(performed(job, standing_by=False), Done)
        assert lines(notes) == ["False"]


class TestDjango:
    """In a process of its own: Django's settings are for a whole process."""

    def says(self, *words: str, tmp_path: Path) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.django_fork", str(tmp_path), *words],
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout.split()

    @pytest.mark.parametrize("how", ["forked", "standing-by"])
    @pytest.mark.parametrize("left", ["idle", "in-transaction", "in-memory"])
    def test_a_job_has_a_connection_of_its_own_and_the_worker_keeps_its_own(
        self, how: str, left: str, tmp_path: Path
    ) -> None:
        assert self.says("adapted", how, left, tmp_path=tmp_path) == ["Done", "own", "intact"]

    def test_without_the_adapter_the_fault_is_there(self, tmp_path: Path) -> None:
        assert self.says("as-it-is", "forked", "in-transaction", tmp_path=tmp_path)[:2] == ["Done", "inherited"]

    def test_django_without_settings_is_none_of_its_business(self, tmp_path: Path) -> None:
        code = "import django.db; from taskq.worker import adapters; adapters.before_fork(); adapters.after_fork()"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("", "")


class TestRedis:
    @pytest.mark.redis
    def test_a_client_needs_no_adapter(self, redis_server: RedisServer, notes: Path, standing_by: bool) -> None:
        """Each process has connections of its own, which redis-py sees to by itself."""
        client = redis.Redis.from_url(redis_server.url)
        mine = client.client_id()

        def job() -> None:
            note(notes, client.client_id())

        assert isinstance(performed(job, standing_by=standing_by), Done)
        [theirs] = lines(notes)
        assert int(theirs) != mine
        assert client.client_id() == mine
        client.close()


def test_no_library_is_loaded_for_it() -> None:
    code = (
        "import sys; from taskq.worker import adapters; adapters.before_fork(); adapters.after_fork(); "
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'sqlalchemy', 'redis')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_library_that_is_not_as_we_know_it_fails_no_job(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "django.db", types.ModuleType("django.db"))
    monkeypatch.setitem(sys.modules, "django.conf", types.ModuleType("django.conf"))
    adapters.before_fork()
    adapters.after_fork()
    assert [record.getMessage() for record in caplog.records] == [
        "What django.db holds open could not be made ready for a fork."
    ] * 2
