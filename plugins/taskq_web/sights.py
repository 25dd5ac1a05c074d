"""What was just seen of the broker, shared by pages that bring themselves up to date.

Workers are the dearest thing to see: some commands each. Ten tabs that ask every three seconds see them once a second.
Who opens a page, or has just done something, sees what there is now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taskq import TaskQ
    from taskq.operator import WorkerState

__all__ = ["Sights"]

_FOR: Final = 1.0  # seconds that what was seen is shared


class Sights:
    """What was seen lately, of one application. Safe to use from several threads: those that ask at once look once.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looking = threading.Lock()
        self._seen: tuple[TaskQ, float, Sequence[WorkerState]] | None = None

    def workers(self, app: TaskQ, *, shared: bool) -> Sequence[WorkerState]:
        """Every worker.

        Args:
            app: whose.
            shared: whether what another request has seen within a second will do.

        Raises:
            BrokerError: they cannot be seen.
        """
        if not shared:
            return self._look(app)
        with self._looking:
            seen = self._seen
            if seen is not None and seen[0] is app and self._clock() - seen[1] < _FOR:
                return seen[2]
            return self._look(app)

    def _look(self, app: TaskQ) -> Sequence[WorkerState]:
        at = self._clock()  # what is seen is at least as new
        workers = app.operator.workers()
        self._seen = (app, at, workers)
        return workers
