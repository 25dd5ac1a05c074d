"""taskq, as its peers are measured."""

from __future__ import annotations

import taskq
from benchmarks import jobs
from benchmarks.peers.producing import produce

if __name__ == "__main__":
    produce(
        jobs.nothing.enqueue,
        jobs.started.enqueue,
        bulk=lambda calls: taskq.enqueue_many([jobs.nothing.call(*each) for each in calls]),
    )
