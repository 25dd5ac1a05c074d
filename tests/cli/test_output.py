from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import taskq
from taskq import registry
from taskq.cli import output
from taskq.cli.main import program
from taskq.cli.output import Column
from tests.cli.conftest import Shop, run


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("grün 👍🏽 日本", "grün 👍🏽 日本"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("left\u202eright", r"left\u202eright"),
        ("\u2028\x85", r"\u2028\x85"),
        ("\udcff", r"\udcff"),
    ],
)
def test_plain_leaves_nothing_that_a_terminal_acts_on(text: str, shown: str) -> None:
    assert output.plain(text) == shown


def test_nothing_in_a_line_for_people_steers_their_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    # In a pipe click takes out colours, which would hide what gets through to a terminal.
    with click.Context(click.Command("x"), color=True):
        output.say("pruned \x1b[2Jx\n", ("good\x07", "good"))
        output.complain("no queue \x1b]0;title\x07\nAll is well.")
        output.hint("taskq queues unpause \x1b[2Jx")
        output.show_facts([("worker", "\x1b[2Jx")])
    said, complained = capsys.readouterr()
    assert said == "pruned \\x1b[2Jx\\n\x1b[32mgood\\x07\x1b[0m\n\x1b[1mworker\x1b[0m  \\x1b[2Jx\n"
    assert complained == ("no queue \\x1b]0;title\\x07\\nAll is well.\n\x1b[2mtaskq queues unpause \\x1b[2Jx\x1b[0m\n")


def test_a_name_with_control_characters_is_escaped_by_every_way_out(shop: Shop) -> None:
    name = "q\x1b[2J\x9b31m"
    shop.app.broker.push(name, [b"{}"])
    said = []
    for typed in (
        ["pause", name],
        ["unpause", name],
        ["peek", "other"],
        ["remove", name, "other"],
        ["remove", name, "-y"],
    ):
        done = CliRunner().invoke(program, ["--app", shop.name, "queues", *typed], color=True)
        said.append(done.output)
        assert "\x1b" not in done.output
        assert "\x9b" not in done.output
    assert all("q\\x1b[2J\\x9b31m" in text for text in said), said


def test_commands_say_nothing_past_what_escapes() -> None:
    folder = Path(output.__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.name != "output.py":
            assert not re.findall(r"click\.s?echo\(|click\.secho\(", path.read_text()), path.name


def test_lines_in_a_pipe_have_as_many_tabs_as_columns_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([Column("a"), Column("b")], [("1\t2", "3\n4"), ("5", "6")])
    assert capsys.readouterr().out == "1\\t2\t3\\n4\n5\t6\n"


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([Column("a", cut=True)], [("x" * 300,)], always=True)
    assert "x" * 300 in capsys.readouterr().out


def test_a_table_takes_no_value_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([Column("a")], [("[secret]",), ("[bold]x[/bold]",), (":smile:",)], always=True)
    said = capsys.readouterr().out
    for text in ("[secret]", "[bold]x[/bold]", ":smile:"):
        assert text in said


@pytest.mark.parametrize(("width", "columns"), [("80", ["job", "error", "since", "last"]), ("24", ["job", "error"])])
def test_a_narrow_terminal_has_the_columns_that_matter(
    width: str, columns: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", width)
    rows = [("send_email_to_all", "ValueError: " + "x" * 90, "1 min", "20 min")]
    spare = [Column(name, right=True, spare=True) for name in ("since", "last")]
    output.show([Column("job", cut=True), Column("error", cut=True), *spare], rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == columns
    assert (len(lines), {len(line) for line in lines} <= {int(width)}) == (3, True)


@pytest.mark.parametrize("long", ["host:1:" + "queue," * 20, "L" * 100_000])
def test_what_is_wider_than_the_terminal_is_cut_and_what_has_a_line_is_whole(
    long: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    output.show([Column("worker"), Column("state")], [(long, "working"), ("host:2:emails", "idle")])
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), max(map(len, lines))) == (4, 40)
    assert "host:2:emails" in lines[3]
    output.show([Column("worker"), Column("state")], [("w" * 38, "working")])
    assert "w" * 38 in capsys.readouterr().out


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("-inf"),
        b"\xff",
        datetime(2026, 1, 1, tzinfo=UTC),
        {1: 2},
        {"k": {(1, 2): object()}},
        "\udc80",
    ],
)
def test_json_is_json_whatever_a_payload_held(value: object) -> None:
    text = output.as_json({"value": value, "ünicode": "\u2028"})
    assert text.isascii()
    assert "\n" not in text
    assert isinstance(json.loads(text, parse_constant=pytest.fail), dict)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (90000.0, "25 h"),
        (200000.0, "2 d"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert output.duration(seconds) == said


@pytest.mark.parametrize("command", [("queues", "peek", "q"), ("delayed", "list")])
def test_where_no_application_is_named_it_is_said_that_nobody_knows_what_is_secret(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry.DEFAULT, "_by_name", {})  # other modules of tests define jobs in this process
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    with taskq.TaskQ(broker=url) as app:
        app.enqueue_to("q", "Login", "ada", "s3cr3t")
        app.options(queue="q", delay=1000).enqueue("Login", "ada", "s3cr3t")
    done = run("-b", url, *command)
    assert "s3cr3t" in done.stdout
    assert "No application is named" not in done.stderr  # a pipe has no reader
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    assert "No application is named" in run("-b", url, *command).stderr
