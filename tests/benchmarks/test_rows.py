"""The rows of the benchmark measure what they say, here of few jobs. How long anything takes is no matter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import drain, failed, memory
from benchmarks.figures import Figure, line
from benchmarks.peers import contenders, measuring
from benchmarks.processes import Bench
from taskq_redis.testing import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
def bench(redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(redis_server, tmp_path, rounds=1)
    yield made
    made.redis.close()


def told(figure: Figure) -> tuple[str, float | None]:
    """What it is, and its goal; it is fit for the table and for the file."""
    assert figure.value > 0
    assert figure.what in line(figure)
    assert json.loads(json.dumps(asdict(figure)))["raw"]
    return figure.what, figure.goal


def test_drain_by_two_workers_and_by_two_bare_loops(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_INLINE", 40)
    assert told(next(drain.machine(bench))) == ("two inline workers, beside two bare loops", None)


def test_drain_by_isolated_children_beside_peers(bench: Bench) -> None:
    way = contenders.TASKQ.ways["children-ahead"]
    assert measuring.drain_rate(bench, contenders.TASKQ, contenders.Way(way.told, way.command, 40)) > 0


def test_memory_of_an_idle_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SETTLED", 0)
    assert 1 < memory.held_by_ours(bench) < 1_000  # MiB


def test_failed_list(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"_ENTRIES": 4_000, "_PUSHED": 1_000, "_NEAR": 50, "_TIMES": 2, "_TOGETHER": 150}
    for name, value in few.items():
        monkeypatch.setattr(failed, name, value)
    goals = dict(map(told, failed.failed(bench)))
    assert {what.partition(":")[0]: goal for what, goal in goals.items() if "slice" in what} == {
        "requeue 150, the newest": 5, "remove 150, the newest": 5,
        "requeue 150, in the middle": 5, "remove 150, in the middle": 5,
    }  # fmt: skip
