"""The jobs of the browser tests: one that works, one that fails as it is told, one that waits for a file."""

from __future__ import annotations

import time
from pathlib import Path

import taskq


@taskq.job(queue="emails", secret=("token",))
def send_email(to: str, subject: str = "Hello", *, token: str = "") -> None:
    """Send an email to a customer.

    It goes out at once.
    """
    if "@" not in to:
        raise ValueError(f"{to!r} is no address")


@taskq.job(queue="slow")
def wait_for(path: str, seconds: float = 20) -> None:
    """Wait until a file is there."""
    ends = time.monotonic() + seconds
    while not Path(path).exists() and time.monotonic() < ends:
        time.sleep(0.02)
