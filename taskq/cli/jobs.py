"""`taskq jobs`: the jobs that this application knows, with what each takes."""

from __future__ import annotations

from dataclasses import asdict

import click

from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, hint, json_option, show, show_json
from taskq.cli.session import common, examples, the_session
from taskq.operator import JobInfo

__all__ = ["jobs"]


@click.group(cls=ListedGroup, epilog=examples("taskq jobs --app shop.jobs", "taskq jobs list --app shop.jobs --json"))
@common
def jobs() -> None:
    """List the jobs that are registered. Without a command: list."""


@jobs.command("list", epilog=examples("taskq jobs list --app shop.jobs"))
@common
@json_option
def list_(as_json: bool) -> None:
    """List every registered job: its name, what it takes, its queue, its options. It needs no broker.

    In a pipe: name, signature, queue, options, first line of its docstring, with tabs between.
    """
    found = the_session().application().operator.jobs()
    if as_json:
        for job in found:
            show_json("registered_job/1", asdict(job))
        return
    if not found:
        hint("No job is known here. Say where they are: taskq jobs --app YOUR.JOBS")
        return
    columns = [
        Column("job", style="name"),
        Column("takes", cut=True),
        Column("queue"),
        Column("options", cut=True, spare=True),
        Column("does", cut=True, style="dim", spare=True),
    ]
    show(columns, [_row(job) for job in found])


def _row(job: JobInfo) -> tuple[str, ...]:
    said = {
        "aliases": ", ".join(job.aliases),
        "secret": ", ".join(job.secret),
        "timeout": "" if job.timeout is None else f"{job.timeout:g} s",
        "on_crash": "" if job.on_crash is None else f"requeue {job.on_crash} times" if job.on_crash else "fail",
        **job.options,
    }
    options = "; ".join(f"{name}: {value}" for name, value in said.items() if value)
    signature = f"async {job.signature}" if job.is_async else job.signature
    return job.name, signature, job.queue, options, job.doc.partition("\n")[0]
