"""`@taskq.job`: functions and classes become jobs, and calls of them become records that an application enqueues.

A job looks its application up at each call, never when it is defined. What an application is, this module does not
know: `taskq.application` says where to find the one in force.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from taskq.definition import JobDefinition, of_class, of_function, recurring
from taskq.errors import JobDefinitionError, NotAJob, WrongCall, WrongTime
from taskq.in_force import Application, applications
from taskq.job_options import CallOptions, check_queue
from taskq.on_crash import OnCrash
from taskq.registry import DEFAULT, Registry

if TYPE_CHECKING:  # with what they need they are a third of what `import taskq` and a job cost
    from datetime import datetime, timedelta

    from taskq.due import When
    from taskq.hook import Enqueued

__all__ = [
    "Call",
    "Job",
    "JobDefinition",
    "JobWithOptions",
    "Options",
    "Performs",
    "Verbs",
    "definition_of",
    "find",
    "job",
    "make_call",
]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
C = TypeVar("C")

_MARK: Final = "__taskq_job__"
"""The attribute of a class that holds its definition. Looked for on the class itself: a subclass is another job."""

_NO_OPTIONS: Final = CallOptions()
_record: Final = tuple.__new__  # 0.1 us less than Call(...), of the 2 that a job of enqueue_many takes


class Performs(Protocol[P]):
    """A class with `perform`, seen through its instances: static, class and instance methods then look the same."""

    def perform(self, *args: P.args, **kwargs: P.kwargs) -> object:
        """Do the work."""


class Call(NamedTuple):  # made for every enqueue, in a third of the time of a frozen dataclass
    """A job with the arguments it is to be performed with, bound to its signature and not yet enqueued.

    Attributes:
        definition: the job; None for one of another program, of which only the name is known.
        job: its name on the wire.
        args: the list that travels.
        queue: where it goes.
        front: whether it goes ahead of what waits there.
        declared: what the call itself said for options that hooks declare.
        connection: whose transaction it is to be a part of; None for a push of its own.
        at: when it goes into its queue: unix seconds, or a span from the moment of enqueueing; None for at once.
    """

    definition: JobDefinition | None
    job: str
    args: tuple[object, ...]
    queue: str
    front: bool
    declared: Mapping[str, object]
    connection: object | None = None
    at: When | None = None


class Job(Generic[P, R_co]):
    """A job that is a function. Calling it performs it, here and now, as the plain function would.

    Attributes:
        definition: what is known of it.
        perform: the function itself.
    """

    def __init__(self, function: Callable[P, R_co], definition: JobDefinition) -> None:
        functools.update_wrapper(self, function)
        self.definition: Final = definition
        self.perform: Final = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Perform it here and now."""
        return self.perform(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<job {self.definition.name} ({self.definition.target})>"

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return self.definition.name

    @property
    def queue(self) -> str:
        """Where it goes when a call does not say."""
        return self.definition.queue

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue it with the application in force; the arguments are its own, all of them.

        Returns:
            Accepted, or Vetoed or Deferred where a hook said so.

        Raises:
            EnqueueError: nothing was enqueued, for the reason that the subclass names.
            BrokerUnavailable: its `sent` says whether the job may be in its queue all the same.
        """
        return applications.current().enqueue_call(_bound(self.definition, args, kwargs, _NO_OPTIONS))

    def enqueue_in(self, delta: timedelta | float, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue it so much later: until then it waits among the delayed jobs; a scheduler moves it when it is due.

        Args:
            delta: a `timedelta`, or seconds, from now on by the broker's clock. What is over is enqueued at once.
            args: its arguments by position.
            kwargs: its arguments by keyword.

        Returns:
            As `enqueue`; `Accepted.at` says when it goes into its queue.

        Raises:
            WrongTime: it is no span of time.
            NotSupported: the backend has no delayed jobs.
            EnqueueError: as `enqueue` does.
        """
        return JobWithOptions[P](self.definition, _later(_NO_OPTIONS, delta)).enqueue(*args, **kwargs)

    def enqueue_at(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue it for a time; see `enqueue_in`.

        Args:
            when: the time, with its zone. One that is over goes into its queue at once.
            args: its arguments by position.
            kwargs: its arguments by keyword.

        Raises:
            WrongTime: it has no zone, or is no `datetime`.
        """
        return JobWithOptions[P](self.definition, _at(_NO_OPTIONS, when)).enqueue(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call, bound and not yet enqueued, for `enqueue_many`."""
        definition = self.definition  # what `_bound` does, without its call: of this there are thousands at a time
        bound = definition.signature.bind(args, kwargs)
        return _record(
            Call, (definition, definition.name, bound, definition.queue, False, _NO_OPTIONS.declared, None, None)
        )

    def options(
        self,
        *,
        queue: str | None = None,
        front: bool = False,
        at: datetime | None = None,
        delay: timedelta | float | None = None,
        connection: object | None = None,
        **declared: object,
    ) -> JobWithOptions[P]:
        """The job with what concerns a call said: `send_email.options(queue="vip").enqueue(...)`.

        Args:
            queue: where it goes; None for its own queue.
            front: whether it goes ahead of what waits there.
            at: when it goes there, a time with its zone; None for at once. What is over is at once too.
            delay: how long after its enqueueing it goes there, a `timedelta` or seconds; `at` or this.
            connection: the application's own connection to the broker's database, with a transaction open: the job is
                enqueued when that commits, and never if it does not. Where the backend has transactions (SQLite).
            declared: options that enabled hooks declare.
        """
        return JobWithOptions(
            self.definition, CallOptions(_meant(queue), front, declared, connection, _when(at, delay))
        )


def _meant(queue: str | None) -> str | None:
    """A queue as `options` takes it. `enqueue_to` takes an empty name, as Ruby's does; here it is a mistake."""
    if queue == "":
        raise ValueError(
            'options(queue=""): a queue needs a name. Leave `queue` out for the job\'s own one. Nothing was enqueued.'
        )
    return queue


class JobWithOptions(Generic[P]):
    """A job, and what its next calls say of themselves."""

    __slots__ = ("_definition", "_options")

    def __init__(self, definition: JobDefinition, options: CallOptions) -> None:
        self._definition = definition
        self._options = options

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """As `Job.enqueue`, with these options.

        Raises:
            UnknownOption: no enabled hook declares one of them.
        """
        return applications.current().enqueue_call(_bound(self._definition, args, kwargs, self._options))

    def enqueue_in(self, delta: timedelta | float, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """As `Job.enqueue_in`, with these options."""
        return JobWithOptions[P](self._definition, _later(self._options, delta)).enqueue(*args, **kwargs)

    def enqueue_at(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """As `Job.enqueue_at`, with these options."""
        return JobWithOptions[P](self._definition, _at(self._options, when)).enqueue(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """As `Job.call`, with these options."""
        return _bound(self._definition, args, kwargs, self._options)


class Verbs:
    """What is done with jobs, typed by the job's own signature. `TaskQ` has these, and so has `options(...)`."""

    __slots__ = ()

    def _application(self) -> Application:
        raise NotImplementedError

    def _call_options(self) -> CallOptions:
        return _NO_OPTIONS

    @overload
    def enqueue(self, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Enqueued: ...
    @overload
    def enqueue(self, job: type[Performs[P]], /, *args: P.args, **kwargs: P.kwargs) -> Enqueued: ...
    @overload
    def enqueue(self, job: str, /, *args: object, **kwargs: object) -> Enqueued: ...
    def enqueue(self, job: object, /, *args: Any, **kwargs: Any) -> Enqueued:
        """Enqueue a job; the arguments are its own, all of them. What concerns the call is said by `options(...)`.

        Args:
            job: what `@taskq.job` made, a class or a function; or the name of a job that is registered. For a job of
                another program use `enqueue_to`.
            args: its arguments by position.
            kwargs: its arguments by keyword.

        Returns:
            Accepted; or Vetoed or Deferred, where a hook or the job's own `before_enqueue` said so.

        Raises:
            EnqueueError: nothing was enqueued, for the reason that the subclass names.
            BrokerUnavailable: its `sent` says whether the job may be in its queue all the same.
        """
        application = self._application()
        return application.enqueue_call(make_call(application.registry, job, args, kwargs, self._call_options()))

    @overload
    def enqueue_to(self, queue: str, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Enqueued: ...
    @overload
    def enqueue_to(self, queue: str, job: type[Performs[P]], /, *args: P.args, **kwargs: P.kwargs) -> Enqueued: ...
    @overload
    def enqueue_to(self, queue: str, job: str, /, *args: object, **kwargs: object) -> Enqueued: ...
    def enqueue_to(self, queue: str, job: object, /, *args: Any, **kwargs: Any) -> Enqueued:
        """As `enqueue`, to this queue instead of the job's own. A name may be that of a job of another program."""
        check_queue(queue)
        options = replace(self._call_options(), queue=queue)
        application = self._application()
        return application.enqueue_call(make_call(application.registry, job, args, kwargs, options))

    @overload
    def enqueue_in(
        self, delta: timedelta | float, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Enqueued: ...
    @overload
    def enqueue_in(
        self, delta: timedelta | float, job: type[Performs[P]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Enqueued: ...
    @overload
    def enqueue_in(self, delta: timedelta | float, job: str, /, *args: object, **kwargs: object) -> Enqueued: ...
    def enqueue_in(self, delta: timedelta | float, job: object, /, *args: Any, **kwargs: Any) -> Enqueued:
        """Enqueue a job so much later: until then it waits among the delayed jobs; a scheduler moves it when it is due.

        Args:
            delta: a `timedelta`, or seconds, from now on by the broker's clock. What is over is enqueued at once.
            job: as `enqueue` takes it. For a job of another program say its queue: `options(queue=...)`.
            args: its arguments by position.
            kwargs: its arguments by keyword.

        Returns:
            As `enqueue`; `Accepted.at` says when it goes into its queue.

        Raises:
            WrongTime: it is no span of time.
            NotSupported: the backend has no delayed jobs.
            EnqueueError: as `enqueue` does.
        """
        application = self._application()
        options = _later(self._call_options(), delta)
        return application.enqueue_call(make_call(application.registry, job, args, kwargs, options))

    @overload
    def enqueue_at(self, when: datetime, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Enqueued: ...
    @overload
    def enqueue_at(self, when: datetime, job: type[Performs[P]], /, *args: P.args, **kwargs: P.kwargs) -> Enqueued: ...
    @overload
    def enqueue_at(self, when: datetime, job: str, /, *args: object, **kwargs: object) -> Enqueued: ...
    def enqueue_at(self, when: datetime, job: object, /, *args: Any, **kwargs: Any) -> Enqueued:
        """Enqueue a job for a time; see `enqueue_in`.

        Args:
            when: the time, with its zone. One that is over goes into its queue at once.
            job: as `enqueue` takes it. For a job of another program say its queue: `options(queue=...)`.
            args: its arguments by position.
            kwargs: its arguments by keyword.

        Raises:
            WrongTime: it has no zone, or is no `datetime`.
        """
        application = self._application()
        options = _at(self._call_options(), when)
        return application.enqueue_call(make_call(application.registry, job, args, kwargs, options))

    @overload
    def call(self, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Call: ...
    @overload
    def call(self, job: type[Performs[P]], /, *args: P.args, **kwargs: P.kwargs) -> Call: ...
    @overload
    def call(self, job: str, /, *args: object, **kwargs: object) -> Call: ...
    def call(self, job: object, /, *args: Any, **kwargs: Any) -> Call:
        """The call, bound and not yet enqueued, for `enqueue_many`. Raises as `enqueue` does where it cannot be."""
        return make_call(self._application().registry, job, args, kwargs, self._call_options())

    @overload
    def dequeue(self, job: Job[Any, object] | type | str, /) -> int: ...
    @overload
    def dequeue(self, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs) -> int: ...
    @overload
    def dequeue(self, job: type[Performs[P]], /, *args: P.args, **kwargs: P.kwargs) -> int: ...
    @overload
    def dequeue(self, job: str, /, *args: object, **kwargs: object) -> int: ...
    def dequeue(self, job: object, /, *args: Any, **kwargs: Any) -> int:
        """Take waiting jobs out of the job's own queue: all of them, or with arguments those with exactly these.

        The arguments are compared as bytes, as Resque does (WIRE.md section 7): what another program wrote with other
        spacing, or with further keys, is found without arguments only. Another queue is said by `options(queue=...)`.

        Returns:
            How many were removed; 0 too where a `before_dequeue` of the job's class said no.

        Raises:
            NotAJob: it is none, or a name of which nobody knows the queue.
            WrongCall: the arguments do not fit.
        """
        return self._application().take_back(job, args, kwargs, self._call_options().queue)

    def options(
        self,
        *,
        queue: str | None = None,
        front: bool = False,
        at: datetime | None = None,
        delay: timedelta | float | None = None,
        connection: object | None = None,
        **declared: object,
    ) -> Options:
        """What concerns the next calls: `taskq.options(queue="vip").enqueue(Emailer, ...)`.

        Args:
            queue: where they go; None for the job's own queue.
            front: whether they go ahead of what waits there.
            at: when they go there, a time with its zone; None for at once. What is over is at once too.
            delay: how long after their enqueueing they go there, a `timedelta` or seconds; `at` or this.
            connection: the application's own connection to the broker's database, with a transaction open: the jobs are
                enqueued when that commits, and never if it does not. Where the backend has transactions (SQLite).
            declared: options that enabled hooks declare.
        """
        return Options(CallOptions(_meant(queue), front, declared, connection, _when(at, delay)), self._application)


class Options(Verbs):
    """What concerns a call, said ahead of any job."""

    __slots__ = ("_find", "_said")

    def __init__(self, said: CallOptions, find: Callable[[], Application]) -> None:
        self._said = said
        self._find = find

    def _application(self) -> Application:
        return self._find()

    def _call_options(self) -> CallOptions:
        return self._said


# A class is a callable too, so the overloads below overlap; the first is the one that is meant for it. It takes classes
# without `perform` as well: bound to Performs they would fall through to the second, and become a Job unnoticed.


class _Decorator(Protocol):
    """What `@taskq.job(...)` gives: classes come back as themselves, functions as a `Job`."""

    @overload
    def __call__(self, target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, R], /) -> Job[P, R]: ...


@overload
def job(target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]
@overload
def job(target: Callable[P, R], /) -> Job[P, R]: ...
@overload
def job(
    *,
    name: str | None = None,
    queue: str | None = None,
    aliases: Sequence[str] = (),
    secret: Sequence[str] = (),
    on_crash: OnCrash | None = None,
    timeout: float | None = None,
    cron: str | None = None,
    tz: str | None = None,
    every: timedelta | float | None = None,
    args: Sequence[object] = (),
    missed: Literal["once", "skip"] | None = None,
    registry: Registry = DEFAULT,
    **options: object,
) -> _Decorator: ...
def job(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    queue: str | None = None,
    aliases: Sequence[str] = (),
    secret: Sequence[str] = (),
    on_crash: OnCrash | None = None,
    timeout: float | None = None,
    cron: str | None = None,
    tz: str | None = None,
    every: timedelta | float | None = None,
    args: Sequence[object] = (),
    missed: Literal["once", "skip"] | None = None,
    registry: Registry = DEFAULT,
    **options: object,
) -> Any:
    """Make a job of a function, of an `async def`, or of a class with `perform`.

    Args:
        target: what becomes a job, where the decorator is used bare.
        name: its name on the wire; its own name where none is said.
        queue: where it goes when a call does not say; for a class its attribute `queue`, else `default`.
        aliases: further names that workers perform it under: its old ones.
        secret: parameters whose arguments are shown as `[secret]` wherever arguments are shown.
        on_crash: what becomes of it when its process dies: `"fail"`, into the failed list; `"requeue"`, or
            `Requeue(times=5)`, to the front of its queue, at most so often; None for what its worker says.
        timeout: the seconds that it may take. When they are over `JobTimeout` is raised in it; where it does not end
            then, its process is killed (see the guide "Limit the time of a job"). None for as long as it takes.
        cron: when a scheduler enqueues it, again and again: five fields, or six with the seconds first, as in
            `"0 6 * * 1-5"`; a time zone may stand behind them. Needs `pip install "taskq[scheduler]"` where it runs.
        tz: the time zone of `cron`, as in `"Europe/Berlin"`; None for that of the scheduler's machine.
        every: or how often, a `timedelta` or seconds.
        args: the arguments that it is enqueued with then.
        missed: what becomes of a time at which no scheduler ran: `"once"`, which is what None means, makes up for the
            last of them as soon as one runs; `"skip"` waits for the next.
        registry: where it is registered.
        options: values for options that hooks declare. They are checked now where an application has been built, else
            when the job is first used.

    Returns:
        A class as it was; a function as a `Job`, which still can be called.

    Raises:
        JobDefinitionError: it cannot be a job as it was written.
        DuplicateJob: another job has the name.
        UnknownOption: no enabled hook declares one of the options.
    """

    def define(target: Any) -> Any:
        if isinstance(target, Job):
            target = target.perform
        if not callable(target):
            raise JobDefinitionError(
                f"@taskq.job was given {target!r:.80}, which is no function and no class. "
                'What it takes is said by name: @taskq.job(queue="emails"), @taskq.job(name="Billing::Charge").'
            )
        of = of_class if isinstance(target, type) else of_function
        definition = of(
            target,
            name=name,
            queue=queue,
            aliases=_names(aliases),
            secret=_names(secret),
            on_crash=on_crash,
            timeout=timeout,
            options=options,
        )
        definition = recurring(definition, cron=cron, tz=tz, every=every, args=args, missed=missed)
        if options and (application := applications.built()) is not None:
            application.check_options(definition)
        registry.add(definition)
        if isinstance(target, type):
            setattr(target, _MARK, definition)
            return target
        return Job(target, definition)

    return define if target is None else define(target)


def definition_of(job: object) -> JobDefinition:
    """What is known of a job that is given as itself: a `Job`, or a class.

    Raises:
        NotAJob: it is none; the message says what to do.
    """
    if isinstance(job, Job):
        return job.definition
    if isinstance(job, type):
        definition = vars(job).get(_MARK)
        if isinstance(definition, JobDefinition):
            return definition
        hint = (
            "Decorate it with @taskq.job."
            if callable(getattr(job, "perform", None))
            else "Give it a method perform, and decorate it with @taskq.job."
        )
        raise NotAJob(f"The class {job.__qualname__}", hint)
    if callable(job):
        named = getattr(job, "__qualname__", None) or repr(type(job).__qualname__)
        raise NotAJob(f"The function {named}", "Decorate it with @taskq.job.")
    raise NotAJob(
        f"A value of type {type(job).__name__}",
        "Give the job itself, and after it its arguments: enqueue(send_email, to, subject).",
    )


def find(registry: Registry, job: object, queue: str | None) -> JobDefinition | None:
    """What is known of a job that is given as itself or by its name; None for a name of another program's.

    Args:
        registry: where a name is looked up.
        job: a `Job`, a class, or a name.
        queue: the queue that was said with it, if one was: without it a name that is not registered is of no use.

    Raises:
        NotAJob: it is none, or a name of which nobody knows the queue.
    """
    if not isinstance(job, str):
        return definition_of(job)
    definition = registry.find(job)
    if definition is None and not job:
        raise NotAJob("An empty name", "Jobs must be given a class.")
    if definition is None and queue is None:
        raise NotAJob(
            f'"{job}"', f'No job of that name is registered here. One of another program: enqueue_to(queue, "{job}").'
        )
    return definition


def make_call(
    registry: Registry, job: object, args: tuple[object, ...], kwargs: Mapping[str, object], options: CallOptions
) -> Call:
    """Bind a call of a job, or of a name.

    Args:
        registry: where a name is looked up. One that is not there is a job of another program: it takes any arguments
            by position, and the options must say its queue.
        job: a `Job`, a class, or a name.
        args: the arguments by position.
        kwargs: the arguments by keyword.
        options: what the call says of itself.

    Raises:
        NotAJob: it is none, or a name of which nobody knows the queue.
        WrongCall: the arguments do not fit.
    """
    definition = find(registry, job, options.queue)
    if definition is not None:
        return _bound(definition, args, kwargs, options)
    assert isinstance(job, str)
    assert options.queue is not None
    if kwargs:
        reason = f'was given "{next(iter(kwargs))}" by keyword, but its signature is not known here: pass a dict last'
        raise WrongCall(job, reason, "(*args)")
    return Call(None, job, args, options.queue, options.front, options.declared, options.connection, options.at)


def _bound(
    definition: JobDefinition, args: tuple[object, ...], kwargs: Mapping[str, object], options: CallOptions
) -> Call:
    queue = definition.queue if options.queue is None else options.queue
    bound = definition.signature.bind(args, kwargs)
    said = options.front, options.declared, options.connection, options.at
    return _record(Call, (definition, definition.name, bound, queue, *said))


def _when(at: datetime | None, delay: timedelta | float | None) -> When | None:
    if at is None and delay is None:
        return None
    from taskq.due import moment, span

    if at is not None and delay is not None:
        raise WrongTime("at and delay were both said.", "Leave one of them out.")
    return moment(at) if at is not None else span(cast("timedelta | float", delay))


def _later(options: CallOptions, delta: timedelta | float) -> CallOptions:
    return _with_time(options, _when(None, delta), "enqueue_in")


def _at(options: CallOptions, when: datetime) -> CallOptions:
    return _with_time(options, _when(when, None), "enqueue_at")


def _with_time(options: CallOptions, at: When | None, verb: str) -> CallOptions:
    if options.at is not None:
        raise WrongTime(f"{verb} was given a time, and so was options(...).", "Leave one of them out.")
    if at is None:  # a missing value of the caller's: enqueued at once it would be too soon
        raise WrongTime(f"{verb} was given None.", "To enqueue at once: enqueue.")
    return replace(options, at=at)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    # A string is a sequence of strings to every type checker, and never meant so here.
    return (names,) if isinstance(names, str) else tuple(names)
