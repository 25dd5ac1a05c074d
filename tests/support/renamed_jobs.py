"""The fault jobs after a deploy: one has a former name as an alias."""

from __future__ import annotations

import taskq
from tests.support.fault_jobs import journal
from tests.support.journal import note


@taskq.job(queue="q", name="numbered_now", aliases=["nombered"])
def numbered_now(number: int) -> None:
    note(journal(), "start", number)
    note(journal(), "end", number)
