"""How performing a job ended: a closed union, and its form on the pipe between a child and its parent.

What crosses is text and numbers, never an object of the job's.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from taskq.failure_handler import Decision, Discard, Fail, Quarantine, Retry
from taskq.records import Crash, ErrorRecord

__all__ = ["Crashed", "Done", "Failed", "NotBegun", "Outcome", "Postponed", "dump", "load"]


class Done(NamedTuple):  # made for every job, in half the time of a frozen dataclass
    """It returned. `seconds` is how long it took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """It raised, or could not be performed at all.

    Attributes:
        error: what it raised.
        decision: what the failure handlers decided.
        seconds: how long it took.
    """

    error: ErrorRecord
    decision: Decision
    seconds: float


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process that performed it is gone.

    Attributes:
        crash: how it went.
        decision: what the failure handlers decided, in the process that found it.
        seconds: from handing over to the end.
    """

    crash: Crash
    decision: Decision
    seconds: float


@dataclass(frozen=True, slots=True)
class NotBegun:
    """Nothing of it ran, for there was no process to run it: it goes back to where it was.

    Attributes:
        reason: why; a sentence's end.
        waits: it is another job that keeps this one from running here: it goes behind what is in its queue, which may
            run meanwhile.
    """

    reason: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Postponed:
    """It is to be performed later, and was not by now: a hook said so, it did itself, or nobody here knows it.

    Attributes:
        seconds: how much later.
        reason: why; a sentence's end.
        body: the bytes that go back.
    """

    seconds: float
    reason: str
    body: bytes


Outcome: TypeAlias = Done | Failed | Crashed | Postponed | NotBegun

_DECISIONS: dict[str, type[Decision]] = {kind.__name__: kind for kind in (Retry, Discard, Fail, Quarantine)}


def dump(outcome: Done | Failed | Postponed) -> bytes:
    """One line of JSON for the pipe."""
    if isinstance(outcome, Done):
        return b'{"done":%a}\n' % outcome.seconds
    if isinstance(outcome, Postponed):
        later = {"postponed": outcome.seconds, "reason": outcome.reason, "body": _text(outcome.body)}
        return json.dumps(later).encode() + b"\n"
    decision = {
        field.name: _text(getattr(outcome.decision, field.name)) for field in dataclasses.fields(outcome.decision)
    }
    message = {
        "error": dataclasses.asdict(outcome.error),
        "decision": type(outcome.decision).__name__,
        "facts": decision,
        "seconds": outcome.seconds,
    }
    return json.dumps(message).encode() + b"\n"


def load(line: bytes) -> Done | Failed | Postponed | None:
    """What `dump` wrote; None where it is not that: its writer died while it wrote, or a job wrote there itself."""
    first, end, _ = line.partition(b"\n")
    if not end:
        return None
    try:
        return _loaded(json.loads(first))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Whoever reads this must outlive whatever a job does.
        return None


def _loaded(message: dict[str, Any]) -> Done | Failed | Postponed:
    if "done" in message:
        return Done(message["done"])
    if "postponed" in message:
        body = base64.b64decode(message["body"], validate=True)
        return Postponed(float(message["postponed"]), str(message["reason"]), body)
    error = message["error"]
    facts = dict(message["facts"])
    if facts.get("body") is not None:
        facts["body"] = base64.b64decode(facts["body"], validate=True)
    return Failed(
        ErrorRecord(**{**error, "backtrace": tuple(error["backtrace"]), "kinds": tuple(error["kinds"])}),
        _DECISIONS[message["decision"]](**facts),
        message["seconds"],
    )


def _text(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
