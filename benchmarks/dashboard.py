"""The dashboard over a million each of failures, waiting and delayed jobs: how long each page takes, and what it holds.

Once on Redis, once on a file of SQLite, which are filled alike.

The pages are made in a process of their own, so that its memory is that of the dashboard alone:
`python -m benchmarks.dashboard URL` prints what it measured.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks.figures import Figure
from benchmarks.processes import ROOT, Bench
from taskq import failed_entry
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.failure_handler import Failure
from taskq.plugins import open_broker
from taskq.records import ErrorRecord, ProcessIdentity, Registration, Tokens

__all__ = ["dashboard"]

_MANY: Final = 1_000_000
_PUSHED: Final = 10_000  # in one command
_TIMES: Final = 15
_THEN: Final = 4_000_000_000.0
_AT_ONE_TIME: Final = 500_000  # of the delayed jobs; the others wait for a time a hundred
_A_TIME: Final = 100
_KINDS: Final = 40
_BACKTRACE: Final = tuple(f"/app/shop/billing.py:{line}:in 'charge_the_card_of'" for line in range(8))


def dashboard(bench: Bench) -> Iterator[Figure]:
    """On Redis: milliseconds in which the server answers, the median; megabytes that it holds at the end."""
    bench.clean()
    with contextlib.closing(open_broker(bench.server.url)) as broker:
        _fill(broker, lambda entries: bench.redis.rpush("resque:failed", *entries))
    yield from _figures("dashboard", bench.server.url)
    bench.clean()


def dashboard_sqlite(bench: Bench) -> Iterator[Figure]:
    """The same on a file of SQLite."""
    path = bench.notes.parent / "dashboard.db"
    url = f"sqlite:///{path}"
    try:
        with contextlib.closing(open_broker(url)) as broker, contextlib.closing(sqlite3.connect(path)) as file:
            _fill(broker, lambda entries: _put(file, entries))
        yield from _figures("dashboard-sqlite", url)
    finally:
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)


def _figures(row: str, url: str) -> Iterator[Figure]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dashboard", url], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    for name, times in said["ms"].items():
        told = f"{_MANY:,} failures, jobs and delayed jobs, {len(times)} times, longest {max(times):.1f} ms"
        yield Figure(row, name, statistics.median(times), "ms", 50, "least", told, {"ms": times})
    yield Figure(row, "memory at the end", said["mb"], "MB", 100, "least", "resident, at most")


def _fill(broker: Broker, fail: Callable[[Sequence[bytes]], object]) -> None:
    """A million of each. No broker appends to a failed list by the thousand, so that is told to the store itself."""
    for begin in range(0, _MANY, _PUSHED):
        numbers = range(begin, begin + _PUSHED)
        broker.push("billing", [_job(number) for number in numbers])
        fail([_entry(number % _KINDS).replace(b"NUMBER", b"%d" % number) for number in numbers])
    for begin in range(0, _AT_ONE_TIME, _PUSHED):
        broker.schedule(_THEN, "billing", [_job(number) for number in range(begin, begin + _PUSHED)])
    for begin in range(_AT_ONE_TIME, _MANY, _A_TIME):
        broker.schedule(_THEN + begin, "billing", [_job(begin + number) for number in range(_A_TIME)])


def _put(file: sqlite3.Connection, entries: Sequence[bytes]) -> None:
    with file:
        file.executemany("INSERT INTO taskq_failed (queue, entry) VALUES (NULL, ?)", [(entry,) for entry in entries])
        file.execute(
            "INSERT INTO taskq_failed_lists (name, count) VALUES ('c', ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            (len(entries),),
        )


def _job(number: int) -> bytes:
    return b'{"class":"Billing::Charge","args":["person@example.com",%d]}' % number


def _entry(kind: int, made: dict[int, bytes] = {}) -> bytes:  # noqa: B006 - each is made once
    if kind not in made:
        error = ErrorRecord(f"shop.errors.Error{kind}", f"Card NUMBER was declined for reason {kind}.", _BACKTRACE)
        body = b'{"class":"Billing::Charge","args":["person@example.com","NUMBER"]}'
        made[kind] = failed_entry.encode(Failure(None, body, "billing", "host:1:billing", error, 1.7e9, 1.7e9))
    return made[kind]


def _measure(url: str) -> None:
    """What `dashboard` reads: each page asked for again and again, in this process."""
    from werkzeug.test import Client

    from taskq_web import Dashboard, everybody
    from taskq_web.parameters import address
    from taskq_web.routes import ROUTES

    with TaskQ(broker=url) as app:
        client = Client(Dashboard(app, access=everybody))
        worker = "bench:1:billing"
        process = ProcessIdentity("bench", "boot", "ns", 1, "1")
        app.broker.register(Registration(worker, process, 25.0, 5.0, Tokens().process))
        app.broker.put_schedule("charge", b'{"class":"Billing::Charge","every":"1h"}')
        delayed = app.delayed.list(18).next
        assert delayed is not None
        page = app.failures.page()
        failure = {"id": app.failures.id_of(page.jobs[0], digits=16)}
        group = app.failures.groups().groups[-1].key
        waiting = app.operator.queue_page("billing").next
        keys = app.operator.can_show_keys()
        job = re.findall('times=([^"&]+)', client.get("/delayed").text)[3]
        pages = {
            "overview": "/",
            "working": "/working",
            "failed, the newest": "/failed",
            "failed, further": address("", "/failed", {"cursor": page.older}),
            "failed, a class that all have": "/failed?class=Billing::Charge",
            "failed, an exception that few have": "/failed?exception=Error7",
            "failed, a text that none has": "/failed?text=nowhere",
            "failed, a group": address("", "/failed", {"group": group}),
            "one failure": address("", "/failure", failure),
            "edit": address("", "/failure/edit", failure),
            "all that match, counted": "/failed/all?do=retry&exception=Error7",
            "queues": "/queues",
            "a queue": "/queue?name=billing",
            "a queue, further": address("", "/queue", {"name": "billing", "cursor": waiting}),
            "workers": "/workers",
            "a worker": address("", "/worker", {"id": worker}),
            "the dead": "/workers/prune",
            "schedule": "/schedule",
            "delayed": "/delayed",
            "delayed, further": address("", "/delayed", {"since": repr(delayed.since), "skip": delayed.skip}),
            "delayed, from a time on": "/delayed?from=2096-10-02T09:00:00Z",
            "delayed, those of one time": address("", "/delayed", {"at": repr(_THEN), "skip": 250_000}),
            "delayed, all times of a job": address("", "/delayed", {"times": job}),
            "delayed, all counted": "/delayed/all",
            "enqueue": "/enqueue?foreign=1",
            "stats": "/stats",
            "stats.txt": "/stats.txt",
            **({"keys": "/stats/keys", "the key of the failed list": "/stats/key?key=resque:failed"} if keys else {}),
            "stats.json": "/stats.json",
            "metrics": "/metrics",
        }
        all_pages = {one.path for one in ROUTES if one.method == "GET" and (keys or "/key" not in one.path)}
        assert {path.partition("?")[0] for path in pages.values()} == all_pages
        found: dict[str, list[float]] = {}
        for name, path in pages.items():
            times = found[name] = []
            for _ in range(_TIMES):
                began = time.perf_counter()
                answer = client.get(path)
                times.append(1000 * (time.perf_counter() - began))
                assert answer.status_code == 200, (path, answer.text)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"ms": found, "mb": most}))


if __name__ == "__main__":
    _measure(sys.argv[1])
