from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

import pytest

import taskq
from taskq.delayed_jobs import Cursor, DelayedFilter, DelayedTally, DelayedTime
from taskq.errors import EnqueueError, InvalidPayload, WrongCall, WrongTime
from taskq.hook import Accepted, Enqueued, EnqueueRequest, Hook, Vetoed
from taskq.jobs import job
from taskq.registry import Registry
from taskq_memory import MemoryBroker

NOW = 1_900_000_000.0
SOON = datetime.fromtimestamp(NOW + 60, UTC)
REGISTRY = Registry()


@job(queue="emails", aliases=["mail"], secret=["body"], registry=REGISTRY)
def send(to: str, body: str = "") -> None: ...


@job(queue="low", registry=REGISTRY)
class Report:
    @staticmethod
    def perform(day: int) -> None: ...


@job(queue="hooked", registry=REGISTRY)
class Hooked:
    called: ClassVar[list[str]] = []

    @staticmethod
    def perform(word: str = "") -> None: ...

    @classmethod
    def before_schedule_a(cls, word: str = "") -> object:
        cls.called.append("before_schedule_a")
        return word != "stop"

    @classmethod
    def before_schedule_b(cls, word: str = "") -> None:
        cls.called.append("before_schedule_b")

    @classmethod
    def after_schedule_x(cls, word: str = "") -> None:
        cls.called.append("after_schedule_x")

    @classmethod
    def before_enqueue_x(cls, word: str = "") -> None:
        cls.called.append("before_enqueue_x")


@pytest.fixture
def app() -> Iterator[taskq.TaskQ]:
    with taskq.TaskQ(broker=MemoryBroker(clock=lambda: NOW), registry=REGISTRY) as app:
        Hooked.called.clear()
        yield app


def waiting(app: taskq.TaskQ, queue: str) -> list[str]:
    return [body.decode() for body in app.broker.peek(queue, 0, 100)]


def delayed(app: taskq.TaskQ) -> list[tuple[float, str, str]]:
    return [(each.at - NOW, each.queue, each.body.decode()) for each in app.delayed.each()]


# ---- enqueueing


def test_every_way_to_say_a_time_comes_to_the_same(app: taskq.TaskQ) -> None:
    body = b'{"class":"send","args":["a"]}'
    with taskq.using(app):
        answers = [
            app.enqueue_in(60, send, "a"),
            app.enqueue_in(timedelta(minutes=1), "mail", "a"),
            app.enqueue_at(SOON.astimezone(ZoneInfo("Asia/Tokyo")), send, to="a"),
            app.options(at=SOON).enqueue(send, "a"),
            app.options(delay=60.0).enqueue(send, "a"),
            send.enqueue_in(60, "a"),
            send.enqueue_at(SOON, "a"),
            send.options(at=SOON).enqueue("a"),
            send.options(delay=timedelta(seconds=60)).enqueue("a"),
            *taskq.enqueue_many([send.options(at=SOON).call("a"), taskq.options(delay=60).call(send, "a")]),
            taskq.enqueue_in(60, send, "a"),
            taskq.enqueue_at(SOON, send, "a"),
        ]
    assert answers == [Accepted("send", "emails", body, NOW + 60)] * 13
    assert repr(answers[0]).endswith(f"<29 bytes>, at={NOW + 60})")
    assert delayed(app) == [(60.0, "emails", body.decode())] * 13
    assert waiting(app, "emails") == []


def test_a_queue_is_said_beside_the_time(app: taskq.TaskQ) -> None:
    app.options(queue="vip").enqueue_in(5, send, "a")
    app.options(queue="ruby", delay=6).enqueue("Billing::Charge", 1)
    app.options(delay=7).enqueue_to("to", Report, 1)
    with taskq.using(app):
        send.options(queue="vip").enqueue_at(SOON, "b")
    assert [(at, queue) for at, queue, _ in delayed(app)] == [(5, "vip"), (6, "ruby"), (7, "to"), (60, "vip")]


@pytest.mark.parametrize("delta", [0, -1, timedelta(days=-1), 0.0])
def test_what_is_over_goes_straight_into_the_queue(delta: timedelta | float, app: taskq.TaskQ) -> None:
    assert app.enqueue_in(delta, send, "a") == Accepted("send", "emails", b'{"class":"send","args":["a"]}')
    [many] = app.enqueue_many([app.options(delay=delta).call(send, "a")])
    assert isinstance(many, Accepted)
    assert many.at is None
    assert (app.size("emails"), app.delayed.count()) == (2, 0)


