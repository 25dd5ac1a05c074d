"""A worker process from its first line to its exit status: what it is made of, put together."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, TextIO

from taskq import application, events, identity, on_crash, queue_lists
from taskq.app import TaskQ
from taskq.broker import Capability
from taskq.config import Config, Count
from taskq.errors import (
    BrokerInTrouble,
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    Problem,
    TaskqError,
)
from taskq.performing import Task
from taskq.pool import Group
from taskq.queue_lists import QueueList
from taskq.worker import child, title
from taskq.worker.assembly import Process, host_of, outage_of
from taskq.worker.audience import Audience
from taskq.worker.control import LAST_WORDS, Control, Manners
from taskq.worker.execution import Execution
from taskq.worker.fork import Fork
from taskq.worker.hand import Hand
from taskq.worker.inline import Inline
from taskq.worker.last_threads import end_at_once, see_out
from taskq.worker.lookout import Lookout
from taskq.worker.loop import Worker, settle_unfinished, work
from taskq.worker.offspring import Say, Work
from taskq.worker.outage import GaveUp
from taskq.worker.relay import Relay
from taskq.worker.reloading import keep_fresh, watch
from taskq.worker.report import Report
from taskq.worker.runner import Leg, resident, runner
from taskq.worker.scaling import LOOK_EVERY
from taskq.worker.scout import scout
from taskq.worker.seat import Seat
from taskq.worker.signals import Ear
from taskq.worker.spawn import Spawn, setup_of
from taskq.worker.supervisor import NOT_REACHED, Crew, supervise
from taskq.worker.threads import work_side_by_side

__all__ = ["run", "run_pool", "run_reloading", "write_lines_at_once", "write_pid"]

_LONGEST_TRY: Final = 30.0  # seconds between two tries of a broker that is away at the start


def run(
    app: TaskQ,
    config: Config,
    *,
    out: TextIO | None = None,
    supervisor: int | None = None,
    registered: Callable[[], None] = lambda: None,
    observers: tuple[events.Tell, ...] = (),
    beside: Sequence[Crew] = (),
    ends: bool = False,
    one_of_many: bool = False,
) -> int:
    """Run one worker in this process, or with `count` several under a supervisor, from start to end. Main thread only.

    Args:
        app: the application whose jobs are performed; it is the default one meanwhile.
        config: the worker's configuration; what concerns the application was settled with `app`.
        out: where the log goes; None is standard output.
        supervisor: the pipe on which a supervisor speaks; None where there is none.
        registered: called once the broker knows the worker.
        observers: who else is told what happens, after the log.
        beside: what else is to run beside the worker, each in a process of its own; with it there is a supervisor.
        ends: whether this process ends when this returns. Threads that were started in it have what is left of the
            time to stop then, and at least a second; where nobody said how long that is, `shutdown_timeout`.
        one_of_many: whether what is true of each of several workers was said before, for all.

    Returns:
        The exit status: 0, or 128 and the number of the signal that hurried it.

    Raises:
        ConfigurationError: something that is configured cannot be.
        BrokerUnavailable: the broker is away at the start, and the worker was told not to wait for it; or it was away
            for too long in a burst.
        BrokerRefused: the broker will not have us.
    """
    if config.count.most > 1 or beside:
        groups = [Group("", config)]
        return _supervised(app, config, groups, out, observers, supervisor=supervisor, beside=beside, ends=ends)
    app.load()
    _take_over(app, config)
    queues = _queues(config)
    if config.execution == "spawn":
        setup_of(config)  # where it cannot be, that is said before any broker is waited for
    set_title, why_not = title.setter()
    write_lines_at_once()
    write_pid(config.pidfile, config.source("pidfile"))
    report = Report(
        config.verbose,
        out=out,
        set_title=set_title,
        prefix=config.procline_prefix,
        place=app.broker.address,
        at_once=config.at_once,
        showing=app.showing,
    )
    audience = Audience(report, app.hooks, observers, registered)
    audience(events.Starting())
    for notice in config.notices:
        audience(events.Warned(notice))
    if not set_title:
        host = host_of(config)
        audience(events.Warned(f"The process title cannot be set: {why_not}. The worker's host is {host}+1."))
    left = False
    with Ear() as ear:
        control = Control(ear, _manners(config), audience, supervisor=supervisor)
        audience(events.Listening())
        first = 0 if set_title else 1
        outage = outage_of(config, audience)
        process = Process(app, config, queues, identity.this_process(), control, outage, first)
        try:
            with application.using(app):
                if _reach(process, audience):
                    app.hooks.tell("before_first_fork", next(identity.ids(host_of(config), queues.id, first=first)))
                    if not one_of_many and (unkept := _limits_not_kept(app, config.execution)):
                        audience(events.Warned(unkept))
                    if config.execution in {"threads", "async"}:
                        left = work_side_by_side(process, audience)
                    else:
                        _work_alone(process, audience, ear, report.entitle)
        finally:
            app.hooks.tell_quietly("flush")
        audience(events.Exiting())
    if left:
        end_at_once(control.status)  # jobs run in it that nobody can end. They are settled: what they do counts not.
    if ends:
        until = time.monotonic() + config.shutdown_timeout if control.deadline is None else control.deadline
        see_out(max(until - time.monotonic(), LAST_WORDS), control.status, audience)
    return control.status


def _take_over(app: TaskQ, config: Config) -> None:
    """What of the worker's configuration concerns performing: a group of a pool may say its own."""
    app.tools.on_crash = on_crash.times(config.on_crash)
    app.tools.keeps_unknown = config.unknown == "release"
    if app.tools.keeps_unknown and Capability.DELAY not in app.broker.capabilities:
        message = f"the backend {app.broker.name} has no delayed jobs, among which an unknown job would wait."
        raise ConfigurationError([Problem("unknown", config.source("unknown"), message)])


