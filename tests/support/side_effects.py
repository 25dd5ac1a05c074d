"""A module that nobody may import because a payload names it."""

from __future__ import annotations

import os
from pathlib import Path

if "TASKQ_TEST_WITNESS" in os.environ:
    Path(os.environ["TASKQ_TEST_WITNESS"]).touch()


def job() -> None:
    """Not a job."""
