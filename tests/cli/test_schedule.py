from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskq.jobs import job
from tests.cli.conftest import Shop, Typed


@pytest.fixture
def full(shop: Shop) -> Shop:
    @job(queue="reports", cron="0 6 * * 1-5", tz="Europe/Berlin", args=["daily"], registry=shop.app.registry)
    def report(kind: str) -> None: ...

    return shop


def test_list_says_rules_in_words(full: Shop) -> None:
    [line] = full.run("schedule").stdout.splitlines()
    name, words, what, arguments, queue, last, following, origin = line.split("\t")
    assert (name, words) == ("report", "At 06:00 on Monday through Friday, Europe/Berlin")
    assert (what, arguments, queue, last, origin) == ("report", '["daily"]', "reports", "never", "code")
    assert following.count(":") == 2


def test_what_lies_under_a_secret_name_is_not_listed(full: Shop) -> None:
    args = ["schedule", "set", "s", "Other", '{"token":"hunter2"}', "--queue", "low", "--every", "5m"]
    assert full.run(*args).exit_code == 0
    assert "hunter2" not in full.run(*args, "--json").stdout
    for listed in (full.run("schedule").stdout, full.run("schedule", "--json").stdout):
        assert "[secret: token]" in listed
        assert "hunter2" not in listed


def test_what_acts_says_so_as_json(full: Shop) -> None:
    done = full.run("schedule", "run", "report", "nope", "--json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["schema"], each["name"], each["done"]) for each in said] == [
        ("taskq.schedule_run/1", "report", True),
        ("taskq.schedule_run/1", "nope", False),
    ]
    assert done.exit_code == 1


def test_set_run_disable_enable_remove(full: Shop) -> None:
    done = full.run("schedule", "set", "weekly", "report", "weekly", "--cron", "0 7 * * 1", "--tz", "UTC")
    assert done.exit_code == 0
    assert done.stdout.startswith("weekly enqueues report to reports: At 07:00 on Monday, UTC. Next: ")
    assert full.run("schedule", "run", "weekly", "report").stdout == "Enqueued report to reports.\n" * 2
    assert full.app.size("reports") == 2
    assert full.run("schedule", "disable", "weekly", "report").stdout == "weekly is disabled.\nreport is disabled.\n"
    listed = [json.loads(line) for line in full.run("schedule", "--json").stdout.splitlines()]
    assert [(each["name"], each["enabled"], each["next"], each["origin"]) for each in listed] == [
        ("report", False, None, "stored"),
        ("weekly", False, None, "stored"),
    ]
    # The job's own queue too: Ruby's scheduler, or one of another application, does not know it.
    assert [json.loads(body)["queue"] for body in full.app.broker.schedules().values()] == ["reports"] * 2
    assert full.run("schedule", "enable", "report").stdout == "report is enabled.\n"
    assert full.run("schedule", "enable", "report").stdout == "report is already enabled.\n"
    refused = full.run("schedule", "remove", "report", "--yes")
    assert (refused.exit_code, "not in the store" in refused.stderr) == (1, True)
    assert full.run("schedule", "remove", "weekly", "--yes").stdout == "Removed weekly.\n"
    missing = full.run("schedule", "run", "weekl")
    assert (missing.exit_code, missing.stderr) == (3, 'There is no schedule "weekl".\n')


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cron", "0 7 * *"], "Wrong number of fields"),
        (["--cron", "0 7 * * *", "--every", "5m"], "one of them"),
        ([], "one of them"),
        (["--every", "soon"], "no span of time"),
    ],
)
def test_set_says_what_cannot_be(full: Shop, arguments: list[str], says: str) -> None:
    result = full.run("schedule", "set", "x", "report", "a", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert full.app.broker.schedules() == {}


def test_scheduler_says_all_that_is_wrong_in_a_file(typed: Typed, tmp_path: Path) -> None:
    """What could never be enqueued as well: not only at its tick."""
    (tmp_path / "tasks.py").write_text("import taskq\n\n@taskq.job(queue='q')\ndef tick(n): ...\n")
    (tmp_path / "s.yml").write_text(
        """
        fine: {every: 1h, class: Other, queue: q}
        a: {cron: '99 * * * *'}
        b: {every: 1h, class: tick, args: [1, 2]}
        c: {every: 1h, class: Nowhere}
        d: {every: 1h, class: tick, args: [2030-01-01]}
        e: {every: 1h, clas: tick, queue: q}
        """
    )
    done = typed("scheduler", "--broker", "sqlite:///jobs.db", "--app", "tasks", "--schedule", "s.yml")
    assert done.returncode == 2
    said = [line.partition("s.yml: ")[2] for line in done.stderr.splitlines() if "s.yml: " in line]
    assert [line[:2] for line in said] == ["a:", "b:", "c:", "d:", "e:"]
    for line, words in zip(
        said[1:], ("tick() takes", "no queue", 'Argument "n" of tick() is a date', '"class"'), strict=True
    ):
        assert words in line


def test_scheduler_needs_its_extra_only_for_cron_and_files(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text("a: {cron: '0 * * * *'}\n")
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['cronsim'] = None\n")
    done = typed("scheduler", "--broker", "sqlite:///jobs.db", "--schedule", "s.yml", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert 'pip install "taskq[scheduler]"' in done.stderr


def test_a_worker_says_what_does_not_go_with_a_scheduler(typed: Typed) -> None:
    for arguments, says in (
        (["--with-scheduler", "--burst"], "exclude each other"),
        (["--schedule", "s.yml"], "--with-scheduler too"),
    ):
        done = typed("worker", "--broker", "sqlite:///jobs.db", *arguments)
        assert done.returncode == 2
        assert says in done.stderr
