"""What an operator sees and does: workers, queues, jobs, the broker's own figures, and how it went over time.

It works through the broker's interface alone, so on every backend, and for pages, JSON and commands alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from taskq import history as histories
from taskq import identity, recovering
from taskq.broker import Broker, Capability
from taskq.chain import Hooks
from taskq.config import Config
from taskq.errors import BrokerUnavailable
from taskq.failed_jobs import Failures
from taskq.history import History, Sampler, Span
from taskq.inspection import Finding, KeyInfo, KeyPage, Section
from taskq.judging import Judge
from taskq.operator import doctor, jobs, queues, workers
from taskq.operator.jobs import JobInfo
from taskq.operator.queues import QueuePage, QueueState
from taskq.operator.workers import Pruned, WorkerState
from taskq.performing import Tools
from taskq.records import WorkerInfo
from taskq.registry import Registry
from taskq.showing import Showing

__all__ = ["Operator", "Parts", "ShownValue"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What an operator's desk needs of the application; each part is asked for when it is first needed."""

    config: Config
    registry: Registry
    failures: Failures
    showing: Showing
    broker: Callable[[], Broker]
    tools: Callable[[], Tools]
    hooks: Callable[[], Hooks]
    load: Callable[[], None]
    taken_away: Callable[[str, bytes, int], int]


@dataclass(frozen=True, slots=True)
class ShownValue:
    """A part of what a key holds, as it may be shown.

    Attributes:
        key: which.
        items: its elements as text: one for a list, set or string; field and value for a hash; member and score for a
            sorted set.
        cursor: asks for the next ones; empty where these are the last.
    """

    key: KeyInfo
    items: tuple[tuple[str, ...], ...]
    cursor: str


