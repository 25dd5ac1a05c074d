"""`python -m taskq` is the command `taskq`."""

from __future__ import annotations

import sys

from taskq.worker.spawn import SPAWNED

if __name__ == "__main__":
    if sys.argv[1:2] == [SPAWNED]:
        from taskq.cli import spawned

        spawned.main(sys.argv[2:])
    from taskq.cli.main import main

    main()
