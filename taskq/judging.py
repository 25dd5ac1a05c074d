"""Which workers are dead.

A worker is dead when its process is gone, which only a process of the same boot and pid namespace can say; or when it
was silent for longer than it said it would be, which takes two looks, for clocks jump, and a judge who was not cut off
himself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from taskq import identity
from taskq.records import ProcessIdentity, WorkerInfo

__all__ = ["DEAD_AT_START", "Judge", "Verdict"]

DEAD_AT_START: Final = 300.0
"""Seconds of silence after which any worker is dead, as a Ruby worker judges it at its start (WIRE.md section 8); and
what a worker of another program has said by saying nothing."""

_WRITTEN: Final = 1.0
"""Seconds that a heartbeat may be younger than it reads: it is written without fractions (WIRE.md section 11)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of a worker.

    Attributes:
        why: why it looks dead, for people; empty where it does not.
        sure_in: seconds after which another look is sure of it, if it stays as it is; 0 where it is dead.
    """

    why: str = ""
    sure_in: float = 0.0

    @property
    def dead(self) -> bool:
        """Whether it is dead, and may be recovered."""
        return bool(self.why) and self.sure_in <= 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A worker as it stood at a look, and since when it has stood so, by the monotonic clock.

    All that the backend has of it, for two heartbeats within a second read alike.
    """

    state: bytes
    since: float


class Judge:
    """Judges workers, and remembers how it saw them before."""

    def __init__(
        self,
        process: ProcessIdentity,
        now: Callable[[], float],
        steady: Callable[[], float],
        *,
        beat: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nobody was seen yet.

        Args:
            process: who judges.
            now: the broker's time.
            steady: since when the judge's own connection has answered, by the monotonic clock; an outage silences all.
            beat: seconds between two looks.
            clock: monotonic seconds.
        """
        self.process = process
        self._now = now
        self._steady = steady
        self._beat = beat
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def judge(self, info: WorkerInfo, *, as_ruby: bool) -> Verdict:
        """What is to be said of a worker at this look.

        Args:
            info: the worker.
            as_ruby: whether a long silence alone will do, as for a Ruby worker at its start.
        """
        now = self._clock()
        registration = info.registration
        if registration is not None and identity.is_gone(registration.process, self.process):
            return Verdict(f"its process {registration.process.pid} is gone")
        if info.heartbeat is None and registration is None:
            return Verdict()  # it never beat, and never said that it would: node-resque's workers (WIRE.md section 8)
        seen = self._seen.get(info.id)
        if seen is None or seen.state != info.raw:
            seen = self._seen[info.id] = _Seen(info.raw, now)
        silent = float("inf") if info.heartbeat is None else self._now() - info.heartbeat - _WRITTEN
        why = "no heartbeat" if info.heartbeat is None else f"no heartbeat for {_span(silent)}"
        if as_ruby and info.heartbeat is not None and silent > DEAD_AT_START:
            return Verdict(why)
        dead_after = DEAD_AT_START if registration is None else registration.dead_after
        beat = self._beat if registration is None else registration.beat
        if silent <= dead_after:
            return Verdict()
        stood_still = dead_after if info.heartbeat is None else 2 * beat
        stood, answered = now - seen.since, now - self._steady()
        if stood >= stood_still and answered > dead_after:
            return Verdict(why)
        return Verdict(why, max(stood_still - stood, dead_after - answered, 0.001))

    def silent_in(self, info: WorkerInfo) -> float:
        """In how many seconds it will have been silent for too long, if it is to be; a beat where that is past.

        Looked at then, and not up to a beat later, an orphan is found within 30 s of the death of a worker that gives
        itself 25.
        """
        if info.heartbeat is None:
            return self._beat
        dead_after = DEAD_AT_START if info.registration is None else info.registration.dead_after
        left = dead_after + _WRITTEN - (self._now() - info.heartbeat)
        return left + 0.01 if left > 0 else self._beat

    def forget_others(self, ids: Container[str]) -> None:
        """Forget how workers were seen that are not among these."""
        self._seen = {worker: seen for worker, seen in self._seen.items() if worker in ids}


def _span(seconds: float) -> str:
    """How long a worker was silent, for people: in seconds for an hour, then in hours, from two days on in days."""
    if seconds < 3600.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 3600.0:.1f} h" if seconds < 2 * 86_400.0 else f"{seconds / 86_400.0:.0f} days"
