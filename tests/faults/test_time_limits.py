"""Jobs that go over their time limit: told first, then killed where something can kill them; the next job runs."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

import taskq
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

CHILDREN = {"fork": [], "spawn": ["--spawn"], "children": ["--jobs-per-fork", "7"]}
IN_CHILDREN = pytest.mark.parametrize("model", CHILDREN.values(), ids=CHILDREN)
MODELS = pytest.mark.parametrize("model", [*CHILDREN.values(), ["--inline"]], ids=[*CHILDREN, "inline"])


@MODELS
@pytest.mark.parametrize("how", ["lets go", "cleans up"])
def test_the_job_is_told_and_fails_with_that(
    how: str, model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.limited.enqueue(1, how)
    fault_jobs.numbered.enqueue(2)
    assert worker(*model, "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.ended[1], kept.ended[2]) == ([1], int(how == "cleans up"), 1)
    (failure,) = app.failures.list()
    assert (failure.exception, failure.error) == (
        "taskq.errors.JobTimeout",
        "The job went over its time limit of 0.2 s.",
    )
    assert "fault_jobs.py" in failure.backtrace[0]


def test_in_a_thread_it_is_told_between_two_steps_of_its_code(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.limited.enqueue(1, "spins")
    fault_jobs.limited.enqueue(2, "spins")
    fault_jobs.numbered.enqueue(3)
    running = worker("--threads", "2", "--burst")
    assert running.ended() == 0
    assert "one that does not heed it holds its worker up" in running.log
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2, 3])
    assert sorted(kept.failed) == [1, 2]
    assert {failure.error for failure in app.failures.list()} == {"The job went over its time limit of 0.2 s."}


@MODELS
def test_one_that_takes_it_and_returns_is_done(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.limited.enqueue(1, "returns")
    assert worker(*model, "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == []


@MODELS
def test_an_async_job_is_told_where_it_waits(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.limited_async.enqueue(1)
    assert worker(*model, "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert (kept.failed, kept.ended[1]) == ([1], 1)
    assert app.failures.list()[0].exception == "taskq.errors.JobTimeout"


@pytest.mark.parametrize(
    ("how", "on_crash"),
    [("ignores", "fail"), ("ignores", "requeue"), ("in C", "fail"), ("takes its own alarm", "fail")],
)
@IN_CHILDREN
def test_the_child_of_one_that_does_not_end_is_killed_and_the_job_fails_saying_so(
    how: str, model: list[str], on_crash: str, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """A failure, whatever `on_crash` says: it would only do so again."""
    fault_jobs.limited.enqueue(1, how)
    fault_jobs.numbered.enqueue(2)
    assert worker(*model, "-v", "--burst", "--timeout-grace", "0.3", "--on-crash", on_crash).ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.ended[2]) == ([1], 1)
    (failure,) = app.failures.list()
    assert failure.exception == "taskq.errors.JobTimeout"
    assert failure.error.startswith(
        "The job went over its time limit of 0.2 s and did not end when told to; its process (pid "
    )
    assert failure.quarantined == ""


def test_inline_one_that_goes_on_is_told_again_after_each_grace(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.limited.enqueue(1, "ignores")
    running = worker("--inline", "--timeout-grace", "0.1", "--shutdown-timeout", "0")
    running.line("one that does not heed it holds its worker up")
    wait_until(lambda: journal.counts("heard")[1] >= 3)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]
