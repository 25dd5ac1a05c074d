"""A hook that calls `sys.exit`: it ends a job at most, never the worker with a job in hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import taskq
from tests.support.workers import RunningWorker

pytestmark = pytest.mark.redis
APP = "tests.support.exiting_hooks:app"


@pytest.mark.parametrize("moment", ["before_fork", "after_fork"])
def test_before_the_job_it_fails_the_job_with_what_it_said(
    moment: str, app: taskq.TaskQ, worker: Callable[..., RunningWorker]
) -> None:
    app.enqueue_to("q", "prints", "one")
    app.enqueue_to("q", "prints", "two")
    running = worker("--burst", app=APP, env={"EXITS_IN": moment})
    assert running.ended() == 0, running.log
    said = [(failure.exception, failure.error) for failure in app.failures.list(0, 9)]
    assert said == [("SystemExit", f"the hook had enough in {moment}")] * 2
    assert app.workers() == []


@pytest.mark.parametrize("moment", ["settled", "queue_empty", "flush"])
@pytest.mark.parametrize("model", [(), ("--inline",)])
def test_told_a_moment_it_is_logged_and_the_worker_goes_on(
    moment: str, model: tuple[str, ...], app: taskq.TaskQ, worker: Callable[..., RunningWorker]
) -> None:
    app.enqueue_to("q", "prints", "one")
    app.enqueue_to("q", "prints", "two")
    running = worker("--burst", *model, app=APP, env={"EXITS_IN": moment})
    assert running.ended() == 0, running.log
    assert {"one\n", "two\n", f"Hook exits failed in {moment}.\n"} <= set(running.output)
    assert app.info()["processed"] == 2
    assert app.info()["failed"] == 0
    assert app.workers() == []
