"""Django's connections across a fork: `python -m tests.support.django_fork FOLDER adapted|as-it-is HOW LEFT`.

Says how the job ended, whose connection it had, and whether the worker's own is intact.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import django  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]
from django.db import connection, transaction  # type: ignore[import-untyped]

from taskq.worker import adapters
from tests.support.bench import task_of
from tests.worker.test_fork import Forking

folder, adapted, how, left = sys.argv[1:]


class Opened(sqlite3.Connection):
    """A connection that knows which process opened it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pid = os.getpid()


def query(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def job() -> None:
    query("select count(*) from seen")
    notes.write_text("own" if connection.connection.pid == os.getpid() else "inherited")


notes = Path(folder, "notes")
name = ":memory:" if left == "in-memory" else str(Path(folder, "file"))
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": {"factory": Opened}}}
)
django.setup()
if adapted == "as-it-is":
    adapters.before_fork = adapters.after_fork = lambda: None
query("create table seen (number integer)")
with transaction.atomic() if left == "in-transaction" else nullcontext(), Forking(job) as bench:
    if left == "in-transaction":
        query("select * from seen")
    if how == "standing-by":
        bench.standby()
    outcome = bench.fork.perform(task_of(bench.tools, "job"))
    query("insert into seen values (1)")
print(type(outcome).__name__)
print("own" if left == "in-memory" else notes.read_text())  # a copy of what lay in memory is its own
print("intact" if query("select * from seen") == [(1,)] else "ruined")
