"""The plugin `unique`: at most one of a key, whose lock belongs to its job and to nobody else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import taskq
import taskq_retry
from taskq import envelope
from taskq.errors import BrokerUnavailable, JobDefinitionError, UnknownOption
from taskq.failure_handler import Retry
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, PerformContext, Settled, Vetoed
from taskq.records import Payload, Reservation
from taskq.testing import Queue
from taskq.testing.contract import HookContract
from taskq.testing.contract.alongside import side_by_side
from taskq_memory import MemoryBroker
from taskq_unique import AlreadyEnqueued, Unique, UniqueHook
from taskq_unique.lock import EXTRA, Lock
from tests.plugins.stores import ON_EACH, trying, within_transaction

REGISTRY = taskq.Registry()
RETRYING = taskq.Registry()
DID: list[object] = []


def bound_to(broker: object) -> UniqueHook:
    return UniqueHook().bound(taskq.TaskQ(broker=broker))


class TestUniqueHook(HookContract):
    job_options: ClassVar[Mapping[str, object]] = {"unique": Unique()}

    def make_hook(self) -> UniqueHook:
        return bound_to(MemoryBroker())


@taskq.job(queue="q", registry=REGISTRY, unique=Unique(until="done"))
def charge(order: int, *, cents: int = 0) -> None:
    DID.append(order)
    if order == 13:
        raise ValueError("no luck")
    if order == 0:
        raise taskq.NotNow(30)


@taskq.job(queue="q", registry=REGISTRY, unique=Unique(until="started", on_duplicate="existing"))
def reindex(shop: str) -> None:
    DID.append(bool(reindex.enqueue(shop)))


@taskq.job(queue="q", registry=REGISTRY, unique=Unique(key=lambda user, text="": user, on_duplicate="error"))
def greet(user: str, text: str = "") -> None: ...


@taskq.job(queue="q", registry=RETRYING, unique=Unique(on_duplicate="existing"), retry=taskq_retry.Retry(backoff=[500]))
def fails() -> None:
    raise OSError


@taskq.job(queue="q", registry=REGISTRY)
def plain(number: int) -> None: ...


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DID.clear()


def application(backend: str, **settings: Any) -> Any:
    return trying(backend, REGISTRY, hooks=["unique"], **settings)


@ON_EACH
class TestUntilDone:
    def test_a_second_one_is_vetoed_until_the_first_has_ended(self, backend: str) -> None:
        with application(backend) as queue:
            assert charge.enqueue(1, cents=5)
            second = charge.enqueue(1, cents=5)
            assert isinstance(second, Vetoed)
            assert second.by == "unique"
            assert second.reason.startswith("one of the same key waits or runs already; its lock expires in ")
            assert charge.enqueue(1, cents=6)
            assert charge.enqueue(2, cents=5)
            assert queue.app.size("q") == 3
            queue.perform_all()
            assert charge.enqueue(1, cents=5)

    @pytest.mark.parametrize("order", [13])
    def test_one_that_failed_has_ended(self, backend: str, order: int) -> None:
        with application(backend) as queue:
            charge.enqueue(order)
            queue.perform_all(collect=True)
            assert charge.enqueue(order)

    def test_one_that_is_postponed_has_not(self, backend: str) -> None:
        with application(backend) as queue:
            charge.enqueue(0)
            assert [job.outcome for job in queue.perform_all(collect=True)] == ["postponed"]
            assert not charge.enqueue(0)

    @pytest.mark.parametrize("lost", ["worker", "child"])
    def test_one_whose_process_died_has(self, backend: str, lost: Any) -> None:
        with application(backend) as queue:
            charge.enqueue(1)
            assert queue.crash(charge, lost=lost).outcome == "failed"
            assert charge.enqueue(1)

    def test_one_whose_process_died_and_that_is_performed_again_has_not(self, backend: str) -> None:
        with application(backend, on_crash="requeue") as queue:
            charge.enqueue(1)
            assert queue.crash(charge, lost="child").outcome == "retried"
            assert not charge.enqueue(1)
            queue.perform_all()
            assert charge.enqueue(1)

    def test_its_lock_expires(self, backend: str) -> None:
        with application(backend) as queue:
            short = charge.options(unique=Unique(expires=0.05))
            assert short.enqueue(1)
            lock = Lock.of(waiting(queue)[0])
            assert lock is not None
            assert queue.app.broker.await_key(lock.key, lock.token.encode(), 10.0) is None
            assert short.enqueue(1)

    def test_an_expired_holder_releases_no_other(self, backend: str) -> None:
        with application(backend) as queue:
            broker = queue.app.broker
            charge.enqueue(1)
            lock = Lock.of(waiting(queue)[0])
            assert lock is not None
            broker.put_key(lock.key, b"0123456789abcdef", 60.0)  # it expired, and another one has it
            queue.perform_all()
            assert broker.get_key(lock.key) == b"0123456789abcdef"
            assert not charge.enqueue(1)

    def test_one_that_lost_its_token_leaves_the_lock_to_expire(self, backend: str) -> None:
        with application(backend) as queue:
            charge.enqueue(1)
            [body] = queue.app.broker.peek("q", 0, 9)
            queue.app.broker.remove("q", body)
            queue.app.broker.push("q", [b'{"class":"charge","args":[1]}'])  # as Ruby requeues it
            queue.perform_all()
            assert DID == [1]
            assert not charge.enqueue(1)


def waiting(queue: Queue) -> list[Payload]:
    return [envelope.decode(body) for body in queue.app.broker.peek("q", 0, 99)]


@ON_EACH
class TestUntilStarted:
    def test_at_most_one_waits_and_another_may_while_one_runs(self, backend: str) -> None:
        with application(backend) as queue:
            assert reindex.enqueue("x")
            assert not reindex.enqueue("x")
            with pytest.raises(AssertionError, match="performed 2 jobs"):
                queue.perform_all(limit=2)
            assert len(DID) >= 2
            assert all(DID)
            assert not reindex.enqueue("x")

    def test_a_second_one_gets_the_place_of_the_first_also_after_its_retry(self, backend: str) -> None:
        settings: dict[str, Any] = {"hooks": ["unique", "retry"], "failure_handlers": ["retry", "broker"]}
        with trying(backend, RETRYING, **settings) as queue:
            fails.enqueue()
            assert [job.outcome for job in queue.perform_all(collect=True)] == ["retried"]
            [waits] = queue.app.broker.scheduled(0, 0, 9)
            second = fails.enqueue()
            assert isinstance(second, Vetoed)
            assert second.instead is not None
            assert (second.instead.payload, second.instead.job) == (waits.body, "fails")
            assert abs((second.instead.at or 0) - waits.at) <= 1

    def test_a_second_one_gets_the_place_of_the_first(self, backend: str) -> None:
        with application(backend):
            first = reindex.options(queue="other").enqueue("x")
            second = reindex.enqueue("x")
            assert isinstance(second, Vetoed)
            assert second.instead == first


class TestKey:
    def test_is_what_the_job_says(self) -> None:
        with application("memory") as queue:
            greet.enqueue("ada", "hello")
            with pytest.raises(AlreadyEnqueued, match="greet of the same key waits already, or runs"):
                greet.enqueue("ada", text="good evening")
            assert greet.enqueue("bob")
            assert queue.app.size("q") == 2

    def test_lists_and_tuples_travel_as_one(self) -> None:
        def key(value: object) -> str:
            return Lock.new("job", value, "done", 1.0).key

        assert key([1, (2, 3)]) == key([1, [2, 3]])
        assert key([1]) != key(["1"])
        assert key([b"\xff"]) == key([b"\xff"])
        assert key(set(range(0, 64, 8))) == key(set(range(56, -1, -8))) != key(list(range(0, 64, 8)))

    def test_a_job_without_the_option_has_resques_own_bytes(self) -> None:
        with application("memory") as queue:
            plain.enqueue(1)
            plain.enqueue(1)
            assert queue.app.broker.peek("q", 0, 9) == [b'{"class":"plain","args":[1]}'] * 2

    @pytest.mark.parametrize(
        "said", ["x", 3, [], ["a", "b", "later", 5], ["a", 1, "done", 5], ["a", "b", "done", -1], [1, 2, 3, 4, 5]]
    )  # fmt: skip
    def test_what_is_no_lock_is_none(self, said: Any) -> None:
        assert Lock.of(Payload("job", (), {EXTRA: said})) is None
        assert Lock.in_body(b'{"taskq:unique":') is None


class TestEnqueueing:
    def enqueue(self, hook: UniqueHook, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        return hook.wrap_enqueue(EnqueueRequest("job", (1,), "q", options={"unique": Unique()}), call_next)

    def test_what_could_not_be_pushed_is_not_locked(self) -> None:
        hook = bound_to(MemoryBroker())

        def away(request: EnqueueRequest) -> Enqueued:
            raise BrokerUnavailable("x", "y", sent="no")

        def vetoes(request: EnqueueRequest) -> Enqueued:
            return Vetoed("job", "somebody", "no")

        with pytest.raises(BrokerUnavailable):
            self.enqueue(hook, away)
        assert not self.enqueue(hook, vetoes)
        assert self.enqueue(hook, lambda request: Accepted("job", "q", b"{}"))

    def test_what_may_have_been_pushed_is(self) -> None:
        hook = bound_to(MemoryBroker())

        def lost(request: EnqueueRequest) -> Enqueued:
            raise BrokerUnavailable("x", "y", sent="unknown")

        with pytest.raises(BrokerUnavailable):
            self.enqueue(hook, lost)
        assert not self.enqueue(hook, lost)

    def test_a_delayed_one_is_locked_until_its_time_and_then_as_long(self) -> None:
        with application("memory") as queue:
            charge.options(unique=Unique(expires=100)).enqueue_in(1000, 1)
            lock = Lock.of(envelope.decode(queue.app.broker.scheduled(0, 0, 1)[0].body))
            assert lock is not None
            left = queue.app.broker.take_key([lock.key], b"x", 1.0).left
            assert 1095 < left <= 1101

    def test_an_inline_one_is_locked_while_it_is_performed(self) -> None:
        with application("memory", mode="inline"):
            assert charge.enqueue(1)
            assert charge.enqueue(1)


class TestSettled:
    @pytest.mark.parametrize("until", ["started", "done"])
    def test_one_that_is_tried_again_stays_locked_until_then(self, until: Any) -> None:
        broker = MemoryBroker()
        hook = bound_to(broker)
        outcomes: list[Any] = ["retried", "postponed"]
        for outcome in outcomes:
            lock = Lock.new("job", outcome, until, 10.0)
            body = envelope.encode("job", "[]", {EXTRA: lock.extra})
            lock.take(broker, 0.0)
            held = Reservation("w", "q", body, "0123456789abcdef:0001", 0.0)
            hook.wrap_perform(PerformContext(envelope.decode(body), held, {}, ()), lambda context: None)
            hook.settling(Settled(held, outcome, decision=Retry(at=broker.now() + 100)))
            assert 105 < broker.take_key([lock.key], b"x", 1.0).left <= 110
            hook.settled(Settled(replace(held, fence="0123456789abcdef:0002"), "refused"))
            assert broker.get_key(lock.key) is not None
            hook.cancelled("q", body)
            assert broker.get_key(lock.key) is None
            hook.settled(Settled(replace(held, body=b"\xff"), "done"))

    @pytest.mark.parametrize("until", ["started", "done"])
    def test_one_that_ended_before_its_retry_was_told_leaves_no_lock(self, until: Any) -> None:
        broker = MemoryBroker()
        first, other = bound_to(broker), bound_to(broker)
        lock = Lock.new("job", 1, until, 10.0)
        body = envelope.encode("job", "[]", {EXTRA: lock.extra})
        lock.take(broker, 0.0)
        held = Reservation("w", "q", body, "0123456789abcdef:0001", 0.0)
        context = PerformContext(envelope.decode(body), held, {}, ())
        first.wrap_perform(context, lambda context: None)
        back = Settled(held, "retried", decision=Retry())
        first.settling(back)
        assert broker.get_key(lock.key) is not None
        other.wrap_perform(context, lambda context: None)  # it was there at once, and another worker was quicker
        other.settled(Settled(held, "done"))
        first.settled(back)
        assert broker.get_key(lock.key) is None

    def test_one_that_somebody_else_settled_meanwhile_leaves_no_lock(self) -> None:
        broker = MemoryBroker()
        stood_still, finder = bound_to(broker), bound_to(broker)
        lock = Lock.new("job", 1, "done", 10.0)
        body = envelope.encode("job", "[]", {EXTRA: lock.extra})
        held = Reservation("w", "q", body, "0123456789abcdef:0001", 0.0)
        for had_it, stays in ((False, False), (True, True)):
            if had_it:  # the finder had it tried again
                lock.take(broker, 0.0)
            else:
                finder.settled(Settled(held, "failed"))
            stood_still.settling(Settled(held, "retried", decision=Retry()))
            stood_still.settled(Settled(held, "refused", decision=Retry()))
            assert (broker.get_key(lock.key) is not None) is stays


class TestTakenAway:
    @pytest.mark.parametrize("until", ["started", "done"])
    @pytest.mark.parametrize(
        "take_away",
        [
            lambda app: app.dequeue(charge),
            lambda app: app.remove_queue("q"),
            lambda app: app.operator.remove_job("q", app.operator.queue_page("q").jobs[0].id),
            lambda app: app.delayed.remove(next(app.delayed.each())),
            lambda app: app.delayed.remove_all(charge),
            lambda app: app.delayed.clear(),
        ],
        ids=["dequeue", "remove_queue", "remove_job", "delayed.remove", "delayed.remove_all", "delayed.clear"],
    )
    def test_what_is_removed_is_locked_no_more(self, take_away: Callable[[Any], int], until: Any) -> None:
        with application("memory") as queue:
            for number in (1, 2):
                job = charge.options(unique=Unique(until=until))
                assert job.enqueue(number)
                assert job.enqueue_in(1000, number + 10)
            removed = take_away(queue.app)
            assert removed in (1, 2)
            left = queue.app.size("q") + queue.app.delayed.count()
            assert removed + left == 4
            assert sum(bool(charge.enqueue(number)) for number in (1, 2, 11, 12)) == removed

    @ON_EACH
    def test_what_is_requeued_is_locked_again(self, backend: str) -> None:
        with application(backend) as queue:
            charge.enqueue(13)
            queue.perform_all(collect=True)
            [failed] = queue.app.failures.list()
            assert queue.app.failures.requeue(failed).value == "requeued"
            assert not charge.enqueue(13)
            queue.perform_all(collect=True)
            assert charge.enqueue(13)

    @ON_EACH
    def test_a_second_requeue_of_what_has_ended_locks_nothing(self, backend: str) -> None:
        with application(backend) as queue:
            charge.enqueue(13)
            queue.perform_all(collect=True)
            [failed] = queue.app.failures.list()
            assert queue.app.failures.requeue(failed).value == "requeued"
            assert queue.app.dequeue(charge, 13) == 1
            assert queue.app.failures.requeue(failed).value == "already retried"
            assert queue.app.failures.requeue_each([failed]).already == 1
            assert charge.enqueue(13)

    @ON_EACH
    def test_a_second_requeue_of_what_waits_and_is_gone_from_the_list_frees_nothing(self, backend: str) -> None:
        with application(backend) as queue:
            charge.enqueue(13)
            queue.perform_all(collect=True)
            failures = queue.app.failures
            [failed] = failures.list()
            assert failures.requeue(failed).value == "requeued"
            failures.clear()
            assert failures.requeue(failed).value == "gone"
            assert failures.requeue_each([failed]).gone == 1
            assert not charge.enqueue(13)
            assert queue.app.size("q") == 1

    @ON_EACH
    def test_two_who_requeue_all_at_once_lock_what_waits_and_nothing_else(self, backend: str) -> None:
        with application(backend) as queue:
            jobs = [charge.options(unique=Unique(key=lambda *args, n=n, **_: n)) for n in range(30)]
            for job in jobs:
                job.enqueue(13)
            queue.perform_all(collect=True)
            app = queue.app
            assert sum(side_by_side(app.failures.requeue_all, app.failures.requeue_all)) == 30
            assert not any(job.enqueue(13) for job in jobs)
            assert app.size("q") == 30
            queue.perform_all(collect=True)
            assert all(job.enqueue(13) for job in jobs)

    @pytest.mark.parametrize("wins", [None, 0, 1, 2])
    def test_the_lock_goes_with_the_last_who_took_it_in_vain(self, wins: int | None) -> None:
        for order in itertools.permutations(range(3)):
            broker = MemoryBroker()
            hook, lock = bound_to(broker), Lock.new("job", 1, "done", 10.0)
            body = envelope.encode("job", "[]", {EXTRA: lock.extra})
            undoing = [hook.requeueing("q", body) for _ in range(3)]
            for place in order:
                undo = undoing[place]
                assert undo is not None
                if place != wins:
                    undo()
            assert (broker.get_key(lock.key) is not None) is (wins is not None)
            for _ in range(100):
                hook.requeueing("q", body)
            assert 0 < len(broker.get_key(lock.key) or b"") < 200

    def test_what_the_broker_refused_is_not_locked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with application("memory") as queue:
            charge.enqueue(13)
            queue.perform_all(collect=True)
            [failed] = queue.app.failures.list()

            def away(sent: Any) -> None:
                def raises(*_: object, **__: object) -> None:
                    raise BrokerUnavailable("memory", "away", sent=sent)

                monkeypatch.setattr(queue.app.broker, "requeue_failures", raises)
                with pytest.raises(BrokerUnavailable):
                    queue.app.failures.requeue(failed)

            away("no")
            again = charge.enqueue(13)
            assert again
            assert queue.app.dequeue(charge, 13) == 1
            away("unknown")  # it may be in its queue
            assert not charge.enqueue(13)

    def test_what_is_gone_from_the_failed_list_is_not(self) -> None:
        with application("memory") as queue:
            charge.enqueue(13)
            queue.perform_all(collect=True)
            failures = queue.app.failures
            [failed] = failures.list()
            assert failures.remove(failed)
            assert failures.requeue(failed).value == "gone"
            assert failures.requeue_each([failed]).gone == 1
            assert charge.enqueue(13)


class TestWithinATransaction:
    @pytest.mark.parametrize("commits", [True, False])
    def test_it_is_locked_with_it_or_not_at_all(self, tmp_path: Path, commits: bool) -> None:
        with within_transaction("unique", REGISTRY, tmp_path) as (app, connection):
            for job in (reindex.options(connection=connection), charge.options(connection=connection)):
                assert job.enqueue(1)  # type: ignore[arg-type]
                assert not job.enqueue(1)  # type: ignore[arg-type]
            connection.execute("COMMIT" if commits else "ROLLBACK")
            assert app.size("q") == (2 if commits else 0)
            assert bool(charge.enqueue(1)) is not commits
            again = reindex.enqueue(1)  # type: ignore[arg-type]
            assert bool(getattr(again, "instead", None)) is commits


class TestOption:
    @pytest.mark.parametrize(
        "said",
        [{"until": "now"}, {"key": "x"}, {"expires": 0}, {"expires": True}, {"expires": 1e12}, {"on_duplicate": "now"}],
    )
    def test_what_it_cannot_be_is_told(self, said: dict[str, Any]) -> None:
        with pytest.raises(JobDefinitionError, match=next(iter(said))):
            Unique(**said)

    def test_an_unknown_keyword_names_the_known(self) -> None:
        with pytest.raises(UnknownOption, match=r"Did you mean expires\? Known: expires, key, on_duplicate, until"):
            Unique(expire=3)  # type: ignore[call-arg]

    def test_it_stands_within_limit(self) -> None:
        class Limit(Hook):
            name = "limit"

        with taskq.TaskQ(broker="memory://", hooks=["unique", Limit()]) as app, pytest.raises(
            taskq.ConfigurationError, match="limit must come before unique"
        ):  # fmt: skip
            app.load()
