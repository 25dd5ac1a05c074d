"""The backend on SQLite keeps every promise."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from taskq.broker import Broker
from taskq.testing.contract import BrokerContract
from taskq_sqlite import open_broker


class TestOnSQLite(BrokerContract):
    @pytest.fixture(autouse=True)
    def _on(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jobs.db"

    def make_broker(self) -> Broker:
        return open_broker(f"sqlite:///{self.path}")

    def make_connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        return connection


class TestWithoutInotify(TestOnSQLite):
    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskq_sqlite.inotify.watch", lambda directory, name: None)
