from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Self

import pytest

import taskq
from taskq.broker import Capability
from taskq.errors import (
    BrokerUnavailable,
    ConfigurationError,
    DontPerform,
    EnqueueError,
    InvalidPayload,
    NotAJob,
    PayloadTooLarge,
    UnknownOption,
    UnserializableArgument,
    WrongCall,
)
from taskq.hook import Accepted, Deferred, Enqueued, EnqueueRequest, Hook, Vetoed
from taskq.jobs import job
from taskq.parts import Parts
from taskq.records import Payload
from taskq.registry import Registry
from taskq.testing.contract.broker.holder import Holder
from taskq_memory import MemoryBroker
from tests.support.vectors import returned, vector

REGISTRY = Registry()


@job(queue="emails", aliases=["mail"], secret=["body"], registry=REGISTRY)
def send(to: str, subject: str = "Hi", body: str = "", *, copies: int = 1) -> None: ...


@job(queue="low", registry=REGISTRY)
class Report:
    @staticmethod
    def perform(day: int) -> None: ...


@pytest.fixture
def app() -> Iterator[taskq.TaskQ]:
    with taskq.TaskQ(broker="memory://", registry=REGISTRY) as app:
        yield app


def waiting(app: taskq.TaskQ, queue: str) -> list[str]:
    return [body.decode() for body in app.broker.peek(queue, 0, 100)]


# ---- enqueue


def test_enqueue_writes_resques_payload_to_the_jobs_queue(app: taskq.TaskQ) -> None:
    answer = app.enqueue(send, "a@b", subject="é")
    assert answer == Accepted("send", "emails", '{"class":"send","args":["a@b","é"]}'.encode())
    assert repr(answer) == "Accepted(job='send', queue='emails', payload=<36 bytes>)"
    assert answer
    assert waiting(app, "emails") == ['{"class":"send","args":["a@b","é"]}']


def test_enqueue_takes_a_class_and_a_registered_name(app: taskq.TaskQ) -> None:
    app.enqueue(Report, 1)
    app.enqueue("Report", day=2)
    assert waiting(app, "low") == ['{"class":"Report","args":[1]}', '{"class":"Report","args":[2]}']


def test_enqueue_by_an_alias_writes_the_name_of_now(app: taskq.TaskQ) -> None:
    app.enqueue("mail", "a")
    assert waiting(app, "emails") == ['{"class":"send","args":["a"]}']


def test_keyword_only_arguments_travel_last(app: taskq.TaskQ) -> None:
    app.enqueue(send, "a", copies=2)
    assert waiting(app, "emails") == ['{"class":"send","args":["a",{"taskq:kw":{"copies":2}}]}']


@pytest.mark.parametrize("queue", ["vip", "", "with space é", "a:b,c", "*"])
def test_enqueue_to_takes_any_queue_and_any_name(queue: str, app: taskq.TaskQ) -> None:
    app.enqueue_to(queue, send, "a")
    app.enqueue_to(queue, "Ruby::Job", 1, {"two": 3})
    assert waiting(app, queue) == ['{"class":"send","args":["a"]}', '{"class":"Ruby::Job","args":[1,{"two":3}]}']


def test_options_say_queue_and_front(app: taskq.TaskQ) -> None:
    app.enqueue(Report, 1)
    app.options(queue="low", front=True).enqueue(Report, 2)
    app.options(front=True).enqueue_to("other", "Ruby::Job")
    with taskq.using(app):
        to_vip = taskq.options(queue="vip")
        to_vip.enqueue(Report, 3)
        send.options(queue="vip", front=True).enqueue("a")
    assert waiting(app, "low") == ['{"class":"Report","args":[2]}', '{"class":"Report","args":[1]}']
    assert waiting(app, "vip") == ['{"class":"send","args":["a"]}', '{"class":"Report","args":[3]}']
    assert app.queues() == ["low", "other", "vip"]


