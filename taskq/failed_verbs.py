"""`taskq.failures`: apart from the other verbs, for a producer should not pay for what it imports."""

from __future__ import annotations

from typing import Final

from taskq.application import current_app
from taskq.failed_jobs import Failures

__all__ = ["failures"]

failures: Final = Failures(lambda: current_app().broker, lambda: current_app().showing, lambda: current_app().hooks)
"""The failed jobs of the application in force."""