@pytest.mark.parametrize(
    ("enqueue", "says"),
    [
        (
            lambda app: app.enqueue_at(datetime(2030, 1, 1), send, "a"),  # noqa: DTZ001
            ["2030-01-01 00:00:00", "no time zone", "tzinfo="],
        ),
        (lambda app: app.enqueue_at(NOW + 60, send, "a"), ["type float", "no datetime", "enqueue_in"]),
        (lambda app: app.enqueue_in("60", send, "a"), ["type str", "timedelta(minutes=5)"]),
        (lambda app: app.enqueue_in(True, send, "a"), ["type bool"]),
        (lambda app: app.enqueue_in(math.nan, send, "a"), ["nan seconds"]),
        (lambda app: app.enqueue_in(math.inf, send, "a"), ["inf seconds"]),
        (lambda app: app.enqueue_in(timedelta(days=9_000_000), send, "a"), ["year 9999"]),
        (lambda app: app.enqueue_in(None, send, "a"), ["None", "at once"]),
        (lambda app: app.options(at=SOON).enqueue_in(5, send, "a"), ["enqueue_in", "options", "one of them"]),
        (lambda app: app.options(at=SOON, delay=5), ["at and delay", "one of them"]),
        (lambda app: app.options(at=SOON, front=True), ["front=True", "end of its queue"]),
        (lambda app: app.options(front=True).enqueue_in(5, send, "a"), ["front=True", "end of its queue"]),
    ],
)
def test_what_is_no_time_is_refused(enqueue: Callable[[Any], object], says: list[str], app: taskq.TaskQ) -> None:
    with pytest.raises(WrongTime) as refused:
        enqueue(app)
    assert isinstance(refused.value, EnqueueError)
    for part in [*says, "Nothing was enqueued."]:
        assert part in str(refused.value)
    assert app.delayed.count() == app.size("emails") == 0


def test_a_wrong_call_is_refused_when_it_is_delayed_not_when_it_is_due(app: taskq.TaskQ) -> None:
    with pytest.raises(WrongCall):
        app.enqueue_in(60, "send", "a", "b", "c")
    assert app.delayed.count() == 0


def test_enqueue_many_keeps_what_goes_now_apart_from_what_waits(
    app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[object, ...]] = []
    monkeypatch.setattr(app.broker, "push", lambda queue, bodies, front=False: written.append((queue, len(bodies))))
    monkeypatch.setattr(
        app.broker, "schedule", lambda at, queue, bodies: written.append((at - NOW, queue, len(bodies)))
    )
    soon = send.options(delay=5)
    calls = [send.call("a"), soon.call("b"), send.call("c"), send.options(delay=6).call("d"), soon.call("e")]
    answers = app.enqueue_many(calls)
    assert written == [("emails", 2), (5.0, "emails", 2), (6.0, "emails", 1)]
    assert [isinstance(each, Accepted) and each.at for each in answers] == [None, NOW + 5, None, NOW + 6, NOW + 5]


# ---- hooks


class Sees(Hook):
    def __init__(self) -> None:
        self.at: list[float | None] = []

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        self.at.append(request.at)
        return call_next(request)


def test_a_hook_sees_the_time_once_when_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Sees()
    monkeypatch.setattr("taskq.plugins.create_all", lambda *args, **kwargs: [seen])
    app = taskq.TaskQ(broker=MemoryBroker(clock=lambda: NOW), registry=REGISTRY)
    _ = app.hooks
    monkeypatch.undo()
    app.enqueue_in(60, send, "a")
    app.enqueue(send, "b")
    app.enqueue_in(-5, send, "c")
    assert app.broker.claim_schedule("me", 60) == "me"
    assert app.broker.promote_due("me", NOW + 60, 10).moved == 1
    assert seen.at == [NOW + 60, None, NOW - 5]
    assert app.size("emails") == 3


def test_methods_for_delaying_are_called_and_those_for_enqueueing_are_not(app: taskq.TaskQ) -> None:
    assert app.enqueue_in(60, Hooked, "go")
    assert Hooked.called == ["before_schedule_a", "before_schedule_b", "after_schedule_x"]
    [through_many] = app.enqueue_many([app.options(delay=60).call(Hooked)])
    assert isinstance(through_many, Accepted)
    assert Hooked.called[3:] == Hooked.called[:3]


