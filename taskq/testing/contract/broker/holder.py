"""A worker as a test of a broker holds it: an id, its tokens, and the calls that it makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from taskq.broker import Broker
from taskq.records import ProcessIdentity, Registration, Reservation, Reserved, Token, Tokens, WorkerInfo

__all__ = ["FOUR", "ONE", "THREE", "TWO", "Holder", "job"]


def job(number: int) -> bytes:
    """A payload that can be told from others by its number."""
    return b'{"class":"Job","args":[%d]}' % number


ONE, TWO, THREE, FOUR = (job(n) for n in range(1, 5))


@dataclass
class Holder:
    """A worker, and what it asks of its broker. Each call has a token of its own.

    Attributes:
        broker: its broker.
        id: its id.
        tokens: what makes its tokens.
        process: what it says of its process.
        dead_after: seconds of silence after which it says that it is dead.
        beat: seconds between its heartbeats, as it says.
        requeues: its jobs that are requeued when it dies, and how often.
    """

    broker: Broker
    id: str
    tokens: Tokens = field(default_factory=Tokens)
    process: ProcessIdentity = field(
        default_factory=lambda: ProcessIdentity(host="host", boot="boot", namespace="pid", pid=os.getpid(), started="1")
    )
    dead_after: float = 25.0
    beat: float = 5.0
    requeues: Mapping[str, int] = field(default_factory=dict)

    def registration(self) -> Registration:
        """What it says of itself."""
        return Registration(self.id, self.process, self.dead_after, self.beat, self.tokens.process, self.requeues)

    def register(self) -> bool:
        """Take its id."""
        return self.broker.register(self.registration())

    def reserve(self, *queues: str, limit: int = 1, settled: Sequence[Reservation] = ()) -> Reserved:
        """Reserve from these queues, the last of `settled` and those before it having ended well."""
        last = settled[-1] if settled else None
        return self.broker.reserve(self.id, queues, self.tokens.next(), limit=limit, settled=last)

    def reserve_ahead(self, *queues: str, limit: int = 9, token: Token | None = None) -> Callable[[], Reserved]:
        """Ask for jobs ahead; what waits for the answer."""
        return self.broker.reserve_ahead(self.id, queues, token or self.tokens.next(), limit=limit)

    def take(self, *queues: str) -> Reservation:
        """Reserve one job, which must be there."""
        (taken,) = self.reserve(*queues).jobs
        return taken

    def finish(self, reservation: Reservation) -> bool:
        """Settle a job as done."""
        return self.broker.finish(reservation, self.tokens.next())

    def fail(self, reservation: Reservation, entry: bytes, *, by_queue: bool = False) -> bool:
        """Settle a job as failed."""
        return self.broker.fail(reservation, self.tokens.next(), entry, by_queue=by_queue)

    def release(
        self, *reservations: Reservation, front: bool = True, body: bytes | None = None, at: float | None = None
    ) -> bool:
        """Put jobs back."""
        return self.broker.release(reservations, self.tokens.next(), front=front, body=body, at=at)

    def heartbeat(self) -> bool:
        """Beat."""
        return self.broker.heartbeat(self.id, self.tokens.process)

    def unregister(self) -> bool:
        """Leave."""
        return self.broker.unregister(self.id, self.tokens.process)

    def seen(self) -> WorkerInfo:
        """Itself as the broker sees it; it must be there."""
        info = self.broker.worker(self.id)
        assert info is not None, f"there is no trace of {self.id}"
        return info

    def in_hand(self) -> bytes | None:
        """The bytes of the job that the broker says it has in hand."""
        info = self.seen()
        return None if info.job is None else info.job.body

    def ahead(self) -> list[bytes]:
        """The bytes of the jobs that the broker says it holds ahead."""
        return [held.body for held in self.seen().ahead]
