"""What a job can ask of its performing: in threads, on event loops, and in whatever runs in its context."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

import taskq
from taskq.errors import NotInJob
from taskq.hook import Hook, PerformContext
from taskq.outcome import Done
from taskq.performing import perform, prepare
from tests.support.bench import SideBySide, held, task_of, tools_of

seen: list[taskq.Current] = []


def looks() -> None:
    seen.append(taskq.current())


async def looks_async() -> None:
    await asyncio.sleep(0)
    seen.append(await asyncio.to_thread(taskq.current))


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize("job", [looks, looks_async])
def test_current_is_the_job_that_is_performed(job: object) -> None:
    tools = tools_of(job, timeout=None)
    body = b'{"class":"%s","args":[],"taskq:id":"7","taskq:attempts":2,"taskq:crashes":1}' % job.__name__.encode()  # type: ignore[attr-defined]
    assert isinstance(perform(prepare(held(body), tools), tools), Done)
    [one] = seen
    assert (one.job, one.queue, one.worker) == (job.__name__, "jobs", "host:1:jobs")  # type: ignore[attr-defined]
    assert (one.id, one.attempt, one.deadline, one.seconds_left) == ("7", 4, None, None)


def test_current_of_a_first_attempt() -> None:
    tools = tools_of(looks)
    perform(task_of(tools, "looks"), tools)
    assert (seen[0].attempt, seen[0].id) == (1, None)


def test_the_deadline_is_that_of_the_time_limit() -> None:
    from contextlib import nullcontext

    tools = tools_of(looks, timeout=60.0)
    before = time.monotonic()
    perform(task_of(tools, "looks"), tools, lambda seconds: nullcontext())
    deadline, left = seen[0].deadline, seen[0].seconds_left
    assert deadline is not None
    assert left is not None
    assert before + 60 <= deadline <= time.monotonic() + 60
    assert 0 < left <= 60


def test_there_is_none_outside_of_a_job() -> None:
    tools = tools_of(looks)
    perform(task_of(tools, "looks"), tools)
    with pytest.raises(NotInJob, match="this is in none"):
        taskq.current()


@pytest.mark.parametrize("model", ["threads", "async"])
def test_each_of_several_at_once_has_its_own(model: str) -> None:
    bench = SideBySide(looks, looks_async, model=model)
    for name in ("looks", "looks_async"):
        bench.push(name, times=10)
    assert not bench.works()
    assert sorted(one.job for one in seen) == ["looks"] * 10 + ["looks_async"] * 10


def test_inline_it_is_the_job_within_enqueue() -> None:
    registry = taskq.Registry()
    job = taskq.job(registry=registry)(looks)
    with taskq.using(taskq.TaskQ(broker="memory://", inline=True, registry=registry)):
        job.enqueue()
    assert (seen[0].worker, seen[0].queue) == ("inline", "default")


class Listens(Hook):
    name = "listens"

    def __init__(self) -> None:
        self.told: list[tuple[str, float, float | None]] = []

    def progressed(self, context: PerformContext, done: float, total: float | None) -> None:
        self.told.append((context.payload.job, done, total))
        if done == 3:
            raise RuntimeError("nobody's business but the log's")


def goes_on() -> None:
    for step in range(1, 5):
        taskq.progress(step, 4)
    taskq.progress(5)


def test_progress_is_told_to_hooks(caplog: pytest.LogCaptureFixture) -> None:
    hook = Listens()
    tools = tools_of(goes_on, hooks=[hook])
    assert isinstance(perform(task_of(tools, "goes_on"), tools), Done)
    assert hook.told == [("goes_on", step, 4) for step in range(1, 5)] + [("goes_on", 5, None)]
    assert "Hook listens failed in progressed." in caplog.text


def test_progress_outside_of_a_job_is_nobodys() -> None:
    taskq.progress(1, 2)


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "3", None])
def test_progress_takes_numbers(wrong: object) -> None:
    with pytest.raises(ValueError, match="numbers of at least 0") if wrong is not None else pytest.raises(TypeError):
        taskq.progress(*([] if wrong is None else [wrong]))  # type: ignore[arg-type]
