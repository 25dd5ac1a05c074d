"""`taskq failed`: what failed and why, which of it is the same problem, trying it again, and throwing it away."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from taskq.app import TaskQ
from taskq.broker import Requeued
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, INTERRUPTED, NOTHING_MATCHED, SOME_FAILED, USAGE, Stop, partly
from taskq.cli.groups import ListedGroup
from taskq.cli.output import (
    Column,
    complain,
    count_of,
    duration,
    hint,
    json_option,
    on_terminal,
    say,
    show,
    show_facts,
    show_json,
)
from taskq.cli.output import as_json as json_text
from taskq.cli.progress import Long
from taskq.cli.session import common, examples, hint_at_secrets, the_session
from taskq.errors import EnqueueError, InvalidPayload
from taskq.failed_entry import FailedJob, glance
from taskq.failed_filter import ALL, FailureFilter
from taskq.failed_groups import FailureGroup, Groups
from taskq.failed_ids import Missing, find, id_of, parse
from taskq.failed_jobs import Tally
from taskq.failed_search import Bounds

__all__ = ["failed", "show_list"]

F = TypeVar("F", bound=Callable[..., Any])

_SEARCHED = 10_000  # entries that a filtered list reads: a second or two
_GROUPED = 100_000  # entries that are put into groups
_SLICE = Bounds(entries=5_000, seconds=0.5)  # between two looks at whether to stop


def _filtered(command: F) -> F:
    """Give a command the options that say which failed jobs are meant: the words of the page."""
    for option in (
        click.option("--list", "place", metavar="QUEUE", help="Only those in the failed list of this queue's own."),
        click.option("--group", metavar="KEY", help="Only those of this group of equal errors: taskq failed groups."),
        click.option("--retried", type=click.Choice(["yes", "no"]), help="Only those that were requeued, or were not."),
        click.option("--until", metavar="WHEN", help="Only those that failed before: 2h, 2026-11-23, ..."),
        click.option("--since", metavar="WHEN", help="Only those that failed since: 30min, 2h, 3d, 2026-11-23 18:00."),
        click.option("--text", metavar="TEXT", help="Only those with this in their error or arguments."),
        click.option("--exception", metavar="NAME", help="Only those that this exception ended."),
        click.option("--queue", "-q", metavar="QUEUE", help="Only those of this queue."),
        click.option("--class", "job", metavar="JOB", help="Only those of this job."),
    ):
        command = option(command)
    return command


def _wanted(said: dict[str, str | None]) -> FailureFilter:
    """The filter that the options say; what a moment is told by this machine's clock would need no broker."""
    import time

    words = {word: value for word, value in said.items() if value is not None}
    if "job" in words:
        words["class"] = words.pop("job")
    if "place" in words:
        words["list"] = words.pop("place")
    try:
        return FailureFilter.of(words, now=time.time())
    except ValueError as wrong:
        raise Stop(USAGE, str(wrong)) from None


@click.group(
    cls=ListedGroup,
    epilog=examples("taskq failed", "taskq failed groups", "taskq failed requeue --all --class Emailer"),
)
@common
def failed() -> None:
    """List failed jobs, group them, show one, requeue, edit and remove them. Without a command: list.

    A failed job is named by its place and a mark of its content, 12-8f3a1c, as the list shows it; its place alone, 12,
    means whatever is there now.
    """


@failed.command("list", epilog=examples("taskq failed list", "taskq failed --class Emailer --exception SMTPException"))
@_filtered
@click.option("--cursor", default="", metavar="CURSOR", help="Go on from there, as an earlier list said.")
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
def list_(cursor: str, limit: int, search: int, as_json: bool, **said: str | None) -> int:
    """List failed jobs, the newest first.

    In a pipe: id, when, queue, job, error, "retried" or nothing, with tabs between. With --json a last object has the
    cursor of what is older, where there is any.
    """
    app = the_session().connected()
    wanted = _wanted(said)
    try:
        page = app.failures.page(wanted, cursor, limit, bounds=Bounds(search, float("inf"), size=2**60))
    except ValueError as wrong:
        raise Stop(USAGE, str(wrong)) from None
    if as_json:
        for each in page.jobs:
            show_json("failed/1", _described(app, each))
        if page.older:
            show_json(
                "failed_page/1",
                {"older": page.older, "searched": page.searched, "left": page.left, "total": page.total},
            )
    elif page.jobs:
        show_list(app, page.jobs)
    further = "".join(f" --{word} {_quoted(value)}" for word, value in wanted.words().items())
    if wanted.says_anything:
        if page.left and len(page.jobs) < limit:
            complain(
                f"Only {page.searched:,} of {page.total:,} were looked through; on: taskq failed list{further} "
                f"--cursor {page.older}",
            )
        if not page.jobs:
            complain(f"None of {count_of(page.searched, 'failed job')} is like that.")
    elif not page.total:
        if wanted.place is not None:
            complain(_nothing(app, wanted))
        else:
            hint("There are no failed jobs.")
    if page.older and page.jobs and len(page.jobs) == limit:
        hint(f"{len(page.jobs)} of {page.total:,}. Older ones: taskq failed list{further} --cursor {page.older}")
    if page.jobs:
        first = id_of(page.jobs[0])
        hint(f"Why one failed: taskq failed show {first}   Again: taskq failed requeue {first}")
    return NOTHING_MATCHED if (wanted.says_anything or wanted.place is not None) and not page.jobs else DONE


