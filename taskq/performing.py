"""What happens to one job: decode, find, bind, wrap, call, outcome. Each step is a plain function.

Where that happens is the execution model's business, and what becomes of the outcome is `taskq.worker.settle`'s. This
module knows no broker.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, NamedTuple, Self

from taskq import attempts, crashes, envelope, in_job, limits, loops, postponing
from taskq.chain import Hooks
from taskq.definition import JobDefinition
from taskq.errors import (
    DirtyExit,
    DontPerform,
    InvalidPayload,
    NotNow,
    TaskqError,
    TermException,
    UnknownJob,
)
from taskq.failed_entry import last_words
from taskq.failure_handler import Decision, Discard, Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.hook import PerformContext
from taskq.limits import Limiter
from taskq.outcome import Crashed, Done, Failed, Postponed
from taskq.records import Crash, ErrorRecord, Payload, Reservation
from taskq.registry import Registry
from taskq.serializer import Serializer
from taskq.signature import HIDDEN

__all__ = [
    "Task",
    "Tools",
    "crashed",
    "decide",
    "describe",
    "failed",
    "perform",
    "perform_inline",
    "prepare",
    "sheltered",
]

_log = logging.getLogger("taskq.performing")

_MESSAGE_MOST: Final = 32 * 1024  # characters of an exception's text that are kept; its middle goes
_TRACEBACK_MOST: Final = 64 * 1024
_DECISIONS: Final = (Retry, Discard, Fail, Quarantine)
_CAUSE: Final = "caused by "  # begins the line of a backtrace that is no frame
_SECRET_LEAST: Final = 4  # characters of a secret that is taken out of an exception's text
_FRAMES_MOST: Final = 100  # of each end of a backtrace: a stack overflow has thousands


class Tools:
    """What performing needs of the application. Made once; the wraps are nested once."""

    __slots__ = (
        "_plain", "_run", "_within_loop", "_wrapped", "handlers", "hooks", "keeps_unknown", "now", "on_crash",
        "registry", "serializers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        registry: Registry,
        serializers: Mapping[str, Serializer],
        hooks: Hooks,
        handlers: Sequence[FailureHandler],
        now: Callable[[], float],
        on_crash: int = 0,
        keeps_unknown: bool = False,
        run: Callable[[Awaitable[object]], object] | None = None,
    ) -> None:
        """Nest the wraps around the call.

        Args:
            registry: the jobs that may be performed, and no others.
            serializers: those whose payloads are accepted, by name.
            hooks: what wraps each performing.
            handlers: who decides on a failure, in order.
            now: the broker's time.
            on_crash: how often a job that does not say is requeued when its process dies.
            keeps_unknown: whether a job that is not registered goes back for a while, instead of failing.
            run: awaits what an `async def` job is, in its caller's place; None does so on a loop of its own each.
        """
        self._run = _run if run is None else run
        self.registry = registry
        self.serializers = serializers
        self.hooks = hooks
        self.handlers = tuple(handlers)
        self.now = now
        self.on_crash = on_crash
        self.keeps_unknown = keeps_unknown
        within = hooks.around_perform_async(self._call_async)
        self._wrapped = hooks.wraps_perform()
        self._plain = hooks.around_perform(self._call)
        self._within_loop = hooks.around_loop(lambda context: self._run(within(context)))

    def running(self, run: Callable[[Awaitable[object]], object]) -> Tools:
        """The same, but for what awaits `async def` jobs."""
        return Tools(
            registry=self.registry,
            serializers=self.serializers,
            hooks=self.hooks,
            handlers=self.handlers,
            now=self.now,
            on_crash=self.on_crash,
            keeps_unknown=self.keeps_unknown,
            run=run,
        )

    def requeues(self) -> Mapping[str, int]:
        """The names of the jobs that are requeued when their process dies, aliases too, and how often."""
        found = {name: self.registry.find(name) for name in self.registry.names()}
        return {name: times for name, job in found.items() if job is not None and (times := self.times(job))}

    def times(self, definition: JobDefinition | None) -> int:
        """How often this job is requeued when its process dies."""
        if definition is None:
            return 0
        return self.on_crash if definition.on_crash is None else definition.on_crash

    def call(self, task: Task) -> object:
        """Perform a task that has no problem within all that wraps; what the job returns or raises."""
        definition, payload = task.definition, task.payload
        assert definition is not None
        assert payload is not None
        if definition.is_async:
            return self._within_loop(task.context())
        if self._wrapped:
            return self._plain(task.context())
        return self._perform(definition, *definition.signature.unbind(payload.args))  # nobody asks for a context: 1 us

    def _call(self, context: PerformContext) -> object:
        return self._perform(*self._bound(context))

    def _perform(self, definition: JobDefinition, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if not _has_methods(definition):  # nearly always: what comes below costs 1.3 us
            result = definition.function(*args, **kwargs)
            return result if result is None else self._awaited(result)
        result = None  # where an around_perform method catches what the job raises
        with ExitStack() as around:
            if not _begin(definition, args, kwargs, around):
                return None
            result = self._awaited(definition.function(*args, **kwargs))
        _after(definition, args, kwargs)
        return result

    def _awaited(self, result: object) -> object:
        """What a plain job returned; where that is a coroutine, what comes of it.

        An `async def` within a plain decorator looks like a plain function: its coroutine, thrown away, would be a job
        that is done and was never performed.
        """
        return self._run(result) if isinstance(result, Awaitable) else result

    async def _call_async(self, context: PerformContext) -> object:
        definition, args, kwargs = self._bound(context)
        result = None
        with ExitStack() as around:
            if not _begin(definition, args, kwargs, around):
                return None
            result = definition.function(*args, **kwargs)
            if isinstance(result, Awaitable):
                result = await result
        _after(definition, args, kwargs)
        return result

    def _bound(self, context: PerformContext) -> tuple[JobDefinition, tuple[object, ...], dict[str, object]]:
        definition = self.registry.find(context.payload.job)
        if definition is None:
            raise UnknownJob(context.payload.job, context.reservation.queue, self.registry.names())
        args, kwargs = definition.signature.unbind(context.payload.args)
        return definition, args, kwargs


class Task(NamedTuple):  # made for every job, in half the time of a frozen dataclass
    """A reserved job, made ready.

    Attributes:
        reservation: who holds it.
        payload: what was enqueued, its arguments decoded; None where the bytes are no payload.
        definition: the job it names; None where that is not registered.
        shown: the arguments as they may be shown.
        problem: why it cannot be performed; None where it can.
    """

    reservation: Reservation
    payload: Payload | None
    definition: JobDefinition | None = None
    shown: tuple[object, ...] = ()
    problem: Exception | None = None

    @property
    def name(self) -> str:
        """The job's name for people: Resque says `No Name` where there is none (WIRE.md section 3)."""
        return self.payload.job if self.payload is not None else "No Name"

    def context(self) -> PerformContext:
        """What hooks are told. The task has no problem."""
        assert self.payload is not None
        assert self.definition is not None
        return PerformContext(self.payload, self.reservation, self.definition.options, self.shown)


