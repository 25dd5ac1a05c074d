"""The test kit: another backend in place of the application's, what was enqueued there, and faults on purpose.

    def test_signing_up_sends_a_mail(queue: taskq.testing.Queue) -> None:
        sign_up("ada@example.com")
        queue.assert_enqueued(send_email, "ada@example.com", subject=ANY)
        queue.perform_all()

pytest finds it by itself (`taskq.testing.pytest_plugin`); `swapped` and `QueueTestCase` are for everybody else. As with
`taskq` itself, a name's module is imported when the name is first used: a test run that uses none of this pays nothing.

For those who write a plugin: `taskq.testing.contract`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taskq.testing.assertions import MisspeltJob
    from taskq.testing.case import QueueMixin, QueueTestCase
    from taskq.testing.jobs import DelayedJob, EnqueuedJob, PerformedJob
    from taskq.testing.queue import Queue
    from taskq.testing.swap import LeftoverJobs, swapped

__all__ = [
    "DelayedJob",
    "EnqueuedJob",
    "LeftoverJobs",
    "MisspeltJob",
    "PerformedJob",
    "Queue",
    "QueueMixin",
    "QueueTestCase",
    "swapped",
]

_HOMES: Final = {
    "assertions": ("MisspeltJob",),
    "case": ("QueueMixin", "QueueTestCase"),
    "jobs": ("DelayedJob", "EnqueuedJob", "PerformedJob"),
    "queue": ("Queue",),
    "swap": ("LeftoverJobs", "swapped"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a checker that saw it would believe that every name is there

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"taskq.testing.{home}"), name)
        globals()[name] = value
        return value
