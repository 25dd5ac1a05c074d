"""Jobs that use each of the plugins. A worker imports this module with `--app tests.support.plugin_jobs:app`."""

from __future__ import annotations

import os
import time

import taskq
from taskq_limit import Limit
from taskq_results import Results
from taskq_retry import Retry
from taskq_unique import Unique
from tests.support.journal import note

registry = taskq.Registry()


def _waits(name: str) -> None:
    """Begins, and ends once the file is there that the test makes."""
    note(os.environ["TASKQ_TEST_JOURNAL"], name, taskq.current().attempt)
    while not os.path.exists(os.environ["TASKQ_TEST_JOURNAL"] + ".go"):
        time.sleep(0.01)


@taskq.job(queue="q", registry=registry, retry=Retry(attempts=2, backoff=[600]))
def retried() -> None:
    _waits("retried")


@taskq.job(queue="q", registry=registry, unique=Unique(expires=600))
def unique() -> None:
    _waits("unique")


@taskq.job(queue="q", registry=registry, limit=Limit(at_once=1, lease=600))
def limited(number: int) -> None:
    _waits("limited")


@taskq.job(queue="q", registry=registry, results=Results())
def kept() -> str:
    _waits("kept")
    return "kept"


def application(broker: object) -> taskq.TaskQ:
    hooks = ["limit", "unique", "retry", "results"]
    return taskq.TaskQ(broker=broker, registry=registry, hooks=hooks, failure_handlers=["retry", "broker"])


app = application(os.environ.get("TASKQ_BROKER", "memory://"))
