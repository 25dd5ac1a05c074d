"""A worker's parts on the in-memory broker, put together as `taskq.worker.run` does, each within a test's reach."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import taskq
from taskq import events, identity, queue_lists
from taskq.broker import Broker
from taskq.chain import Hooks
from taskq.errors import BrokerRefused, BrokerUnavailable
from taskq.failed_entry import FailedJob, decode
from taskq.failure_handler import FailureHandler
from taskq.performing import Task, Tools, prepare
from taskq.records import ProcessIdentity, Reservation, Tokens
from taskq.registry import Registry
from taskq.serializer import Serializer
from taskq.testing.contract.broker.holder import Holder
from taskq.worker.assembly import Process
from taskq.worker.audience import Audience
from taskq.worker.control import Control, Manners
from taskq.worker.hand import Hand
from taskq.worker.inline import Inline
from taskq.worker.line import Line
from taskq.worker.lookout import Lookout
from taskq.worker.loop import Worker
from taskq.worker.moments import Moments
from taskq.worker.outage import Outage
from taskq.worker.report import Report
from taskq.worker.seat import Seat
from taskq.worker.settle import Settling
from taskq.worker.signals import Ear
from taskq.worker.takings import Takings
from taskq.worker.threads import work_side_by_side
from taskq_failed import FailedList
from taskq_json import JSONSerializer
from taskq_memory import MemoryBroker

E = TypeVar("E")

_MANNERS = Manners()
GONE = ProcessIdentity(host="elsewhere", boot="another boot", namespace="another", pid=1, started="1")


class Clock:
    """Seconds that pass only when a test says so. They start anywhere, so that a stray `time.time()` shows."""

    def __init__(self) -> None:
        self.seconds = random.uniform(1e6, 2e9)

    def __call__(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.seconds += seconds


class CutBroker(MemoryBroker):
    """The in-memory broker with a switch that cuts it off.

    Attributes:
        away: every call finds it away, until this is False; a number is how many calls yet.
        refusing: every call is refused.
        on_away: called at each call that finds it away.
    """

    away: bool | int = False
    refusing = False
    on_away: Callable[[], None] = staticmethod(lambda: None)

    def note(self, reservation: Reservation) -> None:
        with suppress(BrokerUnavailable):  # it is lost, as notes may be
            super().note(reservation)

    @contextmanager
    def _held(self) -> Iterator[None]:
        if self.refusing:
            raise BrokerRefused("memory", "wrong password")
        if self.away:
            self.on_away()
            if self.away is not True:
                self.away -= 1
            raise BrokerUnavailable("memory", "connection refused", sent="no")
        with super()._held():
            yield


@dataclass
class Told:
    """Hears all events."""

    all: list[events.Event] = field(default_factory=list)

    def __call__(self, event: events.Event) -> None:
        self.all.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.all if isinstance(event, kind)]


def payload(job: str, *args: object) -> bytes:
    return json.dumps({"class": job, "args": args}, separators=(",", ":")).encode()


def held(body: bytes, *, queue: str = "jobs", worker: str = "host:1:jobs") -> Reservation:
    return Reservation(worker, queue, body, "0123456789abcdef:0001", 1_800_000_000.0)


def registry_of(*written: Any, **options: Any) -> Registry:
    registry = Registry()
    for each in written:
        taskq.job(queue="jobs", registry=registry, **options)(each)
    return registry


def tools_of(
    *written: Any,
    hooks: Sequence[object] = (),
    handlers: Sequence[FailureHandler] = (FailedList(),),
    serializers: Mapping[str, Serializer] | None = None,
    now: Callable[[], float] = lambda: 1_800_000_001.0,
    **options: Any,
) -> Tools:
    return Tools(
        registry=registry_of(*written, **options),
        serializers={"json": JSONSerializer()} if serializers is None else serializers,
        hooks=Hooks(hooks),
        handlers=handlers,
        now=now,
    )


def task_of(tools: Tools, job: str, *args: object) -> Task:
    return prepare(held(payload(job, *args)), tools)


def failed_jobs(broker: Broker, queue: str | None = None) -> list[FailedJob]:
    return [decode(stored) for stored in broker.failures(0, 1000, queue=queue)]


def stranger(
    broker: Broker,
    worker: str,
    *,
    process: ProcessIdentity = GONE,
    dead_after: float = 25.0,
    beat: float = 5.0,
    requeues: Mapping[str, int] | None = None,
) -> Tokens:
    """Register another worker; the tokens of its calls."""
    holder = Holder(broker, worker, process=process, dead_after=dead_after, beat=beat, requeues=requeues or {})
    assert holder.register()
    return holder.tokens


class Bench:
    """A worker, not started. Entered, it hears the signals of this process."""

    def __init__(
        self,
        *written: Any,
        broker: CutBroker | None = None,
        queues: str = "jobs",
        manners: Manners = _MANNERS,
        hooks: Sequence[object] = (),
        handlers: Sequence[FailureHandler] = (FailedList(),),
        serializers: Mapping[str, Serializer] | None = None,
        verbosity: int = 2,
        interval: float = 5.0,
        burst: bool = True,
        beat: float = 5.0,
        prefetch: int = 1,
        patience: float = 1.0,
        supervisor: int | None = None,
        health_file: Path | None = None,
        tell: events.Tell = lambda event: None,
    ) -> None:
        self.clock = Clock()
        self.broker = CutBroker(clock=self.clock) if broker is None else broker
        self.tools = tools_of(*written, hooks=hooks, handlers=handlers, serializers=serializers, now=self.broker.now)
        self.told = Told()
        self.out = io.StringIO()
        self.titles: list[str] = []
        self.report = Report(verbosity, out=self.out, set_title=self.titles.append, place="The broker")
        its_moments = Moments(self.tools.hooks, lambda: self.seat.id)

        def tell_all(event: events.Event) -> None:
            for listener in (self.report, its_moments, self.told, tell):
                listener(event)

        self.ear = Ear()
        self.control = Control(self.ear, manners, tell_all, supervisor=supervisor)
        self.outage = Outage(tell_all)
        self.process = identity.this_process()
        listed = queue_lists.parse(queues)
        self.seat = Seat(
            self.broker,
            self.control,
            self.outage,
            tell_all,
            process=self.process,
            host="host",
            queues=listed.id,
            beat=beat,
            dead_after=25.0,
            patience=patience,
        )
        self.lookout = Lookout(self.broker, self.tools, self.process, self.outage, tell_all, beat=beat)
        self.hand = Hand(self.seat, most=prefetch)
        self.settling = Settling(self.seat, self.hand, tell_all)
        self.inline = Inline(self.tools, self.seat, self.hand, self.control, self.ear)
        self.worker = Worker(
            broker=self.broker,
            seat=self.seat,
            line=Line(listed, self.broker.queues),
            execution=self.inline,
            control=self.control,
            wait=self.broker.wait,
            lookout=self.lookout,
            hand=self.hand,
            settling=self.settling,
            takings=Takings(self.broker),
            tools=self.tools,
            tell=tell_all,
            interval=interval,
            burst=burst,
            health_file=health_file,
        )

    def __enter__(self) -> Self:
        self.ear.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.inline.stop()
        self.lookout.close()
        self.ear.__exit__(None, None, None)

    def push(self, job: str, *args: object, queue: str = "jobs") -> None:
        self.broker.push(queue, [payload(job, *args)])

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


class SideBySide:
    """Several workers side by side in this process, on the in-memory broker."""

    def __init__(
        self,
        *written: Any,
        model: str = "threads",
        at_once: int = 3,
        burst: bool = True,
        manners: Manners = _MANNERS,
        hooks: Sequence[object] = (),
        broker: CutBroker | None = None,
        tell: events.Tell = lambda event: None,
        **settings: Any,
    ) -> None:
        self.broker = CutBroker() if broker is None else broker
        settings[model] = at_once
        self.app = taskq.TaskQ(
            broker=self.broker,
            registry=registry_of(*written),
            hooks=hooks,
            queues=("jobs",),
            host="host",
            burst=burst,
            **settings,
        )
        self.told = Told()
        self.out = io.StringIO()
        self.titles: list[str] = []
        report = Report(1, out=self.out, set_title=self.titles.append, place="The broker", at_once=at_once)
        self.audience = Audience(report, self.app.hooks, [self.told, tell], registered=lambda: None)
        self.ear = Ear()
        self.control = Control(self.ear, manners, self.audience)
        self.process = Process(
            self.app,
            self.app.config,
            queue_lists.parse(self.app.config.queues),
            identity.this_process(),
            self.control,
            Outage(self.audience),
            first=0,
        )

    def push(self, job: str, *args: object, times: int = 1) -> None:
        self.broker.push("jobs", [payload(job, *args)] * times)

    def works(self) -> bool:
        """From start to end. Whether a thread is left."""
        with self.ear, taskq.using(self.app):
            return work_side_by_side(self.process, self.audience)
