"""The contract of failure handlers catches each that breaks a promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskq.testing.contract import FailureHandlerContract
from tests.testing.contract.judge import assert_each_is_caught


@pytest.mark.timeout(180)
def test_every_wrong_failure_handler_is_caught(tmp_path: Path) -> None:
    assert_each_is_caught(Path(__file__).with_name("wrong_failure_handlers.py"), [FailureHandlerContract], tmp_path)
