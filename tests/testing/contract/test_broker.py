"""The contract of brokers catches each that breaks a promise, group by group."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskq.testing.contract import BrokerContract
from tests.testing.contract.judge import assert_each_is_caught

GROUPS = BrokerContract.__bases__


@pytest.mark.timeout(180)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_wrong_broker_is_caught(group: type, tmp_path: Path) -> None:
    assert_each_is_caught(Path(__file__).with_name("wrong_brokers.py"), group, tmp_path)
