"""The backend on SQLite keeps every promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskq.broker import Broker
from taskq_sqlite import open_broker
from tests.contract.broker import BrokerContract


class TestOnSQLite(BrokerContract):
    @pytest.fixture(autouse=True)
    def _on(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jobs.db"

    def make_broker(self) -> Broker:
        return open_broker(f"sqlite:///{self.path}")


class TestWithoutInotify(TestOnSQLite):
    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskq_sqlite.inotify.watch", lambda directory, name: None)
