"""taskq: background jobs, with Resque's protocol on Redis and every part pluggable.

    @taskq.job(queue="emails")
    def send_email(to: str, subject: str) -> None: ...

    send_email.enqueue("a@example.com", "Hi")

Importing this imports no backend, no plugin, and nothing of what they need; of taskq itself a name's module is imported
when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from taskq import in_force

if TYPE_CHECKING:
    from taskq.app import Info, TaskQ
    from taskq.application import configure, current_app, using
    from taskq.errors import (
        BrokerError,
        BrokerRefused,
        BrokerUnavailable,
        ConfigurationError,
        DontPerform,
        DuplicateJob,
        EnqueueError,
        InvalidPayload,
        JobCancelled,
        JobDefinitionError,
        JobTimeout,
        NotAJob,
        NotInJob,
        NotNow,
        NotSupported,
        PayloadTooLarge,
        PluginError,
        TaskqError,
        UnknownJob,
        UnknownOption,
        UnserializableArgument,
        WrongCall,
        WrongConnection,
        WrongTime,
    )
    from taskq.failed_verbs import failures
    from taskq.hook import Accepted, Deferred, Enqueued, Vetoed
    from taskq.in_job import Current, current, progress
    from taskq.jobs import Call, Job, job
    from taskq.on_crash import Requeue
    from taskq.recurring_jobs import schedules
    from taskq.registry import Registry
    from taskq.showing import DecodedJob
    from taskq.verbs import (
        call,
        cancel,
        delayed,
        dequeue,
        enqueue,
        enqueue_at,
        enqueue_in,
        enqueue_many,
        enqueue_to,
        info,
        options,
        pause,
        peek,
        queues,
        remove_queue,
        size,
        sizes,
        unpause,
        workers,
        working,
    )

__all__ = [
    "Accepted",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "Call",
    "ConfigurationError",
    "Current",
    "DecodedJob",
    "Deferred",
    "DontPerform",
    "DuplicateJob",
    "EnqueueError",
    "Enqueued",
    "Info",
    "InvalidPayload",
    "Job",
    "JobCancelled",
    "JobDefinitionError",
    "JobTimeout",
    "NotAJob",
    "NotInJob",
    "NotNow",
    "NotSupported",
    "PayloadTooLarge",
    "PluginError",
    "Registry",
    "Requeue",
    "TaskQ",
    "TaskqError",
    "UnknownJob",
    "UnknownOption",
    "UnserializableArgument",
    "Vetoed",
    "WrongCall",
    "WrongConnection",
    "WrongTime",
    "call",
    "cancel",
    "configure",
    "current",
    "current_app",
    "delayed",
    "dequeue",
    "enqueue",
    "enqueue_at",
    "enqueue_in",
    "enqueue_many",
    "enqueue_to",
    "failures",
    "info",
    "job",
    "options",
    "pause",
    "peek",
    "progress",
    "queues",
    "remove_queue",
    "schedules",
    "size",
    "sizes",
    "unpause",
    "using",
    "workers",
    "working",
]

_HOMES: Final = {
    "app": (
        "Info",
        "TaskQ",
    ),
    "application": (
        "configure",
        "current_app",
        "using",
    ),
    "errors": (
        "BrokerError",
        "BrokerRefused",
        "BrokerUnavailable",
        "ConfigurationError",
        "DontPerform",
        "DuplicateJob",
        "EnqueueError",
        "InvalidPayload",
        "JobCancelled",
        "JobDefinitionError",
        "JobTimeout",
        "NotAJob",
        "NotInJob",
        "NotNow",
        "NotSupported",
        "PayloadTooLarge",
        "PluginError",
        "TaskqError",
        "UnknownJob",
        "UnknownOption",
        "UnserializableArgument",
        "WrongCall",
        "WrongConnection",
        "WrongTime",
    ),
    "failed_verbs": ("failures",),
    "hook": (
        "Accepted",
        "Deferred",
        "Enqueued",
        "Vetoed",
    ),
    "in_job": (
        "Current",
        "current",
        "progress",
    ),
    "jobs": (
        "Call",
        "Job",
        "job",
    ),
    "on_crash": ("Requeue",),
    "recurring_jobs": ("schedules",),
    "registry": ("Registry",),
    "showing": ("DecodedJob",),
    "verbs": (
        "call",
        "cancel",
        "delayed",
        "dequeue",
        "enqueue",
        "enqueue_at",
        "enqueue_in",
        "enqueue_many",
        "enqueue_to",
        "info",
        "options",
        "pause",
        "peek",
        "queues",
        "remove_queue",
        "size",
        "sizes",
        "unpause",
        "workers",
        "working",
    ),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a checker that saw it would believe that every name is there

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"taskq.{home}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


def _current() -> in_force.Application:
    from taskq.application import current_app

    return current_app()


# Until `taskq.application` is imported there is no application, and it tells jobs itself once there is one.
in_force.applications.current = _current
in_force.applications.built = lambda: None
