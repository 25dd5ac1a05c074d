from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Shop


class TestCancel:
    def test_by_id(self, shop: Shop) -> None:
        shop.app.broker.push("emails", [b'{"class":"send_email","args":[1],"taskq:id":"x7"}'])
        result = shop.run("cancel", "x7")
        assert (result.exit_code, result.output) == (0, "Removed: x7 will not be performed.\n")
        again = shop.run("cancel", "x7")
        assert again.exit_code == 3
        assert again.output == "There is nothing to cancel: x7 waits nowhere, and no worker has it in hand.\n"

    def test_by_what_it_is(self, shop: Shop) -> None:
        shop.app.broker.push("elsewhere", [b'{"class":"Other","args":[7,"x"]}'] * 2)
        result = shop.run("cancel", "--job", "Other", "--queue", "elsewhere", "--args", '[7, "x"]', "--json")
        assert result.exit_code == 0
        assert json.loads(result.output)["became"] == "removed"
        assert shop.app.size("elsewhere") == 1

    def test_by_its_worker(self, shop: Shop) -> None:
        assert shop.run("cancel", "--worker", "nobody").exit_code == 3

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "Which job? Give its id, or --job, or --worker: one of them."),
            (["x7", "--worker", "w"], "Which job?"),
            (["x7", "--args", "[]"], "--args are those of a --job."),
            (["--job", "Other", "--queue", "q", "--args", "{}"], "--args is a JSON list."),
            (["--job", "Other", "--queue", "q", "--args", "["], "--args is no JSON"),
            (["--job", "Other"], '"Other" is not a job.'),
        ],
    )
    def test_what_it_cannot_be_is_told(self, shop: Shop, words: list[str], message: str) -> None:
        result = shop.run("cancel", *words)
        assert result.exit_code == 2
        assert message in result.output
