"""The reference says what the code says."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

import taskq
from taskq import config, definition, errors
from taskq.cli import endings
from taskq.cli.main import program
from taskq.config import Config
from taskq.hook import Hook
from taskq.testing import Queue, pytest_plugin
from taskq.testing.queue import Mode
from tests.docs.pages import DOCS, coded, prose, table

REFERENCE = DOCS / "reference"
CONFIGURATION = REFERENCE / "configuration.md"
SETTINGS = table(CONFIGURATION, "setting", "option", "environment")


def _made() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[str, str] = module.pages()
    return made


def test_pages_that_are_made_are_up_to_date() -> None:
    stale = [name for name, text in _made().items() if (DOCS / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run: make docs"


def _commands() -> list[tuple[str, str]]:
    """Each command, and its part of the page."""
    parts = re.split(r"^## taskq ?(.*)$", (REFERENCE / "commands.md").read_text(), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("command", "part"), _commands())
def test_a_command_has_these_options_in_its_help(command: str, part: str) -> None:
    shown = CliRunner().invoke(program, [*command.split(), "--help"]).output
    of_page = {option for line in part.splitlines() if line.startswith("| `") for option in coded(line.split("|")[1])}
    of_help = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*(?=[ ,]|$)", _options_of(shown), re.MULTILINE))
    everywhere = {"--broker", "-b", "--app", "-a", "--debug", "--help", "-h"}
    assert of_page | everywhere == of_help


def _options_of(shown: str) -> str:
    """The column of the options."""
    part = shown.partition("\nOptions:\n")[2].partition("\n\n")[0]
    return "\n".join(re.split(r"  +", line.strip())[0] for line in part.splitlines() if line.startswith("  -"))


class TestConfiguration:
    def test_every_setting_is_there(self) -> None:
        known = [field.name for field in dataclasses.fields(Config) if field.name not in {"notices", "sources"}]
        assert [coded(row[0])[0] for row in SETTINGS] == known

    @pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0])
    def test_its_default(self, row: list[str]) -> None:
        [name] = coded(row[0])
        default: Any = getattr(Config(), name)
        if not coded(row[3]):
            assert not default
        elif isinstance(default, bool):
            assert row[3] == f"`{str(default).lower()}`"
        elif isinstance(default, float):
            assert row[3] == f"`{default:g}`"
        elif isinstance(default, tuple):
            assert row[3] == f"`{','.join(default)}`"
        else:
            assert row[3] == f"`{default}`"

    @pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0])
    def test_its_option_is_one_of_the_commands(self, row: list[str]) -> None:
        options = set(coded(row[1]))
        worker = CliRunner().invoke(program, ["worker", "--help"]).output
        assert all(re.search(rf"(^|\s){re.escape(option)}[ ,]", worker) for option in options)

    def test_every_variable_is_there(self) -> None:
        documented = {
            (name.partition("=")[0], coded(row[0])[0]) for row in SETTINGS for name in coded(row[2]) if name.isupper()
        }
        known = {
            *((text, "at_once" if name in config._MODELS else name) for text, name in config._VARIABLES.items()),
            *config._WORKER_TEXTS.items(),
            *((variable, name) for variable, (name, _) in config._WORKER_FLAGS.items()),
            ("REDIS_URL", "broker"),
        }
        assert documented == known
        others = {name for row in table(CONFIGURATION, "variable") for name in coded(row[0])}
        assert others == {"FAILURE_BACKEND", "BACKGROUND", *config._NEEDLESS}

    @pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row[0])
    def test_a_variable_sets_it(self, row: list[str], tmp_path: Path) -> None:
        [name] = coded(row[0])
        for written in coded(row[2]):
            variable, _, value = written.partition("=")
            value = value or _EXAMPLES.get(name, "7")
            loaded = config.load(environ={variable: value}, worker=True, start=tmp_path)
            assert loaded.source(name) == variable
            assert getattr(loaded, name) != getattr(Config(), name)


_EXAMPLES = {
    "app": "shop.jobs", "queues": "a,b", "burst": "1", "dead_after": "99", "retry": "0", "debug": "1",
    "accept": "msgpack", "inline": "1", "term_child": "0", "graceful_term": "", "run_at_exit_hooks": "x",
    "beat": "2", "verbose": "", "order": "random", "on_crash": "requeue", "unknown": "release",
}  # fmt: skip


class TestErrors:
    rows = table(REFERENCE / "errors.md", "error", "is a")

    def test_every_error_is_there_under_its_parent(self) -> None:
        documented = {coded(row[0])[0]: coded(row[1])[0] for row in self.rows}
        raised = {
            name: value.__bases__[0].__name__
            for name, value in vars(errors).items()
            if isinstance(value, type) and issubclass(value, BaseException) and value is not errors.TaskqError
        }
        assert documented == raised

    def test_those_with_a_star_are_in_taskq(self) -> None:
        starred = {coded(row[0])[0] for row in self.rows if row[0].endswith("*")}
        assert starred == {coded(row[0])[0] for row in self.rows} & set(taskq.__all__)

    def test_every_exit_code_is_there(self) -> None:
        documented = {row[0] for row in table(REFERENCE / "errors.md", "code", "meaning")}
        known = {
            endings.DONE, endings.SOME_FAILED, endings.USAGE, endings.NOTHING_MATCHED, endings.NOT_REACHED,
            endings.INTERRUPTED,
        }  # fmt: skip
        assert documented == {*map(str, known), "128 + n"}


class TestTheKit:
    page = REFERENCE / "testing.md"

    def test_every_fixture_option_and_mode_is_there(self) -> None:
        source = Path(pytest_plugin.__file__).read_text()
        fixtures = set(re.findall(r"^@pytest\.fixture\ndef ([a-z]\w*)", source, re.MULTILINE))
        assert {coded(row[0])[0] for row in table(self.page, "fixture")} == fixtures
        options = set(re.findall(r'addini\("(\w+)"', source))
        assert {coded(row[0])[0] for row in table(self.page, "ini option")} == options
        assert {coded(row[0])[0] for row in table(self.page, "mode")} == set(get_args(Mode))

    def test_every_verb_of_a_queue_is_there(self) -> None:
        documented = {name.partition("(")[0] for row in table(self.page, "verb") for name in coded(row[0])}
        assert documented == {
            name for name in dir(Queue) if not name.startswith("_") and callable(getattr(Queue, name))
        }


def test_every_place_for_code_is_on_the_page_of_hooks() -> None:
    said = set(coded(prose(REFERENCE / "hooks.md")))
    moments = {name for name, value in vars(Hook).items() if callable(value) and not name.startswith("_")}
    assert moments <= said
    assert {field.name for field in dataclasses.fields(definition.ClassMethods)} <= said


def test_the_promises_are_told_in_one_way() -> None:
    pages = [DOCS.parent / "README.md", DOCS / "explanation" / "promises.md"]
    told = [table(page, "`on_crash`") for page in pages]
    assert told[0] == told[1]
