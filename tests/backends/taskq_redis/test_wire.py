"""The short way over a plain socket: the same answers and errors as by redis-py, and its limit of time holds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskq.testing.contract.broker.holder import Holder
from taskq_redis import open_broker
from taskq_redis.link import pack
from taskq_redis.testing import RedisServer
from taskq_redis.wire import Plain, Wire, wire

pytestmark = pytest.mark.redis


@pytest.fixture(params=[redis.Connection, redis.UnixDomainSocketConnection], ids=["tcp", "unix"])
def connection(request: pytest.FixtureRequest, own: RedisServer) -> Iterator[redis.Connection]:
    where = {"port": own.port} if request.param is redis.Connection else {"path": str(own.socket)}
    connection = request.param(**where, socket_timeout=0.1, protocol=2)
    connection.connect()
    yield connection
    connection.disconnect()


@pytest.fixture
def own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def line(connection: redis.Connection) -> Wire:
    line = wire(connection)
    assert isinstance(line, Plain)
    return line


@pytest.fixture(params=[False, True], ids=["sleeping", "looking"])
def soon(request: pytest.FixtureRequest) -> bool:
    asked: bool = request.param
    return asked


def test_answers_come_in_order_whole_and_long_ones_too(line: Wire, soon: bool) -> None:
    long = b"x" * 300_000
    line.send(pack(b"ECHO", long) + pack(b"PING"))
    assert [line.read(soon=soon), line.read(soon=soon)] == [long, b"PONG"]
    assert not line.stale()


def test_an_error_is_raised_as_redis_py_has_it_and_the_next_answer_is_its_own(line: Wire) -> None:
    line.send(pack(b"EVALSHA", b"0" * 40, b"0") + pack(b"PING"))
    with pytest.raises(redis.exceptions.NoScriptError):
        line.read()
    assert line.read() == b"PONG"


def test_an_answer_that_does_not_come_is_waited_for_until_the_limit(line: Wire, own: RedisServer, soon: bool) -> None:
    with own.frozen():
        line.send(pack(b"PING"))
        with pytest.raises(redis.TimeoutError):
            line.read(soon=soon)


def test_after_an_answer_that_did_not_come_soon_the_next_one_is_slept_for(line: Wire, own: RedisServer) -> None:
    looks: list[int] = []
    receive = line._receive  # type: ignore[attr-defined]

    def counted(buffer: bytearray, size: int = 0, flags: int = 0) -> int:
        looks.append(flags)
        got: int = receive(buffer, size, flags)
        return got

    line._receive = counted  # type: ignore[attr-defined]
    with own.frozen():
        line.send(pack(b"PING"))
        with pytest.raises(redis.TimeoutError):
            line.read(soon=True)
    assert looks == [*[socket.MSG_DONTWAIT] * 40, 0]
    looks.clear()
    assert line.read(soon=True) == b"PONG"
    assert looks == [0]


def test_what_redis_does_not_take_is_offered_until_the_limit(line: Wire, own: RedisServer) -> None:
    with own.frozen(), pytest.raises(redis.TimeoutError):
        line.send(pack(b"ECHO", b"x" * 50_000_000))


def test_the_other_end_gone_is_told(line: Wire, own: RedisServer) -> None:
    with own.client() as client:
        client.client_kill_filter(skipme=True)
    with pytest.raises(redis.ConnectionError):
        line.stale()
    with pytest.raises(redis.ConnectionError):
        line.read(soon=True)


def test_an_answer_that_nobody_waits_for_is_stale(line: Wire) -> None:
    line.send(pack(b"PING") + pack(b"PING"))
    line.read()
    assert line.stale()


def test_a_connection_that_is_more_than_a_socket_goes_redis_pys_way(own: RedisServer) -> None:
    class Wrapped(redis.Connection):
        pass

    connection: Any = Wrapped(port=own.port, protocol=2)  # type: ignore[no-untyped-call]
    connection.connect()
    line = wire(connection)
    assert not isinstance(line, Plain)
    line.send(pack(b"PING"))
    assert line.read(soon=True) == b"PONG"
    assert not line.stale()
    connection.disconnect()


def test_only_the_main_thread_looks_for_the_other_threads_want_the_interpreter(own: RedisServer) -> None:
    broker = open_broker(own.url)
    holder = Holder(broker, "host:1:q")
    assert holder.register()
    looked: list[bool] = []
    read = Plain.read

    def seen(line: Plain, *, soon: bool = False) -> Any:
        looked.append(soon)
        return read(line, soon=soon)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plain, "read", seen)
        holder.reserve("q")
        assert any(looked)
        looked.clear()
        thread = threading.Thread(target=holder.reserve, args=("q",))
        thread.start()
        thread.join()
    broker.close()
    assert looked
    assert not any(looked)
