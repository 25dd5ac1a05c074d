"""Fault 13: a network that cuts, delays and splits what passes, and one that drops it without a word."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG, fewer, in_every_model, numbered, push_numbers
from tests.support.journal import Journal, balance
from tests.support.proxy import Proxy
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.mark.fault(13)
@pytest.mark.timeout(600 if LONG else 120)
@in_every_model("inline, prefetch", "threads", "children, prefetch")
def test_one_that_cuts_delays_and_splits_loses_and_doubles_nothing(
    model: list[str], proxy: Proxy, worker: Start, app: taskq.TaskQ, journal: Journal, chance: random.Random
) -> None:
    many = fewer(model, 20_000 if LONG else 800)
    numbers = push_numbers(app, many, model=model)
    equal = numbered(model).options(queue="equal")
    app.enqueue_many([equal.call(-1)] * many)
    running = worker(*model, "--queues", "q,equal", url=proxy.url)
    running.started()
    cuts = 0
    while app.size("q") or app.size("equal"):
        match chance.randrange(4):
            case 0:
                trouble: contextlib.AbstractContextManager[None] = proxy.splitting()
            case 1:
                trouble = proxy.delaying(chance.uniform(0.0, 0.01))
            case _:
                trouble = contextlib.nullcontext()
        with trouble:
            time.sleep(chance.uniform(0.0, 0.05))  # the random moment is what this test is about
            cuts += proxy.cut()
    wait_until(lambda: app.info()["processed"] == 2 * many)
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    assert cuts > 3
    kept = balance(app.broker, journal, ["q", "equal"])
    assert kept.missing(numbers) == []
    assert [number for number in kept.ran_twice() if number >= 0] == []
    assert (kept.queued, kept.in_flight, kept.failed) == ([], [], [])
    assert (kept.processed, kept.ended[-1]) == (2 * many, many)


@pytest.mark.fault(13)
@pytest.mark.timeout(600 if LONG else 120)
@in_every_model("fork", "inline, prefetch")
def test_one_that_drops_all_without_a_word_is_found_out_and_what_comes_late_changes_nothing(
    model: list[str], proxy: Proxy, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """What was sent meanwhile lay on the way, and arrives when the worker has long asked again."""
    answer_in, silence = (5.0, 60.0) if LONG else (0.5, 1.0)
    numbers = push_numbers(app, fewer(model, 1000), seconds=0.003, model=model)
    running = worker(*model, url=f"{proxy.url}?socket_timeout={answer_in}&socket_connect_timeout={answer_in}")
    wait_until(lambda: len(journal.counts("end")) > 3)
    with proxy.silent():
        time.sleep(silence)
        running.line("is away")
        # Nothing hangs: what was taken is done, and no more is begun.
        begun = len(journal.counts("start"))
    back = time.monotonic()
    wait_until(lambda: len(journal.counts("start")) > begun)
    assert time.monotonic() - back < 2.0
    wait_until(lambda: app.info()["processed"] == len(numbers))
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(numbers)
    assert (kept.queued, kept.in_flight, kept.failed) == ([], [], [])
