"""`taskq delayed`: what waits for its time, enqueueing it sooner, and throwing it away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

import click

from taskq import due
from taskq.app import TaskQ
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, INTERRUPTED, NOTHING_MATCHED, SOME_FAILED, USAGE, Stop
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, complain, count_of, duration, hint, json_option, say, show, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.progress import Long
from taskq.cli.session import common, examples, hint_at_secrets, the_session
from taskq.cli.times import read_time
from taskq.delayed_jobs import Cursor, DelayedJob
from taskq.errors import InvalidPayload

__all__ = ["delayed"]


@click.group(
    cls=ListedGroup,
    epilog=examples(
        "taskq delayed", "taskq delayed run --class Emailer", "taskq delayed remove --class Emailer --args '[7]'"
    ),
)
@common
def delayed() -> None:
    """List delayed jobs, enqueue them ahead of their time, remove them. Without a command: list."""


@delayed.command(
    "list", epilog=examples("taskq delayed list", "taskq delayed --class Emailer --since '2030-01-31 09:00+01:00'")
)
@click.option("--class", "job", metavar="JOB", help="Only those of this job.")
@click.option("--queue", "-q", metavar="QUEUE", help="Only those that go into this queue.")
@click.option("--since", metavar="TIME", help="Only those from this time on: unix seconds, or a time with its zone.")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="How many of just that time to pass over.")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@common
@json_option
def list_(job: str | None, queue: str | None, since: str | None, skip: int, limit: int, as_json: bool) -> int:
    """List delayed jobs, the next to be due first.

    In a pipe: when, queue, job, arguments as JSON, with tabs between.
    """
    app = the_session().connected()
    begin = Cursor(0.0 if since is None else read_time(since), skip)
    following: Cursor | None = None
    if job is None and queue is None:
        page = app.delayed.list(limit, cursor=begin)
        found, following = page.jobs, page.next
    else:
        after = (each for each in app.delayed.each(job, queue=queue) if each.at >= begin.since)
        found = [*islice(after, skip, skip + limit)]
    if as_json:
        for each in found:
            show_json("delayed/1", _described(each))
    elif found:
        show(
            [
                Column("when"), Column("in", right=True, spare=True), Column("queue"),
                Column("job", style="name", named=True),
                Column("arguments", cut=True),
            ],
            [_row(each, app.broker.now()) for each in found],
        )  # fmt: skip
        hint_at_secrets(app)
    if found:
        if following is not None:
            more = f"--since {following.since!r}" + (f" --skip {following.skip}" if following.skip else "")
            hint(f"For {count_of(app.delayed.time_count(), 'time')} in all. Further: taskq delayed list {more}")
        hint("Sooner: taskq delayed run --at TIME, or --class JOB")
    elif job is None and queue is None and since is None:
        hint("There are no delayed jobs.")
    else:
        complain("None of the delayed jobs is like that.")
        return NOTHING_MATCHED
    return DONE


@delayed.command(
    epilog=examples(
        "taskq delayed run --at 1900000000", "taskq delayed run --class Emailer --args '[7]'", "taskq delayed run --all"
    )
)
@click.option("--class", "job", metavar="JOB", help="Those of this job.")
@click.option("--args", metavar="JSON", help="With --class: those with exactly these arguments, a list.")
@click.option("--queue", "-q", metavar="QUEUE", help="Those that go into this queue.")
@click.option("--at", metavar="TIME", help="Those of just this time: unix seconds, or a time with its zone.")
@click.option("--all", "all_", is_flag=True, help="All of them.")
@common
@json_option
def run(job: str | None, args: str | None, queue: str | None, at: str | None, all_: bool, as_json: bool) -> int:
    """Move delayed jobs into their queues now. No scheduler is needed for it."""
    app = the_session().connected()
    refused = 0

    def enqueue(each: DelayedJob) -> int:
        nonlocal refused
        try:
            return app.delayed.enqueue_now(each)
        except InvalidPayload as wrong:
            complain(f"{due.shown(each.at)}: {wrong}")
            refused += 1
            return 0

    meant = _looked_for(app, _meant(app, job, args, queue, at, all_, "run"))
    if meant is None:
        return INTERRUPTED
    done, stopped = _each("Enqueueing", meant, enqueue)
    return _ended(done, refused, "Enqueued", app, stopped=stopped, as_json=as_json)


@delayed.command(epilog=examples("taskq delayed remove --class Emailer", "taskq delayed remove --at 1900000000 --yes"))
@click.option("--class", "job", metavar="JOB", help="Those of this job.")
@click.option("--args", metavar="JSON", help="With --class: those with exactly these arguments, a list.")
@click.option("--queue", "-q", metavar="QUEUE", help="Those that go into this queue.")
@click.option("--at", metavar="TIME", help="Those of just this time: unix seconds, or a time with its zone.")
@yes_option
@common
@json_option
def remove(job: str | None, args: str | None, queue: str | None, at: str | None, yes: bool, as_json: bool) -> int:
    """Remove delayed jobs for good. It asks first."""
    app = the_session().connected()
    meant = _looked_for(app, _meant(app, job, args, queue, at, False, "remove"))
    if meant is None:
        return INTERRUPTED
    if meant:
        confirm(f"Remove {count_of(len(meant), 'delayed job')}", yes=yes)
    done, stopped = _each("Removing", meant, app.delayed.remove)
    return _ended(done, 0, "Removed", app, stopped=stopped, as_json=as_json)


@delayed.command(epilog=examples("taskq delayed clear", "taskq delayed clear --yes"))
@yes_option
@common
@json_option
def clear(yes: bool, as_json: bool) -> int:
    """Remove all delayed jobs for good. It asks first."""
    app = the_session().connected()
    times = app.delayed.time_count()
    gone = 0
    if times:
        confirm(f"Remove all delayed jobs, of {count_of(times, 'time')}", yes=yes)
        gone = app.delayed.clear()
    if as_json:
        show_json("delayed_removed/1", {"done": gone, "refused": 0})
    else:
        say(f"Removed {count_of(gone, 'delayed job')}." if times else "There are no delayed jobs.")
    return DONE


def _meant(
    app: TaskQ, job: str | None, args: str | None, queue: str | None, at: str | None, all_: bool, verb: str
) -> Iterator[DelayedJob | None]:
    """Each that may be meant, and None in its place where it is not."""
    said = job is not None or queue is not None or at is not None
    if said == all_:
        what = "Say which are meant or --all, not both." if said else "Which ones?"
        more = ", or --all" if verb == "run" else ""
        raise Stop(USAGE, f"{what} As in: taskq delayed {verb} --class Emailer, or --at TIME{more}")
    wanted = None if args is None else _list(args)
    if wanted is not None and job is None:
        raise Stop(USAGE, "--args are a job's: say --class too.")
    moment = None if at is None else read_time(at)
    for each in app.delayed.each(job, queue=queue):
        right = wanted is None or (each.payload is not None and list(each.payload.args) == wanted)
        yield each if right and (moment is None or each.at == moment) else None


def _looked_for(app: TaskQ, each: Iterator[DelayedJob | None]) -> list[DelayedJob] | None:
    """Those that are meant of all that were looked at; None where somebody said to stop."""
    meant: list[DelayedJob] = []
    with Long("Looking") as work:
        total = 0
        for place, one in enumerate(each):
            if work.stopped:
                return None
            if one is not None:
                meant.append(one)
            if place % 1000 == 999:
                total = total or app.delayed.count()
                work.tell(place + 1, max(total, place + 1))
    return meant


def _list(args: str) -> list[object]:
    try:
        read = json.loads(args)
    except ValueError as wrong:
        raise Stop(USAGE, f"--args is no JSON ({wrong}). As in: --args '[7, \"a@example.com\"]'") from None
    if not isinstance(read, list):
        raise Stop(USAGE, f"--args is a list of all arguments. As in: --args '[{args}]'")
    return read


def _each(what: str, meant: Sequence[DelayedJob], act: Callable[[DelayedJob], int]) -> tuple[int, str]:
    """Do it with each until somebody says to stop: with how many it was done, and how far it got if somebody did."""
    done = 0
    with Long(what) as work:
        for place, each in enumerate(meant):
            if work.stopped:
                return done, f"{place:,} of {len(meant):,}"
            done += act(each)
            work.tell(place + 1, len(meant))
    return done, ""


def _ended(done: int, refused: int, verb: str, app: TaskQ, *, stopped: str, as_json: bool) -> int:
    if as_json:
        show_json(f"delayed_{verb.lower()}/1", {"done": done, "refused": refused})
    elif done:
        say(f"{verb} {count_of(done, 'delayed job')}.")
    if stopped:
        complain(f"Stopped after {stopped}. To go on: the same again.")
        return INTERRUPTED
    if refused:
        return SOME_FAILED
    if not done:
        there = app.delayed.time_count()
        raise Stop(NOTHING_MATCHED, "None of the delayed jobs is like that." if there else "There are no delayed jobs.")
    return DONE


def _row(each: DelayedJob, now: float) -> Sequence[str]:
    job = each.payload.job if each.payload is not None else "[unreadable]"
    arguments = json_text(each.shown) if each.payload is not None else each.problem
    waits = duration(each.at - now) if each.at > now else "due"
    return due.shown(each.at), waits, each.queue or "?", job, arguments


def _described(each: DelayedJob) -> dict[str, object]:
    return {
        "at": each.at,
        "time": datetime.fromtimestamp(each.at, UTC).isoformat(),
        "queue": each.queue or None,
        "job": each.payload.job if each.payload is not None else None,
        "args": each.shown if each.payload is not None else None,
        "problem": each.problem or None,
    }