@failed.command(epilog=examples("taskq failed groups", "taskq failed groups --since 2h --json"))
@_filtered
@click.option(
    "--search", type=click.IntRange(min=1), default=_GROUPED, show_default=True, help="How many to look through."
)
@common
@json_option
def groups(search: int, as_json: bool, **said: str | None) -> int:
    """Show failed jobs in groups of the same problem: job, exception, and a message without its numbers and names.

    In a pipe: count, key, job, exception, message, with tabs between.
    """
    app = the_session().connected()
    wanted = _wanted(said)
    found: Groups | None = None
    with Long("Grouping") as work:
        while found is None or (found.older and found.searched < search and not work.stopped):
            left = search - (found.searched if found is not None else 0)
            bounds = Bounds(min(_SLICE.entries, left), _SLICE.seconds)
            found = app.failures.groups(wanted, found.older if found is not None else "", bounds=bounds, into=found)
            work.tell(found.searched, min(search, found.total))
    now = app.broker.now()
    if as_json:
        for group in found.groups:
            show_json("failed_group/1", _described_group(group))
    elif found.groups:
        columns = [
            Column("count", right=True),
            Column("group"),
            Column("job", cut=True, style="name", named=True),
            Column("exception", cut=True, style="bad"),
            Column("message", cut=True),
            *(
                (Column("first", right=True, spare=True), Column("last", right=True, spare=True))
                if on_terminal()
                else ()
            ),
        ]
        show(columns, [_group_row(group, now) for group in found.groups])
    if found.left:
        complain(f"Only the newest {found.searched:,} of {found.total:,} were looked through: --search")
    if found.others:
        complain(f"{found.others:,} more are of further groups, each of few.")
    if found.groups:
        hint(f"Those of one: taskq failed list --group {found.groups[0].key}   Again: taskq failed requeue --group ...")
    elif wanted.says_anything:
        complain(f"None of {count_of(found.searched, 'failed job')} is like that.")
    else:
        hint("There are no failed jobs.")
    if work.stopped:
        return INTERRUPTED
    return NOTHING_MATCHED if wanted.says_anything and not found.groups else DONE


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
        hint_at_secrets(app)
        hint(f"To try it again: taskq failed requeue {id_of(found[0])}")
    return partly(len(found), missing)


