"""Celery: results are ignored, JSON, and BENCH_PREFETCH messages ahead for each process."""

from __future__ import annotations

import os

from celery import Celery

from benchmarks import work
from benchmarks.peers.producing import produce

app = Celery("bench", broker=f"redis://127.0.0.1:{os.environ['BENCH_PORT']}/0")
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "4")),
    broker_connection_retry_on_startup=True,
)
nothing = app.task(name="nothing")(work.nothing)
started = app.task(name="started")(work.started)

if __name__ == "__main__":
    produce(nothing.delay, started.delay)
