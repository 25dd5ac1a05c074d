from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Failing, Shop


def fill(shop: Shop) -> None:
    shop.app.broker.push("emails", [b'{"class":"Emailer","args":["a",1]}', b"rubbish", b'{"class":"Other"}'])
    shop.app.broker.push("low", [b'{"class":"Report","args":[]}'])


# ---- info


def test_info_has_the_figures_of_resque(shop: Shop, failing: Failing) -> None:
    fill(shop)
    failing.fail(queue="broken")
    lines = dict(line.split("\t") for line in shop.run("info").stdout.splitlines())
    assert lines == {
        "pending": "4",
        "processed": "1",
        "queues": "3",
        "workers": "1",
        "working": "0",
        "failed": "1",
        "broker": shop.app.broker.address,
    }
    assert json.loads(shop.run("info", "--json").stdout) == {"schema": "taskq.info/1", **shop.app.info()}


# ---- list


def test_list_says_how_much_waits_who_serves_it_and_what_is_paused(shop: Shop, failing: Failing) -> None:
    fill(shop)
    shop.app.pause("low")
    assert shop.run("queues").stdout == "emails\t3\t1\t\t\t\nlow\t1\t1\tpaused\t\t\n"
    assert shop.run("queues", "list").stdout == shop.run("queues").stdout
    [emails, low] = [json.loads(line) for line in shop.run("queues", "--json").stdout.splitlines()]
    assert emails.pop("schema") == "taskq.queue/1"
    assert emails.pop("oldest") is emails.pop("change_a_minute") is None
    assert emails == {"queue": "emails", "jobs": 3, "workers": 1, "paused": False}
    assert low["paused"] is True


def test_list_of_none_is_empty_and_no_error(shop: Shop) -> None:
    result = shop.run("queues")
    assert (result.exit_code, result.output) == (0, "")


# ---- peek


def test_peek_shows_what_waits_and_takes_nothing(shop: Shop) -> None:
    fill(shop)
    lines = shop.run("queues", "peek", "emails").stdout.splitlines()
    assert lines[0] == '0\tEmailer\t["a", 1]'
    assert lines[1].startswith("1\t[unreadable]\t")
    assert lines[2] == "2\tOther\t[]"
    assert shop.app.size("emails") == 3


def test_peek_by_pages(shop: Shop) -> None:
    fill(shop)
    result = shop.run("queues", "peek", "emails", "--start", "2", "--limit", "1")
    assert result.stdout == "2\tOther\t[]\n"
    assert shop.run("queues", "peek", "emails", "--start", "9").exit_code == 0


def test_peek_as_json(shop: Shop) -> None:
    fill(shop)
    jobs = [json.loads(line) for line in shop.run("queues", "peek", "emails", "--json").stdout.splitlines()]
    job_id = jobs[0].pop("id")
    assert jobs[0] == {
        "schema": "taskq.job/1",
        "queue": "emails",
        "position": 0,
        "job": "Emailer",
        "args": ["a", 1],
        "problem": None,
    }
    assert jobs[1]["job"] is None
    assert jobs[1]["problem"]
    assert shop.run("queues", "remove", "emails", "--job", job_id).exit_code == 2
    removed = shop.run("queues", "remove", "emails", "--job", job_id, "--yes")
    assert removed.stdout == "Removed 1 job of emails.\n"
    assert shop.run("queues", "remove", "emails", "--job", job_id, "--yes").exit_code == 3


def test_peek_hides_secret_arguments(shop: Shop) -> None:
    import taskq

    @taskq.job(registry=shop.app.registry, secret=("token",), queue="logins")
    def log_in(user: str, token: str) -> None: ...

    shop.app.enqueue(log_in, "ada", "hunter2")
    for output in ("", "--json"):
        said = shop.run("queues", "peek", "logins", *([output] if output else [])).output
        assert "[secret]" in said
        assert "hunter2" not in said


def test_peek_into_a_queue_that_is_not_there_names_the_nearest(shop: Shop) -> None:
    fill(shop)
    result = shop.run("queues", "peek", "emials")
    assert result.exit_code == 3
    assert result.stderr == 'There is no queue "emials". Did you mean emails?\n'


