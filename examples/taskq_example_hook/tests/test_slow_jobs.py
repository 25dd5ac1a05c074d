from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest
from taskq_example_hook import SlowJobs

import taskq
from taskq.testing.contract import HookContract

REGISTRY = taskq.Registry()


class TestContract(HookContract):
    """Every promise of a hook, each tested."""

    job_options: ClassVar[Mapping[str, object]] = {"slow_after": 0.01}

    def make_hook(self) -> SlowJobs:
        return SlowJobs()


@taskq.job(registry=REGISTRY, slow_after=0.01, secret=["token"])
def slow(token: str) -> None:
    time.sleep(0.02)


@taskq.job(registry=REGISTRY, slow_after=0.01)
async def slow_too() -> None:
    await asyncio.sleep(0.02)


@taskq.job(registry=REGISTRY)
def quick() -> None:
    pass


@pytest.fixture(autouse=True)
def app() -> Iterator[taskq.TaskQ]:
    app = taskq.TaskQ(broker="memory://", hooks=[SlowJobs()], inline=True, registry=REGISTRY)
    with taskq.using(app):
        yield app


def test_a_slow_job_is_told_without_its_secret(caplog: pytest.LogCaptureFixture) -> None:
    slow.enqueue("abc")
    assert "slow('[secret]',) took 0.0 s, more than its 0.01 s." in caplog.text


def test_an_async_job_too(caplog: pytest.LogCaptureFixture) -> None:
    slow_too.enqueue()
    assert "slow_too() took" in caplog.text


def test_a_quick_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    quick.enqueue()
    assert caplog.text == ""


def test_its_option_is_checked(app: taskq.TaskQ) -> None:
    app.load()
    with pytest.raises(taskq.JobDefinitionError, match="slow_after"):

        @taskq.job(registry=REGISTRY, slow_after="soon")
        def wrong() -> None: ...
