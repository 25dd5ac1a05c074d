"""No vector is forgotten."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.wire.recorded import REPLAYED, recording

NUMBERS = ["01", "01b", *(f"{number:02}" for number in range(2, 51)), "57", "58", "59"]
"""All that is not retry's."""

HERE = Path(__file__).parent


def test_every_vector_has_a_replay() -> None:
    """Beside being read, each is replayed: something was done that Ruby did, and what it left compared."""
    for module in sorted(HERE.glob("test_*.py")):
        importlib.import_module(f"tests.wire.{module.stem}")
    reading = {"test_a_state_is_read_as_it_is_written"}
    missing = [number for number in NUMBERS if not set(REPLAYED.get(number, ())) - reading]
    assert missing == []


def test_only_vectors_that_are_there_are_replayed() -> None:
    for number in REPLAYED:
        assert recording(number).raw["scenario"]
