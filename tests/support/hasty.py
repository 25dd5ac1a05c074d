"""`python -m tests.support.hasty` is `taskq` in a hurry: what takes half a minute takes half a second."""

from __future__ import annotations

from taskq.cli.main import main
from taskq.worker import assembly, run, scaling

scaling._UP_AFTER = 0.05
scaling._DOWN_AFTER = 0.5
vars(assembly)["_BURST_WAITS"] = 0.5
vars(run)["LOOK_EVERY"] = 0.1  # final but here

if __name__ == "__main__":
    main()