@pytest.mark.parametrize(
    ("enqueue", "error", "message"),
    [
        (lambda app: app.enqueue(send), WrongCall, r'send\(\) misses the argument "to"\. Signature: send\(to: str'),
        (lambda app: app.enqueue(send, object()), UnserializableArgument, 'Argument "to" of send'),
        (lambda app: app.enqueue(send, "a", copies={1}), UnserializableArgument, 'Argument "copies" of send'),
        (lambda app: app.enqueue(send, "\ud800"), UnserializableArgument, 'Argument "to" of send'),
        (lambda app: app.enqueue_to("q", "X", {1}), UnserializableArgument, r'Argument "args\[0\]" of X'),
        (lambda app: app.enqueue(print, 1), NotAJob, r"The function print is not a job\. Decorate it"),
        (lambda app: app.enqueue("Ruby::Job"), NotAJob, r"No job of that name is registered here.*enqueue_to\(queue"),
        (lambda app: app.enqueue_to("q", ""), NotAJob, "Jobs must be given a class"),
        (lambda app: app.enqueue_to("q", "Ruby::Job", k=1), WrongCall, 'was given "k" by keyword'),
        (lambda app: app.enqueue_to(None, send, "a"), TypeError, "queue's name is a string, not NoneType"),
        (lambda app: app.options(pace=3).enqueue(send, "a"), UnknownOption, r"options\(...\) of send: unknown option"),
        (lambda app: app.enqueue_many([("send", "a")]), NotAJob, "enqueue_many takes calls"),
    ],
)
def test_what_cannot_be_enqueued_is_refused_and_nothing_is_there(
    enqueue: Callable[[taskq.TaskQ], object], error: type[Exception], message: str, app: taskq.TaskQ
) -> None:
    with pytest.raises(error, match=message) as caught:
        enqueue(app)
    assert caught.value.__context__ is None or caught.value.__suppress_context__, "one error, and no other before it"
    assert app.queues() == []


def test_a_payload_has_a_limit() -> None:
    with taskq.TaskQ(broker="memory://", registry=REGISTRY, max_payload=100) as app:
        app.enqueue(send, "x" * 72)
        with pytest.raises(PayloadTooLarge, match=r"The payload of send has 101 bytes; the limit is 100") as caught:
            app.enqueue(send, "x" * 73)
        assert (caught.value.size, caught.value.limit) == (101, 100)
        assert app.size("emails") == 1


# ---- hooks around it


class Deferring(Hook):
    name = "deferring"

    def __init__(self) -> None:
        self.later: list[Callable[[], Enqueued]] = []

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        self.later.append(lambda: call_next(request))
        return Deferred(request.job, by=self.name, reason="until the commit")


class Seeing(Hook):
    name = "seeing"

    def __init__(self) -> None:
        self.seen: list[EnqueueRequest] = []

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        self.seen.append(request)
        return call_next(request)


def test_a_hook_sees_the_request_and_may_add_keys() -> None:
    class Tracing(Hook):
        name = "tracing"

        def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
            return call_next(EnqueueRequest(request.job, request.args, request.queue, extra={"trace": "7"}))

    seeing = Seeing()
    with taskq.TaskQ(broker="memory://", registry=REGISTRY, hooks=[seeing, Tracing()]) as app:
        app.options(front=True).enqueue(send, "a", copies=2)
        assert seeing.seen == [EnqueueRequest("send", ("a", {"taskq:kw": {"copies": 2}}), "emails", front=True)]
        assert waiting(app, "emails") == ['{"class":"send","args":["a",{"taskq:kw":{"copies":2}}],"trace":"7"}']


def test_a_hook_may_take_a_job_over_and_enqueue_it_later() -> None:
    deferring = Deferring()
    with taskq.TaskQ(broker="memory://", registry=REGISTRY, hooks=[deferring]) as app:
        assert app.enqueue(send, "a") == Deferred("send", "deferring", "until the commit")
        assert app.enqueue_many([send.call("b")]) == [Deferred("send", "deferring", "until the commit")]
        assert app.size("emails") == 0
        assert [later() for later in deferring.later] == [
            Accepted("send", "emails", b'{"class":"send","args":["a"]}'),
            Accepted("send", "emails", b'{"class":"send","args":["b"]}'),
        ]
        assert app.size("emails") == 2