def prepare(reservation: Reservation, tools: Tools) -> Task:
    """Decode the payload and find its job. Never raises: what is wrong is the task's `problem`."""
    try:
        payload = envelope.decode(reservation.body)
    except InvalidPayload as problem:
        return Task(reservation, None, problem=problem)
    definition = tools.registry.find(payload.job)
    shown = payload.args if definition is None else ("[not decoded]",)
    try:
        args = _loads(payload.args, tools.serializers)
    except InvalidPayload as problem:
        return Task(reservation, payload, definition, shown, problem)
    if args is not payload.args:
        payload = replace(payload, args=args)
    if definition is None:
        problem_ = UnknownJob(payload.job, reservation.queue, tools.registry.names())
        return Task(reservation, payload, None, payload.args, problem_)
    shown = args if not definition.secret else definition.shown(args)
    return Task(reservation, payload, definition, shown)


def perform(task: Task, tools: Tools, limiter: Limiter | None = None) -> Done | Failed | Postponed:
    """Perform a task in this thread, and say how it ended. Raises nothing that the job raises.

    Args:
        task: the job.
        tools: what performing needs.
        limiter: what holds it to its time limit; where there is none, a job that has one is refused.
    """
    if task.problem is not None or task.definition is None:
        later = _kept_unknown(task, tools)
        return failed(task, task.problem or RuntimeError("no definition"), tools, 0.0) if later is None else later
    seconds = task.definition.timeout
    if seconds is not None and limiter is None:
        return failed(task, _not_limited(task, seconds), tools, 0.0)
    began = time.perf_counter()
    try:
        token = in_job.performing.set(_asked_by(task, tools, seconds))
        try:
            if seconds is None or limiter is None:
                tools.call(task)
            else:
                with limiter(seconds):
                    tools.call(task)
        finally:
            in_job.performing.reset(token)
    except NotNow as later_:
        assert task.payload is not None
        return postponing.postponed(task.payload, task.reservation.body, later_)
    except BaseException as error:  # SystemExit and KeyboardInterrupt end the job, not the worker
        return failed(task, error, tools, time.perf_counter() - began)
    return Done(time.perf_counter() - began)


