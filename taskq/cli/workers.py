"""`taskq workers`: who is registered and what each does, and a check for probes that one of them lives."""

from __future__ import annotations

import re
import socket

import click

from taskq.app import TaskQ
from taskq.cli.endings import DONE, SOME_FAILED
from taskq.cli.groups import ListedGroup
from taskq.cli.output import Column, count_of, duration, hint, json_option, say, show, show_json
from taskq.cli.output import as_json as json_text
from taskq.cli.session import common, examples, the_session
from taskq.errors import nearest
from taskq.records import WorkerInfo

__all__ = ["workers"]

# What a worker that never said how long its silence may be is granted (WIRE.md section 8).
_SILENCE = 300.0


@click.group(cls=ListedGroup, epilog=examples("taskq workers", "taskq workers check --max-age 30"))
@common
def workers() -> None:
    """List workers, and check that one is alive. Without a command: list."""


@workers.command("list", epilog=examples("taskq workers list", "taskq workers list --json"))
@common
@json_option
def list_(as_json: bool) -> None:
    """List every worker, other programs' too: what it does, and when it was last heard of.

    In a pipe: id, state, job, since, heartbeat (both how long ago), processed, failed, with tabs between.
    """
    app = the_session().connected()
    now = app.broker.now()
    found = app.broker.workers()
    if as_json:
        for worker in found:
            show_json("worker/1", _described(app, worker, now))
        return
    columns = [
        Column("worker"),
        Column("state"),
        Column("job", cut=True, style="name"),
        Column("since", right=True),
        Column("heartbeat", right=True),
        Column("processed", right=True),
        Column("failed", right=True),
    ]
    if found:
        show(columns, [_row(app, worker, now) for worker in found])
        working = sum(worker.job is not None for worker in found)
        hint(f"{working} of {count_of(len(found), 'worker')} working.")
    else:
        hint("No worker is registered. To start one: taskq worker --app YOUR.JOBS")


@workers.command(epilog=examples("taskq workers check --max-age 30", "taskq workers check --worker web-1:17:emails"))
@click.option(
    "--max-age",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How old the last heartbeat may be.",
)
@click.option("--worker", "worker_id", metavar="ID", help="This worker; without it, any worker of this host.")
@click.option("--host", metavar="HOST", help="The host that is meant.  [TASKQ_HOST; the host's name]")
@common
def check(max_age: float, worker_id: str | None, host: str | None) -> int:
    """Check that a worker is alive, for probes: exit code 0 where one beat lately, 1 where none did."""
    session = the_session()
    app = session.connected()
    host = host or app.config.host or socket.gethostname()
    found = [worker for worker in app.workers() if _is_meant(worker, worker_id, host)]
    if not found:
        what = f"Worker {worker_id} is not registered." if worker_id else f"No worker of {host} is registered."
        near = nearest(worker_id, [worker.id for worker in app.workers()]) if worker_id else None
        click.echo(f"{what} Did you mean {near}?" if near else f"{what} Who is: taskq workers list", err=True)
        return SOME_FAILED
    now = app.broker.now()
    latest = max(found, key=lambda worker: worker.heartbeat or 0.0)
    if latest.heartbeat is None:
        click.echo(f"{latest.id} never sent a heartbeat.", err=True)
        return SOME_FAILED
    age = max(now - latest.heartbeat, 0.0)
    said = f"{latest.id} sent its last heartbeat {duration(age)} ago."
    if age <= max_age:
        say(said)
        return DONE
    click.echo(f"{said} That is more than {max_age:g} s.", err=True)
    return SOME_FAILED


def _is_meant(worker: WorkerInfo, worker_id: str | None, host: str) -> bool:
    if worker_id is not None:
        return worker.id == worker_id
    real = worker.registration.process.host if worker.registration is not None else ""
    # A second worker of one id has `host+1` before the colon.
    return host in (real, worker.host, re.sub(r"\+\d+$", "", worker.host))


def _state(worker: WorkerInfo, now: float) -> str:
    if not worker.registered:
        return "not registered"
    patience = worker.registration.dead_after if worker.registration is not None else _SILENCE
    if worker.heartbeat is not None and now - worker.heartbeat > patience:
        return "silent"
    return "working" if worker.job is not None else "idle"


def _row(app: TaskQ, worker: WorkerInfo, now: float) -> tuple[str, ...]:
    return (
        worker.id,
        _state(worker, now),
        _job(app, worker),
        duration(now - worker.job.run_at) if worker.job is not None else "",
        duration(now - worker.heartbeat) if worker.heartbeat is not None else "never",
        str(worker.processed),
        str(worker.failed),
    )


def _job(app: TaskQ, worker: WorkerInfo) -> str:
    if worker.job is None:
        return ""
    read = app.read(worker.job.body)
    if read.payload is None:
        return "[unreadable]"
    return f"{read.payload.job} {json_text(read.shown)}"


def _described(app: TaskQ, worker: WorkerInfo, now: float) -> dict[str, object]:
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
        "pid": worker.pid,
        "queues": worker.queues,
        "state": _state(worker, now),
        "job": job,
        "ahead": len(worker.ahead),
        "heartbeat": worker.heartbeat,
        "heartbeat_age": None if worker.heartbeat is None else round(now - worker.heartbeat, 3),
        "started": worker.started,
        "processed": worker.processed,
        "failed": worker.failed,
    }
