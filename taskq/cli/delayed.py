"""`taskq delayed`: what waits for its time, enqueueing it sooner, and throwing it away."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice

import click

from taskq import due
from taskq.app import TaskQ
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, INTERRUPTED, NOTHING_MATCHED, SOME_FAILED, USAGE, Stop
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, complain, count_of, duration, hint, json_option, plain, say, show, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.progress import Long
from taskq.cli.session import common, examples, hint_at_secrets, the_session
from taskq.cli.times import read_time
from taskq.delayed_jobs import Cursor, DelayedFilter, DelayedJob, DelayedTally
from taskq.showing import placeholder

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
                Column("when"), Column("in", right=True, spare=True), Column("queue", cut=True),
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
    """Move delayed jobs into their queues now. No scheduler is needed for it. Ctrl-C stops it between two of them."""
    meant = _meant(job, args, queue, at, all_, "run")
    app = the_session().connected()
    with Long("Enqueueing") as work:
        tally = app.delayed.enqueue_matching(meant, tell=_telling(work), stop=work.stop)
    if tally.refused:
        complain(tally.why if tally.refused == 1 else f"{tally.refused:,} stay where they are. The first: {tally.why}")
    return _ended(tally, "Enqueued", app, as_json=as_json)


@delayed.command(epilog=examples("taskq delayed remove --class Emailer", "taskq delayed remove --at 1900000000 --yes"))
@click.option("--class", "job", metavar="JOB", help="Those of this job.")
@click.option("--args", metavar="JSON", help="With --class: those with exactly these arguments, a list.")
@click.option("--queue", "-q", metavar="QUEUE", help="Those that go into this queue.")
@click.option("--at", metavar="TIME", help="Those of just this time: unix seconds, or a time with its zone.")
@yes_option
@common
@json_option
def remove(job: str | None, args: str | None, queue: str | None, at: str | None, yes: bool, as_json: bool) -> int:
    """Remove delayed jobs for good. It asks first. Ctrl-C stops it between two of them."""
    meant = _meant(job, args, queue, at, False, "remove")
    app = the_session().connected()
    with Long("Looking") as work:
        found = app.delayed.count_matching(meant, tell=_telling(work), stop=work.stop)
    if found.stopped:
        return INTERRUPTED
    tally = found
    if found.matched:
        confirm(f"Remove {count_of(found.matched, 'delayed job')}", yes=yes)
        with Long("Removing") as work:
            tally = app.delayed.remove_matching(meant, tell=_telling(work), stop=work.stop)
    return _ended(tally, "Removed", app, as_json=as_json)


@delayed.command(epilog=examples("taskq delayed clear", "taskq delayed clear --yes"))
@yes_option
@common
@json_option
def clear(yes: bool, as_json: bool) -> int:
    """Remove all delayed jobs for good. It asks first. Ctrl-C stops it between two of them."""
    app = the_session().connected()
    total = 0
    with Long("Counting") as work:
        after: float | None = None
        while not work.stopped:
            more, after = app.delayed.count_some(after)
            total += more
            if after is None:
                break
            work.tell(total, None)
    if work.stopped:
        return INTERRUPTED
    if total:
        confirm(f"Remove all {count_of(total, 'delayed job')}" if total > 1 else "Remove the delayed job", yes=yes)
    gone = 0
    with Long("Removing") as work:
        # What comes meanwhile goes too; of who delays as fast as it goes, some stay.
        while gone < 2 * total and not work.stopped and (more := app.delayed.clear_some()):
            gone += more
            work.tell(gone, max(total, gone))
    if as_json:
        show_json("delayed_removed/1", {"done": gone, "refused": 0, "stopped": work.stopped})
    else:
        say(f"Removed {count_of(gone, 'delayed job')}." if gone else "There are no delayed jobs.")
    if work.stopped:
        return _stopped(gone, total)
    return DONE


def _meant(
    job: str | None, args: str | None, queue: str | None, at: str | None, all_: bool, verb: str
) -> DelayedFilter:
    said = job is not None or queue is not None or at is not None
    if said == all_:
        what = "Say which are meant or --all, not both." if said else "Which ones?"
        more = ", or --all" if verb == "run" else ""
        raise Stop(USAGE, f"{what} As in: taskq delayed {verb} --class Emailer, or --at TIME{more}")
    wanted = None if args is None else _list(args)
    if wanted is not None and job is None:
        raise Stop(USAGE, "--args are a job's: say --class too.")
    return DelayedFilter(job, queue, wanted, None if at is None else read_time(at))


def _telling(work: Long) -> Callable[[DelayedTally], None]:
    def tell(tally: DelayedTally) -> None:
        work.tell(tally.searched, tally.total, f"{tally.done:,} done" if tally.done else "")

    return tell


def _list(args: str) -> list[object]:
    try:
        read = json.loads(args)
    except (ValueError, RecursionError) as wrong:
        raise Stop(USAGE, f"--args is no JSON ({wrong}). As in: --args '[7, \"a@example.com\"]'") from None
    if not isinstance(read, list):
        raise Stop(USAGE, f"--args is a list of all arguments. As in: --args '[{args}]'")
    if masked := placeholder(read):
        raise Stop(USAGE, f"--args: {plain(masked)} stands for what is masked: type the value itself.")
    return read


def _ended(tally: DelayedTally, verb: str, app: TaskQ, *, as_json: bool) -> int:
    if as_json:
        show_json(f"delayed_{verb.lower()}/1", {"done": tally.done, "refused": tally.refused, "stopped": tally.stopped})
    elif tally.done:
        say(f"{verb} {count_of(tally.done, 'delayed job')}.")
    if tally.stopped:
        return _stopped(tally.searched, tally.total)
    if tally.refused:
        return SOME_FAILED
    if not tally.done:
        there = app.delayed.time_count(1)
        raise Stop(NOTHING_MATCHED, "None of the delayed jobs is like that." if there else "There are no delayed jobs.")
    return DONE


def _stopped(searched: int, total: int) -> int:
    complain(f"Stopped after {searched:,} of {total:,}. To go on: the same again.")
    return INTERRUPTED


def _row(each: DelayedJob, now: float) -> Sequence[str]:
    job = each.payload.job if each.payload is not None else "[unreadable]"
    arguments = json_text(each.shown) if each.payload is not None else each.problem
    waits = duration(each.at - now) if each.at > now else "due"
    return due.shown(each.at), waits, each.queue or "?", job, arguments


def _described(each: DelayedJob) -> dict[str, object]:
    return {
        "at": each.at,
        "time": _iso(each.at),
        "queue": each.queue or None,
        "job": each.payload.job if each.payload is not None else None,
        "args": each.shown if each.payload is not None else None,
        "problem": each.problem or None,
    }


def _iso(at: float) -> str | None:
    """The time in ISO 8601; None beyond the years that have one, where a stranger's job may wait."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