def test_a_method_that_says_no_keeps_it_from_being_delayed(app: taskq.TaskQ) -> None:
    answer = app.enqueue_in(60, Hooked, "stop")
    assert isinstance(answer, Vetoed)
    assert answer.by == "Hooked.before_schedule_a"
    assert Hooked.called == ["before_schedule_a", "before_schedule_b"]
    assert app.delayed.count() == 0


def test_what_is_over_goes_through_both_kinds_of_methods(app: taskq.TaskQ) -> None:
    app.enqueue_in(0, Hooked)
    assert Hooked.called == ["before_schedule_a", "before_schedule_b", "before_enqueue_x", "after_schedule_x"]
    assert waiting(app, "hooked") == ['{"class":"Hooked","args":[]}']


def test_inline_performs_at_once_whatever_the_time() -> None:
    performed: list[str] = []
    registry = Registry()

    @job(registry=registry)
    def note(what: str) -> None:
        performed.append(what)

    with taskq.TaskQ(broker="redis://localhost:1", inline=True, registry=registry) as app:
        answer = app.enqueue_in(60, note, "a")
        app.enqueue_many([app.options(at=datetime(2999, 1, 1, tzinfo=UTC)).call(note, "b")])
    assert performed == ["a", "b"]
    assert isinstance(answer, Accepted)
    assert answer.at is None


# ---- looking


