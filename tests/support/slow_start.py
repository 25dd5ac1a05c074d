"""The jobs of the faults, of an application that is imported slowly: in a spawned interpreter, not until told."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.support.fault_jobs import numbered

__all__ = ["numbered"]

while "--spawned" in sys.argv and not Path(os.environ["TASKQ_TEST_GATE"]).exists():
    time.sleep(0.01)
