"""What is kept of a job, under `result:ID`: a JSON object. What it returned is in it as its serializer encoded it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from taskq import envelope
from taskq.errors import InvalidPayload, UnserializableArgument
from taskq.serializer import Serializer

__all__ = ["Record", "State", "decoded", "encoded", "key_of"]

State: TypeAlias = Literal["queued", "running", "done", "failed"]

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
    """

    state: State
    progress: tuple[float, float | None] | None = None
    result: str | None = None
    problem: str = ""
    error: tuple[str, str] | None = None

    def dump(self) -> bytes:
        """As it is kept."""
        facts = {
            "progress": self.progress,
            "result": self.result,
            "problem": self.problem or None,
            "error": self.error,
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
            )
        except (ValueError, KeyError, TypeError):
            return None


def encoded(job: str, value: object, serializer: Serializer, most: int) -> Record:
    """The record of a job that returned this."""
    try:
        text = serializer.dumps(job, ("result",), (value,))
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