@pytest.mark.parametrize("queue", ["a b", "ünïcode", "with:colon", "[bold]", "*", "tab\there"])
def test_odd_names_of_queues(shop: Shop, queue: str) -> None:
    shop.app.broker.push(queue, [b'{"class":"A","args":[]}'])
    assert shop.run("queues", "peek", queue).stdout == "0\tA\t[]\n"
    assert json.loads(shop.run("queues", "--json").stdout)["queue"] == queue
    assert shop.run("queues", "remove", queue, "--yes").exit_code == 0
    assert shop.app.queues() == []


def test_names_that_a_terminal_would_act_on_are_told_harmless(shop: Shop) -> None:
    shop.app.broker.push("a\x1b[2Jb\x07\nc", [b'{"class":"A","args":[]}'])
    said = shop.run("queues", "peek", "\x1b]0;x").stderr
    assert said.isprintable() or said.rstrip("\n").isprintable()
    assert "There are: a\\x1b[2Jb\\x07\\nc." in said


# ---- pause


def test_pause_and_unpause_one(shop: Shop) -> None:
    fill(shop)
    assert shop.run("queues", "pause", "emails", "low").exit_code == 0
    assert shop.app.broker.paused().queues == {"emails", "low"}
    assert shop.run("queues", "unpause", "emails").exit_code == 0
    assert shop.app.broker.paused().queues == {"low"}


def test_pause_and_unpause_all(shop: Shop) -> None:
    fill(shop)
    assert shop.run("queues", "pause", "--all").exit_code == 0
    assert shop.app.broker.paused().all
    assert shop.run("queues").stdout.count("paused") == 2
    assert "All queues still are" not in shop.run("queues", "unpause", "--all").stdout
    assert not shop.app.broker.paused().all


def test_pausing_what_is_not_there_is_done_and_told(shop: Shop) -> None:
    fill(shop)
    result = shop.run("queues", "pause", "emials")
    assert result.exit_code == 0
    assert "no such queue yet. Did you mean emails?" in result.stdout
    assert shop.app.broker.paused().queues == {"emials"}


def test_unpausing_what_was_not_paused_ends_with_3(shop: Shop) -> None:
    result = shop.run("queues", "unpause", "emails")
    assert result.exit_code == 3
    assert "was not paused" in result.stderr


def test_unpausing_one_while_all_are_paused_says_so(shop: Shop) -> None:
    shop.app.pause()
    assert "queues unpause --all" in shop.run("queues", "unpause", "emails").stderr


@pytest.mark.parametrize("verb", ["pause", "unpause"])
@pytest.mark.parametrize("said", [[], ["emails", "--all"]])
def test_pause_wants_names_or_all(shop: Shop, verb: str, said: list[str]) -> None:
    result = shop.run("queues", verb, *said)
    assert result.exit_code == 2
    assert "--all" in result.stderr


# ---- remove


def test_remove_needs_yes_where_nobody_can_be_asked(shop: Shop) -> None:
    fill(shop)
    result = shop.run("queues", "remove", "emails")
    assert result.exit_code == 2
    assert "Remove emails with 3 waiting jobs?" in result.stderr
    assert "--yes" in result.stderr
    assert shop.app.size("emails") == 3


def test_remove_says_what_went(shop: Shop) -> None:
    fill(shop)
    result = shop.run("queues", "remove", "emails", "--yes")
    assert (result.exit_code, result.stdout) == (0, "Removed emails with 3 jobs.\n")
    assert list(shop.app.queues()) == ["low"]


@pytest.mark.parametrize(("names", "code"), [(["emails", "nope"], 1), (["nope"], 3), (["emails", "low"], 0)])
def test_remove_of_some_that_are_not_there(shop: Shop, names: list[str], code: int) -> None:
    fill(shop)
    result = shop.run("queues", "remove", *names, "--yes")
    assert result.exit_code == code
    assert ('no queue "nope"' in result.stderr) == (code != 0)
