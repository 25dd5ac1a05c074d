"""The plugin `results`: what a job returned, how it stands, and how that is waited for."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

import taskq
from taskq.errors import BrokerUnavailable, JobDefinitionError
from taskq.hook import Accepted, Deferred, Enqueued, EnqueueRequest, Vetoed
from taskq.testing.contract import HookContract
from taskq_memory import MemoryBroker
from taskq_results import (
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
from tests.plugins.stores import ON_EACH, trying

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
        app = taskq.TaskQ(broker=MemoryBroker(), hooks=["results"], registry=REGISTRY, inline=True)
        with taskq.using(app):
            assert handle(doubled.enqueue(2)).result(0) == 4
            with pytest.raises(ValueError, match="no such thing"):
                doubled.enqueue("raise")

    def test_another_serializers_result_comes_back(self) -> None:
        app = taskq.TaskQ(broker="memory://", hooks=["results"], registry=REGISTRY, serializer="msgpack", inline=True)
        with taskq.using(app):
            assert handle(doubled.enqueue(b"\xff")).result(0) == b"\xff\xff"


class TestOption:
    @pytest.mark.parametrize("said", [{"keep": 0}, {"pending": "x"}, {"max_bytes": 0}, {"keeps": 3}])
    def test_what_it_cannot_be_is_told(self, said: dict[str, Any]) -> None:
        with pytest.raises(JobDefinitionError, match=next(iter(said)).rstrip("s")):
            Results(**said)