def _work_alone(process: Process, audience: Audience, ear: Ear, entitle: Callable[[Task | None], None]) -> None:
    """One worker in this process, from its registration to its end."""
    tell = audience.of(lambda: seat.id)
    seat = process.seat(tell)
    lookout = process.lookout(tell)
    hand = process.hand(seat)
    execution = _execution(process, seat, hand, ear, lookout, tell, entitle)
    worker = process.worker(seat, hand, execution, tell, lookout=lookout)
    if isinstance(execution, Inline):
        execution.give_up = _giving_up(worker, process, audience)
    memory = _frozen() if isinstance(execution, Fork) else contextlib.nullcontext()
    with memory, contextlib.suppress(GaveUp):  # told to end before it was registered
        if isinstance(execution, Fork) and process.config.jobs_per_fork > 1:
            _work_by_relay(worker, process, audience, entitle)
        else:
            work(worker)
    process.app.hooks.tell_quietly("worker_exit", seat.id)


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    """While this lasts the collector leaves alone what is there now.

    It is what the application loaded, and each child has it. A child whose collector walks over all of it writes into
    each object, and so copies memory that it could share.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _work_by_relay(
    worker: Worker, process: Process, audience: Audience, entitle: Callable[[Task | None], None]
) -> None:
    """Have children run the loop, each for many jobs."""
    if worker.tools.hooks.listens("before_fork"):
        message = "Hooks that have before_fork are not told: with --jobs-per-fork no job is known before the fork."
        worker.tell(events.Warned(message))
    tie, _ = child.prepare_tie()
    config = process.config
    leg = Leg(config.jobs_per_fork, config.recycle_at_mib)
    if leg.mib is not None and (mib := resident()()) >= leg.mib:
        message = (
            f"A child is replaced after each job: it begins with the {mib:.0f} MiB of this process, and "
            f"--recycle-at-mib is {leg.mib}. Give it more than that."
        )
        worker.tell(events.Warned(message))
    manners, at_exit = _manners(config), config.run_at_exit_hooks
    relay = Relay(worker, process.control, runner(worker, leg, manners, tie=tie, entitle=entitle, run_at_exit=at_exit))
    audience.leave_to_child(relay.leaves_to_child, relay.hear)
    relay.work()


def _giving_up(worker: Worker, process: Process, audience: Audience) -> Callable[[Task, float], NoReturn]:
    """What settles a job that does not end in this process's main thread, and then ends the process."""

    def give_up(task: Task, seconds: float) -> NoReturn:
        try:
            settle_unfinished(worker, task, seconds)
            process.app.hooks.tell_quietly("worker_exit", worker.seat.id)
            process.app.hooks.tell_quietly("flush")
            audience(events.Exiting())
        except TaskqError as error:  # refused, say: it is left to recovery
            worker.tell(events.Warned(str(error)))
        finally:
            end_at_once(process.control.status)

    return give_up


