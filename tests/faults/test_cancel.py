"""Cancelling: what waits is taken away, what runs is ended in every way to run jobs, and its failure says who asked."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial

import pytest

import taskq
from taskq.hook import Accepted
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

Start = Callable[..., RunningWorker]

WATCHED = {
    "fork": ["--on-crash", "requeue"],
    "children": ["--jobs-per-fork", "7", "--prefetch", "4", "--on-crash", "requeue"],
    "spawn": ["--spawn"],
}
TOLD = {"inline": ["--inline"], "threads": ["--threads", "3"], "async": ["--async", "3"]}
ID = '{"class":"%s","args":[%d,600],"taskq:id":"job%d"}'


def begun(journal: Journal, number: int) -> bool:
    return journal.counts("start")[number] > 0


def has_failed(app: taskq.TaskQ, times: int) -> bool:
    return app.failures.count() == times


def push(app: taskq.TaskQ, number: int, job: str = "numbered") -> Accepted:
    """Enqueue a job with an id, that runs for ever."""
    body = (ID % (job, number, number)).encode()
    app.broker.push("q", [body])
    return Accepted(job, "q", body)


@pytest.mark.parametrize(
    ("named", "model"),
    [("id", "fork"), ("id", "children"), ("id", "spawn"), ("worker", "children"), ("bytes", "fork")],
)
def test_one_that_runs_is_killed_and_the_next_is_performed(
    named: str, model: str, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    if named == "bytes":
        answer = fault_jobs.numbered.enqueue(1, 600)
        assert isinstance(answer, Accepted)
    else:
        answer = push(app, 1)
    app.broker.put_key("cancelled", b"somebody cancelled something an hour ago", 7200)
    running = worker("-v", *WATCHED[model])
    wait_until(lambda: journal.counts("start")[1])
    if model == "children":
        time.sleep(1.1)  # two looks, which find nothing; who comes after them must be heard all the same
    asked = time.monotonic()
    what = {"worker": running.started()} if named == "worker" else {}
    became = app.cancel(*([] if what else [answer if named == "bytes" else "job1"]), by="ada", **what)
    assert became == "stopping"
    wait_until(lambda: app.failures.count() == 1)
    took = time.monotonic() - asked
    push(app, 2)
    wait_until(lambda: journal.counts("start")[2])
    assert app.cancel("job2", by="bob") == "stopping"  # and a second one
    wait_until(lambda: app.failures.count() == 2)
    fault_jobs.numbered.enqueue(3)
    wait_until(lambda: journal.counts("end")[3])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    for failure, who in zip(app.failures.list(), ("bob", "ada"), strict=True):
        assert failure.exception == "taskq.errors.JobCancelled"
        assert failure.error.startswith(f"Cancelled by {who}; its process (pid ")
    assert took < 5  # within a second, where the machine has nothing else to do
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2, 3])
    assert (kept.failed, kept.queued, kept.ended[1]) == ([1, 2], [], 0)


@pytest.mark.parametrize("model", TOLD.values(), ids=TOLD)
def test_one_beside_others_is_told_and_they_go_on(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """As a time limit tells it: in Python's own code."""
    job = fault_jobs.awaits if "--async" in model else fault_jobs.steps
    push(app, 1, job.name)
    app.broker.put_key("cancelled", b"somebody cancelled something an hour ago", 7200)
    running = worker("-v", *model)
    for number, by in ((1, "ada"), (2, "bob")):
        if number > 1:
            push(app, number, job.name)
        wait_until(partial(begun, journal, number))
        assert app.cancel(f"job{number}", by=by) == "stopping"
        wait_until(partial(has_failed, app, number))
    fault_jobs.numbered.enqueue(3)
    wait_until(lambda: journal.counts("end")[3])
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    said = [(failure.exception, failure.error) for failure in app.failures.list()]
    assert said == [("taskq.errors.JobCancelled", f"Cancelled by {by}") for by in ("bob", "ada")]
    balance(app.broker, journal, ["q"]).assert_kept([1, 2, 3])


def test_one_that_waits_is_taken_away(app: taskq.TaskQ) -> None:
    first, second = fault_jobs.numbered.enqueue(1), fault_jobs.numbered.enqueue(1)
    push(app, 2)
    push(app, 3)
    assert isinstance(first, Accepted)
    assert app.cancel(first) == "removed"
    assert app.cancel("job2", queue="q") == "removed"
    assert isinstance(second, Accepted)
    assert app.broker.peek("q", 0, 9) == [second.payload, (ID % ("numbered", 3, 3)).encode()]
    assert app.cancel(fault_jobs.numbered.call(1)) == "removed"
    assert (app.cancel(second), app.cancel("job2"), app.cancel(worker="nobody")) == ("gone", "gone", "gone")


def test_a_word_about_one_job_is_none_about_the_next(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    push(app, 1)
    running = worker("-v")
    wait_until(lambda: journal.counts("start")[1])
    assert app.cancel("job1") == "stopping"
    wait_until(lambda: app.failures.count() == 1)
    app.failures.requeue_all()
    wait_until(lambda: journal.counts("start")[1] == 2)
    fault_jobs.numbered.enqueue(2)
    running.line("got: .*numbered", times=2)
    time.sleep(1.2)  # two looks and more: nothing is to happen
    assert app.failures.count() == 1
    running.kill()