@pytest.fixture
def full(app: taskq.TaskQ) -> taskq.TaskQ:
    for number in range(5):
        app.enqueue_in(10 + number // 2, Report, number)  # two for 10, two for 11, one for 12
    return app


def days(jobs: Any) -> list[object]:
    return [each.payload.args[0] for each in jobs]


def test_pages_follow_one_another(full: taskq.TaskQ) -> None:
    first = full.delayed.list(3)
    assert days(first.jobs) == [0, 1, 2]
    assert first.next == Cursor(NOW + 11, 1)
    second = full.delayed.list(3, cursor=first.next)
    assert (days(second.jobs), second.next) == ([3, 4], None)
    assert full.delayed.list(1, cursor=Cursor(NOW + 10)).next == Cursor(NOW + 10, 1)
    assert full.delayed.list(1, cursor=Cursor(NOW + 10, 1)).next == Cursor(NOW + 10, 2)
    assert days(full.delayed.list(1, cursor=Cursor(NOW + 10, 2)).jobs) == [2]


def test_times_and_counts(full: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    assert full.delayed.times() == [DelayedTime(NOW + 10, 2), DelayedTime(NOW + 11, 2), DelayedTime(NOW + 12, 1)]
    assert full.delayed.times(1, since=datetime.fromtimestamp(NOW + 11, UTC)) == [DelayedTime(NOW + 11, 2)]
    monkeypatch.setattr("taskq.delayed_jobs._PAGE", 2)
    assert (full.delayed.time_count(), full.delayed.count()) == (3, 5)
    assert days(full.delayed.each()) == [0, 1, 2, 3, 4]
    assert days(full.delayed.at(NOW + 11)) == [2, 3]
    assert days(full.delayed.at(NOW + 11, 1, skip=1)) == [3]
    assert full.delayed.at(NOW + 13) == []


def test_each_and_times_of_find_a_job_by_its_old_names_too(app: taskq.TaskQ) -> None:
    app.enqueue_in(1, send, "a")
    app.broker.schedule(NOW + 2, "emails", [b'{"class":"mail","args":["a"]}', b"rubbish"])
    app.options(queue="vip").enqueue_in(3, send, "a")
    app.enqueue_in(4, Report, 1)
    assert [each.at - NOW for each in app.delayed.each(send)] == [1, 2, 3]
    assert [each.at - NOW for each in app.delayed.each(send, queue="vip")] == [3]
    assert app.delayed.times_of(send.call("a")) == [NOW + 1, NOW + 2]
    assert app.delayed.times_of(send.options(queue="vip").call("a")) == [NOW + 3]
    assert app.delayed.times_of(send.call("b")) == []


def test_secrets_and_rubbish_are_shown_as_everywhere(app: taskq.TaskQ) -> None:
    app.enqueue_in(1, send, "a", "private")
    app.broker.schedule(NOW + 2, "emails", [b"rubbish"])
    secret, rubbish = app.delayed.list().jobs
    assert (secret.shown, secret.problem) == (("a", "[secret]"), "")
    assert rubbish.payload is None
    assert rubbish.problem


# ---- removing


def test_one_is_removed_as_it_was_listed(app: taskq.TaskQ) -> None:
    for _ in range(2):
        app.enqueue_in(1, Report, 1)
    [one, _] = app.delayed.list().jobs
    assert [app.delayed.remove(one) for _ in range(3)] == [1, 1, 0]


def test_all_of_one_call_are_removed(app: taskq.TaskQ) -> None:
    for at in (1, 1, 2):
        app.enqueue_in(at, send, "a")
    app.options(queue="vip").enqueue_in(1, send, "a")
    app.enqueue_in(1, send, "b")
    assert app.delayed.remove(send.call("a")) == 3
    assert [(queue, body) for _, queue, body in delayed(app)] == [
        ("vip", '{"class":"send","args":["a"]}'),
        ("emails", '{"class":"send","args":["b"]}'),
    ]


FURTHER = (
    b'{"class":"send","args":["a"],"taskq:attempts":2}',  # a retry
    b'{"class":"mail","args":["a"],"taskq:id":"x"}',
    b'{ "taskq:postponed": 1, "args": ["a"], "class": "send" }',  # as others may write it
)
OTHERS = (
    b'{"class":"send","args":["b"],"taskq:attempts":2}',
    b'{"class":"send","args":["a"],"args":["b"]}',
    b'{"args":["a"],"class":"other"}',
    b"rubbish",
)


def test_a_call_is_found_whatever_further_keys_its_job_has(app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskq.delayed_jobs._PAGE", 2)
    app.broker.schedule(NOW + 60, "emails", [*OTHERS, *FURTHER])
    app.broker.schedule(NOW + 90, "vip", FURTHER)
    call = app.call(send, "a")
    assert app.delayed.times_of(call) == [NOW + 60]
    assert app.delayed.enqueue_now(call) == 3
    assert app.broker.peek("emails", 0, 9) == list(FURTHER)
    app.broker.push("emails", OTHERS)
    assert app.dequeue(send, "a") == 3
    assert app.broker.peek("emails", 0, 9) == list(OTHERS)
    assert app.delayed.remove(app.options(queue="vip").call(send, "a")) == 3
    assert [each.body for each in app.delayed.each()] == list(OTHERS)
    app.broker.schedule(NOW + 60, "emails", FURTHER[:1])
    app.broker.push("emails", FURTHER[1:])
    assert [app.cancel(call) for _ in range(4)] == ["removed"] * 3 + ["gone"]
    assert app.cancel(Accepted("send", "emails", b'{"class":"send","args":["b"]}')) == "removed"
    assert [each.body for each in app.delayed.each()] == list(OTHERS)


def test_the_very_bytes_are_taken_first_and_where_a_job_has_options_all_of_its_call() -> None:
    registry = Registry()
    job(queue="q", name="plain", registry=registry)(lambda number: None)
    job(queue="q", name="keeps", noted=True, registry=registry)(lambda number: None)
    with taskq.TaskQ(broker=MemoryBroker(clock=lambda: NOW), registry=registry) as app:
        for name, taken in (("plain", 1), ("keeps", 2)):
            bodies = [b'{"class":"%b","args":[7]%b}' % (name.encode(), more) for more in (b"", b',"taskq:attempts":1')]
            app.broker.push("q", bodies)
            app.broker.schedule(NOW + 60, "q", bodies)
            assert (app.dequeue(name, 7), app.delayed.remove(app.call(name, 7))) == (taken, taken)


def test_all_of_a_job_are_removed_page_by_page(app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskq.delayed_jobs._PAGE", 2)
    for number in range(9):
        for at in (number // 5, 5 + number // 5):
            app.enqueue_in(at, "Report" if number % 2 else "send", number)
    app.options(queue="vip").enqueue_in(5, Report, 1)
    assert app.delayed.remove_all(Report, queue="vip") == 1
    there = app.delayed.count()
    removed = app.delayed.remove_all("Report")
    assert removed + app.delayed.count() == there
    assert {each.payload and each.payload.job for each in app.delayed.each()} == {"send"}
    assert app.delayed.remove_all("Unknown::Elsewhere") == 0
    assert app.delayed.clear() == there - removed
    assert app.delayed.count() == 0


def test_many_are_counted_removed_and_enqueued_a_page_at_a_time_and_told_until_somebody_says_to_stop(
    app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq.delayed_jobs._PAGE", 2)
    for number in range(9):
        app.enqueue_in(1 + number // 4, "Report" if number % 3 == 0 else "send", number)
    app.broker.schedule(NOW + 1, "", [b'{"class":"Elsewhere","args":[]}'])
    told: list[DelayedTally] = []

    def soon() -> bool:
        return told[-1].searched >= 4 if told else False

    reports = DelayedFilter(job=Report)
    assert app.delayed.count_matching(reports) == DelayedTally(searched=10, matched=3)
    stopped = app.delayed.remove_matching(reports, tell=told.append, stop=soon)
    assert stopped == DelayedTally(total=10, searched=4, matched=2, done=2, stopped=True)
    told.clear()
    assert app.delayed.remove_matching(DelayedFilter(job="send", args=[2])).done == 1
    assert app.delayed.remove_matching(DelayedFilter(queue="low", at=NOW + 1)).done == 0
    tally = app.delayed.enqueue_matching(DelayedFilter(at=NOW + 1), tell=told.append)
    assert (tally.total, tally.searched, tally.done, tally.refused) == (2, 2, 1, 1)
    assert "says no queue" in tally.why
    assert [each.at - NOW for each in app.delayed.each()] == [1, *[2] * 4, 3]
    assert [app.delayed.clear_some(4) for _ in range(3)] == [4, 2, 0]


# ---- ahead of their time


def test_one_is_enqueued_now(app: taskq.TaskQ) -> None:
    app.enqueue_in(60, send, "a")
    [one] = app.delayed.list().jobs
    assert [app.delayed.enqueue_now(one) for _ in range(2)] == [1, 0]
    for at in (5, 5, 9):
        app.enqueue_in(at, send, "b")
    assert app.delayed.enqueue_now(send.call("b")) == 3
    assert app.size("emails") == 4
    assert app.delayed.count() == 0


def test_what_says_no_queue_goes_to_its_jobs_own_or_nowhere(app: taskq.TaskQ) -> None:
    app.broker.schedule(NOW + 9, "", [b'{"class":"Report","args":[1]}', b'{"class":"Elsewhere","args":[]}', b"rubbish"])
    [known, unknown, rubbish] = app.delayed.list().jobs
    for each in (unknown, rubbish):
        with pytest.raises(InvalidPayload, match="says no queue"):
            app.delayed.enqueue_now(each)
    assert app.delayed.enqueue_now(known) == 1
    app.broker.schedule(NOW + 9, "emails", [b'{"class":"send","args":["a"]}'])
    assert app.delayed.enqueue_all_at(NOW + 9) == 1
    assert (app.size("low"), app.size("emails"), app.delayed.count()) == (1, 1, 2)


def test_all_of_a_time_are_enqueued_now(full: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskq.delayed_jobs._PAGE", 1)
    assert full.delayed.enqueue_all_at(datetime.fromtimestamp(NOW + 11, UTC)) == 2
    assert waiting(full, "low") == ['{"class":"Report","args":[2]}', '{"class":"Report","args":[3]}']
    assert full.delayed.count() == 3


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda delayed: delayed.at("2030"), "'2030' is of type str, and neither a datetime nor unix seconds."),
        (lambda delayed: delayed.times(since=True), "True is of type bool, and neither"),
        (lambda delayed: delayed.enqueue_all_at(datetime(2030, 1, 1)), "has no time zone"),  # noqa: DTZ001
        (lambda delayed: delayed.remove("x"), "remove takes a delayed job as it was listed, or a call"),
        (lambda delayed: delayed.times_of("x"), "times_of takes a call"),
        (lambda delayed: delayed.remove_all(5), "Give the job itself."),
        (lambda delayed: taskq.dequeue("Foo"), r"""options\(queue=...\).dequeue\("Foo"\). Nothing was removed."""),
        (lambda delayed: taskq.dequeue(cast("Any", 5)), "Nothing was removed."),
    ],
)
def test_what_it_cannot_be_asked_is_said_in_its_own_words(asked: Any, says: str) -> None:
    with taskq.using("memory://"), pytest.raises(taskq.EnqueueError, match=says) as refused:
        asked(taskq.delayed)
    assert "Nothing was enqueued" not in str(refused.value)