def perform_inline(tools: Tools, body: bytes, queue: str) -> object:
    """Perform a payload here and now, in the caller's thread; what the job returns or raises.

    Raises:
        InvalidPayload: the bytes are no payload.
        UnknownJob: its job is not registered.
    """
    task = prepare(Reservation("inline", queue, body, "", tools.now()), tools)
    if task.problem is not None or task.definition is None:
        raise task.problem or RuntimeError("no definition")
    token = in_job.performing.set(_asked_by(task, tools, None))
    try:
        return tools.call(task)
    except Exception as error:
        _tell_failure(task, error)
        raise
    finally:
        in_job.performing.reset(token)


def _asked_by(task: Task, tools: Tools, seconds: float | None) -> Callable[[], in_job.Current]:
    """What makes what the job can ask about itself, which few do; its time begins now."""
    return partial(_current, task, tools, None if seconds is None else time.monotonic() + seconds)


def _current(task: Task, tools: Tools, deadline: float | None) -> in_job.Current:
    context = task.context()
    payload, held = context.payload, context.reservation
    return in_job.Current(
        payload.job,
        held.queue,
        held.worker,
        _attempts(payload),
        in_job.id_of(payload),
        deadline,
        held.run_at,
        partial(tools.hooks.tell_quietly, "progressed", context) if tools.hooks.listens("progressed") else _tell_nobody,
    )


def _tell_nobody(done: float, total: float | None) -> None:
    """No hook wants to know how far a job has come."""


def _kept_unknown(task: Task, tools: Tools) -> Postponed | None:
    """What becomes of a job that is not registered here, where those are given back for a while."""
    if not tools.keeps_unknown or task.payload is None or not isinstance(task.problem, UnknownJob):
        return None
    reason = "no job of that name is registered here"
    return postponing.of_unknown(task.payload, task.reservation.body, reason, tools.now())


def failed(task: Task, error: BaseException, tools: Tools, seconds: float) -> Failed:
    """The outcome of a task that raised: its own `on_failure` methods are told, the failure handlers decide.

    One that was told to end, because its worker ends, did not fail: as its `on_crash` says it goes back to its queue
    as it came, and the interruption counts for nothing.
    """
    _tell_failure(task, error)
    record = describe(error)
    if task.definition is not None and task.definition.secret:
        record = _without_secrets(record, task)
    if error is task.problem:
        record = replace(record, backtrace=(), traceback="")  # it happened in taskq; the message has all there is
    on_crash = Retry(front=True) if tools.times(task.definition) and _was_told_to_end(error) else None
    return Failed(record, decide(_failure(task, record, tools, on_crash), tools.handlers), seconds)


