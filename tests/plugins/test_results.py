"""The plugin `results`: what a job returned, how it stands, and how that is waited for."""

from __future__ import annotations

import asyncio
import itertools
import json
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

import taskq
from taskq import envelope
from taskq.errors import BrokerUnavailable, JobDefinitionError
from taskq.failure_handler import Retry
from taskq.hook import Accepted, Deferred, Enqueued, EnqueueRequest, PerformContext, Settled, Vetoed
from taskq.records import Crash, Reservation
from taskq.testing import Queue
from taskq.testing.contract import HookContract
from taskq.testing.contract.alongside import side_by_side
from taskq_memory import MemoryBroker
from taskq_results import (
    Handle,
    JobFailed,
    Kept,
    Progress,
    Results,
    ResultsHook,
    ResultTimeout,
    ResultUnavailable,
    handle,
    hook,
)
from taskq_results.record import Record
from tests.plugins.stores import ON_EACH, trying, within_transaction

REGISTRY = taskq.Registry()
WITHIN: list[Callable[[], object]] = []


class TestResultsHook(HookContract):
    job_options: ClassVar[Mapping[str, object]] = {"results": Results()}

    def make_hook(self) -> ResultsHook:
        return ResultsHook().bound(taskq.TaskQ(broker=MemoryBroker()))


@taskq.job(queue="q", registry=REGISTRY, results=Results(max_bytes=2000))
def doubled(value: Any) -> object:
    for call in WITHIN:
        call()
    if value == "raise":
        raise ValueError("no such thing: hunter2")
    return value * 2 if value != "a set" else {1}


@taskq.job(queue="q", registry=REGISTRY, results=Results(), secret=["token"])
async def checked(token: str) -> str:
    await asyncio.sleep(0)
    if token == "hunter2":
        raise ValueError(token)
    return f"{len(token)}"


@taskq.job(queue="q", registry=REGISTRY, results=Results())
def paired() -> object:
    return 1, {"a": [2, (3,)]}


@taskq.job(queue="q", registry=REGISTRY)
def plain(value: int) -> int:
    return value


@pytest.fixture(autouse=True)
def nothing_within() -> None:
    WITHIN.clear()


def application(backend: str, **settings: Any) -> Any:
    return trying(backend, REGISTRY, hooks=["results"], **settings)


