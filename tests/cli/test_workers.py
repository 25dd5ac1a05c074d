from __future__ import annotations

import json
import re
import socket
from dataclasses import replace

import pytest

from taskq.identity import this_process
from taskq.records import ProcessIdentity, Registration, Tokens
from tests.cli.conftest import Shop


def register(
    shop: Shop,
    worker: str,
    *,
    host: str = "somewhere",
    dead_after: float = 25.0,
    process: ProcessIdentity | None = None,
) -> Tokens:
    tokens = Tokens()
    process = process or ProcessIdentity(host, "", "", 1, "")
    assert shop.app.broker.register(Registration(worker, process, dead_after, 5.0, tokens.process))
    return tokens


def test_list_says_what_each_does(shop: Shop) -> None:
    tokens = register(shop, "a:1:emails,low")
    register(shop, "b:2:*")
    shop.app.broker.push("emails", [b'{"class":"Emailer","args":["x"]}'])
    assert shop.app.broker.reserve("a:1:emails,low", ["emails"], tokens.next()).jobs
    first, second = (line.split("\t") for line in shop.run("workers").stdout.splitlines())
    # On Redis a heartbeat is written in whole seconds.
    assert [*first[:3], *first[5:]] == ["a:1:emails,low", "working", 'Emailer ["x"]', "0", "0"]
    assert {*first[3:5], second[4]} <= {"0 s", "1 s"}
    assert [*second[:4], *second[5:]] == ["b:2:*", "idle", "", "", "0", "0"]


def test_list_as_json(shop: Shop) -> None:
    tokens = register(shop, "a:1:emails,low")
    shop.app.broker.push("emails", [b'{"class":"Emailer","args":["x"]}'])
    [held] = shop.app.broker.reserve("a:1:emails,low", ["emails"], tokens.next()).jobs
    said = json.loads(shop.run("workers", "--json").stdout)
    assert said["schema"] == "taskq.worker/1"
    assert said["worker"] == "a:1:emails,low"
    assert (said["host"], said["pid"], said["queues"]) == ("a", 1, ["emails", "low"])
    assert said["state"] == "working"
    assert said["job"] == {"job": "Emailer", "args": ["x"], "queue": "emails", "run_at": held.run_at}
    assert 0 <= said["heartbeat_age"] < 60


def test_list_of_none_is_empty_and_no_error(shop: Shop) -> None:
    result = shop.run("workers", "list")
    assert (result.exit_code, result.output) == (0, "")


def test_show_says_all_that_is_known(shop: Shop) -> None:
    tokens = register(shop, "a:1:emails,low")
    shop.app.broker.push("emails", [b'{"class":"Emailer","args":[{"token":"hunter2"}]}'])
    assert shop.app.broker.reserve("a:1:emails,low", ["emails"], tokens.next()).jobs
    said = dict(line.split("\t") for line in shop.run("workers", "show", "a:1:emails,low").stdout.splitlines())
    assert (said["host"], said["pid"], said["queues"], said["state"]) == ("somewhere", "1", "emails,low", "working")
    assert (said["job"], said["queue"]) == ('Emailer [{"token": "[secret: token]"}]', "emails")
    as_json = json.loads(shop.run("workers", "show", "a:1:emails,low", "--json").stdout)
    assert (as_json["schema"], as_json["job"]["args"]) == ("taskq.worker/1", [{"token": "[secret: token]"}])
    missing = shop.run("workers", "show", "a:1:emails")
    assert (missing.exit_code, "Did you mean a:1:emails,low?" in missing.stderr) == (3, True)


