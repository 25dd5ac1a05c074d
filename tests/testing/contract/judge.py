"""Who tests the tests: plugins that break one promise each are run through the contract, in a pytest of their own.

A wrong plugin is a subclass of the contract with `caught_by`: the names of the tests that must fail it. Only those are
run. Each test of the contract must catch somebody, or it is a test that cannot fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.docs.pages import ROOT

_REPORT = "TASKQ_TESTS_REPORT"


def pytest_configure() -> None:
    """Within the inner pytest: the first example that fails will do."""
    settings.register_profile("judge", parent=settings.default, phases=[Phase.explicit, Phase.generate], database=None)
    settings.load_profile("judge")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Within the inner pytest: keep what `caught_by` names."""
    items[:] = [item for item in items if _function(item) in _caught_by(item)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Within the inner pytest: note how each ended, and in which phase."""
    if report.when == "call" or not report.passed:
        with open(os.environ[_REPORT], "a", encoding="utf-8") as notes:
            notes.write(json.dumps([report.nodeid, report.when, report.outcome, str(report.longrepr)[-2000:]]) + "\n")


def _function(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name)


def _caught_by(item: pytest.Item) -> frozenset[str]:
    named: frozenset[str] = getattr(getattr(item, "cls", None), "caught_by", frozenset())
    return named


def tests_of(contract: type) -> set[str]:
    """The names of the tests of a contract."""
    return {name for name in dir(contract) if name.startswith("test_")}


def assert_each_is_caught(module: Path, contracts: Sequence[type], folder: Path) -> None:
    """Run the wrong plugins of a module, and hold each to its `caught_by`, and every test to having caught one.

    Args:
        module: the file that has them.
        contracts: the contract that they fail, or some groups of it; in one inner pytest, whose start costs most.
        folder: where the notes go.
    """
    notes = folder / "notes.jsonl"
    wrong_ones = _wrong_ones(module, contracts)
    there = set().union(*map(tests_of, contracts))
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", *(f"{module}::{name}" for name in wrong_ones),
            "-q", "--tb=line", "--assert=plain",
            "-p", "tests.testing.contract.judge", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider",
            "-o", "python_classes=Wrong*",
        ],
        cwd=ROOT, env={**os.environ, _REPORT: str(notes)}, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-2000:]
    caught: dict[str, set[str]] = {}
    trouble = []
    for node, when, outcome, text in map(json.loads, notes.read_text(encoding="utf-8").splitlines()):
        _, wrong, test = node.split("::", 2)
        name = test.partition("[")[0]
        if when != "call" and outcome == "failed":
            trouble.append(f"{wrong}::{test} ended in its {when}: {text}")
        elif outcome == "failed":
            caught.setdefault(wrong, set()).add(name)
    for wrong, expected in wrong_ones.items():
        missed = sorted(expected - caught.get(wrong, set()))
        trouble += [f"{wrong} passes {test}" for test in missed]
        trouble += [f"the contract has no {test}, which {wrong} names" for test in sorted(expected - there)]
    catching = set().union(*caught.values())
    trouble += [f"{test} catches nobody" for test in sorted(there - catching)]
    assert not trouble, "\n".join(trouble)


def _wrong_ones(module: Path, contracts: Sequence[type]) -> dict[str, frozenset[str]]:
    loaded = import_module(".".join(module.relative_to(ROOT).with_suffix("").parts))
    return {
        name: value.caught_by
        for name, value in vars(loaded).items()
        if hasattr(value, "caught_by") and issubclass(value, tuple(contracts))
    }


def names(text: str) -> frozenset[str]:
    """The tests that a few lines name, without their `test_`."""

    def each() -> Iterator[str]:
        for word in text.split():
            yield f"test_{word}"

    return frozenset(each())
