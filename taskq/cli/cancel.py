"""`taskq cancel`: one job, waiting or running, by its id, by what it is, or by its worker."""

from __future__ import annotations

import json

import click

from taskq.app import TaskQ
from taskq.cli.endings import DONE, NOTHING_MATCHED, USAGE, Stop
from taskq.cli.output import complain, json_option, plain, say, show_json
from taskq.cli.session import common, examples, the_session
from taskq.jobs import Call
from taskq.records import Cancelled

__all__ = ["cancel"]


@click.command(
    epilog=examples(
        "taskq cancel 4be1c9a5f0d2477b9c1e6a03",
        "taskq cancel --app shop.jobs --job Emailer --args '[\"a@example.com\"]'",
        "taskq cancel --worker web-1:4711:emails",
    )
)
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--job", metavar="JOB", help="In the place of an id: a job that has none, with just these arguments.")
@click.option("--args", "args", metavar="JSON", help="Its arguments, a JSON list; without it, none.")
@click.option("--worker", metavar="WORKER", help="In the place of an id: what this worker performs now.")
@click.option("--queue", "-q", metavar="QUEUE", help="The queue that it waits in or came from.")
@click.option("--by", metavar="TEXT", help="Who asks, for the job's failure; without it, you.")
@common
@json_option
def cancel(
    id_: str | None,
    job: str | None,
    args: str | None,
    worker: str | None,
    queue: str | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Cancel one job: the one with this ID, or what --job or --worker says.

    Where it waits it is taken away, delayed or in its queue. Where it runs its worker ends it, within a second where
    that has a process for it, and its failure says who asked. Of several equal jobs without an id it is one, whichever.
    """
    if sum(given is not None for given in (id_, job, worker)) != 1:
        raise Stop(USAGE, "Which job? Give its id, or --job, or --worker: one of them. As in: taskq cancel ID")
    if args is not None and job is None:
        raise Stop(USAGE, "--args are those of a --job.")
    app = the_session().connected()
    what = id_ if job is None else _call(app, job, args, queue)
    became = app.cancel(what, worker=worker, queue=queue if job is None else None, by=by or "")
    if as_json:
        show_json("cancelled/1", {"id": id_, "job": job, "worker": worker, "became": became})
    else:
        _say(became, plain(id_ or job or f"what {worker} performs"))
    return NOTHING_MATCHED if became == "gone" else DONE


def _call(app: TaskQ, job: str, args: str | None, queue: str | None) -> Call:
    try:
        values = [] if args is None else json.loads(args)
    except (ValueError, RecursionError) as wrong:
        raise Stop(USAGE, f"--args is no JSON ({wrong}). As in: --args '[7, \"text\"]'") from None
    if not isinstance(values, list):
        raise Stop(USAGE, "--args is a JSON list. As in: --args '[7, \"text\"]'")
    return app.options(queue=queue).call(job, *values)


def _say(became: Cancelled, what: str) -> None:
    match became:
        case "removed":
            say(f"Removed: {what} will not be performed.")
        case "stopping":
            say(f"{what} is in a worker's hand, which ends it. It fails, and its failure says who asked.")
        case "gone":
            complain(f"There is nothing to cancel: {what} waits nowhere, and no worker has it in hand.")
