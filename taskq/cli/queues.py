"""`taskq queues`: how much waits where, what it is, and holding it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from taskq.app import TaskQ
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, NOTHING_MATCHED, SOME_FAILED, USAGE, Stop
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, count_of, hint, json_option, say, show, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.session import common, examples, the_session
from taskq.errors import ConfigurationError, nearest
from taskq.queue_lists import QueueList, parse
from taskq.records import WorkerInfo
from taskq.showing import DecodedJob

__all__ = ["queues", "served_by"]


@click.group(cls=ListedGroup, epilog=examples("taskq queues", "taskq queues peek emails", "taskq queues pause emails"))
@common
def queues() -> None:
    """List queues, look at what waits in one, pause and remove them. Without a command: list."""


@queues.command("list", epilog=examples("taskq queues list", "taskq queues list --json"))
@common
@json_option
def list_(as_json: bool) -> None:
    """List every queue: how many jobs wait, how many workers serve it, whether it is paused.

    In a pipe: queue, jobs, workers, state, with tabs between.
    """
    app = the_session().connected()
    sizes, paused, served = app.sizes(), app.broker.paused(), served_by(app.workers())
    rows = []
    for queue, size in sizes.items():
        workers = sum(_serves(line, queue) for line in served)
        held_back = paused.all or queue in paused.queues
        if as_json:
            show_json("queue/1", {"queue": queue, "jobs": size, "workers": workers, "paused": held_back})
        rows.append((queue, str(size), str(workers), "paused" if held_back else ""))
    if as_json:
        return
    if rows:
        show([Column("queue"), Column("jobs", right=True), Column("workers", right=True), Column("")], rows)
    else:
        hint("There is no queue yet: a queue is there once a job was enqueued into it.")
    if paused.all:
        hint("All queues are paused. To go on: taskq queues unpause --all")
    elif any(row[1] != "0" for row in rows):
        hint("What waits in one: taskq queues peek QUEUE")


@queues.command(epilog=examples("taskq queues peek emails", "taskq queues peek emails --start 100 --limit 5 --json"))
@click.argument("queue")
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="How many to pass over.")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@common
@json_option
def peek(queue: str, start: int, limit: int, as_json: bool) -> int:
    """Show the jobs that wait in QUEUE, the next one first, and remove none.

    In a pipe: position, job, arguments as JSON, with tabs between.
    """
    app = the_session().connected()
    jobs = app.peek(queue, start, limit)
    size = app.size(queue)
    if not jobs and not size and queue not in app.queues():
        raise Stop(NOTHING_MATCHED, _no_such_queue(app, queue))
    if as_json:
        for position, job in enumerate(jobs, start):
            show_json("job/1", {"queue": queue, "position": position, **_described(job)})
        return DONE
    rows = [(str(position), *_shown(job)) for position, job in enumerate(jobs, start)]
    if rows:
        show([Column("", right=True), Column("job", style="name"), Column("arguments", cut=True)], rows)
        if start + len(rows) < size:
            hint(f"{len(rows)} of {size:,}. Further: taskq queues peek {queue} --start {start + len(rows)}")
    else:
        hint(
            f"Of {count_of(size, 'job')} in {queue}, none is beyond position {start}." if size else f"{queue} is empty."
        )
    return DONE


@queues.command(epilog=examples("taskq queues pause emails", "taskq queues pause --all"))
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All queues, also those of Ruby workers.")
@common
def pause(names: Sequence[str], all_: bool) -> None:
    """Let workers take nothing more from these queues. Jobs in hand go on.

    One queue's pause is taskq's own; workers of Ruby's Resque heed only that of --all.
    """
    _one_of_both(names, all_, "taskq queues pause emails, or --all")
    app = the_session().connected()
    there = app.queues()
    for name in names:
        app.pause(name)
        missing = "" if name in there else f" There is no such queue yet.{_meant(name, there)}"
        say(f"{name} is paused.{missing}")
    if all_:
        app.pause()
        say("All queues are paused.")
    hint(f"To go on: taskq queues unpause {' '.join(names) or '--all'}")


@queues.command(epilog=examples("taskq queues unpause emails", "taskq queues unpause --all"))
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Undo pause --all; queues paused by their names stay so.")
@common
def unpause(names: Sequence[str], all_: bool) -> int:
    """Let workers take jobs from these queues again."""
    _one_of_both(names, all_, "taskq queues unpause emails, or --all")
    app = the_session().connected()
    paused = app.broker.paused()
    undone = 0
    for name in names:
        app.unpause(name)
        if name in paused.queues:
            say(f"{name} is not paused any more.{' All queues still are: --all.' if paused.all else ''}")
            undone += 1
        else:
            by_all = " by its name; all queues are: taskq queues unpause --all" if paused.all else ""
            click.echo(f"{name} was not paused{by_all or _meant(name, paused.queues) or '.'}", err=True)
    if all_:
        app.unpause()
        rest = f" Still paused: {', '.join(sorted(paused.queues))}." if paused.queues else ""
        say(f"{'No longer are all queues paused' if paused.all else 'All queues were not paused'}.{rest}")
        undone += 1
    return _code(undone, len(names) + all_)


@queues.command(epilog=examples("taskq queues remove emails", "taskq queues remove emails low --yes"))
@click.argument("names", metavar="QUEUE...", nargs=-1, required=True)
@yes_option
@common
def remove(names: Sequence[str], yes: bool) -> int:
    """Remove queues and every job that waits in them. It asks first."""
    app = the_session().connected()
    there = set(app.queues())
    found = [name for name in names if name in there]
    for name in names:
        if name not in there:
            click.echo(_no_such_queue(app, name), err=True)
    if found:
        waiting = sum(app.sizes(found).values())
        confirm(f"Remove {', '.join(found)} with {count_of(waiting, 'waiting job')}", yes=yes)
    for name in found:
        say(f"Removed {name} with {count_of(app.remove_queue(name), 'job')}.")
    return _code(len(found), len(names))


def served_by(workers: Sequence[WorkerInfo]) -> Sequence[QueueList]:
    """The queue lists of these workers, as far as their ids say them."""
    lines = []
    for worker in workers:
        try:
            lines.append(parse(worker.queues))
        except ConfigurationError:  # some other program's id
            continue
    return lines


def _serves(line: QueueList, queue: str) -> bool:
    return queue in line.expand([queue])


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
        return f'There is no queue "{name}", nor any other.'
    return f'There is no queue "{name}".{_meant(name, there) or f" There are: {_listed(there)}."}'


def _meant(name: str, there: Sequence[str] | frozenset[str]) -> str:
    near = nearest(name, there)
    return f" Did you mean {near}?" if near and near != name else ""


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _code(done: int, wanted: int) -> int:
    if done == wanted:
        return DONE
    return SOME_FAILED if done else NOTHING_MATCHED
