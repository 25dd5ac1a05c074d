"""The hook `slow_jobs`: a warning for each job that took longer than it should.

@taskq.job(queue="reports", slow_after=60.0)
def report() -> None: ...
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from taskq.hook import Hook, PerformContext

__all__ = ["Options", "SlowJobs"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What a job may say. Each field becomes an option of `@taskq.job(...)`.

    Attributes:
        slow_after: seconds after which the job counts as slow.
    """

    slow_after: float = 10.0


class SlowJobs(Hook):
    """Warns of slow jobs. Only the methods that it defines are called."""

    name = "slow_jobs"
    options = Options

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        """Around each job. What `call_next` raises goes on its way: measuring is no reason to swallow it."""
        began = time.monotonic()
        try:
            return call_next(context)
        finally:
            self._look(context, time.monotonic() - began)

    async def awrap_perform(
        self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
    ) -> object:
        """The same for `async def` jobs, on their event loop."""
        began = time.monotonic()
        try:
            return await call_next(context)
        finally:
            self._look(context, time.monotonic() - began)

    def _look(self, context: PerformContext, seconds: float) -> None:
        most = context.options.get("slow_after", Options.slow_after)
        assert isinstance(most, int | float)  # taskq checked it against Options when the job was defined
        if seconds > most:
            # shown_args, not args: what the job declared as secret stays so.
            _log.warning(
                "%s%r took %.1f s, more than its %g s.", context.payload.job, context.shown_args, seconds, most
            )
