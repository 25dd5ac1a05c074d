"""What producers write: payload bytes, queue names, hooks, dequeue, queries, inline (01 to 05, 31)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from taskq import Accepted, NotAJob, TaskQ, UnserializableArgument, Vetoed
from taskq.registry import Registry
from taskq_redis.testing import RedisServer
from tests.wire import jobs
from tests.wire.recorded import (
    Differs,
    assert_same,
    bytes_of,
    left,
    listed,
    load,
    members,
    recorded,
    recording,
    replays,
    string,
)
from tests.wire.workers import printed, work_off

# ---- 01: arguments


@dataclass(frozen=True)
class Shape:
    """The arguments of one recorded call. `refused` are those that have no JSON of their own: taskq refuses them, where
    Ruby writes their text, which `args` then are; None where Ruby raises too."""

    args: tuple[object, ...] | None = None
    refused: tuple[object, ...] | None = None


SHAPES = {
    "no arguments": Shape(()),
    "string": Shape(("plain",)),
    "empty string": Shape(("",)),
    "integer": Shape((1,)),
    "negative and zero": Shape((-1, 0)),
    "big integers": Shape((2**53, 2**63, 2**64, -(2**70), 10**30)),
    "floats 1.0 -0.0 0.1 100.0 1e15 1e16 1e20 1e100 1e-4 1e-5 1.5e-7 3.14159265358979": Shape(
        (1.0, -0.0, 0.1, 100.0, 1e15, 1e16, 1e20, 1e100, 1e-4, 1e-5, 1.5e-7, 3.14159265358979)
    ),
    "nil": Shape((None,)),
    "true false": Shape((True, False)),
    "empty array, empty hash": Shape(([], {})),
    "nested": Shape(([1, [2, [3, {"a": [None, {"b": {}}]}]]],)),
    "string keyed hash, order kept": Shape(({"z": 1, "a": 2},)),
    "symbol keyed hash and symbol value": Shape(({"sym": "bol", "other": ["x"]},)),
    "keyword style call f(a: 1)": Shape(({"a": 1},)),
    "integer, nil, float and true hash keys": Shape(
        ({"1": "i", "": "n", "1.5": "f", "true": "t"},), refused=({1: "i", None: "n", 1.5: "f"},)
    ),
    "latin, cjk, emoji": Shape(("é", "日本語", "😀")),
    "U+2028 U+2029 DEL NBSP BOM": Shape(("\u2028", "\u2029", "\x7f", "\xa0", "\ufeff")),
    "controls NUL to US": Shape(("".join(map(chr, range(0x20))),)),
    "quote backslash slash": Shape(('"', "\\", "/", "</script>", "<>&'")),
    "lone newline tab": Shape(("a\nb\tc\rd",)),
    "Time (utc)": Shape(("2024-01-02 03:04:05 UTC",), refused=(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),)),
    "class object, range": Shape(("Types", "1..3"), refused=(jobs.Types, range(1, 4))),
    "string in ISO-8859-1 encoding": Shape(("é",), refused=("é".encode("latin-1"),)),
    "NaN": Shape(refused=(float("nan"),)),
    "Infinity": Shape(refused=(float("inf"),)),
    "invalid UTF-8": Shape(refused=("\udcff",)),
    "binary encoded string, invalid utf8": Shape(refused=(b"\xff",)),
    "binary encoded string, valid utf8 bytes": Shape(("é",), refused=("é".encode(),)),
}


def enqueue_shapes(app: TaskQ) -> None:
    for shape in SHAPES.values():
        if shape.refused is not None:
            with pytest.raises(UnserializableArgument):
                app.enqueue(jobs.Types, *shape.refused)
        if shape.args is not None:
            app.enqueue(jobs.Types, *shape.args)


@replays("01")
def test_arguments_of_every_type_have_rubys_bytes(client: redis.Redis, app: TaskQ) -> None:
    assert list(SHAPES) == list(recording("01").returned)
    enqueue_shapes(app)
    assert_same(left(client), recorded(recording("01").after))


@replays("01b")
def test_the_oj_gem_writes_other_floats(client: redis.Redis, app: TaskQ) -> None:
    """taskq writes the bytes of the json gem, as Ruby does where `oj` is not installed (WIRE.md section 2)."""
    enqueue_shapes(app)
    oj = recording("01b").after["resque:queue:types"].data
    invalid = '{"class":"Types","args":["\udcff"]}'
    same = [body for body in oj if body != invalid]
    floats = '{"class":"Types","args":[1.0,%s,0.1,100.0,%s,1.0e+20,1.0e+100,0.0001,1.0e-05,1.5e-07,3.14159265358979]}'
    at = same.index(floats % ("0.0", "1000000000000000.0,10000000000000000.0"))
    same[at] = floats % ("-0.0", "1.0e+15,1.0e+16")
    assert oj.count(invalid) == 2
    differs = {"resque:queue:types": Differs(listed(*same), "oj's floats lose -0.0; its invalid UTF-8 is refused")}
    assert_same(left(client), recorded(recording("01b").after), differs)


@replays("01", "01b")
@pytest.mark.parametrize("number", ["01", "01b"])
def test_a_worker_performs_what_ruby_enqueued(
    redis_server: RedisServer, client: redis.Redis, app: TaskQ, number: str
) -> None:
    """Each argument arrives as the value that Ruby meant."""
    state = recording(number).after
    load(client, state)
    said = [app.read(bytes_of(body)).payload for body in state["resque:queue:types"].data]
    meant = [shape.args for shape in SHAPES.values() if shape.args is not None]
    assert [payload.args for payload in said if payload is not None] == meant
    invalid = said.count(None)  # no Ruby worker gets past these (WIRE.md section 2)
    assert invalid == {"01": 0, "01b": 2}[number]
    running = work_off(redis_server, "--inline", QUEUE="types")
    assert len([line for line in printed(running) if line.startswith("performed")]) == len(meant)
    assert app.info()["failed"] == invalid
    assert app.info()["processed"] == len(meant) + invalid


# ---- 02: queues and classes


@replays("02")
def test_queue_and_class_names_are_written_as_ruby_writes_them(client: redis.Redis, app: TaskQ) -> None:
    app.enqueue_to("other", jobs.Plain, 1)
    app.enqueue_to("sym", jobs.Plain)
    app.enqueue(jobs.ByMethod, "x")
    app.enqueue(jobs.OuterInnerJob)
    app.enqueue_to("with space é", jobs.Plain)
    app.enqueue_to("", jobs.Plain)
    with pytest.raises(TypeError, match="A queue's name is a string, not NoneType"):
        app.enqueue_to(None, jobs.Plain)  # type: ignore[call-overload]
    app.enqueue(jobs.NoQueue)
    with pytest.raises(NotAJob):
        app.enqueue_to("q", None)  # type: ignore[call-overload]
    app.enqueue_to("q", "StringClass", 1)
    with pytest.raises(NotAJob, match="enqueue_to"):
        app.enqueue("StringClass", 1)
    app.enqueue_to("q", "Missing::Class", 1, 2)
    app.broker.push("raw", [b'{"class":"C","args":[1],"extra":true}', b'"just a string"'])
    extra, text = app.peek("raw", 0, 2)
    assert extra.payload is not None
    assert (extra.payload.job, extra.payload.args, extra.payload.extra) == ("C", (1,), {"extra": True})
    assert text.payload is None
    client.delete("resque:queue:raw", "resque:queue:other")  # Ruby's `pop` and `reserve`, which taskq has for workers
    queues = recording("02").after["resque:queues"].data
    assert_same(
        left(client),
        recorded(recording("02").after),
        {
            "resque:queue:": Differs(listed('{"class":"Plain","args":[]}'), "the queue nil is refused"),
            "resque:queue:default": Differs(
                listed('{"class":"NoQueue","args":[]}'), "a job that says no queue has the queue `default`"
            ),
            "resque:queues": Differs(members(*queues, "default"), "as before"),
        },
    )


@replays("02")
def test_without_a_queue_or_a_class_rubys_reason_is_said(app: TaskQ) -> None:
    assert recording("02").returned["enqueue_to('q', nil)"]["message"] == "Jobs must be given a class."
    with pytest.raises(NotAJob, match=r"Jobs must be given a class\."):
        app.enqueue_to("q", "")


# ---- 03: hooks


@replays("03")
def test_enqueue_and_dequeue_hooks_run_as_rubys(
    client: redis.Redis, app: TaskQ, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    called: list[object] = []
    monkeypatch.setattr(jobs, "calls", called)

    def note(returned: object) -> None:
        match returned:
            case Accepted():
                found.append(True)
            case Vetoed():
                found.append(None)
            case _:
                found.append(returned)
        found.append(called.copy())
        called.clear()

    note(app.enqueue(jobs.Hooked, 1, "two"))
    note(app.enqueue(jobs.Hooked, "stop"))
    note(app.enqueue_to("elsewhere", jobs.Hooked, 2))
    # Ruby's Job.create, which runs no hooks: an application that does not know the class.
    with TaskQ(broker=redis_server.unix_url, registry=Registry()) as other:
        note(other.enqueue_to("hooked", "Hooked", 3))
    note(app.dequeue(jobs.Hooked, "keep"))
    note(app.dequeue(jobs.Hooked, 1, "two"))
    wanted = [each["returned"] for each in recording("03").raw["returns"]][:-2]
    wanted[6] = True  # Job.create answers with counts
    wanted[8] = 0  # dequeue answers with a number, whoever stopped it
    assert found == wanted
    for job, message in ((jobs.Raises, "no"), (jobs.RaisesAfter, "after")):
        with pytest.raises(RuntimeError, match=f"^{message}"):
            app.enqueue(job)
    assert_same(left(client), recorded(recording("03").after))


# ---- 04: dequeue


@replays("04")
def test_dequeue_finds_what_ruby_finds(client: redis.Redis, app: TaskQ) -> None:
    pushed = recording("04").pushed("resque:queue:mail")
    client.sadd("resque:queues", "mail")
    client.rpush("resque:queue:mail", *map(bytes_of, pushed[:10]))
    returned = recording("04").returned
    mail, options = jobs.Mail, app.options
    assert app.dequeue(mail, 1) == returned["dequeue(Mail, 1)"]
    assert app.dequeue(mail, 1) == returned["dequeue(Mail, 1) again"]
    assert app.dequeue(mail, 2) == returned["dequeue(Mail, 2): only the compact one"]
    assert app.dequeue(mail, {"b": 2, "a": 1}) == returned["dequeue(Mail, {b, a}): other key order"]
    assert app.dequeue(mail, {"a": 1, "b": 2}) == returned["dequeue(Mail, {a: 1, b: 2}): symbol keys encode the same"]
    assert app.dequeue(mail, None) == returned["dequeue(Mail, nil)"]
    app.enqueue(mail, 9)
    app.enqueue(mail, 9)
    assert app.dequeue(mail) == returned["dequeue(Mail): by class"]
    assert [job.body.decode() for job in app.peek("mail", 0, 9)] == returned["left"]
    app.enqueue_to("other", mail, 5)
    assert app.dequeue(mail, 5) == returned["dequeue(Mail, 5): looks only on the class queue"]
    assert options(queue="other").dequeue("Mail", 5) == returned["Job.destroy('other', 'Mail', 5)"]
    assert options(queue="none").dequeue(mail) == returned["Job.destroy('none', Mail)"]
    assert options(queue="mail").dequeue(jobs.Sms) == returned["Job.destroy('mail', Sms)"]
    assert_same(left(client), recorded(recording("04").after))


# ---- 05: queries


def payloads(app: TaskQ, queue: str, start: int = 0, count: int = 1) -> list[dict[str, object]]:
    return [json.loads(job.body) for job in app.peek(queue, start, count)]


@replays("05")
def test_queries_answer_as_rubys(client: redis.Redis, app: TaskQ) -> None:
    for number in range(5):
        app.enqueue_to("a", "J", number)
    app.enqueue_to("b", "J", "x")
    client.sadd("resque:queues", "empty")  # Resque.watch_queue: Ruby leaves such queues, taskq only reads them
    returned = recording("05").returned
    assert app.queues() == ["a", "b", "empty"]
    assert app.size("a") == returned["size('a')"]
    assert app.size("missing") == returned["size('missing')"]
    assert payloads(app, "a") == [returned["peek('a')"]]
    assert payloads(app, "a", 1) == [returned["peek('a', 1)"]]
    assert payloads(app, "a", 1, 2) == returned["peek('a', 1, 2)"]
    assert payloads(app, "a", 0, 0) == []  # Ruby's count of 0 is everything, which taskq never loads at once
    assert payloads(app, "a", 0, 100) == returned["peek('a', 0, 0): LRANGE 0 -1, i.e. everything"]
    assert payloads(app, "a", app.size("a") - 1) == [returned["peek('a', -1)"]]
    assert payloads(app, "a", 90, 2) == returned["peek('a', 90, 2)"]
    assert payloads(app, "missing") == []
    assert payloads(app, "a", 0, 2) == returned["list_range('queue:a', 0, 2)"]
    assert app.sizes() == returned["queue_sizes"]
    samples = {queue: {"size": app.size(queue), "samples": payloads(app, queue, 0, 2)} for queue in app.queues()}
    assert samples == returned["sample_queues(2)"]
    info = app.info()
    wanted = returned["info"]
    for figure in ("pending", "processed", "queues", "workers", "working", "failed"):
        assert info[figure] == wanted[figure]
    assert app.workers() == returned["workers"]
    assert app.working() == returned["working"]
    assert app.remove_queue("a") == 5  # Ruby says how many keys, taskq how many jobs
    assert app.remove_queue("missing") == 0
    assert_same(left(client), recorded(recording("05").after))


# ---- 31: inline


@replays("31")
def test_inline_writes_nothing(
    client: redis.Redis, redis_server: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with TaskQ(broker=redis_server.unix_url, registry=jobs.REGISTRY, inline=True) as app:
        assert app.enqueue(jobs.Shown, {"sym": "bol"}, 1.0)
        with TaskQ(broker=redis_server.unix_url, registry=jobs.REGISTRY, inline=True) as other:
            with pytest.raises(jobs.Boom, match=r"bad \[1\]"):
                other.enqueue(jobs.Bad, 1)
            assert isinstance(other.enqueue(jobs.Stops), Vetoed)  # in Ruby true, which says nothing
    # Ruby's after_enqueue sees the symbols that perform does not; Job.create(...), the last two lines, has no like.
    assert capfd.readouterr().out.splitlines() == [
        line.replace(":sym=>:bol", '"sym"=>"bol"') for line in recording("31").output[:3]
    ]
    assert_same(left(client, own=()), recorded(recording("31").after))


def test_a_count_is_text(client: redis.Redis, app: TaskQ) -> None:
    """Nobody's counter is a number in Redis; one that is none counts as nothing (27)."""
    load(client, {"resque:stat:processed": string("abc"), "resque:stat:failed": string("2")})
    assert (app.broker.stats().processed, app.broker.stats().failed) == (0, 2)