def run_pool(
    app: TaskQ,
    config: Config,
    read: Callable[[], Sequence[Group]],
    *,
    out: TextIO | None = None,
    supervisor: int | None = None,
    observers: tuple[events.Tell, ...] = (),
    beside: Sequence[Crew] = (),
    ends: bool = False,
) -> int:
    """Run the groups of a pool's file under one supervisor, from start to end; HUP reads it again. Main thread only.

    Args:
        app: the application whose jobs are performed.
        config: what all groups have in common.
        read: the groups as the file has them now; raises `ConfigurationError`.
        out: where the log goes; None is standard output.
        supervisor: the pipe on which a supervisor of this one speaks; None where there is none.
        observers: who else is told what happens, after the log.
        beside: what else is to run beside the workers, each in a process of its own.
        ends: whether this process ends when this returns.

    Returns:
        The exit status: 0; 128 and the number of the signal that hurried; or that of workers that could not start.

    Raises:
        ConfigurationError: something that is configured cannot be.
    """
    groups = read()
    return _supervised(
        app, config, groups, out, observers, supervisor=supervisor, reread=read, beside=beside, ends=ends
    )


def run_reloading(config: Config, work: Work, paths: Sequence[Path], *, with_pool: bool) -> int:
    """Run a worker, or several, anew each time that a Python file under these paths changes. Main thread only.

    Args:
        config: what is configured before the application is loaded.
        work: loads the application and runs the workers, in a process of its own.
        paths: folders and files.
        with_pool: whether HUP is theirs, who read a pool's file again.

    Returns:
        The exit status: 0, or 128 and the number of the signal that hurried.
    """
    set_title, _ = title.setter()

    def entitle(text: str) -> None:
        if set_title:
            set_title(title.text(config.procline_prefix, text))

    def watching(orders: int, say: Say) -> int:
        entitle("Looking at files")
        return watch(paths, orders, say)

    write_lines_at_once()
    write_pid(config.pidfile, config.source("pidfile"))
    return keep_fresh(work, watching, _manners(config), Report(config.verbose), with_pool=with_pool, entitle=entitle)


def _supervised(
    app: TaskQ,
    config: Config,
    groups: Sequence[Group],
    out: TextIO | None,
    observers: tuple[events.Tell, ...],
    *,
    supervisor: int | None,
    reread: Callable[[], Sequence[Group]] | None = None,
    beside: Sequence[Crew] = (),
    ends: bool = False,
) -> int:
    """Several workers, each in a process of its own, and what runs beside them."""
    app.load()  # what cannot be is said once, before there are any
    if Capability.SHARED not in app.broker.capabilities:
        message = (
            "several workers are processes of their own, and would not see the store of the backend "
            f"{app.broker.name}. Run one, or name a broker that other processes see."
        )
        raise ConfigurationError([Problem("broker", config.source("broker"), message)])
    set_title, _ = title.setter()

    def entitle(text: str) -> None:
        if set_title:
            set_title(title.text(config.procline_prefix, text))

    write_lines_at_once()
    write_pid(config.pidfile, config.source("pidfile"))
    report = Report(config.verbose, out=out, place=app.broker.address)
    said: set[str] = set()

    def say_once(notices: Iterable[str]) -> None:
        for notice in notices:
            if notice not in said:
                said.add(notice)
                report(events.Warned(notice))

    say_once(config.notices)
    for group in groups:
        say_once(group.config.notices)

    def crew(group: Group) -> Crew:
        if unkept := _limits_not_kept(app, group.config.execution):
            say_once([unkept])
        alone = dataclasses.replace(group.config, count=Count(), pidfile=None, notices=())

        def run_one(orders: int, registered: Callable[[], None]) -> int:
            if reread is not None:
                # The supervisor's business alone. Not ignored, for what a job starts would inherit that.
                signal.signal(signal.SIGHUP, _pass_over)
            try:
                return run(
                    app,
                    alone,
                    out=out,
                    supervisor=orders,
                    registered=registered,
                    observers=observers,
                    one_of_many=True,
                )
            except (ConfigurationError, BrokerRefused) as error:
                report(events.Warned(str(error)))
                return 2
            except BrokerUnavailable as error:
                report(events.Warned("\n".join((str(error), *getattr(error, "__notes__", ())))))
                return NOT_REACHED

        return Crew(
            group.name,
            group.config.count,
            _queues(group.config),
            run_one,
            settings=alone,
            burst=group.config.burst,
            waits=group.config.retry and not group.config.burst,
            grace=_manners(group.config).grace,
        )

    def scouting(lists: Mapping[str, QueueList]) -> Work:
        def look(orders: int, say: Say) -> int:
            entitle("Looking at the queues")
            return scout(app.broker, lists, LOOK_EVERY, orders, say)

        return look

    with _frozen():
        status = supervise(
            [*(crew(group) for group in groups), *beside],
            _manners(config),
            report,
            scouting=scouting,
            reread=None if reread is None else lambda: [*(crew(group) for group in reread()), *beside],
            entitle=entitle,
            supervisor=supervisor,
        )
    if ends:
        see_out(LAST_WORDS, status, report)
    return status


