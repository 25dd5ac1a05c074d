"""`taskq workers`: who is registered and what each does, a check for probes that one lives, and pruning the dead."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence

import click

from taskq.app import TaskQ
from taskq.cli.asking import confirm, yes_option
from taskq.cli.endings import DONE, INTERRUPTED, NOTHING_MATCHED, SOME_FAILED, Stop
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, complain, count_of, duration, hint, json_option, say, show, show_facts, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.progress import Long
from taskq.cli.session import common, examples, hint_at_secrets, the_session
from taskq.cli.times import Seconds
from taskq.errors import nearest
from taskq.operator import WorkerState
from taskq.records import WorkerInfo

__all__ = ["workers"]

_STEP = 0.2  # seconds between two looks at whether to stop waiting


@click.group(
    cls=ListedGroup, epilog=examples("taskq workers", "taskq workers check --max-age 30", "taskq workers prune")
)
@common
def workers() -> None:
    """List workers, show one, check that one is alive, prune the dead. Without a command: list."""


@workers.command("list", epilog=examples("taskq workers list", "taskq workers list --json"))
@common
@json_option
def list_(as_json: bool) -> None:
    """List every worker, other programs' too: what it does, and when it was last heard of.

    In a pipe: id, state, job, since, heartbeat (both how long ago), processed, failed, with tabs between.
    """
    app = the_session().connected()
    now = app.broker.now()
    found = app.operator.workers()
    if as_json:
        for worker in found:
            show_json("worker/1", _described(app, worker))
        return
    columns = [
        Column("worker", named=True),
        Column("state"),
        Column("job", cut=True, style="name"),
        Column("since", right=True, spare=True),
        Column("heartbeat", right=True),
        Column("processed", right=True, spare=True),
        Column("failed", right=True, spare=True),
    ]
    if found:
        show(columns, [_row(app, worker, now) for worker in found])
        working = sum(worker.info.job is not None for worker in found)
        if working:
            hint_at_secrets(app)
        hint(f"{working} of {count_of(len(found), 'worker')} working.")
        if any(worker.looks_dead for worker in found):
            hint("Some look dead. What becomes of their jobs, and to forget them: taskq workers prune")
        if unheard := [worker for worker in found if worker.unheard]:
            hint(f"No heartbeat ever: {_names(unheard)}. taskq cannot tell whether they live: taskq doctor")
    else:
        hint("No worker is registered. To start one: taskq worker --app YOUR.JOBS")


@workers.command("show", epilog=examples("taskq workers show web-1:17:emails"))
@click.argument("worker_id", metavar="ID")
@common
@json_option
def show_(worker_id: str, as_json: bool) -> int:
    """Show all that is known of one worker."""
    app = the_session().connected()
    worker = app.operator.worker(worker_id)
    if worker is None:
        near = nearest(worker_id, [one.id for one in app.broker.workers()])
        meant = f" Did you mean {near}?" if near else " Who is: taskq workers list"
        raise Stop(NOTHING_MATCHED, f"Worker {worker_id} is not registered.{meant}")
    if as_json:
        show_json("worker/1", _described(app, worker))
        return DONE
    info, now = worker.info, app.broker.now()
    said = info.registration
    facts = [
        ("worker", info.id),
        ("host", worker.host),
        ("pid", "" if info.pid is None else str(info.pid)),
        ("queues", ",".join(info.queues)),
        ("state", worker.state),
        ("job", _job(app, info)),
        ("queue", info.job.queue if info.job is not None else ""),
        ("since", f"{duration(now - worker.since)} ago" if worker.since is not None else ""),
        ("held ahead", str(len(info.ahead)) if info.ahead else ""),
        ("heartbeat", "never" if worker.heartbeat_age is None else f"{duration(worker.heartbeat_age)} ago"),
        ("dead after", f"{said.dead_after:g} s of silence" if said is not None else ""),
        ("started", "" if info.started is None else f"{duration(now - info.started)} ago"),
        ("processed", f"{info.processed:,}"),
        ("failed", f"{info.failed:,}"),
        ("looks dead", worker.why_dead),
        ("if pruned", worker.becomes if worker.looks_dead else ""),
    ]
    show_facts((name, value) for name, value in facts if value)
    return DONE


@workers.command(epilog=examples("taskq workers prune", "taskq workers prune --yes", "taskq workers prune ID"))
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--no-wait", is_flag=True, help="Only those that are dead for sure at the first look.")
@yes_option
@common
@json_option
def prune(ids: Sequence[str], no_wait: bool, yes: bool, as_json: bool) -> int:
    """Forget workers that are dead, and settle what they left; it says first what becomes of their jobs.

    Workers do this by themselves, where any of taskq's is running. One whose process is gone from this machine is dead
    at once; one that is silent takes a second look, some 30 s later, for it may only have been cut off.
    """
    app = the_session().connected()
    found, code = _dead(app, ids, wait=not no_wait)
    for worker in found:
        if not as_json:
            say(f"{worker.info.id}: {worker.why_dead}. {worker.becomes}")
    if not found:
        return code
    confirm(f"Prune {count_of(len(found), 'dead worker')}", yes=yes)
    refused = 0
    for worker in found:
        pruned = app.operator.prune(worker)
        refused += not pruned.done
        if as_json:
            show_json(
                "pruned/1",
                {
                    "worker": worker.info.id,
                    "why": worker.why_dead,
                    "done": pruned.done,
                    "became": pruned.became or None,
                },
            )
        else:
            (say if pruned.done else complain)(pruned.said)
    return SOME_FAILED if refused else code


def _dead(app: TaskQ, ids: Sequence[str], *, wait: bool) -> tuple[Sequence[WorkerState], int]:
    """Those that are dead for sure, after waiting for those of which it is not; and how the command ends then."""
    with Long("Looking again") as work:
        began = time.monotonic()
        while True:
            there = [worker for worker in app.operator.workers() if not ids or worker.info.id in ids]
            unsure = [worker for worker in there if worker.looks_dead and not worker.sure]
            if not unsure or not wait:
                break
            until = time.monotonic() + min(worker.sure_in for worker in unsure) + 0.01
            complain(f"{_names(unsure)}: silent; to be sure takes {until - time.monotonic():.0f} s.")
            whole = until - began
            while (left := until - time.monotonic()) > 0:
                if work.stopped:
                    return (), INTERRUPTED
                work.tell(int(whole - left), max(int(whole), 1))
                time.sleep(min(left, _STEP))
    dead = [worker for worker in there if worker.sure]
    for missing in [one for one in ids if one not in {worker.info.id for worker in there}]:
        complain(f"Worker {missing} is not registered.")
    for worker in unsure:
        complain(f"{worker.info.id} may live: {worker.why_dead}; sure in {worker.sure_in:.0f} s.")
    alive = [worker for worker in there if ids and not worker.looks_dead]
    for worker in alive:
        complain(f"{worker.info.id} lives: {worker.state}.")
    if not dead and not ids and not unsure:
        complain("No worker looks dead.")
    partly = bool(dead) and (bool(unsure) or len(dead) < len(ids))
    return dead, SOME_FAILED if partly else DONE if dead else NOTHING_MATCHED


def _names(some: Sequence[WorkerState]) -> str:
    more = f" and {len(some) - 3} more" if len(some) > 3 else ""
    return ", ".join(worker.info.id for worker in some[:3]) + more


@workers.command(epilog=examples("taskq workers check --max-age 30", "taskq workers check --worker web-1:17:emails"))
@click.option(
    "--max-age",
    type=Seconds(),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How old the last heartbeat may be.",
)
@click.option("--worker", "worker_id", metavar="ID", help="This worker; without it, any worker of this host.")
@click.option("--host", metavar="HOST", help="The host that is meant.  [TASKQ_HOST; the host's name]")
@common
@json_option
def check(max_age: float, worker_id: str | None, host: str | None, as_json: bool) -> int:
    """Check that a worker is alive, for probes: exit code 0 where one beat lately, 1 where none did."""
    session = the_session()
    app = session.connected()
    host = host or app.config.host or socket.gethostname()
    found = [worker for worker in app.workers() if _is_meant(worker, worker_id, host)]
    latest = max(found, key=lambda worker: worker.heartbeat or 0.0, default=None)
    age = None if latest is None or latest.heartbeat is None else max(app.broker.now() - latest.heartbeat, 0.0)
    alive = age is not None and age <= max_age
    if as_json:
        row = {
            "alive": alive,
            "worker": None if latest is None else latest.id,
            "heartbeat": None if latest is None else latest.heartbeat,
            "heartbeat_age": None if age is None else round(age, 3),
            "max_age": max_age,
        }
        show_json("workers_check/1", row)
        return DONE if alive else SOME_FAILED
    if latest is None:
        what = f"Worker {worker_id} is not registered." if worker_id else f"No worker of {host} is registered."
        near = nearest(worker_id, [worker.id for worker in app.workers()]) if worker_id else None
        complain(f"{what} Did you mean {near}?" if near else f"{what} Who is: taskq workers list")
        return SOME_FAILED
    if age is None:
        complain(f"{latest.id} never sent a heartbeat.")
        return SOME_FAILED
    said = f"{latest.id} sent its last heartbeat {duration(age)} ago."
    if alive:
        say(said)
        return DONE
    complain(f"{said} That is more than {max_age:g} s.")
    return SOME_FAILED


def _is_meant(worker: WorkerInfo, worker_id: str | None, host: str) -> bool:
    if worker_id is not None:
        return worker.id == worker_id
    real = worker.registration.process.host if worker.registration is not None else ""
    # A second worker of one id has `host+1` before the colon.
    return host in (real, worker.host, re.sub(r"\+\d+$", "", worker.host))


def _row(app: TaskQ, worker: WorkerState, now: float) -> tuple[str, ...]:
    return (
        worker.info.id,
        worker.state,
        _job(app, worker.info),
        duration(now - worker.since) if worker.since is not None else "",
        duration(worker.heartbeat_age) if worker.heartbeat_age is not None else "never",
        str(worker.info.processed),
        str(worker.info.failed),
    )


def _job(app: TaskQ, worker: WorkerInfo) -> str:
    if worker.job is None:
        return ""
    read = app.read(worker.job.body)
    if read.payload is None:
        return "[unreadable]"
    return f"{read.payload.job} {json_text(read.shown)}"


def _described(app: TaskQ, state: WorkerState) -> dict[str, object]:
    worker = state.info
    held = worker.job
    job: dict[str, object] | None = None
    if held is not None:
        read = app.read(held.body)
        job = {
            "job": read.payload.job if read.payload is not None else None,
            "args": read.shown if read.payload is not None else None,
            "queue": held.queue,
            "run_at": held.run_at,
        }
    return {
        "worker": worker.id,
        "host": worker.host,
        "real_host": state.host,
        "pid": worker.pid,
        "queues": worker.queues,
        "state": state.state,
        "job": job,
        "ahead": len(worker.ahead),
        "heartbeat": worker.heartbeat,
        "heartbeat_age": None if state.heartbeat_age is None else round(state.heartbeat_age, 3),
        "started": worker.started,
        "processed": worker.processed,
        "failed": worker.failed,
        "why_dead": state.why_dead or None,
        "sure": state.sure,
        "becomes": state.becomes if state.looks_dead else None,
    }
