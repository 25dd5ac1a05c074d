"""What is said at the broker about the end of a job, and what a worker hears of it."""

from __future__ import annotations

from typing import Any

import pytest

import taskq
from taskq.cancelling import Words
from taskq.errors import NotAJob, NotSupported
from taskq.hook import Accepted, Hook
from taskq.records import Reservation
from taskq_memory import MemoryBroker
from tests.support.bench import CutBroker, stranger

BODY = b'{"class":"send","args":[1]}'
WITH_ID = b'{"class":"send","args":[1],"taskq:id":"x7"}'


def held(number: int, body: bytes = BODY) -> Reservation:
    return Reservation("host:1:q", "q", body, f"0123456789abcdef:{number:04d}", 0.0)


def app_of(broker: Any, **settings: Any) -> taskq.TaskQ:
    return taskq.TaskQ(broker=broker, registry=taskq.Registry(), **settings)


def taken(broker: MemoryBroker, *bodies: bytes, ahead: bool = False) -> list[Reservation]:
    """Jobs in the hand of a worker."""
    tokens = stranger(broker, "host:9:q")
    broker.push("q", bodies)
    return list(broker.reserve("host:9:q", ["q"], tokens.next(), limit=2 if ahead else 1).jobs)


class TestWords:
    def test_are_heard_by_the_worker_whose_job_it_is_and_once(self) -> None:
        broker = MemoryBroker()
        [job] = taken(broker, WITH_ID)
        words = Words(broker)
        assert words.about([job, held(2)]) == {}
        assert app_of(broker).cancel("x7", by="ada") == "stopping"
        assert words.about([job, held(2)]) == {job.fence: "ada"}
        assert Words(broker).about([held(3, WITH_ID)]) == {}  # a requeue of it is another matter

    def test_are_heard_at_the_first_look_at_a_job_though_it_rang_before(self) -> None:
        broker = MemoryBroker()
        words = Words(broker)
        [job] = taken(broker, BODY)
        assert app_of(broker).cancel(worker="host:9:q", by="ada") == "stopping"
        assert words.about([held(5)]) == {}
        assert words.about([held(5), job]) == {job.fence: "ada"}

    def test_are_heard_each_time_by_who_has_to_ask_which_job_it_has(self) -> None:
        """As the parent of children that run the loop does: a bell that is there already hides none."""
        broker = MemoryBroker()
        broker.put_key("cancelled", b"old", 7200)
        words, app = Words(broker), app_of(broker)
        tokens = stranger(broker, "host:9:q")
        for by in ("ada", "bob"):
            broker.push("q", [BODY])
            [job] = broker.reserve("host:9:q", ["q"], tokens.next()).jobs
            words.rang()
            assert words.of(job) is None
            app.cancel(worker="host:9:q", by=by)
            assert (words.rang(), words.of(job)) == (True, by)
            broker.finish(job, tokens.next())

    def test_that_nobody_heard_go_when_a_person_requeues_the_job(self) -> None:
        """It had failed by itself before; tried again by itself it would still be meant."""
        broker = MemoryBroker()
        app = app_of(broker)
        tokens = stranger(broker, "host:9:q")
        requeue = app.failures.requeue, lambda failed: app.failures.requeue_each([failed])
        for each in requeue:
            broker.push("q", [WITH_ID])
            [job] = broker.reserve("host:9:q", ["q"], tokens.next()).jobs
            assert app.cancel("x7", by="ada") == "stopping"
            entry = b'{"payload":%b,"queue":"q","exception":"E","error":"","backtrace":[]}' % WITH_ID
            broker.fail(job, tokens.next(), entry)
            [failed] = app.failures.each()
            each(failed)
            [again] = broker.reserve("host:9:q", ["q"], tokens.next()).jobs
            assert Words(broker).about([again]) == {}
            broker.finish(again, tokens.next())
            app.failures.clear()

    def test_cost_one_question_while_nobody_rings(self) -> None:
        broker = MemoryBroker()
        words, asked = Words(broker), []
        words.about([held(1), held(2)])
        get = broker.get_key
        broker.get_key = lambda key: asked.append(key) or get(key)  # type: ignore[func-returns-value,method-assign]
        words.about([held(1), held(2)])
        assert asked == ["cancelled"]
        words.about([])
        assert asked == ["cancelled"]

    def test_of_a_broker_that_is_away_are_asked_for_again(self) -> None:
        broker = CutBroker()
        [job] = taken(broker, BODY)
        words = Words(broker)
        app_of(broker).cancel(worker="host:9:q", by="ada")
        broker.away = True
        assert (words.about([job]), words.rang(), words.of(job)) == ({}, False, None)
        broker.away = False
        assert words.about([job]) == {job.fence: "ada"}

    def test_need_keys(self) -> None:
        class Bare(MemoryBroker):
            capabilities = frozenset()

        broker = Bare()
        assert (Words(broker).about([held(1)]), Words(broker).rang()) == ({}, False)
        taken(broker, BODY)
        with pytest.raises(NotSupported, match="A job that runs cannot be reached there"):
            app_of(broker).cancel(worker="host:9:q")
        broker.push("q", [BODY])
        assert app_of(broker).cancel(Accepted("send", "q", BODY)) == "removed"