def _pass_over(number: int, frame: FrameType | None) -> None:
    """A signal that means nothing here."""


def _queues(config: Config) -> QueueList:
    return queue_lists.parse(config.queues, weighted=config.order == "weighted", source=config.source("queues"))


def _manners(config: Config) -> Manners:
    return Manners(
        shutdown_timeout=config.shutdown_timeout,
        timeout_grace=config.timeout_grace,
        term_child=config.term_child,
        pre_shutdown_timeout=config.pre_shutdown_timeout,
        term_timeout=config.term_timeout,
        graceful_term=config.graceful_term,
    )


def _reach(process: Process, tell: events.Tell) -> bool:
    """Return True when the broker answers; False where the worker was told to end first.

    That it is back is said when it has registered the worker: an answer alone does not mean that it takes writes.
    """
    app, config, control = process.app, process.config, process.control
    began = time.monotonic()
    tries, pause = 0, 1.0
    while not control.stopping:
        try:
            app.broker.check()
        except BrokerUnavailable as error:
            if config.burst or not config.retry:
                raise
            tries += 1
            trouble = isinstance(error, BrokerInTrouble)
            tell(events.BrokerLost(error.reason, tries=tries, again_in=pause, trouble=trouble))
            ends = time.monotonic() + pause * random.uniform(0.9, 1.0)
            while not control.stopping and time.monotonic() < ends:
                control.rest(ends - time.monotonic())
            pause = min(pause * 2, _LONGEST_TRY)
        else:
            if tries:
                process.outage.began(began)
            return True
    return False


def _execution(
    process: Process,
    seat: Seat,
    hand: Hand,
    ear: Ear,
    lookout: Lookout,
    tell: events.Tell,
    entitle: Callable[[Task | None], None],
) -> Execution:
    """The execution model that was asked for, or the one that can be had here, saying so."""
    app, config, control = process.app, process.config, process.control
    why = ""
    if config.execution == "fork":
        if not hasattr(os, "fork"):
            why = "this platform has no fork."
        elif Capability.SHARED not in app.broker.capabilities:
            why = f"a child would not see the store of the backend {app.broker.name}."
    elif config.execution == "spawn":
        setup = setup_of(config)
        if not hasattr(os, "posix_spawn"):
            why = "this platform has no posix_spawn."
        elif Capability.SHARED not in app.broker.capabilities:
            why = f"another process would not see the store of the backend {app.broker.name}."
    if config.execution == "inline" or why:
        tell(events.Chose("in the worker's own process", why))
        if why and (unkept := _limits_not_kept(app, "inline")):
            tell(events.Warned(unkept))
        return Inline(app.tools, seat, hand, control, ear, tell)

    def look_out() -> None:
        """While a job is long, the parent has time."""
        with contextlib.suppress(BrokerUnavailable):
            if time.monotonic() >= lookout.next_look:
                lookout.look(seat.id)

    if config.execution == "spawn":
        tell(events.Chose("in a fresh interpreter each"))
        return Spawn(app.tools, seat, hand, control, tell, setup, beside=look_out)
    if config.jobs_per_fork == 1:
        tell(events.Chose("in a child of its own each", usual=True))
    else:
        tell(events.Chose(f"in children, {config.jobs_per_fork:,} each"))
    return Fork(
        app.tools,
        seat,
        hand,
        control,
        ear,
        tell,
        beside=look_out,
        entitle=entitle,
        term_child=config.term_child,
        run_at_exit=config.run_at_exit_hooks,
    )


def _limits_not_kept(app: TaskQ, execution: str) -> str:
    """What to say where jobs have a time limit and no process of their own; empty where there is nothing to say."""
    limited = sorted(job.name for job in app.registry if job.timeout is not None)
    if not limited or execution not in {"inline", "threads", "async"}:
        return ""
    return (
        f"Jobs with a time limit ({', '.join(limited)}) are told here when it is over, "
        "and cannot be killed: one that does not heed it holds its worker up."
    )


def write_lines_at_once() -> None:
    """What jobs print goes out line by line, so that `>> log/worker.log` shows it as it happens."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, write_through=False)


def write_pid(path: Path | None, source: str) -> None:
    """As Resque writes it: no line end, and left there at the end (WIRE.md section 14)."""
    if path is not None:
        try:
            path.write_text(str(os.getpid()))
        except OSError as error:
            message = f"the pid file {path} cannot be written: {error.strerror}."
            raise ConfigurationError([Problem("pidfile", source, message)]) from None
