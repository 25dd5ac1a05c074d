"""The recordings' jobs, with a hook that tells each moment of a worker's life; `WIRE_RAISES` names one that raises."""

from __future__ import annotations

import os

from taskq import TaskQ
from taskq.hook import Hook, PerformContext
from tests.wire.jobs import REGISTRY, say


class Moments(Hook):
    """Says what Ruby's hooks of the recording said."""

    name = "moments"

    def __init__(self) -> None:
        self._parent = os.getpid()
        self._raises = os.environ.get("WIRE_RAISES")

    def _tell(self, moment: str, job: str = "") -> None:
        if moment == self._raises:
            raise RuntimeError(f"hook {moment}")
        if self._raises is None:
            say(f"{moment}{job} ({'parent' if os.getpid() == self._parent else 'child'})")

    def before_first_fork(self, worker: str) -> None:
        self._tell("before_first_fork")

    def before_fork(self, context: PerformContext) -> None:
        self._tell("before_fork", " Resque::Job")

    def after_fork(self, context: PerformContext) -> None:
        self._tell("after_fork", " Resque::Job")

    def queue_empty(self, worker: str) -> None:
        self._tell("queue_empty")

    def worker_exit(self, worker: str) -> None:
        self._tell("worker_exit")


app = TaskQ(registry=REGISTRY, hooks=[Moments()])
