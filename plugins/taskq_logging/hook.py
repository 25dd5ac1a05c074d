"""The hook `logging`: one structured line a job, and the job's name and worker in every record that the job writes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from taskq import envelope
from taskq.errors import InvalidPayload
from taskq.failed_entry import last_words
from taskq.hook import Hook, PerformContext, Settled
from taskq.records import ErrorRecord

__all__ = ["LoggingHook"]

_log: Final = logging.getLogger("taskq.jobs")
_performing: Final[ContextVar[PerformContext | None]] = ContextVar("taskq_logging_performing", default=None)


class LoggingHook(Hook):
    """Writes `job=send_email queue=emails outcome=done seconds=0.012 worker=host:1:emails` under `taskq.jobs`.

    While a job is performed, every log record that it writes, through whatever logger, has the attributes `taskq_job`,
    `taskq_queue` and `taskq_worker`; elsewhere they are empty. So a format such as
    `%(message)s job=%(taskq_job)s` can be used for all records. Arguments are never shown.
    """

    name = "logging"

    def __init__(self) -> None:
        """Have the attributes put into every record from now on."""
        _mark_records()

    def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
        token = _performing.set(context)
        try:
            return call_next(context)
        finally:
            _performing.reset(token)

    async def awrap_perform(
        self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
    ) -> object:
        token = _performing.set(context)
        try:
            return await call_next(context)
        finally:
            _performing.reset(token)

    def settled(self, settled: Settled) -> None:
        held = settled.reservation
        fields: dict[str, object] = {
            "job": _job(held.body),
            "queue": held.queue,
            "outcome": settled.outcome,
            "seconds": None if settled.seconds is None else round(settled.seconds, 6),
            "worker": held.worker,
        }
        if isinstance(settled.cause, ErrorRecord):
            fields["error"] = f"{settled.cause.type}: {settled.cause.message}"
        elif settled.cause is not None:
            fields["error"] = last_words(settled.cause)
        level = logging.INFO if settled.outcome in {"done", "discarded"} else logging.ERROR
        text = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        _log.log(level, "%s", text, extra={f"taskq_{name}": value for name, value in fields.items()})


def _mark_records() -> None:
    """Wrap the record factory, once. It is the one place that sees records of every logger and configures none."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "marks_taskq_jobs", False):
        return

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        context = _performing.get()
        # Only attributes that `extra` of our own lines does not bring: logging refuses to overwrite what a record has.
        if record.name not in {"taskq.jobs", "taskq.failures"}:
            record.taskq_job = context.payload.job if context is not None else ""
            record.taskq_queue = context.reservation.queue if context is not None else ""
            record.taskq_worker = context.reservation.worker if context is not None else ""
        return record

    make.marks_taskq_jobs = True  # type: ignore[attr-defined]  # a mark for the next one who would wrap it
    logging.setLogRecordFactory(make)


def _job(body: bytes) -> str:
    try:
        return envelope.decode(body).job
    except InvalidPayload:
        return "[No Name]"


def _shown(value: object) -> str:
    """As one word, quoted where it is not one."""
    text = str(value)
    if text and text.isprintable() and not any(char in text for char in ' "=\\'):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else repr(char)[1:-1] for char in quoted) + '"'
