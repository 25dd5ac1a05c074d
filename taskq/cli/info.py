"""`taskq info`: the figures at a glance."""

from __future__ import annotations

import click

from taskq.cli.output import hint, json_option, on_terminal, show_facts, show_json
from taskq.cli.session import common, examples, the_session

__all__ = ["info"]


@click.command(epilog=examples("taskq info", "taskq info --server", "taskq info --broker redis://db:6379/0 --json"))
@click.option("--server", is_flag=True, help="The broker's own figures instead, in its own words.")
@common
@json_option
def info(server: bool, as_json: bool) -> None:
    """Show how much waits, is being worked on, was processed and has failed."""
    if server:
        _show_server(as_json=as_json)
        return
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


def _show_server(*, as_json: bool) -> None:
    app = the_session().connected()
    sections = app.operator.server()
    for section in sections:
        if as_json:
            show_json("server/1", {"section": section.name, **dict(section.facts)})
        else:
            show_facts((f"{section.name}.{name}", value) for name, value in section.facts)
    if not sections and not as_json:
        hint(f"{app.broker.address} has no figures of its own.")
