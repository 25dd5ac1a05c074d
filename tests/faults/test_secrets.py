"""Fault 22: a password in the broker's address and an argument marked secret are found nowhere."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskq
from taskq.errors import BrokerError
from taskq_redis.testing import RedisServer
from tests.support import fault_jobs
from tests.support.journal import Journal
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]
PASSWORD = "hunter2-correct-horse"
TOKEN = "tok-5f3c9a"


@pytest.fixture
def locked() -> Iterator[RedisServer]:
    with RedisServer(requirepass=PASSWORD) as server:
        yield server


def with_password(server: RedisServer, password: str = PASSWORD) -> str:
    return f"redis://:{password}@127.0.0.1:{server.port}"


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "model", [[], ["--inline"], ["--count", "2"], ["--spawn"]], ids=["fork", "inline", "supervised", "spawn"]
)
def test_neither_is_in_a_log_a_title_or_a_process_list(
    model: list[str], locked: RedisServer, worker: Start, journal: Journal
) -> None:
    url = with_password(locked)
    with taskq.using(url) as app:
        fault_jobs.secretive.enqueue(1, TOKEN)
        fault_jobs.numbered.enqueue(2, 600)
        running = worker(
            *model, "-vv", "--shutdown-timeout", "0", "--beat", "0.5", "--dead-after", "9", url=url, fresh=True
        )
        wait_until(lambda: journal.counts("start")[2])
        titles = b"".join(
            Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [running.pid, *running.children()] if pid
        )
        locked.kill()
        running.line("is away")
        running.send(signal.SIGTERM)
        running.ended()
        assert TOKEN not in running.log
        assert "[secret]" in running.log
        assert PASSWORD not in running.log
        assert PASSWORD.encode() not in titles
        assert TOKEN.encode() not in titles
        assert PASSWORD not in repr(app)
        assert PASSWORD not in repr(app.config)
        assert PASSWORD not in app.broker.address


@pytest.mark.fault(22)
def test_a_wrong_password_ends_the_worker_with_2_and_is_not_shown(locked: RedisServer, worker: Start) -> None:
    running = worker(url=with_password(locked, "wrong-" + PASSWORD))
    assert running.ended() == 2
    assert PASSWORD not in running.log
    assert "Traceback" not in running.log


@pytest.mark.fault(22)
def test_one_where_no_password_belongs_is_not_shown(worker: Start) -> None:
    running = worker(url=f"{PASSWORD}@127.0.0.1:1")
    assert running.ended() == 2
    assert "***@127.0.0.1:1 has no place for a password" in running.log
    assert PASSWORD not in running.log


@pytest.mark.fault(22)
def test_no_message_and_no_traceback_of_ours_shows_it() -> None:
    import traceback

    with taskq.using(f"redis://user:{PASSWORD}@127.0.0.1:1/0"):
        try:
            fault_jobs.numbered.enqueue(1)
        except BrokerError as error:
            chain = "".join(traceback.format_exception(error))
        else:
            pytest.fail("there is no Redis at port 1")
    assert PASSWORD not in chain
