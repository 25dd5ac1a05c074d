"""`taskq enqueue`: a job by its name, with arguments as they are typed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from taskq.app import TaskQ
from taskq.broker import Capability
from taskq.cli.endings import DONE, SOME_FAILED, USAGE, Stop
from taskq.cli.output import complain, hint, json_option, plain, say, show_json
from taskq.cli.session import common, examples, the_session
from taskq.cli.times import read_span, read_time
from taskq.due import shown
from taskq.errors import UnknownJob
from taskq.hook import Accepted, Deferred, Enqueued, Vetoed
from taskq.operator import served_by
from taskq.showing import placeholder

__all__ = ["enqueue", "read_argument"]

_NEGATIVE = re.compile(r"-(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class _TakesNumbers(click.Command):
    """A command to which `-5` is an argument and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # White space before a number means nothing to JSON, and keeps it from being taken for an option.
        return super().parse_args(ctx, [f" {arg}" if _NEGATIVE.fullmatch(arg) else arg for arg in args])


@click.command(
    cls=_TakesNumbers,
    epilog=examples(
        "taskq enqueue --app shop.jobs Emailer a@example.com '{\"k\": 1}'",
        "taskq enqueue --app shop.jobs --queue vip --front send_email a@example.com",
        "taskq enqueue --app shop.jobs --in 5m send_email a@example.com",
        "taskq enqueue --queue reports Billing::Report 2026 -- --all",
    ),
)
@click.argument("job")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@click.option("--queue", "-q", metavar="QUEUE", help="Where it goes; without it, the job's own queue.")
@click.option("--front", is_flag=True, help="Ahead of what waits there.")
@click.option("--in", "in_", metavar="SPAN", help="So much later: 30s, 5m, 1h30m, 2d, or seconds.")
@click.option("--at", metavar="TIME", help="At this time: unix seconds, or a time with its zone.")
@common
@json_option
def enqueue(
    job: str, arguments: Sequence[str], queue: str | None, front: bool, in_: str | None, at: str | None, as_json: bool
) -> int:
    """Enqueue JOB with these arguments.

    Each argument is read as JSON where it is JSON (5, true, null, {"k": 1}), and is a text otherwise; a text that would
    be JSON goes in quotes of its own: '"5"'. What begins with a dash goes behind a --.

    JOB is the name of a job of the application (--app); with --queue it may be one of another program.

    With --in or --at it waits among the delayed jobs until then; a scheduler moves it into its queue.
    """
    if in_ is not None and at is not None:
        raise click.UsageError("--in and --at were both said. Leave one of them out.")
    delay = None if in_ is None else read_span(in_)
    try:
        when = None if at is None else datetime.fromtimestamp(read_time(at), UTC)
    except (OverflowError, ValueError, OSError):
        raise Stop(USAGE, f"{at} is after the year 9999, or before the first. Say another time.") from None
    if queue is not None and not queue.strip():
        raise click.UsageError("--queue: a queue needs a name. Leave --queue out for the job's own one.")
    app = the_session().connected()
    if queue is None and app.registry.find(job) is None:
        raise Stop(USAGE, *_unknown(job, app))
    call = app.options(queue=queue, front=front, delay=delay, at=when)
    done = call.enqueue(job, *(read_argument(argument) for argument in arguments))
    if as_json:
        show_json("enqueued/1", _described(done))
    elif isinstance(done, Accepted):
        later = "" if done.at is None else f" for {shown(done.at)}"
        say(f"Enqueued {plain(done.job)} to {plain(done.queue)}{later}.")
    elif isinstance(done, Deferred):
        say(f"{plain(done.job)} was taken over by {done.by}: {done.reason}.")
    if isinstance(done, Vetoed):
        complain(f"{done.job} was not enqueued: {done.by} said no ({done.reason}).")
        return SOME_FAILED
    if isinstance(done, Accepted) and not app.config.inline:
        _say_who_performs(app, done.queue)
    return DONE


def read_argument(argument: str) -> object:
    """An argument as it was typed: what it says as JSON, or itself, where it is none.

    Raises:
        Stop: it is a number that JSON cannot carry, an object of which a part would be lost, or no value at all but
            what stands for a masked one wherever that is shown.
    """
    value: object = argument
    wrong: Exception | None = None
    try:
        value = json.loads(argument, parse_constant=_no_json, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        wrong = error
    if masked := placeholder(value):
        raise Stop(USAGE, f"{plain(masked)} stands for what is masked: type the value itself.", "Nothing was enqueued.")
    if wrong is not None and argument[:1] in {"{", "["}:
        complain(f"Sent as a text, for it is no JSON ({wrong}): {plain(argument[:60])}")
    return value


def _no_json(constant: str) -> object:
    """NaN and Infinity, which Python reads and JSON has not. As a text it would surprise whoever means a number."""
    raise Stop(
        USAGE,
        f"{constant} is a number that JSON cannot carry. As a text it goes in quotes of its own: '\"{constant}\"'.",
        "Nothing was enqueued.",
    )


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object, each of whose keys is there once: of two of one name, one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Stop(
            USAGE, f'The key "{plain(twice)}" is there twice in one object. Leave one out.', "Nothing was enqueued."
        )
    return found


def _unknown(job: str, app: TaskQ) -> Sequence[str]:
    known = app.registry.names()
    first = str(UnknownJob(job, "", known)).partition(" Its module")[0].replace(" (queue )", "")
    return (
        first,
        f"Its module may not be imported: taskq enqueue --app YOUR.JOBS {job} ...",
        f"A job of another program needs its queue: taskq enqueue --queue QUEUE {job} ...",
        "Nothing was enqueued.",
    )


def _described(done: Enqueued) -> dict[str, object]:
    if isinstance(done, Accepted):
        at = {} if done.at is None else {"at": done.at}
        return {"job": done.job, "queue": done.queue, "outcome": "accepted", "bytes": len(done.payload), **at}
    outcome = "vetoed" if isinstance(done, Vetoed) else "deferred"
    return {"job": done.job, "outcome": outcome, "by": done.by, "reason": done.reason}


def _say_who_performs(app: TaskQ, queue: str) -> None:
    """On standard error, where nobody will: a queue's name may be mistyped, and a store may end with this command."""
    if Capability.SHARED not in app.broker.capabilities:
        complain(f"It ends with this command, for its broker is {app.broker.address}.")
        return
    workers = [worker.info for worker in app.operator.workers() if not worker.looks_dead]
    if served_by(workers, [queue])[queue]:
        return
    if not workers:
        hint(f"No worker is running. To start one: taskq worker -q {shlex.quote(queue)} --app YOUR.JOBS")
        return
    served = ", ".join(dict.fromkeys(name for worker in workers for name in worker.queues))
    complain(
        f'Queue "{plain(queue)}" is served by no worker (workers serve: {plain(served)}). '
        "Enqueued all the same; taskq queues list.",
    )
