"""The jobs that are registered here, as an operator reads them: what each takes, does, and says of itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from taskq.definition import JobDefinition

__all__ = ["JobInfo", "Parameter", "described"]

Kind: TypeAlias = Literal["position", "keyword", "several", "named"]

_KINDS: Final[Mapping[object, Kind]] = {
    inspect.Parameter.POSITIONAL_ONLY: "position",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "position",
    inspect.Parameter.VAR_POSITIONAL: "several",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "named",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a job takes: one parameter.

    Attributes:
        name: its name.
        kind: whether its arguments are given by position, by keyword only, or it takes any number of them: `several`
            by position, `named` by keyword.
        annotation: its type as it was written; empty where it has none.
        default: what is taken where nothing is given, as Python writes it; None where something must be.
    """

    name: str
    kind: Kind
    annotation: str
    default: str | None


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A registered job.

    Attributes:
        name: its name on the wire.
        aliases: further names that it is performed under.
        queue: where it goes when a call does not say.
        signature: what it takes, as it was written.
        parameters: the same, one by one.
        doc: its docstring; empty where it has none.
        is_async: whether it is an `async def`.
        secret: the parameters whose arguments are never shown.
        timeout: the seconds that it may take; None for as long as it takes.
        on_crash: how often it is requeued when its process dies; None where the worker's setting holds.
        options: what it said for the options that hooks declare.
        target: where it was written, `module:qualified.name`.
    """

    name: str
    aliases: tuple[str, ...]
    queue: str
    signature: str
    parameters: tuple[Parameter, ...]
    doc: str
    is_async: bool
    secret: tuple[str, ...]
    timeout: float | None
    on_crash: int | None
    options: Mapping[str, str]
    target: str


def described(definition: JobDefinition) -> JobInfo:
    """A job as it may be read."""
    return JobInfo(
        name=definition.name,
        aliases=definition.aliases,
        queue=definition.queue,
        signature=str(definition.signature),
        parameters=tuple(map(_parameter, definition.signature.parameters)),
        doc=definition.doc,
        is_async=definition.is_async,
        secret=tuple(sorted(definition.secret)),
        timeout=definition.timeout,
        on_crash=definition.on_crash,
        options={name: repr(value) for name, value in definition.options.items()},
        target=definition.target,
    )


def _parameter(parameter: inspect.Parameter) -> Parameter:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        annotation = ""
    return Parameter(
        parameter.name,
        _KINDS[parameter.kind],
        annotation if isinstance(annotation, str) else inspect.formatannotation(annotation),
        None if parameter.default is parameter.empty else repr(parameter.default),
    )
