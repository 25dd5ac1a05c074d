"""`taskq schedule`: what recurs, when it did and will, and changing that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from taskq import due
from taskq.app import TaskQ
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, NOTHING_MATCHED, SOME_FAILED, USAGE, Stop
from taskq.cli.enqueue import read_argument
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, complain, hint, json_option, say, show, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.session import common, examples, hint_at_secrets, the_session
from taskq.hook import Accepted, Deferred, Vetoed
from taskq.recurring_jobs import ListedSchedule, NoSuchSchedule
from taskq.schedule_entry import WrongSchedule

__all__ = ["schedule"]


@click.group(
    cls=ListedGroup,
    epilog=examples("taskq schedule", "taskq schedule run nightly", "taskq schedule disable nightly"),
)
@common
def schedule() -> None:
    """List recurring jobs, run, disable and enable them, keep further ones in the store. Without a command: list."""


@schedule.command("list", epilog=examples("taskq schedule list --app shop.jobs", "taskq schedule list --json"))
@common
@json_option
def list_(as_json: bool) -> None:
    """List what recurs: of the application, of a running scheduler, and of the store.

    In a pipe: name, rule, job, arguments as JSON, queue, last time, next time, origin, with tabs between.
    """
    app = the_session().connected()
    listed = app.schedules.list()
    if as_json:
        for each in listed:
            show_json("schedule/1", _described(each))
        return
    if listed:
        columns = ["name", "when", "job", "arguments", "queue", "last", "next", "of"]
        show(
            [
                Column(
                    name,
                    cut=name in {"name", "when", "job", "arguments"},
                    style="name" if name == "name" else "",
                    spare=name in {"when", "arguments", "queue", "last", "of"},
                )
                for name in columns
            ],
            [_row(app, each) for each in listed],
        )
        hint_at_secrets(app)
    else:
        hint("Nothing recurs. As in: taskq schedule set nightly Report 7 --cron '0 3 * * *', or @taskq.job(cron=...)")
    running = app.schedules.scheduler()
    if listed and running is None:
        hint("No scheduler of taskq's acts now. To start one: taskq scheduler --app YOUR.JOBS")
    for each in listed:
        if each.problem:
            complain(f"{each.name}: {each.problem}")


@schedule.command(epilog=examples("taskq schedule run nightly"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@common
@json_option
def run(names: Sequence[str], as_json: bool) -> int:
    """Enqueue recurring jobs once, now. Their times go on as if nothing had been."""
    app = the_session().connected()

    def run_one(name: str) -> str:
        match app.schedules.run_now(name):
            case Accepted(job, queue):
                return f"Enqueued {job} to {queue}."
            case Deferred(job, by, reason):
                return f"{job} was taken over by {by}: {reason}."
            case Vetoed(job, by, reason):
                raise Stop(SOME_FAILED, f"{job} was not enqueued: {by} said no ({reason}).")

    return _each(names, run_one, "run", as_json=as_json)


@schedule.command(epilog=examples("taskq schedule disable nightly"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@common
@json_option
def disable(names: Sequence[str], as_json: bool) -> int:
    """Enqueue these no more, until they are enabled. What is in a queue already stays there."""
    app = the_session().connected()
    code = _each(
        names,
        lambda name: f"{name} is {'' if app.schedules.disable(name) else 'already '}disabled.",
        "disable",
        as_json=as_json,
    )
    hint(f"To go on: taskq schedule enable {' '.join(names)}")
    return code


@schedule.command(epilog=examples("taskq schedule enable nightly"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@common
@json_option
def enable(names: Sequence[str], as_json: bool) -> int:
    """Enqueue these again, from their next time on."""
    app = the_session().connected()
    return _each(
        names,
        lambda name: f"{name} is {'' if app.schedules.enable(name) else 'already '}enabled.",
        "enable",
        as_json=as_json,
    )


@schedule.command(
    "set",
    epilog=examples(
        "taskq schedule set nightly Report 7 --app shop.jobs --cron '0 3 * * *' --tz Europe/Berlin",
        "taskq schedule set sweep Sweeper --queue low --every 15m",
    ),
)
@click.argument("name")
@click.argument("job")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@click.option("--cron", metavar="RULE", help="Five fields, or six with the seconds first; a time zone may follow them.")
@click.option("--tz", metavar="ZONE", help="The time zone of --cron; without it, that of the scheduler's machine.")
@click.option("--every", metavar="SPAN", help="Or how often: 30s, 5m, 1h30m, 2d.")
@click.option("--queue", "-q", metavar="QUEUE", help="Where it goes; without it, the job's own queue.")
@click.option("--description", default="", metavar="TEXT", help="For people.")
@click.option("--missed", type=click.Choice(["once", "skip"]), default="once", show_default=True,
              help="What becomes of a time at which no scheduler ran.")  # fmt: skip
@common
@json_option
def set_(
    name: str,
    job: str,
    arguments: Sequence[str],
    cron: str | None,
    tz: str | None,
    every: str | None,
    queue: str | None,
    description: str,
    missed: str,
    as_json: bool,
) -> int:
    """Keep a recurring job in the store: NAME enqueues JOB with these arguments. Running schedulers take it over.

    Each argument is read as JSON where it is JSON, and is a text otherwise. JOB is the name of a job of the application
    (--app); with --queue it may be one of another program.
    """
    if queue == "":
        raise click.UsageError("--queue: a queue needs a name. Leave --queue out for the job's own one.")
    app = the_session().connected()
    if (cron is None) == (every is None):
        raise Stop(USAGE, "Say --cron or --every, one of them. As in: --cron '0 3 * * *', or --every 15m")
    call = app.options(queue=queue).call(job, *(read_argument(argument) for argument in arguments))
    try:
        app.schedules.set(
            name,
            call,
            cron=cron,
            tz=tz,
            every=every,
            description=description,
            missed="skip" if missed == "skip" else "once",
        )
    except WrongSchedule as wrong:
        raise Stop(USAGE, f"{name}: {wrong}") from None
    found = app.schedules.get(name)
    if as_json:
        show_json("schedule/1", _described(found))
        return DONE
    words = "" if found.schedule is None else f": {found.schedule.rule.words}"
    following = "" if found.next is None else f". Next: {due.shown(found.next)}"
    say(f"{name} enqueues {call.job} to {call.queue}{words}{following}.")
    return DONE


@schedule.command(epilog=examples("taskq schedule remove nightly", "taskq schedule remove nightly --yes"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@yes_option
@common
@json_option
def remove(names: Sequence[str], yes: bool, as_json: bool) -> int:
    """Remove recurring jobs from the store. It asks first. Those of the code or a file are not there: disable them."""
    app = the_session().connected()
    there = {each.name for each in app.schedules.list()}
    if known := [name for name in names if name in there]:
        confirm(f"Remove {', '.join(known)}", yes=yes)

    def remove_one(name: str) -> str:
        found = app.schedules.get(name)
        if found.origin != "stored":
            raise Stop(SOME_FAILED, f"{name} is not in the store: remove it there, or taskq schedule disable {name}")
        app.schedules.remove(name)
        return f"Removed {name}."

    return _each(names, remove_one, "remove", as_json=as_json)


def _each(names: Sequence[str], do: Callable[[str], str], verb: str, *, as_json: bool) -> int:
    done = failed = 0
    for name in names:
        well = False
        try:
            said = do(name)
            well = True
            done += 1
        except NoSuchSchedule as missing:
            said = str(missing)
        except WrongSchedule as wrong:
            said = str(wrong)
            failed += 1
        except Stop as stop:
            said = " ".join(stop.lines)
            failed += 1
        if as_json:
            show_json(f"schedule_{verb}/1", {"name": name, "done": well, "said": said})
        else:
            (say if well else complain)(said)
    if done == len(names):
        return DONE
    return SOME_FAILED if done + failed else NOTHING_MATCHED


def _row(app: TaskQ, each: ListedSchedule) -> Sequence[str]:
    what = each.schedule
    if what is None:
        return each.name, "[unreadable]", "", "", "", _when(each.last), "", each.origin
    definition = app.registry.find(what.job)
    queue = what.queue or (definition.queue if definition is not None else "?")
    following = "disabled" if not what.enabled else "not here" if not what.is_on else _when(each.next)
    return (
        each.name, what.rule.words, what.job, json_text(each.shown), queue, _when(each.last), following, each.origin
    )  # fmt: skip


def _when(at: float | None) -> str:
    return "never" if at is None else due.shown(at)


def _described(each: ListedSchedule) -> dict[str, object]:
    what = each.schedule
    return {
        "name": each.name,
        "rule": each.entry.get("cron", each.entry.get("every")),
        "words": what.rule.words if what is not None else None,
        "job": what.job if what is not None else None,
        "args": each.shown if what is not None else None,
        "queue": what.queue if what is not None else None,
        "description": what.description if what is not None else None,
        "missed": what.missed if what is not None else None,
        "enabled": what.enabled if what is not None else None,
        "last": each.last,
        "next": each.next,
        "origin": each.origin,
        "problem": each.problem or None,
    }
