"""What `enqueue` costs beside its two commands alone, and `enqueue_many` beside `enqueue`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import redis

from benchmarks import jobs
from benchmarks.figures import Figure, beside
from benchmarks.processes import Bench
from taskq.app import TaskQ
from taskq.application import using

__all__ = ["enqueue"]

_SINGLE, _MANY, _TRIES = 100, 1_000, 5  # calls one at a time; jobs a call; measurements of which the best counts
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

    with TaskQ(broker=bench.server.url) as app, using(app):

        def single() -> float:
            bench.redis.delete("resque:queue:bench")
            return _best(lambda: jobs.send_email.enqueue(*_ARGS), _SINGLE)

        def many() -> float:
            bench.redis.delete("resque:queue:bench")
            return _best(lambda: app.enqueue_many([jobs.send_email.call(*_ARGS) for _ in range(_MANY)]), 1) / _MANY

        single()
        assert bench.redis.lindex("resque:queue:bench", 0) == body
        yield beside(
            "enqueue", "enqueue's cost, beside bare pipelined SADD and RPUSH", single, lambda: _best(bare, _SINGLE),
            rounds=10 * bench.rounds, goal=1.3, best="least", unit="us",
        )  # fmt: skip
        many()
        yield beside(
            "enqueue", f"enqueue_many of {_MANY:,}: jobs to one of enqueue", lambda: 1 / many(), lambda: 1 / single(),
            rounds=10 * bench.rounds, goal=30, best="most", unit="/us",
        )  # fmt: skip
    client.close()


def _best(call: Callable[[], object], times: int) -> float:
    """Microseconds of each of so many calls, in the best of a few tries.

    A call waits for Redis at most of its time, a batch works at most of its: a neighbour takes more from the one than
    from the other. The best try is the one that it took least from.
    """
    tries = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        for _ in range(times):
            call()
        tries.append(1e6 * (time.perf_counter() - began) / times)
    return min(tries)
