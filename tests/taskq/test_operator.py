"""What operators see and do, through the application alone."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import pytest

import taskq
from taskq import failed_entry
from taskq.broker import Requeued
from taskq.errors import InvalidPayload, WrongCall
from taskq.failed_entry import FailedJob
from taskq.failed_filter import FailureFilter, folded
from taskq.failed_ids import Missing
from taskq.failed_search import Bounds
from taskq.failure_handler import Failure
from taskq.history import Flow, History, Sample, Sampler, take
from taskq.masks import Masks
from taskq.operator import queues
from taskq.records import ErrorRecord, ProcessIdentity, Registration, Reservation, Tokens
from taskq.registry import Registry
from taskq.testing import stores
from taskq.worker.takings import Takings

ALL = Bounds(10**6, 60.0)


@pytest.fixture
def app() -> Iterator[taskq.TaskQ]:
    with taskq.TaskQ(broker="memory://", mask=["iban", "!cookie"], registry=Registry()) as app:
        yield app


def fail(app: taskq.TaskQ, body: bytes, error: str = "no", at: float = 1.7e9, queue: str | None = None) -> None:
    cause = ErrorRecord("shop.Boom", error)
    entry = failed_entry.encode(Failure(None, body, "emails", "host:1:*", cause, at, at))
    app.broker.add_failure(entry, queue=queue)


def many(app: taskq.TaskQ, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        fail(app, b'{"class":"Job","args":[%d]}' % number, f"row {number} is gone", 1.7e9 + number * 60)


def numbers(jobs: object) -> list[object]:
    return [each.payload.args[0] for each in jobs]  # type: ignore[attr-defined]


# ---- masks


@pytest.mark.parametrize(
    "key",
    [
        "pass",
        "passcode",
        "auth",
        "bearer",
        "jwt",
        "user_ssn",
        "password",
        "apiKey",
        "X-Api-Key",
        "user_password",
        "accesstoken",
        "Tokens",
        "IBAN",
    ],
)
def test_a_name_is_found_however_it_is_spelled(key: str) -> None:
    assert Masks(["iban"]).rule(key)


@pytest.mark.parametrize("key", ["secretary", "tokenizer", "author", "compass", "passenger", "cookie", "hotp", ""])
def test_other_names_are_shown(key: str) -> None:
    assert not Masks(["!cookie"]).rule(key)


def test_what_is_hidden_is_hidden_at_any_depth_in_all_that_is_shown(app: taskq.TaskQ) -> None:
    @taskq.job(registry=app.registry, secret=("pin",))
    def log_in(user: str, pin: int, password: str = "", *, options: object = None) -> None: ...

    args = b'["ada",1234,"hunter2",{"taskq:kw":{"options":[{"deep":{"auth_token":"t0ken"}}]}}]'
    fail(app, b'{"class":"log_in","args":%s}' % args, "ada:hunter2 with t0ken and 1234")
    [failed] = app.failures.page().jobs
    assert failed.body is not None
    shown = app.showing.failed(failed)
    texts = [repr(app.read(failed.body).shown), repr(shown), app.showing.line(failed.body)]
    texts += [app.showing.pretty(failed.body), app.showing.value(failed.entry), app.failures.groups().groups[0].message]
    for text in texts:
        assert not any(secret in text for secret in ("hunter2", "t0ken", "1234")), text
        assert "ada" in text


@pytest.mark.parametrize(
    "quoted", [repr, ascii, lambda secret: repr(secret.encode()), quote, lambda secret: quote(secret, safe="")]
)
def test_what_is_hidden_is_hidden_however_an_error_quotes_it(app: taskq.TaskQ, quoted: Callable[[str], str]) -> None:
    secret = """it's "q"/é zz"""
    fail(app, json.dumps({"class": "Job", "args": [{"password": secret}]}).encode(), f"wrong: {quoted(secret)}")
    shown = app.showing.failed(app.failures.page().jobs[0]).error
    assert "zz" not in shown
    assert shown.startswith("wrong: ")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"class":"Job","args":[{"password":"leakme"},NaN]}', '{"class":"Job","args":[{"password":"*"},NaN]}'),
        ('{"a":[{"password":"leakme"', '{"a":[{"password":"*"'),
        ('{"token" : ["leakme", {"x": "leakme"}], "b":1', '{"token" : "*", "b":1'),
        ('{"api_key":["leakme"', '{"api_key":"*"'),
        ("{'pwd': 12345, 'user': 'ada'}", "{'pwd': '*', 'user': 'ada'}"),
        ('{"token"=>"leakme", :a=>1}', '{"token"=>"*", :a=>1}'),
        ('"{\\"secret\\":\\"leak\\\\\\"me\\",\\"b\\":1', '"{\\"secret\\":\\"*\\",\\"b\\":1'),
        ('{"password":null,"user":"ada"', '{"password":null,"user":"ada"'),
        ("{'password': b'leakme', 'a': 1}", "{'password': '*', 'a': 1}"),
        ("{'password': ('leakme', 'leakme'), 'a': 1}", "{'password': '*', 'a': 1}"),
        ("{'token': Token('leakme', 1), 'pwd': <Secret 'leakme'>}", "{'token': '*', 'pwd': '*'}"),
        (r'{"\u0070assword":"leakme","a":1}', r'{"\u0070assword":"*","a":1}'),
        (r'"{\"cl\\u00e9\":\"leakme\"}"', r'"{\"cl\\u00e9\":\"*\"}"'),
        ("""{:password=>"leakme", :token=>nil, :pwd=>:leakme}""", "{:password=>*, :token=>nil, :pwd=>*}"),
        ("""{user: "ada", password: "leakme", token: ["leakme"]}""", '{user: "ada", password: *, token: *}'),
        ("host=db password=leak,me dbname=x", "host=db password=* dbname=x"),
        ("Server=x;Password=leak&me;Database=y", "Server=x;Password=*;Database=y"),
        ("Config(token='leakme', user='ada', pwd=leakme)", "Config(token=*, user='ada', pwd=*)"),
        (r"""{"run":"./x --token=\"leakme\" -v"}""", r"""{"run":"./x --token=* -v"}"""),
        ("GET / Authorization: Bearer leakme, X: 1", "GET / Authorization: *, X: 1"),
        ("a=1&token=leakme&b=2", "a=1&token=*&b=2"),
        ("invalid token: expired; password == None", "invalid token: expired; password == None"),
        ("see https://x.example/a?page=1&token=leakme#b", "see https://x.example/a?page=1&token=*#b"),
    ],
)
def test_a_secret_in_what_is_no_json_is_hidden(text: str, seen: str) -> None:
    assert Masks(["clé"]).text(text, lambda rule, value: "*") == seen


