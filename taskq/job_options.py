"""What may be said of a job or a call beside its arguments: taskq's own options, and those that enabled hooks declare.

This module knows no job and no broker; it says which options there are and whether a value is one of theirs.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from taskq.errors import ConfigurationError, JobDefinitionError, Problem, UnknownOption, WrongTime

if TYPE_CHECKING:  # with datetime, which most callers do not need
    from taskq.due import When

__all__ = ["OF_A_JOB", "CallOptions", "KnownOptions", "check_queue", "option_value"]

T = TypeVar("T")

OF_A_JOB: Final[Mapping[str, str]] = {"taskq": "of a job"}
"""For `dataclasses.field(metadata=...)` of a declared option: only `@taskq.job(...)` may say it, no single call.

What a call says is known where it is enqueued and does not travel; a worker hears what the job said.
"""

OF_A_CALL: Final = ("at", "connection", "delay", "front", "queue")
_OF_A_JOB: Final = (
    "aliases", "args", "cron", "every", "missed", "name", "on_crash", "queue", "registry", "secret", "timeout", "tz",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call says of itself.

    Attributes:
        queue: where it goes; None for the job's own queue.
        front: whether it goes ahead of what waits there.
        declared: values for options that hooks declare, by name.
        connection: whose transaction it is to be a part of; None for a push of its own.
        at: when it goes into its queue; None for at once.

    Raises:
        WrongTime: it is to wait, and to go ahead of what waits.
    """

    queue: str | None = None
    front: bool = False
    declared: Mapping[str, object] = field(default_factory=dict)
    connection: object | None = None
    at: When | None = None

    def __post_init__(self) -> None:
        if self.queue is not None:
            check_queue(self.queue)
        if self.front and self.at is not None:
            raise WrongTime(
                "front=True and a time were both said, and a delayed job goes to the end of its queue when it is due.",
                "Leave one of them out.",
            )


def option_value(kind: type[T]) -> type[T]:
    """A dataclass whose instances are an option's value, such that a keyword it does not know names those it knows.

        @option_value
        @dataclass(frozen=True)
        class Retry: ...

    Raises:
        UnknownOption: by `Retry(atempts=5)`, where the job is defined.
    """
    made = kind.__init__
    known = [entry.name for entry in fields(kind) if entry.init]  # type: ignore[arg-type]  # it is a dataclass

    @functools.wraps(made)
    def checked(self: object, *args: object, **kwargs: object) -> None:
        for name in kwargs:
            if name not in known:
                raise UnknownOption(name, known, f"{kind.__name__}(...)", "")
        made(self, *args, **kwargs)

    kind.__init__ = checked  # type: ignore[method-assign]  # the signature stays what it was
    return kind


def check_queue(queue: str) -> None:
    """Return where this can be the name of a queue: any text that UTF-8 can carry.

    Raises:
        TypeError: it is no text.
        ValueError: it has a lone surrogate.
    """
    if not isinstance(queue, str):
        raise TypeError(f"A queue's name is a string, not {type(queue).__name__}.")
    try:
        queue.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{queue!a} cannot be a queue's name: it has a lone surrogate, which is no text.") from None


class KnownOptions:
    """The options that a list of enabled hooks declares.

    Args:
        hooks: the hooks; the attribute `options` of each is a dataclass, or None.

    Raises:
        ConfigurationError: two of them declare the same option, or one declares a name that is taskq's own.
    """

    __slots__ = ("_declaring", "_of_a_job")

    def __init__(self, hooks: Sequence[object]) -> None:
        self._declaring: dict[str, type] = {}
        self._of_a_job: set[str] = set()
        taken = dict.fromkeys((*OF_A_CALL, *_OF_A_JOB), "taskq itself")
        problems = []
        for hook in hooks:
            declared = getattr(hook, "options", None)
            if declared is None:
                continue
            name = getattr(hook, "name", "") or type(hook).__name__
            if not (isinstance(declared, type) and is_dataclass(declared)):
                problems.append(Problem("hooks", "hooks", f"{name}.options is no dataclass, but {declared!r}."))
                continue
            for entry in fields(declared):
                option = entry.name
                if entry.metadata.get("taskq") == OF_A_JOB["taskq"]:
                    self._of_a_job.add(option)
                if option in taken:
                    message = f'{name} declares the option "{option}", which is {taken[option]}\'s already.'
                    problems.append(Problem("hooks", "hooks", message))
                else:
                    taken[option] = name
                    self._declaring[option] = declared
        if problems:
            raise ConfigurationError(problems)

    def check(self, options: Mapping[str, object], where: str, *, own: Sequence[str] = OF_A_CALL) -> None:
        """Return where every option is declared and every value is of its type.

        Args:
            options: values by name, taskq's own not among them.
            where: who said them, for the error.
            own: taskq's own options there, for the list of what is known.

        Raises:
            UnknownOption: no enabled hook declares one of them.
            JobDefinitionError: a value is of another type than was declared, or a call says what only a job can.
        """
        for name, value in options.items():
            declaring = self._declaring.get(name)
            if declaring is None:
                raise UnknownOption(name, (*own, *self._declaring), where)
            if own is OF_A_CALL and name in self._of_a_job:
                raise JobDefinitionError(
                    f'{where}: the option "{name}" is not a call\'s to say: where the job is performed nobody would '
                    f"know it. Say it of the job: @taskq.job({name}=...)."
                )
            hint = _hints(declaring).get(name, Any)
            if not _fits(value, hint):
                expected = hint.__name__ if isinstance(hint, type) else str(hint)
                raise JobDefinitionError(
                    f'{where}: the option "{name}" takes {expected}, and was given {type(value).__name__}.'
                )

    def check_definition(self, options: Mapping[str, object], where: str) -> None:
        """As `check`, for what was said in `@taskq.job(...)`."""
        self.check(options, where, own=_OF_A_JOB)


def _hints(declaring: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(declaring)
    except NameError:  # a type that is imported for type checkers only: nothing to compare with
        return {}


def _fits(value: object, hint: Any) -> bool:
    if hint is None or hint is types.NoneType:
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type):
        try:
            return isinstance(value, hint)
        except TypeError:  # Any, and protocols that say nothing at run time
            return True
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is typing.Annotated:
        return _fits(value, typing.get_args(hint)[0])
    if origin is typing.Literal:
        return any(value == option and type(value) is type(option) for option in typing.get_args(hint))
    return isinstance(value, origin) if isinstance(origin, type) else True
