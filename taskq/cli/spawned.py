"""`python -m taskq --spawned`: the interpreter that a worker starts to perform one job (`taskq worker --spawn`).

It imports the application as the worker did, stands by, and from then on is what a forked child is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from taskq.app import TaskQ
from taskq.application import using
from taskq.cli import applications
from taskq.config import Config
from taskq.errors import TaskqError
from taskq.worker import child, title
from taskq.worker.report import Report
from taskq.worker.signals import MEANINGS, Ear

__all__ = ["main"]


def main(descriptors: Sequence[str]) -> NoReturn:
    """Be a worker's child until its job is performed.

    Args:
        descriptors: where it is told what to have, where its job, where it answers, and its parent's leash.
    """
    for number in MEANINGS:
        signal.signal(number, lambda *_: None)  # not ignored: what a job starts would inherit that
    signal.pthread_sigmask(signal.SIG_UNBLOCK, MEANINGS)
    told, orders, answers, leash = map(int, descriptors)
    for fd in (told, orders, answers, leash):
        os.set_inheritable(fd, False)
    with os.fdopen(told, "rb") as file:
        said = file.read()
    try:
        setup = json.loads(said)
    except ValueError:  # its parent died before it had said all
        os._exit(1)
    child.tie_to(setup["parent"], leash)  # before anything that may take long
    sys.path[:] = setup["path"]
    try:
        app = _application(setup)
        app.load()
    except TaskqError as error:
        print(f"*** A spawned interpreter cannot have the application: {error}", file=sys.stderr, flush=True)
        os._exit(2)
    set_title, _ = title.setter()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, write_through=False)
    ear = Ear()
    ear.feel()
    with using(app):
        child.run(
            orders,
            app.tools,
            answers,
            tie=lambda: None,
            entitle=Report(0, set_title=set_title, prefix=app.config.procline_prefix).entitle,
            ear=ear,
            timeout_grace=app.config.timeout_grace,
            term_child=app.config.term_child,
            run_at_exit=app.config.run_at_exit_hooks,
        )


def _application(setup: dict[str, Any]) -> TaskQ:
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in setup["config"].items()
    }
    found = applications.load(settings["app"])
    for name in setup["of_app"]:
        settings[name] = getattr(Config() if found is None else found.config, name)
    config = Config(**settings)
    return TaskQ(config) if found is None else TaskQ(config, registry=found.registry)