class Hears(Hook):
    name = "hears"

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def cancelled(self, queue: str, body: bytes) -> None:
        self.heard.append((queue, body))


class TestCancel:
    def test_of_equal_ones_takes_one_and_tells_hooks(self) -> None:
        broker, hook = MemoryBroker(), Hears()
        broker.push("q", [BODY, BODY])
        broker.schedule(2e9, "q", [BODY])
        app = app_of(broker, hooks=[hook])
        answer = Accepted("send", "q", BODY)
        assert [app.cancel(answer) for _ in range(4)] == ["removed"] * 3 + ["gone"]
        assert hook.heard == [("q", BODY)] * 3
        assert broker.next_due() is None

    def test_by_an_id_looks_everywhere(self) -> None:
        broker = MemoryBroker()
        app = app_of(broker)
        broker.push("a", [BODY] * 1500)
        broker.push("b", [BODY, WITH_ID, b'{"class":"send","args":["x7"]}'])
        assert app.cancel("x7") == "removed"
        assert (broker.size("a"), broker.size("b")) == (1500, 2)
        broker.schedule(2e9, "b", [BODY] * 3 + [WITH_ID])
        assert app.cancel("x7", queue="a") == "gone"
        assert app.cancel("x7", queue="b") == "removed"
        assert app.cancel("x7") == "gone"
        assert broker.get_key("cancel:id:x7") is None

    def test_one_that_is_held_ahead_is_ended_when_it_begins(self) -> None:
        broker = MemoryBroker()
        first, second = taken(broker, BODY, WITH_ID, ahead=True)
        assert app_of(broker).cancel("x7", by="ada") == "stopping"
        assert Words(broker).about([first]) == {}
        assert Words(broker).about([second]) == {second.fence: "ada"}

    def test_says_who_asks(self) -> None:
        broker = MemoryBroker()
        [job] = taken(broker, BODY)
        app_of(broker).cancel(Accepted("send", "q", BODY))
        assert "@" in Words(broker).about([job])[job.fence]

    @pytest.mark.parametrize("wrong", [7, b"x", object()])
    def test_takes_a_job(self, wrong: Any) -> None:
        with pytest.raises(NotAJob, match="cancel takes what enqueue gave, an id, or a call"):
            app_of(MemoryBroker()).cancel(wrong)

    def test_takes_one_of_both(self) -> None:
        for job, worker in ((None, None), ("x", "y")):
            with pytest.raises(TypeError, match="one of them"):
                app_of(MemoryBroker()).cancel(job, worker=worker)
