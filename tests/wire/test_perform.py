"""Jobs performed: done, failed, unknown, unreadable, killed (06 to 13)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import redis

from taskq import TaskQ
from taskq_redis.testing import RedisServer
from tests.support.workers import RunningWorker
from tests.wire import jobs
from tests.wire.lines import STARTS, replaced, told
from tests.wire.recorded import (
    Differs,
    State,
    assert_same,
    bytes_of,
    changed,
    left,
    listed,
    recorded,
    recording,
    replays,
    string,
)
from tests.wire.workers import printed, work_off


def failed_entry(payload: str, exception: str, error: str, backtrace: list[str] | None = None) -> str:
    """An entry of the failed list, comparable."""
    return (
        f'{{"failed_at":"TIME UTC","payload":{payload},"exception":{json.dumps(exception)},'
        f'"error":{json.dumps(error, ensure_ascii=False)},"backtrace":{json.dumps(backtrace or [])},'
        '"worker":"vm:PID:jobs","queue":"jobs"}'
    )


def raw(body: bytes) -> str:
    """A payload that is no JSON object, as it stands in records and entries."""
    return f'{{"class":"","args":[],"raw":"{base64.b64encode(body).decode()}"}}'


@replays("06")
def test_a_worker_performs_one_job_and_stops(redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    app.enqueue(jobs.Ok, 1, "é")
    running = work_off(redis_server, VVERBOSE="1")
    assert_same(left(client, running.pid), recorded(recording("06").after))
    assert told(running.log.splitlines()) == replaced(told(recording("06").output), *STARTS)


@replays("07")
def test_failed_jobs_have_rubys_entries(redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    for how in ("boom", "cause", "nomsg", "latin", "badutf", "binary", "nobt"):
        app.enqueue(jobs.Fail, how, {"n": [1.5, None]})
    running = work_off(redis_server)
    wanted = recorded(recording("07").after)
    entries = list(
        changed(
            wanted["resque:failed"],
            (1, '"ArgumentError"', '"ValueError"'),
            (
                1,
                '["rescue in cause", "cause", "perform"]',
                '["cause", "perform", "caused by App.Boom: inner", "cause"]',
            ),
            (2, '"error":"App::Boom"', '"error":"tests.wire.jobs.App.Boom"'),
            (3, '"error":"?t?"', '"error":"été"'),
            (4, '"error":"bad ? bytes"', '"error":"bad \\\\udcff bytes"'),
            (5, '"backtrace":[]', '"backtrace":["nobt", "perform"]'),
        ).data
    )
    entries.insert(
        4,
        failed_entry(
            '{"class":"Fail","args":["badutf",{"n":[1.5,null]}]}',
            "RuntimeError",
            "bad \\udcff utf",
            ["badutf", "perform"],
        ),
    )
    why = (
        "Python's class for a wrong argument, its chain of causes, its texts without an encoding, its frames that "
        "cannot be taken away; and the entry that Ruby cannot write (WIRE.md section 6)"
    )
    assert_same(left(client, running.pid), wanted, {"resque:failed": Differs(listed(*entries), why)})


@replays("08")
def test_hooks_around_a_job_run_in_rubys_order(redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    app.enqueue(jobs.Dont, 1)
    app.enqueue(jobs.Order, 1)
    app.enqueue(jobs.Order, "fail")
    app.enqueue(jobs.NoYield)
    app.enqueue(jobs.BadHook)
    running = work_off(redis_server)
    output = recording("08").output
    assert printed(running)[: len(output)] == output
    assert "on_failure of job BadHook failed." in printed(running)[len(output) :]
    wanted_state = recorded(recording("08").after)
    entries = wanted_state["resque:failed"].data
    assert_same(
        left(client, running.pid),
        wanted_state,
        {
            "resque:failed": Differs(
                listed(
                    entries[0],
                    failed_entry('{"class":"BadHook","args":[]}', "RuntimeError", "original", ["perform"]),
                ),
                "an error in on_failure does not hide the first one",
            )
        },
    )


# ---- payloads that other clients write

UNKNOWN = "taskq.errors.UnknownJob"
INVALID = "taskq.errors.InvalidPayload"


@dataclass(frozen=True)
class Fails:
    """How a payload fails: the exception and a part of what it says. `payload` is what stands in the entry, where that
    is not what was pushed."""

    exception: str
    says: str
    payload: str = ""


def assert_failed(entries: Iterable[str], wanted: Iterable[tuple[bytes, Fails]]) -> None:
    """These entries, in this order, byte for byte but for what else the message says."""
    for entry, (body, fails) in zip(entries, wanted, strict=True):
        error = json.loads(entry)["error"]
        assert fails.says in error
        backtrace = json.loads(entry)["backtrace"]
        assert entry == failed_entry(fails.payload or body.decode(), fails.exception, error, backtrace)


def perform_all(
    server: RedisServer, client: redis.Redis, bodies: Iterable[bytes], *, known: bool
) -> tuple[RunningWorker, State]:
    """One worker works off what was pushed by hand; what it printed and left."""
    if known:
        client.sadd("resque:queues", "jobs")
    client.rpush("resque:queue:jobs", *bodies)
    running = work_off(server)
    return running, left(client, running.pid)


@replays("09")
def test_unknown_classes_fail_their_jobs(redis_server: RedisServer, client: redis.Redis) -> None:
    outcomes: list[str | Fails] = [
        *[
            Fails(UNKNOWN, f'Unknown job "{name}" (queue jobs)')
            for name in ("Gone", "Gone::Deep", "gone-dashed", "lower")
        ],
        Fails(INVALID, '"class" is empty'),
        Fails(INVALID, '"class" is null'),
        Fails(INVALID, 'no "class"'),
        "odd []",
        "odd []",
        Fails(INVALID, '"args" is an object'),  # these three Ruby spreads; taskq binds lists only
        Fails(INVALID, '"args" is a string'),
        Fails(INVALID, '"args" is a number'),
        "odd []",
        Fails(UNKNOWN, 'Unknown job "NoPerform"'),  # what has no `perform` cannot be registered
        "odd [1]",
    ]
    bodies = [bytes_of(body) for body in recording("09").pushed("resque:queue:jobs")]
    running, state = perform_all(redis_server, client, bodies, known=True)
    assert printed(running) == [outcome for outcome in outcomes if isinstance(outcome, str)]
    failing = [(body, fails) for body, fails in zip(bodies, outcomes, strict=True) if isinstance(fails, Fails)]
    entries = state["resque:failed"]
    assert_failed(entries.data, failing)
    why = "a list of arguments is a list: the three others fail; and the words are taskq's"
    differs = {"resque:failed": Differs(entries, why), "resque:stat:failed": Differs(string("11"), why)}
    assert_same(state, recorded(recording("09").after), differs)


@replays("10")
def test_what_is_no_json_is_failed_not_lost(redis_server: RedisServer, client: redis.Redis) -> None:
    bodies = [b"not json", b'{"class":"Ok","args":[]}']
    assert [body.decode() for body in bodies] == recording("10").pushed("resque:queue:jobs")
    running, state = perform_all(redis_server, client, bodies, known=True)
    assert printed(running) == ["performed []"]
    entries = state["resque:failed"]
    assert_failed(entries.data, [(b"", Fails(INVALID, "not JSON", raw(b"not json")))])
    why = "Ruby loses it and ends; taskq keeps it and goes on"
    assert_same(
        state,
        recorded(recording("10").after),
        {
            "resque:failed": Differs(entries, why),
            "resque:queue:jobs": Differs(None, why),
            "resque:stat:failed": Differs(string("1"), why),
            "resque:stat:processed": Differs(string("2"), why),
        },
    )


@replays("11")
def test_what_is_no_object_is_failed_not_lost(redis_server: RedisServer, client: redis.Redis) -> None:
    bodies = [bytes_of(body) for body in recording("11").pushed("resque:queue:jobs")]
    assert bodies == [b"null", b"[1,2]", b'"str"', b"5", b'{"class":"Ok","args":[]}']
    running, state = perform_all(redis_server, client, bodies, known=True)
    assert printed(running) == ["performed []"]
    entries = state["resque:failed"]
    says = ["is null", "is a list", "is a string", "is a number"]
    assert_failed(
        entries.data, [(b"", Fails(INVALID, said, raw(body))) for body, said in zip(bodies, says, strict=False)]
    )
    why = "Ruby loses null, and dies of lists and numbers; records that are no objects end Ruby's pruners"
    assert_same(
        state,
        recorded(recording("11").after),
        {
            "resque:failed": Differs(entries, why),
            "resque:stat:failed": Differs(string("4"), why),
            "resque:stat:processed": Differs(string("5"), why),
        },
    )


# What each case of 12 pushed, as its label and the worker's record tell, and what becomes of it.
TOLERATED: dict[str, tuple[bytes, str | Fails]] = {
    "extra keys, odd order": (
        b'{"id":"01HX","meta":{"a":[1]},"args":[1,"x"],"queue":"zzz","class":"Ok","retries":3}',
        'performed [1, "x"]',
    ),
    "white space and line ends": (b' {\r\n "class" : "Ok",\n\t"args" : [ 1 ]\n}\n', "performed [1]"),
    "escapes \\u00e9, surrogates, \\/": (
        b'{"class":"Ok","args":["\\u00e9","\\ud83d\\ude00","\\/"]}',
        'performed ["é", "😀", "/"]',
    ),
    "duplicate key: last wins": (
        b'{"class":"Ok","args":[1],"args":[2]}',
        Fails(INVALID, '"args" twice'),  # which one was meant nobody knows
    ),
    "no args": (b'{"class":"Ok"}', "performed []"),
    "args null": (b'{"class":"Ok","args":null}', "performed []"),
    "args a hash": (b'{"class":"Ok","args":{"a":1}}', Fails(INVALID, '"args" is an object')),
    "args a string": (b'{"class":"Ok","args":"abc"}', Fails(INVALID, '"args" is a string')),
    "args a number": (b'{"class":"Ok","args":5}', Fails(INVALID, '"args" is a number')),
    "no class": (b'{"args":[1]}', Fails(INVALID, 'no "class"')),
    "class null": (b'{"class":null,"args":[1]}', Fails(INVALID, '"class" is null')),
    "class empty": (b'{"class":"","args":[1]}', Fails(INVALID, '"class" is empty')),
    "class a number": (b'{"class":5,"args":[1]}', Fails(INVALID, '"class" is a number')),
    "class ::Ok": (b'{"class":"::Ok","args":[1]}', "performed [1]"),
    "class dashed-job": (b'{"class":"dashed-job","args":[1]}', "DashedJob [1]"),
    "class Outer::Inner": (b'{"class":"Outer::Inner","args":[1]}', "Outer::Inner [1]"),
    "class lower case": (b'{"class":"ok","args":[1]}', Fails(UNKNOWN, 'Unknown job "ok"')),
    "class with a dot, Python style": (b'{"class":"app.jobs.Ok","args":[1]}', Fails(UNKNOWN, '"app.jobs.Ok"')),
    "class that is a constant but no class": (b'{"class":"RUBY_VERSION","args":[1]}', Fails(UNKNOWN, '"RUBY_VERSION"')),
    "class without perform": (b'{"class":"NoPerform","args":[1]}', Fails(UNKNOWN, '"NoPerform"')),
    "wrong number of args": (b'{"class":"TwoArgs","args":[1]}', Fails("TypeError", 'misses the argument "second"')),
    "keyword method given a trailing hash": (
        b'{"class":"KwArgs","args":[1,{"opt":2}]}',
        Fails("TypeError", "takes 1 argument, and was given 2"),
    ),
    "floats and big ints read back": (
        b'{"class":"Ok","args":[1.0,1.0e+20,1.0e-07,123456789012345678901234567890,-0.0]}',
        "performed [1.0, 1.0e+20, 1.0e-07, 123456789012345678901234567890, -0.0]",
    ),
    "NaN token": (b'{"class":"Ok","args":[NaN]}', Fails(INVALID, "NaN", raw(b'{"class":"Ok","args":[NaN]}'))),
    "top level array with a hash": (
        b'[{"class":"Ok","args":[1]}]',
        Fails(INVALID, "is a list", raw(b'[{"class":"Ok","args":[1]}]')),
    ),
    "empty object": (b"{}", Fails(INVALID, 'no "class"')),
    "empty string element": (b"", Fails(INVALID, "empty", raw(b""))),
    "UTF-8 BOM in front": (
        b'\xef\xbb\xbf{"class":"Ok","args":[1]}',
        Fails(INVALID, "not JSON", raw(b'\xef\xbb\xbf{"class":"Ok","args":[1]}')),
    ),
    "invalid UTF-8 inside a string": (
        b'{"class":"Ok","args":["\xff"]}',
        Fails(INVALID, "not UTF-8", raw(b'{"class":"Ok","args":["\xff"]}')),
    ),
    "lone surrogate escape": (
        b'{"class":"Ok","args":["\\ud800"]}',
        Fails(INVALID, "lone surrogate", raw(b'{"class":"Ok","args":["\\ud800"]}')),
    ),
}


@replays("12")
def test_payloads_of_other_clients(redis_server: RedisServer, client: redis.Redis) -> None:
    assert list(TOLERATED) == list(recording("12").returned)
    bodies = [body for body, _ in TOLERATED.values()]
    running, state = perform_all(redis_server, client, bodies, known=False)
    performed = [outcome for _, outcome in TOLERATED.values() if isinstance(outcome, str)]
    assert printed(running) == performed
    failing = [(body, fails) for body, fails in TOLERATED.values() if isinstance(fails, Fails)]
    entries = state["resque:failed"]
    assert_failed(entries.data, failing)
    # Ruby performed these too: the doubled key, and three kinds of arguments that are no list.
    rubys = {line for line in recording("12").output if line and not line.startswith("--")}
    assert rubys - set(performed) == {"performed [2]", 'performed [["a", 1]]', 'performed ["abc"]', "performed [5]"}
    why = "all were worked off by one worker, none was lost, and the list was not cleared in between"
    assert_same(
        state,
        recorded(recording("12").after),
        {
            "resque:failed": Differs(entries, why),
            "resque:stat:failed": Differs(string(str(len(failing))), why),
            "resque:stat:processed": Differs(string(str(len(TOLERATED))), why),
        },
    )


@replays("13")
def test_however_a_child_ends_its_job_has_an_entry(redis_server: RedisServer, client: redis.Redis, app: TaskQ) -> None:
    wanted = recorded(recording("13").after)
    ends = [
        "kill",
        "abrt",
        "exit 1",
        "exit 0",
        "exit! 1",
        "exit! 0",
        "abort",
        "interrupt",
        "signalexc",
        "throw",
        "script",
    ]
    for how in ends:
        app.enqueue(jobs.Die, how)
    running = work_off(redis_server)
    state = left(client, running.pid)

    def entry(how: str, exception: str, error: str, *backtrace: str) -> str:
        return failed_entry(f'{{"class":"Die","args":["{how}"]}}', exception, error, list(backtrace))

    hard = "Child process exited with status {} without finishing the job (pid PID)"
    entries = listed(
        *wanted["resque:failed"].data[:2],  # killed by a signal: byte for byte
        entry("exit 1", "SystemExit", "exit 1", "perform"),
        entry("exit 0", "SystemExit", "exit", "perform"),
        entry("exit! 1", "Resque::DirtyExit", hard.format(1)),
        entry("exit! 0", "Resque::DirtyExit", hard.format(0)),
        entry("abort", "SystemExit", "aborted", "perform"),
        entry("interrupt", "KeyboardInterrupt", "KeyboardInterrupt", "perform"),
        entry("signalexc", "Resque::DirtyExit", "Child process received unhandled signal pid PID SIGHUP (signal 1)"),
        entry("throw", "StopIteration", "nowhere", "perform"),
        entry("script", "NotImplementedError", "not yet", "perform"),
    )
    assert_same(
        state,
        wanted,
        {
            "resque:failed": Differs(entries, "a hard exit is no success: Ruby writes nothing; and Python's words"),
            "resque:stat:failed": Differs(string("11"), "a job whose child was killed counts as failed"),
        },
    )
    told = [line for line in printed(running) if line.startswith("on_failure")]
    assert len(told) == len(ends)
    assert re.fullmatch(
        r"on_failure DirtyExit Child process received unhandled signal pid \d+ SIGKILL \(signal 9\)", told[0]
    )
