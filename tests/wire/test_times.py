"""Every time that is written, in a zone that is not UTC (33)."""

from __future__ import annotations

import json
import re
import time

import pytest
import redis

from taskq import TaskQ, failed_entry
from taskq.broker import Requeued
from taskq.envelope import decode
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord
from taskq_redis.testing import RedisServer
from tests.wire import jobs
from tests.wire.recorded import EXCEPTIONS, assert_same, left, recorded, recording, replays, while_registered
from tests.wire.test_workers import Seated
from tests.wire.workers import work_off


@replays("33")
def test_times_are_local_where_rubys_are(
    redis_server: RedisServer, client: redis.Redis, app: TaskQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    states = {name: recorded(state) for name, state in recording("33").states.items()}
    app.enqueue(jobs.Ok, 1)
    app.enqueue(jobs.Bad, 2)
    running = work_off(redis_server, TZ="Asia/Tokyo", VVERBOSE="1")
    [failed] = app.failures.list()
    assert app.failures.requeue(failed) is Requeued.DONE

    # Ruby's Failure.create and requeue with RedisMultiQueue, whose `retried_at` has no zone.
    body = b'{"class":"Ok","args":[]}'
    error = ErrorRecord(EXCEPTIONS["Boom"], "x")
    entry = failed_entry.encode(Failure(decode(body), body, "q", "w", error, 0.0, app.broker.now()))
    client.sadd("resque:failed_queues", "q_failed")
    client.rpush("resque:q_failed", entry)
    [other] = app.failures.list(queue="q")
    assert app.failures.requeue(other) is Requeued.DONE
    assert_same(left(client, running.pid), states["after"])

    seated = Seated(app, "vm:1870:jobs")
    own = while_registered(seated.id)
    assert_same(left(client, running.pid, 1870, own=own), states["registered"])
    [known] = app.workers()
    for moment in (known.started, known.heartbeat):  # read back, whatever the zone
        assert moment is not None
        assert abs(moment - time.time()) < 60

    [line] = [line for line in running.log.splitlines() if "Starting worker" in line]
    said = re.search(r"\[(.*?)\]", line)
    assert said is not None
    assert abs(time.mktime(time.strptime(said[1], "%H:%M:%S %Y-%m-%d")) - time.time()) < 120
    assert json.loads(failed.entry)["failed_at"].endswith(" JST")
