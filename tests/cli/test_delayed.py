from __future__ import annotations

import json
import signal
import time

import pytest

from taskq.jobs import job
from tests.cli.conftest import Shop

THEN = 2_209_032_000  # in 2040


@pytest.fixture
def full(shop: Shop) -> Shop:
    @job(queue="emails", secret=["body"], registry=shop.app.registry)
    def send(to: str, body: str = "") -> None: ...

    for number, to in enumerate("abc"):
        shop.app.broker.schedule(THEN + number, "emails", [b'{"class":"send","args":["%s","private"]}' % to.encode()])
    shop.app.options(queue="low").enqueue_in(3600, "Other", 7)
    return shop


def test_list_has_the_next_first_and_shows_no_secret(full: Shop) -> None:
    result = full.run("delayed")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[-3:] for line in lines] == [
        ["low", "Other", "[7]"],
        *[["emails", "send", f'["{to}", "[secret]"]'] for to in "abc"],
    ]
    assert "private" not in result.output


def test_list_by_pages_and_by_what_is_meant(full: Shop) -> None:
    def arguments(*args: str) -> list[object]:
        return [json.loads(line)["args"] for line in full.run("delayed", "list", "--json", *args).stdout.splitlines()]

    assert arguments("--limit", "1") == [[7]]
    assert arguments("--since", str(THEN + 1), "-n", "1") == [["b", "[secret]"]]
    assert arguments("--since", "2040-01-01 00:00+00:00", "--skip", "0", "-n", "1") == [["a", "[secret]"]]
    assert arguments("--class", "Other") == [[7]]
    assert arguments("--queue", "emails", "--skip", "2") == [["c", "[secret]"]]
    nothing = full.run("delayed", "--class", "Nobody")
    assert (nothing.exit_code, nothing.stderr) == (3, "None of the delayed jobs is like that.\n")


def test_a_time_that_no_calendar_has_is_none_in_json(full: Shop) -> None:
    full.app.broker.schedule(99_999_999_999_999, "low", [b'{"class":"Far","args":[]}'])
    listed = full.run("delayed", "list", "--json")
    assert listed.exit_code == 0
    *others, last = [json.loads(line) for line in listed.stdout.splitlines()]
    assert (last["job"], last["at"], last["time"]) == ("Far", 99_999_999_999_999, None)
    assert len([each for each in others if each["time"]]) == 4


def test_run_and_remove_by_class_arguments_and_time(full: Shop) -> None:
    one = full.run("delayed", "run", "--class", "send", "--args", '["a", "private"]')
    assert (one.exit_code, one.stdout) == (0, "Enqueued 1 delayed job.\n")
    assert full.run("delayed", "run", "--at", str(THEN + 1)).stdout == "Enqueued 1 delayed job.\n"
    assert full.app.size("emails") == 2
    assert full.run("delayed", "remove", "--class", "send", "--yes").stdout == "Removed 1 delayed job.\n"
    assert full.run("delayed", "remove", "--class", "send", "--yes").exit_code == 3
    assert full.run("delayed", "run", "--all").stdout == "Enqueued 1 delayed job.\n"
    assert full.run("delayed", "clear", "--yes").stdout == "There are no delayed jobs.\n"


def test_clear_asks_first(full: Shop) -> None:
    assert full.run("delayed", "clear").exit_code != 0
    assert full.app.delayed.count() == 4
    assert full.run("delayed", "clear", "--yes").exit_code == 0
    assert full.app.delayed.count() == 0


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["run", "--all"], "promote_many"),
        (["remove", "--class", "Other", "--yes"], "withdraw_many"),
        (["clear", "--yes"], "drain_scheduled"),
    ],
)
def test_ctrl_c_stops_it_between_two_says_how_far_it_got_and_the_same_again_goes_on(
    memory_shop: Shop, arguments: list[str], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = memory_shop.app.broker
    broker.schedule(THEN, "low", [b'{"class":"Other","args":[%d]}' % number for number in range(1200)])
    done = getattr(broker, step)

    def interrupted(*args: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return done(*args)

    with monkeypatch.context() as patched:
        patched.setattr(broker, step, interrupted)
        result = memory_shop.run("delayed", *arguments)
    assert result.exit_code == 130
    assert "500 delayed jobs." in result.stdout
    assert "Stopped after 500 of 1,200. To go on: the same again." in result.stderr
    assert "700 delayed jobs." in memory_shop.run("delayed", *arguments).stdout


def test_what_says_no_queue_is_refused_and_named(memory_shop: Shop) -> None:
    memory_shop.app.broker.schedule(time.time() + 60, "", [b'{"class":"Elsewhere","args":[]}'])
    result = memory_shop.run("delayed", "run", "--all")
    assert result.exit_code == 1
    assert "Elsewhere is not registered here" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], "Which ones?"),
        (["run", "--all", "--class", "x"], "not both"),
        (["remove", "--args", "[1]", "--queue", "q"], "--class too"),
        (["run", "--class", "x", "--args", "7"], "a list of all arguments"),
        (["run", "--class", "x", "--args", "["], "no JSON"),
        (["list", "--since", "soon"], "soon is no time"),
        (["list", "--since", "2040-01-01 00:00"], "has no time zone"),
    ],
)
def test_a_mistake_is_said_with_the_right_way(memory_shop: Shop, arguments: list[str], says: str) -> None:
    result = memory_shop.run("delayed", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
