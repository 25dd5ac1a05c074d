"""The application: a configuration, what it names (broker, serializers, hooks, failure handlers), and the verbs.

Nothing is loaded or connected to before it is first needed. This module moves no bytes to any store itself and performs
no job itself: the one is the broker's, the other `taskq.performing`'s.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypedDict, TypeVar, cast

from taskq import config as configuration
from taskq import envelope, on_crash, plugins
from taskq.alike import Alike
from taskq.broker import Broker, Capability
from taskq.chain import Hooks
from taskq.config import Config
from taskq.definition import ClassMethods, JobDefinition, Method
from taskq.errors import (
    ConfigurationError,
    EnqueueError,
    NotAJob,
    PayloadTooLarge,
    Problem,
    UnserializableArgument,
    reworded,
)
from taskq.failure_handler import FailureHandler
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Vetoed
from taskq.job_options import CallOptions, KnownOptions
from taskq.jobs import Call, Verbs, find, make_call
from taskq.records import Cancelled, WorkerInfo
from taskq.registry import DEFAULT, Registry
from taskq.serializer import Serializer

if TYPE_CHECKING:  # a producer performs and shows nothing, and most delay nothing: it should not pay for the imports
    from taskq.delayed_jobs import Delayed
    from taskq.due import When
    from taskq.failed_jobs import Failures
    from taskq.masks import Masks
    from taskq.operator import Operator
    from taskq.performing import Tools
    from taskq.recurring_jobs import Schedules
    from taskq.showing import DecodedJob, Showing

__all__ = ["Info", "TaskQ"]

P = TypeVar("P")

_Encoder: TypeAlias = Callable[[tuple[object, ...], Mapping[str, object]], bytes]

_PAGE: Final = 1000
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})  # hooks see it: it must stay empty


class Info(TypedDict):
    """The figures of `Resque.info`, and which broker they are of."""

    pending: int
    processed: int
    queues: int
    workers: int
    working: int
    failed: int
    broker: str


@dataclass(frozen=True, slots=True)
class _Run:
    """Calls behind one another that are alike but for their arguments: what is looked up for one holds for all."""

    job: str
    queue: str
    front: bool
    alone: bool
    at: float | None
    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class _Push:
    """Payloads that go into a queue in one write, or wait for one time together."""

    queue: str
    front: bool
    at: float | None
    bodies: list[bytes]


class TaskQ(Verbs):
    """An application. Safe to use from several threads, and in a child after a fork.

    Args:
        config: its configuration; None reads it from the settings, the environment and the nearest file.
        registry: the jobs that are known by name.
        settings: settings by name (see `taskq.config.Config`), where no configuration is given.

    Attributes:
        config: its configuration.
        registry: the jobs that are known by name.

    Raises:
        ConfigurationError: all that is wrong in the settings, the environment and the file.
    """

    def __init__(self, config: Config | None = None, *, registry: Registry = DEFAULT, **settings: Any) -> None:
        if config is not None and settings:
            raise TypeError("Give a configuration or settings, not both.")
        if config is not None and not isinstance(config, Config):
            raise TypeError("A broker is given by its name: TaskQ(broker=...). Without a name goes a Config.")
        self.config: Final = configuration.load(call=settings) if config is None else config
        self._registry: Final = registry
        self._delayed: Delayed | None = None
        self._failures: Failures | None = None
        self._showing: Showing | None = None
        self._operator: Operator | None = None
        self._lock = threading.RLock()
        self._collecting = False
        self._broker: Broker | None = None
        self._serializer: Serializer | None = None
        self._serializers: Mapping[str, Serializer] | None = None
        self._hooks: Hooks | None = None
        self._known: KnownOptions | None = None
        self._handlers: tuple[FailureHandler, ...] | None = None
        self._tools: Tools | None = None
        self._inline: Tools | None = None
        self._encoders: dict[JobDefinition | None, _Encoder] = {}
        self._senders: dict[JobDefinition | None, Callable[[EnqueueRequest], Enqueued] | None] = {}

    # ---- what the configuration names, loaded when it is first needed

    @property
    def registry(self) -> Registry:
        """The jobs that are known by name."""
        return self._registry

    @property
    def broker(self) -> Broker:
        """Where the queues are. Raises ConfigurationError where its address means no installed backend."""
        if self._broker is None:
            with self._lock, self._all_at_once():
                if self._broker is None:
                    self._broker = plugins.open_broker(
                        self.config.broker,
                        namespace=self.config.namespace,
                        failed_max=self.config.failed_max,
                        place=self.config.source("broker"),
                    )
        return self._broker

    @property
    def serializer(self) -> Serializer:
        """What encodes arguments. Raises PluginError where it does not load."""
        if self._serializer is None:
            with self._all_at_once():
                [self._serializer] = plugins.create_all(
                    plugins.SERIALIZERS, [self.config.serializer], source=self.config.source("serializer")
                )
        return self._serializer

    @property
    def serializers(self) -> Mapping[str, Serializer]:
        """Those whose payloads are read, by name. Raises PluginError where one does not load."""
        if self._serializers is None:
            source = self.config.source("accept")
            if source == configuration.DEFAULT:  # it follows from the one that encodes
                source = self.config.source("serializer")
            with self._all_at_once():
                made = plugins.create_all(plugins.SERIALIZERS, self.config.accept, source=source)
                self._serializers = dict(zip(self.config.accept, made, strict=True))
        return self._serializers

    @property
    def hooks(self) -> Hooks:
        """The enabled hooks. Raises ConfigurationError where one does not load, or their order cannot be."""
        if self._hooks is None:
            with self._lock, self._all_at_once():
                if self._hooks is None:
                    source = self.config.source("hooks")
                    made = plugins.create_all(plugins.HOOKS, self.config.hooks, source=source)
                    self._known = KnownOptions(made)
                    self._hooks = Hooks([self._bound(hook) for hook in made])
        return self._hooks

    @property
    def handlers(self) -> Sequence[FailureHandler]:
        """The failure handlers, in the order in which they are asked. Raises PluginError where one does not load."""
        if self._handlers is None:
            with self._lock, self._all_at_once():
                if self._handlers is None:
                    source = self.config.source("failure_handlers")
                    made = plugins.create_all(plugins.FAILURE_HANDLERS, self.config.failure_handlers, source=source)
                    self._handlers = tuple(self._bound(handler) for handler in made)
        return self._handlers

    @property
    def schedules(self) -> Schedules:
        """Its recurring jobs."""
        from taskq.recurring_jobs import Schedules

        return Schedules(lambda: self)

    @property
    def tools(self) -> Tools:
        """What performing needs of this application, made once."""
        if self._tools is None:
            from taskq.performing import Tools

            self._tools = Tools(
                registry=self.registry,
                serializers=self.serializers,
                hooks=self.hooks,
                handlers=self.handlers,
                now=lambda: self.broker.now(),
                on_crash=on_crash.times(self.config.on_crash),
                keeps_unknown=self.config.unknown == "release",
            )
        return self._tools

    @property
    def delayed(self) -> Delayed:
        """Its delayed jobs."""
        if self._delayed is None:
            from taskq.delayed_jobs import Delayed

            self._delayed = Delayed(lambda: self)
        return self._delayed

    @property
    def failures(self) -> Failures:
        """Its failed jobs."""
        if self._failures is None:
            from taskq.failed_jobs import Failures

            self._failures = Failures(lambda: self.broker, lambda: self.showing, lambda: self.hooks)
        return self._failures

    @property
    def masks(self) -> Masks:
        """The names under which arguments are not shown."""
        return self.showing.masks

    @property
    def showing(self) -> Showing:
        """Shows jobs to people, without what is secret."""
        if self._showing is None:
            from taskq.masks import Masks
            from taskq.showing import Showing

            self._showing = Showing(self._registry, lambda: self.serializers, Masks(self.config.mask))
        return self._showing

    @property
    def operator(self) -> Operator:
        """What an operator sees and does: workers, queues, jobs, figures, history."""
        if self._operator is None:
            from taskq.operator import Operator, Parts

            self._operator = Operator(
                Parts(
                    config=self.config,
                    registry=self.registry,
                    failures=self.failures,
                    showing=self.showing,
                    broker=lambda: self.broker,
                    tools=lambda: self.tools,
                    hooks=lambda: self.hooks,
                    load=self.load,
                    taken_away=self.taken_away,
                )
            )
        return self._operator

    def load(self) -> None:
        """Load all that the configuration names, and check every job's options. Connects to nothing.

        Raises:
            ConfigurationError: all that does not load.
            UnknownOption: a job says an option that no enabled hook knows.
        """
        if problems := self._problems() or [*self._needs()]:
            raise ConfigurationError(problems)
        for definition in self.registry:
            self.check_options(definition)

    def _problems(self) -> list[Problem]:
        """All that does not load, each once: one name may be that of two settings."""
        problems: dict[str, Problem] = {}
        with self._lock:
            before, self._collecting = self._collecting, True
            try:
                for part in ("broker", "serializer", "serializers", "hooks", "handlers"):
                    try:
                        getattr(self, part)
                    except ConfigurationError as error:
                        for problem in error.problems:
                            problems.setdefault(problem.message, problem)
            finally:
                self._collecting = before
        return list(problems.values())

    @contextlib.contextmanager
    def _all_at_once(self) -> Iterator[None]:
        """Where one part does not load, say what else does not, too."""
        try:
            yield
        except ConfigurationError as error:
            with self._lock:
                problems = () if self._collecting else self._problems()
            if len(problems) > len(error.problems):
                raise ConfigurationError(problems) from error.__cause__
            raise

    def _needs(self) -> Iterator[Problem]:
        """What plugins need and have not here."""
        handlers = {handler.name for handler in self.handlers}
        for setting, enabled in (("hooks", self.hooks.hooks), ("failure_handlers", self.handlers)):
            kind, source = setting.removesuffix("s").replace("_", " "), self.config.source(setting)
            for one in enabled:
                name = getattr(one, "name", "") or type(one).__name__
                needed: frozenset[Capability] = getattr(one, "needs", frozenset())
                for lacking in sorted(needed - self.broker.capabilities, key=lambda capability: capability.name):
                    message = f"the {kind} {name} needs {lacking.value}, which the backend {self.broker.name} has not."
                    yield Problem(setting, source, message)
                for other in getattr(one, "needs_handlers", ()):
                    if other not in handlers:
                        names = ", ".join(f'"{each}"' for each in (other, *(each.name for each in self.handlers)))
                        message = f"the {kind} {name} needs the failure handler {other}: failure_handlers = [{names}]."
                        yield Problem("failure_handlers", self.config.source("failure_handlers"), message)

    def _bound(self, plugin: P) -> P:
        """The hook or failure handler that works for this application."""
        bound = getattr(plugin, "bound", None)
        return plugin if bound is None else cast("P", bound(self))

    def check_options(self, definition: JobDefinition, /) -> None:
        """Return where enabled hooks know every option that the job says.

        Raises:
            UnknownOption: no enabled hook declares one of them.
            JobDefinitionError: a value is of another type than was declared.
        """
        if definition.options:
            self._options_known().check_definition(definition.options, f"@taskq.job of {definition.target}")

    def close(self) -> None:
        """Give the broker's connections back, where this application opened it. It may be used again."""
        with self._lock:
            opened, self._broker, self._tools = self._broker, None, None
        if opened is not None and opened is not self.config.broker:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TaskQ {self.broker.address if self._broker is not None else '(not connected)'}>"

    # ---- enqueueing

    def _application(self) -> TaskQ:
        return self

    def enqueue_call(self, call: Call, /) -> Enqueued:
        """Enqueue a call that was made by `call(...)`; see `enqueue` for what it gives and raises."""
        if call.declared:
            self._options_known().check(call.declared, f"options(...) of {call.job}")
        at = None if call.at is None else self._on_the_clock(call.at)
        wrapped = self._sender(call.definition)
        if wrapped is None:
            body = self._encoder(call.definition, call.job)(call.args, _NOTHING)
            at = None if at is None else self._ahead(at)
            self._push(call.queue, body, front=call.front, connection=call.connection, at=at)
            return Accepted(call.job, call.queue, body, at)
        said = call.definition.options if call.definition is not None else _NOTHING
        options = {**said, **call.declared} if call.declared else said
        asked = EnqueueRequest(call.job, call.args, call.queue, call.front, _NOTHING, options, call.connection, at)
        return wrapped(asked)

    def enqueue_many(self, calls: Iterable[Call]) -> list[Enqueued]:
        """Enqueue many calls, made by `call(...)`, with one round trip a queue, and for delayed ones one a time.

        All of them are checked and encoded before the first is sent. Those that something wraps (a hook, or methods of
        the job's own class) go one by one, so that what wraps sees what becomes of each; the order within a queue is
        kept all the same. So do those that are a part of a transaction.

        Returns:
            What `enqueue` would have given for each, in their order.

        Raises:
            EnqueueError: nothing was enqueued, for the reason that the subclass names; or a hook refused one of those
                that go one by one, which the message says then.
            BrokerUnavailable: the broker went away. A note on each says how many had been enqueued before.
        """
        calls = list(calls)
        for kind in {*map(type, calls)} - {Call}:
            raise NotAJob(f"A value of type {kind.__name__}", "enqueue_many takes calls: send_email.call(to).")
        answers, steps = self._planned(calls)
        sent = 0
        try:
            for step in steps:
                if isinstance(step, _Push):
                    if step.at is None:
                        self.broker.push(step.queue, step.bodies, front=step.front)
                    else:
                        self.broker.schedule(step.at, step.queue, step.bodies)
                    sent += len(step.bodies)
                else:
                    answers[step] = self.enqueue_call(calls[step])
                    sent += isinstance(answers[step], Accepted)
        except Exception as error:
            if sent and isinstance(error, EnqueueError):  # of one call, by a hook: what it says is said of that one
                error.args = tuple(
                    each.replace("Nothing was enqueued.", "This one was not enqueued.")
                    if isinstance(each, str)
                    else each
                    for each in error.args
                )
            error.add_note(f"Before this, {sent} of {len(calls)} calls had been enqueued.")
            raise
        return cast("list[Enqueued]", answers)

    def _planned(self, calls: Sequence[Call]) -> tuple[list[Enqueued | None], list[_Push | int]]:
        """What each call will be answered, None where it goes alone; and what is to be done, in order.

        All are checked and encoded: it raises as `enqueue` would. To be done are pushes, and the places of calls that
        go alone: something wraps them, or they are a part of a transaction. What is to follow such a call into its
        queue is no part of a push that goes before it.
        """
        answers: list[Enqueued | None] = []
        steps: list[_Push | int] = []
        open_pushes: dict[tuple[str, bool, float | None], _Push] = {}
        for run in self._runs(calls):
            job, queue, count = run.job, run.queue, len(run.bodies)
            if run.alone:
                for there in [there for there in open_pushes if there[0] == queue]:
                    del open_pushes[there]
                steps += range(len(answers), len(answers) + count)
                answers += [None] * count
                continue
            push = open_pushes.get((queue, run.front, run.at))
            if push is None:
                push = open_pushes[queue, run.front, run.at] = _Push(queue, run.front, run.at, [])
                steps.append(push)
            push.bodies.extend(run.bodies)
            answers += map(tuple.__new__, repeat(Accepted), zip(repeat(job), repeat(queue), run.bodies, repeat(run.at)))
        return answers, steps

    def _runs(self, calls: Sequence[Call]) -> list[_Run]:
        """The calls, checked and encoded, in their order."""
        runs: list[_Run] = []
        extra = _NOTHING
        now: float | None = None
        of, name, to, ahead, within = None, "", "", False, None  # no job has an empty name: the first begins a run
        due: When | None = None
        bodies: list[bytes] = []
        for definition, job, args, queue, front, declared, whose, at in calls:
            if (
                definition is not of
                or queue is not to
                or at is not due
                or front is not ahead
                or job is not name
                or whose is not within
            ):
                of, name, to, ahead, within, due = definition, job, queue, front, whose, at
                encoded = self._encoder(definition, job)
                bodies = []
                alone = self._sender(definition) is not None or whose is not None
                moment = None
                if at is not None:
                    now = self._now() if now is None else now  # one for all: calls with the same delay go together
                    moment = self._ahead(self._on_the_clock(at, now), now)
                runs.append(_Run(job, queue, front, alone, moment, bodies))
            if declared:
                self._options_known().check(declared, f"options(...) of {job}")
            bodies.append(encoded(args, extra))
        return runs

    def _sender(self, definition: JobDefinition | None) -> Callable[[EnqueueRequest], Enqueued] | None:
        """What enqueues calls of this job within all that wraps them; None where nothing does."""
        try:
            return self._senders[definition]
        except KeyError:
            pass
        if definition is not None:
            self.check_options(definition)
        inner = self._innermost(definition, self._put)
        wrapped: Callable[[EnqueueRequest], Enqueued] | None = self.hooks.around_enqueue(inner)
        methods = definition.methods if definition is not None else None
        own = methods is not None and bool(
            methods.before_enqueue or methods.after_enqueue or methods.before_schedule or methods.after_schedule
        )
        if wrapped is inner and not own and not self.config.inline:
            wrapped = None
        self._senders[definition] = wrapped
        return wrapped

    def enqueue_through(self, call: Call, put: Callable[[EnqueueRequest, bytes], None], /) -> Enqueued:
        """Enqueue a call within all that wraps it, by something else than a push: what a scheduler does at a tick.

        Args:
            call: what is enqueued.
            put: puts the request's payload where it belongs. What it raises passes through the hooks.
        """

        def accepted(request: EnqueueRequest, body: bytes) -> Accepted:
            put(request, body)
            return Accepted(request.job, request.queue, body, request.at)

        said = call.definition.options if call.definition is not None else _NOTHING
        wrapped = self.hooks.around_enqueue(self._innermost(call.definition, accepted))
        return wrapped(EnqueueRequest(call.job, call.args, call.queue, call.front, _NOTHING, said))

    def _innermost(
        self, definition: JobDefinition | None, accepted: Callable[[EnqueueRequest, bytes], Accepted]
    ) -> Callable[[EnqueueRequest], Enqueued]:
        methods = definition.methods if definition is not None else ClassMethods()

        def put(request: EnqueueRequest) -> Enqueued:
            return accepted(request, self._encoder(definition, request.job)(request.args, request.extra))

        def at_once(request: EnqueueRequest) -> Enqueued:
            return _between(methods.before_enqueue, put, methods.after_enqueue, definition, request)

        def enqueue(request: EnqueueRequest) -> Enqueued:
            if request.at is None:
                return at_once(request)
            # What is due is enqueued as if at once, within the methods for delaying; of what waits none of the others
            # is called, not now and not when it is due (WIRE.md section 9).
            due = self.config.inline or self._ahead(request.at) is None
            inner, request = (at_once, dataclasses.replace(request, at=None)) if due else (put, request)
            return _between(methods.before_schedule, inner, methods.after_schedule, definition, request)

        return enqueue

    def _put(self, request: EnqueueRequest, body: bytes) -> Accepted:
        if self.config.inline:
            self._perform(body, request.queue)
        else:
            front, connection = request.front, request.connection
            self._push(request.queue, body, front=front, connection=connection, at=request.at)
        return Accepted(request.job, request.queue, body, request.at)

    def _push(self, queue: str, body: bytes, *, front: bool, connection: object | None, at: float | None) -> None:
        if connection is not None:
            self.broker.push_within(connection, queue, (body,), front=front and at is None, at=at)
        elif at is None:
            self.broker.push(queue, (body,), front=front)
        else:
            self.broker.schedule(at, queue, (body,))

    def _now(self) -> float:
        # Where jobs are performed inline there need be no broker to tell the time.
        return time.time() if self.config.inline else self.broker.now()

    def _on_the_clock(self, when: When, now: float | None = None) -> float:
        from taskq.due import on_the_clock

        return on_the_clock(when, self._now() if now is None else now)

    def _ahead(self, at: float, now: float | None = None) -> float | None:
        """The time where it is ahead; None where it is over, or everything is performed at once."""
        return at if not self.config.inline and at > (self._now() if now is None else now) else None

    def _perform(self, body: bytes, queue: str) -> None:
        from taskq.performing import Tools, perform_inline

        if self._inline is None:
            # What fails rises to the caller, so nobody decides on it; and there need be no broker to tell the time.
            self._inline = Tools(
                registry=self.registry, serializers=self.serializers, hooks=self.hooks, handlers=(), now=time.time
            )
        perform_inline(self._inline, body, queue)

    def _encoder(self, definition: JobDefinition | None, job: str) -> _Encoder:
        """What makes payloads of bound calls of a job. It looks nothing up but in its own closure."""
        encoder = self._encoders.get(definition)
        if encoder is None or definition is None or job != definition.name:
            encoder = self._new_encoder(definition, job)
            if definition is not None and job == definition.name:
                self._encoders[definition] = encoder
        return encoder

    def _new_encoder(self, definition: JobDefinition | None, job: str) -> _Encoder:
        dumps, most = self.serializer.dumps, self.config.max_payload
        begins, completed = envelope.beginning(job), envelope.completed
        names_of = definition.signature.names if definition is not None else _by_place

        def encoded(args: tuple[object, ...], extra: Mapping[str, object]) -> bytes:
            try:
                text = dumps(job, (), args)
            except UnserializableArgument:
                text = ""
            if not text:
                # Now with the names that its error needs: to find them for every call would cost a fifth of this. And
                # out here, so that its traceback does not begin with the error that has none.
                text = dumps(job, names_of(args), args)
            body = completed(begins, text, extra)
            if len(body) > most:
                raise PayloadTooLarge(job, len(body), most)
            return body

        return encoded

    def _options_known(self) -> KnownOptions:
        if self._known is None:
            _ = self.hooks
        assert self._known is not None
        return self._known

    # ---- taking back

    def take_back(
        self, job: object, args: tuple[object, ...], kwargs: Mapping[str, object], queue: str | None, /
    ) -> int:
        """What `dequeue` does, its arguments taken apart. `queue` None is the job's own."""
        with _dequeuing():
            definition = find(self.registry, job, queue)
        methods = definition.methods if definition is not None else ClassMethods()
        names = {str(job)} if definition is None else {definition.name, *definition.aliases}
        place = definition.queue if definition is not None and queue is None else queue or ""
        alike: Alike | None = None
        if args or kwargs:
            with _dequeuing():  # bound before anybody is told, so that a wrong call disturbs nothing
                alike = self.alike(make_call(self.registry, job, args, kwargs, CallOptions(queue=place)))
        if False in [before(*args, **kwargs) for before in methods.before_dequeue]:
            return 0
        if alike is None:
            removed = self._remove_all(place, lambda body: envelope.job_of(body) in names)
        else:
            removed = sum(self.taken_away(place, body, self.broker.remove(place, body)) for body in alike.bodies)
            if not removed or alike.likely:
                removed += self._remove_all(place, alike)
        for after in methods.after_dequeue:
            after(*args, **kwargs)
        return removed

    def bodies_of(self, call: Call, /) -> list[bytes]:
        """The bytes that this call has without further keys, under the job's name and under each of its aliases."""
        names = (call.job,) if call.definition is None else (call.definition.name, *call.definition.aliases)
        return [self._encoder(call.definition, name)(call.args, _NOTHING) for name in names]

    def alike(self, call: Call, /) -> Alike:
        """What tells the jobs of this call, whatever further keys they have by now."""
        options = call.definition is not None and bool(call.definition.options)
        return Alike(self.bodies_of(call), likely=options or bool(call.declared))

    def _remove_all(self, queue: str, meant: Callable[[bytes], bool]) -> int:
        """Remove every job that is meant, page by page, until a pass finds none: workers shift what is paged."""
        removed = 0
        while True:
            before, start = removed, 0
            while page := self.broker.peek(queue, start, _PAGE):
                wanted = {body for body in page if meant(body)}
                removed += sum(self.taken_away(queue, body, self.broker.remove(queue, body)) for body in wanted)
                start += sum(body not in wanted for body in page)
            if removed == before:
                return removed

    @property
    def told_of_removals(self) -> bool:
        """Whether any hook listens to what is taken away: else nobody need look at it."""
        return self.hooks.listens("cancelled")

    def taken_away(self, queue: str, body: bytes, count: int = 1, /) -> int:
        """Tell hooks of so many jobs with these bytes that waited in this queue, or for it, and are gone. `count`."""
        if count and self.told_of_removals:
            for _ in range(count):
                self.hooks.tell_quietly("cancelled", queue, body)
        return count

    def cancel(
        self,
        job: Accepted | Call | str | None = None,
        /,
        *,
        worker: str | None = None,
        queue: str | None = None,
        by: str = "",
    ) -> Cancelled:
        """Cancel one job: where it waits, delayed or in its queue, it is taken away; where it runs it is ended.

        Where a worker has a process for it (fork, spawn, children that run the loop), that is killed within a second,
        once the job is half a second old. Where others are performed in the same process, `JobCancelled` is raised in
        it, as a time limit is. It fails then, and its failure says who asked; `on_crash` and retries say nothing.

        Args:
            job: what `enqueue` gave; the job's own id; or a call, `send_email.call("a@example.com")`. Of several jobs
                with equal bytes and no id it is one, whichever, a waiting one first.
            worker: the id of a worker: what it performs now, in the place of a job.
            queue: where a job with this id waits, if that is known: otherwise all queues are looked through.
            by: who asks, for its failure; empty for this process.

        Returns:
            "removed", "stopping" or "gone".

        Raises:
            NotSupported: the backend has no keys, and the job does not wait.
        """
        from taskq.cancelling import Cancelling, who_asks

        if (job is None) == (worker is None):
            raise TypeError("cancel takes a job, or worker=...: one of them.")
        by = by or who_asks()
        cancelling = Cancelling(self.broker, partial(self.hooks.tell_quietly, "cancelled"))
        if worker is not None:
            return cancelling.of_worker(worker, by)
        if isinstance(job, str):
            return cancelling.by_id(job, queue, by)
        if isinstance(job, Call):
            return cancelling.by_likeness(job.queue, self.alike(job), by)
        if not isinstance(job, Accepted):
            with reworded(("Nothing was enqueued.", "Nothing was cancelled.")):
                raise NotAJob(
                    f"A value of type {type(job).__name__}", "cancel takes what enqueue gave, an id, or a call."
                )
        if job.id is not None:
            return cancelling.by_id(job.id, job.queue if queue is None else queue, by)
        return cancelling.by_likeness(job.queue, Alike.to(job.payload), by, first=job.payload)

    # ---- looking

    def size(self, queue: str) -> int:
        """How many jobs wait in a queue; 0 for one that is not there."""
        return self.broker.size(queue)

    def sizes(self, queues: Sequence[str] | None = None) -> Mapping[str, int]:
        """How many jobs wait in each of these queues; None for every queue there is."""
        return self.broker.sizes(self.broker.queues() if queues is None else queues)

    def queues(self) -> Sequence[str]:
        """The names of all queues, sorted."""
        return self.broker.queues()

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[DecodedJob]:
        """Jobs that wait, from position `start` (0 is the next to be performed), removing none. Never fails on rubbish.

        Args:
            queue: its name.
            start: the first position.
            count: how many at most.
        """
        return [self.read(body) for body in self.broker.peek(queue, start, count)]

    def read(self, body: bytes) -> DecodedJob:
        """What a payload's bytes say, as far as it can be read here. Never fails, whatever they are."""
        return self.showing.read(body)

    def workers(self) -> list[WorkerInfo]:
        """Every registered worker, other programs' too, sorted by id."""
        return [worker for worker in self.broker.workers() if worker.registered]

    def working(self) -> list[WorkerInfo]:
        """Those that have a job in hand."""
        return [worker for worker in self.workers() if worker.job is not None]

    def info(self, sizes: Mapping[str, int] | None = None) -> Info:
        """The figures at a glance: `Resque.info`, and which broker they are of.

        Args:
            sizes: of every queue, where the caller has just looked.
        """
        sizes, workers = self.sizes() if sizes is None else sizes, self.workers()
        return Info(
            pending=sum(sizes.values()),
            processed=self.broker.stats().processed,
            queues=len(sizes),
            workers=len(workers),
            working=sum(worker.job is not None for worker in workers),
            failed=self.failures.count(),
            broker=self.broker.address,
        )

    # ---- steering

    def remove_queue(self, queue: str) -> int:
        """Remove a queue and every job that waits in it. How many there were.

        Where a hook listens to what is taken away, they go page by page, and it is told of each. Those that others add
        meanwhile go too, until there are none; but of who adds as fast some stay.
        """
        if not self.told_of_removals:
            return self.broker.remove_queue(queue)
        removed, most = 0, 2 * self.broker.size(queue) + _PAGE
        while removed < most:
            page = self.broker.drain(queue, _PAGE)
            for body in page:
                self.hooks.tell_quietly("cancelled", queue, body)
            removed += len(page)
            if len(page) < _PAGE:
                break
        return removed

    def pause(self, queue: str | None = None) -> None:
        """Let workers take nothing more from this queue; with None from any. Jobs in hand go on."""
        self.broker.pause(queue)

    def unpause(self, queue: str | None = None) -> None:
        """Undo `pause` of the same."""
        self.broker.unpause(queue)