def test_bytes_that_an_entry_keeps_are_shown_as_text_without_secrets(app: taskq.TaskQ) -> None:
    fail(app, b'{"class":"Job","args":[{"password":"leakme"},NaN]}', "")
    [failed] = app.failures.page().jobs
    shown = app.showing.value(failed.entry)
    assert "leakme" not in shown
    assert b64encode(b'{"class":"Job","args":[{"password":"leak')[:40].decode() not in shown
    assert "[secret: password]" in shown


def test_a_search_does_not_find_what_is_hidden(app: taskq.TaskQ) -> None:
    fail(app, b'{"class":"Job","args":[{"password":"hunter2"}]}', "no hunter2 here")
    for text, there in (("hunter", 0), ("hunter2", 0), ("NO [secret", 1), (" here", 1), ("password", 1)):
        assert len(app.failures.page(FailureFilter(text=text)).jobs) == there, text


def test_a_name_that_has_a_payload_in_it_is_shown_without_secrets(app: taskq.TaskQ) -> None:
    name = 'resque:timestamps:{"class":"Job","args":[{"password":"hunter2"}]}'
    assert app.showing.name(name) == name.replace("hunter2", "[secret: password]")
    assert app.showing.name("resque:queue:emails") == "resque:queue:emails"


def test_one_far_from_its_place_is_found_or_said_to_be_elsewhere(
    app: taskq.TaskQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskq.failed_ids._BEFORE", 5)
    monkeypatch.setattr("taskq.failed_ids._BACK", 3)
    for number in range(20):
        app.broker.add_failure(b'{"n":%d}' % number)
    place, mark = app.failures.id_of(app.failures.list()[5]).split("-")
    assert place == "14"
    assert isinstance(app.failures.find(f"25-{mark}"), FailedJob)
    far = app.failures.find(f"500-{mark}")
    assert isinstance(far, Missing)
    assert "not found near its place" in far.why
    gone = app.failures.find("9-ffffffffffff")
    assert isinstance(gone, Missing)
    assert "somebody removed it" in gone.why


def test_edit_keeps_what_is_hidden_and_checks_the_call(app: taskq.TaskQ) -> None:
    @taskq.job(registry=app.registry)
    def log_in(user: str, password: str) -> None: ...

    fail(app, b'{"class":"log_in","args":["ada","hunter2"],"id":7}')
    [failed] = app.failures.page().jobs
    text = app.failures.editable(failed).text
    assert "hunter2" not in text
    with pytest.raises(WrongCall):
        app.failures.requeue_edited(failed, '["ada"]')
    with pytest.raises(InvalidPayload, match="stands for no argument"):
        app.failures.requeue_edited(failed, text.replace("secret 1", "secret 2"))
    assert app.failures.requeue_edited(failed, text.replace("ada", "bob")) is Requeued.DONE
    assert list(app.broker.peek("emails", 0, 9)) == [b'{"class":"log_in","args":["bob","hunter2"],"id":7}']


WITHIN: Final = {"user": "ada", "password": 'h"u\u00e4\\nter2', "deep": {"token": [1, {"x": "leakme"}]}, "pin": 5}


@pytest.mark.parametrize(
    "stored",
    [
        json.dumps(WITHIN),
        json.dumps({"s": json.dumps({"s": json.dumps(WITHIN, ensure_ascii=False)})}, indent=1),
        json.dumps(WITHIN)[:-30],
        repr(WITHIN),
        '{"password":null,"otp" : 123456, "user":"ada"}',
        "see https://ada:leakme@x.example/?token=leakme and 'auth': 'leakme'",
        repr({"user": "ada", "password": b"leakme", "auth": ("leakme", 1)}),
        """{:password=>"leakme", user: "ada", token: "leakme"} --pwd=leakme a=1&otp=123456""",
    ],
)
def test_what_is_hidden_within_a_text_is_hidden_everywhere_and_an_edit_keeps_it_byte_for_byte(
    app: taskq.TaskQ, stored: str
) -> None:
    body = json.dumps({"class": "Job", "args": [{"s": stored}, 7]}, separators=(",", ":"), ensure_ascii=False).encode()
    fail(app, body, f"wrong: {stored}")
    [failed] = app.failures.page().jobs
    seen = app.showing.failed(failed)
    text = app.failures.editable(failed).text
    pieces = (seen.payload, seen.error, *map(str, seen.args), text, app.showing.value(failed.entry))
    for secret in ("nter2", "leakme", "123456"):
        assert not [piece for piece in pieces if secret in piece]
    assert "ada" in text
    assert app.failures.requeue_edited(failed, text.replace("7", "8")) is Requeued.DONE
    assert list(app.broker.peek("emails", 0, 9)) == [body.replace(b"7]", b"8]")]


@pytest.mark.parametrize(
    ("edited", "args"),
    [
        ('["[secret 1: password]"]', ["leakme"]),
        ('["as [secret 1: password]"]', ["as leakme"]),
        (r'["{\"p\":\"[secret 1: password]\"}"]', ['{"p":"leakme"}']),
        ('[{"[secret 2: otp]": "[secret 2: otp]"}]', None),
        ('["[secret 2: otp]", "[secret 3: token]"]', [42, "other"]),
        (r'["{\"p\":\"[secret 3: token]\"}"]', ['{"p":"other"}']),
        ('["[secret: password]"]', None),
        ('["{[secret]}"]', None),
    ],
)
def test_a_placeholder_stands_for_its_value_wherever_it_is_put(
    app: taskq.TaskQ, edited: str, args: list[object] | None
) -> None:
    fail(app, json.dumps({"class": "Job", "args": ['{"password":"leakme","otp":42}', {"token": "other"}]}).encode())
    [failed] = app.failures.page().jobs
    if args is None:
        with pytest.raises(InvalidPayload, match="stands for no argument"):
            app.failures.requeue_edited(failed, edited)
        return
    assert app.failures.requeue_edited(failed, edited) is Requeued.DONE
    [body] = app.broker.peek("emails", 0, 9)
    assert json.loads(body)["args"] == args


@pytest.mark.parametrize(
    "text",
    [
        "\\" * 200_000 + ":",
        '{"password":[' + "\\" * 200_000,
        '"password":' * 20_000,
        '"a" ' * 50_000 + ":",
        "a-" * 1_000_000 + "=",
        "password=(" * 20_000,
    ],
)
def test_no_text_takes_long_to_look_through(text: str) -> None:
    ends = time.process_time() + 5  # of what goes through it again and again it takes minutes
    Masks().shown([text])
    assert time.process_time() < ends


# ---- pages, filters, groups


def test_pages_go_on_by_content_while_others_remove_and_jobs_fail(app: taskq.TaskQ) -> None:
    many(app, 10)
    first = app.failures.page(count=3)
    assert (numbers(first.jobs), first.left, first.newer) == ([9, 8, 7], 7, "")
    for failed in app.failures.list(newest_first=False)[:2]:
        app.failures.remove(failed)
    many(app, 2, 10)
    app.failures.requeue(app.failures.page(cursor="", count=5).jobs[4])  # the one at which the page ended
    second = app.failures.page(cursor=first.older, count=3)
    assert numbers(second.jobs) == [6, 5, 4]
    last = app.failures.page(cursor=second.older, count=3)
    assert (numbers(last.jobs), last.older, last.left) == ([3, 2], "", 0)
    assert numbers(app.failures.page(cursor=second.newer, count=3).jobs) == [9, 8, 7]
    with pytest.raises(ValueError, match="no cursor"):
        app.failures.page(cursor="x")


def test_pages_go_on_from_list_to_list(app: taskq.TaskQ) -> None:
    many(app, 2)
    for number in (2, 3):
        fail(app, b'{"class":"Job","args":[%d]}' % number, queue="a@b/c")
    page = app.failures.page(count=3)
    assert numbers(page.jobs) == [1, 0, 3]
    assert numbers(app.failures.page(cursor=page.older).jobs) == [2]
    assert numbers(app.failures.page(FailureFilter(place="a@b/c")).jobs) == [3, 2]
    assert numbers(app.failures.page(FailureFilter(place="")).jobs) == [1, 0]


def test_a_search_is_bounded_and_goes_on(app: taskq.TaskQ) -> None:
    many(app, 30)
    wanted = FailureFilter(text="ROW 3 ")
    page = app.failures.page(wanted, bounds=Bounds(10, 60.0))
    assert (page.jobs, page.searched, page.left) == ((), 10, 20)
    page = app.failures.page(wanted, page.older, bounds=ALL)
    assert (numbers(page.jobs), page.searched, page.older) == ([3], 20, "")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (FailureFilter(job="Job", queue="emails", exception="Boom"), 5),
        (FailureFilter(exception="Bo"), 0),
        (FailureFilter(since=1.7e9 + 120), 3),
        (FailureFilter(until=1.7e9 + 120), 2),
        (FailureFilter(retried=True), 1),
        (FailureFilter(retried=False), 4),
    ],
)
def test_filters(app: taskq.TaskQ, wanted: FailureFilter, found: int) -> None:
    many(app, 5)
    app.failures.requeue(app.failures.list()[0])
    assert len(app.failures.page(wanted, bounds=ALL).jobs) == found
    assert app.failures.count_matching(wanted).matched == found
    assert FailureFilter.of(wanted.words(), now=0.0) == wanted


