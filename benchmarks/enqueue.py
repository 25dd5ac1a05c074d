"""What `enqueue` costs beside its two commands alone, and `enqueue_many` beside `enqueue`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import redis

from benchmarks import jobs
from benchmarks.figures import Figure, beside
from benchmarks.processes import Bench
from taskq.app import TaskQ
from taskq.current import using

__all__ = ["enqueue"]

_SINGLE, _MANY = 1_000, 1_000  # calls, and jobs a call
_ARGS = ("person@example.com", "Sample Subject", "Email being sent from Resque")


def enqueue(bench: Bench) -> Iterator[Figure]:
    """Microseconds a job."""
    bench.clean()
    body = b'{"class":"send_email","args":["person@example.com","Sample Subject","Email being sent from Resque"]}'
    client = redis.Redis(port=bench.server.port)

    def bare() -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.sadd("resque:queues", "bench")
        pipeline.rpush("resque:queue:bench", body)
        pipeline.execute()

    def many() -> float:
        calls = _MANY * 10
        began = time.perf_counter()
        for _ in range(10):
            app.enqueue_many([jobs.send_email.call(*_ARGS) for _ in range(_MANY)])
        return 1e6 * (time.perf_counter() - began) / calls

    with TaskQ(broker=bench.server.url) as app, using(app):

        def single() -> float:
            bench.redis.delete("resque:queue:bench")
            return _each(lambda: jobs.send_email.enqueue(*_ARGS))

        single()
        assert bench.redis.lindex("resque:queue:bench", 0) == body
        yield beside(
            "enqueue", "enqueue's cost, beside bare pipelined SADD and RPUSH", single, lambda: _each(bare),
            rounds=4 * bench.rounds, goal=1.3, best="least", unit="us",
        )  # fmt: skip
        yield beside(
            "enqueue", f"enqueue_many of {_MANY:,}: jobs to one of enqueue", lambda: 1 / many(), lambda: 1 / single(),
            rounds=bench.rounds, goal=15, best="most", unit="/us",
        )  # fmt: skip
    client.close()


def _each(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(_SINGLE):
        call()
    return 1e6 * (time.perf_counter() - began) / _SINGLE
