"""`--burst` ends when nothing is left, and says what it leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import taskq
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker

pytestmark = pytest.mark.redis


def test_a_queue_that_a_job_makes_is_served_too(
    app: taskq.TaskQ, worker: Callable[..., RunningWorker], journal: Journal
) -> None:
    fault_jobs.spreads.enqueue(1, "never seen before")
    assert worker("--burst", "--queue", "*").ended() == 0
    kept = balance(app.broker, journal, app.queues())
    kept.assert_kept([1, 2])
    assert kept.queued == []


@pytest.mark.parametrize("queue", [None, "q"], ids=["all", "one queue"])
def test_what_is_paused_is_left_and_said(
    queue: str | None, app: taskq.TaskQ, worker: Callable[..., RunningWorker]
) -> None:
    fault_jobs.numbered.enqueue(1)
    app.pause(queue)
    running = worker("--burst")
    assert running.ended() == 0
    assert "Paused, and left as it is: q (1)." in running.log
    assert app.size("q") == 1
