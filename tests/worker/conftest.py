from __future__ import annotations

import pytest

from taskq.worker import children, control, threads
from tests.support.workers import LONG


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told to end has more than its second for that, which a busy machine may keep it from having."""
    monkeypatch.setattr(control, "LAST_WORDS", LONG)
    monkeypatch.setattr(threads, "LAST_WORDS", LONG)
    monkeypatch.setattr(children, "_LEAVES", LONG)
