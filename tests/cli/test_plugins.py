from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from taskq import plugins as installed
from taskq.app import TaskQ
from taskq.config import Config
from taskq.hook import Hook
from tests.cli.conftest import Shop, Typed, run
from tests.support.distributions import SitePackages


def rows(output: str) -> dict[tuple[str, str], dict[str, object]]:
    found = [json.loads(line) for line in output.splitlines()]
    assert {row.pop("schema") for row in found} == {"taskq.plugin/1"}
    return {(row.pop("kind"), row.pop("name")): row for row in found}


def test_every_plugin_of_every_namespace_is_listed() -> None:
    result = run("plugins", "--json")
    assert result.exit_code == 0
    expected = {(kind, name) for space, kind in installed.NAMESPACES.items() for name in installed.names(space)}
    assert set(rows(result.stdout)) == expected


def test_what_is_enabled_and_in_which_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_HOOKS", "logging")
    monkeypatch.setenv("TASKQ_FAILURE_HANDLERS", "log,multi_queue")
    monkeypatch.setenv("TASKQ_BROKER", "memory://")
    found = rows(run("plugins", "--json").stdout)
    enabled = {key: row["order"] for key, row in found.items() if row["enabled"]}
    assert enabled == {
        ("backend", "memory"): None,
        ("serializer", "json"): None,
        ("failure handler", "log"): 1,
        ("failure handler", "multi_queue"): 2,
        ("hook", "logging"): 1,
        ("command", "web"): None,
    }


def test_in_a_pipe_it_is_a_line_each() -> None:
    lines = run("plugins").stdout.splitlines()
    broker = next(line.split("\t") for line in lines if line.startswith("failure handler\tbroker"))
    assert broker[2].startswith("taskq ")
    assert broker[3:] == ["enabled", "1", ""]


def test_what_is_enabled_and_not_installed_is_listed_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_HOOKS", "loging")
    result = run("plugins", "--json")
    assert result.exit_code == 1
    row = rows(result.stdout)["hook", "loging"]
    assert row["enabled"] is True
    assert row["error"] == "it is enabled, and not installed. Did you mean logging?"


def test_what_an_application_gave_itself_is_listed(memory_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    class Audit:
        name = "audit"

    given = TaskQ(Config(broker=memory_shop.app.broker, hooks=("logging", Audit())))
    monkeypatch.setattr(memory_shop, "app", given)
    import sys

    sys.modules[memory_shop.name.partition(":")[0]].app = given  # type: ignore[attr-defined]
    found = rows(memory_shop.run("plugins", "--json").stdout)
    assert found["hook", "audit"] == {
        "distribution": "(given by the application)",
        "enabled": True,
        "order": 2,
        "error": None,
    }
    assert found["backend", "memory"]["enabled"] is True


def test_what_is_overridden_is_listed_as_long_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_HOOKS", "audit")
    with installed.override(installed.HOOKS, "audit", Hook()):
        result = run("plugins", "--json")
        assert result.exit_code == 0
        assert rows(result.stdout)["hook", "audit"] == {
            "distribution": "plugins.override(...)",
            "enabled": True,
            "order": 1,
            "error": None,
        }
    assert run("plugins").exit_code == 1


@pytest.mark.parametrize(("enabled", "code"), [("", 0), ("broken", 1)])
def test_one_that_does_not_load_is_listed_with_the_reason(
    tmp_path: Path, typed: Typed, enabled: str, code: int
) -> None:
    (tmp_path / "site").mkdir()
    SitePackages(tmp_path / "site").install(
        "acme-hooks",
        "2.1",
        entry_points={"taskq.hooks": ["broken = acme_hooks:Broken"]},
        modules={"acme_hooks": "raise RuntimeError('half an import')"},
    )
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    done = typed("plugins", "--json", env={"PYTHONPATH": path, "TASKQ_HOOKS": enabled})
    assert done.returncode == code
    row = rows(done.stdout)["hook", "broken"]
    assert row["distribution"] == "acme-hooks 2.1"
    assert row["enabled"] is bool(enabled)
    assert "half an import" in str(row["error"])


def test_an_address_that_means_no_backend_does_not_hide_the_list() -> None:
    result = run("plugins", "--broker", "rdeis://x")
    assert "Did you mean redis://x?" in result.stderr
    assert "redis" in result.stdout
