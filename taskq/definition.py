"""What is known of a job once it is defined: its names, its queue, what performs it, and its own hook methods.

This module knows neither applications nor brokers; `taskq.jobs` makes these records, `taskq.registry` keeps them.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import FunctionType
from typing import TYPE_CHECKING, TypeAlias

from taskq.errors import JobDefinitionError, WrongCall
from taskq.job_options import check_queue
from taskq.on_crash import OnCrash, times
from taskq.signature import Signature
from taskq.spans import is_seconds

if TYPE_CHECKING:  # few jobs recur
    from datetime import timedelta

__all__ = ["ClassMethods", "JobDefinition", "Method", "Recurs", "of_class", "of_function", "recurring"]

Method: TypeAlias = Callable[..., object]


@dataclass(frozen=True, slots=True)
class ClassMethods:
    """The hook methods that a job's class has, as Resque knows them: by prefix, sorted by name (WIRE.md 2, 4, 9).

    A field holds every static or class method whose name begins with the field's, ready to be called with the job's
    arguments (`on_failure` with the exception first). A job that is a function has none.
    """

    before_enqueue: tuple[Method, ...] = ()
    after_enqueue: tuple[Method, ...] = ()
    before_schedule: tuple[Method, ...] = ()
    after_schedule: tuple[Method, ...] = ()
    before_dequeue: tuple[Method, ...] = ()
    after_dequeue: tuple[Method, ...] = ()
    before_perform: tuple[Method, ...] = ()
    around_perform: tuple[Method, ...] = ()
    after_perform: tuple[Method, ...] = ()
    on_failure: tuple[Method, ...] = ()


@dataclass(frozen=True, slots=True)
class Recurs:
    """When a job is enqueued again and again, as its decorator said it; see `taskq.job`.

    Attributes:
        cron: a cron expression; None where it is every so often.
        tz: the time zone of that; None where it did not say.
        every: the seconds from one to the next; None where it is by cron.
        args: its arguments, as they travel.
        missed: what becomes of a tick at which no scheduler ran: `once` or `skip`.
    """

    cron: str | None
    tz: str | None
    every: float | None
    args: tuple[object, ...]
    missed: str


@dataclass(frozen=True, slots=True, eq=False)
class JobDefinition:
    """A job, defined.

    Attributes:
        name: its name on the wire, the payload's `class`.
        aliases: further names that it is performed under: its old ones.
        queue: where it goes when a call does not say.
        target: where it was written, `module:qualified.name`.
        function: what performs it, to be called with what `signature.unbind` gives. It returns an awaitable where
            `is_async`.
        is_async: whether it is an `async def`.
        signature: what it takes.
        secret: the parameters whose arguments are shown as `[secret]`.
        on_crash: how often it is requeued when its process dies; None where it did not say.
        timeout: the seconds that it may take; None for as long as it takes.
        options: what it said for the options that hooks declare.
        methods: its class's own hook methods.
        source: the file it was written in; empty where that is not known.
        recurs: when it is enqueued again and again; None where it is not.
        written: what was written: the function, or the class.
    """

    name: str
    aliases: tuple[str, ...]
    queue: str
    target: str
    function: Callable[..., object]
    is_async: bool
    signature: Signature
    secret: frozenset[str] = frozenset()
    on_crash: int | None = None
    timeout: float | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    methods: ClassMethods = ClassMethods()
    source: str = ""
    recurs: Recurs | None = None
    written: object = None

    @property
    def doc(self) -> str:
        """Its docstring, or that of its method `perform`; empty where there is none."""
        own = vars(self.written).get("__doc__") if isinstance(self.written, type) else None
        text = own or getattr(getattr(self.written, "perform", self.written), "__doc__", None)
        return inspect.cleandoc(text) if isinstance(text, str) else ""

    def shown(self, args: tuple[object, ...]) -> tuple[object, ...]:
        """The arguments of a payload as they may be shown to people."""
        return self.signature.shown(args, self.secret)

    def is_same(self, other: JobDefinition) -> bool:
        """Whether the same source was executed again: a module reloaded, or imported once more as `__main__`."""
        if self.target == other.target:
            return True
        ours, theirs = self.target.partition(":")[2], other.target.partition(":")[2]
        return ours == theirs and self.source == other.source != ""


def of_function(
    function: Callable[..., object],
    *,
    name: str | None,
    aliases: tuple[str, ...],
    queue: str | None,
    secret: tuple[str, ...],
    on_crash: OnCrash | None,
    timeout: float | None,
    options: Mapping[str, object],
) -> JobDefinition:
    """The definition of a job that is a function.

    Raises:
        JobDefinitionError: it cannot be a job as it was written.
    """
    return _definition(
        written=function,
        function=function,
        signature_of=function,
        skip=0,
        name=name,
        aliases=aliases,
        queue=queue,
        secret=secret,
        on_crash=on_crash,
        timeout=timeout,
        options=options,
        methods=ClassMethods(),
    )


def of_class(
    owner: type,
    *,
    name: str | None,
    aliases: tuple[str, ...],
    queue: str | None,
    secret: tuple[str, ...],
    on_crash: OnCrash | None,
    timeout: float | None,
    options: Mapping[str, object],
) -> JobDefinition:
    """The definition of a job that is a class with `perform`: a static, class or instance method.

    An instance is made without arguments for each performing.

    Raises:
        JobDefinitionError: it cannot be a job as it was written.
    """
    where = _target(owner)
    perform = getattr(owner, "perform", None)
    if not callable(perform):
        raise JobDefinitionError(f"{where} has no method perform; a class that is a job needs one.")
    if queue is None:
        queue = getattr(owner, "queue", None)
        if queue is not None and not isinstance(queue, str):
            raise JobDefinitionError(
                f"{where}.queue is of type {type(queue).__name__}; a job's queue is a string. "
                "Or say @taskq.job(queue=...)."
            )
    of_instance = isinstance(inspect.getattr_static(owner, "perform"), FunctionType)
    function = perform
    if of_instance:
        _takes_self(perform, where)
        _made_without_arguments(owner, where)

        def function(*args: object, **kwargs: object) -> object:
            return owner().perform(*args, **kwargs)

    return _definition(
        written=owner,
        function=function,
        signature_of=perform,
        skip=1 if of_instance else 0,
        name=name,
        aliases=aliases,
        queue=queue,
        secret=secret,
        on_crash=on_crash,
        timeout=timeout,
        options=options,
        methods=_methods(owner, where),
    )


def recurring(
    definition: JobDefinition,
    *,
    cron: str | None,
    tz: str | None,
    every: timedelta | float | None,
    args: Sequence[object],
    missed: str | None,
) -> JobDefinition:
    """The definition of a job that recurs; the same one where nothing of that was said.

    Raises:
        JobDefinitionError: it cannot recur as it was written.
    """
    if cron is None and every is None:
        if tz is not None or args or missed is not None:
            raise JobDefinitionError(
                f"{definition.target}: tz, args and missed are of a job that recurs; neither cron nor every is said."
            )
        return definition
    from datetime import timedelta

    from taskq.recurring import NeedsExtra
    from taskq.schedule_entry import WrongSchedule, made

    missed = "once" if missed is None else missed
    try:
        bound = definition.signature.bind(tuple(args), {})
        made(definition.name, definition.name, cron=cron, tz=tz, every=every, args=bound, missed=missed)
    except WrongCall as wrong:
        raise JobDefinitionError(
            f"{definition.target}: args of its recurring: {definition.name}() {wrong.reason}."
        ) from None
    except WrongSchedule as wrong:
        # Whoever only enqueues need not have what reads the rule; a scheduler says that it needs it.
        if not isinstance(wrong.__cause__, NeedsExtra):
            raise JobDefinitionError(f"{definition.target}: {wrong}") from None
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    return dataclasses.replace(definition, recurs=Recurs(cron, tz, seconds, bound, missed))


def _definition(
    *,
    written: type | Callable[..., object],
    function: Callable[..., object],
    signature_of: Callable[..., object],
    skip: int,
    name: str | None,
    aliases: tuple[str, ...],
    queue: str | None,
    secret: tuple[str, ...],
    on_crash: OnCrash | None,
    timeout: float | None,
    options: Mapping[str, object],
    methods: ClassMethods,
) -> JobDefinition:
    where = _target(written)
    if name is None:
        name = getattr(written, "__name__", "")
        if name == "<lambda>":
            name = ""
    for said in (name, *aliases):
        if not isinstance(said, str) or not said:
            raise JobDefinitionError(f'{where}: a job needs a name that is not empty: @taskq.job(name="...").')
    if queue is not None:
        if not queue:
            raise JobDefinitionError(f"{where}: jobs must be placed onto a queue; its name is empty.")
        try:
            check_queue(queue)
        except (TypeError, ValueError) as error:
            raise JobDefinitionError(f"{where}: {error}") from None
    if inspect.isgeneratorfunction(signature_of) or inspect.isasyncgenfunction(signature_of):
        raise JobDefinitionError(f"{where} is a generator: calling it would perform nothing. Take the `yield` out.")
    signature = Signature(name, signature_of, skip=skip)
    unknown = signature.unknown(secret)
    if unknown:
        raise JobDefinitionError(
            f'{where}: secret names "{unknown[0]}", which is no parameter. Signature: {name}{signature}.'
        )
    try:
        requeued = None if on_crash is None else times(on_crash)
    except ValueError as error:
        raise JobDefinitionError(f"{where}: {error}.") from None
    return JobDefinition(
        name=name,
        aliases=aliases,
        queue="default" if queue is None else queue,
        target=where,
        function=function,
        is_async=inspect.iscoroutinefunction(signature_of),
        signature=signature,
        secret=frozenset(secret),
        on_crash=requeued,
        timeout=None if timeout is None else _seconds(timeout, where),
        options=dict(options),
        methods=methods,
        source=_source(written, signature_of),
        written=written,
    )


def _seconds(timeout: float, where: str) -> float:
    if not is_seconds(timeout):
        message = "timeout is a number of seconds above 0, a century at most, or None for none"
        raise JobDefinitionError(f"{where}: {message}, not {timeout!r}.")
    return float(timeout)


def _methods(owner: type, where: str) -> ClassMethods:
    found: dict[str, tuple[Method, ...]] = {}
    names = sorted(dir(owner))
    for prefix in (f.name for f in fields(ClassMethods)):
        methods = []
        for name in (name for name in names if name.startswith(prefix)):
            method = getattr(owner, name)
            if not callable(method):
                continue
            # Resque calls these on the class. Of a plain function nobody could say whether it expects an instance.
            if isinstance(inspect.getattr_static(owner, name), FunctionType):
                raise JobDefinitionError(
                    f"{where}.{name} is called on the class: make it a @staticmethod or a @classmethod."
                )
            if inspect.iscoroutinefunction(method):
                raise JobDefinitionError(f"{where}.{name} is an async def; hook methods of a class are plain ones.")
            methods.append(method)
        found[prefix] = tuple(methods)
    return ClassMethods(**found)


def _takes_self(perform: Callable[..., object], where: str) -> None:
    first = next(iter(inspect.signature(perform).parameters), None)
    if first is None or not (first == "self" or first.startswith("_")):
        named = f'has "{first}" for its first parameter' if first else "has no parameters"
        raise JobDefinitionError(f"{where}.perform {named}, not self. Make it a @staticmethod or a @classmethod.")


def _made_without_arguments(owner: type, where: str) -> None:
    try:
        inspect.signature(owner).bind()
    except ValueError:
        return  # a class of C that does not tell its signature
    except TypeError as error:
        raise JobDefinitionError(
            f"{where}.perform is an instance method, but {owner.__name__}() cannot be made without arguments: "
            f"{error}. Make perform a @staticmethod, or give the arguments defaults."
        ) from None


def _target(written: type | Callable[..., object]) -> str:
    module = getattr(written, "__module__", None) or "?"
    return f"{module}:{getattr(written, '__qualname__', None) or repr(written)}"


def _source(written: type | Callable[..., object], function: Callable[..., object]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None:
        source: str = code.co_filename
    else:
        module = sys.modules.get(getattr(written, "__module__", None) or "")
        source = getattr(module, "__file__", None) or ""
    return "" if source.startswith("<") else source
