"""The hook `logging` and the failure handler `log`: what happens to jobs, through Python's own `logging`.

Nothing here configures a logger or a handler: where lines go is the application's business. The names are `taskq.jobs`
and `taskq.failures`.
"""

from __future__ import annotations

from taskq_logging.failures import LogFailures
from taskq_logging.hook import LoggingHook

__all__ = ["LogFailures", "LoggingHook"]
