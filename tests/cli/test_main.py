from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from taskq import plugins
from taskq.cli import endings
from taskq.cli.main import COMMANDS, program
from tests.cli.conftest import Shop, Typed, on_a_terminal, run
from tests.support.distributions import SitePackages

ALL = [
    *([name] for name in COMMANDS),
    *(["queues", name] for name in ("list", "peek", "pause", "unpause", "remove")),
    *(["workers", name] for name in ("list", "show", "check", "prune")),
    *(["failed", name] for name in ("list", "groups", "show", "requeue", "edit", "remove", "clear")),
    *(["delayed", name] for name in ("list", "run", "remove", "clear")),
    *(["schedule", name] for name in ("list", "run", "enable", "disable", "set", "remove")),
    ["jobs", "list"],
]

AWAY = "redis://127.0.0.1:1"
NEED_A_BROKER = [
    ["info"],
    ["queues"],
    ["queues", "peek", "emails"],
    ["queues", "pause", "emails"],
    ["queues", "unpause", "--all"],
    ["queues", "remove", "emails", "--yes"],
    ["workers"],
    ["workers", "check"],
    ["failed"],
    ["failed", "show", "1"],
    ["failed", "requeue", "--all"],
    ["failed", "remove", "1"],
    ["failed", "clear", "--yes"],
    ["enqueue", "--queue", "emails", "Emailer"],
]


