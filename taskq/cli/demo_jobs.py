"""The jobs of `taskq demo`, as an application would write them: a class in Resque's style, and a function.

They send nothing. To perform them with a real broker: `taskq worker --app taskq.cli.demo_jobs -v`.
"""

from __future__ import annotations

import time

import taskq

__all__ = ["AWAY", "Emailer", "monthly_report"]

AWAY: set[str] = set()
"""Mail servers that do not answer for now."""


@taskq.job
class Emailer:
    """Send an email."""

    queue = "emails"

    @staticmethod
    def perform(to: str, subject: str, body: str) -> None:
        """Print what would be sent."""
        name, at, server = to.partition("@")
        if not (name and at and server):
            raise ValueError(f"{to} is no address")
        time.sleep(0.15)
        if server in AWAY:
            raise ConnectionError(f"the mail server of {server} does not answer")
        print(f"    To {to}: {subject}. {body}")


@taskq.job(queue="reports")
def monthly_report(month: str, pages: int = 1) -> None:
    """Print that a report would be written."""
    time.sleep(0.15)
    print(f"    The report of {month} has {pages} pages.")
