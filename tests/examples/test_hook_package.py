"""The example of a hook is a package that a stranger can build, install and enable."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from taskq_redis.testing import RedisServer
from tests.docs.pages import ROOT
from tests.support.packages import build, install, run

EXAMPLE = ROOT / "examples" / "taskq_example_hook"

JOBS = """
import time
import taskq

@taskq.job(queue="reports", slow_after=0.01, secret=["token"])
def report(token):
    time.sleep(0.05)

@taskq.job(queue="reports")
def quick():
    pass
"""

CONFIGURATION = """
[tool.taskq]
app = ["jobs"]
hooks = ["slow_jobs"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(EXAMPLE, tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment in which the wheel is installed."""
    return install([wheel], tmp_path_factory.mktemp("installed"))


def test_the_wheel_has_the_hook_its_types_and_its_entry_point(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        [entries] = [name for name in names if name.endswith("entry_points.txt")]
        assert content.read(entries).decode().split() == [
            "[taskq.hooks]", "slow_jobs", "=", "taskq_example_hook:SlowJobs"
        ]  # fmt: skip
    assert {"taskq_example_hook/__init__.py", "taskq_example_hook/py.typed"} <= set(names)


def test_its_own_tests_pass_where_it_is_installed(python: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    said = run(python, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", ".", folder=tmp_path)
    assert re.search(r"\d\d passed", said), said


@pytest.mark.redis
def test_a_worker_runs_with_it(python: Path, redis_server: RedisServer, tmp_path: Path) -> None:
    tmp_path.joinpath("jobs.py").write_text(JOBS)
    tmp_path.joinpath("pyproject.toml").write_text(CONFIGURATION)
    env = {"TASKQ_BROKER": redis_server.url, "PATH": str(python.parent)}
    taskq = (python, "-W", "error", "-m", "taskq")

    listed = run(*taskq, "plugins", folder=tmp_path, env=env).splitlines()
    assert "hook\tslow_jobs\ttaskq-example-hook 1.0.0\tenabled\t1\t" in listed

    run(*taskq, "enqueue", "report", "abc", folder=tmp_path, env=env)
    run(*taskq, "enqueue", "quick", folder=tmp_path, env=env)
    said = run(*taskq, "worker", "--burst", folder=tmp_path, env=env)
    assert re.search(r"report\('\[secret\]',\) took \d+\.\d s, more than its 0\.01 s\.", said)
    assert "quick" not in said
    assert "abc" not in said
