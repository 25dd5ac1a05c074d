"""What `taskq new` writes is built, installed into a fresh environment, and proven there by its own tests."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from taskq.cli.main import program
from tests.docs.pages import ROOT
from tests.support.packages import build, install, run

pytestmark = pytest.mark.timeout(180)

KINDS = {"backend": "acmestore", "serializer": "acme_packed", "failure-handler": "acme_policy", "hook": "acme_watch"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each package, by its kind."""
    folder = tmp_path_factory.mktemp("written")
    for kind, name in KINDS.items():
        done = CliRunner().invoke(program, ["new", kind, name, "--into", str(folder)])
        assert done.exit_code == 0, done.output
    return {kind: folder / f"taskq-{name.replace('_', '-')}" for kind, name in KINDS.items()}


@pytest.fixture(scope="module")
def python(written: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment in which all of them are installed."""
    folder = tmp_path_factory.mktemp("build")
    wheels = [build(source, folder) for source in written.values()]
    return install(wheels, tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass_where_it_is_installed(
    written: dict[str, Path], python: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(written[kind] / "tests", tmp_path / "tests")
    said = run(
        python, "-W", "error", "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider",
        folder=tmp_path,
    )  # fmt: skip
    assert " passed" in said
    assert "failed" not in said.splitlines()[-1]


def test_they_are_listed_where_they_are_installed(python: Path, tmp_path: Path) -> None:
    env = {"PATH": str(python.parent), "TASKQ_HOOKS": "acme_watch", "TASKQ_FAILURE_HANDLERS": "acme_policy,broker"}
    listed = run(python, "-W", "error", "-m", "taskq", "plugins", folder=tmp_path, env=env).splitlines()
    assert "backend\tacmestore\ttaskq-acmestore 0.1.0\t\t\t" in listed
    assert "serializer\tacme_packed\ttaskq-acme-packed 0.1.0\t\t\t" in listed
    assert "failure handler\tacme_policy\ttaskq-acme-policy 0.1.0\tenabled\t1\t" in listed
    assert "hook\tacme_watch\ttaskq-acme-watch 0.1.0\tenabled\t1\t" in listed


def test_a_worker_performs_with_all_of_them(python: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("jobs.py").write_text(
        "import os, signal, taskq\n"
        "@taskq.job\ndef greet(name): print('hello', name, flush=True)\n"
        "@taskq.job\ndef end(): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {
        "PATH": str(python.parent),
        "TASKQ_APP": "jobs",
        "TASKQ_BROKER": f"acmestore://{tmp_path}/jobs.json",
        "TASKQ_HOOKS": "acme_watch",
        "TASKQ_FAILURE_HANDLERS": "acme_policy,broker",
        "TASKQ_SERIALIZER": "acme_packed",
    }
    taskq = (python, "-W", "error", "-m", "taskq")
    run(*taskq, "enqueue", "greet", "ada", folder=tmp_path, env=env)
    run(*taskq, "enqueue", "end", folder=tmp_path, env=env)
    assert "hello ada" in run(*taskq, "worker", "--burst", folder=tmp_path, env=env)
    failed = run(*taskq, "failed", "list", "--json", folder=tmp_path, env=env)
    assert "its process was killed by signal 9" in failed


def test_they_keep_the_rules_of_this_project(written: dict[str, Path], tmp_path: Path) -> None:
    for folder in written.values():
        ruff = (sys.executable, "-m", "ruff")
        run(*ruff, "format", "--isolated", "--check", "--line-length", "120", folder=folder)
        run(*ruff, "check", "--isolated", "--line-length", "120", "--select", "B,E,F,I,RUF,SIM,UP,W", folder=folder)
    sources = sorted(path for folder in written.values() for path in folder.rglob("*.py"))
    assert len(sources) == 8
    paths = os.pathsep.join([str(ROOT), *(str(folder / "src") for folder in written.values())])
    run(
        sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), *sources,
        folder=tmp_path, env={**os.environ, "MYPYPATH": paths},
    )  # fmt: skip
