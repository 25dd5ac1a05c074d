"""Looking for workers that died, and settling what they left.

A worker is dead when its process is gone, which only a process of the same boot and pid namespace can say; or when it
was silent for longer than it said it would be, which takes two looks, for clocks jump, and a judge who was not cut off
himself. Exactly one process settles an orphan, and it may itself die in the middle: the broker's `recover` is one step.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from taskq import events, performing
from taskq.broker import Broker
from taskq.failure_handler import Fail, Quarantine, Retry
from taskq.hook import Settled
from taskq.performing import Tools
from taskq.records import Again, Crash, ProcessIdentity, WorkerInfo
from taskq.worker import identity
from taskq.worker.outage import Outage
from taskq.worker.settle import entry_for
from taskq.worker.waiting import readable

__all__ = ["DEAD_AT_START", "Lookout", "Nobody", "Watch"]

DEAD_AT_START: Final = 300.0
"""Seconds of silence after which any worker is dead, as a Ruby worker judges it at its start (WIRE.md section 8); and
what a worker of another program has said by saying nothing."""

_WRITTEN: Final = 1.0
"""Seconds that a heartbeat may be younger than it reads: it is written without fractions (WIRE.md section 11)."""

_CENSUS: Final = 30.0  # seconds between two looks at who else is on this host, for one who does not hold the claim
_PEERS_MOST: Final = 64  # processes that one worker watches; each costs a descriptor


@dataclass(frozen=True, slots=True)
class _Seen:
    """A worker as it stood at a look, and since when it has stood so, by the monotonic clock.

    All that the backend has of it, for two heartbeats within a second read alike.
    """

    state: bytes
    since: float


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
        self._outage = outage
        self._tell = tell
        self._beat = beat
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
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
        workers = [info for info in self._broker.workers() if info.id != me]
        for info in workers:
            why = self._why_dead(info, now, as_ruby=as_ruby)
            if why:
                self._recover(info, why)
            else:
                self.next_look = min(self.next_look, now + self._silent_in(info))
        alive = {info.id for info in workers}
        self._seen = {worker: seen for worker, seen in self._seen.items() if worker in alive}
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
            if info is not None and (why := self._why_dead(info, self._clock(), as_ruby=False)):
                self._recover(info, why)

    def close(self) -> None:
        """Watch nobody any more."""
        for fd in self._peers:
            os.close(fd)
        self._peers.clear()

    # ---- judging

    def _why_dead(self, info: WorkerInfo, now: float, *, as_ruby: bool) -> str:
        """Why this worker is dead, for people; empty where it may live."""
        registration = info.registration
        if registration is not None and identity.is_gone(registration.process, self.process):
            return f"its process {registration.process.pid} is gone"
        if info.heartbeat is None and registration is None:
            return ""  # it never beat, and never said that it would: node-resque's workers (WIRE.md section 8)
        seen = self._seen.get(info.id)
        if seen is None or seen.state != info.raw:
            seen = self._seen[info.id] = _Seen(info.raw, now)
        silent = float("inf") if info.heartbeat is None else self._broker.now() - info.heartbeat - _WRITTEN
        if as_ruby and info.heartbeat is not None and silent > DEAD_AT_START:
            return f"no heartbeat for {silent:.0f} s"
        dead_after = DEAD_AT_START if registration is None else registration.dead_after
        beat = self._beat if registration is None else registration.beat
        if silent <= dead_after or not self._outage.steady_for(dead_after, now):
            return ""
        if now - seen.since < (dead_after if info.heartbeat is None else 2 * beat):
            return ""
        return "no heartbeat" if info.heartbeat is None else f"no heartbeat for {silent:.0f} s"

    def _silent_in(self, info: WorkerInfo) -> float:
        """In how many seconds it will have been silent for too long, if it is to be; a beat where that is past.

        Looked at then, and not up to a beat later, an orphan is found within 30 s of the death of a worker that gives
        itself 25.
        """
        if info.heartbeat is None:
            return self._beat
        dead_after = DEAD_AT_START if info.registration is None else info.registration.dead_after
        left = dead_after + _WRITTEN - (self._broker.now() - info.heartbeat)
        return left + 0.01 if left > 0 else self._beat

    # ---- recovering

    def _recover(self, info: WorkerInfo, why: str) -> None:
        """Settle what a dead worker left. A crash of ours before `recover` changes nothing; after it all is done."""
        if info.job is None:
            if self._broker.recover(info, None):
                self._tell(events.Recovered(info.id, why, ""))
            return
        task = performing.prepare(info.job, self._tools)
        crash = Crash(worker_lost=True, last_heartbeat=None if "process" in why else info.heartbeat)
        requeues = {} if info.registration is None else info.registration.requeues
        decision = performing.crashed(task, crash, self._tools, 0.0, requeues=requeues).decision
        again, entry = None, None
        if isinstance(decision, Retry):
            again = Again(decision.body, front=True, at=decision.at)
        if again is None or (isinstance(decision, Retry) and decision.recorded):
            entry = entry_for(task, crash, decision, self._broker.now())
        by_queue = isinstance(decision, Fail | Quarantine) and decision.by_queue
        if self._broker.recover(info, entry, again=again, by_queue=by_queue):
            became: Literal["retried", "failed"] = "failed" if again is None else "retried"
            self._tell(events.Recovered(info.id, why, became))
            self._tell(events.SettledJob(task, Settled(info.job, became, crash, decision)))

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
