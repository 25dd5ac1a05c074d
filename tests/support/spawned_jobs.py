"""An application that spawned interpreters have in part only: what they lack is in the environment."""

from __future__ import annotations

import os
import sys

import taskq
from taskq.hook import Hook, PerformContext
from tests.support.fault_jobs import *  # noqa: F403
from tests.support.fault_jobs import journal
from tests.support.journal import note

SPAWNED = "--spawned" in sys.orig_argv
if SPAWNED and os.path.exists(os.environ.get("TASKQ_TEST_BROKEN", "")):
    raise RuntimeError("this interpreter does not have it")


class Tells(Hook):
    """An object, which crosses no pipe."""

    name = "tells"

    def before_fork(self, context: PerformContext) -> None:
        note(journal(), "before_fork", os.getpid())

    def after_fork(self, context: PerformContext) -> None:
        note(journal(), "after_fork", os.getpid())


app = taskq.TaskQ(hooks=[Tells()])
