"""A TCP proxy between a client and a server that can lose what passes: a network on its bad days, at a named moment."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards `port` to the target until told otherwise. Each switch is about what passes from then on.

    Attributes:
        requests: what clients sent, in order, as it was read; a lost one too.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.requests: list[bytes] = []
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._lose_request: list[bytes] = []
        self._lose_answer: list[bytes] = []
        self._lost = threading.Event()
        self._pass = threading.Event()
        self._pass.set()
        self._split = False
        self._delay = 0.0
        self._refuse = False
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    # ---- switches

    def lose_request(self, marker: bytes) -> None:
        """Cut the next connection that sends these bytes, before the server gets them."""
        self._lost.clear()
        self._lose_request.append(marker)

    def lose_answer(self, marker: bytes) -> None:
        """Cut the next connection that sends these bytes, after the server answered them, before the client hears."""
        self._lost.clear()
        self._lose_answer.append(marker)

    def wait_until_lost(self) -> None:
        assert self._lost.wait(20)

    @property
    def armed(self) -> bool:
        return bool(self._lose_request or self._lose_answer)

    def cut(self) -> int:
        """Cut every connection there is. How many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)
        return len(pairs)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """While this lasts nothing passes and nobody is told: packets that are dropped without a reset."""
        self._pass.clear()
        try:
            yield
        finally:
            self._pass.set()

    @contextlib.contextmanager
    def splitting(self) -> Iterator[None]:
        """While this lasts each byte passes alone."""
        self._split = True
        try:
            yield
        finally:
            self._split = False

    @contextlib.contextmanager
    def delaying(self, seconds: float) -> Iterator[None]:
        """While this lasts whatever passes is late by so much, in each direction."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """While this lasts every connection is cut, old and new."""
        self._refuse = True
        self.cut()
        try:
            yield
        finally:
            self._refuse = False

    # ---- passing on

    def _run(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._closing or self._refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.add((client, server))
            self._run(self._pump, client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        pair = (client, server)
        cut_at_answer = False
        try:
            while True:
                # Now and then it looks whether the sockets are closed: who closes them wakes nobody who waits on them.
                ready, _, _ = select.select(pair, [], [], 1.0)
                self._pass.wait()
                if self._delay:
                    time.sleep(self._delay)
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client:
                        self.requests.append(data)
                        if self._take(self._lose_request, data):
                            return
                        cut_at_answer = cut_at_answer or self._take(self._lose_answer, data)
                        self._send(server, data)
                    elif cut_at_answer:
                        return
                    else:
                        self._send(client, data)
        except (OSError, ValueError):
            return
        finally:
            self._end(pair)
            if cut_at_answer:
                self._lost.set()

    def _take(self, markers: list[bytes], data: bytes) -> bool:
        for marker in markers:
            if marker in data:
                markers.remove(marker)
                if markers is self._lose_request:
                    self._lost.set()
                return True
        return False

    def _send(self, to: socket.socket, data: bytes) -> None:
        if not self._split:
            to.sendall(data)
            return
        for place in range(len(data)):
            to.sendall(data[place : place + 1])

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._closing = True
        self._pass.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
