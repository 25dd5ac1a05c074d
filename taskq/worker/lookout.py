"""Looking for workers that died, and settling what they left.

Who is dead says `taskq.judging`, what becomes of its jobs `taskq.recovering`; here it is when to look.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from taskq import events, identity, recovering
from taskq.broker import Broker
from taskq.history import Sampler
from taskq.judging import Judge
from taskq.performing import Tools
from taskq.records import ProcessIdentity, WorkerInfo
from taskq.worker.outage import Outage
from taskq.worker.waiting import readable

__all__ = ["Lookout", "Nobody", "Watch"]

_CENSUS: Final = 30.0  # seconds between two looks at who else is on this host, for one who does not hold the claim
_PEERS_MOST: Final = 64  # processes that one worker watches; each costs a descriptor


class Watch(Protocol):
    """A watch over other workers, as the loop keeps it."""

    @property
    def fds(self) -> tuple[int, ...]:
        """Descriptors that become readable when a process on this machine dies; then `look_at_fallen` finds it."""
        ...

    @property
    def next_look(self) -> float:
        """When to look again, by the monotonic clock."""
        ...

    def look(self, me: str, *, at_start: bool = False) -> None:
        """Look for dead workers, and recover what they left."""
        ...

    def look_at_fallen(self) -> None:
        """Look at once at those whose process died."""
        ...

    def close(self) -> None:
        """Watch nobody any more."""
        ...


class Nobody:
    """The watch of a worker for which another one in its process keeps it."""

    fds: tuple[int, ...] = ()
    next_look = float("inf")

    def look(self, me: str, *, at_start: bool = False) -> None:
        """See nothing."""

    def look_at_fallen(self) -> None:
        """See nothing."""

    def close(self) -> None:
        """Nothing was open."""


class Lookout:
    """One worker's watch over the others.

    Attributes:
        process: who judges.
        fds: descriptors that become readable when a process on this machine dies; then `look` finds it at once.
        next_look: when to look again, by the monotonic clock.
    """

    def __init__(
        self,
        broker: Broker,
        tools: Tools,
        process: ProcessIdentity,
        outage: Outage,
        tell: events.Tell,
        *,
        beat: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nobody was looked at yet.

        Args:
            broker: where the workers are registered.
            tools: what deciding on a dead worker's job needs.
            process: who judges.
            outage: since when the judge's own connection is steady.
            tell: who is told.
            beat: seconds between two looks.
            clock: monotonic seconds.
        """
        self._broker = broker
        self._tools = tools
        self.process = process
        self._tell = tell
        self._beat = beat
        self._clock = clock
        self._sampler = Sampler(broker, clock)
        self._judge = Judge(process, broker.now, outage.steady_since, beat=beat, clock=clock)
        self._peers: dict[int, str] = {}
        self._next_census = 0.0
        self.next_look = 0.0

    @property
    def fds(self) -> tuple[int, ...]:
        """What to wait on."""
        return tuple(self._peers)

    def look(self, me: str, *, at_start: bool = False) -> None:
        """Look for dead workers, and recover what they left.

        Args:
            me: the id of the worker that looks.
            at_start: judge as a Ruby worker does at its start too, if nobody did within the last minute.

        Raises:
            BrokerUnavailable: the broker is away; look later.
        """
        now = self._clock()
        self.next_look = now + self._beat
        as_ruby = at_start and self._broker.claim_recovery(me, self._beat, at_start=True)
        # The holder keeps the claim from look to look, so that it sees each heartbeat twice within `dead_after`; dead
        # itself, it is followed within two beats.
        holds = self._broker.claim_recovery(me, 2 * self._beat + 1)
        if not holds and not as_ruby and now < self._next_census:
            return
        self._next_census = now + _CENSUS * random.uniform(0.8, 1.2)
        everybody = self._broker.workers()
        workers = [info for info in everybody if info.id != me]
        for info in workers:
            verdict = self._judge.judge(info, as_ruby=as_ruby)
            if verdict.dead:
                self._recover(info, verdict.why)
            else:
                self.next_look = min(self.next_look, now + self._judge.silent_in(info))
        self._judge.forget_others({info.id for info in workers})
        if holds:
            # Who looks for the dead also writes the history: one process of a namespace at a time does both.
            self._sampler.sample(everybody)
        self._watch(workers)

    def look_at_fallen(self) -> None:
        """Look at once at those whose process died.

        Raises:
            BrokerUnavailable: the broker is away; they are found later.
        """
        for fd in readable(tuple(self._peers), 0.0):
            worker = self._peers.pop(fd)
            os.close(fd)
            info = self._broker.worker(worker)
            if info is not None and (verdict := self._judge.judge(info, as_ruby=False)).dead:
                self._recover(info, verdict.why)

    def close(self) -> None:
        """Watch nobody any more."""
        for fd in self._peers:
            os.close(fd)
        self._peers.clear()

    def _recover(self, info: WorkerInfo, why: str) -> None:
        recovery = recovering.recover(self._broker, self._tools, info, why)
        if recovery is not None:
            self._tell(events.Recovered(info.id, why, recovery.became))
            if recovery.task is not None and recovery.settled is not None:
                self._tell(events.SettledJob(recovery.task, recovery.settled))

    def _watch(self, workers: list[WorkerInfo]) -> None:
        """Watch the processes on this machine, those not yet watched."""
        here = {info.id: info for info in workers if info.registration is not None}
        for fd, worker in list(self._peers.items()):
            if worker not in here:
                os.close(fd)
                del self._peers[fd]
        watched = set(self._peers.values())
        for worker, info in here.items():
            if worker in watched or len(self._peers) >= _PEERS_MOST or info.registration is None:
                continue
            death = identity.watch(info.registration.process, self.process)
            if death is not None:
                self._peers[death] = worker
