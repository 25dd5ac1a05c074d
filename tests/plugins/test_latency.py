"""The plugin `latency`: jobs say since when they wait, where that is asked for."""

from __future__ import annotations

import json

import pytest

import taskq
from taskq.testing.contract import HookContract
from taskq_latency import LatencyHook
from taskq_memory import MemoryBroker

REGISTRY = taskq.Registry()


class TestLatencyHook(HookContract):
    def make_hook(self) -> LatencyHook:
        return LatencyHook().bound(taskq.TaskQ(broker=MemoryBroker()))


@taskq.job(queue="q", registry=REGISTRY)
def plain(number: int) -> None: ...


def test_it_is_known_how_long_the_oldest_job_waits() -> None:
    with taskq.TaskQ(broker="memory://", hooks=["latency"], registry=REGISTRY) as app:
        before = app.broker.now()
        app.enqueue(plain, 1)
        [body] = app.broker.peek("q", 0, 1)
        assert list(json.loads(body)) == ["class", "args", "enqueued_at"]
        assert before - 0.001 <= json.loads(body)["enqueued_at"] <= app.broker.now() + 0.001
        [queue] = app.operator.queues()
        assert queue.oldest is not None
        assert app.dequeue(plain, 1) == 1


def test_a_delayed_job_waits_from_its_time_on() -> None:
    with taskq.TaskQ(broker="memory://", hooks=["latency"], registry=REGISTRY) as app:
        app.options(delay=500).enqueue(plain, 1)
        [job] = app.delayed.list().jobs
        assert abs(json.loads(job.body)["enqueued_at"] - job.at) <= 1  # a time is written in whole seconds


@pytest.mark.parametrize("hooks", [[], ["latency"]])
def test_unasked_a_payload_is_resques_own(hooks: list[str]) -> None:
    with taskq.TaskQ(broker="memory://", hooks=hooks, registry=REGISTRY) as app:
        call = app.options(latency=False) if hooks else app
        call.enqueue(plain, 1)
        assert [*app.broker.peek("q", 0, 1)] == [b'{"class":"plain","args":[1]}']
