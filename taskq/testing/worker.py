"""The real worker within a test: its loop and its steps, in this thread or another, without signals or a process.

A worker that is to die as by `kill -9` leaves its loop without a word: what it held stays in hand at the broker, and
another worker's lookout finds it there.
"""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from taskq import crashes, events, limits, performing, queue_lists
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.limits import Limiter
from taskq.outcome import Outcome
from taskq.performing import Task
from taskq.records import Crash, ProcessIdentity
from taskq.worker.control import Control, Manners
from taskq.worker.execution import Execution
from taskq.worker.hand import Hand
from taskq.worker.line import Line
from taskq.worker.lookout import Lookout
from taskq.worker.loop import Worker, work
from taskq.worker.moments import Moments
from taskq.worker.outage import Outage
from taskq.worker.seat import Seat
from taskq.worker.settle import Settling
from taskq.worker.takings import Takings

__all__ = ["ChildKilled", "Here", "Killed", "Orders", "WorkerKilled", "doomed", "recover", "run_worker"]

_A_DAY: Final = 86400.0  # no heart beats here, and nobody is to wonder
_GRACE: Final = 5.0  # seconds after which a job over its time limit hears of it once more
_NO_PID: Final = 2**31 - 1  # beyond what any system gives a process


class Orders:
    """Where a worker hears what the test tells it, as it would hear signals. From any thread."""

    def __init__(self) -> None:
        self._given: deque[int] = deque()
        self.fd, self._bell = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._bell, False)

    def end(self) -> None:
        """Have the worker end when its job has."""
        self._given.append(signal.SIGQUIT)
        os.write(self._bell, b"!")

    @property
    def pending(self) -> bool:
        """Whether `heard` has something to say."""
        return bool(self._given)

    def heard(self) -> list[int]:
        """What was said since the last look. Quiets `fd`."""
        try:
            while os.read(self.fd, 512):
                pass
        except BlockingIOError:
            pass
        return [self._given.popleft() for _ in range(len(self._given))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self.fd)
        os.close(self._bell)


class Killed(BaseException):
    """The worker is dead: it leaves its loop and says nothing to anybody."""


@dataclass(frozen=True, slots=True)
class Here:
    """The execution model: in this thread, and nothing else."""

    perform: Callable[[Task], Outcome]

    def start(self) -> None:
        """Nothing to make ready."""

    def between(self) -> float | None:
        """Nothing to look after."""
        return None

    def stop(self) -> None:
        """Nothing to end."""


class WorkerKilled(Here):
    """As `kill -9` of the whole worker, where its job is at its start or at its end."""

    def __init__(self, app: TaskQ, *, at_end: bool) -> None:
        def perform(task: Task) -> Outcome:
            _perform_until_killed(app, task, at_end=at_end)
            raise Killed

        super().__init__(perform)


class ChildKilled(Here):
    """As `kill -9` of the child that performs, with the worker that watches it alive."""

    def __init__(self, app: TaskQ, orders: Orders, *, at_end: bool) -> None:
        def perform(task: Task) -> Outcome:
            _perform_until_killed(app, task, at_end=at_end)
            orders.end()
            return performing.crashed(task, Crash(pid=_NO_PID, signal=signal.SIGKILL), app.tools, 0.0)

        super().__init__(perform)


def _perform_until_killed(app: TaskQ, task: Task, *, at_end: bool) -> None:
    crashes.begins(app.broker, task.payload, task.reservation)
    if at_end and task.definition is not None and task.problem is None:
        try:
            app.tools.call(task)
        except Exception:  # noqa: S110  # it was killed before anybody heard of it
            pass


def limiter() -> Limiter:
    """What holds jobs to their time limits: in the main thread as a worker does, in another one nothing."""
    return limits.by_alarm(_GRACE) or (lambda _: nullcontext())


def run_worker(
    app: TaskQ,
    broker: Broker,
    execution: Execution,
    orders: Orders,
    tell: events.Tell,
    *,
    queues: Sequence[str],
    burst: bool,
    process: ProcessIdentity | None = None,
) -> None:
    """Run a worker from its start to its end, in this thread.

    Args:
        app: whose jobs are performed.
        broker: where they are.
        execution: where it performs.
        orders: what it hears.
        tell: who is told what happens, besides the application's hooks.
        queues: names and patterns, in order.
        burst: end where a reserve finds nothing.
        process: what it says of itself; None for what nobody can judge.

    Raises:
        Killed: its execution model said so.
    """
    identity = _somewhere() if process is None else process
    listed = queue_lists.parse(queues)

    def tell_all(event: events.Event) -> None:
        told(event)
        tell(event)

    control = Control(orders, Manners(), tell_all)
    outage = Outage(tell_all)
    seat = Seat(
        broker,
        control,
        outage,
        tell_all,
        process=identity,
        host=socket.gethostname(),
        queues=listed.id,
        beat=_A_DAY,
        dead_after=_A_DAY,
        patience=1.0,
    )
    told = Moments(app.hooks, lambda: seat.id)
    hand = Hand(seat)
    work(
        Worker(
            broker=broker,
            seat=seat,
            line=Line(listed, broker.queues),
            execution=execution,
            control=control,
            wait=broker.wait,
            lookout=Lookout(broker, app.tools, identity, outage, tell_all, beat=_A_DAY),
            hand=hand,
            settling=Settling(seat, hand, tell_all),
            takings=Takings(broker),
            tools=app.tools,
            tell=tell_all,
            interval=5.0,
            burst=burst,
            health_file=None,
        )
    )


def doomed() -> ProcessIdentity:
    """A process that only who is given the same record can judge, and that he finds gone."""
    mark = f"taskq.testing {uuid.uuid4()}"
    return ProcessIdentity(host=socket.gethostname(), boot=mark, namespace=mark, pid=_NO_PID, started="0")


def recover(app: TaskQ, broker: Broker, process: ProcessIdentity, tell: events.Tell) -> None:
    """Have another worker look out for the dead, as one of the same machine would that this process died on."""
    told = Moments(app.hooks, lambda: "")

    def tell_all(event: events.Event) -> None:
        told(event)
        tell(event)

    lookout = Lookout(broker, app.tools, process, Outage(tell_all), tell_all, beat=1.0)
    try:
        lookout.look("taskq.testing", at_start=True)
    finally:
        lookout.close()


def _somewhere() -> ProcessIdentity:
    """This process, as nobody elsewhere could judge it: whether it lives, the test says."""
    return ProcessIdentity(host=socket.gethostname(), boot="", namespace="", pid=os.getpid(), started="")
