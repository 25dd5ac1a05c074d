"""The short way over a plain socket: its answers, its errors, its limit of time; and who a connection of ours is."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskq.testing.contract.broker.holder import Holder
from taskq_redis import open_broker, theirs
from taskq_redis.direct import Direct, Server
from taskq_redis.errors import Answered, Cut, Late, Unserved
from taskq_redis.testing import RedisServer
from taskq_redis.theirs import Theirs
from taskq_redis.wire import Connection, Plain, Wire, pack
from tests.support.workers import wait_until

pytestmark = pytest.mark.redis


@pytest.fixture(params=["tcp", "unix", "tcp of redis-py", "unix of redis-py"])
def connection(request: pytest.FixtureRequest, own: RedisServer) -> Iterator[Connection]:
    where: Any = {"port": own.port} if "tcp" in request.param else {"path": str(own.socket)}
    connection: Connection
    if "redis-py" in request.param:
        connection = theirs.make("tcp" if "tcp" in request.param else "unix", {**where, "socket_timeout": 0.1})
    else:
        connection = Direct(Server(**where, socket_timeout=0.1))
    connection.connect()
    yield connection
    connection.disconnect()


@pytest.fixture
def own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def line(connection: Connection) -> Wire:
    line = connection.wire()
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


def test_an_error_is_raised_and_the_next_answer_is_its_own(line: Wire) -> None:
    line.send(pack(b"EVALSHA", b"0" * 40, b"0") + pack(b"PING"))
    with pytest.raises(Answered, match=r"^NOSCRIPT "):
        line.read()
    assert line.read() == b"PONG"


def test_an_answer_that_does_not_come_is_waited_for_until_the_limit(line: Wire, own: RedisServer, soon: bool) -> None:
    with own.frozen():
        line.send(pack(b"PING"))
        with pytest.raises(Late):
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
        with pytest.raises(Late):
            line.read(soon=True)
    assert looks == [*[socket.MSG_DONTWAIT] * 40, 0]
    looks.clear()
    assert line.read(soon=True) == b"PONG"
    assert looks == [0]


def test_what_redis_does_not_take_is_offered_until_the_limit(line: Wire, own: RedisServer) -> None:
    with own.frozen(), pytest.raises(Late):
        line.send(pack(b"ECHO", b"x" * 50_000_000))


def test_what_more_is_to_follow_goes_out_by_itself_where_nothing_does(line: Wire, own: RedisServer) -> None:
    line.send(pack(b"SET", b"kept", b"1"), more=True)
    with own.client() as client:
        wait_until(lambda: client.get("kept") == b"1")


def test_what_more_was_to_follow_outlives_its_process(own: RedisServer) -> None:
    script = f"""
import os, signal
from taskq_redis.direct import Direct, Server
from taskq_redis.link import SKIP
from taskq_redis.wire import pack
connection = Direct(Server(port={own.port}))
connection.connect()
wire = connection.wire()
for number in range(100):
    wire.send(SKIP + pack(b"INCR", b"told"), more=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == -signal.SIGKILL
    with own.client() as client:
        wait_until(lambda: client.get("told") == b"100")


def test_the_other_end_gone_is_told(line: Wire, own: RedisServer) -> None:
    with own.client() as client:
        client.client_kill_filter(skipme=True)
    with pytest.raises(Cut):
        line.stale()
    with pytest.raises(Cut):
        line.read(soon=True)


def test_an_answer_that_nobody_waits_for_is_stale(line: Wire) -> None:
    line.send(pack(b"PING") + pack(b"PING"))
    line.read()
    assert line.stale()


def test_a_connection_that_is_more_than_a_socket_goes_redis_pys_way(own: RedisServer) -> None:
    class Wrapped(redis.Connection):
        pass

    connection = Theirs(Wrapped(port=own.port, protocol=2))  # type: ignore[no-untyped-call]
    connection.connect()
    line = connection.wire()
    assert not isinstance(line, Plain)
    line.send(pack(b"PING"))
    assert line.read(soon=True) == b"PONG"
    assert not line.stale()
    line.send(pack(b"EVALSHA", b"0" * 40, b"0"))
    with pytest.raises(Answered, match=r"^NOSCRIPT "):
        line.read()
    connection.disconnect()


def test_a_connection_says_who_it_is(own: RedisServer) -> None:
    with own.client() as client:
        client.execute_command("ACL SETUSER one on >secret ~* +@all")
    server = Server(port=own.port, db=3, username="one", password="secret", client_name="me")
    for protocol in (2, 3):
        connection = Direct(server, protocol=protocol)
        connection.connect()
        line = connection.wire()
        line.send(pack(b"CLIENT", b"LIST"))
        (mine,) = [each for each in line.read().splitlines() if b"name=me" in each]
        assert b" db=3 " in mine
        assert b" user=one " in mine
        connection.disconnect()


def test_what_is_refused_first_is_told(own: RedisServer) -> None:
    connection = Direct(Server(port=own.port, db=99, username="nobody", password="wrong"))
    with pytest.raises(Unserved, match=r"^WRONGPASS "):
        connection.connect()
    with pytest.raises(OSError, match="not connected"):
        connection.sock  # noqa: B018


def test_a_server_shows_no_password() -> None:
    assert "secret" not in repr(Server(username="one", password="secret"))


def test_a_broker_imports_redis_py_only_where_it_needs_it(own: RedisServer) -> None:
    code = f"""
import sys, taskq
with taskq.TaskQ(broker="{own.url}") as app:
    app.broker.push("q", [b"{{}}"])
    app.broker.wait(["q"], 0.01)
print("redis" in sys.modules, "asyncio" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


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
