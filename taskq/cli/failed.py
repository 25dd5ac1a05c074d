"""`taskq failed`: what failed and why, trying it again, and throwing it away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import click

from taskq.app import TaskQ
from taskq.broker import Requeued
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, NOTHING_MATCHED, SOME_FAILED, USAGE, Stop
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, count_of, hint, json_option, say, show, show_facts, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.session import common, examples, the_session
from taskq.errors import InvalidPayload
from taskq.failed_entry import FailedJob
from taskq.failed_ids import Missing, find, id_of, parse

__all__ = ["failed", "show_list"]

F = TypeVar("F", bound=Callable[..., Any])

_SEARCHED = 10_000  # entries that a filtered list reads: a second or two


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which failed jobs are meant. What is None does not matter."""

    job: str | None
    queue: str | None
    exception: str | None

    @property
    def says_anything(self) -> bool:
        return self != _Filter(None, None, None)

    def matches(self, failed: FailedJob) -> bool:
        if self.job is not None and (failed.payload is None or failed.payload.job != self.job):
            return False
        if self.queue is not None and failed.job_queue != self.queue:
            return False
        # `ValueError` means Ruby's `My::ValueError` and Python's `shop.errors.ValueError` too.
        name = failed.exception
        return self.exception is None or self.exception in {
            name,
            name.rpartition(".")[2],
            name.rpartition("::")[2],
        }


def _filtered(command: F) -> F:
    """Give a command the options that say which failed jobs are meant."""
    for option in (
        click.option("--exception", metavar="NAME", help="Only those that this exception ended."),
        click.option("--queue", "-q", metavar="QUEUE", help="Only those of this queue."),
        click.option("--class", "job", metavar="JOB", help="Only those of this job."),
    ):
        command = option(command)
    return command


@click.group(
    cls=ListedGroup,
    epilog=examples("taskq failed", "taskq failed show 12-8f3a1c", "taskq failed requeue --all --class Emailer"),
)
@common
def failed() -> None:
    """List failed jobs, show one, requeue and remove them. Without a command: list.

    A failed job is named by its place and a mark of its content, 12-8f3a1c, as the list shows it; its place alone, 12,
    means whatever is there now.
    """


@failed.command("list", epilog=examples("taskq failed list", "taskq failed --class Emailer --exception SMTPException"))
@_filtered
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="How many to pass over.")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@click.option(
    "--search",
    type=click.IntRange(min=1),
    default=_SEARCHED,
    show_default=True,
    help="How many to look through for those that are meant.",
)
@common
@json_option
def list_(
    job: str | None, queue: str | None, exception: str | None, start: int, limit: int, search: int, as_json: bool
) -> int:
    """List failed jobs, the newest first.

    In a pipe: id, when, queue, job, error, "retried" or nothing, with tabs between.
    """
    app = the_session().connected()
    wanted = _Filter(job, queue, exception)
    total = app.failures.count()
    if wanted.says_anything:
        searched = islice(app.failures.each(), search)
        found = [*islice(filter(wanted.matches, searched), start, start + limit)]
    else:
        found = [*app.failures.list(start, limit)]
    if as_json:
        for each in found:
            show_json("failed/1", _described(app, each))
    elif found:
        show_list(found)
    _say_what_else_there_is(wanted, start, found, total, search)
    return NOTHING_MATCHED if wanted.says_anything and not found else DONE


@failed.command("show", epilog=examples("taskq failed show 12-8f3a1c", "taskq failed show 12 --json"))
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@common
@json_option
def show_(ids: Sequence[str], as_json: bool) -> int:
    """Show all that is known of failed jobs: arguments, error, traceback."""
    app = the_session().connected()
    found, missing = _find(app, ids)
    for place, each in enumerate(found):
        if as_json:
            show_json("failed/1", _described(app, each))
            continue
        if place:
            say("")
        _show(app, each)
    if found and not as_json:
        hint(f"To try it again: taskq failed requeue {id_of(found[0])}")
    return _code(len(found), missing)


