"""`taskq info`: the figures at a glance."""

from __future__ import annotations

import click

from taskq.cli.output import hint, json_option, on_terminal, show_facts, show_json
from taskq.cli.session import common, examples, the_session

__all__ = ["info"]


@click.command(epilog=examples("taskq info", "taskq info --broker redis://db.internal:6379/0 --json"))
@common
@json_option
def info(as_json: bool) -> None:
    """Show how much waits, is being worked on, was processed and has failed."""
    figures = the_session().connected().info()
    if as_json:
        show_json("info/1", figures)
        return
    show_facts(
        (name, f"{value:,}" if isinstance(value, int) and on_terminal() else str(value))
        for name, value in figures.items()
    )
    if figures["failed"]:
        hint("Why they failed: taskq failed")
    if figures["pending"] and not figures["workers"]:
        hint("No worker is there to perform what waits: taskq worker --app YOUR.JOBS")