def test_a_moment_is_found_by_few_looks(app: taskq.TaskQ) -> None:
    many(app, 100)
    assert numbers(app.failures.page(cursor=app.failures.cursor_at(1.7e9 + 50 * 60), count=2).jobs) == [49, 48]


def test_groups_merge_slice_by_slice(app: taskq.TaskQ) -> None:
    many(app, 30)
    fail(app, b'{"class":"Other","args":[]}')
    fail(app, b"rubbish")
    found = app.failures.groups(bounds=Bounds(7, 60.0))
    assert found.older
    while found.older:
        found = app.failures.groups(cursor=found.older, bounds=Bounds(7, 60.0), into=found)
    assert found.searched == 32
    group = found.groups[0]
    assert (group.count, group.job, group.message, group.first) == (30, "Job", "row <n> is gone", 1.7e9)
    assert app.failures.count_matching(FailureFilter(group=group.key)).matched == 30


def test_messages_are_folded() -> None:
    one = "user 'ada' (id 3f2a91bc7d, a@b.org) at 10.0.0.1:80 took 0x7f00: 12.5 s"
    other = "user 'bob' (id 99ffaa1100, c@d.net) at 10.9.0.7:81 took 0x1a: 3 s"
    assert folded(one) == folded(other)
    assert folded("no user3") == folded("no user39") == folded("no user391")
    assert folded("can't open it, it won't") == "can't open it, it won't"


