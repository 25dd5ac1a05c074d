"""What a child that stands by is told, and how it reads it."""

from __future__ import annotations

import os
import threading

import pytest

from taskq.worker import handover
from tests.support.bench import held


@pytest.mark.parametrize(
    "body",
    [b"", b'{"class":"job","args":["\xc3\xa9"]}', bytes(range(256)), b"a\nb\n", b"\xed\xa0\x80", b"x" * 1_000_000],
    ids=["none", "plain", "any bytes", "lines", "half a surrogate", "long"],
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_job_comes_back_as_it_is(body: bytes, waits: bool) -> None:
    reservation = held(body, queue="q \u00e9 \n", worker="host:1:q")
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(handover.order(reservation, waits=waits))

    thread = threading.Thread(target=write)
    thread.start()
    assert handover.read(reader) == (reservation, waits)
    thread.join()
    assert handover.read(reader) is None
    os.close(reader)


def test_an_order_that_is_cut_off_is_none() -> None:
    reader, writer = os.pipe()
    os.write(writer, handover.order(held(b"{}"))[:-1])
    os.close(writer)
    assert handover.read(reader) is None
    os.close(reader)