def crashed(
    task: Task, crash: Crash, tools: Tools, seconds: float, *, requeues: Mapping[str, int] | None = None
) -> Crashed:
    """The outcome of a task whose process died, decided by whoever found it.

    Args:
        task: the job.
        crash: how its process died.
        tools: what deciding needs.
        seconds: how long it took.
        requeues: which jobs its worker said are requeued then, and how often; None where that worker is this one.
    """
    _tell_failure(task, DirtyExit(last_words(crash)))
    times = tools.times(task.definition) if requeues is None else requeues.get(task.name, 0)
    failure = _failure(task, crash, tools, _on_crash(task, crash, times))
    # Who does not know the job leaves it at what its worker said.
    decision = decide(failure, tools.handlers if task.definition is not None else ())
    return Crashed(crash, decision, seconds)


def _on_crash(task: Task, crash: Crash, times: int) -> Retry | Quarantine | None:
    """What the job's `on_crash` says, where it has a say: not of what an operator or its own time limit ended."""
    if task.payload is None or not times or crash.ended in {"kill", "timeout", "cancel"}:
        return None
    if crash.ended == "shutdown":
        return Retry(front=True)  # as it came: it killed nobody
    return crashes.decide(task.payload, task.reservation.body, times)


def _was_told_to_end(error: BaseException) -> bool:
    """Whether the job was told to end: it let that go, or raised something else while it cleaned up."""
    at: BaseException | None = error
    while at is not None:
        if _tells_to_end(at) or (isinstance(at, BaseExceptionGroup) and at.subgroup(_tells_to_end) is not None):
            return True
        at = at.__context__
    return False


def _tells_to_end(error: BaseException) -> bool:
    return isinstance(error, TermException) and not error.alone


def decide(failure: Failure, handlers: Sequence[FailureHandler]) -> Decision:
    """Ask each handler in turn; the first that does not pass decides. Then tell them all.

    One that raises is logged and passed over. Where nobody decides, it is as the job's `on_crash` says, else the failed
    list.
    """
    decision: Decision = failure.on_crash or Fail()
    for handler in handlers:
        answer: object = None
        try:
            answer = handler.decide(failure)
        except BaseException:  # SystemExit too: it would end the worker
            _log.exception("Failure handler %s failed to decide; the next one is asked.", _name(handler))
        if isinstance(answer, _DECISIONS):
            decision = answer
            break
        if answer is not None:
            _log.error(
                "Failure handler %s decided %r. It must return Retry, Discard, Fail, Quarantine, or None to pass; "
                "the next one is asked.",
                _name(handler),
                answer,
            )
    for handler in handlers:
        try:
            handler.decided(failure, decision)
        except BaseException:
            _log.exception("Failure handler %s failed when told what was decided.", _name(handler))
    return decision


def describe(error: BaseException) -> ErrorRecord:
    """An exception as text: its type, what it says, and the frames of the application, innermost first."""
    kind = type(error)
    if isinstance(error, TermException):
        name, message = error.named, _text_of(error) or "SIGTERM"
    elif isinstance(error, SystemExit):
        name, message = "SystemExit", _exit_text(error)
    else:
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        message = _text_of(error) or name
    try:
        whole = "".join(traceback.TracebackException(kind, error, error.__traceback__).format())
    except BaseException:  # a broken __str__ or __repr__ of the application's
        whole = f"{name}: {message}"
    kinds = tuple(f"{one.__module__}.{one.__qualname__}" for one in kind.__mro__ if issubclass(one, BaseException))
    return ErrorRecord(name, _cut(message, _MESSAGE_MOST), _backtrace(error), _cut(whole, _TRACEBACK_MOST), kinds)


# ---- decoding


