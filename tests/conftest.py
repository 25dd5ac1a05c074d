"""What every test may ask for."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from taskq import application
from taskq_redis.testing import RedisServer

pytest_plugins = ["pytester"]

# An example is slow because the machine is busy, not because the code is: no test here is timed.
hypothesis.settings.register_profile("taskq", deadline=None, print_blob=True)
hypothesis.settings.load_profile("taskq")

# Whoever started the tests may have had HUP or Ctrl-C ignored (nohup, a shell's background), which is handed down to
# every process that they start; taskq's workers keep what they were given.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The default application that a test leaves behind is no other test's: its hooks would be, and their options."""
    process = application._process
    before = process.default, process.made_here
    try:
        return (yield)
    finally:
        process.default, process.made_here = before


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    """One private redis-server for all tests of a run. Ask for `redis_server`, which is empty."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """A private redis-server with nothing in it."""
    with redis_process.client() as client:
        client.flushall()
    return redis_process
