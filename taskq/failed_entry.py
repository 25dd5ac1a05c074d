"""The entries of the failed lists: written as Ruby writes them, read whatever lies there (WIRE.md section 6).

Entries are Ruby's, node-resque's, ours of an older day, or rubbish that somebody pushed. So writing is exact and
bounded, and reading never raises: an entry is shown as far as it can be read, with the reason it cannot be requeued.
"""

from __future__ import annotations

import base64
import binascii
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taskq import dates, envelope
from taskq.errors import InvalidPayload
from taskq.failure_handler import Failure
from taskq.members import Member, join, members
from taskq.records import Crash, ErrorRecord, Payload, StoredFailure

__all__ = [
    "MAX_ENTRY",
    "FailedJob",
    "Glance",
    "before_retry",
    "decode",
    "dying",
    "encode",
    "glance",
    "last_words",
    "mark_retried",
]

MAX_ENTRY = 64 * 1024
"""How many bytes an entry may have, its payload and its queue's and worker's names not counted: those are never cut."""

# What the backtrace keeps beside a huge message, and what one frame or a class's name gets at most. Bytes of JSON.
_BACKTRACE_SHARE = 8 * 1024
_LINE = 1024
# Keys, punctuation and the date.
_FRAME = 256


# --- writing ----------------------------------------------------------------------------------------------------------


def encode(failure: Failure, *, quarantined: str = "") -> bytes:
    """The entry of a failed list for this failure, keys in Ruby's order (WIRE.md section 6).

    The payload is in it byte for byte; where it is no JSON object, as `{"class":"","args":[],"raw":"<base64>"}`. The
    rest is cut at `MAX_ENTRY`: the middle of the backtrace first, then the message. Lone surrogates, which UTF-8 cannot
    carry, are written as the text of their escapes.

    Args:
        failure: what failed, and how.
        quarantined: why it should not be performed again as it is: said behind the message, for whoever reads only
            that, and once more as the last key; empty where it may be.
    """
    exception, message, backtrace = _told(failure)
    exception = _fitted(exception, _LINE)
    behind = _fitted(f" (quarantined: {quarantined})", _LINE) if quarantined else ""
    mark = b',"quarantined":' + _quoted(_fitted(quarantined, _LINE)) if quarantined else b""
    room = MAX_ENTRY - _FRAME - len(_quoted(exception)) - len(_quoted(behind)) - len(mark)
    frames = _frames(backtrace, max(room - len(_quoted(_fitted(message, room))), _BACKTRACE_SHARE))
    message = _fitted(message, room - len(frames)) + behind
    return b"".join(
        (
            b'{"failed_at":',
            _quoted(dates.failed_at(failure.failed_at)),
            b',"payload":',
            _payload(failure),
            b',"exception":',
            _quoted(exception),
            b',"error":',
            _quoted(message),
            b',"backtrace":[',
            frames,
            b'],"worker":',
            _quoted(_clean(failure.worker)),
            b',"queue":',
            _quoted(_clean(failure.queue)),
            mark,
            b"}",
        )
    )


def _told(failure: Failure) -> tuple[str, str, Sequence[str]]:
    """Exception class, message and backtrace, a crash in the words of Ruby's parent or pruner (WIRE.md 5 and 8)."""
    cause = failure.cause
    if isinstance(cause, ErrorRecord):
        return cause.type, cause.message or cause.type, cause.backtrace
    if cause.worker_lost and cause.last_heartbeat is not None:
        job = failure.payload.job if failure.payload else "No Name"
        sentence = f"Worker {failure.worker} did not gracefully exit while processing {job}"
        return "Resque::PruneDeadWorkerDirtyExit", sentence, ()
    return dying(cause), last_words(cause), ()


def dying(crash: Crash) -> str:
    """The exception class that stands for the death of a job's process."""
    return _NAMED_FOR.get(crash.ended, "Resque::DirtyExit")


_NAMED_FOR = {"timeout": "taskq.errors.JobTimeout", "cancel": "taskq.errors.JobCancelled"}


def last_words(crash: Crash) -> str:
    """How a process died, in the words of Ruby's parent, where it has words for it (WIRE.md section 5)."""
    where = "" if crash.pid is None else f" (pid {crash.pid})"
    if crash.ended == "timeout":
        limit = "" if crash.limit is None else f" of {crash.limit:g} s"
        return f"The job went over its time limit{limit} and did not end when told to; its process{where} was killed"
    if crash.ended == "cancel":
        return f"Cancelled by {crash.by or 'somebody'}; its process{where} was killed"
    if crash.signal is not None:
        pid = "" if crash.pid is None else f"pid {crash.pid} "
        return f"Child process received unhandled signal {pid}{_signal(crash.signal)}"
    if crash.status is not None:  # Ruby writes no entry at all for this end
        return f"Child process exited with status {crash.status} without finishing the job{where}"
    if crash.worker_lost or not crash.ended:
        return "Job still being processed"
    who = "The worker's process" if crash.pid is None else "Child process"
    return f"{who} ended without finishing the job: {_WHY_ENDED[crash.ended]}"


