"""What a child that was there before its job is told, and what it answers: lines, on a pipe each way.

A job counts as handed over only once the child has said that it has it. One that dies before has begun nothing.
"""

from __future__ import annotations

import json
import os
from typing import Final

from taskq.records import Reservation

__all__ = ["TAKEN", "order", "read"]

TAKEN: Final = b"taken\n"
"""What the child answers once it has the whole order, before anything of the job runs."""


def order(reservation: Reservation) -> bytes:
    """A reserved job as a line of JSON. Its bytes come back as they are, whatever they are."""
    held = reservation
    body = held.body.decode("utf-8", "surrogateescape")
    line = json.dumps([held.worker, held.queue, body, held.fence, held.run_at], ensure_ascii=False)
    return line.encode("utf-8", "surrogateescape") + b"\n"


def read(orders: int) -> Reservation | None:
    """Wait for the order; None where there will be none."""
    said = bytearray()
    while not said.endswith(b"\n"):
        chunk = os.read(orders, 65536)
        if not chunk:
            return None
        said += chunk
    worker, queue, body, fence, run_at = json.loads(said.decode("utf-8", "surrogateescape"))
    return Reservation(worker, queue, body.encode("utf-8", "surrogateescape"), fence, run_at)
