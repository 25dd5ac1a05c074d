"""The jobs of taskq's that node-resque enqueues. A worker imports this module with `--app tests.interop.jobs`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import taskq
from tests.support.workers import LONG


def _journal() -> Path:
    return Path(os.environ["TASKQ_TEST_JOURNAL"])


@taskq.job(queue="python")
def echo(*args: object) -> None:
    """Write down what came."""
    with _journal().open("a") as journal:
        journal.write(json.dumps(args) + "\n")


@taskq.job(queue="python")
def breaks(message: str) -> None:
    """Fail, until the file beside the journal says that it is mended."""
    if not _journal().with_suffix(".mended").exists():
        raise RuntimeError(message)
    echo(message)


@taskq.job(queue="python")
def waits(path: str) -> None:
    """Work for as long as the file is not there."""
    echo("waiting")
    ends = time.monotonic() + LONG
    while not Path(path).exists() and time.monotonic() < ends:
        time.sleep(0.02)
    echo("done")
