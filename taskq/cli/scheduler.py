"""`taskq scheduler`: its options, the application, and the run itself."""

from __future__ import annotations

from pathlib import Path

import click

from taskq import config as configuration
from taskq.app import TaskQ
from taskq.cli import applications
from taskq.cli.session import common, examples, hide_command_line, put_in_force, the_session

__all__ = ["scheduler"]


@click.command(
    epilog=examples(
        "taskq scheduler --app shop.jobs -v",
        "taskq scheduler --app shop.jobs --schedule config/schedule.yml --pidfile /run/scheduler.pid",
    )
)
@click.option("--schedule", metavar="FILE", help="A file of recurring jobs, beside those of the application.")
@click.option("--verbose", "-v", count=True, help="Say what is moved and enqueued; -vv: with the time.  [VERBOSE]")
@click.option("--pidfile", metavar="PATH", help="Where the process id is written.  [PIDFILE]")
@click.option(
    "--no-retry",
    is_flag=True,
    help="End when the broker is away at the start, instead of waiting.  [TASKQ_RETRY=false]",
)
@common
def scheduler(schedule: str | None, verbose: int, pidfile: str | None, no_retry: bool) -> int:
    """Move delayed jobs into their queues when they are due, and enqueue what recurs, until told to stop.

    Start as many as you like: one acts, the others stand by, and one of them takes over within 10 seconds where it
    dies. Where a scheduler of Ruby's has the lock, all stand by.

    TERM, INT and QUIT end it; USR1 logs what recurs; USR2 and HUP read it again. Without --app it moves what is delayed
    all the same, whatever application it is of.
    """
    hide_command_line("taskq scheduler")
    from taskq.scheduler.run import run

    session = the_session()
    options: dict[str, object] = {
        **session.given,
        "pidfile": pidfile,
        "verbose": min(verbose, 2) or None,
        "retry": False if no_retry else None,
    }
    config = configuration.load(options=options, worker=True)
    session.heed(config)
    found = applications.load(config.app, source=config.source("app"))
    if found is not None:
        config = configuration.for_worker(found.config, options)
        session.heed(config)
    app = put_in_force(TaskQ(config) if found is None else TaskQ(config, registry=found.registry), close=True)
    return run(app, config, file=None if schedule is None else Path(schedule))
