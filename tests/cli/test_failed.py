from __future__ import annotations

import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from taskq_redis.testing import RedisServer
from tests.cli.conftest import Failing, Shop, run


def ids(shop: Shop, *args: str) -> list[str]:
    """As they are listed, the newest first."""
    return [line.split("\t")[0] for line in shop.run("failed", *args).stdout.splitlines()]


def requeued(shop: Shop, queue: str = "emails") -> list[bytes]:
    return list(shop.app.broker.peek(queue, 0, 1000))


# ---- list


def test_list_has_the_newest_first(shop: Shop, failing: Failing) -> None:
    failing.fail("First")
    failing.fail("Second", error="it\nbroke")
    second, first = (line.split("\t") for line in shop.run("failed").stdout.splitlines())
    assert re.fullmatch(r"1-[0-9a-f]{6}", second[0])
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \S+", second[1])
    assert second[2:] == ["emails", "Second", "ValueError: it ...", ""]
    assert (first[0][:2], first[3]) == ("0-", "First")


def test_list_by_pages(shop: Shop, failing: Failing) -> None:
    for number in range(5):
        failing.fail(f"Job{number}")
    first = [json.loads(line) for line in shop.run("failed", "--limit", "2", "--json").stdout.splitlines()]
    assert [found["position"] for found in first[:2]] == [4, 3]
    assert first[2].pop("schema") == "taskq.failed_page/1"
    cursor = first[2].pop("older")
    assert first[2] == {"searched": 2, "left": 3, "total": 5}
    shop.app.failures.remove(shop.app.failures.list(newest_first=False)[0])
    assert [found[0] for found in ids(shop, "--limit", "9", "--cursor", cursor)] == ["1", "0"]
    assert shop.run("failed", "--cursor", "none").exit_code == 2


def test_list_of_none_is_empty_and_no_error(shop: Shop) -> None:
    result = shop.run("failed")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--class", "Emailer"], ["3", "0"]),
        (["--queue", "low"], ["2", "1"]),
        (["--exception", "Boom"], ["2", "0"]),
        (["--exception", "shop.errors.Boom"], ["0"]),
        (["--class", "Emailer", "--exception", "Boom"], ["0"]),
        (["--class", "Emailer", "--limit", "1"], ["3"]),
        (["--text", "NO"], ["3", "2", "1", "0"]),
        (["--class", "Emailer", "--since", "1h"], ["3", "0"]),
        (["--until", "1h"], []),
        (["--retried", "no", "--limit", "1"], ["3"]),
        (["--retried", "yes"], []),
    ],
)
def test_list_of_those_that_are_meant(shop: Shop, failing: Failing, options: list[str], found: list[str]) -> None:
    failing.fail("Emailer", exception="shop.errors.Boom")
    failing.fail("Report", queue="low")
    failing.fail("Report", queue="low", exception="My::Boom")
    failing.fail("Emailer")
    assert [each[0] for each in ids(shop, *options)] == found


def test_list_where_none_is_meant_ends_with_3(shop: Shop, failing: Failing) -> None:
    failing.fail()
    result = shop.run("failed", "--class", "Nope")
    assert result.exit_code == 3
    assert result.stderr == "None of 1 failed job is like that.\n"


def test_a_search_is_bounded_and_says_so(shop: Shop, failing: Failing) -> None:
    failing.fail("Old")
    for _ in range(3):
        failing.fail("New")
    result = shop.run("failed", "--class", "Old", "--search", "3")
    assert result.exit_code == 3
    [told, _] = result.stderr.splitlines()
    assert told.startswith("Only 3 of 4 were looked through; on: taskq failed list --class Old --cursor ")
    assert ids(shop, "--class", "Old", "--cursor", told.rpartition(" ")[2])[0][0] == "0"
    assert shop.run("failed", "--class", "Old", "--search", "4").exit_code == 0