# ---- the job's own methods (vectors 03 and 31)


@job(queue="hooked", registry=REGISTRY)
class Hooked:
    calls: ClassVar[list[list[Any]]] = []

    @staticmethod
    def perform(*args: object) -> None: ...

    @classmethod
    def note(cls, name: str, args: tuple[object, ...]) -> bool:
        cls.calls.append([name, list(args)])
        return "stop" not in args and "keep" not in args

    @classmethod
    def before_enqueue(cls, *args: object) -> None:
        cls.note("before_enqueue", args)

    @classmethod
    def before_enqueue_b(cls, *args: object) -> None:
        cls.note("before_enqueue_b", args)

    @classmethod
    def before_enqueue_a(cls, *args: object) -> bool:
        return cls.note("before_enqueue_a", args)

    @classmethod
    def after_enqueue_x(cls, *args: object) -> None:
        cls.note("after_enqueue_x", args)

    @classmethod
    def before_dequeue_x(cls, *args: object) -> bool:
        return cls.note("before_dequeue_x", args)

    @classmethod
    def after_dequeue_x(cls, *args: object) -> None:
        cls.note("after_dequeue_x", args)


@job(queue="raises", registry=REGISTRY)
class Raises:
    @staticmethod
    def perform() -> None: ...

    @staticmethod
    def before_enqueue() -> None:
        raise RuntimeError("no")


@job(queue="raises_after", registry=REGISTRY)
class RaisesAfter:
    @staticmethod
    def perform() -> None: ...

    @staticmethod
    def after_enqueue() -> None:
        raise RuntimeError("after")


def pushed(number: str) -> list[list[str]]:
    return [command for command in vector(number)["commands"] if command[0] == "rpush"]


def test_the_recorded_hooks_of_a_class_are_replayed(app: taskq.TaskQ) -> None:
    recorded = [each["returned"] for each in vector("03")["returns"]]

    def called() -> list[list[Any]]:
        calls, Hooked.calls[:] = list(Hooked.calls), []
        return calls

    called()
    assert app.enqueue(Hooked, 1, "two")
    assert called() == recorded[1]
    assert app.enqueue(Hooked, "stop") == Vetoed("Hooked", "Hooked.before_enqueue_a", "it returned False")
    assert called() == recorded[3]
    assert app.enqueue_to("elsewhere", Hooked, 2)
    assert called() == recorded[5]
    app.broker.push("hooked", [b'{"class":"Hooked","args":[3]}'])  # Job.create skips hooks
    assert app.dequeue(Hooked, "keep") == 0
    assert called() == recorded[9]
    assert app.dequeue(Hooked, 1, "two") == recorded[10] == 1
    assert called() == recorded[11]
    with pytest.raises(RuntimeError, match="no"):
        app.enqueue(Raises)
    with pytest.raises(RuntimeError, match="after") as caught:
        app.enqueue(RaisesAfter)
    assert caught.value.__notes__ == ["RaisesAfter.after_enqueue raised this after RaisesAfter had been enqueued."]
    state = vector("03")["state_after"]
    assert app.queues() == state["resque:queues"]["value"]
    for queue in app.queues():
        assert waiting(app, queue) == state[f"resque:queue:{queue}"]["value"]


def test_a_veto_is_false_and_says_by_whom(app: taskq.TaskQ) -> None:
    answer = app.enqueue(Hooked, "stop")
    assert not answer
    assert isinstance(answer, Vetoed)
    assert answer.by == "Hooked.before_enqueue_a"


# ---- many at once


