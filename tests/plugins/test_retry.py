"""The plugin `retry`: what its policies say, what becomes of jobs, and whose count counts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

import taskq
from taskq import envelope
from taskq.errors import BrokerUnavailable, ConfigurationError, JobDefinitionError, UnknownOption
from taskq.failure_handler import Fail, Failure, FailureHandler, Quarantine
from taskq.failure_handler import Retry as Again
from taskq.performing import describe
from taskq.records import Crash, ErrorRecord
from taskq.testing import Queue
from taskq.testing.contract import FailureHandlerContract, HookContract
from taskq_memory import MemoryBroker
from taskq_retry import Exponential, Retry, RetryHandler, RetryHook
from taskq_retry.ruby import failed_attempts, retry_key
from tests.plugins.stores import ON_EACH, trying
from tests.support.vectors import vector

BODY = b'{"class":"send","args":[1]}'
NOW = 1_800_000_000.0


class Refused(OSError):
    pass


REFUSED = Refused("no")


def failure(
    policy: object, cause: BaseException | Crash = REFUSED, body: bytes = BODY, attempts: int = 1, **facts: Any
) -> Failure:
    record = describe(cause) if isinstance(cause, BaseException) else cause
    options = {"retry": policy}
    return Failure(
        envelope.decode(body), body, "q", "host:1:q", record, NOW - 1, NOW, attempts, options=options, **facts
    )


def decided(policy: object, cause: BaseException | Crash = REFUSED, **facts: Any) -> object:
    return RetryHandler().decide(failure(policy, cause, **facts))


class TestRetryHook(HookContract):
    job_options: ClassVar[Mapping[str, object]] = {"retry": Retry(attempts=3)}

    def make_hook(self) -> RetryHook:
        return RetryHook()


class TestRetryHandler(FailureHandlerContract):
    failures = (failure(Retry()), failure(Retry(backoff=[0])), failure(Retry(), Crash(pid=7, signal=9)))

    def make_handler(self) -> FailureHandler:
        return RetryHandler()


class TestPolicy:
    def test_exponential_grows_to_its_most(self) -> None:
        delays = [Exponential(first=2, factor=3, max=50, jitter=False)(attempt) for attempt in (1, 2, 3, 4, 10_000)]
        assert delays == [2, 6, 18, 50, 50]

    def test_jitter_draws_from_the_upper_half(self) -> None:
        drawn = {Exponential(first=10, max=10)(1) for _ in range(100)}
        assert len(drawn) > 50
        assert all(5 <= delay <= 10 for delay in drawn)

    def test_a_list_says_how_often_too_and_its_last_one_holds(self) -> None:
        policy = Retry(backoff=[1, 10])
        assert (policy.most, [policy.delay(attempt) for attempt in (1, 2, 3)]) == (3, [1, 10, 10])

    def test_a_function_gets_the_attempts(self) -> None:
        assert Retry(backoff=lambda attempts: attempts * 7).delay(3) == 21

    @pytest.mark.parametrize("wrong", [-1, float("nan"), None, "5"])
    def test_a_function_that_answers_no_seconds_is_told(self, wrong: object) -> None:
        with pytest.raises(ValueError, match=r"Retry\(backoff=\.\.\.\) answered"):
            Retry(backoff=lambda attempts: wrong).delay(1)  # type: ignore[arg-type,return-value]

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"attempts": 0}, "whole number of at least 1, not 0"),
            ({"attempts": True}, "not True"),
            ({"backoff": []}, "takes seconds, one at least"),
            ({"backoff": [1, -1]}, "takes seconds"),
            ({"backoff": [1e300]}, "none beyond a century"),
            ({"backoff": "fast"}, "an Exponential"),
            ({"on": ("OSError",)}, r"Retry\(on=\.\.\.\) takes a tuple of exception classes"),
            ({"give_up_on": (int,)}, "give_up_on"),
            ({"crashes": 1}, "True or False"),
            ({"record": "all"}, '"last" or "each"'),
            ({"on_give_up": "mail"}, "a function"),
        ],
    )
    def test_what_it_cannot_be_is_told_where_the_job_is_defined(self, said: dict[str, Any], message: str) -> None:
        with pytest.raises(JobDefinitionError, match=message):
            Retry(**said)

    @pytest.mark.parametrize("said", [{"first": -1}, {"factor": 0.5}, {"max": "x"}, {"jitter": 1}])
    def test_so_is_a_backoff(self, said: dict[str, Any]) -> None:
        with pytest.raises(JobDefinitionError, match=next(iter(said))):
            Exponential(**said)

    def test_an_unknown_keyword_names_the_known(self) -> None:
        with pytest.raises(UnknownOption) as caught:
            Retry(atempts=3)  # type: ignore[call-arg]
        assert str(caught.value) == (
            'Retry(...): unknown option "atempts". Did you mean attempts? '
            "Known: attempts, backoff, crashes, give_up_on, on, on_give_up, record."
        )


class TestDecide:
    def test_has_it_wait_for_its_time_and_counts(self) -> None:
        expected = Again(body=BODY[:-1] + b',"taskq:attempts":1}', at=NOW + 4)
        assert decided(Retry(attempts=3, backoff=[4])) == expected

    def test_counts_on(self) -> None:
        body = b'{"class":"send","taskq:attempts":1,"args":[1],"taskq:crashes":1,"x":"y"}'
        answer = decided(Retry(attempts=9, backoff=[4]), body=body, attempts=3)
        assert answer == Again(body=b'{"class":"send","args":[1],"x":"y","taskq:attempts":3}', at=NOW + 4)

    def test_how_often_it_was_postponed_counts_no_more(self) -> None:
        body = BODY[:-1] + b',"taskq:postponed":4}'
        answer = decided(Retry(backoff=[4]), body=body)
        assert answer == Again(body=BODY[:-1] + b',"taskq:attempts":1}', at=NOW + 4)

    def test_no_delay_is_at_once(self) -> None:
        answer = decided(Retry(backoff=[0]))
        assert isinstance(answer, Again)
        assert answer.at is None

    def test_passes_when_it_was_performed_often_enough(self) -> None:
        assert decided(Retry(attempts=3), attempts=3) is None
        assert decided(Retry(attempts=1)) is None

    def test_says_whether_each_failure_is_recorded(self) -> None:
        answers = [decided(Retry(record=record)) for record in ("last", "each")]
        assert [answer.recorded for answer in answers if isinstance(answer, Again)] == [False, True]

    @pytest.mark.parametrize(
        ("policy", "cause", "again"),
        [
            (Retry(on=(OSError,)), Refused("x"), True),
            (Retry(on=(OSError,)), ValueError("x"), False),
            (Retry(on=(OSError,), give_up_on=(Refused,)), Refused("x"), False),
            (Retry(on=(OSError,), give_up_on=(Refused,)), OSError("x"), True),
            (Retry(), SystemExit(3), True),
            (Retry(), taskq.JobTimeout(3), True),
            (Retry(give_up_on=(taskq.JobTimeout,)), taskq.JobTimeout(3), False),
            (Retry(), taskq.InvalidPayload("x"), False),
            (Retry(), taskq.errors.JobCancelled("x"), False),
            (Retry(), Crash(pid=7, signal=9), True),
            (Retry(on=(OSError,)), Crash(worker_lost=True), True),
            (Retry(crashes=False), Crash(worker_lost=True), False),
            (Retry(crashes=False), Crash(ended="timeout"), True),
            (Retry(on=(OSError,)), Crash(ended="timeout"), False),
            (Retry(), Crash(ended="kill"), False),
            (Retry(), Crash(ended="cancel"), False),
            (Retry(), Crash(ended="shutdown"), True),
        ],
    )
    def test_looks_at_the_cause(self, policy: Retry, cause: BaseException | Crash, again: bool) -> None:
        assert isinstance(decided(policy, cause), Again) is again

    def test_leaves_what_on_crash_has_a_say_in(self) -> None:
        for said in (Again(front=True), Again(front=True, body=BODY), Quarantine("it kills")):
            assert decided(Retry(), Crash(pid=7, signal=9), on_crash=said) is None

    def test_leaves_a_job_without_the_option(self) -> None:
        assert decided(None) is None
        assert RetryHandler().decide(replace(failure(Retry()), payload=None)) is None


class TestGivingUp:
    def test_is_told_once_nothing_is_tried_any_more(self) -> None:
        told: list[Failure] = []
        lost = failure(Retry(on_give_up=told.append))
        for decision in (Again(), Fail(), taskq.failure_handler.Discard("x"), Quarantine("x")):
            RetryHandler().decided(lost, decision)
        assert told == [lost, lost]


class TestRuby:
    @pytest.mark.parametrize("case", [
        returned for returned in vector("53")["returns"] if returned["call"].startswith("Shop::Mail")
    ], ids=lambda case: case["call"])  # fmt: skip
    def test_the_key_is_resque_retrys(self, case: dict[str, Any]) -> None:
        shown = case["call"].removeprefix("Shop::Mail ").replace("=>", ":").replace("nil", "null")
        args = json.loads(re.sub(r"(\d)e-07", r"\1e-7", shown))
        assert retry_key("Shop::Mail", args) == case["returned"]["key"]

    def test_white_space_goes(self) -> None:
        assert retry_key("A b\tC", []) == "resque-retry:AbC"

    @pytest.mark.parametrize(("counted", "failed"), [(None, 0), (b"-1", 0), (b"0", 1), (b"3", 4), (b"x", 0), (b"", 0)])
    def test_the_count_is_of_attempts_that_failed(self, counted: bytes | None, failed: int) -> None:
        assert failed_attempts(counted) == failed

    class Counting(MemoryBroker):
        asked: list[str]

        def foreign_key(self, key: str) -> bytes | None:
            if key == "resque-retry:away":
                raise BrokerUnavailable("x", "y")
            return b"2" if key == retry_key("send", [1]) else None

    def test_counts_where_the_payload_has_none(self) -> None:
        with taskq.TaskQ(broker=self.Counting()) as app:
            handler = RetryHandler().bound(app)
            answer = handler.decide(failure(Retry(attempts=9)))
            assert isinstance(answer, Again)
            assert answer.body == BODY[:-1] + b',"taskq:attempts":4}'
            assert handler.decide(failure(Retry(attempts=4))) is None
            own = handler.decide(failure(Retry(attempts=9), body=BODY[:-1] + b',"taskq:attempts":1}', attempts=2))
            assert isinstance(own, Again)
            assert own.body == BODY[:-1] + b',"taskq:attempts":2}'

    def test_that_it_cannot_be_asked_is_no_reason_to_give_up(self) -> None:
        with taskq.TaskQ(broker=self.Counting()) as app:
            lost = failure(Retry(), body=b'{"class":"away","args":[]}')
            assert isinstance(RetryHandler().bound(app).decide(lost), Again)


@pytest.mark.redis
class TestBesideRubysScheduler:
    """It moves what is due with its class and arguments only."""

    def test_attempts_have_an_end_and_the_count_goes_with_the_job(self) -> None:
        with application("redis") as queue:
            broker, key = queue.app.broker, retry_key("fetch", ["refused"])
            fetch.enqueue("refused")
            for attempt in (1, 2):
                queue.perform_all(collect=True)
                assert broker.foreign_key(key) == b"%d" % (attempt - 1)
                [waits] = broker.scheduled(0, 0, 9)
                assert broker.withdraw(waits)
                broker.push("q", [b'{"class":"fetch","args":["refused"]}'])
            assert [job.outcome for job in queue.perform_all(collect=True)] == ["failed"]
            assert TRIED == [1, 2, 3]
            assert broker.foreign_key(key) is None

    def test_a_count_of_rubys_ends_with_its_job(self) -> None:
        with application("redis") as queue:
            broker, key = queue.app.broker, retry_key("fetch", ["well"])
            broker.put_foreign_key(key, b"1", 60.0)
            fetch.enqueue("well")
            assert [job.outcome for job in queue.perform_all()] == ["done"]
            assert TRIED == [3]
            assert broker.foreign_key(key) is None

    def test_a_new_job_has_nothing_of_one_that_waits_for_its_retry(self) -> None:
        with application("redis") as queue:
            for _ in range(2):
                fetch.enqueue("refused")
                assert [job.outcome for job in queue.perform_all(collect=True)] == ["retried"]
            assert TRIED == [1, 1]

    def test_one_that_comes_with_its_own_count_needs_none_beside_it(self) -> None:
        with application("redis") as queue:
            fetch.enqueue("refused")
            queue.perform_all(collect=True)
            pass_time(queue, 11)
            [body] = queue.app.broker.peek("q", 0, 9)
            queue.app.broker.remove("q", body)
            queue.app.broker.push("q", [body.replace(b"refused", b"well")])
            key = retry_key("fetch", ["well"])
            queue.app.broker.put_foreign_key(key, b"7", 60.0)
            queue.perform_all()
            assert TRIED == [1, 2]
            assert queue.app.broker.foreign_key(key) is None


REGISTRY = taskq.Registry()
TRIED: list[int] = []
LOST: list[tuple[int, object]] = []


@taskq.job(
    queue="q",
    registry=REGISTRY,
    retry=Retry(
        attempts=3,
        backoff=[10, 20],
        give_up_on=(KeyError,),
        on_give_up=lambda lost: LOST.append((lost.attempts, lost.cause)),
    ),
)
def fetch(how: str) -> None:
    TRIED.append(taskq.current().attempt)
    if how == "key":
        raise KeyError(how)
    if how == "refused":
        raise Refused(how)


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    TRIED.clear()
    LOST.clear()


def application(backend: str) -> Any:
    return trying(backend, REGISTRY, hooks=["retry"], failure_handlers=["retry", "broker"])


def pass_time(queue: Queue, seconds: float) -> None:
    """Move the clock, and what is due then into its queue."""
    broker = queue.app.broker
    queue.clock.move(seconds)
    assert broker.claim_schedule("test", 60.0) == "test"
    broker.promote_due("test", broker.now(), 100)


@ON_EACH
class TestJobs:
    def test_is_tried_again_when_its_time_has_come_and_then_no_more(self, backend: str) -> None:
        with application(backend) as queue:
            broker = queue.app.broker
            fetch.enqueue("refused")
            for attempt, later in ((1, 10), (2, 20)):
                [job] = queue.perform_all(collect=True)
                assert job.outcome == "retried"
                [waits] = broker.scheduled(0, 0, 9)
                assert waits.body == b'{"class":"fetch","args":["refused"],"taskq:attempts":%d}' % attempt
                assert 0 <= waits.at - broker.now() - later + 1 <= 2
                assert (broker.failure_count(), queue.app.size("q")) == (0, 0)
                pass_time(queue, later + 1)
            assert LOST == []
            [job] = queue.perform_all(collect=True)
            assert job.outcome == "failed"
            assert TRIED == [1, 2, 3]
            assert [attempts for attempts, _ in LOST] == [3]
            [failed] = queue.app.failures.list()
            assert failed.exception == "tests.plugins.test_retry.Refused"
            assert queue.app.failures.requeue(failed).value == "requeued"
            assert broker.peek("q", 0, 9) == [b'{"class":"fetch","args":["refused"]}']  # an operator's starts anew

    def test_gives_up_at_once_on_what_it_says(self, backend: str) -> None:
        with application(backend) as queue:
            fetch.enqueue("key")
            assert [job.outcome for job in queue.perform_all(collect=True)] == ["failed"]
            assert (len(LOST), queue.app.broker.next_due()) == (1, None)

    @pytest.mark.parametrize("lost", ["worker", "child"])
    def test_a_kill_counts_as_an_attempt(self, backend: str, lost: Any) -> None:
        with application(backend) as queue:
            fetch.enqueue("well")
            for later in (10, 20):
                assert queue.crash(fetch, lost=lost).outcome == "retried"
                pass_time(queue, later + 1)
            assert queue.crash(fetch, lost=lost).outcome == "failed"
            assert [attempts for attempts, _ in LOST] == [3]
            assert isinstance(LOST[0][1], Crash)


class TestConfiguration:
    def test_the_hook_without_its_handler_is_refused(self) -> None:
        with taskq.TaskQ(broker="memory://", hooks=["retry"], registry=REGISTRY) as app, pytest.raises(
            ConfigurationError, match=r'needs the failure handler retry: failure_handlers = \["retry", "broker"\]'
        ):  # fmt: skip
            app.load()

    def test_a_backend_that_cannot_delay_is_refused(self) -> None:
        class Immediate(MemoryBroker):
            capabilities = frozenset()

        app = taskq.TaskQ(
            broker=Immediate(), hooks=["retry"], failure_handlers=["retry", "broker"], registry=REGISTRY
        )  # fmt: skip
        with app, pytest.raises(ConfigurationError, match="the failure handler retry needs jobs that wait for a time"):
            app.load()

    def test_a_call_cannot_say_it(self) -> None:
        with application("memory"), pytest.raises(JobDefinitionError, match="Say it of the job"):
            fetch.options(retry=Retry(attempts=2)).enqueue("well")


def test_is_a_looks_at_all_classes_of_an_exception() -> None:
    record = describe(Refused("x"))
    assert record.is_a(Refused)
    assert record.is_a(OSError)
    assert record.is_a(BaseException)
    assert not record.is_a(ValueError)
    assert not ErrorRecord("OSError", "").is_a(OSError)
