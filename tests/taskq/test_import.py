"""What `import taskq` brings with it, each tried in an interpreter of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import taskq

HEAVY = (
    "asyncio",
    "click",
    "hiredis",
    "hypothesis",
    "importlib.metadata",
    "logging",
    "msgpack",
    "pytest",
    "redis",
    "rich",
    "setproctitle",
    "stevedore",
    "tomllib",
    "traceback",
    "taskq_json",
    "taskq_memory",
    "taskq_redis",
)
LISTED = f"[name for name in {HEAVY!r} if name in sys.modules]"


def printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_it_imports_nothing_heavy() -> None:
    assert printed(f"import taskq; print({LISTED})") == "[]"


def test_defining_jobs_and_naming_verbs_imports_nothing_heavy() -> None:
    code = f"""
import taskq
@taskq.job(queue="emails")
def send(to: str) -> None: ...
taskq.TaskQ, taskq.enqueue, taskq.using, taskq.configure, taskq.failures
print({LISTED})"""
    assert printed(code) == "[]"


def test_importing_it_imports_none_of_its_own_modules_but_one() -> None:
    code = "import taskq; print(sorted(name for name in sys.modules if name.startswith('taskq.')))"
    assert printed(code) == "['taskq.in_force']"


def test_defining_a_job_imports_nothing_of_what_enqueueing_needs() -> None:
    code = """
import taskq
@taskq.job(queue="emails")
def send(to: str) -> None: ...
print([name for name in ("taskq.app", "taskq.hook", "taskq.records") if name in sys.modules])"""
    assert printed(code) == "[]"


def test_a_job_whose_module_was_imported_alone_finds_its_application() -> None:
    code = """
from taskq.jobs import job
@job
def send(to: str) -> None: ...
import os; os.environ["TASKQ_BROKER"] = "memory://"
print(send.enqueue("a"))"""
    assert printed(code).startswith("Accepted(job='send'")


def test_every_public_name_is_there_and_listed() -> None:
    for name in taskq.__all__:
        assert getattr(taskq, name) is not None
    assert set(taskq.__all__) <= set(dir(taskq))
    assert taskq._HOME_OF.keys() == set(taskq.__all__)
    assert not hasattr(taskq, "nosuch")


def test_type_checkers_are_told_the_same_names() -> None:
    source = ast.parse(Path(taskq.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name: node.module
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module not in (None, "typing", "importlib", "__future__", "taskq")
        for alias in node.names
    }
    assert imported == {name: f"taskq.{home}" for name, home in taskq._HOME_OF.items()}