def test_enqueue_many_answers_in_order_with_one_push_a_queue(app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    pushes: list[tuple[str, int, bool]] = []
    push = app.broker.push

    def counted(queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        pushes.append((queue, len(bodies), front))
        push(queue, bodies, front=front)

    monkeypatch.setattr(app.broker, "push", counted)
    calls = [send.call("a"), app.call(Report, 1), send.call("b"), app.options(front=True).call("send", "c")]
    answers = app.enqueue_many(iter(calls))
    assert [(each.job, each.queue) for each in answers if isinstance(each, Accepted)] == [
        ("send", "emails"),
        ("Report", "low"),
        ("send", "emails"),
        ("send", "emails"),
    ]
    assert pushes == [("emails", 2, False), ("low", 1, False), ("emails", 1, True)]
    assert [json.loads(body)["args"] for body in waiting(app, "emails")] == [["c"], ["a"], ["b"]]


def test_enqueue_many_of_nothing_is_nothing(app: taskq.TaskQ) -> None:
    assert app.enqueue_many([]) == []


def test_enqueue_many_sends_none_where_one_cannot_be_sent(app: taskq.TaskQ) -> None:
    with pytest.raises(UnserializableArgument) as caught:
        app.enqueue_many([send.call("a"), app.call("Report", object())])
    assert app.queues() == []
    assert not hasattr(caught.value, "__notes__")


def test_enqueue_many_keeps_the_order_around_a_job_that_is_wrapped(app: taskq.TaskQ) -> None:
    calls = [
        app.options(queue="hooked").call(Report, 1),
        app.call(Hooked, "stop"),
        app.call(Hooked, 2),
        app.options(queue="hooked").call(Report, 3),
    ]
    answers = app.enqueue_many(calls)
    assert [type(answer) for answer in answers] == [Accepted, Vetoed, Accepted, Accepted]
    assert [json.loads(body)["args"] for body in waiting(app, "hooked")] == [[1], [2], [3]]


def test_enqueue_many_takes_calls_that_alternate_or_name_their_queue_anew(app: taskq.TaskQ) -> None:
    calls = [
        app.options(queue="EMAILS".lower(), front=number == 2).call(job, number)
        for number in range(4)
        for job in ("send", Report)
    ]
    answers = app.enqueue_many(calls)
    assert [(answer.job, answer.queue) for answer in answers if isinstance(answer, Accepted)] == [
        ("send", "emails"),
        ("Report", "emails"),
    ] * 4
    assert [(json.loads(body)["class"], json.loads(body)["args"]) for body in waiting(app, "emails")] == [
        (name, [number]) for number in (2, 0, 1, 3) for name in ("send", "Report")
    ]


def test_enqueue_many_says_how_far_it_came(app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch) -> None:
    push = app.broker.push

    def fail_on_low(queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        if queue == "low":
            raise BrokerUnavailable("memory", "gone", sent="unknown")
        push(queue, bodies, front=front)

    monkeypatch.setattr(app.broker, "push", fail_on_low)
    with pytest.raises(BrokerUnavailable) as caught:
        app.enqueue_many([send.call("a"), app.call(Report, 1)])
    assert caught.value.__notes__ == ["Before this, 1 of 2 calls had been enqueued."]


def test_enqueue_many_says_the_truth_where_a_hook_refuses_in_the_middle() -> None:
    class Refuses(Hook):
        name = "refuses"

        def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
            if request.args == ("vetoed",):
                return Vetoed(request.job, by=self.name, reason="no")
            if request.args == ("refused",):
                raise EnqueueError("It is there already. Nothing was enqueued.")
            return call_next(request)

    app = taskq.TaskQ(broker=MemoryBroker(), registry=taskq.Registry(), hooks=[Refuses()])
    calls = [app.options(queue="q").call("Job", word) for word in ("a", "vetoed", "refused")]
    with pytest.raises(EnqueueError, match=r"already\. This one was not enqueued") as caught:
        app.enqueue_many(calls)
    assert caught.value.__notes__ == ["Before this, 1 of 3 calls had been enqueued."]
    with pytest.raises(EnqueueError, match="Nothing was enqueued"):
        app.enqueue_many(calls[1:])


# ---- inline


class Performed:
    ran: ClassVar[list[object]] = []


@job(queue="jobs", registry=REGISTRY)
class Ok:
    @staticmethod
    def perform(*args: object) -> None:
        Performed.ran.append(["performed", list(args)])

    @staticmethod
    def before_perform(*args: object) -> None:
        if args == ("dont",):
            raise DontPerform
        Performed.ran.append(["before_perform", list(args)])

    @staticmethod
    def after_enqueue(*args: object) -> None:
        Performed.ran.append(["after_enqueue", list(args)])


@job(registry=REGISTRY)
def bad(*args: object) -> None:
    raise LookupError(f"bad {list(args)}")


def test_inline_performs_at_once_and_pushes_nothing() -> None:
    Performed.ran.clear()
    with taskq.TaskQ(broker="memory://", registry=REGISTRY, inline=True) as app:
        assert app.enqueue(Ok, {"sym": "bol"}, 1.0) == Accepted(
            "Ok", "jobs", b'{"class":"Ok","args":[{"sym":"bol"},1.0]}'
        )
        args = [{"sym": "bol"}, 1.0]
        assert Performed.ran == [["before_perform", args], ["performed", args], ["after_enqueue", args]]
        with pytest.raises(LookupError, match=r"bad \[1\]"):
            app.enqueue(bad, 1)
        assert app.enqueue(Ok, "dont")
        assert returned("31")["enqueue(Bad, 1)"]["message"] == "bad [1]"
        assert app.enqueue_many([app.call(Ok, 7)])
        assert Performed.ran[-2:] == [["performed", [7]], ["after_enqueue", [7]]]
        assert app.queues() == []


def test_inline_needs_no_broker() -> None:
    app = taskq.TaskQ(broker="nosuch://", registry=REGISTRY, inline=True)
    assert app.enqueue(Ok)


def test_inline_goes_through_the_serializer() -> None:
    app = taskq.TaskQ(registry=REGISTRY, inline=True)
    with pytest.raises(UnserializableArgument):
        app.enqueue(Ok, {1, 2})


# ---- dequeue (vector 04)


def replayed_dequeue(app: taskq.TaskQ, call: str) -> object:
    calls: dict[str, Callable[[], object]] = {
        "dequeue(Mail, 1)": lambda: app.dequeue("Mail", 1),
        "dequeue(Mail, 1) again": lambda: app.dequeue("Mail", 1),
        "dequeue(Mail, 2): only the compact one": lambda: app.dequeue("Mail", 2),
        "dequeue(Mail, {b, a}): other key order": lambda: app.dequeue("Mail", {"b": 2, "a": 1}),
        "dequeue(Mail, {a: 1, b: 2}): symbol keys encode the same": lambda: app.dequeue("Mail", {"a": 1, "b": 2}),
        "dequeue(Mail, nil)": lambda: app.dequeue("Mail", None),
        "dequeue(Mail): by class": lambda: app.dequeue("Mail"),
        "left": lambda: waiting(app, "mail"),
        "dequeue(Mail, 5): looks only on the class queue": lambda: app.dequeue("Mail", 5),
        "Job.destroy('other', 'Mail', 5)": lambda: app.options(queue="other").dequeue("Mail", 5),
        "Job.destroy('none', Mail)": lambda: app.options(queue="none").dequeue("Mail"),
        "Job.destroy('mail', Sms)": lambda: app.options(queue="mail").dequeue("Sms"),
    }
    return calls[call]()


def test_the_recorded_dequeues_are_replayed() -> None:
    registry = Registry()

    @job(name="Mail", queue="mail", registry=registry)
    def mail(*args: object) -> None: ...

    with taskq.TaskQ(broker="memory://", registry=registry) as app:
        pushes = pushed("04")
        for _, key, body in pushes[:-3]:
            app.broker.push(key.removeprefix("resque:queue:"), [body.encode()])
        for each in vector("04")["returns"]:
            if each["call"] == "dequeue(Mail): by class":
                for _, key, body in pushes[-3:-1]:
                    app.broker.push(key.removeprefix("resque:queue:"), [body.encode()])
            if each["call"].startswith("dequeue(Mail, 5)"):
                app.broker.push("other", [pushes[-1][2].encode()])
            assert replayed_dequeue(app, each["call"]) == each["returned"], each["call"]


def test_dequeue_of_a_class_goes_through_pages_and_leaves_rubbish(app: taskq.TaskQ) -> None:
    app.broker.push("low", [b"rubbish", *(b'{"class":"Report","args":[%d]}' % day for day in range(2500)), b"{}"])
    app.enqueue_to("low", send, "a")
    assert app.dequeue(Report) == 2500
    assert waiting(app, "low") == ["rubbish", "{}", '{"class":"send","args":["a"]}']


def test_dequeue_finds_what_was_enqueued_under_an_old_name(app: taskq.TaskQ) -> None:
    app.broker.push("emails", [b'{"class":"mail","args":["a"]}', b'{"class":"mail","args":["b"]}'])
    app.enqueue(send, "a")
    assert app.dequeue(send, "a") == 2
    assert app.dequeue(send) == 1


def test_dequeue_refuses_as_enqueue_does(app: taskq.TaskQ) -> None:
    with pytest.raises(WrongCall):
        app.dequeue("send", 1, 2, 3, 4)
    with pytest.raises(NotAJob):
        app.dequeue("Ruby::Job")


# ---- looking and steering


def test_peek_reads_what_can_be_read(app: taskq.TaskQ) -> None:
    app.enqueue(send, "a", "b", "the body")
    app.broker.push("emails", [b"rubbish", b'{"class":"Unknown","args":[1],"id":"x"}'])
    first, rubbish, unknown = app.peek("emails", 0, 10)
    assert (first.payload, first.shown) == (Payload("send", ("a", "b", "the body")), ("a", "b", "[secret]"))
    assert rubbish.payload is None
    assert rubbish.problem.startswith("The payload is not JSON")
    assert (unknown.payload, unknown.problem) == (Payload("Unknown", (1,), {"id": "x"}), "")
    assert [each.body for each in app.peek("emails", 1)] == [b"rubbish"]


def test_peek_hides_what_it_cannot_decode(app: taskq.TaskQ) -> None:
    app.broker.push("emails", [b'{"class":"send","args":["taskq:strange:AAAA"]}'])
    (tagged,) = app.peek("emails")
    assert '"strange"' in tagged.problem


def registered(app: taskq.TaskQ, pid: int) -> Holder:
    holder = Holder(app.broker, f"vm:{pid}:*")
    assert holder.register()
    return holder


def test_info_counts_what_is_there(app: taskq.TaskQ) -> None:
    app.enqueue(Report, 1)
    app.enqueue(Report, 2)
    app.enqueue(send, "a")
    registered(app, 1)
    registered(app, 2).take("low")
    assert app.info() == {
        "pending": 2,
        "processed": 0,
        "queues": 2,
        "workers": 2,
        "working": 1,
        "failed": 0,
        "broker": "memory (this process)",
    }
    assert [worker.id for worker in app.workers()] == ["vm:1:*", "vm:2:*"]
    assert [worker.id for worker in app.working()] == ["vm:2:*"]


def test_queues_are_sized_paused_and_removed(app: taskq.TaskQ) -> None:
    app.enqueue(Report, 1)
    app.enqueue(send, "a")
    assert app.sizes() == {"emails": 1, "low": 1}
    assert app.sizes(["low", "none"]) == {"low": 1, "none": 0}
    assert (app.size("low"), app.size("none")) == (1, 0)
    app.pause("low")
    app.pause()
    assert (app.broker.paused().all, app.broker.paused().queues) == (True, frozenset({"low"}))
    app.unpause()
    app.unpause("low")
    assert (app.broker.paused().all, app.broker.paused().queues) == (False, frozenset())
    assert app.remove_queue("low") == 1
    assert app.queues() == ["emails"]


@pytest.mark.parametrize("delayed", [False, True], ids=["remove_queue", "delayed.clear"])
def test_hooks_are_told_of_each_job_that_is_removed_beside_who_adds(delayed: bool) -> None:
    told: list[bytes] = []

    class Adds(Hook):
        def cancelled(self, queue: str, body: bytes) -> None:
            told.append(body)
            add(len(told))

    with taskq.TaskQ(broker="memory://", registry=REGISTRY, hooks=[Adds()]) as app:

        def add(day: int) -> None:
            app.options(delay=3600 - day if delayed else None).enqueue(Report, day)

        add(0)
        add(0)
        removed = app.delayed.clear() if delayed else app.remove_queue("low")
        assert removed == len(told) >= 2
        assert (app.delayed.count() if delayed else app.size("low")) == 2  # who adds as fast keeps what he added last


# ---- what the configuration names


def test_a_wrong_setting_is_said_when_the_application_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"max_payload=\.\.\.: must be a whole number"):
        taskq.TaskQ(max_payload=-1)


def test_load_says_all_that_does_not_load_at_once() -> None:
    app = taskq.TaskQ(broker="memry://", serializer="jsn", hooks=["nosuch"], failure_handlers=["brkr"])
    with pytest.raises(ConfigurationError) as caught:
        app.load()
    message = str(caught.value)
    for part in ("memory://", "Did you mean json?", 'no hook "nosuch"', 'no failure handler "brkr"'):
        assert part in message
    with pytest.raises(ConfigurationError, match='no hook "nosuch"') as first_use:
        _ = app.hooks
    assert first_use.value.problems == caught.value.problems


def test_a_wrong_serializer_is_said_once_though_it_is_read_too() -> None:
    with pytest.raises(ConfigurationError) as caught:
        taskq.TaskQ(serializer="jsn", broker="memory://").load()
    [problem] = caught.value.problems
    assert problem.source == "serializer=..."


def test_an_empty_queue_is_no_option() -> None:
    for options in (taskq.options, send.options):
        with pytest.raises(ValueError, match="a queue needs a name"):
            options(queue="")


def test_a_configuration_and_settings_are_not_given_together() -> None:
    with pytest.raises(TypeError, match="not both"):
        taskq.TaskQ(taskq.TaskQ().config, broker="memory://")


def test_close_gives_back_only_a_broker_that_it_opened() -> None:
    mine = taskq.TaskQ(broker="memory://").broker
    with taskq.TaskQ(broker=mine, registry=REGISTRY) as app:
        app.enqueue(Report, 1)
    assert mine.size("low") == 1
    mine.close()


def test_an_application_can_be_used_again_after_it_was_closed(app: taskq.TaskQ) -> None:
    app.enqueue(Report, 1)
    app.close()
    app.close()
    assert app.enqueue(Report, 2)


def test_an_invalid_job_name_is_no_payload(app: taskq.TaskQ) -> None:
    with pytest.raises(InvalidPayload, match="surrogate"):
        app.enqueue_to("q", "\ud800")


def test_the_representation_shows_no_more_than_where_it_is(app: taskq.TaskQ) -> None:
    assert repr(taskq.TaskQ(broker="redis://:hunter2@localhost")) == "<TaskQ (not connected)>"
    _ = app.broker
    assert repr(app) == "<TaskQ memory (this process)>"


class Copied(Hook):
    name = "copied"
    parts: object = None

    def bound(self, parts: Parts) -> Self:
        bound = copy.copy(self)
        bound.parts = parts
        return bound

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        return call_next(request)


def test_a_hook_is_bound_to_each_application_that_it_is_given_to() -> None:
    hook = Copied()
    apps = [taskq.TaskQ(broker="memory://", hooks=[hook]) for _ in range(2)]
    assert [app.hooks.hooks[0].parts for app in apps] == apps
    assert hook.parts is None


class Needy(Copied):
    name = "needy"
    needs = frozenset({Capability.IN_TRANSACTION})
    needs_handlers = ("patient",)


def test_load_says_what_a_plugin_needs_and_has_not() -> None:
    app = taskq.TaskQ(broker="memory://", hooks=[Needy()])
    with pytest.raises(ConfigurationError) as caught:
        app.load()
    assert [problem.message for problem in caught.value.problems] == [
        "the hook needy needs enqueueing in a transaction of the application's own, which the backend memory has not.",
        'the hook needy needs the failure handler patient: failure_handlers = ["patient", "broker"].',
    ]


def test_a_broker_in_the_place_of_a_configuration_is_told_where_it_belongs() -> None:
    with pytest.raises(TypeError, match=r"TaskQ\(broker=\.\.\.\)"):
        taskq.TaskQ("redis://localhost:6379/0")  # type: ignore[arg-type]
