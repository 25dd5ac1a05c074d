"""Seconds as people say them: what is a number of them, and what is more than anybody can mean."""

from __future__ import annotations

from typing import Final, TypeGuard

__all__ = ["LONGEST", "is_seconds"]

LONGEST: Final = 100 * 365.25 * 86400.0
"""A century. What is longer is a mistake, infinity too, and more than clocks, timers and locks of a system take."""


def is_seconds(value: object, *, zero: bool = False) -> TypeGuard[float]:
    """Whether this is a number of seconds above 0, or with `zero` from 0 on, and of no more than a century."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (value >= 0 if zero else value > 0) and value <= LONGEST