def _dequeuing() -> AbstractContextManager[None]:
    return reworded(
        ("Nothing was enqueued.", "Nothing was removed."),
        ("enqueue_to(queue, ", "options(queue=...).dequeue("),
        (": enqueue(", ": dequeue("),
    )


def _between(
    before: Sequence[Method],
    put: Callable[[EnqueueRequest], Enqueued],
    after: Sequence[Method],
    definition: JobDefinition | None,
    request: EnqueueRequest,
) -> Enqueued:
    """Enqueue between methods of the job's own class, which take its arguments."""
    if definition is None or not (before or after):
        return put(request)
    args, kwargs = definition.signature.unbind(request.args)
    # Every one of them is called, also after one said no (WIRE.md section 2).
    said_no = [method for method in before if method(*args, **kwargs) is False]
    if said_no:
        return Vetoed(request.job, by=_shown_method(said_no[0]), reason="it returned False")
    answer = put(request)
    for method in after if answer else ():
        try:
            method(*args, **kwargs)
        except Exception as error:
            error.add_note(f"{_shown_method(method)} raised this after {request.job} had been enqueued.")
            raise
    return answer


def _by_place(args: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(f"args[{place}]" for place in range(len(args)))


def _shown_method(method: Callable[..., object]) -> str:
    return getattr(method, "__qualname__", None) or repr(method)
