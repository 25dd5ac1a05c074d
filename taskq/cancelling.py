"""Cancelling a job: one that waits is taken away, one that runs is ended by its worker, with the word of who asked.

Who asks leaves a word at the broker, in a key that expires, and rings: sets one more key, the same for all. A worker
looks at that twice a second, once a job of its own is older than half a second; only where it rang since, and once for
each job, it looks whether the word is about its own. So all that a busy worker pays is one small question at a time.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from taskq import envelope
from taskq.alike import Alike
from taskq.broker import Broker, Capability
from taskq.errors import BrokerRefused, BrokerUnavailable, InvalidPayload, NotSupported
from taskq.in_job import id_of
from taskq.records import Cancelled, Reservation, ScheduledJob, WorkerInfo

__all__ = ["AGE", "Cancelling", "Words", "unheard", "who_asks"]

AGE: Final = 0.5
"""Seconds between two looks, and how old a job is at the first: shorter ones pay nothing for this."""

_BELL: Final = "cancelled"
_LIVES: Final = 3600.0  # seconds that a word holds, for a job that is on its way from one place to another
_RINGS: Final = 5.0  # seconds for which a worker that does not know its jobs looks on after it rang
_PAGE: Final = 1000
_RUBYS: Final = 6.0  # seconds in which a scheduler of Ruby's, which looks every 5, moves what is due
_REST: Final = 0.05  # seconds between two looks meanwhile
_ROUNDS: Final = 3  # looks everywhere: a job may go from where we shall look to where we have looked


def who_asks() -> str:
    """This process, as a job's failure names who had it cancelled: `ada@web-1 (pid 4711)`."""
    try:
        import getpass

        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user, in a container
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


class Cancelling:
    """What `TaskQ.cancel` does."""

    def __init__(self, broker: Broker, told: Callable[[str, bytes], None]) -> None:
        """At this broker.

        Args:
            broker: where the jobs are.
            told: told of each job that was taken away, with its queue and its bytes.
        """
        self._broker = broker
        self._told = told

    def by_id(self, job: str, queue: str | None, by: str) -> Cancelled:
        """Cancel the job with this id, wherever it is; in this queue only, where one is said."""
        word = _of_id(job)
        self._leave(word, by)  # first: then it is found wherever it goes meanwhile, unless it ends within half a second
        rounds = _Rounds()
        while rounds.another():
            for name, body in self._waiting(job, queue):
                if self._broker.remove(name, body):
                    self._taken_away(name, body, word, by)
                    return "removed"
            for delayed in self._delayed():
                if queue not in (None, delayed.queue) or not _has_id(delayed.body, job):
                    continue
                if self._broker.withdraw(delayed):
                    self._taken_away(delayed.queue, delayed.body, word, by)
                    return "removed"
                rounds.stays = True
            if any(_has_id(held.body, job) for held in _in_hand(self._broker.workers())):
                return "stopping"
        self._broker.swap_key(word, by.encode(), None)
        return self._gone(rounds)

    def by_likeness(self, queue: str, alike: Alike, by: str, *, first: bytes | None = None) -> Cancelled:
        """Cancel a job without an id: of several of one call it is one, whichever, one without further keys first.

        Args:
            queue: where it waits, or came from.
            alike: tells the jobs of its call.
            by: who asks.
            first: the bytes that are looked for before all others.
        """
        exact = [*([] if first is None else [first]), *alike.bodies]
        rounds = _Rounds()
        while rounds.another():
            for body in exact:
                if self._broker.remove(queue, body, most=1) or self._withdrawn(queue, body, rounds):
                    self._told(queue, body)
                    return "removed"
            for held in _in_hand(self._broker.workers()):
                if held.queue == queue and alike(held.body) and held.fence:
                    self._leave(_of_fence(held.fence), by)
                    return "stopping"
            for body in self._alike(queue, alike, rounds):
                self._told(queue, body)
                return "removed"
        return self._gone(rounds)

    def _alike(self, queue: str, alike: Alike, rounds: _Rounds) -> Iterator[bytes]:
        """Take one away that waits and has further keys, and say its bytes; nothing where there is none."""
        for body in self._in_queue(queue):
            if alike(body) and self._broker.remove(queue, body, most=1):
                yield body
        for delayed in self._delayed():
            if delayed.queue != queue or not alike(delayed.body):
                continue
            if self._broker.withdraw(delayed):
                yield delayed.body
            else:
                rounds.stays = True

    def _withdrawn(self, queue: str, body: bytes, rounds: _Rounds) -> bool:
        if Capability.DELAY not in self._broker.capabilities:
            return False
        for at in self._broker.scheduled_at(queue, body):
            if self._broker.withdraw(ScheduledJob(at, queue, body)):
                return True
            rounds.stays = True
        return False

    def _gone(self, rounds: _Rounds) -> Cancelled:
        if not rounds.stays:
            return "gone"
        raise BrokerRefused(
            self._broker.address,
            "the job is due, and resque-scheduler, which has the lock, may be moving it at this moment",
            advice="It is not cancelled. Try again: in its queue it can be; and where that scheduler is gone, "
            "taskq's moves it, or Ruby's next, as soon as its lock has run out (three minutes).",
        )

    def of_worker(self, worker: str, by: str) -> Cancelled:
        """Cancel what this worker performs now."""
        found = self._broker.worker(worker)
        if found is None or found.job is None or not found.job.fence:
            return "gone"
        self._leave(_of_fence(found.job.fence), by)
        return "stopping"

    def _leave(self, word: str, by: str) -> None:
        if Capability.KEYS not in self._broker.capabilities:
            advice = "A job that runs cannot be reached there; one that waits is removed by dequeue."
            raise NotSupported(self._broker.name, Capability.KEYS.value, advice)
        self._broker.put_key(word, by.encode(), _LIVES)
        self._broker.put_key(_BELL, os.urandom(8).hex().encode(), 2 * _LIVES)

    def _taken_away(self, queue: str, body: bytes, word: str, by: str) -> None:
        self._broker.swap_key(word, by.encode(), None)
        self._told(queue, body)

    def _waiting(self, job: str, queue: str | None) -> Iterator[tuple[str, bytes]]:
        for name in self._broker.queues() if queue is None else [queue]:
            yield from ((name, body) for body in self._in_queue(name) if _has_id(body, job))

    def _in_queue(self, queue: str) -> Iterator[bytes]:
        start = 0
        while page := self._broker.peek(queue, start, _PAGE):
            yield from page
            start += len(page)

    def _delayed(self) -> Iterator[ScheduledJob]:
        if Capability.DELAY not in self._broker.capabilities:
            return
        since, skip = 0.0, 0
        while page := self._broker.scheduled(since, skip, _PAGE):
            yield from page
            last = page[-1].at
            skip = sum(each.at == last for each in page) + (skip if last == since else 0)
            since = last


