from __future__ import annotations

import json
from pathlib import Path

import pytest

import taskq
from tests.cli.conftest import Shop, Typed, run


def waiting(shop: Shop, queue: str) -> list[object]:
    return [json.loads(body) for body in shop.app.broker.peek(queue, 0, 100)]


def with_jobs(shop: Shop) -> Shop:
    @taskq.job(registry=shop.app.registry)
    class Emailer:
        queue = "emails"

        @staticmethod
        def perform(to: str, options: object = None, *, retries: int = 0) -> None: ...

    return shop


def test_arguments_are_json_or_texts(shop: Shop) -> None:
    result = with_jobs(shop).run("enqueue", "Emailer", "a@example.com", '{"k": 1}')
    assert result.exit_code == 0
    assert result.stdout == "Enqueued Emailer to emails.\n"
    assert waiting(shop, "emails") == [{"class": "Emailer", "args": ["a@example.com", {"k": 1}]}]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("NaN", "NaN is a number that JSON cannot carry. As a text it goes in quotes of its own: '\"NaN\"'."),
        ('{"a": [Infinity]}', "Infinity is a number that JSON cannot carry."),
        ('[{"a": 1, "b": 2, "a": 3}]', 'The key "a" is there twice in one object.'),
        ('["[secret]"]', "[secret] stands for what is masked: type the value itself."),
        ("[" * 900 + "]" * 900, "more than 97 levels deep"),
        ("as [secret 2: token]", "[secret 2: token] stands for what is masked: type the value itself."),
    ],
)
def test_what_would_not_arrive_as_it_was_typed_is_refused(memory_shop: Shop, typed: str, said: str) -> None:
    done = memory_shop.run("enqueue", "--queue", "q", "Job", typed)
    assert done.exit_code == 2
    assert said in done.stderr
    assert waiting(memory_shop, "q") == []


def test_a_queue_needs_a_name(memory_shop: Shop) -> None:
    done = memory_shop.run("enqueue", "--queue", "", "Job")
    assert (done.exit_code, "a queue needs a name" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("5", 5),
        ("-5", -5),
        ("-1.5e3", -1500.0),
        ("1.0", 1.0),
        ("true", True),
        ("null", None),
        ('"5"', "5"),
        ("[1, [2]]", [1, [2]]),
        ("007", "007"),
        ('"NaN"', "NaN"),
        ("True", "True"),
        ("", ""),
        ("two words", "two words"),
        ("grün", "grün"),
        ("a=b", "a=b"),
    ],
)
def test_how_an_argument_is_read(memory_shop: Shop, typed: str, read: object) -> None:
    assert memory_shop.run("enqueue", "--queue", "q", "Job", typed).exit_code == 0
    [job] = waiting(memory_shop, "q")
    assert isinstance(job, dict)
    assert job["args"] == [read]
    assert type(job["args"][0]) is type(read)


def test_what_begins_with_a_dash_goes_behind_two(memory_shop: Shop) -> None:
    assert memory_shop.run("enqueue", "--queue", "q", "Job", "--all").exit_code == 2
    assert memory_shop.run("enqueue", "--queue", "q", "Job", "--", "--all", "-5").exit_code == 0
    assert waiting(memory_shop, "q") == [{"class": "Job", "args": ["--all", -5]}]


def test_what_looks_like_json_and_is_none_is_sent_and_said(memory_shop: Shop) -> None:
    result = memory_shop.run("enqueue", "--queue", "q", "Job", "{'k': 1}")
    assert result.exit_code == 0
    assert "it is no JSON" in result.stderr
    assert waiting(memory_shop, "q") == [{"class": "Job", "args": ["{'k': 1}"]}]


def test_queue_and_front(shop: Shop) -> None:
    with_jobs(shop)
    for name in ("first", "second"):
        assert shop.run("enqueue", "Emailer", name, "--queue", "vip", "--front").exit_code == 0
    assert waiting(shop, "vip") == [{"class": "Emailer", "args": ["second"]}, {"class": "Emailer", "args": ["first"]}]


def test_a_job_of_another_program_needs_its_queue(shop: Shop) -> None:
    with_jobs(shop)
    result = shop.run("enqueue", "Emialer", "x")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert lines[0] == 'Unknown job "Emialer". Registered: Emailer. Did you mean Emailer?'
    assert "--app" in lines[1]
    assert "--queue QUEUE Emialer" in lines[2]
    assert lines[3] == "Nothing was enqueued."
    assert shop.app.queues() == []
    assert shop.run("enqueue", "--queue", "billing", "Billing::Charge", "7").exit_code == 0
    assert waiting(shop, "billing") == [{"class": "Billing::Charge", "args": [7]}]