@failed.command(
    epilog=examples("taskq failed requeue 12-8f3a1c 13-0b77e2", "taskq failed requeue --all --class Emailer")
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All of them, or all that are meant, the oldest first.")
@click.option("--again", is_flag=True, help="Also those that were retried before.")
@_filtered
@common
def requeue(
    ids: Sequence[str], all_: bool, again: bool, job: str | None, queue: str | None, exception: str | None
) -> int:
    """Put failed jobs into their queues again. Their entries stay, marked as retried.

    Nothing of them is imported: what is moved are the bytes that failed. One that was retried before is left out.
    """
    wanted = _Filter(job, queue, exception)
    _one_way(ids, all_, wanted, "requeue")
    app = the_session().connected()
    named, missing = _find(app, ids)
    meant = named if ids else _all_that_match(app, wanted, newest_first=False)
    done = refused = retried = 0
    for each in meant:
        if each.retried_at is not None and not again:
            retried += 1
            if ids:
                click.echo(f"{id_of(each)} was already retried at {each.retried_at}; once more: --again", err=True)
            continue
        why_not = _requeue(app, each)
        if why_not:
            refused += 1
            click.echo(f"{id_of(each)}: {why_not}", err=True)
        else:
            done += 1
    if not done + refused + retried + missing:
        raise Stop(NOTHING_MATCHED, _nothing(app, wanted))
    left = f" {count_of(retried, 'job')} had been retried before; once more: --again" if retried and not ids else ""
    if done or left:
        say(f"Requeued {count_of(done, 'failed job')}.{left}")
    # To find nothing left to do with --all is no failure; not to do what was asked for by its id is one.
    return _code(done + (0 if ids else retried), missing, refused + (retried if ids else 0))


@failed.command(epilog=examples("taskq failed remove 12-8f3a1c", "taskq failed remove --all --queue emails --yes"))
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All of them, or all that are meant. It asks first.")
@_filtered
@yes_option
@common
def remove(ids: Sequence[str], all_: bool, job: str | None, queue: str | None, exception: str | None, yes: bool) -> int:
    """Remove failed jobs for good."""
    wanted = _Filter(job, queue, exception)
    _one_way(ids, all_, wanted, "remove")
    app = the_session().connected()
    if ids:
        found, missing = _find(app, ids)  # all before the first is removed, for each shifts those behind it
        done = sum(app.failures.remove(each) for each in found)
        if done:
            say(f"Removed {count_of(done, 'failed job')}.")
        return _code(done, missing + len(found) - done)
    meant = sum(1 for _ in _all_that_match(app, wanted, newest_first=True))
    if not meant:
        raise Stop(NOTHING_MATCHED, _nothing(app, wanted))
    confirm(f"Remove {count_of(meant, 'failed job')}", yes=yes)
    # The newest first: what is removed then shifts nothing that is still to be read.
    done = sum(app.failures.remove(each) for each in _all_that_match(app, wanted, newest_first=True))
    say(f"Removed {count_of(done, 'failed job')}.")
    return DONE


@failed.command(epilog=examples("taskq failed clear", "taskq failed clear --queue emails --yes"))
@click.option("--queue", "-q", metavar="QUEUE", help="Only those of this queue.")
@yes_option
@common
def clear(queue: str | None, yes: bool) -> int:
    """Remove all failed jobs for good. It asks first."""
    app = the_session().connected()
    there = app.failures.count(queue=queue)
    if not there:
        say("There are no failed jobs." if queue is None else f"There are no failed jobs of queue {queue}.")
        return DONE if queue is None else NOTHING_MATCHED
    of = "" if queue is None else f" of queue {queue}"
    confirm(f"Remove {count_of(there, 'failed job')}{of}", yes=yes)
    say(f"Removed {count_of(app.failures.clear(queue=queue), 'failed job')}.")
    return DONE


# ---- finding them


def _one_way(ids: Sequence[str], all_: bool, wanted: _Filter, verb: str) -> None:
    several = all_ or wanted.says_anything
    if bool(ids) == several:
        what = "Name failed jobs or say which are meant, not both." if ids else "Which ones?"
        raise Stop(USAGE, f"{what} As in: taskq failed {verb} 12-8f3a1c, or --all, or --class Emailer")


def _find(app: TaskQ, ids: Sequence[str]) -> tuple[Sequence[FailedJob], int]:
    """Those that are there, each once, and how many are not; of these it is said why."""
    parsed = {text: parse(text) for text in ids}
    wrong = [text for text, wanted in parsed.items() if wanted is None]
    if wrong:
        raise Stop(
            USAGE, f"{wrong[0]} is no id of a failed job: those are like 12-8f3a1c, or 12. The list: taskq failed list"
        )
    found: dict[tuple[str | None, int], FailedJob] = {}
    missing = 0
    for wanted in parsed.values():
        assert wanted is not None
        match find(app.broker, wanted):
            case Missing(why=why):
                click.echo(why, err=True)
                missing += 1
            case FailedJob() as each:
                found[each.queue, each.position] = each
    return [*found.values()], missing


def _all_that_match(app: TaskQ, wanted: _Filter, *, newest_first: bool) -> Iterator[FailedJob]:
    return filter(wanted.matches, app.failures.each(newest_first=newest_first))


def _requeue(app: TaskQ, failed: FailedJob) -> str:
    """Requeue one. Why it cannot be; empty where it was."""
    try:
        done = app.failures.requeue(failed)
    except InvalidPayload as wrong:
        return str(wrong)
    if done is Requeued.DONE:
        return ""
    return "somebody else has just requeued it." if done is Requeued.ALREADY else "somebody has just removed it."


# ---- showing them


def show_list(found: Sequence[FailedJob], *, always: bool = False) -> None:
    """Failed jobs as a table, a line each; see `output.show`."""
    columns = [
        Column("id"),
        Column("failed at"),
        Column("queue"),
        Column("job", style="name"),
        Column("error", cut=True, style="bad"),
        Column("", style="dim"),
    ]
    show(columns, [_row(each) for each in found], always=always)


def _row(failed: FailedJob) -> tuple[str, ...]:
    return (
        id_of(failed),
        failed.failed_at or "?",
        failed.job_queue or "?",
        failed.payload.job if failed.payload is not None else "[unreadable]",
        _first_line(f"{failed.exception}: {failed.error}" if failed.exception else failed.why_not),
        "retried" if failed.retried_at is not None else "quarantined" if failed.quarantined else "",
    )


def _first_line(text: str) -> str:
    first, more, _ = text.partition("\n")
    return f"{first} ..." if more else first


def _show(app: TaskQ, failed: FailedJob) -> None:
    facts = [
        ("id", id_of(failed)),
        ("failed at", failed.failed_at),
        ("queue", failed.job_queue),
        ("worker", failed.worker),
        ("job", failed.payload.job if failed.payload is not None else ""),
        ("arguments", json_text(_arguments(app, failed)) if failed.payload is not None else ""),
        ("exception", failed.exception),
        ("error", failed.error.replace("\n", " / ")),
        ("quarantined", failed.quarantined and f"{failed.quarantined}; performed as it is, it may do so again"),
        ("retried at", failed.retried_at or ""),
        ("no requeue", failed.why_not),
        ("bytes", repr(failed.entry[:2000])[2:-1] if failed.payload is None else ""),
        *(("at" if number == 0 else "", line) for number, line in enumerate(failed.backtrace)),
    ]
    show_facts((name, value) for name, value in facts if value)


def _described(app: TaskQ, failed: FailedJob) -> dict[str, object]:
    return {
        "id": id_of(failed),
        "position": failed.position,
        "list": failed.queue,
        "failed_at": failed.failed_at,
        "queue": failed.job_queue,
        "job": failed.payload.job if failed.payload is not None else None,
        "args": _arguments(app, failed) if failed.payload is not None else None,
        "exception": failed.exception,
        "error": failed.error,
        "backtrace": failed.backtrace,
        "worker": failed.worker,
        "quarantined": failed.quarantined or None,
        "retried_at": failed.retried_at,
        "requeueable": failed.requeueable,
        "why_not": failed.why_not or None,
    }


def _arguments(app: TaskQ, failed: FailedJob) -> Sequence[object]:
    """The arguments as they may be shown."""
    return app.read(failed.body).shown if failed.body is not None else ()


def _say_what_else_there_is(wanted: _Filter, start: int, found: Sequence[FailedJob], total: int, search: int) -> None:
    if wanted.says_anything:
        if total > search:
            click.echo(f"Only the newest {search:,} of {total:,} were looked through; more: --search {total}", err=True)
        if not found:
            click.echo(f"None of {count_of(total, 'failed job')} is like that.", err=True)
    elif not total:
        hint("There are no failed jobs.")
    elif not found:
        hint(f"There are only {count_of(total, 'failed job')}.")
    elif start + len(found) < total:
        hint(f"{len(found)} of {total:,}. Older ones: taskq failed list --start {start + len(found)}")
    if found:
        hint(f"Why one failed: taskq failed show {id_of(found[0])}   Again: taskq failed requeue {id_of(found[0])}")


def _nothing(app: TaskQ, wanted: _Filter) -> str:
    total = app.failures.count()
    if wanted.says_anything and total:
        return f"None of {count_of(total, 'failed job')} is like that."
    return "There are no failed jobs."


def _code(done: int, missing: int, refused: int = 0) -> int:
    if not missing + refused:
        return DONE
    return SOME_FAILED if done + refused else NOTHING_MATCHED
