"""What a Redis answers that cannot do what it is asked, and what a person reads then."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from taskq.cli.endings import without_secrets
from taskq.errors import BrokerError, BrokerInTrouble, BrokerRefused, BrokerUnavailable
from taskq_redis import open_broker

Scripted = Callable[[str], str]


@pytest.fixture
def answering() -> Iterator[Scripted]:
    """Starts a server that has one answer to everything, and gives its URL."""
    listeners: list[socket.socket] = []

    def start(answer: str) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_serve, args=(listener, f"-{answer}\r\n".encode()), daemon=True).start()
        return f"redis://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(listener: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, answer), daemon=True).start()


def _answer(connection: socket.socket, answer: bytes) -> None:
    """One error for each command: they are arrays, and none of their parts is a line that begins with a star."""
    with connection:
        try:
            while heard := connection.recv(65536):
                commands = sum(line.startswith(b"*") for line in heard.split(b"\r\n"))
                connection.sendall(answer * max(commands, 1))
        except OSError:
            return


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ("LOADING Redis is loading the dataset in memory", BrokerUnavailable, "Redis is loading"),
        ("MOVED 3999 127.0.0.1:6381", BrokerUnavailable, "moved to another node"),
        ("NOAUTH Authentication required.", BrokerRefused, "a password is needed"),
        ("WRONGPASS invalid username-password pair or user is disabled.", BrokerRefused, "wrong user or password"),
        ("NOREPLICAS Not enough good replicas to write.", BrokerInTrouble, "too few of its replicas"),
    ],
)
def test_an_answer_is_understood(answer: str, kind: type[BrokerError], said: str, answering: Scripted) -> None:
    broker = open_broker(answering(answer))
    try:
        with pytest.raises(BrokerError, match=said) as caught:
            broker.push("q", [b"{}"])
    finally:
        broker.close()
    assert type(caught.value) is kind
    # What to do is read through the mask that hides passwords in URLs.
    assert "***" not in without_secrets(str(caught.value))
