"""The contract of brokers catches each that breaks a promise, group by group."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskq.testing.contract import BrokerContract
from tests.testing.contract.judge import assert_each_is_caught

GROUPS = BrokerContract.__bases__
_RUNS = 7


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "groups", [GROUPS[first::_RUNS] for first in range(_RUNS)], ids=lambda groups: groups[0].__name__
)
def test_every_wrong_broker_is_caught(groups: tuple[type, ...], tmp_path: Path) -> None:
    assert_each_is_caught(Path(__file__).with_name("wrong_brokers.py"), groups, tmp_path)
