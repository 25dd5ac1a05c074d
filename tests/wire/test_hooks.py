"""The moments of a worker's life, and an exception at each (58)."""

from __future__ import annotations

import pytest
import redis

from taskq import TaskQ
from taskq_redis.testing import RedisServer
from tests.wire import jobs
from tests.wire.recorded import assert_same, left, recorded, recording, replays
from tests.wire.test_signals import outcome
from tests.wire.workers import printed, work_off, worker

HOOKED = "tests.wire.hooked:app"


@replays("58")
def test_moments_come_in_rubys_order_and_process(redis_server: RedisServer, app: TaskQ) -> None:
    app.enqueue(jobs.Ok, 1)
    app.enqueue(jobs.Bad, 2)
    running = work_off(redis_server, app=HOOKED)
    assert printed(running) == recording("58").output[:8]


RAISED = {
    # Ruby's worker ends by itself, which looks like an end in order; taskq's says that it failed.
    "before_first_fork": (1, None),
    # Ruby counts nothing and ends; taskq counts the failed job and goes on.
    "before_fork": (0, ["1", "1"]),
    "after_fork": (0, None),
    # Ruby's worker ends; taskq's says it in its log.
    "queue_empty": (0, None),
    # Ruby's raises out of `work`; taskq's says it in its log.
    "worker_exit": (0, None),
}
"""The exit status where a hook raises at a moment, and the statistics where they are not Ruby's."""


@replays("58")
@pytest.mark.parametrize("moment", RAISED)
def test_an_exception_in_a_hook(moment: str, redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    status, stats = RAISED[moment]
    app.enqueue(jobs.Ok, 1)
    with worker(redis_server, app=HOOKED, INTERVAL="0", WIRE_RAISES=moment) as running:
        assert running.ended() == status, running.log
    _, queue, *told, _, workers, _, counted = recording("58").returned[f"after it: {moment}"]
    assert [job.body.decode() for job in app.peek("jobs", 0, 9)] == queue
    assert outcome(app, client) == [*told, "stats", counted if stats is None else stats]
    assert len(app.workers()) == workers
    if moment != "before_fork":
        assert f"hook {moment}" in running.log or told != ["failed", []]
    if moment == list(RAISED)[-1]:
        assert_same(left(client, running.pid), recorded(recording("58").after))