class Operator:
    """An operator's desk. Safe to use from several threads; it remembers how it saw workers, for judging them.

    Args:
        parts: the application's.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._steady = time.monotonic()
        self._judge: Judge | None = None
        self._sampler: Sampler | None = None

    # ---- workers

    def workers(self) -> list[WorkerState]:
        """Every worker of which there is any trace, sorted by id; whether one is dead may take a second look."""
        broker = self._broker
        judge = self._judging()
        found = self._looked()
        judge.forget_others({info.id for info in found})
        return [workers.state_of(info, broker, judge, self._parts.showing) for info in found]

    def worker(self, worker: str) -> WorkerState | None:
        """One worker; None where there is no trace of it."""
        info = self._broker.worker(worker)
        if info is None:
            return None
        return workers.state_of(info, self._broker, self._judging(), self._parts.showing)

    def prune(self, state: WorkerState) -> Pruned:
        """Settle what a dead worker left, and forget it.

        It changes nothing where the worker did anything since it was seen, or is not dead for sure: look again then.

        Args:
            state: the worker, as it was seen.
        """
        worker = state.info.id
        if not state.looks_dead:
            return Pruned(False, "", f"{worker} does not look dead; it was left alone.")
        if not state.sure:
            said = f"{worker} may live: {state.why_dead}. It is sure in {state.sure_in:.0f} s, if it stays silent."
            return Pruned(False, "", said)
        recovery = recovering.recover(self._broker, self._parts.tools(), state.info, state.why_dead)
        if recovery is None:
            return Pruned(False, "", f"{worker} lives after all, or somebody else has just pruned it.")
        if recovery.settled is not None:
            self._parts.hooks().tell_quietly("settled", recovery.settled)
        where = {
            "": "It held no job.",
            "failed": "Its job is in the failed list.",
            "retried": "Its job is in its queue again.",
        }
        return Pruned(True, recovery.became, f"{worker} is pruned. {where[recovery.became]}")

    def _looked(self) -> Sequence[WorkerInfo]:
        try:
            return self._broker.workers()
        except BrokerUnavailable:
            self._steady = time.monotonic()  # who was cut off himself may not judge the silence of others
            raise

    def _judging(self) -> Judge:
        if self._judge is None:
            broker = self._parts.broker
            self._judge = Judge(
                identity.this_process(),
                lambda: broker().now(),
                lambda: self._steady,
                beat=self._parts.config.beat,
            )
        return self._judge

    # ---- queues

    def queues(
        self,
        workers: Sequence[WorkerInfo] | None = None,
        history: History | None = None,
        *,
        ages: Collection[str] | None = None,
    ) -> list[QueueState]:
        """Every queue, sorted by name.

        Args:
            workers: those that live, where the caller has just looked: one that looks dead serves no queue.
            history: that of the last hours, where the caller has it.
            ages: the queues whose oldest job is looked at; None is as many as there are, within reason.
        """
        if workers is None:
            workers = [worker.info for worker in self.workers() if not worker.looks_dead]
        history = self.history("hours") if history is None else history
        return queues.states(self._broker, workers, history, ages=ages)

    def queue_page(self, queue: str, cursor: str = "", count: int = 20) -> QueuePage:
        """A page of the jobs that wait in a queue.

        Args:
            queue: its name.
            cursor: `next` or `previous` of an earlier page; empty for the front.
            count: how many at most.

        Raises:
            ValueError: that is no cursor.
        """
        return queues.page(self._broker, self._parts.showing, queue, cursor, count)

    def find_job(self, queue: str, job_id: str) -> bytes | None:
        """The payload of a job that waits, by its id on a page; None where it waits no more. ValueError: no id."""
        return queues.find_job(self._broker, queue, job_id)

    def remove_job(self, queue: str, job_id: str, *, all_equal: bool = False) -> int:
        """Remove a job that waits, by content: one of those that are equal, or all of them. How many were removed.

        Args:
            queue: where it waits.
            job_id: its id on a page.
            all_equal: every one in the queue with the same bytes.

        Raises:
            ValueError: it is no id.
        """
        body = self.find_job(queue, job_id)
        if body is None:
            return 0
        removed = self._broker.remove(queue, body, most=None if all_equal else 1)
        return self._parts.taken_away(queue, body, removed)

    # ---- jobs

    def jobs(self) -> list[JobInfo]:
        """The jobs that are registered here, by name."""
        return sorted((jobs.described(job) for job in self._parts.registry), key=lambda job: job.name)

    # ---- the broker itself

    def server(self) -> Sequence[Section]:
        """The broker's own figures, in sections, the important ones first; empty where it has none."""
        return self._broker.server()

    def keys(self, cursor: str = "", count: int = 50) -> KeyPage:
        """Some of the keys that the broker is made of.

        Args:
            cursor: of an earlier page; empty to begin.
            count: about how many.

        Raises:
            NotSupported: the backend is not made of keys.
            ValueError: that is no cursor.
        """
        return self._broker.keys(cursor, count)

    def key(self, name: str, cursor: str = "", count: int = 50) -> ShownValue | None:
        """A part of what a key holds, secrets masked; None where there is no such key in the namespace.

        Args:
            name: its whole name.
            cursor: of an earlier part; empty to begin.
            count: about how many elements.

        Raises:
            NotSupported: the backend is not made of keys.
            ValueError: that is no cursor.
        """
        found = self._broker.key(name, cursor, count)
        if found is None:
            return None
        shown = tuple(tuple(self._parts.showing.value(part) for part in item) for item in found.items)
        return ShownValue(found.key, shown, found.cursor)

    # ---- over time

    def history(self, span: Span = "hours") -> History:
        """What was sampled over the last twelve hours, by the minute, or the last 31 days, by the hour."""
        return histories.history(self._broker, span)

    def sample(self) -> bool:
        """Take a sample for the history if one is due; workers of taskq do it by themselves."""
        if self._sampler is None:
            self._sampler = Sampler(self._broker)
        return self._sampler.sample()

    # ---- what is wrong

    def warnings(self) -> list[Finding]:
        """What an operator should see first: queues that no worker serves, workers without heartbeat, a pause."""
        found = [*doctor.about_queues(self.queues(), self._broker.paused())]
        pending = sum(self._broker.sizes(self._broker.queues()).values())
        found += doctor.about_workers(self.workers(), pending, self._broker.now())
        return [one for one in found if one.level != "ok"]

    def doctor(self) -> Iterator[Finding]:
        """Check the set-up, one finding after another: those that are well too."""
        yield from doctor.what_loads(self._parts.load)
        reached = doctor.broker_answers(self._broker)
        yield reached
        if reached.level != "ok":
            return
        yield from self._broker.diagnose()
        yield doctor.clocks(self._broker)
        all_queues = self.queues()
        pending = sum(queue.size for queue in all_queues)
        yield from doctor.about_workers(self.workers(), pending, self._broker.now())
        yield from doctor.about_queues(all_queues, self._broker.paused())
        yield from doctor.unknown_jobs(self._broker, all_queues, self._parts.registry)
        count = self._parts.failures.count()
        yield doctor.about_failures(count, self._parts.config.failed_max, self.history("days"))

    def can_show_keys(self) -> bool:
        """Whether the broker is made of keys that may be looked at."""
        return Capability.INSPECT in self._broker.capabilities

    @property
    def _broker(self) -> Broker:
        return self._parts.broker()
