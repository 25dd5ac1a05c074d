"""What is kept of a job, under `result:ID`: a JSON object. What it returned is in it as its serializer encoded it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from taskq import envelope
from taskq.errors import InvalidPayload, UnserializableArgument
from taskq.serializer import Serializer

__all__ = [
    "Record", "State", "begun", "decoded", "encoded", "key_of", "lost", "not_requeued", "put_back", "requeued",
    "returned",
]  # fmt: skip

State: TypeAlias = Literal["queued", "running", "done", "failed"]

_CLAIMS_MOST: Final = 8
_STATES: Final = frozenset(get_args(State))


def key_of(job: str) -> str:
    """Where it is kept, of the job with this id."""
    return f"result:{job}"


@dataclass(frozen=True, slots=True)
class Record:
    """How a job stands.

    Attributes:
        state: that.
        progress: how much of how much is done, as the job said last; None where it did not.
        result: what it returned, as JSON; None where that is not kept.
        problem: why it is not; empty where it is, or there is nothing yet.
        error: the class of what it failed with, and its message; None where it did not.
        run: the fence of the reservation whose doing this is: it tells one performing of the job from the next.
        worker: the id of the worker that has it, while it runs.
        claims: the marks of those who are about to requeue it, or did: of several side by side it is one.
        before: what was kept before the first of them, and until when, by the broker's clock.
    """

    state: State
    progress: tuple[float, float | None] | None = None
    result: str | None = None
    problem: str = ""
    error: tuple[str, str] | None = None
    run: str = ""
    worker: str = ""
    claims: tuple[str, ...] = ()
    before: tuple[str, float] | None = None

    def dump(self) -> bytes:
        """As it is kept."""
        facts = {
            "progress": self.progress,
            "result": self.result,
            "problem": self.problem or None,
            "error": self.error,
            "run": self.run or None,
            "worker": self.worker or None,
            "claims": self.claims or None,
            "before": self.before,
        }
        said = {"state": self.state, **{name: value for name, value in facts.items() if value is not None}}
        return json.dumps(said).encode()

    @classmethod
    def load(cls, kept: bytes | None) -> Record | None:
        """What is kept; None where it is nothing of ours."""
        if kept is None:
            return None
        try:
            said = json.loads(kept)
            if said["state"] not in _STATES:
                return None
            return cls(
                said["state"],
                tuple(said["progress"]) if "progress" in said else None,
                said.get("result"),
                said.get("problem", ""),
                tuple(said["error"]) if "error" in said else None,
                str(said.get("run", "")),
                str(said.get("worker", "")),
                tuple(said.get("claims", ())),
                tuple(said["before"]) if "before" in said else None,
            )
        except (ValueError, KeyError, TypeError):
            return None


# What becomes of a record where a performing of the job begins or ends, told by its run. Whoever tells may be late: the
# job may have been taken from him, and performed again since. None where it says nothing any more.


def begun(kept: Record | None, run: str, worker: str) -> Record | None:
    """It is performed now."""
    if kept is not None and run and kept.run == run and kept.state != "running":
        return None  # this worker was taken for dead, and its job settled, before it noted that it began
    return Record("running", run=run, worker=worker)


def returned(kept: Record | None, new: Record) -> Record | None:
    """What it returned; or how far it is, where `new` says that it runs."""
    if kept is None or (kept.state == "running" and kept.run == new.run):
        return new
    return new if kept.state == "queued" and kept.run != new.run else None  # that it began could not be noted


def lost(kept: Record | None, new: Record) -> Record | None:
    """It failed, and is not tried again."""
    return None if kept is not None and kept.run != new.run and kept.state in {"running", "done"} else new


def put_back(kept: Record | None, run: str) -> Record | None:
    """It waits again: tried again, or postponed."""
    if kept is None or (kept.run == run and kept.state in {"running", "done"}):
        return Record("queued", run=run)
    return kept if kept.state == "queued" else None


def requeued(kept: bytes, mark: str, until: float) -> Record | None:
    """It failed, and somebody with this mark is about to put it into a queue again; what was kept holds until then."""
    said = Record.load(kept)
    if said is None:
        return Record("queued", claims=(mark,))
    if len(said.claims) >= _CLAIMS_MOST:
        return Record("queued")  # so many, of whom nobody took back his own, have it wait, whatever becomes of this one
    if said.claims:
        return replace(said, claims=(*said.claims, mark))
    return Record("queued", claims=(mark,), before=(kept.decode(), until)) if said.state in {"failed", "done"} else None


def not_requeued(kept: Record | None, mark: str) -> Record | tuple[str, float] | None:
    """He has not: what is to be kept then, or what was before, and until when. None where his is there no more."""
    if kept is None or mark not in kept.claims:
        return None
    claims = tuple(each for each in kept.claims if each != mark)
    return replace(kept, claims=claims) if claims else kept.before or ("", 0.0)


def encoded(job: str, value: object, serializer: Serializer, most: int) -> Record:
    """The record of a job that returned this. A tuple is kept as a list: JSON has none."""
    try:
        try:
            text = serializer.dumps(job, ("result",), (value,))
        except UnserializableArgument as error:
            if error.type_name != "tuple":
                raise
            text = serializer.dumps(job, ("result",), (_listed(value),))
    except UnserializableArgument as error:
        return Record(
            "done", problem=f"it returned a value of type {error.type_name}, which {error.serializer} has not"
        )
    if len(text.encode()) > most:
        return Record("done", problem=f"what it returned takes {len(text.encode()):,} bytes, more than {most:,}")
    return Record("done", result=text)


def decoded(text: str, serializers: Mapping[str, Serializer]) -> object:
    """What a job returned.

    Raises:
        InvalidPayload: it cannot be read here; the message says why.
    """
    args = envelope.parse(text.encode())
    if not isinstance(args, list):
        raise InvalidPayload("What is kept is no result.")
    values: list[object] = list(args)
    tag = envelope.tag(values)
    if tag is None:
        [value] = values
        return value
    if tag not in serializers:
        raise InvalidPayload(f'It is in the serializer "{tag}", which is not accepted here: accept=[...].')
    loaded = serializers[tag].loads(values)
    if loaded is None or len(loaded) != 1:
        raise InvalidPayload(f'The serializer "{tag}" does not find its own bytes in it.')
    return loaded[0]


def _listed(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_listed(one) for one in value]
    return {key: _listed(one) for key, one in value.items()} if isinstance(value, dict) else value
