"""`taskq worker`: its options, the application, and the run itself."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from taskq import config as configuration
from taskq import events, pool
from taskq.app import TaskQ
from taskq.broker import Capability
from taskq.cli import applications, endings
from taskq.cli.output import complain, say
from taskq.cli.session import common, examples, hide_command_line, put_in_force, the_session
from taskq.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from taskq.worker.supervisor import Crew

__all__ = ["worker"]


@click.command(
    epilog=examples(
        "taskq worker --app shop.jobs -v",
        "taskq worker --app shop.jobs --queue high --queue '*,!reports' --count 4",
        "taskq worker --app shop.jobs --threads 8",
        "taskq worker --app shop.jobs --burst --broker redis://db.internal:6379/0",
    )
)
@click.option(
    "--queue",
    "-q",
    "queue",
    metavar="QUEUE",
    multiple=True,
    help="A queue, a pattern or a !exclusion; again for more, the first before the next.  [QUEUE; *]",
)
@click.option("--queues", metavar="QUEUE,...", help="The same, with commas between.  [QUEUES]")
@click.option(
    "--order",
    metavar="ORDER",
    help="At which queue to look first: strict, weighted (-q mail=5), round-robin, random.  [TASKQ_ORDER; strict]",
)
@click.option(
    "--count",
    metavar="N|MIN-MAX",
    help="So many workers under one supervisor; between two numbers, by what waits in the queues.  [COUNT; 1]",
)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    help="Groups of workers, each with its queues, count and other options; HUP reads it again.",
)
@click.option(
    "--interval", metavar="SECONDS", help="Between two looks at most, beneath the wake-up; 0 is --burst.  [INTERVAL; 5]"
)
@click.option("--burst", is_flag=True, help="Stop when there is nothing to do.  [TASKQ_BURST]")
@click.option("--verbose", "-v", count=True, help="Say what happens to jobs; -vv: every step.  [VERBOSE, VVERBOSE]")
@click.option("--inline", is_flag=True, help="Perform jobs in this process, not in a child each.  [FORK_PER_JOB=false]")
@click.option("--spawn", is_flag=True, help="Perform jobs in a fresh interpreter each, without a fork.  [TASKQ_SPAWN]")
@click.option(
    "--jobs-per-fork",
    metavar="N",
    help="A child performs N jobs, then the next one takes over.  [TASKQ_JOBS_PER_FORK; 1]",
)
@click.option(
    "--recycle-at-mib",
    metavar="M",
    help="With --jobs-per-fork: replace a child that has grown past M mebibytes.  [TASKQ_RECYCLE_AT_MIB]",
)
@click.option("--prefetch", metavar="N", help="Hold up to N jobs: faster, and less strict.  [TASKQ_PREFETCH; 1]")
@click.option("--threads", metavar="N", help="Perform N jobs at once, in threads of this process.  [TASKQ_THREADS]")
@click.option(
    "--async",
    metavar="N",
    help="Perform N `async def` jobs at once on one event loop, others in threads beside it.  [TASKQ_ASYNC]",
)
@click.option(
    "--on-crash",
    metavar="WHAT",
    help="Jobs that do not say, when their process dies: fail, or requeue.  [TASKQ_ON_CRASH; fail]",
)
@click.option(
    "--unknown",
    metavar="WHAT",
    help="Jobs that are not registered here: fail, or release, for an hour at most.  [TASKQ_UNKNOWN; fail]",
)
@click.option(
    "--timeout-grace",
    metavar="SECONDS",
    help="What a job over its time limit is given to end before it is killed.  [TASKQ_TIMEOUT_GRACE; 5]",
)
@click.option(
    "--shutdown-timeout", metavar="SECONDS", help="What TERM and INT give the job in hand.  [TASKQ_SHUTDOWN_TIMEOUT; 8]"
)
@click.option("--beat", metavar="SECONDS", help="Between two heartbeats.  [TASKQ_BEAT; 5]")
@click.option(
    "--dead-after",
    metavar="SECONDS",
    help="Silence after which others may take this worker's jobs.  [TASKQ_DEAD_AFTER; 25, in one process 300]",
)
@click.option("--host", metavar="NAME", help="The host part of the worker's id.  [TASKQ_HOST; the host's name]")
@click.option(
    "--health-file", metavar="PATH", help="Touched at each turn that the broker answered.  [TASKQ_HEALTH_FILE]"
)
@click.option("--pidfile", metavar="PATH", help="Where the process id is written.  [PIDFILE]")
@click.option(
    "--no-retry",
    is_flag=True,
    help="End when the broker is away at the start, instead of waiting.  [TASKQ_RETRY=false]",
)
@click.option(
    "--with-scheduler",
    is_flag=True,
    help="Run a scheduler beside the worker, in a process of its own: for what is delayed and what recurs.",
)
@click.option("--schedule", metavar="FILE", help="With --with-scheduler: a file of recurring jobs.")
@click.option("--reload", is_flag=True, help="For development: start again when a Python file changes.")
@common
def worker(
    queue: tuple[str, ...],
    queues: str | None,
    file: str | None,
    burst: bool,
    verbose: int,
    inline: bool,
    spawn: bool,
    no_retry: bool,
    with_scheduler: bool,
    schedule: str | None,
    reload: bool,
    **given: Any,
) -> int:
    """Perform jobs, until it is told to stop.

    TERM and INT (Ctrl-C) let the job in hand end, for a while; QUIT lets it end whenever it does. USR2 pauses, CONT
    goes on, USR1 kills the job in hand and goes on. With --config HUP reads the file again.
    """
    hide_command_line("resque-3 taskq: Starting")  # as Ruby's pruner knows it; see taskq.worker.title
    session = the_session()
    if inline and spawn:
        raise click.UsageError("--inline and --spawn exclude each other: a job is performed here, or elsewhere.")
    options: dict[str, object] = {
        **session.given,
        **given,
        "queues": (*queue, *([] if queues is None else [queues])),
        # A flag that is not set says nothing: then the environment or the file does.
        "burst": burst or None,
        "verbose": min(verbose, 2) or None,
        "execution": "inline" if inline else "spawn" if spawn else None,
        "retry": False if no_retry else None,
    }
    if file is not None:
        _check_options_for_pool(options, file)
    if schedule is not None and not with_scheduler:
        raise click.UsageError("--schedule is a scheduler's: say --with-scheduler too, or run taskq scheduler.")
    config = configuration.load(options=options, worker=True)
    session.heed(config)
    if with_scheduler and config.burst:
        raise click.UsageError("--with-scheduler and --burst exclude each other: a scheduler is never done.")
    timetable = _Timetable(schedule) if with_scheduler else None
    if reload:
        return _reloading(config, options, file, timetable)
    return _perform(config, options, file, timetable)


@dataclasses.dataclass(frozen=True, slots=True)
class _Timetable:
    """A scheduler is to run beside the worker, with this file of recurring jobs or none."""

    file: str | None

    def beside(self, app: TaskQ, config: configuration.Config) -> Crew:
        from taskq.scheduler.run import beside_workers

        if Capability.SHARED not in app.broker.capabilities:
            message = f"a scheduler in a process of its own would not see the store of the backend {app.broker.name}."
            raise ConfigurationError([Problem("broker", "--with-scheduler", message)])
        alone = dataclasses.replace(config, pidfile=None, notices=())
        return beside_workers(app, alone, file=None if self.file is None else Path(self.file))


def _perform(
    config: configuration.Config,
    options: Mapping[str, object],
    file: str | None,
    timetable: _Timetable | None,
    supervisor: int | None = None,
) -> int:
    """Load the application, and run its workers from start to end."""
    from taskq.worker.control import LAST_WORDS
    from taskq.worker.last_threads import see_out
    from taskq.worker.report import Report
    from taskq.worker.run import run, run_pool

    session = the_session()
    found = applications.load(config.app, source=config.source("app"))
    if found is not None:
        config = configuration.for_worker(found.config, options)
        session.heed(config)
    if supervisor is not None:
        config = dataclasses.replace(config, pidfile=None)

    def load_group(table: configuration.Table) -> configuration.Config:
        if found is None:
            return configuration.load(options=options, worker=True, group=table)
        return configuration.for_worker(found.config, options, group=table)

    app = TaskQ(config) if found is None else TaskQ(config, registry=found.registry)
    _check_has_jobs(app)
    put_in_force(app, close=True)
    observers = () if session.broker_is_said else (_tell_of_files,)
    beside = () if timetable is None else (timetable.beside(app, config),)
    ends = supervisor is None
    try:
        if file is None:
            return run(app, config, supervisor=supervisor, observers=observers, beside=beside, ends=ends)
        path, common = Path(file), config

        def read() -> Sequence[pool.Group]:
            return pool.read(path, common, load_group)

        pool_of = _noticing(common, path)
        return run_pool(app, pool_of, read, supervisor=supervisor, observers=observers, beside=beside, ends=ends)
    except Exception as error:
        if ends:  # it is said when the command has ended; a thread of the application's must not keep that from it
            see_out(LAST_WORDS, endings.code_of(error), Report(config.verbose))
        raise


def _reloading(
    config: configuration.Config, options: Mapping[str, object], file: str | None, timetable: _Timetable | None
) -> int:
    """Do it anew in a process of its own each time that a file changes; in this one the application is not imported."""
    if importlib.util.find_spec("watchfiles") is None:
        message = 'needs the package watchfiles: pip install "taskq[reload]".'
        raise ConfigurationError([Problem("reload", "--reload", message)])
    from taskq.worker.run import run_reloading

    session, root = the_session(), click.get_current_context().find_root()

    def work(orders: int, _say: object) -> int:
        sys.dont_write_bytecode = True  # a file that changes twice within a second would be read from there
        importlib.invalidate_caches()
        try:
            return _perform(config, options, file, timetable, supervisor=orders)
        except Exception as error:
            for line in endings.lines_of(error, debug=session.debug, secrets=session.secrets):
                for part in line.split("\n"):
                    complain(part)
            return endings.code_of(error)
        finally:
            root.close()

    return run_reloading(config, work, applications.places(config.app), with_pool=file is not None)


def _check_options_for_pool(options: Mapping[str, object], file: str) -> None:
    """What each group says for itself cannot be said for all."""
    message = f"each group of {file} says that for itself. Leave out this option, or --config."
    said = [(name, option) for name, option in (("queues", "--queue"), ("count", "--count")) if options[name]]
    if said:
        raise ConfigurationError([Problem(name, option, message) for name, option in said])


def _noticing(config: configuration.Config, path: Path) -> configuration.Config:
    """With a line on what somebody set and a pool has no use for."""
    in_vain = [source for name in ("queues", "count") if (source := config.source(name)) != configuration.DEFAULT]
    if not in_vain:
        return config
    verb = "has" if len(in_vain) == 1 else "have"
    notice = f"{' and '.join(in_vain)} {verb} no effect: the groups of {path} say it."
    return dataclasses.replace(config, notices=(*config.notices, notice))


def _tell_of_files(event: events.Event) -> None:
    """While a broker that nobody chose is waited for, say what needs none: once, beneath the first line about it."""
    if isinstance(event, events.BrokerLost) and event.tries == 1:
        say(f"*** {endings.WITHOUT_A_SERVER}")


def _check_has_jobs(app: TaskQ) -> None:
    """A worker without jobs would take every job there is, and fail it as unknown."""
    if app.registry.names():
        return
    if app.config.app:
        what = f"no job is registered by {', '.join(app.config.app)}. Name the module that has them"
    else:
        what = "no application is named, so there is no job to perform. Name the module that has the jobs"
    raise ConfigurationError([Problem("app", app.config.source("app"), f"{what}: taskq worker --app shop.jobs")])
