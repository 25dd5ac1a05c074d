"""The failure handlers `broker` and `multi_queue`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskq import plugins
from taskq.app import TaskQ
from taskq.failure_handler import Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.records import Crash, ErrorRecord, Payload
from taskq.registry import Registry
from taskq.testing.contract import FailureHandlerContract
from taskq.worker.loop import work
from taskq_failed import FailedList, FailedListPerQueue
from tests.support.bench import Bench, failed_jobs, payload

CAUSES = [ErrorRecord("ValueError", "no"), Crash(pid=1, signal=9), Crash(worker_lost=True)]


def failure(cause: ErrorRecord | Crash) -> Failure:
    return Failure(Payload("job", (1,)), payload("job", 1), "mail", "host:1:mail", cause, 1.0, 2.0)


class TestFailedList(FailureHandlerContract):
    def make_handler(self) -> FailureHandler:
        return FailedList()

    @pytest.mark.parametrize("cause", CAUSES)
    def test_decide_is_the_one_failed_list(self, cause: ErrorRecord | Crash) -> None:
        assert FailedList().decide(failure(cause)) == Fail()


class TestFailedListPerQueue(FailureHandlerContract):
    def make_handler(self) -> FailureHandler:
        return FailedListPerQueue()

    @pytest.mark.parametrize("cause", CAUSES)
    def test_decide_is_the_failed_list_of_the_queue(self, cause: ErrorRecord | Crash) -> None:
        assert FailedListPerQueue().decide(failure(cause)) == Fail(by_queue=True)


class TestOnCrash:
    """They leave it at what the job's `on_crash` says, where it says something."""

    def of(self, on_crash: Retry | Quarantine) -> Failure:
        return replace(failure(Crash(pid=1, signal=9)), on_crash=on_crash)

    @pytest.mark.parametrize("handler", [FailedList(), FailedListPerQueue()])
    def test_a_requeue_is_a_requeue(self, handler: FailureHandler) -> None:
        again = Retry(front=True, body=b"{}")
        assert handler.decide(self.of(again)) == again

    def test_a_quarantine_lies_in_the_list_that_is_theirs(self) -> None:
        poison = Quarantine("it killed its process 4 times")
        assert FailedList().decide(self.of(poison)) == poison
        assert FailedListPerQueue().decide(self.of(poison)) == replace(poison, by_queue=True)


@pytest.mark.parametrize(("name", "made"), [("broker", FailedList), ("multi_queue", FailedListPerQueue)])
def test_they_are_found_by_their_names(name: str, made: type) -> None:
    [handler] = plugins.create_all(plugins.FAILURE_HANDLERS, [name], source="a test")
    assert type(handler) is made
    assert made.name == name


def test_the_one_failed_list_is_what_an_application_has_that_says_nothing() -> None:
    app = TaskQ(broker="memory://", registry=Registry())
    assert [handler.name for handler in app.handlers] == ["broker"]


def job(value: int) -> None:
    raise ValueError(f"bad {value}")


def test_a_worker_puts_failures_where_they_say() -> None:
    for handler, queue in ((FailedList(), None), (FailedListPerQueue(), "mail")):
        bench = Bench(job, queues="mail", handlers=[handler])
        bench.push("job", 7, queue="mail")
        with bench:
            work(bench.worker)
        [failed] = failed_jobs(bench.broker, queue)
        assert (failed.error, failed.job_queue) == ("bad 7", "mail")
        assert bench.broker.failure_count(queue="mail" if queue is None else None) == 0
