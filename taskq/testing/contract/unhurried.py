"""How examples are tried in a contract: a promise says nothing of speed, and an author's machine may be busy."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

__all__ = ["UNHURRIED"]

UNHURRIED: Final = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Put above `@given`: however slow an example is, or the making of one, it is no failure."""
