from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from taskq.cli import top
from tests.cli.conftest import Failing, Shop, on_a_terminal
from tests.web.conftest import Working


def test_once_as_json_has_the_figures(shop: Shop, failing: Failing) -> None:
    failing.fail()
    shop.app.broker.push("emails", [b"{}"])
    said = json.loads(shop.run("top", "--once", "--json").stdout)
    assert said["schema"] == "taskq.top/1"
    assert (said["pending"], said["failures"], said["workers"], said["queues"]) == (1, 1, 1, {"emails": 1})
    assert said["done_a_second"] is None


def test_once_in_a_pipe_is_lines_with_tabs(shop: Shop, failing: Failing) -> None:
    failing.fail("Emailer", '[{"token":"hunter2"}]', error="hunter2 is wrong")
    lines = [line.split("\t") for line in shop.run("top", "--once").stdout.splitlines()]
    assert ["figure", "failed", "1"] in lines
    assert {line[0] for line in lines} == {"figure", "queue", "worker", "failed"}
    assert [line[2:] for line in lines if line[0] == "failed"] == [
        ["emails", "Emailer", "ValueError: [secret] is wrong"]
    ]


def test_in_a_pipe_it_says_how(memory_shop: Shop) -> None:
    result = memory_shop.run("top")
    assert (result.exit_code, "taskq top --json" in result.stderr) == (2, True)


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_on_a_terminal_a_key_ends_it(key: str, tmp_path: Path) -> None:
    code, seen = on_a_terminal("top", "-b", f"sqlite:///{tmp_path}/jobs.db", cwd=tmp_path, answer=key, when=b"q: leave")
    assert code == 0
    assert "pending" in seen
    # The screen that was there before, and its cursor.
    assert seen.count("\x1b[?1049l") == seen.count("\x1b[?1049h") == 1
    assert "\x1b[?25h" in seen
    assert "Traceback" not in seen


def test_arguments_where_no_application_is_named_are_shown_with_a_word(memory_shop: Shop) -> None:
    def head() -> str:
        said = io.StringIO()
        console = Console(file=said, width=400)
        app = memory_shop.app
        console.print(top._drawn(app, (look := top._look(app)), [look.sample], "", console))
        return said.getvalue()

    assert "No application is named" not in head()
    memory_shop.app.enqueue_to("emails", "Emailer", "hush")
    Working(memory_shop.app).take("emails")
    assert "No application is named" in head()


@pytest.mark.parametrize("there", [(0, 0, 0), (1, 1, 1), (40, 0, 5), (0, 40, 5), (40, 40, 5), (3, 2, 0)])
def test_tables_share_the_lines_that_there_are(there: tuple[int, int, int]) -> None:
    for room in range(60):
        shares = top._shared(room, *there)
        rows = [min(share, count) for share, count in zip(shares, there, strict=True)]
        assert min(shares) >= 0
        assert sum(3 + count for count, share in zip(rows, shares, strict=True) if share) <= max(room, 10), room
