"""What taskq's worker performs."""

from __future__ import annotations

import taskq
from benchmarks import work

nothing = taskq.job(queue="bench")(work.nothing)
started = taskq.job(queue="bench")(work.started)
begins = taskq.job(queue="bench")(work.begins)


@taskq.job(queue="bench")
def send_email(to: str, subject: str, body: str) -> None:
    """Is only ever enqueued."""
