"""What a child that was there before its job is told, and what it answers: lines, on a pipe each way.

A job counts as handed over only once the child has said that it has it. One that dies before has begun nothing.
A child may be told to wait then until it is told to begin: its parent has something to note before.
"""

from __future__ import annotations

import json
import os
from typing import Final

from taskq.records import Reservation

__all__ = ["BEGIN", "TAKEN", "order", "read"]

TAKEN: Final = b"taken\n"
"""What the child answers once it has the whole order, before anything of the job runs."""

BEGIN: Final = b"\n"
"""What the child waits for behind an order that says so, once it has answered."""


def order(reservation: Reservation, *, waits: bool = False) -> bytes:
    """A reserved job as a line of JSON. Its bytes come back as they are, whatever they are.

    Args:
        reservation: the job.
        waits: whether the child is to wait for `BEGIN` when it has the job.
    """
    held = reservation
    body = held.body.decode("utf-8", "surrogateescape")
    line = json.dumps([held.worker, held.queue, body, held.fence, held.run_at, waits], ensure_ascii=False)
    return line.encode("utf-8", "surrogateescape") + b"\n"


def read(orders: int) -> tuple[Reservation, bool] | None:
    """Wait for the order: the job, and whether it has to wait for `BEGIN`. None where there will be none."""
    said = bytearray()
    while not said.endswith(b"\n"):
        chunk = os.read(orders, 65536)
        if not chunk:
            return None
        said += chunk
    worker, queue, body, fence, run_at, waits = json.loads(said.decode("utf-8", "surrogateescape"))
    return Reservation(worker, queue, body.encode("utf-8", "surrogateescape"), fence, run_at), waits
