"""What every hook promises: a class to subclass, a test a promise, each named for the method that it proves.

The tests of methods that a hook does not define are skipped, by name.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, get_args

import pytest

from taskq import envelope
from taskq.app import TaskQ
from taskq.chain import Hooks, Moment
from taskq.errors import TermException, nearest
from taskq.failure_handler import Discard, Fail, Retry
from taskq.hook import Accepted, Deferred, Enqueued, EnqueueRequest, Hook, PerformContext, Settled, Vetoed
from taskq.job_options import KnownOptions
from taskq.jobs import job
from taskq.records import Crash, ErrorRecord, Payload, Reservation
from taskq.registry import Registry
from taskq.testing.contract.alongside import in_child, side_by_side

__all__ = ["HookContract"]

_WORKER: Final = "host:1:emails"
_BODY: Final = b'{"class":"send_email","args":["ada@example.com"]}'
_HELD: Final = Reservation(_WORKER, "emails", _BODY, "0123456789abcdef:0001", 1_800_000_000.0)
_ERROR: Final = ErrorRecord("ValueError", "no such mailbox", ("/shop/mail.py:7:in 'send'",), "Traceback ...")
_SETTLED: Final = (
    Settled(_HELD, "done", seconds=0.01),
    Settled(_HELD, "failed", _ERROR, Fail(), 0.01),
    Settled(_HELD, "failed", Crash(pid=17, signal=9), Fail(by_queue=True)),
    Settled(_HELD, "failed", Crash(worker_lost=True), Fail()),
    Settled(_HELD, "retried", _ERROR, Retry(), 0.01),
    Settled(_HELD, "discarded", _ERROR, Discard("the order is gone"), 0.01),
    Settled(_HELD, "postponed"),
    Settled(_HELD, "refused"),
    Settled(dataclasses.replace(_HELD, body=b"\xff{"), "failed", _ERROR, Fail()),
)
_METHODS: Final = tuple(name for name, value in vars(Hook).items() if inspect.isfunction(value) and name != "bound")
_NEAR: Final = 0.8  # as alike as "wrap_preform" and "wrap_perform"; "settle_all" and "settled" are two things


class _Raised(Exception):
    """What the job of a test raises."""


class HookContract:
    """Subclass it, give `make_hook`, and every promise of `taskq.hook.Hook` is tested.

    Attributes:
        job_options: what the job of these tests says to this hook, by option name.
        swallows: exceptions of a job that this hook is there to swallow; no other may be lost.
    """

    job_options: ClassVar[Mapping[str, object]] = {}
    swallows: tuple[type[BaseException], ...] = ()

    def make_hook(self) -> Any:
        """A hook, made anew."""
        raise NotImplementedError(f"{type(self).__name__} has no make_hook(): give one that returns a hook")

    @pytest.fixture
    def hook(self) -> Any:
        """The hook of this test."""
        return self.make_hook()

    def request(self) -> EnqueueRequest:
        """A job about to be enqueued."""
        return EnqueueRequest("send_email", ("ada@example.com",), "emails", options=self.job_options)

    def context(self) -> PerformContext:
        """A job about to be performed."""
        payload = Payload("send_email", ("ada@example.com",))
        return PerformContext(payload, _HELD, self.job_options, ("ada@example.com",))

    # ---- what it is

    def test_name_is_what_a_configuration_calls_it(self, hook: Any) -> None:
        """The name is that of its entry point: one word."""
        assert isinstance(hook.name, str)
        assert hook.name
        assert hook.name == "".join(hook.name.split())

    def test_methods_are_those_of_a_hook(self, hook: Any) -> None:
        """It defines one or declares options, and none is nearly one: `wrap_preform` would never be called."""
        declares = getattr(hook, "options", None) is not None
        assert declares or any(_defines(hook, method) for method in _METHODS), f"no method of {_METHODS}"
        for name in dir(type(hook)):
            if not name.startswith("_") and name not in dir(Hook):
                assert nearest(name, _METHODS, cutoff=_NEAR) is None, f"{name} is never called"

    def test_methods_take_what_they_are_given(self, hook: Any) -> None:
        """Each can be called as the interface says."""
        for method in _METHODS:
            if _defines(hook, method):
                given = [name for name in inspect.signature(getattr(Hook, method)).parameters if name != "self"]
                inspect.signature(getattr(hook, method)).bind(*given)

    def test_awrap_perform_is_there_for_async_jobs_only(self, hook: Any) -> None:
        """`awrap_perform` is an `async def`, `wrap_perform` is none: a coroutine that nobody awaits runs nothing."""
        for method, is_async in {"wrap_perform": False, "awrap_perform": True}.items():
            if _defines(hook, method):
                assert inspect.iscoroutinefunction(getattr(hook, method)) is is_async, method

    def test_order_names_other_hooks(self, hook: Any) -> None:
        """`before` and `after` are tuples of names of other hooks, and not of the same ones."""
        before, after = getattr(hook, "before", ()), getattr(hook, "after", ())
        assert isinstance(before, tuple)
        assert isinstance(after, tuple)
        assert all(isinstance(name, str) and name != hook.name for name in (*before, *after))
        assert not set(before) & set(after)

    def test_options_can_be_declared(self, hook: Any) -> None:
        """They are a dataclass, collide with none of taskq's own, and each has a default: most jobs say nothing."""
        KnownOptions([hook]).check_definition(self.job_options, "job_options")
        declared = getattr(hook, "options", None)
        for option in dataclasses.fields(declared) if declared is not None else ():
            has_one = (option.default, option.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
            assert has_one, f"the option {option.name} has no default, and no job has to say it"

    # ---- around an enqueue

    def test_wrap_enqueue_answers_how_it_ended(self, hook: Any) -> None:
        """Accepted where it called `call_next`, and then that very answer; else Vetoed or Deferred, with a reason."""
        answer, pushed = self.enqueue(hook)
        assert len(pushed) <= 1, "call_next was called twice: the job is enqueued twice"
        assert isinstance(answer, Enqueued), f"it answered {answer!r}"
        if pushed:
            assert isinstance(answer, Accepted), "the job was enqueued, and the caller hears that it was not"
        else:
            assert isinstance(answer, Vetoed | Deferred), "the job was not enqueued, and the caller hears that it was"
            assert answer.reason

    def test_wrap_enqueue_passes_a_request_on(self, hook: Any) -> None:
        """What `call_next` is given is a request, of the same job or another."""
        _, pushed = self.enqueue(hook)
        assert all(isinstance(request, EnqueueRequest) for request in pushed)

    def test_wrap_enqueue_lets_errors_through(self, hook: Any) -> None:
        """Where the broker is away, the caller hears so."""

        def fail(request: EnqueueRequest) -> Enqueued:
            raise _Raised

        _needs(hook, "wrap_enqueue")
        _, pushed = self.enqueue(self.make_hook())
        if pushed:
            with pytest.raises(_Raised):
                hook.wrap_enqueue(self.request(), fail)

    def test_wrap_enqueue_says_nothing_that_json_has_not(self, hook: Any) -> None:
        """Further keys of the payload are JSON's types: the envelope is always JSON."""
        _, pushed = self.enqueue(hook)
        for request in pushed:
            body = envelope.encode(request.job, "[]", request.extra)
            assert dict(envelope.decode(body).extra) == dict(request.extra)

    def enqueue(self, hook: Any) -> tuple[object, list[EnqueueRequest]]:
        """What `wrap_enqueue` answers, and the requests that it passed on."""
        _needs(hook, "wrap_enqueue")
        pushed: list[EnqueueRequest] = []

        def push(request: EnqueueRequest) -> Enqueued:
            pushed.append(request)
            return Accepted(request.job, request.queue, _BODY)

        return hook.wrap_enqueue(self.request(), push), pushed

    # ---- around a perform

    @pytest.fixture(params=["wrap_perform", "awrap_perform"])
    def perform(self, request: pytest.FixtureRequest, hook: Any) -> Callable[..., list[PerformContext]]:
        """Performs a job within this hook, plain or `async`; gives the contexts that came through."""
        kind: Literal["wrap_perform", "awrap_perform"] = request.param
        _needs(hook, kind)
        return lambda error=None: self.performed(hook, kind, error)

    def test_wrap_perform_performs_once_or_raises(self, perform: Callable[..., list[PerformContext]]) -> None:
        """A hook that returns and did not call `call_next` makes done what was never performed."""
        try:
            seen = perform()
        except Exception:
            return
        assert len(seen) == 1, f"call_next was called {len(seen)} times, and nothing was raised"

    def test_wrap_perform_passes_a_context_on(self, perform: Callable[..., list[PerformContext]]) -> None:
        """What `call_next` is given is a context, this one or another."""
        try:
            seen = perform()
        except Exception:
            return
        assert all(isinstance(context, PerformContext) for context in seen)

    @pytest.mark.parametrize("kind", [_Raised, TermException, SystemExit, KeyboardInterrupt])
    def test_wrap_perform_lets_errors_through(
        self, perform: Callable[..., list[PerformContext]], kind: type[BaseException]
    ) -> None:
        """What the job raises goes on its way: swallowed, a job that failed would be done."""
        if issubclass(kind, self.swallows):
            pytest.skip(f"this hook is there to swallow {kind.__name__}")
        with pytest.raises(BaseException) as raised:  # noqa: PT011
            perform(kind())
        assert isinstance(raised.value, Exception if kind is _Raised else kind)

    def test_wrap_perform_again_and_again(self, hook: Any) -> None:
        """One object serves all jobs of a process, those after one that failed too."""
        _needs(hook, "wrap_perform")
        for error in (None, _Raised(), None):
            try:
                seen = self.performed(hook, "wrap_perform", error)
            except _Raised:
                continue
            assert len(seen) == 1

    def test_wrap_perform_side_by_side(self, hook: Any) -> None:
        """A worker with several threads has one hook for all of them."""
        _needs(hook, "wrap_perform")
        works = [lambda: len(self.performed(hook, "wrap_perform"))] * 4
        assert side_by_side(*works) == [1] * 4

    def test_wrap_perform_in_a_forked_child(self, hook: Any) -> None:
        """It is made in the worker and called in the child, which tells it `after_fork` and `flush`."""
        _needs(hook, "wrap_perform")

        def as_child() -> None:
            Hooks([hook]).tell("after_fork", self.context())
            assert len(self.performed(hook, "wrap_perform")) == 1
            Hooks([hook]).tell("flush")

        Hooks([hook]).tell("before_fork", self.context())
        in_child(as_child)

    def performed(
        self, hook: Any, kind: Literal["wrap_perform", "awrap_perform"], error: BaseException | None = None
    ) -> list[PerformContext]:
        """Perform a job that raises `error`, or nothing, within this hook; the contexts that came through."""
        seen: list[PerformContext] = []

        def call(context: PerformContext) -> object:
            seen.append(context)
            if error is not None:
                raise error
            return "done"

        async def acall(context: PerformContext) -> object:
            await asyncio.sleep(0)
            return call(context)

        if kind == "wrap_perform":
            hook.wrap_perform(self.context(), call)
        else:
            _run(hook.awrap_perform(self.context(), acall))
        return seen

    # ---- what it is told

    @pytest.mark.parametrize("moment", get_args(Moment))
    def test_told_answers_nothing(self, hook: Any, moment: Moment) -> None:
        """Each moment is told with what the interface says, and may come twice; only `requeueing` may be undone."""
        _needs(hook, moment)
        for _ in range(2):
            for given in self.told(moment):
                answer = getattr(hook, moment)(*given)
                if moment == "requeueing" and answer is not None:
                    assert callable(answer), "what requeueing returns takes back what it did, and is called"
                    answer()
                else:
                    assert answer is None

    def told(self, moment: Moment) -> Sequence[tuple[object, ...]]:
        """What a hook may be told at this moment, each with its arguments."""
        if moment in {"before_fork", "after_fork"}:
            return [(self.context(),)]
        if moment == "settling":
            return [(settled,) for settled in _SETTLED if settled.outcome in {"retried", "postponed"}]
        if moment == "settled":
            return [(settled,) for settled in _SETTLED]
        if moment == "progressed":
            return [(self.context(), 1, None), (self.context(), 2.5, 10)]
        if moment in {"requeueing", "cancelled"}:
            return [("emails", _BODY), ("emails", b"\xff{")]
        return [()] if moment == "flush" else [(_WORKER,)]

    def test_flush_comes_first_too(self) -> None:
        """A child that performed nothing flushes all the same."""
        hook = self.make_hook()
        _needs(hook, "flush")
        hook.flush()

    # ---- in an application

    @pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
    def test_an_application_performs_within_it(self, hook: Any, is_async: bool) -> None:
        """Enabled, with a job that says its options: what is accepted is performed, or is seen to fail."""
        performed: list[str] = []
        registry = Registry()

        def send_email(to: str) -> None:
            performed.append(to)

        async def send_email_async(to: str) -> None:
            performed.append(to)

        written: Callable[[str], object] = send_email_async if is_async else send_email
        options: dict[str, Any] = dict(self.job_options)
        made: Any = job(registry=registry, queue="emails", **options)(written)
        handlers = (*getattr(hook, "needs_handlers", ()), "broker")
        with TaskQ(broker="memory://", hooks=[hook], failure_handlers=handlers, inline=True, registry=registry) as app:
            app.load()
            try:
                answer = app.enqueue(made, "ada@example.com")
            except Exception:
                assert performed == []
                return
            assert performed == (["ada@example.com"] if answer and not isinstance(answer, Deferred) else [])


def _needs(hook: Any, method: str) -> None:
    if not _defines(hook, method):
        pytest.skip(f"{type(hook).__name__} does not define {method}")


def _defines(hook: Any, method: str) -> bool:
    own = getattr(type(hook), method, None)
    return (own is not None and own is not getattr(Hook, method)) or method in getattr(hook, "__dict__", ())


def _run(coroutine: Any) -> None:
    """Run it on a loop of its own, and let out what it raises as it is: `asyncio.run` turns some of it round."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()
