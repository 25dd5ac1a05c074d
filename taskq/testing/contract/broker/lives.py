"""A state machine that lives the lives of several workers beside a model, and compares after every step.

The model is lists in this process: what waits, what is delayed, what each worker holds, what failed, what was counted.
It knows no locks and no tokens; those are what the broker has to get right to look like it. Time is what a rule says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskq.broker import Broker, Capability, Requeued
from taskq.records import Again, Reservation, StoredFailure, Token
from taskq.testing.contract.broker.delaying import THEN, waiting_jobs
from taskq.testing.contract.broker.holder import Holder, job

__all__ = ["Lives"]

T = TypeVar("T")

_MOST_WORKERS = 3
_PLACES = st.integers(0, 99)
_LIMITS = st.integers(1, 3)
_TIMES = st.sampled_from([1, 1, 2, 3])
_RELEASES = st.sampled_from(["front", "back", "another body", "delayed"])
_AGAIN = st.sampled_from(["no", "no", "front", "back", "another body", "delayed"])
_MOMENTS = st.integers(0, 3).map(lambda seconds: THEN + seconds)
_SCHEDULER = "host:0:scheduler"


@dataclass
class _Worker:
    """What the model knows of a worker: what it holds, and whether the first of it has begun."""

    holder: Holder
    held: list[Reservation] = field(default_factory=list)
    begun: bool = False
    processed: int = 0
    failed: int = 0


class Lives(RuleBasedStateMachine):
    """One life of a store; the names in it are of this life only."""

    def __init__(self, broker: Broker, other: Broker, number: int) -> None:
        super().__init__()
        self.brokers = (broker, other)
        self.broker = broker
        self.number = number
        self.names = [f"{number}:a", f"{number}:b"]
        self.queues: dict[str, list[bytes]] = {name: [] for name in self.names}
        self.paused: set[str] = set()
        self.delays = Capability.DELAY in broker.capabilities
        self.asks_ahead = Capability.AHEAD in broker.capabilities
        self.delayed: list[tuple[float, str, bytes]] = []
        self.workers: list[_Worker] = []
        self.failures: list[bytes] = []
        self.body_of: dict[bytes, bytes] = {}
        self.jobs = 0
        self.hired = 0
        self.before = broker.stats()
        self.processed = 0
        self.failed = 0

    def teardown(self) -> None:
        """Leave the store as it was found."""
        for info in self.broker.workers():
            self.broker.recover(info, None)
        for name in self.names:
            self.broker.remove_queue(name)
        self.broker.clear_failures()
        self.broker.unpause()
        if self.delays:
            self.broker.clear_scheduled()
            self.broker.give_up_schedule(_SCHEDULER)

    @initialize()
    def begin(self) -> None:
        """Some jobs and some workers, so that each life has something to live on."""
        for queue in range(2):
            self.push(queue=queue, count=6, front=False, by=0)
            self.register(by=queue, times=1)

    # ---- queues

    @rule(queue=_PLACES, count=st.integers(1, 4), front=st.booleans(), by=_PLACES)
    def push(self, queue: int, count: int, front: bool, by: int) -> None:
        """Some jobs, at the end or the front."""
        name = self.names[queue % 2]
        bodies = [job(1000 * self.number + self.jobs + place) for place in range(count)]
        self.jobs += count
        self.brokers[by % 2].push(name, bodies, front=front)
        self.put(name, bodies, front=front)

    @precondition(lambda self: not self.paused)
    @rule(queue=_PLACES)
    def pause(self, queue: int) -> None:
        """One queue; the other one goes on."""
        name = self.names[queue % 2]
        self.broker.pause(name)
        self.paused.add(name)

    @precondition(lambda self: self.paused)
    @rule()
    def unpause(self) -> None:
        """It goes on."""
        self.broker.unpause(*self.paused)
        self.paused.clear()

    @precondition(lambda self: any(self.queues.values()))
    @rule(place=_PLACES)
    def remove(self, place: int) -> None:
        """A job that waits."""
        name = next(name for name in self.names if self.queues[name])
        body = self.queues[name][place % len(self.queues[name])]
        assert self.broker.remove(name, body) == self.queues[name].count(body)
        self.queues[name] = [other for other in self.queues[name] if other != body]

    # ---- delayed jobs

    @precondition(lambda self: self.delays)
    @rule(queue=_PLACES, count=st.integers(1, 3), at=_MOMENTS, by=_PLACES)
    def schedule(self, queue: int, count: int, at: float, by: int) -> None:
        """Some jobs for a time."""
        name = self.names[queue % 2]
        bodies = [job(1000 * self.number + self.jobs + place) for place in range(count)]
        self.jobs += count
        self.brokers[by % 2].schedule(at, name, bodies)
        self.delay(at, name, bodies)

    @precondition(lambda self: self.delayed)
    @rule(now=_MOMENTS, limit=st.integers(1, 4), claims=st.booleans(), by=_PLACES)
    def promote_due(self, now: float, limit: int, claims: bool, by: int) -> None:
        """What is due, by one that holds the lock, or has given it back."""
        broker = self.brokers[by % 2]
        if claims:
            assert broker.claim_schedule(_SCHEDULER, 60) == _SCHEDULER
        else:
            broker.give_up_schedule(_SCHEDULER)
        due = [one for one in self.delayed if one[0] <= now][: limit if claims else 0]
        done = broker.promote_due(_SCHEDULER, now, limit)
        assert (done.moved, done.holder) == (len(due), _SCHEDULER if claims else "")
        for at, name, body in due:
            self.delayed.remove((at, name, body))
            self.put(name, [body], front=False)

    @precondition(lambda self: self.delayed)
    @rule(at=_PLACES, into=_PLACES, times=_TIMES)
    def promote(self, at: int, into: int, times: int) -> None:
        """One of them before its time, into any queue; a second time it is gone."""
        place = at % len(self.delayed)
        job_there = self.broker.scheduled(0, 0, 999)[place]
        name = self.names[into % 2]
        there = min(times, self.delayed.count(self.delayed[place]))  # a job that failed and went back may come twice
        done = [self.broker.promote(job_there, queue=name) for _ in range(times)]
        assert done == [True] * there + [False] * (times - there)
        for _ in range(there):
            self.delayed.remove((job_there.at, job_there.queue, job_there.body))
            self.put(name, [job_there.body], front=False)

    @precondition(lambda self: self.delayed)
    @rule(at=_PLACES, whenever=st.booleans())
    def unschedule(self, at: int, whenever: bool) -> None:
        """It is wanted no more, however often it is there: a job that failed and went back may come twice."""
        when, name, body = self.delayed[at % len(self.delayed)]
        alike = [one for one in self.delayed if one[1:] == (name, body) and (whenever or one[0] == when)]
        assert self.broker.unschedule(name, body, at=None if whenever else when) == len(alike)
        assert self.broker.unschedule(name, body, at=when) == 0
        self.delayed = [one for one in self.delayed if one not in alike]

    @precondition(lambda self: self.delayed)
    @rule(at=_PLACES)
    def bury(self, at: int) -> None:
        """It goes to the failed list, and is counted nowhere."""
        job_there = self.broker.scheduled(0, 0, 999)[at % len(self.delayed)]
        self.delayed.remove((job_there.at, job_there.queue, job_there.body))
        entry = self.entry_of(job_there.body)
        assert self.broker.bury(job_there, entry)
        self.failures.append(entry)
        if not any(one == (job_there.at, job_there.queue, job_there.body) for one in self.delayed):
            assert not self.broker.bury(job_there, entry)

    # ---- a worker's life

    @precondition(lambda self: len(self.workers) < _MOST_WORKERS)
    @rule(by=_PLACES, times=_TIMES)
    def register(self, by: int, times: int) -> None:
        """One more worker."""
        self.hired += 1
        holder = Holder(self.brokers[by % 2], f"host:{self.number}.{self.hired}:q")
        assert [holder.register() for _ in range(times)] == [True] * times
        self.workers.append(_Worker(holder))

    @precondition(lambda self: any(not worker.held for worker in self.workers) and any(self.queues.values()))
    @rule(who=_PLACES, limit=_LIMITS, times=_TIMES)
    def reserve_idle(self, who: int, limit: int, times: int) -> None:
        """What is next, by one that holds nothing: the call that is made most often."""
        idle = [place for place, worker in enumerate(self.workers) if not worker.held]
        self.reserve(who=idle[who % len(idle)], limit=limit, backwards=False, settled=False, at=0, times=times)

    @precondition(lambda self: self.workers)
    @rule(who=_PLACES, limit=_LIMITS, backwards=st.booleans(), settled=st.booleans(), at=_PLACES, times=_TIMES)
    def reserve(self, who: int, limit: int, backwards: bool, settled: bool, at: int, times: int) -> None:
        """What is next; with `settled` what was held up to there is done."""
        worker = self.who(who)
        names = self.names[::-1] if backwards else self.names
        last = worker.held[at % len(worker.held)] if settled and worker.held else None
        token = worker.holder.tokens.next()
        answers = [
            worker.holder.broker.reserve(worker.holder.id, names, token, limit=limit, settled=last)
            for _ in range(times)
        ]
        if last is not None:
            self.done_up_to(worker, last)
        if worker.held:
            expected = [held.fence for held in worker.held]
            assert all([held.fence for held in answer.jobs] == expected for answer in answers)
            assert all(answer.held and answer.settled for answer in answers)
            return
        taken: list[tuple[str, bytes]] = []
        for name in names:
            while self.queues[name] and len(taken) < limit and name not in self.paused:
                taken.append((name, self.queues[name].pop(0)))
        for answer in answers:
            assert [(held.queue, held.body) for held in answer.jobs] == taken
            assert answer.jobs == answers[0].jobs
            assert answer.settled
            assert not answer.held
        worker.held = list(answers[0].jobs)
        worker.begun = bool(taken)

    @precondition(lambda self: self.asks_ahead and any(worker.held for worker in self.workers))
    @rule(who=_PLACES, limit=_LIMITS, backwards=st.booleans(), overtaken=st.booleans(), times=_TIMES)
    def reserve_ahead(self, who: int, limit: int, backwards: bool, overtaken: bool, times: int) -> None:
        """More, behind what is held; its answer is heard again and again."""
        worker, _ = self.one_held(who, 0)
        names = self.names[::-1] if backwards else self.names
        token = worker.holder.tokens.next()
        if overtaken:
            assert worker.holder.reserve().held
        answer = worker.holder.reserve_ahead(*names, limit=limit, token=token)
        answers = [answer() for _ in range(times)]
        more: list[tuple[str, bytes]] = []
        for name in names if worker.begun and not overtaken else ():
            while self.queues[name] and len(more) < limit and name not in self.paused:
                more.append((name, self.queues[name].pop(0)))
        for heard in answers:
            assert [(held.queue, held.body, held.started) for held in heard.jobs] == [(*one, False) for one in more]
            assert [held.fence for held in heard.jobs] == [held.fence for held in answers[0].jobs]
        worker.held += answers[0].jobs

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(who=_PLACES, at=_PLACES, times=_TIMES)
    def note(self, who: int, at: int, times: int) -> None:
        """One that was held ahead begins."""
        worker, held = self.one_held(who, at)
        for _ in range(times):
            worker.holder.broker.note(held)
        self.begins(worker, held)

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(who=_PLACES, at=_PLACES, times=_TIMES)
    def finish(self, who: int, at: int, times: int) -> None:
        """Up to there all is done."""
        worker, held = self.one_held(who, at)
        self.agree(worker, lambda token: worker.holder.broker.finish(held, token), times)
        self.done_up_to(worker, held)

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(who=_PLACES, at=_PLACES, how=_AGAIN, times=_TIMES)
    def fail(self, who: int, at: int, how: str, times: int) -> None:
        """It failed, and may be tried again; those before it are done."""
        worker, held = self.one_held(who, at)
        entry, again = self.entry_of(held.body), self.again(how, held)
        self.agree(worker, lambda token: worker.holder.broker.fail(held, token, entry, again=again), times)
        self.goes_again(held, again)
        self.begins(worker, held)
        worker.held.pop(0)
        worker.begun = False
        self.fails(entry)
        worker.processed += 1
        worker.failed += 1

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(who=_PLACES, at=_PLACES, started=st.booleans(), how=_RELEASES, times=_TIMES)
    def release(self, who: int, at: int, started: bool, how: str, times: int) -> None:
        """It and those behind it go back, or among the delayed ones; or it alone, with another body."""
        worker, held = self.one_held(who, at)
        place = worker.held.index(held)
        started = started or (place == 0 and worker.begun)
        back = [replace(held, started=started), *worker.held[place + 1 :]]
        if how == "another body":
            del back[1:]
        body = _another(held.body) if how == "another body" else None
        later = THEN if how == "delayed" and self.delays else None
        self.agree(
            worker,
            lambda token: worker.holder.broker.release(back, token, body=body, front=how != "back", at=later),
            times,
        )
        if started:
            self.begins(worker, held)
        gone = {one.fence for one in back}
        worker.begun = worker.begun and worker.held[0].fence not in gone
        worker.held = [one for one in worker.held if one.fence not in gone]
        if later is not None:
            for one in back:
                self.delay(later, one.queue, [one.body])
            return
        for name in self.names:
            bodies = [body or one.body for one in back if one.queue == name]
            self.put(name, bodies, front=how != "back")

    @precondition(lambda self: self.workers)
    @rule(who=_PLACES, at=_PLACES)
    def late(self, who: int, at: int) -> None:
        """Calls under a token that is older than the last one change nothing."""
        worker = self.who(who)
        late = Token(worker.holder.tokens.process, 0)
        if worker.held:
            held = worker.held[at % len(worker.held)]
            assert not worker.holder.broker.finish(held, late)
            assert not worker.holder.broker.fail(held, late, b"{}")
            assert not worker.holder.broker.release([held], late)

    @precondition(lambda self: len(self.workers) > 1)
    @rule(who=_PLACES)
    def unregister(self, who: int) -> None:
        """Who holds nothing may leave."""
        worker = self.who(who)
        assert worker.holder.unregister() is not bool(worker.held)
        if not worker.held:
            self.workers.remove(worker)

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(who=_PLACES, entry=st.booleans(), how=_AGAIN, by=_PLACES)
    def die(self, who: int, entry: bool, how: str, by: int) -> None:
        """Another one finds it dead: in hand is failed or requeued or both, held ahead goes back; twice is once."""
        worker, _ = self.one_held(who, 0)
        seen, broker = worker.holder.seen(), self.brokers[by % 2]
        in_hand = worker.held[0] if worker.begun else None
        written = None if not entry else b"{}" if in_hand is None else self.entry_of(in_hand.body)
        again = None if in_hand is None else self.again(how, in_hand)
        assert broker.recover(seen, written, again=again)
        assert not broker.recover(seen, written, again=again)
        for held in worker.held:
            assert not worker.holder.finish(held)
            worker.holder.broker.note(held)
        self.workers.remove(worker)
        ahead = [held for held in worker.held if held is not in_hand]
        for name in self.names:
            self.put(name, [held.body for held in ahead if held.queue == name], front=True)
        if in_hand is not None:
            if written is not None:
                self.fails(written)
            self.goes_again(in_hand, again or (Again() if written is None else None))

    # ---- failures

    @precondition(lambda self: self.failures)
    @rule(at=_PLACES, seen_at=st.integers(-2, 2), times=_TIMES)
    def requeue_failure(self, at: int, seen_at: int, times: int) -> None:
        """An entry that may have moved since it was seen; a second time it was retried already."""
        place = at % len(self.failures)
        entry = self.failures[place]
        failure = StoredFailure(max(0, place + seen_at), entry)
        marked = entry[:-1] + b',"retried_at":"now"}'
        name = self.names[at % 2]
        answers = [
            self.broker.requeue_failure(failure, queue=name, body=self.body_of[entry], replacement=marked)
            for _ in range(times)
        ]
        assert answers == [Requeued.DONE, *[Requeued.ALREADY] * (times - 1)]
        self.failures[place] = marked
        self.body_of[marked] = self.body_of[entry]
        self.put(name, [self.body_of[entry]], front=False)

    @precondition(lambda self: self.failures)
    @rule(at=_PLACES, seen_at=st.integers(-2, 2))
    def remove_failure(self, at: int, seen_at: int) -> None:
        """An entry that may have moved."""
        place = at % len(self.failures)
        entry = self.failures.pop(place)
        failure = StoredFailure(max(0, place + seen_at), entry)
        assert self.broker.remove_failure(failure)
        assert not self.broker.remove_failure(failure)

    # ---- what must be so after every step

    @invariant()
    def every_job_is_where_the_model_has_it(self) -> None:
        """Waiting, delayed, in hand, held ahead, failed, counted."""
        for name in self.names:
            assert list(self.broker.peek(name, 0, 999)) == self.queues[name], name
        if self.delays:
            assert waiting_jobs(self.broker) == self.delayed
            assert self.broker.next_due() == min((at for at, _, _ in self.delayed), default=None)
        assert [failure.entry for failure in self.broker.failures(0, 999)] == self.failures
        stats = self.broker.stats()
        assert stats.processed - self.before.processed == self.processed
        assert stats.failed - self.before.failed == self.failed
        assert self.broker.paused().queues == frozenset(self.paused)
        infos = {info.id: info for info in self.broker.workers()}
        assert sorted(infos) == sorted(worker.holder.id for worker in self.workers)
        for worker in self.workers:
            info = infos[worker.holder.id]
            ahead = worker.held[1:] if worker.begun else worker.held
            assert (info.job.fence if info.job else None) == (worker.held[0].fence if worker.begun else None)
            assert [(held.fence, held.body) for held in info.ahead] == [(held.fence, held.body) for held in ahead]
            assert (info.processed, info.failed) == (worker.processed, worker.failed)

    # ---- the model

    def who(self, number: int) -> _Worker:
        """One of the workers."""
        return self.workers[number % len(self.workers)]

    def one_held(self, who: int, at: int) -> tuple[_Worker, Reservation]:
        """A worker that holds something, and one of its jobs."""
        holding = [worker for worker in self.workers if worker.held]
        worker = holding[who % len(holding)]
        return worker, worker.held[at % len(worker.held)]

    def agree(self, worker: _Worker, ask: Callable[[Token], bool], times: int) -> None:
        """Ask under one token, perhaps again and again: True each time."""
        token = worker.holder.tokens.next()
        assert [ask(token) for _ in range(times)] == [True] * times

    def put(self, name: str, bodies: Sequence[bytes], *, front: bool) -> None:
        """Into a queue of the model."""
        self.queues[name] = [*bodies, *self.queues[name]] if front else [*self.queues[name], *bodies]

    def delay(self, at: float, name: str, bodies: Sequence[bytes]) -> None:
        """Among the delayed jobs of the model, behind those of the same time."""
        self.delayed += [(at, name, body) for body in bodies]
        self.delayed.sort(key=lambda one: one[0])

    def again(self, how: str, held: Reservation) -> Again | None:
        """What a broker is told of a job that goes back like this."""
        if how == "no" or (how == "delayed" and not self.delays):
            return None
        return Again(
            _another(held.body) if how == "another body" else None, how != "back", THEN if how == "delayed" else None
        )

    def goes_again(self, held: Reservation, again: Again | None) -> None:
        """Back in the model, as a broker was told."""
        if again is None:
            return
        bodies = [again.body or held.body]
        if again.at is None:
            self.put(held.queue, bodies, front=again.front)
        else:
            self.delay(again.at, held.queue, bodies)

    def begins(self, worker: _Worker, held: Reservation) -> None:
        """A job of a worker begins: those before it are done."""
        while worker.held[0] is not held:
            self.done(worker)
        worker.begun = True

    def done_up_to(self, worker: _Worker, held: Reservation) -> None:
        """A job of a worker is done, and those before it."""
        self.begins(worker, held)
        self.done(worker)

    def done(self, worker: _Worker) -> None:
        """The first that a worker holds is done."""
        worker.held.pop(0)
        worker.begun = False
        worker.processed += 1
        self.processed += 1

    def entry_of(self, body: bytes) -> bytes:
        """An entry for the failed list that is like no other: a job may fail again and again."""
        entry = body[:-1] + b',"failure":%d}' % len(self.body_of)
        self.body_of[entry] = body
        return entry

    def fails(self, entry: bytes) -> None:
        """An entry in the failed list."""
        self.failures.append(entry)
        self.processed += 1
        self.failed += 1


def _another(body: bytes) -> bytes:
    """A body like this one, and another."""
    return body[:-1] + b',"again":1}'
