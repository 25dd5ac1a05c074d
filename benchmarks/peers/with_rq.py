"""RQ: results are not kept, as its documentation advises for throughput."""

from __future__ import annotations

import os

from redis import Redis
from rq import Queue

from benchmarks import work
from benchmarks.peers.producing import produce

queue = Queue("bench", connection=Redis(port=int(os.environ["BENCH_PORT"])))

if __name__ == "__main__":
    produce(
        lambda number, last: queue.enqueue(work.nothing, number, last, result_ttl=0),
        lambda pushed: queue.enqueue(work.started, pushed, result_ttl=0),
        bulk=lambda calls: queue.enqueue_many(
            [Queue.prepare_data(work.nothing, args=each, result_ttl=0) for each in calls]
        ),
    )