_WHY_ENDED = {
    "shutdown": "the worker was told to stop, and its time was over",
    "kill": "USR1 asked for it",
    "cancel": "it was cancelled",
}


def _signal(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:  # a realtime signal has no name of its own
        return f"signal {number}"


def _payload(failure: Failure) -> bytes:
    if failure.payload is not None:
        return failure.body
    try:
        value = envelope.parse(failure.body)
    except InvalidPayload:
        value = None
    # An object with a key "raw" could be taken for our own way of keeping bytes, so it is kept that way itself.
    if isinstance(value, dict) and "raw" not in value:
        return failure.body
    return b'{"class":"","args":[],"raw":"' + base64.b64encode(failure.body) + b'"}'


def _frames(backtrace: Sequence[str], most: int) -> bytes:
    """The frames as JSON with commas between, their middle left out where they would take more than `most` bytes."""
    head: list[bytes] = []
    tail: list[bytes] = []
    first, last = 0, len(backtrace)
    room = most - 64  # for the line that says what was cut
    while first < last:
        from_head = len(head) <= len(tail)
        frame = _quoted(_fitted(backtrace[first if from_head else last - 1], _LINE))
        room -= len(frame) + 1
        if room < 0:
            head.append(_quoted(f"... {last - first} frames cut ..."))
            break
        if from_head:
            head.append(frame)
            first += 1
        else:
            tail.append(frame)
            last -= 1
    return b",".join((*head, *reversed(tail)))


def _fitted(text: str, most: int) -> str:
    """The text without lone surrogates, its middle cut where its JSON would take more than `most` bytes."""
    if len(text) <= most:
        clean = _clean(text)
        if len(_quoted(clean)) <= most:
            return clean
    keep = min(len(text), most)
    while True:
        head, tail = text[: keep * 3 // 4], text[len(text) - keep // 4 :]
        cut = _clean(f"{head} [... {len(text) - len(head) - len(tail):,} characters cut ...] {tail}")
        size = len(_quoted(cut))
        if size <= most or keep == 0:
            return cut
        # One character may take six bytes; each round comes nearer from above, and always nearer.
        keep = max(0, min(keep - 64, keep * most // size))


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _quoted(text: str) -> bytes:
    return envelope.dump(text).encode()


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FailedJob:
    """An entry of a failed list, read as far as it can be.

    Attributes:
        position: its place in the list when it was read, 0 the oldest. It shifts as others remove.
        queue: whose failed list it is in; None for the common one.
        entry: its bytes; what it is addressed by.
        failed_at: when it failed, as it is written there: its zone is a name, so it is text (WIRE.md section 11).
        payload: the job; None where it cannot be read.
        body: the payload's bytes, exact but for white space around them; None where the entry has none.
        exception: the exception's class.
        error: its message.
        backtrace: the frames.
        worker: the id of the worker that had it.
        job_queue: the queue it came from, and goes to when it is requeued.
        quarantined: why it should not be performed again as it is; empty where nobody said so.
        retried_at: when it was last requeued, as it is written there; None where it was not.
        why_not: why it cannot be requeued; empty where it can.
    """

    position: int
    queue: str | None
    entry: bytes
    failed_at: str = ""
    payload: Payload | None = None
    body: bytes | None = None
    exception: str = ""
    error: str = ""
    backtrace: tuple[str, ...] = ()
    worker: str = ""
    job_queue: str = ""
    quarantined: str = ""
    retried_at: str | None = None
    why_not: str = ""

    @property
    def requeueable(self) -> bool:
        """Whether it can be requeued; `why_not` says why not."""
        return not self.why_not

    @property
    def at(self) -> float | None:
        """When it failed, in unix seconds, as far as that can be told; None where it cannot."""
        return dates.parse_failed_at(self.failed_at) if self.failed_at else None


@dataclass(frozen=True, slots=True)
class Glance:
    """What a search needs of an entry: a tenth of the time that `decode` takes.

    Attributes:
        job: the job's name; empty where it cannot be read.
        queue: the queue that it came from.
        exception: the exception's class.
        error: its message.
        failed_at: as it is written there.
        retried: whether it was requeued.
    """

    job: str
    queue: str
    exception: str
    error: str
    failed_at: str
    retried: bool

    @property
    def at(self) -> float | None:
        """When it failed, in unix seconds; None where that cannot be told."""
        return dates.parse_failed_at(self.failed_at) if self.failed_at else None


def decode(stored: StoredFailure) -> FailedJob:
    """What an entry says, whoever wrote it. Never raises, whatever its bytes are."""
    try:
        found = {member.key: member for member in _members(stored.entry)}
    except ValueError as wrong:
        return FailedJob(stored.position, stored.queue, stored.entry, why_not=f"The entry cannot be read: {wrong}.")
    values = {key: member.value for key, member in found.items()}
    body, payload, why_not = _job(found.get("payload"))
    if not why_not and not ("queue" in found and found["queue"].written.startswith('"')):
        why_not = "The entry does not say which queue the job came from."
    return FailedJob(
        position=stored.position,
        queue=stored.queue,
        entry=stored.entry,
        failed_at=_text(values.get("failed_at")),
        payload=payload,
        body=body,
        exception=_text(values.get("exception")),
        error=_text(values.get("error")),
        backtrace=_lines(values.get("backtrace")),
        worker=_text(values.get("worker")),
        job_queue=_text(values.get("queue")),
        quarantined=_text(values.get("quarantined")),
        retried_at=_text(values["retried_at"]) if values.get("retried_at") is not None else None,
        why_not=why_not,
    )


_parse = json.JSONDecoder(strict=False).decode


def glance(entry: bytes) -> Glance:
    """What an entry says to a search. Never raises, and says what `decode` says."""
    try:
        found = None if envelope.too_deep(entry, envelope.MAX_DEPTH + 1) else _parse(entry.decode())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return _carefully(entry)
    payload = found.get("payload")
    job = payload.get("class") if isinstance(payload, dict) else None
    texts = [found.get(key, "") for key in ("queue", "exception", "error", "failed_at")]
    # What is out of the ordinary: a payload kept as bytes, an escaped surrogate, a number where a text belongs.
    if not job or not all(type(text) is str for text in (job, *texts)) or b"\\ud" in entry or b"\\uD" in entry:
        return _carefully(entry)
    queue, exception, error, failed_at = texts
    return Glance(job, queue, exception, error, failed_at, found.get("retried_at") is not None)


def _carefully(entry: bytes) -> Glance:
    failed = decode(StoredFailure(0, entry))
    job = failed.payload.job if failed.payload is not None else ""
    return Glance(
        job, failed.job_queue, failed.exception, failed.error, failed.failed_at, failed.retried_at is not None
    )


_RETRIED = b',"retried_at":'


def before_retry(entry: bytes) -> bytes:
    """An entry as it was before it was first marked as retried: that is its last key then (WIRE.md section 7)."""
    head, marked, _ = entry.rpartition(_RETRIED)
    return head + b"}" if marked else entry


def mark_retried(entry: bytes, at: float, *, zone: bool = True) -> bytes:
    """The entry with `retried_at` as its last key, all else as it is (WIRE.md section 7).

    Args:
        entry: the entry's bytes.
        at: when, in unix seconds by the broker's clock.
        zone: with the zone's name, as in the common list; False for a queue's own, as Ruby's RedisMultiQueue writes it.

    Raises:
        ValueError: the entry is no JSON object. One that `decode` calls requeueable is.
    """
    texts = [member.text for member in _members(entry) if member.key != "retried_at"]
    return join([*texts, f'"retried_at":{envelope.dump(dates.failed_at(at, zone=zone))}'])


def _members(entry: bytes) -> list[Member]:
    """An entry's members; it is a level deeper than the payload in it. Raises ValueError where it is no object."""
    return members(entry, most=envelope.MAX_DEPTH + 1)


def _job(member: Member | None) -> tuple[bytes | None, Payload | None, str]:
    """The payload's bytes, the payload, and why it cannot be requeued."""
    if member is None:
        return None, None, "The entry has no payload."
    body = member.written.encode()
    value = member.value
    if isinstance(value, dict) and list(value) == ["class", "args", "raw"] and value["class"] == "":
        try:
            body = base64.b64decode(value["raw"], validate=True)
        except (binascii.Error, ValueError, TypeError):
            pass
    try:
        return body, envelope.decode(body), ""
    except InvalidPayload as wrong:
        return body, None, str(wrong)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return _clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _lines(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(line) for line in value)
    return tuple(_text(value).splitlines())
