"""taskq: background jobs, with Resque's protocol on Redis and every part pluggable.

    @taskq.job(queue="emails")
    def send_email(to: str, subject: str) -> None: ...

    send_email.enqueue("a@example.com", "Hi")

Importing this imports no backend, no plugin, and nothing of what they need.
"""

from __future__ import annotations

from taskq.app import DecodedJob, Info, TaskQ
from taskq.current import configure, current_app, using
from taskq.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    DontPerform,
    DuplicateJob,
    EnqueueError,
    InvalidPayload,
    JobDefinitionError,
    NotAJob,
    NotSupported,
    PayloadTooLarge,
    PluginError,
    TaskqError,
    UnknownJob,
    UnknownOption,
    UnserializableArgument,
    WrongCall,
)
from taskq.hook import Accepted, Deferred, Enqueued, Vetoed
from taskq.jobs import Call, Job, job
from taskq.registry import Registry
from taskq.verbs import (
    call,
    dequeue,
    enqueue,
    enqueue_many,
    enqueue_to,
    failures,
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
    "DecodedJob",
    "Deferred",
    "DontPerform",
    "DuplicateJob",
    "EnqueueError",
    "Enqueued",
    "Info",
    "InvalidPayload",
    "Job",
    "JobDefinitionError",
    "NotAJob",
    "NotSupported",
    "PayloadTooLarge",
    "PluginError",
    "Registry",
    "TaskQ",
    "TaskqError",
    "UnknownJob",
    "UnknownOption",
    "UnserializableArgument",
    "Vetoed",
    "WrongCall",
    "call",
    "configure",
    "current_app",
    "dequeue",
    "enqueue",
    "enqueue_many",
    "enqueue_to",
    "failures",
    "info",
    "job",
    "options",
    "pause",
    "peek",
    "queues",
    "remove_queue",
    "size",
    "sizes",
    "unpause",
    "using",
    "workers",
    "working",
]