class _Rounds:
    """Looks everywhere: a few, and more as long as the job waits and is another program's to move."""

    def __init__(self) -> None:
        self._taken = 0
        self._ends = time.monotonic() + _RUBYS
        self.stays = False

    def another(self) -> bool:
        """Whether to look once more."""
        self._taken += 1
        if not self.stays:
            return self._taken <= _ROUNDS
        if time.monotonic() >= self._ends:
            return False
        self.stays = False
        time.sleep(_REST)
        return True


class Words:
    """What a worker hears of them: it asks for the jobs that it has in hand. Any thread, one at a time."""

    def __init__(self, broker: Broker, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was heard yet.

        Args:
            broker: where the words are left.
            clock: monotonic seconds.
        """
        self._broker = broker
        self._clock = clock
        self._heard = Capability.KEYS in broker.capabilities
        self._bell: bytes | None = None
        self._asked: frozenset[str] = frozenset()
        self._rang_at = float("-inf")

    def about(self, jobs: Sequence[Reservation]) -> Mapping[str, str]:
        """Of which of these jobs, by their fences, somebody asked for the end, and who.

        A broker that is away says nothing; it is asked again in half a second.
        """
        if not self._heard or not jobs:
            return {}
        try:
            rang = self._rings()
            asked, self._asked = self._asked, frozenset(job.fence for job in jobs)
            return {
                job.fence: by
                for job in jobs
                if (rang or job.fence not in asked) and (by := self._word(job)) is not None
            }
        except BrokerUnavailable:
            self._asked = frozenset()
            return {}

    def rang(self) -> bool:
        """Whether somebody asked for the end of some job within the last seconds, this worker's or another's.

        For who has to ask which job it has in hand, and then asks `of` that one: a ring that `rang` heard, `about` does
        not.
        """
        if not self._heard:
            return False
        try:
            if self._rings():
                self._rang_at = self._clock()
        except BrokerUnavailable:
            return False
        return self._clock() - self._rang_at < _RINGS

    def of(self, job: Reservation) -> str | None:
        """Who asked for the end of this job, whether it rang or not; None where nobody did, or the broker is away."""
        try:
            return self._word(job) if self._heard else None
        except BrokerUnavailable:
            return None

    def _rings(self) -> bool:
        bell, self._bell = self._bell, self._broker.get_key(_BELL)
        return self._bell is not None and self._bell != bell

    def _word(self, job: Reservation) -> str | None:
        found = self._broker.get_key(_of_fence(job.fence))
        own = _id_in(job.body) if found is None else None
        if own is not None:
            found = self._broker.get_key(_of_id(own))
            if found is not None:
                self._broker.swap_key(_of_id(own), found, None)  # heard: a requeue of it is another matter
        return None if found is None else found.decode(errors="replace")


def unheard(broker: Broker, bodies: Sequence[bytes]) -> Sequence[tuple[str, bytes] | None]:
    """Of each of these payloads the key of a word about its id that no worker heard yet, and what it holds.

    Such a job ended by itself before anybody heard. Where it is tried again by itself, the word still holds; where a
    person requeues it, that is another matter, and the word goes: `swap_key(key, held, None)`.
    """
    ids = [_id_in(body) for body in bodies]
    if not any(ids) or Capability.KEYS not in broker.capabilities or broker.get_key(_BELL) is None:
        return [None] * len(ids)
    words = [None if own is None else _of_id(own) for own in ids]
    held = [None if word is None else broker.get_key(word) for word in words]
    return [None if word is None or by is None else (word, by) for word, by in zip(words, held, strict=True)]


def _of_fence(fence: str) -> str:
    return f"cancel:{fence}"


def _of_id(job: str) -> str:
    return f"cancel:id:{job}"


def _in_hand(workers: Sequence[WorkerInfo]) -> Iterator[Reservation]:
    for info in workers:
        if info.job is not None:
            yield info.job
        yield from info.ahead


def _has_id(body: bytes, job: str) -> bool:
    return job.encode(errors="surrogatepass") in body and _id_in(body) == job


def _id_in(body: bytes) -> str | None:
    if b'"taskq:id"' not in body:
        return None
    try:
        return id_of(envelope.decode(body))
    except InvalidPayload:
        return None
