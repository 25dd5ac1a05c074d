"""`taskq queues`: how much waits where, what it is, and holding it back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import click

from taskq.app import TaskQ
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, NOTHING_MATCHED, USAGE, Stop, partly
from taskq.cli.groups import ListedGroup
from taskq.cli.output import (
    Column,
    change,
    complain,
    count_of,
    duration,
    hint,
    json_option,
    on_terminal,
    plain,
    say,
    show,
    show_json,
)
from taskq.cli.output import as_json as json_text
from taskq.cli.session import common, examples, hint_at_secrets, the_session
from taskq.errors import nearest
from taskq.operator import QueueState, job_id, named
from taskq.showing import DecodedJob

__all__ = ["queues"]


@click.group(cls=ListedGroup, epilog=examples("taskq queues", "taskq queues peek emails", "taskq queues pause emails"))
@common
def queues() -> None:
    """List queues, look at what waits in one, pause and remove them. Without a command: list."""


@queues.command("list", epilog=examples("taskq queues list", "taskq queues list --json"))
@common
@json_option
def list_(as_json: bool) -> None:
    """List every queue: how many jobs wait, how many workers serve it, whether it is paused.

    In a pipe: queue, jobs, workers, state, age of the oldest job where it says when it was enqueued, by how many jobs
    the queue grows in a minute, with tabs between.
    """
    app = the_session().connected()
    found = app.operator.queues()
    if as_json:
        for queue in found:
            show_json(
                "queue/1",
                {
                    "queue": queue.name,
                    "jobs": queue.size,
                    "workers": len(queue.served_by),
                    "paused": queue.paused,
                    "oldest": None if queue.oldest is None else round(queue.oldest, 3),
                    "change_a_minute": None if queue.change is None else round(queue.change, 3),
                },
            )
        return
    columns = [
        Column("queue", cut=True, named=True),
        Column("jobs", right=True),
        Column("workers", right=True),
        Column(""),
        Column("oldest", right=True, spare=True),
        Column("a minute", right=True, spare=True),
    ]
    if found:
        show(columns, [_row(queue) for queue in found])
    else:
        hint("There is no queue yet: a queue is there once a job was enqueued into it.")
    if app.broker.paused().all:
        hint("All queues are paused. To go on: taskq queues unpause --all")
    elif any(queue.size for queue in found):
        hint("What waits in one: taskq queues peek QUEUE")


def _row(queue: QueueState) -> tuple[str, ...]:
    return (
        queue.name if queue.name.strip() or not on_terminal() else "(no name)",
        str(queue.size),
        str(len(queue.served_by)),
        "paused" if queue.paused else "no worker" if queue.size and not queue.served_by and on_terminal() else "",
        "" if queue.oldest is None else duration(queue.oldest),
        "" if queue.change is None else change(queue.change),
    )


@queues.command(epilog=examples("taskq queues peek emails", "taskq queues peek emails --start 100 --limit 5 --json"))
@click.argument("queue")
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="How many to pass over.")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@common
@json_option
def peek(queue: str, start: int, limit: int, as_json: bool) -> int:
    """Show the jobs that wait in QUEUE, the next one first, and remove none.

    In a pipe: position, job, arguments as JSON, with tabs between. With --json each has an id, by which it can be
    removed: taskq queues remove QUEUE --job ID.
    """
    app = the_session().connected()
    jobs = app.peek(queue, start, limit)
    size = app.size(queue)
    if not jobs and not size and queue not in app.queues():
        raise Stop(NOTHING_MATCHED, _no_such_queue(app, queue))
    if as_json:
        for position, job in enumerate(jobs, start):
            show_json("job/1", {"queue": queue, "position": position, "id": job_id(position, job), **_described(job)})
        return DONE
    rows = [(str(position), *_shown(job)) for position, job in enumerate(jobs, start)]
    if rows:
        show([Column("", right=True), Column("job", style="name", named=True), Column("arguments", cut=True)], rows)
        hint_at_secrets(app)
        if start + len(rows) < size:
            hint(
                f"{len(rows)} of {size:,}. Further: taskq queues peek {shlex.quote(queue)} --start {start + len(rows)}"
            )
    else:
        hint(
            f"Of {count_of(size, 'job')} in {named(queue)}, none is beyond position {start}."
            if size
            else f"{named(queue)} is empty."
        )
    return DONE


@queues.command(epilog=examples("taskq queues pause emails", "taskq queues pause --all"))
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All queues, also those of Ruby workers.")
@common
@json_option
def pause(names: Sequence[str], all_: bool, as_json: bool) -> None:
    """Let workers take nothing more from these queues. Jobs in hand go on.

    One queue's pause is taskq's own; workers of Ruby's Resque heed only that of --all.
    """
    _one_of_both(names, all_, "taskq queues pause emails, or --all")
    app = the_session().connected()
    there = app.queues()
    before = app.broker.paused()
    for name in names:
        app.pause(name)
        missing = "" if name in there else f" There is no such queue yet.{_meant(name, there)}"
        _tell_pause(f"{named(name)} is paused.{missing}", name, True, name not in before.queues, as_json=as_json)
    if all_:
        app.pause()
        _tell_pause("All queues are paused.", None, True, not before.all, as_json=as_json)
    hint(f"To go on: taskq queues unpause {shlex.join(names) or '--all'}")


@queues.command(epilog=examples("taskq queues unpause emails", "taskq queues unpause --all"))
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Undo pause --all; queues paused by their names stay so.")
@common
@json_option
def unpause(names: Sequence[str], all_: bool, as_json: bool) -> int:
    """Let workers take jobs from these queues again."""
    _one_of_both(names, all_, "taskq queues unpause emails, or --all")
    app = the_session().connected()
    paused = app.broker.paused()
    undone = 0
    for name in names:
        app.unpause(name)
        if name in paused.queues:
            still = " All queues still are: --all." if paused.all else ""
            _tell_pause(f"{named(name)} is not paused any more.{still}", name, False, True, as_json=as_json)
            undone += 1
        else:
            by_all = " by its name; all queues are: taskq queues unpause --all" if paused.all else ""
            near = by_all or f".{_meant(name, paused.queues)}"
            _tell_pause(
                f"{named(name)} was not paused{near}",
                name,
                False,
                False,
                as_json=as_json,
            )
    if all_:
        app.unpause()
        rest = f" Still paused: {', '.join(map(named, sorted(paused.queues)))}." if paused.queues else ""
        said = "No longer are all queues paused." if paused.all else "There was no pause of all queues."
        _tell_pause(f"{said}{rest}", None, False, paused.all, as_json=as_json)
        undone += paused.all
    return partly(undone, len(names) + all_ - undone)


def _tell_pause(said: str, queue: str | None, paused: bool, done: bool, *, as_json: bool) -> None:
    """What became of one pause; `queue` is None for that of all."""
    if as_json:
        show_json("queue_pause/1", {"queue": queue, "paused": paused, "done": done})
    else:
        (say if done or paused else complain)(said)


@queues.command(epilog=examples("taskq queues remove emails low --yes", "taskq queues remove emails --job 12-8f3a1c"))
@click.argument("names", metavar="QUEUE...", nargs=-1, required=True)
@click.option("--job", "ids", metavar="ID", multiple=True, help="Only this waiting job of the queue; again for more.")
@yes_option
@common
@json_option
def remove(names: Sequence[str], ids: Sequence[str], yes: bool, as_json: bool) -> int:
    """Remove queues and every job that waits in them, or single jobs of one queue. It asks first."""
    if ids and len(names) > 1:
        raise Stop(USAGE, "--job names jobs of one queue. As in: taskq queues remove emails --job 12-8f3a1c")
    app = the_session().connected()
    there = set(app.queues())
    found = [name for name in names if name in there]
    for name in names:
        if name not in there:
            complain(_no_such_queue(app, name))
    if ids:
        return _remove_jobs(app, found[0], ids, yes=yes, as_json=as_json) if found else NOTHING_MATCHED
    if found:
        waiting = sum(app.sizes(found).values())
        confirm(f"Remove {', '.join(map(named, found))} with {count_of(waiting, 'waiting job')}", yes=yes)
    for name in found:
        gone = app.remove_queue(name)
        if as_json:
            show_json("queue_remove/1", {"queue": name, "whole": True, "jobs": gone})
        else:
            say(f"Removed {named(name)} with {count_of(gone, 'job')}.")
    return partly(len(found), len(names) - len(found))


def _remove_jobs(app: TaskQ, queue: str, ids: Sequence[str], *, yes: bool, as_json: bool) -> int:
    try:
        there = [one for one in ids if app.operator.find_job(queue, one) is not None]
    except ValueError as wrong:
        raise Stop(USAGE, str(wrong)) from None
    if there:
        confirm(f"Remove {count_of(len(there), 'waiting job')} of {named(queue)}", yes=yes)
    done = sum(app.operator.remove_job(queue, one) for one in there)
    for one in ids:
        if one not in there:
            complain(f"{one} waits no more: a worker took it, or somebody removed it.")
    if as_json:
        show_json("queue_remove/1", {"queue": queue, "whole": False, "jobs": done})
    elif done:
        say(f"Removed {count_of(done, 'job')} of {named(queue)}.")
    return partly(done, len(ids) - done)


def _described(job: DecodedJob) -> Mapping[str, object]:
    return {
        "job": job.payload.job if job.payload is not None else None,
        "args": job.shown if job.payload is not None else None,
        "problem": job.problem or None,
    }


def _shown(job: DecodedJob) -> tuple[str, str]:
    if job.payload is None:
        return "[unreadable]", job.problem
    return job.payload.job, json_text(job.shown)


def _one_of_both(names: Sequence[str], all_: bool, right: str) -> None:
    if bool(names) == all_:
        raise Stop(USAGE, f"{'Name queues or say --all, not both.' if names else 'Which queue?'} As in: {right}")


def _no_such_queue(app: TaskQ, name: str) -> str:
    there = app.queues()
    if not there:
        return f'There is no queue "{plain(name)}", nor any other.'
    return f'There is no queue "{plain(name)}".{_meant(name, there) or f" There are: {_listed(there)}."}'


def _meant(name: str, there: Sequence[str] | frozenset[str]) -> str:
    near = nearest(name, there)
    return f" Did you mean {plain(near)}?" if near and near != name else ""


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(plain(named(name)) for name in names[:most]) + more
