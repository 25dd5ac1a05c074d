"""A scheduler's process from its first line to its exit status, alone or beside workers under their supervisor."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from taskq import application, schedule_file
from taskq.app import TaskQ
from taskq.broker import Capability
from taskq.config import Config, Count
from taskq.errors import BrokerRefused, BrokerUnavailable, ConfigurationError, NotSupported, Problem
from taskq.events import BrokerLost, Warned
from taskq.recurring_jobs import check, of_code
from taskq.schedule_entry import Schedule, WrongSchedule
from taskq.scheduler import events
from taskq.scheduler.loop import LOCK, Scheduler
from taskq.scheduler.orders import SIGNALS, Orders
from taskq.scheduler.report import Report
from taskq.scheduler.roster import Roster
from taskq.worker import title
from taskq.worker.outage import Outage
from taskq.worker.run import write_lines_at_once, write_pid
from taskq.worker.signals import Ear
from taskq.worker.supervisor import Crew

__all__ = ["beside_workers", "run"]

_LONGEST_TRY: Final = 30.0  # seconds between two tries of a broker that is away at the start


def run(
    app: TaskQ,
    config: Config,
    *,
    file: Path | None = None,
    out: TextIO | None = None,
    supervisor: int | None = None,
    ready: Callable[[], None] = lambda: None,
    lock: float = LOCK,
) -> int:
    """Run a scheduler from start to end. Main thread only.

    Args:
        app: the application whose jobs recur, and whose broker has what is delayed.
        config: its verbosity, its pid file, whether it waits for a broker that is away.
        file: a file of recurring jobs beside those of the code; None for none.
        out: where the log goes; None is standard output.
        supervisor: the pipe on which a supervisor speaks; None where there is none.
        ready: called once the broker has answered.
        lock: seconds that the lock outlives this scheduler.

    Returns:
        The exit status: 0.

    Raises:
        ConfigurationError: something that is configured cannot be.
        NotSupported: the backend has no delayed jobs.
        BrokerUnavailable: it is away at the start, and is not to be waited for.
        BrokerRefused: it will not have us.
    """
    app.load()
    broker = app.broker
    if Capability.DELAY not in broker.capabilities:
        raise NotSupported(broker.name, Capability.DELAY.value, "A scheduler has nothing to do there.")
    roster = Roster(broker, lambda: _read(app, file), lambda schedule: check(app, schedule))
    roster.read_own()
    set_title, _ = title.setter()

    def entitle(text: str) -> None:
        if set_title is not None:
            set_title(f"{config.procline_prefix}taskq-scheduler: {text}")

    write_lines_at_once()
    write_pid(config.pidfile, config.source("pidfile"))
    report = Report(config.verbose, broker.address, out=out, entitle=entitle)
    name = f"{config.host or socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"
    with Ear(SIGNALS) as ear, application.using(app):
        report(events.Starting(name))
        for notice in config.notices:
            report(Warned(notice))
        orders = Orders(ear, supervisor=supervisor)
        outage = Outage(report)
        if _reach(app, config, orders, report, outage):
            waits = config.retry
            Scheduler(app, name, roster, orders, report, ready=ready, lock=lock, outage=outage, waits=waits).work()
        app.hooks.tell_quietly("flush")
    report(events.Stopped())
    return 0


def beside_workers(app: TaskQ, config: Config, *, file: Path | None = None, out: TextIO | None = None) -> Crew:
    """A scheduler as a process of its own under the supervisor of workers, which starts it again where it dies."""

    def run_one(orders: int, registered: Callable[[], None]) -> int:
        try:
            return run(app, config, file=file, out=out, supervisor=orders, ready=registered)
        except (ConfigurationError, BrokerRefused, NotSupported) as error:
            Report(config.verbose, app.broker.address, out=out)(Warned(str(error)))
            return 2
        except BrokerUnavailable as error:
            Report(config.verbose, app.broker.address, out=out)(Warned(str(error)))
            return 69

    return Crew("scheduler", Count(), None, run_one, settings=file)


def _read(app: TaskQ, file: Path | None) -> Sequence[Schedule]:
    """Those of the code, and over them those of the file. All of them can be enqueued here."""
    try:
        found = list(of_code(app.registry))
    except WrongSchedule as wrong:
        raise ConfigurationError([Problem("app", "@taskq.job(cron=...)", str(wrong))]) from None
    for schedule in found:
        try:
            check(app, schedule)
        except WrongSchedule as wrong:
            raise ConfigurationError([Problem("app", f"@taskq.job of {schedule.name}", str(wrong))]) from None
    if file is not None:
        found += [_with_queue(app, each) for each in schedule_file.read(file, lambda schedule: check(app, schedule))]
    return found


def _with_queue(app: TaskQ, schedule: Schedule) -> Schedule:
    """It says its job's own queue, where it said none: who else is to fire it may not know the job."""
    definition = app.registry.find(schedule.job)
    return schedule if schedule.queue or definition is None else replace(schedule, queue=definition.queue)


def _reach(app: TaskQ, config: Config, orders: Orders, tell: events.Tell, outage: Outage) -> bool:
    """Return True when the broker answers; False where the scheduler was told to end first.

    That it is back is said when its first turn was done: an answer alone does not mean that it takes writes.
    """
    began, tries, pause = time.monotonic(), 0, 1.0
    while not orders.stopping:
        try:
            app.broker.check()
        except BrokerUnavailable as error:
            if not config.retry:
                raise
            tries += 1
            tell(BrokerLost(error.reason, tries=tries, again_in=pause))
            ends = time.monotonic() + pause * random.uniform(0.9, 1.0)
            while not orders.stopping and time.monotonic() < ends:
                orders.rest(ends - time.monotonic())
            pause = min(pause * 2, _LONGEST_TRY)
        else:
            if tries:
                outage.began(began)
            return True
    return False