@failed.command(
    epilog=examples("taskq failed requeue 12-8f3a1c 13-0b77e2", "taskq failed requeue --all --class Emailer")
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All of them, or all that are meant, the oldest first.")
@click.option("--again", is_flag=True, help="Also those that were retried before.")
@_filtered
@common
@json_option
def requeue(ids: Sequence[str], all_: bool, again: bool, as_json: bool, **said: str | None) -> int:
    """Put failed jobs into their queues again. Their entries stay, marked as retried.

    Nothing of them is imported: what is moved are the bytes that failed. One that was retried before is left out.
    Ctrl-C stops it between two jobs.
    """
    wanted = _wanted(said)
    _one_way(ids, all_, wanted, "requeue")
    app = the_session().connected()
    if ids:
        return _requeue_named(app, ids, again=again, as_json=as_json)
    with Long("Requeueing") as work:
        tally = app.failures.requeue_matching(wanted, again=again, tell=work.told, stop=work.stop)
    if as_json:
        _show_tally("requeue", tally)
    if not tally.matched:
        raise Stop(INTERRUPTED if tally.stopped else NOTHING_MATCHED, _nothing(app, wanted))
    before = f" {count_of(tally.already, 'job')} had been retried before; once more: --again" if tally.already else ""
    if not as_json and (tally.done or before):
        say(f"Requeued {count_of(tally.done, 'failed job')}.{before}")
    if tally.refused:
        complain(f"{count_of(tally.refused, 'failed job')} cannot be requeued; why: taskq failed show ID")
    return _ended(tally)


@failed.command(
    epilog=examples("taskq failed edit 12-8f3a1c", """taskq failed edit 12-8f3a1c --args '["a@example.com"]'""")
)
@click.argument("failed_id", metavar="ID")
@click.option("--args", "text", metavar="JSON", help="The arguments, a list; - reads them from standard input.")
@click.option("--queue", "-q", metavar="QUEUE", help="Where it goes instead of the queue that it came from.")
@click.option("--again", is_flag=True, help="Also where it was retried before.")
@common
@json_option
def edit(failed_id: str, text: str | None, queue: str | None, again: bool, as_json: bool) -> int:
    """Edit a failed job's arguments, and requeue it.

    They open in $EDITOR as JSON. What is secret stands there as [secret 1: password] and stays as it is. The entry
    stays too, marked as retried, with the arguments that failed. An editor that changes nothing, leaves nothing or
    fails requeues nothing.
    """
    app = the_session().connected()
    found, _ = _find(app, [failed_id])
    if not found:
        return NOTHING_MATCHED
    (one,) = found
    before = app.failures.editable(one)
    if before.problem:
        raise Stop(SOME_FAILED, before.problem)
    if one.retried_at is not None and not again:
        raise Stop(SOME_FAILED, _retried(one))
    in_editor = text is None
    if text is None:
        text = _edited(before.text, id_of(one))
    elif text == "-":
        text = sys.stdin.read()
    try:
        done = app.failures.requeue_edited(one, text, queue=queue)
    except (InvalidPayload, EnqueueError) as wrong:
        # What was typed is not lost with it.
        raise Stop(USAGE, str(wrong), *(_kept(text, id_of(one)) if in_editor else ())) from None
    if done is not Requeued.DONE:
        complain(f"{id_of(one)}: {_too_late(done)}")
        return NOTHING_MATCHED
    to = queue or one.job_queue
    if as_json:
        show_json("failed_edit/1", {"id": id_of(one), "queue": to, "done": 1})
    else:
        say(f"Requeued 1 failed job to {to}, edited.")
    return DONE


@failed.command(epilog=examples("taskq failed remove 12-8f3a1c", "taskq failed remove --queue emails --yes"))
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All of them, or all that are meant.")
@_filtered
@yes_option
@common
@json_option
def remove(ids: Sequence[str], all_: bool, yes: bool, as_json: bool, **said: str | None) -> int:
    """Remove failed jobs for good. It asks first. Ctrl-C stops it between two jobs."""
    wanted = _wanted(said)
    _one_way(ids, all_, wanted, "remove")
    app = the_session().connected()
    if ids:
        found, missing = _find(app, ids)
        if found:
            confirm(f"Remove {count_of(len(found), 'failed job')}", yes=yes)
        tally = app.failures.remove_each(found)
        if as_json:
            _show_tally("remove", tally)
        elif tally.done:
            say(f"Removed {count_of(tally.done, 'failed job')}.")
        return partly(tally.done, missing + tally.gone)
    return _remove_matching(app, wanted, yes=yes, as_json=as_json)


@failed.command(
    epilog=examples("taskq failed clear", "taskq failed clear --retried", "taskq failed clear -q emails -y")
)
@click.option("--queue", "-q", metavar="QUEUE", help="Only those of this queue.")
@click.option("--retried", is_flag=True, help="Only those that were requeued.")
@yes_option
@common
@json_option
def clear(queue: str | None, retried: bool, yes: bool, as_json: bool) -> int:
    """Remove all failed jobs for good. It asks first."""
    app = the_session().connected()
    if queue is not None or retried:
        return _remove_matching(
            app, FailureFilter(queue=queue, retried=True if retried else None), yes=yes, as_json=as_json
        )
    if app.failures.count() and not yes:
        return _remove_matching(app, ALL, yes=yes, as_json=as_json)
    gone = app.failures.clear()  # nobody was told of a number
    if as_json:
        _show_tally("remove", Tally(gone, gone, gone, gone))
    else:
        say(f"Removed {count_of(gone, 'failed job')}." if gone else "There are no failed jobs.")
    return DONE


# ---- acting on many


def _requeue_named(app: TaskQ, ids: Sequence[str], *, again: bool, as_json: bool) -> int:
    named, missing = _find(app, ids)
    done = refused = retried = 0
    for each in named:
        if each.retried_at is not None and not again:
            retried += 1
            complain(_retried(each))
            continue
        why_not = _requeue(app, each)
        if why_not:
            refused += 1
            complain(f"{id_of(each)}: {why_not}")
        else:
            done += 1
    if as_json:
        count = len(named)
        _show_tally("requeue", Tally(count, count, count, done=done, already=retried, refused=refused))
    elif done:
        say(f"Requeued {count_of(done, 'failed job')}.")
    return partly(done, missing, refused + retried)


def _remove_matching(app: TaskQ, wanted: FailureFilter, *, yes: bool, as_json: bool) -> int:
    top = app.failures.top(wanted)  # what fails while the question stands was not counted, and stays
    with Long("Counting") as work:
        meant = app.failures.count_matching(wanted, top=top, tell=work.told, stop=work.stop)
    if meant.stopped:
        return INTERRUPTED
    if not meant.matched:
        raise Stop(NOTHING_MATCHED, _nothing(app, wanted))
    confirm(f"Remove {count_of(meant.matched, 'failed job')}", yes=yes)
    with Long("Removing") as work:
        tally = app.failures.remove_matching(wanted, top=top, tell=work.told, stop=work.stop)
    if as_json:
        _show_tally("remove", tally)
    else:
        say(f"Removed {count_of(tally.done, 'failed job')}.")
    return _ended(tally)


def _show_tally(act: str, tally: Tally) -> None:
    show_json(
        f"failed_{act}/1",
        {
            "total": tally.total,
            "searched": tally.searched,
            "matched": tally.matched,
            "done": tally.done,
            "already": tally.already,
            "gone": tally.gone,
            "refused": tally.refused,
            "stopped": tally.stopped,
        },
    )


def _ended(tally: Tally) -> int:
    if tally.stopped:
        complain(f"Stopped after {tally.searched:,} of {tally.total:,}. To go on: the same again.")
        return INTERRUPTED
    # To find nothing left to do with --all is no failure; what cannot be done is one.
    return SOME_FAILED if tally.refused else DONE


def _edited(text: str, failed_id: str) -> str:
    if not on_terminal():
        raise Stop(USAGE, "There is no terminal to edit on. Say the arguments: --args JSON, or --args - to read them.")
    try:
        changed = click.edit(text, extension=".json")
    except (click.ClickException, ValueError) as failed:  # ValueError: $EDITOR has a quotation that does not end
        said = failed.message if isinstance(failed, click.ClickException) else f"$EDITOR cannot be read: {failed}"
        ran = isinstance(failed, click.ClickException) and not isinstance(failed.__cause__, OSError)
        raise Stop(
            SOME_FAILED if ran else USAGE,
            f"{said.rstrip('.')}. Nothing was requeued.",
            f"Another editor: EDITOR=nano taskq failed edit {failed_id}; without one: --args JSON",
        ) from None
    if changed is None or changed.strip() == text.strip():
        raise Stop(
            SOME_FAILED, f"Nothing was changed, so nothing was requeued. As it is: taskq failed requeue {failed_id}"
        )
    if not changed.strip():
        raise Stop(SOME_FAILED, "Nothing was left of the arguments, so nothing was requeued. A job without any has [].")
    return changed


def _kept(text: str, failed_id: str) -> Sequence[str]:
    """Where a text is that was typed for nothing."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="taskq-args-", suffix=".json", delete=False, encoding="utf-8") as file:
        file.write(text)
    return (f"What you wrote is kept; mend it there, then: taskq failed edit {failed_id} --args - < {file.name}",)


# ---- finding them


def _one_way(ids: Sequence[str], all_: bool, wanted: FailureFilter, verb: str) -> None:
    several = all_ or wanted.says_anything or wanted.place is not None
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
                complain(why)
                missing += 1
            case FailedJob() as each:
                found[each.queue, each.position] = each
    return [*found.values()], missing


def _requeue(app: TaskQ, failed: FailedJob) -> str:
    """Requeue one. Why it cannot be; empty where it was."""
    try:
        done = app.failures.requeue(failed)
    except InvalidPayload as wrong:
        return str(wrong)
    return "" if done is Requeued.DONE else _too_late(done)


def _retried(failed: FailedJob) -> str:
    return f"{id_of(failed)} was already retried at {failed.retried_at}; once more: --again"


def _too_late(answer: Requeued) -> str:
    if answer is Requeued.ALREADY:
        return "somebody else has just requeued it."
    return "somebody has just removed it."


# ---- showing them


def show_list(app: TaskQ, found: Sequence[FailedJob], *, always: bool = False) -> None:
    """Failed jobs as a table, a line each; see `output.show`."""
    columns = [
        Column("id"),
        Column("failed", right=True, spare=True) if on_terminal() else Column("failed at"),
        Column("queue", spare=True),
        Column("job", cut=True, style="name", named=True),
        Column("error", cut=True, style="bad"),
        Column("", style="dim"),
    ]
    now = app.broker.now()
    show(columns, [_row(app, each, now) for each in found], always=always)


def _row(app: TaskQ, failed: FailedJob, now: float) -> tuple[str, ...]:
    at = glance(failed.entry).at if on_terminal() else None
    return (
        id_of(failed),
        (failed.failed_at or "?") if at is None else f"{duration(now - at)} ago",
        failed.job_queue or "?",
        failed.payload.job if failed.payload is not None else "[unreadable]",
        _first_line(f"{failed.exception}: {_error(app, failed)}" if failed.exception else failed.why_not),
        "retried" if failed.retried_at is not None else "quarantined" if failed.quarantined else "",
    )


def _first_line(text: str) -> str:
    first, more, _ = text.partition("\n")
    return f"{first} ..." if more else first


def _error(app: TaskQ, failed: FailedJob) -> str:
    return app.showing.failed(failed).error


def _show(app: TaskQ, failed: FailedJob) -> None:
    shown = app.showing.failed(failed)
    facts = [
        ("id", id_of(failed)),
        ("failed at", failed.failed_at),
        ("queue", failed.job_queue),
        ("worker", failed.worker),
        ("job", failed.payload.job if failed.payload is not None else ""),
        ("arguments", json_text(shown.args) if failed.payload is not None else ""),
        ("exception", failed.exception),
        ("error", shown.error.replace("\n", " / ")),
        ("quarantined", failed.quarantined and f"{failed.quarantined}; performed as it is, it may do so again"),
        ("retried at", failed.retried_at or ""),
        ("no requeue", failed.why_not),
        ("bytes", app.showing.value(failed.entry[:2000]) if failed.payload is None else ""),
        *(("at" if number == 0 else "", line) for number, line in enumerate(shown.backtrace)),
    ]
    show_facts((name, value) for name, value in facts if value)


def _described(app: TaskQ, failed: FailedJob) -> dict[str, object]:
    shown = app.showing.failed(failed)
    return {
        "id": id_of(failed),
        "position": failed.position,
        "list": failed.queue,
        "failed_at": failed.failed_at,
        "queue": failed.job_queue,
        "job": failed.payload.job if failed.payload is not None else None,
        "args": shown.args if failed.payload is not None else None,
        "exception": failed.exception,
        "error": shown.error,
        "backtrace": shown.backtrace,
        "worker": failed.worker,
        "quarantined": failed.quarantined or None,
        "retried_at": failed.retried_at,
        "requeueable": failed.requeueable,
        "why_not": failed.why_not or None,
    }


def _group_row(group: FailureGroup, now: float) -> tuple[str, ...]:
    ages = tuple("?" if at is None else duration(now - at) for at in (group.first, group.last))
    row = (f"{group.count:,}" if on_terminal() else str(group.count), group.key, group.job or "[unreadable]")
    return (*row, group.exception, group.message, *(ages if on_terminal() else ()))


def _described_group(group: FailureGroup) -> dict[str, object]:
    return {
        "key": group.key,
        "job": group.job or None,
        "exception": group.exception,
        "message": group.message,
        "count": group.count,
        "retried": group.retried,
        "first": group.first,
        "last": group.last,
        "example": id_of(group.example),
    }


def _quoted(value: str) -> str:
    import shlex

    return shlex.quote(value)


def _nothing(app: TaskQ, wanted: FailureFilter) -> str:
    if wanted.place and not app.failures.count_matching(FailureFilter(place=wanted.place)).matched:
        there = sorted(app.broker.failed_queues())
        kept = f" Queues that have one: {', '.join(there[:8])}." if there else ""
        return f"The queue {wanted.place} has no failed list of its own.{kept}"
    total = app.failures.count()
    if wanted.says_anything and total:
        return f"None of {count_of(total, 'failed job')} is like that."
    return "There are no failed jobs."
