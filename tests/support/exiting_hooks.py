"""An application with a hook that calls `sys.exit` in the moment that `EXITS_IN` names, or hangs (`EXITS_BY`)."""

from __future__ import annotations

import os
import sys
import time

import taskq
from taskq.hook import Hook, PerformContext, Settled


def _here(moment: str) -> None:
    if os.environ["EXITS_IN"] == moment:
        if os.environ.get("EXITS_BY") == "hanging" and os.getpid() != _PARENT:
            time.sleep(600)
        sys.exit(f"the hook had enough in {moment}")


_PARENT = os.getpid()


class Exits(Hook):
    name = "exits"

    def before_fork(self, context: PerformContext) -> None:
        _here("before_fork")

    def after_fork(self, context: PerformContext) -> None:
        _here("after_fork")

    def settled(self, settled: Settled) -> None:
        _here("settled")

    def queue_empty(self, worker: str) -> None:
        _here("queue_empty")

    def flush(self) -> None:
        _here("flush")


app = taskq.TaskQ(hooks=[Exits()])


@taskq.job(queue="q")
def prints(text: str) -> None:
    print(text)