# ---- acting on all that match


def test_acts_on_all_that_match_say_how_far_they_are_and_stop(app: taskq.TaskQ) -> None:
    many(app, 500)
    fail(app, b"rubbish")
    told: list[int] = []
    tally = app.failures.requeue_matching(FailureFilter(), tell=lambda so_far: told.append(so_far.done))
    assert (tally.done, tally.refused, tally.total) == (500, 1, 501)
    assert told == sorted(told)
    assert len(told) > 1
    assert app.failures.requeue_matching(FailureFilter()).already == 500
    stopped = app.failures.remove_matching(FailureFilter(retried=True), stop=lambda: app.failures.count() < 501)
    assert stopped.stopped
    assert 0 < stopped.done < 500
    app.failures.remove_matching(FailureFilter(retried=True))
    assert app.failures.count() == 1


def test_a_span_of_time_is_walked_from_its_oldest_end_and_no_further(app: taskq.TaskQ) -> None:
    many(app, 2000)
    wanted = FailureFilter(since=1.7e9 + 700 * 60, until=1.7e9 + 710 * 60)
    found, cursor, searched = [], app.failures.oldest(wanted), 0
    while cursor:
        page = app.failures.page(wanted, cursor, 4, bounds=ALL)
        found += numbers(page.jobs[::-1])
        searched += page.searched
        cursor = page.newer
    assert found == [*range(700, 710)]
    assert searched < 700  # an hour before it, one after it, and five hundred more
    assert app.failures.requeue_matching(wanted).done == 10


