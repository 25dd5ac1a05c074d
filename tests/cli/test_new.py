from __future__ import annotations

from pathlib import Path

import pytest

from taskq.hook import Hook
from taskq.plugins import HOOKS, override
from tests.cli.conftest import run

KINDS = ["backend", "serializer", "failure-handler", "hook"]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_a_complete_package_and_says_what(kind: str, tmp_path: Path) -> None:
    result = run("new", kind, "acme")
    assert result.exit_code == 0
    written = [
        "README.md",
        "pyproject.toml",
        "src/taskq_acme/__init__.py",
        "src/taskq_acme/py.typed",
        "tests/test_acme.py",
    ]
    assert files(tmp_path) == [f"taskq-acme/{path}" for path in written]
    assert sorted(line.strip() for line in result.stdout.splitlines()[1:]) == written
    assert "$" not in (tmp_path / "taskq-acme" / "pyproject.toml").read_text()


def test_into_another_folder(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert run("new", "hook", "slow_jobs", "--into", "src").exit_code == 0
    assert (tmp_path / "src" / "taskq-slow-jobs" / "src" / "taskq_slow_jobs" / "__init__.py").exists()


def test_the_class_is_named_for_the_plugin(tmp_path: Path) -> None:
    run("new", "hook", "slow_jobs")
    text = (tmp_path / "taskq-slow-jobs" / "pyproject.toml").read_text()
    assert '[project.entry-points."taskq.hooks"]\nslow_jobs = "taskq_slow_jobs:SlowJobsHook"\n' in text


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "taskq-acme"
    folder.mkdir()
    (folder / "notes").write_text("mine")
    result = run("new", "hook", "acme")
    assert result.exit_code == 2
    assert "taskq-acme is there already. Nothing was written." in result.stderr
    assert files(folder) == ["notes"]


@pytest.mark.parametrize(
    ("kind", "name", "perhaps"),
    [
        ("hook", "Slow-Jobs", "slow_jobs"),
        ("hook", "SlowJobs", "slow_jobs"),
        ("hook", "slow jobs!", "slow_jobs"),
        ("backend", "my_store", "mystore"),
        ("backend", "my-store", "mystore"),
        ("serializer", "../../etc", "etc"),
        ("hook", "2fast", None),
        ("hook", "class", None),
        ("hook", "ü", None),
        ("hook", "", None),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_one_that_can(
    tmp_path: Path, kind: str, name: str, perhaps: str | None
) -> None:
    result = run("new", kind, name)
    assert result.exit_code == 2
    assert f'"{name}" cannot be the name of a {kind}: small letters' in result.stderr
    assert (f"Perhaps {perhaps}?" in result.stderr) if perhaps else ("Perhaps" not in result.stderr)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("hook", "logging", 'there is a hook "logging" already, of taskq '),
        ("backend", "redis", 'there is a backend "redis" already, of taskq '),
        ("hook", "redis", "there is a package taskq_redis already"),
    ],
)
def test_a_name_that_is_taken_is_refused(tmp_path: Path, kind: str, name: str, said: str) -> None:
    result = run("new", kind, name)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Choose another name." in result.stderr
    assert files(tmp_path) == []


def test_a_name_that_is_overridden_is_taken() -> None:
    with override(HOOKS, "acme", Hook()):
        assert 'there is a hook "acme" already, of plugins.override(...)' in run("new", "hook", "acme").stderr


@pytest.mark.parametrize(("kind", "said"), [("hok", "Did you mean hook?"), ("zzz", "There are: backend, serializer,")])
def test_a_kind_that_there_is_not_is_answered_with_those_that_there_are(kind: str, said: str) -> None:
    result = run("new", kind, "acme")
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_kind_may_be_written_as_its_namespace_is(tmp_path: Path) -> None:
    assert run("new", "failure_handler", "acme").exit_code == 0
