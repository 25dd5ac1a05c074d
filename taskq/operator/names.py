"""Names as people read them. Other programs make queues, workers and jobs whose names are empty or blank."""

from __future__ import annotations

__all__ = ["named"]


def named(name: str) -> str:
    """A name that is to be seen also where it is blank."""
    return name if name.strip() else "(no name)"