def test_what_is_removed_page_by_page_leaves_none_out_and_takes_none_that_came_later(app: taskq.TaskQ) -> None:
    for _ in range(90):
        fail(app, b'{"class":"Same","args":[]}')
        fail(app, b'{"class":"Same","args":[]}', queue="emails")
    wanted, top, cursor, done = FailureFilter(job="Same"), app.failures.top(), "", 0
    while done < 180:
        page = app.failures.page(wanted, cursor, 40, bounds=ALL, top=top, removing=True)
        done += app.failures.remove_each(page.jobs).done
        for place in (None, "emails"):
            fail(app, b'{"class":"Same","args":["late"]}', queue=place)
        if done == 80:  # somebody else removes one that was not reached yet
            done += app.failures.remove_each(app.failures.list(newest_first=False, count=1)).done
        cursor = page.older
    assert not cursor
    assert {job.payload.args for job in app.failures.each() if job.payload} == {("late",)}


def test_what_was_removed_is_put_back(app: taskq.TaskQ) -> None:
    many(app, 1)
    [failed] = app.failures.list()
    app.failures.remove(failed)
    app.failures.restore(failed)
    assert app.failures.list()[0].entry == failed.entry


# ---- workers, queues, history


def register(app: taskq.TaskQ, worker: str, pid: int) -> Tokens:
    tokens = Tokens()
    from taskq.identity import this_process

    here = this_process()
    process = ProcessIdentity("real", here.boot, here.namespace, pid, "1")
    assert app.broker.register(Registration(worker, process, 25.0, 5.0, tokens.process))
    return tokens


def test_a_dead_worker_is_pruned_and_what_becomes_of_its_job_is_said_first(app: taskq.TaskQ) -> None:
    tokens = register(app, "a:1:*", 2**22 + 7)
    app.broker.push("emails", [b'{"class":"Job","args":[1]}'])
    app.broker.reserve("a:1:*", ["emails"], tokens.next())
    [worker] = app.operator.workers()
    assert (worker.state, worker.sure, worker.host) == ("dead", True, "real")
    assert "failed list" in worker.becomes
    assert app.operator.prune(worker).became == "failed"
    assert not app.operator.prune(worker).done
    assert (app.failures.count(), app.operator.workers()) == (1, [])


def test_queues_say_who_serves_them_and_page_by_content(app: taskq.TaskQ) -> None:
    from taskq.identity import this_process

    assert app.broker.register(Registration("a:1:em*", this_process(), 25.0, 5.0, Tokens().process))
    register(app, "b:2:l*", 2**22 + 7)  # a dead one serves nothing
    app.broker.push("emails", [b'{"class":"Job","args":[%d],"enqueued_at":1700000000}' % n for n in range(6)])
    app.broker.push("low", [b"rubbish"])
    emails, low = app.operator.queues()
    assert (emails.served_by, low.served_by) == (("a:1:em*",), ())
    assert emails.oldest is not None
    assert [finding.check for finding in app.operator.warnings() if "low" in finding.said] == ["queues"]
    first = app.operator.queue_page("emails", count=2)
    app.broker.remove("emails", first.jobs[0].job.body)
    second = app.operator.queue_page("emails", first.next, 2)
    assert [each.job.shown for each in second.jobs] == [(2,), (3,)]
    assert app.operator.remove_job("emails", second.jobs[0].id) == 1
    assert app.operator.remove_job("emails", second.jobs[0].id) == 0


