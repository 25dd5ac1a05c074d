"""A broker in a forked child: connections of its own, the parent's left as they are."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

import pytest
import redis

from taskq.testing.contract.broker.holder import ONE, TWO, Holder
from taskq_redis import RedisBroker, record
from taskq_redis.link import own_connection_ids

pytestmark = [pytest.mark.redis, pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")]


def in_child(act: Callable[[], object]) -> int:
    """Fork, act, and the child's exit status: 0 where it did not raise."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def connections(client: redis.Redis) -> set[str]:
    return {one["id"] for one in client.client_list()}


def test_parent_and_child_go_on_with_connections_of_their_own(broker: RedisBroker, client: redis.Redis) -> None:
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    broker.push("q", [ONE])
    broker.wait(["q"], 5)
    before = connections(client)

    def act() -> None:
        broker.push("q", [TWO])
        assert broker.size("q") == 2
        assert connections(client) > before
        broker.wait(["q"], 0.01)
        broker.close()

    assert in_child(act) == 0
    assert broker.size("q") == 2
    assert connections(client) == before
    taken = holder.take("q")
    client.rpush("resque:queue:q", ONE)
    assert broker.wait(["q"], 20)
    assert holder.finish(taken)


def test_a_child_that_stands_by_speaks_over_the_connection_that_it_has(
    broker: RedisBroker, client: redis.Redis
) -> None:
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    kept = broker._keys.registration(holder.id)
    registered = client.get(kept)

    def act() -> None:
        assert broker.heartbeat(holder.id, holder.tokens.process, speaks=False)
        assert client.get(kept) == registered  # who speaks is still another
        mine = own_connection_ids()
        assert len(mine) == 1
        assert broker.heartbeat(holder.id, holder.tokens.process)
        assert own_connection_ids() == mine
        said = client.get(kept)
        assert isinstance(said, bytes)
        assert set(record.read_clients(said)) == mine
        broker.close()

    assert in_child(act) == 0


def open_sockets() -> set[str]:
    """Every socket that this process has, by the system's own name for it."""
    found: set[str] = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc here")
def test_a_child_keeps_no_connection_of_the_parent_open(broker: RedisBroker, client: redis.Redis) -> None:
    """Not even one that another thread of the parent was using at the fork."""
    before = open_sockets()
    broker.push("q", [ONE])
    broker.wait(["q"], 5)
    taken = broker._links._take()
    ours = open_sockets() - before
    assert len(ours) == 2  # one in use, and the doorbell

    def act() -> None:
        assert not ours & open_sockets()

    assert in_child(act) == 0
    broker._links._give(taken)
    assert broker.size("q") == 1


def test_a_child_forked_while_a_thread_waits(broker: RedisBroker, client: redis.Redis) -> None:
    began = threading.Event()

    def wait() -> None:
        broker.wait(["q"], 5)
        began.set()
        broker.wait(["q"], 20)

    thread = threading.Thread(target=wait)
    thread.start()
    began.wait()

    def act() -> None:
        broker.push("q", [ONE])
        assert broker.wait(["q"], 5)
        broker.close()

    assert in_child(act) == 0
    thread.join(20)
    assert not thread.is_alive()
    assert broker.size("q") == 1


def test_many_children_one_after_another_leave_nothing(broker: RedisBroker, client: redis.Redis) -> None:
    broker.push("q", [ONE])
    before = connections(client)
    for _ in range(5):
        assert in_child(lambda: broker.push("q", [ONE])) == 0
    assert broker.size("q") == 6
    assert connections(client) == before