def test_list_as_json(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer", '["a",{"k":null}]')
    said = json.loads(shop.run("failed", "--json").stdout)
    assert re.fullmatch(r"0-[0-9a-f]{6}", said.pop("id"))
    assert said.pop("failed_at")
    assert said == {
        "schema": "taskq.failed/1",
        "position": 0,
        "list": None,
        "queue": "emails",
        "job": "Emailer",
        "args": ["a", {"k": None}],
        "exception": "ValueError",
        "error": "no",
        "backtrace": ["shop/jobs.py:7:in 'perform'"],
        "worker": "host:1:*",
        "quarantined": None,
        "retried_at": None,
        "requeueable": True,
        "why_not": None,
    }


RUBBISH = [b"", b"\xff\xfe", b"null", b"[]", b'"x"', b"{", b'{"class":5}', b'{"class":"A","args":{}}', b"[" * 5000]


def test_a_list_full_of_rubbish_is_listed_and_shown(shop: Shop, failing: Failing) -> None:
    for body in RUBBISH:
        failing.fail(body=body, queue="odd\tqueue\x1b[31m")
    result = shop.run("failed")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == len(RUBBISH)
    assert "\x1b" not in result.stdout
    for place in range(len(RUBBISH)):
        shown = shop.run("failed", "show", str(place))
        assert shown.exit_code == 0
        assert "no requeue" in shown.stdout
        assert json.loads(shop.run("failed", "show", str(place), "--json").stdout)["requeueable"] is False


@pytest.mark.redis
def test_what_somebody_else_pushed_into_the_list_is_listed(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.rpush("resque:failed", b"\x00\xff", b"{}", b'{"payload":7,"error":[1],"backtrace":"x","queue":3}', b"")
    at = ("--broker", redis_server.url)
    assert len(run("failed", *at).stdout.splitlines()) == 4
    for place in range(4):
        assert run("failed", "show", str(place), *at).exit_code == 0
    result = run("failed", "requeue", "--all", *at)
    assert result.exit_code == 1
    assert result.stderr == "4 failed jobs cannot be requeued; why: taskq failed show ID\n"


# ---- show


def test_show_has_all_that_is_known(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer", '["a",1]', error="first line\nsecond")
    result = shop.run("failed", "show", ids(shop)[0])
    facts = dict(line.split("\t") for line in result.stdout.splitlines())
    assert facts["job"] == "Emailer"
    assert facts["arguments"] == '["a", 1]'
    assert facts["exception"] == "ValueError"
    assert facts["error"] == "first line / second"
    assert facts["worker"] == "host:1:*"
    assert facts["at"] == "shop/jobs.py:7:in 'perform'"


def test_show_hides_secret_arguments(shop: Shop, failing: Failing) -> None:
    import taskq

    @taskq.job(registry=shop.app.registry, secret=("token",))
    def log_in(user: str, token: str) -> None: ...

    failing.fail("log_in", '["ada","hunter2"]')
    for output in ([], ["--json"]):
        said = shop.run("failed", "show", "0", *output).output
        assert "[secret]" in said
        assert "hunter2" not in said


def test_a_quarantined_one_is_marked(shop: Shop, failing: Failing) -> None:
    failing.fail(error="Child process received unhandled signal", quarantined="it killed its process 4 times")
    [line] = shop.run("failed").stdout.splitlines()
    assert line.endswith("quarantined")
    facts = dict(line.split("\t") for line in shop.run("failed", "show", "0").stdout.splitlines())
    assert facts["quarantined"] == "it killed its process 4 times; performed as it is, it may do so again"
    assert facts["error"].endswith("(quarantined: it killed its process 4 times)")
    said = json.loads(shop.run("failed", "show", "0", "--json").stdout)
    assert said["quarantined"] == "it killed its process 4 times"


def test_show_of_some_that_are_not_there(shop: Shop, failing: Failing) -> None:
    failing.fail()
    assert shop.run("failed", "show", "0", "7").exit_code == 1
    result = shop.run("failed", "show", "7")
    assert result.exit_code == 3
    assert result.stderr == "There is no failed job 7: the last one is 0.\n"


@pytest.mark.parametrize("wrong", ["abc", "-1", "1-xyz", "1-ABCDEF", "1.5", ":1", ""])
def test_what_is_no_id_ends_with_2(shop: Shop, failing: Failing, wrong: str) -> None:
    failing.fail()
    result = shop.run("failed", "show", "--", wrong)
    assert result.exit_code == 2
    assert "12-8f3a1c" in result.stderr


# ---- requeue


def test_requeue_pushes_the_very_bytes_and_marks_the_entry(shop: Shop, failing: Failing) -> None:
    body = b'{ "args" : ["a"], "class" : "Emailer", "id" : 7 }'
    failing.fail(body=body)
    result = shop.run("failed", "requeue", ids(shop)[0])
    assert (result.exit_code, result.stdout) == (0, "Requeued 1 failed job.\n")
    assert requeued(shop) == [body]
    [line] = shop.run("failed").stdout.splitlines()
    assert line.endswith("\tretried")


def test_requeue_twice_hears_that_it_was_already_retried(shop: Shop, failing: Failing) -> None:
    failing.fail()
    [seen] = ids(shop)
    assert shop.run("failed", "requeue", seen).exit_code == 0
    again = shop.run("failed", "requeue", seen)
    assert again.exit_code == 3
    assert f"{seen} was already retried at " in again.stderr
    by_place = shop.run("failed", "requeue", "0")
    assert by_place.exit_code == 1
    assert "--again" in by_place.stderr
    assert len(requeued(shop)) == 1
    assert shop.run("failed", "requeue", "0", "--again").exit_code == 0
    assert len(requeued(shop)) == 2


def test_an_id_names_what_was_seen_though_older_ones_are_removed(shop: Shop, failing: Failing) -> None:
    for number in range(4):
        failing.fail(f"Job{number}")
    seen = ids(shop)[0]
    shop.app.failures.remove(shop.app.failures.list(newest_first=False)[0])
    assert shop.run("failed", "requeue", seen).exit_code == 0
    assert requeued(shop) == [b'{"class":"Job3","args":[]}']


def test_an_id_of_what_was_removed_names_nothing_else(shop: Shop, failing: Failing) -> None:
    failing.fail("Job0")
    failing.fail("Job1")
    seen = ids(shop)[1]
    assert shop.run("failed", "remove", seen, "--yes").exit_code == 0
    for verb in ("requeue", "remove", "show"):
        result = shop.run("failed", verb, seen)
        assert result.exit_code == 3
        assert result.stderr == f"{seen} is gone: somebody removed it.\n"
    assert requeued(shop) == []


def test_requeue_all_takes_the_oldest_first_and_leaves_out_what_was_retried(shop: Shop, failing: Failing) -> None:
    for number in range(3):
        failing.fail(f"Job{number}")
    assert shop.run("failed", "requeue", "1").exit_code == 0
    result = shop.run("failed", "requeue", "--all")
    assert result.exit_code == 0
    assert result.stdout == "Requeued 2 failed jobs. 1 job had been retried before; once more: --again\n"
    assert [json.loads(body)["class"] for body in requeued(shop)] == ["Job1", "Job0", "Job2"]
    assert shop.run("failed", "requeue", "--all").exit_code == 0
    assert len(requeued(shop)) == 3
    assert shop.run("failed", "requeue", "--all", "--again").exit_code == 0
    assert len(requeued(shop)) == 6


def test_requeue_of_those_that_are_meant(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer")
    failing.fail("Report", queue="low", exception="Boom")
    assert shop.run("failed", "requeue", "--exception", "Boom").exit_code == 0
    assert requeued(shop) == []
    assert len(requeued(shop, "low")) == 1
    result = shop.run("failed", "requeue", "--all", "--class", "Nope")
    assert result.exit_code == 3
    assert "None of 2 failed jobs is like that." in result.stderr


def test_requeue_of_none_ends_with_3(shop: Shop) -> None:
    result = shop.run("failed", "requeue", "--all")
    assert (result.exit_code, result.stderr) == (3, "There are no failed jobs.\n")


def test_what_cannot_be_requeued_says_why_and_stops_no_other(shop: Shop, failing: Failing) -> None:
    failing.fail(body=b"rubbish")
    failing.fail("Emailer")
    result = shop.run("failed", "requeue", "--all")
    assert result.exit_code == 1
    assert "1 failed job cannot be requeued" in result.stderr
    assert result.stdout == "Requeued 1 failed job.\n"
    by_id = shop.run("failed", "requeue", "0")
    assert by_id.exit_code == 1
    assert "This failed job cannot be requeued." in by_id.stderr


@pytest.mark.parametrize("verb", ["requeue", "remove"])
@pytest.mark.parametrize("said", [[], ["0", "--all"], ["0", "--class", "Emailer"]])
def test_either_ids_or_those_that_are_meant(shop: Shop, verb: str, said: list[str]) -> None:
    result = shop.run("failed", verb, *said)
    assert result.exit_code == 2
    assert "--all" in result.stderr


def test_requeue_as_json_says_what_came_of_it(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer")
    failing.fail("Emailer")
    shop.run("failed", "requeue", "0")
    said = json.loads(shop.run("failed", "requeue", "--all", "--json").stdout)
    assert said["schema"] == "taskq.failed_requeue/1"
    assert (said["matched"], said["done"], said["already"], said["stopped"]) == (2, 1, 1, False)


# ---- groups


def test_groups_of_the_same_problem(shop: Shop, failing: Failing) -> None:
    for number in range(4):
        failing.fail("Charge", error=f"order {number} of 'shop {number}' is gone")
    failing.fail("Emailer")
    charge, emailer = (line.split("\t") for line in shop.run("failed", "groups").stdout.splitlines())
    assert (charge[0], *charge[2:]) == ("4", "Charge", "ValueError", "order <n> of <text> is gone")
    assert emailer[0] == "1"
    assert len(ids(shop, "--group", charge[1])) == 4
    said = json.loads(shop.run("failed", "groups", "--class", "Emailer", "--json").stdout)
    assert (said["schema"], said["count"], said["example"][:2]) == ("taskq.failed_group/1", 1, "4-")
    assert shop.run("failed", "groups", "--class", "Nope").exit_code == 3
    assert shop.run("failed", "requeue", "--group", charge[1]).stdout == "Requeued 4 failed jobs.\n"


# ---- edit


def test_edit_requeues_with_other_arguments_and_what_is_hidden_as_it_was(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer", '["ada",{"api_token":"hunter2","n":1}]')
    [seen] = ids(shop)
    args = '["bob",{"api_token":"[secret 1: token]","n":2}]'
    result = shop.run("failed", "edit", seen, "--args", args)
    assert (result.exit_code, result.stdout) == (0, "Requeued 1 failed job to emails, edited.\n")
    assert requeued(shop) == [b'{"class":"Emailer","args":["bob",{"api_token":"hunter2","n":2}]}']
    assert "hunter2" not in shop.run("failed", "show", "0").output
    assert shop.run("failed", "edit", seen, "--args", args).exit_code == 3


@pytest.mark.parametrize(("args", "said"), [("[1", "cannot be read"), ("{}", "list in JSON"), ("[NaN]", "NaN")])
def test_edit_with_what_are_no_arguments(shop: Shop, failing: Failing, args: str, said: str) -> None:
    failing.fail()
    result = shop.run("failed", "edit", "0", "--args", args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert requeued(shop) == []


@pytest.mark.parametrize(
    ("editor", "code", "said"),
    [
        ("sed -i s/ada/bob/", 0, "Requeued 1 failed job to emails, edited."),
        ("touch", 1, "Nothing was changed"),
        ("true", 1, "Nothing was changed"),
        ("cp /dev/null", 1, "Nothing was left of the arguments"),
        ("sed -i s/[]]//", 2, "What you wrote is kept"),
        ("sed -i s/1:/7:/", 2, "stands for no argument of this job"),
        ("false", 1, "Another editor: EDITOR=nano taskq failed edit 0-"),
        ("no-such-editor", 2, "Another editor: EDITOR=nano taskq failed edit 0-"),
        ("sed 'x", 2, "$EDITOR cannot be read"),
    ],
)
def test_edit_in_an_editor(
    memory_shop: Shop, editor: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Failing(memory_shop.app.broker).fail("Emailer", '["ada",{"api_token":"hunter2"}]')
    monkeypatch.setattr("taskq.cli.failed.on_terminal", lambda: True)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = memory_shop.run("failed", "edit", "0")
    assert (result.exit_code, said in result.output) == (code, True)
    assert len(result.stderr.splitlines()) <= 4
    kept = [path.read_text() for path in tmp_path.glob("taskq-args-*.json")]
    assert not any("hunter2" in text for text in (result.output, *kept))
    edited = b'{"class":"Emailer","args":["bob",{"api_token":"hunter2"}]}'
    assert requeued(memory_shop) == ([] if code else [edited])
    assert len(kept) == ("What you wrote is kept" in result.stderr)


def test_edit_of_one_that_was_retried_needs_again(shop: Shop, failing: Failing) -> None:
    failing.fail()
    shop.run("failed", "requeue", "0")
    result = shop.run("failed", "edit", "0", "--args", "[1]")
    assert result.exit_code == 1
    assert "once more: --again" in result.stderr
    said = json.loads(shop.run("failed", "edit", "0", "--args", "[1]", "--again", "--json").stdout)
    assert (said["schema"], said["queue"], said["done"]) == ("taskq.failed_edit/1", "emails", 1)


@pytest.mark.parametrize(("verb", "act"), [("requeue", "requeue_failures"), ("remove", "remove_failures")])
def test_ctrl_c_stops_between_two_says_how_far_it_got_and_the_same_again_goes_on(
    memory_shop: Shop, verb: str, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(memory_shop.app.broker)
    for number in range(500):
        failing.fail("Emailer", f"[{number}]")
    done = getattr(memory_shop.app.broker, act)

    def interrupted(*args: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return done(*args)

    with monkeypatch.context() as patched:
        patched.setattr(memory_shop.app.broker, act, interrupted)
        result = memory_shop.run("failed", verb, "--class", "Emailer", *(["--yes"] if verb == "remove" else []))
    assert result.exit_code == 130
    far = re.search(r"(Requeued|Removed) (\d+) failed jobs?\.", result.stdout)
    assert far is not None
    assert 0 < int(far[2]) < 500
    assert re.search(r"Stopped after \d+ of \d+\. To go on: the same again\.", result.stderr)
    again = memory_shop.run("failed", verb, "--class", "Emailer", *(["--yes"] if verb == "remove" else []))
    assert again.exit_code == 0
    if verb == "requeue":
        assert len(set(requeued(memory_shop))) == len(requeued(memory_shop)) == 500
    else:
        assert memory_shop.app.failures.count() == 0


def test_groups_hide_what_arguments_hide(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer", '[{"token":"hunterx"}]', error="hunterx is refused")
    for said in (shop.run("failed", "groups").stdout, shop.run("failed", "groups", "--json").stdout):
        assert "[secret] is refused" in said
        assert "hunterx" not in said


def test_edit_without_a_terminal_says_how(shop: Shop, failing: Failing) -> None:
    failing.fail()
    result = shop.run("failed", "edit", "0")
    assert result.exit_code == 2
    assert "--args" in result.stderr


# ---- remove and clear


def test_remove_of_several_by_their_places_removes_just_these(shop: Shop, failing: Failing) -> None:
    for number in range(5):
        failing.fail(f"Job{number}")
    result = shop.run("failed", "remove", "0", "2", "3", "--yes")
    assert (result.exit_code, result.stdout) == (0, "Removed 3 failed jobs.\n")
    left = [line.split("\t")[3] for line in shop.run("failed").stdout.splitlines()]
    assert left == ["Job4", "Job1"]


def test_remove_of_the_same_twice_is_once(shop: Shop, failing: Failing) -> None:
    failing.fail()
    assert shop.run("failed", "remove", "0", ids(shop)[0], "--yes").stdout == "Removed 1 failed job.\n"


def test_remove_of_those_that_are_meant_asks(shop: Shop, failing: Failing) -> None:
    for number in range(450):  # more than two pages
        failing.fail("Emailer" if number % 2 else "Report")
    result = shop.run("failed", "remove", "--class", "Emailer")
    assert result.exit_code == 2
    assert "Remove 225 failed jobs?" in result.stderr
    assert shop.run("failed", "remove", "--class", "Emailer", "--yes").stdout == "Removed 225 failed jobs.\n"
    assert {failed.payload.job for failed in shop.app.failures.each() if failed.payload} == {"Report"}
    assert shop.app.failures.count() == 225


@pytest.mark.parametrize(
    "args", [("clear",), ("clear", "--queue", "emails"), ("remove", "--all"), ("remove", "-q", "emails")]
)
def test_what_fails_while_it_asks_was_not_counted_and_stays(
    args: Sequence[str], shop: Shop, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(210):  # equal ones too, and more than a page
        failing.fail("Emailer")
    failing.fail("Report", by_queue=True)

    def yes(what: str, *, yes: bool) -> None:
        assert what == "Remove 211 failed jobs"
        failing.fail("Late")
        failing.fail("Late", by_queue=True)

    monkeypatch.setattr("taskq.cli.failed.confirm", yes)
    assert shop.run("failed", *args).stdout == "Removed 211 failed jobs.\n"
    assert [failed.payload.job for failed in shop.app.failures.each() if failed.payload] == ["Late", "Late"]


def test_clear_needs_yes_where_nobody_can_be_asked(shop: Shop, failing: Failing) -> None:
    failing.fail()
    result = shop.run("failed", "clear")
    assert result.exit_code == 2
    assert result.stderr == ("Remove 1 failed job? There is no terminal to ask on. Nothing was done; to do it: --yes\n")
    assert shop.app.failures.count() == 1
    assert shop.run("failed", "clear", "--yes").exit_code == 0
    assert shop.app.failures.count() == 0
    assert shop.run("failed", "clear", "--yes").exit_code == 0


def test_clear_of_one_queue(shop: Shop, failing: Failing) -> None:
    failing.fail()
    failing.fail(queue="low")
    assert shop.run("failed", "clear", "--queue", "low", "--yes").exit_code == 0
    assert [failed.job_queue for failed in shop.app.failures.each()] == ["emails"]
    assert shop.run("failed", "clear", "--queue", "low", "--yes").exit_code == 3


def test_clear_of_what_was_retried(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer")
    failing.fail("Report")
    shop.run("failed", "requeue", "0")
    assert shop.run("failed", "clear", "--retried", "--yes").stdout == "Removed 1 failed job.\n"
    assert [failed.payload.job for failed in shop.app.failures.each() if failed.payload] == ["Report"]


# ---- a failed list for each queue


def test_failed_lists_of_queues_are_listed_and_named_with_them(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer")
    failing.fail("Report", queue="low:prio", by_queue=True)
    found = ids(shop)
    assert re.fullmatch(r"0-[0-9a-f]{6}", found[0])
    assert re.fullmatch(r"low:prio:0-[0-9a-f]{6}", found[1])
    assert shop.run("failed", "requeue", found[1]).exit_code == 0
    assert len(requeued(shop, "low:prio")) == 1
    assert shop.run("failed", "remove", "low:prio:0", "--yes").exit_code == 0
    assert shop.app.failures.count() == 1