def test_prune_says_what_becomes_of_the_job_asks_and_settles_it(shop: Shop) -> None:
    tokens = register(shop, "gone:1:*", process=replace(this_process(), pid=2**22 + 7))
    shop.app.broker.push("emails", [b'{"class":"Emailer","args":["x"]}'])
    assert shop.app.broker.reserve("gone:1:*", ["emails"], tokens.next()).jobs
    register(shop, "lives:1:*", process=this_process())
    asked = shop.run("workers", "prune")
    assert (asked.exit_code, "gone:1:*" in asked.stdout, "failed list" in asked.stdout) == (2, True, True)
    assert "Prune 1 dead worker?" in asked.stderr
    assert shop.run("workers", "prune", "lives:1:*", "--yes").exit_code == 3
    said = json.loads(shop.run("workers", "prune", "--yes", "--json").stdout)
    assert (said["schema"], said["worker"], said["done"], said["became"]) == (
        "taskq.pruned/1", "gone:1:*", True, "failed",
    )  # fmt: skip
    assert [worker.id for worker in shop.app.workers()] == ["lives:1:*"]
    assert shop.app.failures.count() == 1
    assert shop.run("workers", "prune", "--yes").exit_code == 3


def test_check_of_a_living_worker_of_this_host(shop: Shop) -> None:
    register(shop, f"{socket.gethostname()}:17:emails")
    result = shop.run("workers", "check", "--max-age", "30")
    assert result.exit_code == 0
    assert re.fullmatch(rf"{re.escape(socket.gethostname())}:17:emails sent .* [01] s ago\.\n", result.stdout)


@pytest.mark.parametrize("worker", ["web+1:17:emails", "web:17:emails", "alias:17:emails"])
def test_check_knows_a_host_by_each_of_its_names(shop: Shop, worker: str) -> None:
    register(shop, worker, host="web")
    assert shop.run("workers", "check", "--host", "web").exit_code == 0


def test_check_as_json(memory_shop: Shop) -> None:
    register(memory_shop, "web:17:emails")
    found = json.loads(memory_shop.run("workers", "check", "--host", "web", "--json").stdout)
    assert (found["alive"], found["worker"], found["max_age"]) == (True, "web:17:emails", 30.0)
    assert 0 <= found["heartbeat_age"] < 30
    result = memory_shop.run("workers", "check", "--host", "nowhere", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert (found["alive"], found["worker"], found["heartbeat_age"]) == (False, None, None)


def test_check_of_one_worker(shop: Shop) -> None:
    register(shop, "web:17:emails")
    assert shop.run("workers", "check", "--worker", "web:17:emails").exit_code == 0
    result = shop.run("workers", "check", "--worker", "web:18:emails")
    assert result.exit_code == 1
    assert result.stderr == "Worker web:18:emails is not registered. Did you mean web:17:emails?\n"


def test_check_where_no_worker_of_the_host_is(shop: Shop) -> None:
    register(shop, "elsewhere:17:emails")
    result = shop.run("workers", "check")
    assert result.exit_code == 1
    assert f"No worker of {socket.gethostname()} is registered." in result.stderr


def test_check_of_one_that_has_fallen_silent(memory_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    register(memory_shop, "web:17:emails")
    later = memory_shop.app.broker.now() + 31
    monkeypatch.setattr(memory_shop.app.broker, "now", lambda: later)
    result = memory_shop.run("workers", "check", "--host", "web")
    assert result.exit_code == 1
    assert result.stderr == "web:17:emails sent its last heartbeat 31 s ago. That is more than 30 s.\n"
    assert memory_shop.run("workers", "check", "--host", "web", "--max-age", "60").exit_code == 0
    assert "\tsilent\t" in memory_shop.run("workers").stdout


@pytest.mark.parametrize("said", ["0", "-1", "soon", "nan", "inf", "1e12"])
def test_check_takes_seconds(said: str, memory_shop: Shop) -> None:
    result = memory_shop.run("workers", "check", "--max-age", said)
    assert result.exit_code == 2
    assert f"'{said}' is no number of seconds above 0, a century at most." in result.stderr


def test_check_takes_the_youngest_heartbeat(memory_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = memory_shop.app.broker
    register(memory_shop, "web:1:emails")
    later = broker.now() + 100
    monkeypatch.setattr(broker, "_clock", lambda: later)
    register(memory_shop, "web:2:emails")
    result = memory_shop.run("workers", "check", "--host", "web")
    assert result.exit_code == 0
    assert "web:2:emails" in result.stdout