@ON_EACH
class TestResult:
    @pytest.mark.parametrize("value", [3, "x", [1, None], {}, 1.5, True])
    def test_is_what_perform_returned(self, backend: str, value: Any) -> None:
        with application(backend) as queue:
            kept: Any = doubled.enqueue([value])
            assert kept.state == "queued"
            queue.perform_all()
            assert (kept.state, kept.result(timeout=5)) == ("done", [value, value])
            assert handle(kept.id).result(0) == [value, value]

    def test_of_an_async_job(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(checked.enqueue("abc"))
            queue.perform_all()
            assert asyncio.run(kept.aresult(5)) == "3"

    def test_a_failure_is_raised_without_its_secrets(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(checked.enqueue("hunter2"))
            queue.perform_all(collect=True)
            with pytest.raises(JobFailed) as raised:
                kept.result(timeout=5)
            assert (raised.value.type, raised.value.message) == ("ValueError", "[secret]")
            assert kept.state == "failed"

    @pytest.mark.parametrize("lost", ["worker", "child"])
    def test_a_killed_job_has_failed(self, backend: str, lost: Any) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue(1))
            queue.crash(doubled, lost=lost, at="start")
            with pytest.raises(JobFailed, match="Resque::DirtyExit"):
                kept.result(timeout=5)

    def test_one_that_is_performed_again_is_queued(self, backend: str) -> None:
        with application(backend, on_crash="requeue") as queue:
            kept = handle(doubled.enqueue(1))
            queue.crash(doubled, lost="child")
            assert kept.state == "queued"
            queue.perform_all()
            assert kept.result(0) == 2

    def test_is_waited_for(self, backend: str) -> None:
        with application(backend) as queue:
            kept, found = handle(doubled.enqueue(21)), []
            waits = threading.Thread(target=lambda: found.append(kept.result(timeout=30)))
            waits.start()
            queue.perform_all()
            waits.join(30)
            assert found == [42]

    def test_the_wait_has_an_end(self, backend: str) -> None:
        with application(backend):
            kept = handle(doubled.enqueue(1))
            with pytest.raises(ResultTimeout, match=r"has not ended within 0\.05 s; it is queued") as raised:
                kept.result(timeout=0.05)
            assert isinstance(raised.value, TimeoutError)

    def test_progress_is_seen_while_it_runs(self, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hook, "_PACE", 60.0)
        with application(backend) as queue:
            kept, seen = handle(doubled.enqueue(1)), []
            WITHIN.extend([
                lambda: seen.append((kept.state, kept.progress)),
                lambda: taskq.progress(1, 4),
                lambda: taskq.progress(2, 4),  # too soon after the other to be noted
                lambda: seen.append((kept.state, kept.progress)),
                lambda: taskq.progress(4, 4),
                lambda: seen.append((kept.state, kept.progress)),
            ])  # fmt: skip
            queue.perform_all()
            assert seen == [("running", None), ("running", Progress(1, 4)), ("running", Progress(4, 4))]
            assert kept.progress is None

    def test_one_that_is_requeued_is_queued_again(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue("raise"))
            queue.perform_all(collect=True)
            assert states(kept) == "failed"
            [failed] = queue.app.failures.list()
            queue.app.failures.requeue_each([failed])
            assert states(kept) == "queued"
            with pytest.raises(ResultTimeout):
                kept.result(0)
            queue.perform_all(collect=True)
            assert kept.state == "failed"

    def test_a_second_requeue_changes_nothing_of_what_came_of_the_first(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue([]))
            WITHIN.append(lambda: raises(OSError())(None))  # type: ignore[arg-type]
            queue.perform_all(collect=True)
            failures = queue.app.failures
            [failed] = failures.list()
            assert failures.requeue(failed).value == "requeued"
            assert failures.requeue(failed).value == "already retried"
            assert states(kept) == "queued"
            WITHIN.clear()
            queue.perform_all()
            assert failures.requeue(failed).value == "already retried"
            assert failures.requeue_each([failed]).already == 1
            assert (states(kept), kept.result(0)) == ("done", [])
            failures.clear()
            assert failures.requeue(failed).value == "gone"
            assert (states(kept), kept.result(0)) == ("done", [])

    def test_one_that_waits_and_whose_entry_is_gone_is_queued(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue("raise"))
            queue.perform_all(collect=True)
            failures = queue.app.failures
            [failed] = failures.list()
            assert failures.requeue(failed).value == "requeued"
            failures.clear()
            assert failures.requeue(failed).value == "gone"
            assert states(kept) == "queued"

    def test_of_two_who_requeue_all_at_once_each_job_is_queued(self, backend: str) -> None:
        with application(backend) as queue:
            each = [handle(doubled.enqueue("raise")) for _ in range(30)]
            queue.perform_all(collect=True)
            requeue_all = queue.app.failures.requeue_all
            assert sum(side_by_side(requeue_all, requeue_all)) == 30
            assert {states(kept) for kept in each} == {"queued"}
            queue.perform_all(collect=True)
            assert {states(kept) for kept in each} == {"failed"}

    @pytest.mark.parametrize("wins", [None, 0, 1, 2])
    def test_the_last_who_requeued_it_in_vain_puts_back_what_was_there(self, backend: str, wins: int | None) -> None:
        with application(backend) as queue:
            hook, broker = queue.app.hooks.hooks[-1], queue.app.broker
            kept = handle(doubled.enqueue("raise"))
            [body] = broker.peek("q", 0, 1)
            queue.perform_all(collect=True)
            for order in itertools.permutations(range(3)):
                before = broker.get_key(f"result:{kept.id}")
                undoing = [hook.requeueing("q", body) for _ in range(3)]
                for place in order:
                    if place != wins:
                        undoing[place]()
                assert states(kept) == ("failed" if wins is None else "queued")
                if wins is not None:
                    undoing[wins]()
                assert broker.get_key(f"result:{kept.id}") == before
                assert 3000 < broker.take_key([f"result:{kept.id}"], b"", 1.0).left <= 3600
            for _ in range(100):
                hook.requeueing("q", body)
            assert len(broker.get_key(f"result:{kept.id}") or b"") < 500

    def test_one_whose_worker_died_is_gone_where_nobody_noted_that(self, backend: str) -> None:
        with application(backend) as queue:
            broker = queue.app.broker
            kept = handle(doubled.enqueue(1))
            held = "host:17:q", "0123456789abcdef:0001"
            running = Record("running", run=held[1], worker=held[0])
            broker.put_key(f"result:{kept.id}", running.dump(), 60.0)
            assert kept.state == "gone"

    def test_one_that_is_removed_has_failed(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue(1))
            assert queue.app.remove_queue("q") == 1
            assert kept.state == "failed"

    def test_a_cancelled_one_has_failed(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue(1))
            assert kept.cancel() == "removed"
            assert queue.app.size("q") == 0
            with pytest.raises(JobFailed, match="it was cancelled before it began"):
                kept.result(timeout=1)
            assert kept.cancel() == "gone"

    def test_a_cancelled_delayed_one_too(self, backend: str) -> None:
        with application(backend) as queue:
            kept = handle(doubled.enqueue_in(1000, 1))
            assert kept.state == "queued"
            assert kept.cancel() == "removed"
            assert queue.app.broker.next_due() is None


class TestLate:
    """Who notes something may be late: the job may have been taken from him, and performed again since."""

    def test_a_retry_that_is_told_when_the_job_is_done_changes_nothing(self) -> None:
        with application("memory") as queue:
            hook = queue.app.hooks.hooks[-1]
            kept = handle(doubled.enqueue(1))
            first, second = (context_of(queue, number) for number in (1, 2))
            with pytest.raises(OSError):
                hook.wrap_perform(first, raises(OSError()))
            assert hook.wrap_perform(second, lambda context: 2) == 2
            hook.settled(Settled(first.reservation, "retried", decision=Retry(), context=first))
            assert (kept.state, kept.result(0)) == ("done", 2)
            hook.settled(Settled(first.reservation, "failed", Crash(), context=first))
            assert kept.state == "done"

    @pytest.mark.parametrize(("outcome", "state"), [("failed", "failed"), ("retried", "queued")])
    def test_a_job_that_was_taken_from_its_worker_is_not_done(self, outcome: Any, state: str) -> None:
        with application("memory") as queue:
            hook, finder = queue.app.hooks.hooks[-1], ResultsHook().bound(queue.app)
            kept = handle(doubled.enqueue(1))
            lost = context_of(queue, 1)

            def stands_still(context: PerformContext) -> object:
                hook.progressed(context, 1, 2)
                finder.settled(Settled(lost.reservation, outcome, Crash(), Retry(), context=lost))
                assert kept.state == state
                hook.progressed(context, 2, 2)
                return 2

            hook.wrap_perform(lost, stands_still)
            assert kept.state == state

    def test_what_was_postponed_stays_queued(self) -> None:
        with application("memory") as queue:
            hook = queue.app.hooks.hooks[-1]
            kept = handle(doubled.enqueue(1))
            held = context_of(queue, 1)
            hook.settled(Settled(held.reservation, "postponed", decision=Retry(at=queue.app.broker.now() + 5)))
            assert states(kept) == "queued"
            hook.wrap_perform(context_of(queue, 2), lambda context: 2)
            assert states(kept) == "done"


def states(kept: Handle) -> str:
    return kept.state  # for it is another one each time, which no type checker takes into account


def context_of(queue: Queue, number: int) -> PerformContext:
    """The job that waits, as a worker's so-many-th."""
    [body] = queue.app.broker.peek("q", 0, 2)
    held = Reservation(f"host:{number}:q", "q", body, f"0123456789abcdef:{number:04d}", 0.0)
    return PerformContext(envelope.decode(body), held, doubled.definition.options, ())


def raises(error: Exception) -> Callable[[PerformContext], object]:
    def call(context: PerformContext) -> object:
        raise error

    return call


class TestHandle:
    def test_a_wait_that_is_given_up_holds_up_nobody(self) -> None:
        async def wait(kept: Any) -> None:
            await asyncio.wait_for(kept.aresult(60), 0.01)

        with application("memory"):
            kept = handle(doubled.enqueue(1))
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                asyncio.run(wait(kept))
            assert time.monotonic() - began < 30

    @pytest.mark.parametrize("timeout", [0, -1])
    def test_no_time_to_wait_is_none(self, timeout: float) -> None:
        with application("memory"), pytest.raises(ResultTimeout, match="within 0 s"):
            handle(doubled.enqueue(1)).result(timeout)

    def test_a_time_that_is_none_is_told(self) -> None:
        with application("memory"), pytest.raises(ValueError, match="not nan"):
            handle(doubled.enqueue(1)).result(float("nan"))

    def test_goes_through_a_pickle(self) -> None:
        with application("memory") as queue:
            kept: Any = doubled.enqueue(1)
            queue.perform_all()
            for one in (kept, handle(kept), kept._replace(queue="other")):
                assert one.result(0) == 2
                assert pickle.loads(pickle.dumps(one)).result(0) == 2


class TestWithinATransaction:
    @pytest.mark.parametrize("commits", [True, False])
    def test_it_is_kept_with_it_or_not_at_all(self, tmp_path: Path, commits: bool) -> None:
        with within_transaction("results", REGISTRY, tmp_path) as (app, connection):
            kept = handle(doubled.options(connection=connection).enqueue(1))
            connection.execute("COMMIT" if commits else "ROLLBACK")
            assert (app.size("q"), kept.state) == ((1, "queued") if commits else (0, "gone"))


class TestPayload:
    def test_has_an_id_only_where_a_result_is_asked_for(self) -> None:
        with application("memory") as queue:
            plain.enqueue(1)
            one = plain.options(results=Results()).enqueue(1)
            assert isinstance(one, Kept)
            first, second = queue.app.broker.peek("q", 0, 9)
            assert first == b'{"class":"plain","args":[1]}'
            assert json.loads(second) == {"class": "plain", "args": [1], "taskq:id": one.id}
            queue.perform_all()
            assert handle(one).result(0) == 1

    def test_each_has_its_own(self) -> None:
        with application("memory"):
            assert len({handle(doubled.enqueue(1)).id for _ in range(50)}) == 50


class TestWhatIsNotKept:
    def test_what_the_serializer_cannot_carry(self) -> None:
        with application("memory") as queue:
            kept = handle(doubled.enqueue("a set"))
            queue.perform_all()
            assert kept.state == "done"
            with pytest.raises(ResultUnavailable, match="it returned a value of type set, which JSON has not"):
                kept.result(0)

    def test_a_tuple_is_kept_as_a_list(self) -> None:
        with application("memory") as queue:
            kept = handle(paired.enqueue())
            queue.perform_all()
            assert kept.result(0) == [1, {"a": [2, [3]]}]

    def test_what_is_too_much(self) -> None:
        with application("memory") as queue:
            kept = handle(doubled.enqueue("x" * 1000))
            queue.perform_all()
            with pytest.raises(ResultUnavailable, match=r"takes 2,004 bytes, more than 2,000"):
                kept.result(0)

    def test_what_nobody_asked_for(self) -> None:
        with application("memory"):
            with pytest.raises(ValueError, match=r"no id: say @taskq\.job"):
                handle(plain.enqueue(1))
            unknown = handle("nobody")
            assert (unknown.state, unknown.progress) == ("gone", None)
            with pytest.raises(ResultUnavailable, match="nothing is known of it"):
                unknown.result(0)

    def test_what_was_not_enqueued(self) -> None:
        with pytest.raises(ValueError, match="send was not enqueued: limit said no"):
            handle(Vetoed("send", "limit", "too many"))
        with pytest.raises(ValueError, match="is not enqueued yet"):
            handle(Deferred("send", "commit", "it waits"))
        with taskq.TaskQ(broker="memory://") as app:
            instead = Accepted("send", "q", b'{"class":"send","args":[],"taskq:id":"7"}')
            assert handle(Vetoed("send", "unique", "there is one", instead), app).id == "7"

    @pytest.mark.parametrize("kept", [b"", b"\xff", b"[]", b"{}", b'{"state":"lost"}', b'{"state":"done","error":1}'])
    def test_what_is_no_record(self, kept: bytes) -> None:
        assert Record.load(kept) is None


class TestEnqueueing:
    @pytest.mark.parametrize("sent", ["no", "unknown"])
    def test_what_could_not_be_pushed_is_gone(self, sent: Any) -> None:
        broker = MemoryBroker()
        hook = ResultsHook().bound(taskq.TaskQ(broker=broker))
        asked: list[str] = []

        def away(request: EnqueueRequest) -> Enqueued:
            asked.append(str(request.extra["taskq:id"]))
            raise BrokerUnavailable("x", "y", sent=sent)

        with pytest.raises(BrokerUnavailable):
            hook.wrap_enqueue(EnqueueRequest("job", (1,), "q", options={"results": Results()}), away)
        assert (broker.get_key(f"result:{asked[0]}") is None) is (sent == "no")

    def test_inline_it_is_there_at_once(self) -> None:
        with application("memory", mode="inline"):
            assert handle(doubled.enqueue(2)).result(0) == 4
            with pytest.raises(ValueError, match="no such thing"):
                doubled.enqueue("raise")

    def test_another_serializers_result_comes_back(self) -> None:
        with application("memory", mode="inline", serializer="msgpack"):
            assert handle(doubled.enqueue(b"\xff")).result(0) == b"\xff\xff"


class TestOption:
    @pytest.mark.parametrize("said", [{"keep": 0}, {"keep": 1e12}, {"pending": "x"}, {"max_bytes": 0}, {"keeps": 3}])
    def test_what_it_cannot_be_is_told(self, said: dict[str, Any]) -> None:
        with pytest.raises(JobDefinitionError, match=next(iter(said)).rstrip("s")):
            Results(**said)