def test_samples_are_taken_when_due_and_make_rates(app: taskq.TaskQ) -> None:
    clock = [100.0]
    sampler = Sampler(app.broker, lambda: clock[0])
    assert sampler.sample()
    assert not sampler.sample()
    assert not Sampler(app.broker).sample()
    assert len(app.operator.history("hours").samples) == len(app.operator.history("days").samples) == 1
    one = Sample(0.0, 10, 1, 5, 0, 1, 0)
    other = Sample(60.0, 30, 3, 8, 0, 1, 0)
    [rate] = History((one, other), 60.0).rates()
    assert (rate.done, rate.failed, rate.enqueued) == (18, 2, 23)
    app.broker.add_sample("hours", b"rubbish", keep=9)
    assert len(app.operator.history("hours").samples) == 1


def test_what_came_into_a_queue_and_left_it_in_a_minute() -> None:
    def sample(at: float, size: int, taken: int | None, others: int = 0) -> Sample:
        sizes = {"q": size} | {f"other-{number}": 9 for number in range(others)}
        counts = None if taken is None else {"q": taken}
        return Sample(at, 0, 0, 0, 0, 1, 0, {queue: n for queue, n in sizes.items() if n}, counts)

    first = sample(0.0, 10, 100)
    assert History((first, sample(120.0, 16, 300)), 60.0).flow("q") == Flow(103.0, 100.0)
    assert History((first, sample(120.0, 16, 300)), 60.0).flow("never") == Flow(0.0, 0.0)
    assert History((first, sample(120.0, 2, 4)), 60.0).flow("q") == Flow(0.0, 2.0)  # its count expired meanwhile
    for unknown in ((first,), (first, sample(120.0, 16, None)), (sample(0.0, 10, None), sample(120.0, 16, 9)), ()):
        assert History(unknown, 60.0).flow("q") is None
    many = sample(120.0, 0, 300, others=30)  # of so many that its own size may not have been kept
    assert History((first, many), 60.0).flow("q") is None


@pytest.mark.parametrize("store", ["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def test_a_sample_has_what_workers_took_and_what_others_take_is_not_known(store: str) -> None:
    clock = [100.0]
    with taskq.TaskQ(broker=stores.fresh(store)) as app:
        broker, takings = app.broker, Takings(app.broker, lambda: clock[0])
        broker.push("q", [b"{}"] * 3)
        register(app, "here:1:q", 1)
        held = Reservation("here:1:q", "q", b"{}", "0123456789abcdef:0001", 0.0)
        takings.took([held])
        takings.end()  # so short a life is not told of
        assert not app.operator.history("hours").samples
        before = take(broker, counts=True)
        assert before.taken == {}
        clock[0] += 20
        takings.took([held] * 3)
        takings.took([held])
        takings.end()
        assert Sampler(broker).sample()
        [after] = app.operator.history("hours").samples
        assert after.taken == {"q": 5}
        past = History((replace(before, at=after.at - 120), after), 60.0)
        [queue] = queues.states(broker, broker.workers(), past)
        assert queue.flow == Flow(2.5, 2.5)
        [queue] = queues.states(broker, [replace(one, registration=None) for one in broker.workers()], past)
        assert queue.flow is None
        assert queue.change == 0


def test_jobs_say_what_they_take_and_do(app: taskq.TaskQ) -> None:
    @taskq.job(registry=app.registry, queue="emails", timeout=5, aliases=["old"])
    async def send(to: str, *, n: int = 3) -> None:
        """Send it."""

    [job] = app.operator.jobs()
    assert (job.name, job.aliases, job.doc, job.is_async) == ("send", ("old",), "Send it.", True)
    said = [(p.name, p.kind, p.annotation, p.default) for p in job.parameters]
    assert said == [("to", "position", "str", None), ("n", "keyword", "int", "3")]


def test_doctor_finds_what_is_wrong_and_what_is_well(app: taskq.TaskQ) -> None:
    app.broker.push("low", [b'{"class":"Nope","args":[]}'])
    found = {finding.check: finding for finding in app.operator.doctor()}
    assert found["broker"].level == "ok"
    assert found["workers"].level == found["queues"].level == "error"
    assert json.dumps([finding.advice for finding in found.values()])
