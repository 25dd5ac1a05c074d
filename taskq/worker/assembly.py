"""A worker put together of its parts, for whichever execution model."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from taskq import events
from taskq.app import TaskQ
from taskq.config import Config
from taskq.queue_lists import QueueList
from taskq.records import ProcessIdentity, Tokens
from taskq.worker.control import Control, Instructions
from taskq.worker.execution import Execution
from taskq.worker.hand import Hand
from taskq.worker.line import Line
from taskq.worker.lookout import Lookout, Watch
from taskq.worker.loop import Worker
from taskq.worker.orders import ORDERS
from taskq.worker.outage import Outage
from taskq.worker.relay import shared_tokens
from taskq.worker.seat import Seat
from taskq.worker.settle import Settling
from taskq.worker.takings import Takings

__all__ = ["Process", "host_of", "outage_of"]

_SHOWN_MOST = 32
"""Workers of one process that other programs are told of: each is a line in Ruby's dashboard, and a key it reads."""


_BURST_WAITS = 60.0
"""Seconds that a burst waits for a broker that went away: a restart and a failover are over by then. It has an end, and
whoever started it waits for that.
"""


@dataclass(frozen=True, slots=True)
class Process:
    """What all workers of a process have in common.

    Attributes:
        app: the application whose jobs are performed.
        config: the configuration.
        queues: what they look at.
        identity: who this process is.
        control: what it has been told.
        outage: its connection to the broker.
        first: the number that the first worker's id begins with: 1 where Ruby would take its process for dead.
    """

    app: TaskQ
    config: Config
    queues: QueueList
    identity: ProcessIdentity
    control: Control
    outage: Outage
    first: int

    def seat(self, tell: events.Tell, *, number: int = 0, told: Instructions | None = None) -> Seat:
        """The place at the broker of one worker, not taken yet.

        Args:
            tell: who is told of it.
            number: which of the process's workers it is, from 0.
            told: where it hears; None is the process's own control.
        """
        config = self.config
        return Seat(
            self.app.broker,
            self.control if told is None else told,
            self.outage,
            tell,
            process=self.identity,
            host=host_of(config),
            queues=self.queues.id,
            beat=config.beat,
            dead_after=config.dead_after,
            patience=max(config.shutdown_timeout, 1.0),
            requeues=self.app.tools.requeues,
            number=self.first + number,
            hidden=number >= _SHOWN_MOST,
            waits=config.retry and not config.burst,
            tokens=shared_tokens() if config.jobs_per_fork > 1 else Tokens,
        )

    def hand(self, seat: Seat) -> Hand:
        """What the worker with this seat holds ahead."""
        return Hand(seat, most=self.config.prefetch, asks=self.config.at_once == 1)

    def lookout(self, tell: events.Tell) -> Lookout:
        """A watch over other workers."""
        return Lookout(self.app.broker, self.app.tools, self.identity, self.outage, tell, beat=self.config.beat)

    def worker(
        self,
        seat: Seat,
        hand: Hand,
        execution: Execution,
        tell: events.Tell,
        *,
        lookout: Watch,
        told: Instructions | None = None,
        wait: Callable[[Sequence[str] | None, float, Sequence[int]], bool] | None = None,
    ) -> Worker:
        """One worker, with all its parts.

        Args:
            seat: its place.
            hand: what it holds ahead.
            execution: where it performs.
            tell: who is told what it does.
            lookout: its watch over others.
            told: where it hears; None is the process's own control.
            wait: how it waits; None is the broker's own way.
        """
        app, config = self.app, self.config
        return Worker(
            broker=app.broker,
            seat=seat,
            line=Line(self.queues, app.broker.queues, order=ORDERS[config.order]),
            execution=execution,
            control=self.control if told is None else told,
            wait=app.broker.wait if wait is None else wait,
            lookout=lookout,
            hand=hand,
            settling=Settling(seat, hand, tell),
            takings=Takings(app.broker),
            tools=app.tools,
            tell=tell,
            interval=config.interval,
            burst=config.burst,
            health_file=config.health_file,
        )


def outage_of(config: Config, tell: events.Tell) -> Outage:
    """The connection of a process, of which nothing bad is known yet."""
    return Outage(tell, most=_BURST_WAITS if config.burst else math.inf)


def host_of(config: Config) -> str:
    """The host part of a worker's id."""
    return config.host or socket.gethostname()