def test_a_wrong_call_names_the_argument_and_enqueues_nothing(shop: Shop) -> None:
    result = with_jobs(shop).run("enqueue", "Emailer")
    assert result.exit_code == 2
    assert 'misses the argument "to"' in result.stderr
    assert "Nothing was enqueued." in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert shop.app.queues() == []


def test_an_argument_that_json_cannot_carry_is_refused(memory_shop: Shop) -> None:
    result = memory_shop.run("enqueue", "--queue", "q", "Job", "1e999")
    assert result.exit_code == 2
    assert "JSON cannot carry" in result.stderr
    assert memory_shop.app.queues() == []


def test_a_veto_ends_with_1(memory_shop: Shop) -> None:
    @taskq.job(registry=memory_shop.app.registry)
    class Vetoed:
        @staticmethod
        def before_enqueue_never() -> bool:
            return False

        @staticmethod
        def perform() -> None: ...

    result = memory_shop.run("enqueue", "Vetoed")
    assert result.exit_code == 1
    assert "before_enqueue_never" in result.stderr
    assert json.loads(memory_shop.run("enqueue", "Vetoed", "--json").stdout)["outcome"] == "vetoed"


def test_json(shop: Shop) -> None:
    said = json.loads(with_jobs(shop).run("enqueue", "Emailer", "x", "--json").stdout)
    assert said == {
        "schema": "taskq.enqueued/1",
        "job": "Emailer",
        "queue": "emails",
        "outcome": "accepted",
        "bytes": len(b'{"class":"Emailer","args":["x"]}'),
    }


def test_into_memory_it_says_that_it_ends_with_the_command(memory_shop: Shop) -> None:
    assert "ends with this command" in memory_shop.run("enqueue", "--queue", "q", "Job").stderr


@pytest.mark.redis
def test_a_queue_that_no_worker_serves_is_told(redis_url: str) -> None:
    from taskq.records import ProcessIdentity, Registration

    with taskq.TaskQ(broker=redis_url) as app:
        process = ProcessIdentity("host", "", "", 1, "")
        app.broker.register(Registration("host:1:emails,low", process, 25.0, 5.0, "0123abcd"))
    served = run("enqueue", "--queue", "low", "Job", "-b", redis_url)
    assert served.stderr == ""
    result = run("enqueue", "--queue", "emials", "Job", "-b", redis_url)
    assert result.exit_code == 0
    assert result.stderr == (
        'Queue "emials" is served by no worker (workers serve: emails, low). '
        "Enqueued all the same; taskq queues list.\n"
    )


@pytest.mark.redis
def test_from_a_real_shell(project: Path, typed: Typed, redis_url: str) -> None:
    done = typed("enqueue", "-a", "shop.jobs", "Emailer", "a@example.com", '{"k": 1}', "-b", redis_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Enqueued Emailer to emails.\n", "")
    peeked = typed("queues", "peek", "emails", "-b", redis_url)
    assert peeked.stdout == '0\tEmailer\t["a@example.com", {"k": 1}]\n'


@pytest.mark.parametrize(
    ("said", "ahead"), [(["--in", "5m"], 300), (["--in", "1h30m"], 5400), (["--at", "2100-01-31 09:00+01:00"], None)]
)
def test_a_job_may_be_for_later(memory_shop: Shop, said: list[str], ahead: int | None) -> None:
    before = memory_shop.app.broker.now()
    done = memory_shop.run("enqueue", "--queue", "q", *said, "Job", "5", "--json")
    assert done.exit_code == 0
    at = json.loads(done.stdout)["at"]
    assert waiting(memory_shop, "q") == []
    assert [each.at for each in memory_shop.app.delayed.each()] == [at]
    if ahead is None:
        assert at == 4105065600
    else:
        assert before + ahead <= at <= memory_shop.app.broker.now() + ahead
    assert " for 2" in memory_shop.run("enqueue", "--queue", "q", *said, "Job").stdout


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (["--at", "2100-01-31 09:00"], "2100-01-31 09:00 has no time zone. As in: '2100-01-31 09:00+01:00'"),
        (["--at", "tomorrow"], "tomorrow is no time. As in: 1900000000"),
        (["--at", "1e300"], "1e300 is after the year 9999"),
        (["--in", "soon"], "'soon' is no span of time: those are like 30s, 5m"),
        (["--in", "5m", "--at", "1900000000"], "--in and --at were both said"),
    ],
)
def test_what_is_no_time_is_refused(memory_shop: Shop, said: list[str], says: str) -> None:
    done = memory_shop.run("enqueue", "--queue", "q", *said, "Job")
    assert (done.exit_code, says in " ".join(done.stderr.split())) == (2, True)
    assert waiting(memory_shop, "q") == []
    assert memory_shop.app.delayed.count() == 0
