"""The application: a configuration, what it names (broker, serializers, hooks, failure handlers), and the verbs.

Nothing is loaded or connected to before it is first needed. This module moves no bytes to any store itself and performs
no job itself: the one is the broker's, the other `taskq.performing`'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypedDict, cast

from taskq import config as configuration
from taskq import envelope, on_crash, plugins
from taskq.broker import Broker
from taskq.chain import Hooks
from taskq.config import Config
from taskq.definition import ClassMethods, JobDefinition
from taskq.errors import ConfigurationError, InvalidPayload, NotAJob, PayloadTooLarge, Problem, UnserializableArgument
from taskq.failure_handler import FailureHandler
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Vetoed
from taskq.job_options import CallOptions, KnownOptions
from taskq.jobs import Call, Verbs, find, make_call
from taskq.records import WorkerInfo
from taskq.registry import DEFAULT, Registry
from taskq.serializer import Serializer

if TYPE_CHECKING:  # a producer performs nothing and shows nothing: it should not pay for the import
    from taskq.failed_jobs import Failures
    from taskq.masks import Masks
    from taskq.operator import Operator
    from taskq.performing import Tools
    from taskq.showing import DecodedJob, Showing

__all__ = ["Info", "TaskQ"]

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
    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class _Push:
    """Payloads that go into a queue in one write."""

    queue: str
    front: bool
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
        self.config: Final = configuration.load(call=settings) if config is None else config
        self._registry: Final = registry
        self._failures: Failures | None = None
        self._showing: Showing | None = None
        self._operator: Operator | None = None
        self._lock = threading.RLock()
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
            with self._lock:
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
            [self._serializer] = plugins.create_all(
                plugins.SERIALIZERS, [self.config.serializer], source=self.config.source("serializer")
            )
        return self._serializer

    @property
    def serializers(self) -> Mapping[str, Serializer]:
        """Those whose payloads are read, by name. Raises PluginError where one does not load."""
        if self._serializers is None:
            made = plugins.create_all(plugins.SERIALIZERS, self.config.accept, source=self.config.source("accept"))
            self._serializers = dict(zip(self.config.accept, made, strict=True))
        return self._serializers

    @property
    def hooks(self) -> Hooks:
        """The enabled hooks. Raises ConfigurationError where one does not load, or their order cannot be."""
        if self._hooks is None:
            with self._lock:
                if self._hooks is None:
                    source = self.config.source("hooks")
                    made = plugins.create_all(plugins.HOOKS, self.config.hooks, source=source)
                    self._known = KnownOptions(made)
                    self._hooks = Hooks(made)
        return self._hooks

    @property
    def handlers(self) -> Sequence[FailureHandler]:
        """The failure handlers, in the order in which they are asked. Raises PluginError where one does not load."""
        if self._handlers is None:
            with self._lock:
                if self._handlers is None:
                    source = self.config.source("failure_handlers")
                    made = plugins.create_all(plugins.FAILURE_HANDLERS, self.config.failure_handlers, source=source)
                    self._handlers = tuple(made)
        return self._handlers

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
            )
        return self._tools

    @property
    def failures(self) -> Failures:
        """Its failed jobs."""
        if self._failures is None:
            from taskq.failed_jobs import Failures

            self._failures = Failures(lambda: self.broker, lambda: self.showing)
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
                )
            )
        return self._operator

    def load(self) -> None:
        """Load all that the configuration names, and check every job's options. Connects to nothing.

        Raises:
            ConfigurationError: all that does not load.
            UnknownOption: a job says an option that no enabled hook knows.
        """
        problems: list[Problem] = []
        for part in ("broker", "serializer", "serializers", "hooks", "handlers"):
            try:
                getattr(self, part)
            except ConfigurationError as error:
                problems += (problem for problem in error.problems if problem not in problems)
        if problems:
            raise ConfigurationError(problems)
        for definition in self.registry:
            self.check_options(definition)

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
        wrapped = self._sender(call.definition)
        if wrapped is None:
            body = self._encoder(call.definition, call.job)(call.args, _NOTHING)
            self._push(call.queue, body, front=call.front, connection=call.connection)
            return Accepted(call.job, call.queue, body)
        said = call.definition.options if call.definition is not None else _NOTHING
        options = {**said, **call.declared} if call.declared else said
        return wrapped(EnqueueRequest(call.job, call.args, call.queue, call.front, _NOTHING, options, call.connection))

    def enqueue_many(self, calls: Iterable[Call]) -> list[Enqueued]:
        """Enqueue many calls, made by `call(...)`, with one round trip a queue.

        All of them are checked and encoded before the first is sent. Those that something wraps (a hook, or methods of
        the job's own class) go one by one, so that what wraps sees what becomes of each; the order within a queue is
        kept all the same. So do those that are a part of a transaction.

        Returns:
            What `enqueue` would have given for each, in their order.

        Raises:
            EnqueueError: nothing was enqueued, for the reason that the subclass names.
            BrokerUnavailable: a note on it says how many had been enqueued before.
        """
        calls = list(calls)
        for kind in {*map(type, calls)} - {Call}:
            raise NotAJob(f"A value of type {kind.__name__}", "enqueue_many takes calls: send_email.call(to).")
        answers, steps = self._planned(calls)
        sent = 0
        try:
            for step in steps:
                if isinstance(step, _Push):
                    self.broker.push(step.queue, step.bodies, front=step.front)
                    sent += len(step.bodies)
                else:
                    answers[step] = self.enqueue_call(calls[step])
                    sent += 1
        except Exception as error:
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
        open_pushes: dict[tuple[str, bool], _Push] = {}
        for run in self._runs(calls):
            job, queue, count = run.job, run.queue, len(run.bodies)
            if run.alone:
                open_pushes.pop((queue, False), None)
                open_pushes.pop((queue, True), None)
                steps += range(len(answers), len(answers) + count)
                answers += [None] * count
                continue
            push = open_pushes.get((queue, run.front))
            if push is None:
                push = open_pushes[queue, run.front] = _Push(queue, run.front, [])
                steps.append(push)
            push.bodies.extend(run.bodies)
            answers += map(tuple.__new__, repeat(Accepted), zip(repeat(job), repeat(queue), run.bodies))
        return answers, steps

    def _runs(self, calls: Sequence[Call]) -> list[_Run]:
        """The calls, checked and encoded, in their order."""
        runs: list[_Run] = []
        extra = _NOTHING
        of, name, to, ahead, within = None, "", "", False, None  # no job has an empty name: the first begins a run
        bodies: list[bytes] = []
        for definition, job, args, queue, front, declared, whose in calls:
            if definition is not of or queue is not to or front is not ahead or job is not name or whose is not within:
                of, name, to, ahead, within = definition, job, queue, front, whose
                encoded = self._encoder(definition, job)
                bodies = []
                alone = self._sender(definition) is not None or whose is not None
                runs.append(_Run(job, queue, front, alone, bodies))
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
        inner = self._innermost(definition)
        wrapped: Callable[[EnqueueRequest], Enqueued] | None = self.hooks.around_enqueue(inner)
        methods = definition.methods if definition is not None else None
        own = methods is not None and bool(methods.before_enqueue or methods.after_enqueue)
        if wrapped is inner and not own and not self.config.inline:
            wrapped = None
        self._senders[definition] = wrapped
        return wrapped

    def _innermost(self, definition: JobDefinition | None) -> Callable[[EnqueueRequest], Enqueued]:
        def enqueue(request: EnqueueRequest) -> Enqueued:
            if definition is None or not (definition.methods.before_enqueue or definition.methods.after_enqueue):
                return self._put(definition, request)
            before, after = definition.methods.before_enqueue, definition.methods.after_enqueue
            args, kwargs = definition.signature.unbind(request.args)
            # Every one of them is called, also after one said no (WIRE.md section 2).
            said_no = [method for method in before if method(*args, **kwargs) is False]
            if said_no:
                return Vetoed(request.job, by=_shown_method(said_no[0]), reason="it returned False")
            accepted = self._put(definition, request)
            for method in after:
                try:
                    method(*args, **kwargs)
                except Exception as error:
                    error.add_note(f"{_shown_method(method)} raised this after {request.job} had been enqueued.")
                    raise
            return accepted

        return enqueue

    def _put(self, definition: JobDefinition | None, request: EnqueueRequest) -> Accepted:
        body = self._encoder(definition, request.job)(request.args, request.extra)
        if self.config.inline:
            self._perform(body, request.queue)
        else:
            self._push(request.queue, body, front=request.front, connection=request.connection)
        return Accepted(request.job, request.queue, body)

    def _push(self, queue: str, body: bytes, *, front: bool, connection: object | None) -> None:
        if connection is None:
            self.broker.push(queue, (body,), front=front)
        else:
            self.broker.push_within(connection, queue, (body,), front=front)

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
                # Now with the names that its error needs: to find them for every call would cost a fifth of this.
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
        definition = find(self.registry, job, queue)
        methods = definition.methods if definition is not None else ClassMethods()
        names = (str(job),) if definition is None else (definition.name, *definition.aliases)
        place = definition.queue if definition is not None and queue is None else queue or ""
        bodies: list[bytes] = []
        if args or kwargs:
            # Bound before anybody is told, so that a wrong call disturbs nothing.
            call = make_call(self.registry, job, args, kwargs, CallOptions(queue=place))
            bodies = [self._encoder(definition, name)(call.args, _NOTHING) for name in names]
        if False in [before(*args, **kwargs) for before in methods.before_dequeue]:
            return 0
        if args or kwargs:
            removed = sum(self.broker.remove(place, body) for body in bodies)
        else:
            removed = self._remove_all(place, frozenset(names))
        for after in methods.after_dequeue:
            after(*args, **kwargs)
        return removed

    def _remove_all(self, queue: str, names: frozenset[str]) -> int:
        """Remove every job of these names, page by page, until a pass finds none: workers shift what is paged."""
        removed = 0
        while True:
            before, start = removed, 0
            while page := self.broker.peek(queue, start, _PAGE):
                wanted = {body for body in page if _job_of(body) in names}
                removed += sum(self.broker.remove(queue, body) for body in wanted)
                start += sum(body not in wanted for body in page)
            if removed == before:
                return removed

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

    def info(self) -> Info:
        """The figures at a glance: `Resque.info`, and which broker they are of."""
        sizes, workers = self.sizes(), self.workers()
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
        """Remove a queue and every job that waits in it. How many there were."""
        return self.broker.remove_queue(queue)

    def pause(self, queue: str | None = None) -> None:
        """Let workers take nothing more from this queue; with None from any. Jobs in hand go on."""
        self.broker.pause(queue)

    def unpause(self, queue: str | None = None) -> None:
        """Undo `pause` of the same."""
        self.broker.unpause(queue)


def _by_place(args: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(f"args[{place}]" for place in range(len(args)))


def _job_of(body: bytes) -> str | None:
    try:
        return envelope.decode(body).job
    except InvalidPayload:
        return None


def _shown_method(method: Callable[..., object]) -> str:
    return getattr(method, "__qualname__", None) or repr(method)
