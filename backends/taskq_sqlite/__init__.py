"""The backend in one file of SQLite: the embedded default. Several processes on one machine share it; no server."""

from __future__ import annotations

from taskq_sqlite.broker import SQLiteBroker, open_broker

__all__ = ["SQLiteBroker", "open_broker"]