def _loads(args: tuple[object, ...], serializers: Mapping[str, Serializer]) -> tuple[object, ...]:
    """The arguments, by the serializer whose tag they bear; by JSON where they bear none."""
    if len(args) != 1:
        return args
    tag = envelope.tag(list(args))
    if tag is None:
        return args
    serializer = serializers.get(tag)
    try:
        decoded = None if serializer is None else serializer.loads(list(args))
    except InvalidPayload:
        raise
    except Exception as error:  # a stranger's mistake: let out here it would end this worker, and whoever follows it
        raise InvalidPayload(f'The serializer "{tag}" cannot read the arguments: {error!r}.') from error
    if decoded is None:
        raise InvalidPayload(
            f'The arguments are in the serializer "{tag}", which this worker does not accept. It accepts: '
            f"{', '.join(sorted(serializers))}. To read it: accept={sorted({*serializers, tag})}."
        )
    return decoded


# ---- calling


class _Around:
    """One `around_perform` method: a generator function that yields where the job is to be performed.

    As in Resque, one that does not yield keeps the job from being performed (WIRE.md section 4).
    """

    __slots__ = ("_generator", "yielded")

    def __init__(self, method: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        made = method(*args, **kwargs)
        self._generator = made if isinstance(made, Generator) else None
        self.yielded = False

    def __enter__(self) -> Self:
        if self._generator is not None:
            try:
                next(self._generator)
                self.yielded = True
            except StopIteration:
                pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        if self._generator is None or not self.yielded:
            return False
        try:
            if error is None:
                next(self._generator)
            else:
                self._generator.throw(error)
        except StopIteration:
            return error is not None  # it caught the job's error: the job is done
        except BaseException as raised:
            # A StopIteration comes out of a generator as the cause of a RuntimeError.
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                return False
            raise
        self._generator.close()
        raise RuntimeError("an around_perform method yielded twice; it performs the job once")


def _has_methods(definition: JobDefinition) -> bool:
    methods = definition.methods
    return bool(methods.before_perform or methods.around_perform or methods.after_perform)


def _begin(definition: JobDefinition, args: tuple[object, ...], kwargs: dict[str, object], around: ExitStack) -> bool:
    """Resque's order: every `before_perform`, then into each `around_perform`. False: it is not to be performed."""
    methods = definition.methods
    try:
        for before in methods.before_perform:
            before(*args, **kwargs)
    except DontPerform:
        return False
    for method in methods.around_perform:
        if not around.enter_context(_Around(method, args, kwargs)).yielded:
            around.close()
            _after(definition, args, kwargs)
            return False
    return True


def _after(definition: JobDefinition, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    for after in definition.methods.after_perform:
        after(*args, **kwargs)


async def sheltered(coroutine: Awaitable[object]) -> tuple[object, BaseException | None]:
    """What comes of it, or what would end the loop itself, and with it whatever else is on it: an exit."""
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as error:
        return None, error


def _run(coroutine: Awaitable[object]) -> object:
    import asyncio  # 40 ms that only `async def` jobs need

    async def job() -> object:
        return await coroutine

    async def main() -> object:
        return await limits.driven(job())

    caller = None
    with suppress(RuntimeError):
        caller = asyncio.get_running_loop()
    if caller is None:
        return loops.run(main(), coroutine)
    # Inline in a web application or its tests: no loop runs within another, and the caller waits in any case.
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, loops.run, main(), coroutine).result()


# ---- failing


def _not_limited(task: Task, seconds: float) -> TaskqError:
    return TaskqError(
        f"{task.name} has a time limit of {seconds:g} s, which cannot be held here: this platform, or the way in which "
        "this worker performs jobs, has nothing that ends a job. Give it to a worker that forks, or take its timeout "
        "away. It was not begun."
    )


def _failure(task: Task, cause: ErrorRecord | Crash, tools: Tools, on_crash: Retry | Quarantine | None) -> Failure:
    held = task.reservation
    return Failure(
        task.payload,
        held.body,
        held.queue,
        held.worker,
        cause,
        held.run_at,
        tools.now(),
        1 if task.payload is None else _attempts(task.payload),
        on_crash,
        {} if task.definition is None else task.definition.options,
    )


def _attempts(payload: Payload) -> int:
    """How many times it has been performed, this time included, as far as is known."""
    return attempts.count(payload) + crashes.count(payload) + 1 if payload.extra else 1


def _without_secrets(record: ErrorRecord, task: Task) -> ErrorRecord:
    """The record less what its job marked as secret: `int(token)` puts the token into its message.

    One of fewer than four characters stays: to take "1" out of every text would hide what happened, not the secret.
    """
    given = () if task.payload is None else task.payload.args
    secrets: set[str] = set()
    hidden = [(value, shown) for value, shown in zip(given, task.shown, strict=False) if value is not shown]
    while hidden:
        value, shown = hidden.pop()
        if isinstance(value, dict):
            kept = shown if isinstance(shown, dict) else {}
            hidden += [(one, kept.get(key)) for key, one in value.items() if one is not kept.get(key)]
        elif isinstance(value, list):
            hidden += [(one, HIDDEN) for one in value]
        elif not isinstance(value, bool | None):
            text = str(value)
            secrets |= {text, repr(text)[1:-1]}
    texts = sorted((re.escape(text) for text in secrets if len(text) >= _SECRET_LEAST), key=len, reverse=True)
    if not texts:
        return record
    hide = partial(re.compile("|".join(texts)).sub, HIDDEN)
    return replace(
        record,
        message=hide(record.message),
        backtrace=tuple(hide(line) if line.startswith(_CAUSE) else line for line in record.backtrace),
        traceback=hide(record.traceback),
    )


def _tell_failure(task: Task, error: BaseException) -> None:
    """Call the job's own `on_failure` methods. What one raises is logged and hides nothing."""
    if task.definition is None or task.payload is None or not task.definition.methods.on_failure:
        return
    if task.problem is not None:
        return  # its arguments could not be decoded: there is nothing to call them with
    try:
        args, kwargs = task.definition.signature.unbind(task.payload.args)
    except TypeError:
        return  # that they do not fit is the failure itself
    for method in task.definition.methods.on_failure:
        try:
            method(error, *args, **kwargs)
        except BaseException:  # SystemExit too: it would end the worker
            _log.exception("on_failure of job %s failed.", task.name)


def _backtrace(error: BaseException) -> tuple[str, ...]:
    lines = _frames(error)
    seen = {id(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        lines += [f"{_CAUSE}{type(cause).__qualname__}: {_cut(_text_of(cause), 1000)}", *_frames(cause)]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return tuple(lines)


def _frames(error: BaseException) -> list[str]:
    """`file:line:in 'function'`, innermost first, up to, without, the frames of performing itself (WIRE.md 6)."""
    frames: list[str] = []
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_filename in _OURS:
            frames.clear()
        elif code.co_filename != limits.__file__:
            frames.append(f"{code.co_filename}:{at.tb_lineno}:in '{code.co_qualname}'")
        at = at.tb_next
    frames.reverse()
    if len(frames) > 2 * _FRAMES_MOST:
        left_out = f"... {len(frames) - 2 * _FRAMES_MOST} frames left out ..."
        frames = [*frames[:_FRAMES_MOST], left_out, *frames[-_FRAMES_MOST:]]
    return frames


_OURS: Final = frozenset({_begin.__code__.co_filename, JobDefinition.shown.__code__.co_filename})


def _text_of(error: object) -> str:
    try:
        return str(error)
    except BaseException as broken:  # let out here, SystemExit would end the worker
        return f"<its __str__ raised {type(broken).__name__}>"


def _exit_text(error: SystemExit) -> str:
    if error.code is None or error.code == 0:
        return "exit"
    return f"exit {error.code}" if isinstance(error.code, int) else _text_of(error.code)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {len(text) - most} characters left out ... {text[-most // 2 :]}"


def _name(handler: FailureHandler) -> str:
    return handler.name or type(handler).__name__
