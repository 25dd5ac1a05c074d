"""`python -m benchmarks.without_inotify worker ...`: taskq where no system tells of writes to a file."""

from __future__ import annotations

from taskq.cli.main import main
from taskq_sqlite import inotify

if __name__ == "__main__":
    inotify.watch = lambda *_: None
    main()
