"""The plugins under `kill -9`: whoever finds a dead worker does in its place what each of them owes its job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import taskq
from taskq_redis.testing import RedisServer
from taskq_results import JobFailed, handle
from tests.support import plugin_jobs
from tests.support.journal import Journal
from tests.support.workers import RunningWorker, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

Start = Callable[..., RunningWorker]
MODULE = "tests.support.plugin_jobs:app"


@pytest.mark.parametrize("backend", ["redis", "sqlite"])
def test_a_worker_killed_with_a_job_of_each_in_its_hand(
    backend: str, worker: Start, server: RedisServer, journal: Journal, tmp_path: Path
) -> None:
    url = server.url if backend == "redis" else f"sqlite:///{tmp_path / 'jobs.db'}"
    with plugin_jobs.application(url) as app, taskq.using(app):
        plugin_jobs.retried.enqueue()
        plugin_jobs.unique.enqueue()
        plugin_jobs.limited.enqueue(1)
        job = handle(plugin_jobs.kept.enqueue())
        victim = worker("--threads", "4", url=url, app=MODULE)
        for name in ("retried", "unique", "limited", "kept"):
            wait_until(lambda name=name: journal.counts(name), name)  # type: ignore[misc]
        assert job.state == "running"
        assert not plugin_jobs.unique.enqueue()
        plugin_jobs.limited.enqueue(2)
        victim.kill()
        journal.path.with_name(journal.path.name + ".go").touch()
        assert worker("--burst", "--inline", url=url, app=MODULE).ended() == 0

        [waits] = app.broker.scheduled(0, 0, 9)  # retried: a kill is an attempt, and its time is yet to come
        assert waits.body == b'{"class":"retried","args":[],"taskq:attempts":1}'
        assert plugin_jobs.unique.enqueue()  # its lock went with it
        assert sum(journal.counts("limited").values()) == 2  # its place was free at once, not after its lease
        with pytest.raises(JobFailed):
            job.result(timeout=0)
        assert sorted(failed.payload.job for failed in app.failures.list() if failed.payload) == [
            "kept", "limited", "unique",
        ]  # fmt: skip
