"""The dashboard over a million failures and a million waiting jobs: how long each page takes, and what it holds.

The pages are made in a process of their own, so that its memory is that of the dashboard alone:
`python -m benchmarks.dashboard URL` prints what it measured.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.figures import Figure
from benchmarks.processes import Bench
from taskq import failed_entry
from taskq.app import TaskQ
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord

__all__ = ["dashboard"]

_MANY: Final = 1_000_000
_PUSHED: Final = 10_000  # in one command
_TIMES: Final = 15
_KINDS: Final = 40
_BACKTRACE: Final = tuple(f"/app/shop/billing.py:{line}:in 'charge_the_card_of'" for line in range(8))


def dashboard(bench: Bench) -> Iterator[Figure]:
    """Milliseconds in which the server answers, the median; megabytes that it holds at the end."""
    bench.clean()
    _fill(bench)
    command = [sys.executable, "-m", "benchmarks.dashboard", bench.server.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    for name, times in said["ms"].items():
        told = f"{_MANY:,} failures and jobs, {len(times)} times, longest {max(times):.1f} ms"
        yield Figure("dashboard", name, statistics.median(times), "ms", 50, "least", told, {"ms": times})
    yield Figure("dashboard", "memory at the end", said["mb"], "MB", 100, "least", "resident, at most")
    bench.clean()


def _fill(bench: Bench) -> None:
    for begin in range(0, _MANY, _PUSHED):
        entries, bodies = [], []
        for number in range(begin, begin + _PUSHED):
            body = b'{"class":"Billing::Charge","args":["person@example.com",%d]}' % number
            entries.append(_entry(number % _KINDS).replace(b"NUMBER", b"%d" % number))
            bodies.append(body)
        bench.redis.rpush("resque:failed", *entries)
        bench.redis.rpush("resque:queue:billing", *bodies)
    bench.redis.sadd("resque:queues", "billing")


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

    with TaskQ(broker=url) as app:
        client = Client(Dashboard(app, access=everybody))
        page = app.failures.page()
        failure = {"id": app.failures.id_of(page.jobs[0], digits=16)}
        group = app.failures.groups().groups[-1].key
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
            "queues": "/queues",
            "a queue": "/queue?name=billing",
            "workers": "/workers",
            "stats": "/stats",
            "keys": "/stats/keys",
            "the key of the failed list": "/stats/key?key=resque:failed",
            "stats.json": "/stats.json",
            "metrics": "/metrics",
        }
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
