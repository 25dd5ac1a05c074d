"""`taskq demo`: a life of some jobs, on the real worker and a real broker, a file that is gone at the end.

It reads no configuration and leaves nothing behind, so that it does the same everywhere.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass, field

import click

from taskq import envelope, events
from taskq.app import TaskQ
from taskq.application import using
from taskq.cli.endings import DONE
from taskq.cli.failed import show_list
from taskq.cli.output import Column, count_of, say, show
from taskq.cli.session import common, examples
from taskq.config import Config
from taskq.failed_ids import id_of

__all__ = ["demo"]


@dataclass(slots=True)
class _Observer:
    """Notes how each job ended, the last time that it was performed."""

    outcomes: dict[bytes, list[str]] = field(default_factory=dict)
    seconds: dict[bytes, float] = field(default_factory=dict)
    shown: dict[bytes, tuple[str, str, str]] = field(default_factory=dict)
    interrupted: bool = False

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.SettledJob(task=task, settled=settled):
                body = task.reservation.body
                self.shown[body] = (task.reservation.queue, task.name, envelope.inspect(task.shown))
                self.outcomes.setdefault(body, []).append(settled.outcome)
                self.seconds[body] = self.seconds.get(body, 0.0) + (settled.seconds or 0.0)
            case events.Stopping():
                self.interrupted = True


@click.command(epilog=examples("taskq demo"))
@common
def demo() -> int:
    """Watch jobs succeed, fail and be requeued. It needs no server and takes two seconds.

    A broker in a temporary file, a model that enqueues and a worker, all in this process. The options of other
    commands mean nothing here.
    """
    with tempfile.TemporaryDirectory(prefix="taskq-demo-") as directory:
        broker = f"sqlite:///{directory}/demo.db"
        config = Config(broker=broker, queues=("emails", "reports"), execution="inline", burst=True, verbose=1)
        with TaskQ(config) as app, using(app):
            _show(app, config)
    return DONE


def _show(app: TaskQ, config: Config) -> None:
    from taskq.cli.demo_jobs import AWAY, Emailer, monthly_report

    seen = _Observer()

    _heading("A model enqueues six jobs", 'taskq.enqueue(Emailer, "ada@example.com", "Welcome", "Glad to have you")')
    app.enqueue(Emailer, "ada@example.com", "Welcome", "Glad to have you")
    app.enqueue(monthly_report, "October", pages=12)
    app.enqueue(Emailer, "grace@example.com", "Your order", "It is on its way")
    app.enqueue(Emailer, "edsger@example.org", "Your order", "It is on its way")
    app.enqueue(Emailer, "nobody", "Welcome", "Glad to have you")
    app.enqueue(Emailer, "alan@example.com", "Welcome", "Glad to have you")
    for queue, size in app.sizes().items():
        say(f"    {queue}: {count_of(size, 'job')}")

    AWAY.add("example.org")
    _heading("A worker performs them, emails before reports", "taskq worker --queues emails,reports --burst -v")
    _work(app, config, seen)

    _heading("What failed is kept, with the reason", "taskq failed list")
    failed = app.failures.list()
    show_list(app, failed, always=True)

    AWAY.clear()
    repaired = next(each for each in failed if each.exception == "ConnectionError")
    _heading("The mail server is back: requeue that one", f"taskq failed requeue {id_of(repaired)}")
    app.failures.requeue(repaired)
    _work(app, config, seen)

    _heading("How it ended", "taskq info")
    _show_outcomes(seen)
    info = app.info()
    say("")
    say(f"{info['processed']} performed, {info['failed']} in the failed list (one of them retried), none waiting.")
    taskq = _program()
    for line in (
        "",
        "Next, in two terminals, each in this folder; the file is made by whoever comes first:",
        f"    {taskq} worker -b sqlite:///demo.db --app taskq.cli.demo_jobs -v",
        f'    {taskq} enqueue -b sqlite:///demo.db --app taskq.cli.demo_jobs Emailer you@example.com Hello "It works"',
        f"Then look: {taskq} info -b sqlite:///demo.db; queues, workers, failed. All there is: {taskq} --help",
    ):
        say(line)


def _program() -> str:
    """How this program is called here: a virtual environment need not be on the path."""
    if shutil.which("taskq"):
        return "taskq"
    return f"{sys.executable} -m taskq" if sys.argv[0].endswith(".py") else sys.argv[0]


def _work(app: TaskQ, config: Config, seen: _Observer) -> None:
    from taskq.worker.run import run

    run(app, config, observers=(seen,))
    if seen.interrupted:  # the worker took it as its signal to stop
        raise KeyboardInterrupt


def _show_outcomes(seen: _Observer) -> None:
    columns = [
        Column("queue"),
        Column("job", style="name"),
        Column("arguments", cut=True),
        Column("seconds", right=True),
        Column("outcome"),
    ]
    rows = [
        (*seen.shown[body], f"{seen.seconds[body]:.2f}", ", then ".join(outcomes))
        for body, outcomes in seen.outcomes.items()
    ]
    show(columns, rows, always=True)


def _heading(what: str, command: str) -> None:
    say("")
    say((f"{what}:", "strong"), (f"  {command}", "dim"))
