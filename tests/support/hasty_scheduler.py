"""`python -m tests.support.hasty_scheduler scheduler ...`: `taskq`, whose scheduler's lock outlives it for a moment."""

from __future__ import annotations

from taskq.cli.main import main
from taskq.scheduler import run

assert run.run.__kwdefaults__ is not None
run.run.__kwdefaults__["lock"] = 0.7

if __name__ == "__main__":
    main()
