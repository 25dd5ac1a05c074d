from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from taskq.cli import applications
from taskq.errors import ConfigurationError

Module = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path) -> Module:
    """Writes a module into the working directory, and says its name."""

    def write(source: str) -> str:
        name = f"module_{uuid.uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def problem_of(*names: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        applications.load(names, source="TASKQ_APP")
    [problem] = caught.value.problems
    assert problem.source == "TASKQ_APP"
    assert "\n" not in problem.message
    return problem.message


def test_a_module_of_the_working_directory_is_imported(module: Module) -> None:
    name = module("loaded = True")
    assert applications.load([name]) is None
    assert sys.modules[name].loaded


def test_a_taskq_in_a_module_is_found(module: Module) -> None:
    name = module("import taskq\nqueue_of_jobs = taskq.TaskQ(broker='memory://')")
    assert applications.load([f"{name}:queue_of_jobs"]) is sys.modules[name].queue_of_jobs


def test_a_module_that_is_not_there_says_where_was_looked_and_the_nearest(module: Module, tmp_path: Path) -> None:
    name = module("")
    said = problem_of(f"{name}s")
    assert said.startswith(f'No module named "{name}s". Did you mean {name}?')
    assert str(tmp_path) in said
    assert "sys.path" in said
    assert "--app shop.jobs" in said


def test_a_module_missing_in_a_package_is_told_from_a_missing_package(tmp_path: Path) -> None:
    package = f"package_{uuid.uuid4().hex}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / "jobs.py").write_text("")
    assert problem_of(f"{package}.job").startswith(f'No module named "{package}.job". Did you mean {package}.jobs?')


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import requests_that_is_missing", "ModuleNotFoundError: No module named 'requests_that_is_missing'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("\nraise SystemExit(3)", "SystemExit: 3"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import taskq\n@taskq.job\nclass NoPerform: pass", "NoPerform"),
    ],
)
def test_whatever_a_module_raises_is_one_line_that_names_it(module: Module, source: str, said: str) -> None:
    name = module(source)
    found = problem_of(name)
    assert found.startswith(f"{name} does not import")
    assert said in found


def test_where_a_module_raised_is_said(module: Module) -> None:
    name = module("\n\n1 / 0")
    assert f"{name}.py, line 3)" in problem_of(name)


def test_a_missing_name_says_which_there_are(module: Module) -> None:
    name = module("import taskq\nqueue = taskq.TaskQ(broker='memory://')\nother = 5")
    assert problem_of(f"{name}:queues") == f'{name} has no "queues". Did you mean {name}:queue? It has: queue.'
    assert problem_of(f"{name}:other") == f"{name}:other is of type int and no TaskQ. It has: queue."
    assert "leave the name out" in problem_of(f"{module('')}:app")


def test_two_different_applications_are_refused(module: Module) -> None:
    source = "import taskq\napp = taskq.TaskQ(broker='memory://')"
    one, two = module(source), module(source)
    assert f"{one}:app and {two}:app are different applications" in problem_of(f"{one}:app", f"{two}:app")
    assert applications.load([f"{one}:app", two]) is sys.modules[one].app


def test_all_that_do_not_import_are_said_at_once(module: Module) -> None:
    with pytest.raises(ConfigurationError) as caught:
        applications.load(["nowhere_at_all", module("1/0")])
    assert len(caught.value.problems) == 2


def test_the_places_of_applications_are_found_without_an_import(
    module: Module, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "apart").mkdir()
    (elsewhere / "apart" / "__init__.py").write_text("raise AssertionError('it was imported')")
    (elsewhere / "alone.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(str(elsewhere))
    here = module("raise AssertionError('it was imported')")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # pytest's own has one, or none, as it was started
    named = [here, "apart.jobs", "apart.more:app", "alone", "no_such_module", "__main__"]
    assert applications.places(named) == [tmp_path, elsewhere / "apart", elsewhere / "alone.py"]
