"""Fault 24: clocks that are apart, and a clock that jumps under load. Nobody is robbed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskq
from taskq_redis.testing import RedisServer
from tests.faults.conftest import LONG, Feed, in_every_model
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, wait_until

Start = Callable[..., RunningWorker]

SOURCE = Path(__file__).parent.parent / "support" / "clock.c"
HOUR = 3600

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc): the server's clock cannot be moved"),
]


class Clock:
    """The time of day as a process sees it that was started with these variables."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self._ahead = folder / "ahead"
        self.variables = {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(self._ahead)}
        self.ahead(0)

    def ahead(self, seconds: int) -> None:
        """Move it: so many seconds ahead of the machine's."""
        fresh = self._ahead.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._ahead)


@pytest.fixture
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def server(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server whose clock can be moved."""
    server = RedisServer()
    with monkeypatch.context() as only_for_it:
        for name, value in clock.variables.items():
            only_for_it.setenv(name, value)
        server.start()
    try:
        with server.client() as client:
            before = int(client.time()[0])
            clock.ahead(HOUR)
            assert int(client.time()[0]) - before >= HOUR
            clock.ahead(0)
        yield server
    finally:
        server.__exit__(None, None, None)


@pytest.mark.fault(24)
@pytest.mark.timeout(120)
@in_every_model("inline, prefetch")
def test_the_servers_clock_put_an_hour_forward_and_back_under_load_robs_nobody(
    model: list[str], clock: Clock, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Every heartbeat is an hour old at once, and so are the locks of those who look for the dead."""
    silent_for = 4.0 if LONG else 1.5  # twelve workers' beats take a loaded machine a second
    feed = Feed(app, ["q"], model, seconds=0.02)
    feed.top_up()
    running = [worker(*model, "-v", "--beat", "0.3", "--dead-after", str(silent_for)) for _ in range(3)]
    for one in running:
        one.started()
    for ahead in [HOUR, 0, 300, -300, 0] if LONG else [HOUR, 0]:
        clock.ahead(ahead)
        seen = len(journal.counts("end"))
        ends = time.monotonic() + silent_for + 1.0  # longer than anyone may be silent for
        while time.monotonic() < ends:
            feed.top_up()
            time.sleep(0.05)
        wait_until(lambda seen=seen: len(journal.counts("end")) > seen)  # type: ignore[misc]
    for one in running:
        one.send(signal.SIGQUIT)
        assert one.ended() == 0
        assert "is not registered any more" not in one.log
        assert "is dead" not in one.log
    assert worker(*model, "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(feed.numbers)
    assert (kept.queued, kept.in_flight, kept.failed) == ([], [], [])


@pytest.mark.fault(24)
@pytest.mark.timeout(120)
@in_every_model("fork")
def test_workers_whose_clocks_are_five_minutes_apart_take_each_other_for_alive(
    model: list[str], clock: Clock, worker: Start, app: taskq.TaskQ, journal: Journal, tmp_path: Path
) -> None:
    """Here it is one worker's clock, not the server's, that is wrong."""
    own = dict(clock.variables, FAKE_CLOCK=str(tmp_path / "ahead"))
    (tmp_path / "ahead").write_text("300")
    feed = Feed(app, ["q"], model, seconds=0.02)
    timing = ("-v", "--beat", "0.3", "--dead-after", "1.5")
    running = [worker(*model, *timing, env=environment) for environment in ({}, own)]
    for one in running:
        one.started()
    ends = time.monotonic() + 3.0
    while time.monotonic() < ends:
        feed.top_up()
        time.sleep(0.05)
    for one in running:
        one.send(signal.SIGQUIT)
        assert one.ended() == 0
        assert "is not registered any more" not in one.log
    assert worker(*model, "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(feed.numbers)
    assert (kept.queued, kept.in_flight, kept.failed) == ([], [], [])