# ---- help


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_each_command_has_help_with_an_example_and_the_common_options(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    examples = result.output.partition("Example")[2]
    assert f"taskq {command[0]}" in examples
    for option in ("--broker", "--app", "--debug"):
        assert option in result.output


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    code = """if True:
        import sys
        from taskq.cli.main import program
        try:
            program.main(["--help"])
        except SystemExit:
            print(*sys.modules)
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", said, re.MULTILINE)
    loaded = {"redis", "rich", "stevedore", "setproctitle", "taskq_redis", "taskq.worker.run", "taskq.cli.worker"}
    assert not loaded & set(said.splitlines()[-1].split())


def test_no_command_at_all_is_answered_with_help(typed: Typed) -> None:
    done = typed()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_version(typed: Typed) -> None:
    assert re.fullmatch(r"taskq \d+\.\d+\.\d+\n", typed("--version").stdout)


# ---- mistakes in the command


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        (["wroker"], "worker"),
        (["fialed"], "failed"),
        (["failed", "reqeue"], "requeue"),
        (["queues", "paus"], "pause"),
        (["workers", "chekc"], "check"),
    ],
)
def test_a_mistyped_command_is_answered_with_the_nearest(mistyped: list[str], meant: str) -> None:
    result = run(*mistyped)
    assert result.exit_code == 2
    assert f'there is no command "{mistyped[-1]}". Did you mean {meant}?' in result.stderr
    assert "--help" in result.stderr
    assert len(result.stderr.splitlines()) <= 4


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["enqueue", "Job", "--queue"], "taskq enqueue"),
        (["failed", "list", "--class"], "taskq failed list"),
        (["failed", "--class"], "taskq failed list"),
        (["failed", "-b"], "taskq failed"),
        (["--app"], "taskq"),
    ],
)
def test_a_value_that_is_missing_is_said_of_the_command_that_was_typed(typed: list[str], command: str) -> None:
    result = run(*typed)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, f"Try: {command} --help")
    assert result.stderr.startswith(f"{command}: Option '{typed[-1]}' requires an argument")


def test_a_mistyped_option_is_answered_with_the_nearest() -> None:
    result = run("worker", "--bust")
    assert result.exit_code == 2
    assert "--burst" in result.stderr
    assert len(result.stderr.splitlines()) <= 4


@pytest.mark.parametrize(
    "wrong", [["queues", "peek"], ["failed", "list", "--limit", "x"], ["info", "more"], ["failed", "--limit", "0"]]
)
def test_a_wrong_use_ends_with_2_and_says_where_help_is(wrong: list[str]) -> None:
    result = run(*wrong)
    assert result.exit_code == 2
    assert "Try: taskq" in result.stderr
    assert len(result.stderr.splitlines()) <= 4


def test_all_mistakes_in_the_configuration_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_BEAT", "never")
    result = run("worker", "--count", "0", "--interval", "soon")
    assert result.exit_code == 2
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["TASKQ_BEAT", "--count", "--interval"]


# ---- the broker


@pytest.mark.parametrize("command", NEED_A_BROKER, ids=" ".join)
def test_without_a_broker_each_command_says_so_and_ends(command: list[str]) -> None:
    done = run(*command, "--broker", AWAY)
    assert done.exit_code == 69
    _says_that_it_is_away(done.stderr)


@pytest.mark.parametrize("option", ["--burst", "--no-retry"])
def test_without_a_broker_a_worker_that_does_not_wait_for_it_says_the_same(
    option: str, project: Path, typed: Typed
) -> None:
    done = typed("worker", option, "--app", "shop.jobs", "--broker", AWAY)
    assert done.returncode == 69
    _says_that_it_is_away(done.stderr)


def _says_that_it_is_away(said: str) -> None:
    assert said.startswith("Cannot reach Redis at 127.0.0.1:1 (connection refused). Is it running? Try: ")
    assert "--broker or TASKQ_BROKER" in said
    assert len(said.splitlines()) == 1


def test_plugins_needs_no_broker() -> None:
    assert run("plugins", "--broker", AWAY).exit_code == 0


@pytest.mark.redis
def test_a_wrong_password_ends_with_2_and_is_not_shown(redis_url: str) -> None:
    result = run("info", "--broker", redis_url.replace("redis://", "redis://mallory:hunter2@"))
    assert result.exit_code == 2
    assert "password" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    "address",
    [
        "rdeis://user:hunter2@127.0.0.1:1/0",
        "redis://user:hunter2@127.0.0.1:1/0",
        "redis://user:hunter2@127.0.0.1:nonsense",
        "redis://user:hunter2/x@127.0.0.1:1",
        "user:hunter2@127.0.0.1:1",
        "redis://127.0.0.1:1?password=hunter2",
    ],
)
@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["quiet", "debug"])
@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_password_shows_nowhere(address: str, debug: list[str], how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "environment":
        monkeypatch.setenv("TASKQ_BROKER", address)
    result = run("info", *debug, *(["--broker", address] if how == "option" else []))
    assert result.exit_code in {2, 69}
    assert result.stderr
    assert "hunter2" not in result.output


def test_the_innermost_broker_wins(shop: Shop) -> None:
    assert shop.run("--broker", AWAY, "queues", "--broker", "memory://", "list").exit_code == 0
    assert shop.run("queues", "--broker", "memory://", "list", "--broker", AWAY).exit_code == 69


def test_the_environment_says_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "memory://")
    assert "memory (this process)" in run("info").stdout
    monkeypatch.setenv("TASKQ_BROKER", AWAY)
    assert run("info").exit_code == 69
    assert run("info", "-b", "memory://").exit_code == 0


# ---- how it ends otherwise


def test_debug_shows_the_traceback(typed: Typed) -> None:
    done = typed("info", "--broker", AWAY, "--debug")
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Cannot reach Redis")
    assert done.returncode == 69


def test_the_environment_says_debug_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_DEBUG", "1")
    assert "Traceback" in run("info", "--broker", AWAY).stderr


def test_whatever_is_not_foreseen_is_one_line_that_names_debug(
    memory_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division\nby zero at redis://me:hunter2@host")

    monkeypatch.setattr(memory_shop.app.broker, "queues", broken)
    result = memory_shop.run("queues")
    assert result.exit_code == 1
    assert "Unexpected: ZeroDivisionError: division by zero" in result.stderr
    assert "--debug" in result.stderr
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("interrupted", [KeyboardInterrupt, EOFError])
def test_an_interrupt_ends_with_130(
    memory_shop: Shop, monkeypatch: pytest.MonkeyPatch, interrupted: type[BaseException]
) -> None:
    def slow() -> None:
        raise interrupted

    monkeypatch.setattr(memory_shop.app.broker, "queues", slow)
    result = memory_shop.run("queues")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_a_real_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("print('here', flush=True)\nimport threading\nthreading.Event().wait()\n")
    command = [sys.executable, "-m", "taskq", "info", "--app", "slow"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said


@pytest.mark.redis
def test_a_reader_that_goes_away_is_no_error(redis_url: str, project: Path) -> None:
    from taskq.app import TaskQ

    with TaskQ(broker=redis_url) as app:
        for number in range(3000):  # more than a pipe holds
            app.broker.push(f"queue-with-a-long-name-{number:0100}", [b"{}"])
    command = f"{sys.executable} -m taskq queues --broker '{redis_url}' | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1


# ---- on a terminal


@pytest.mark.redis
def test_on_a_terminal_there_is_a_table_and_nothing_that_a_payload_says_to_the_terminal(
    redis_url: str, tmp_path: Path
) -> None:
    from taskq.app import TaskQ

    with TaskQ(broker=redis_url) as app:
        app.broker.push("emails", [b'{"class":"E\\u001b[31mvil[bold]","args":["\\u001b]0;title\\u0007\\u202e"]}'])
    _, said = on_a_terminal("queues", "peek", "emails", "--broker", redis_url, cwd=tmp_path)
    assert "arguments" in said
    assert r"E\x1b[31mvil[bold]" in said
    assert "\x1b]" not in said
    assert "\x1b[31mvil" not in said
    assert "\u202e" not in said
    _, listed = on_a_terminal("queues", "--broker", redis_url, cwd=tmp_path)
    assert "taskq queues peek QUEUE" in listed


@pytest.mark.redis
@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 2), ("\n", 1, 2), ("\x03", 130, 2)])
def test_on_a_terminal_it_asks_before_it_destroys(
    redis_url: str, tmp_path: Path, answer: str, code: int, left: int
) -> None:
    from taskq.app import TaskQ

    with TaskQ(broker=redis_url) as app:
        app.broker.push("emails", [b"1", b"2"])
        ended, seen = on_a_terminal("queues", "remove", "emails", "-b", redis_url, cwd=tmp_path, answer=answer)
        assert "Remove emails with 2 waiting jobs? [y/N]: " in seen
        assert ended == code
        assert app.size("emails") == left


# ---- commands of plugins


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SitePackages:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return SitePackages(folder)


GREET = """
import click
from taskq.cli.session import common, the_session

@click.command()
@common
def greet():
    '''Say where the queues are.'''
    click.echo(f"Hello from {the_session().connected().broker.address}")

not_a_command = 5
"""


def test_a_plugin_gives_a_further_command(site: SitePackages, typed: Typed) -> None:
    site.install("greeter", entry_points={"taskq.commands": ["greet = greeter:greet"]}, modules={"greeter": GREET})
    assert re.search(r"^  greet +Of a plugin", typed("--help").stdout, re.MULTILINE)
    assert typed("greet", "-b", "memory://").stdout == "Hello from memory (this process)\n"
    assert "Say where the queues are." in typed("greet", "--help").stdout
    assert "Did you mean greet?" in typed("gret").stderr
    assert typed("greet", "-b", AWAY).returncode == 69


@pytest.mark.parametrize(
    ("target", "said"),
    [("greeter:not_a_command", "no click command"), ("greeter:missing", "greeter"), ("nowhere:at_all", "nowhere")],
)
def test_a_broken_command_harms_no_other(site: SitePackages, typed: Typed, target: str, said: str) -> None:
    site.install("greeter", entry_points={"taskq.commands": [f"greet = {target}"]}, modules={"greeter": GREET})
    done = typed("greet")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert typed("--help").returncode == 0
    assert typed("info", "-b", "memory://").returncode == 0


def test_a_plugin_cannot_take_the_name_of_a_command(site: SitePackages, typed: Typed) -> None:
    site.install("greeter", entry_points={"taskq.commands": ["info = greeter:greet"]}, modules={"greeter": GREET})
    assert "pending" in typed("info", "-b", "memory://").stdout
    assert "taskq has a command of this name" in typed("plugins").stdout


def test_where_no_broker_was_said_and_none_answers_the_error_shows_what_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default one is away: in its place stands an address where nobody listens."""
    open_broker = plugins.open_broker
    monkeypatch.setattr(plugins, "open_broker", lambda source, **more: open_broker(AWAY, **more))
    result = run("info")
    assert result.exit_code == 69
    *_, last = result.stderr.splitlines()
    assert last == endings.WITHOUT_A_SERVER
    assert "export TASKQ_BROKER=sqlite:///jobs.db" in last
    assert "sqlite" not in run("info", "--broker", AWAY).stderr
    monkeypatch.setenv("TASKQ_BROKER", AWAY)
    assert "sqlite" not in run("info").stderr


# ---- doctor


@pytest.mark.redis
def test_doctor_tells_a_refusal_from_an_absence(redis_url: str) -> None:
    refused = run("doctor", "--broker", redis_url.replace("redis://", "redis://mallory:hunter2@"), "--json")
    assert (refused.exit_code, '"check": "access"' in refused.stdout) == (2, True)
    assert "hunter2" not in refused.output
    away = run("doctor", "--broker", AWAY)
    assert away.exit_code == 69
    assert away.stdout.splitlines()[-1].startswith("error\tbroker\t")


def test_doctor_says_what_somebody_installed_and_does_not_load(site: SitePackages, typed: Typed) -> None:
    site.install("greeter", entry_points={"taskq.commands": ["greet = nowhere:at_all"]}, modules={})
    said = typed("doctor", "-b", "memory://").stdout
    assert 'warning\tplugins\tNothing uses it yet: the command "greet" of greeter' in said
    assert "ok\tplugins" not in said


# ---- completion


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("taskq wor", {"worker", "workers"}),
        ("taskq failed re", {"requeue", "remove"}),
        ("taskq failed --cl", {"--class"}),
        ("taskq failed list --retried ", {"yes", "no"}),
        ("taskq no-such-thing x", set()),
    ],
)
def test_the_shell_completes_commands_and_options(words: str, found: set[str]) -> None:
    typed = words.split(" ")
    env = {"_TASKQ_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(typed) - 1)}
    said = CliRunner().invoke(program, prog_name="taskq", complete_var="_TASKQ_COMPLETE", env=env)
    assert said.stderr == ""
    assert {line.removeprefix("plain,") for line in said.stdout.split()} == found


@pytest.mark.parametrize("command", ["worker", "scheduler"])
@pytest.mark.parametrize(("broker", "titles"), [("redis://u:hidden@127.0.0.1:1", 1), ("redis://127.0.0.1:1", 0)])
def test_a_password_on_the_command_line_is_hidden_before_the_application_is_imported(
    command: str, broker: str, titles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setitem(sys.modules, "setproctitle", SimpleNamespace(setproctitle=said.append))
    assert run(command, "--broker", broker, "--app", "there.is.no.such.module").exit_code == 2
    assert len(said) == titles
    assert "hidden" not in "".join(said)
