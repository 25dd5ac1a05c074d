"""The interface that encodes arguments. The envelope around them is always JSON (see `taskq.envelope`)."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Serializer"]


class Serializer(Protocol):
    """Encodes the arguments of a call and gives back equal ones. It has no state and is safe in every thread."""

    name: str
    """The name of its entry point, and the tag that marks its text on the wire."""

    def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
        """The JSON text of the list that goes into the envelope as `args`.

        JSON encodes in place; another serializer gives a list of one tagged text. What would not come back equal is
        refused.

        Args:
            job: the job's name, for the error.
            names: a name for each argument, for the error; `args[3]` where the signature has none.
            args: the arguments, keyword-only ones already in the last.

        Raises:
            UnserializableArgument: naming the argument, its type, and what to send instead.
        """
        ...

    def loads(self, args: list[object]) -> tuple[object, ...] | None:
        """The arguments that `dumps` made this list of; None where the list is not this serializer's.

        Raises:
            InvalidPayload: it bears this serializer's tag but cannot be read.
        """
        ...
