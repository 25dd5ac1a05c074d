"""The recordings of real Ruby Resque in tests/vectors, by number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "vectors"


def vector(number: str) -> dict[str, Any]:
    """The recording whose file name begins with this number, `26` or `01b`."""
    (path,) = FOLDER.glob(f"{number}_*.json")
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recording


def returned(number: str) -> dict[str, Any]:
    """What each call of a recording gave back, by the text of the call."""
    return {each["call"]: each["returned"] for each in vector(number)["returns"]}
