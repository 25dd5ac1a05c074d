"""A fresh interpreter for each job, for where a fork is not safe, or not there.

An interpreter that has imported the application takes some 100 ms to start, or many more. So the next one is started
while the present one performs; it stands by until it is told its job, and has it once it has answered so. What it needs
to be a worker's child crosses in JSON, on a pipe: nothing is pickled, and nothing shows in a list of processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from taskq import performing
from taskq.config import Config
from taskq.errors import ConfigurationError, Problem
from taskq.events import Tell
from taskq.outcome import NotBegun, Outcome
from taskq.performing import Task, Tools
from taskq.worker import handover
from taskq.worker.children import LOOK, Child, Children
from taskq.worker.control import Control
from taskq.worker.hand import Hand
from taskq.worker.seat import Seat
from taskq.worker.signals import MEANINGS

__all__ = ["SPAWNED", "Setup", "Spawn", "setup_of"]

SPAWNED: Final = "--spawned"
"""The one word by which `python -m taskq` knows that it is a worker's child. Behind it: four descriptors."""

# What an application is made of, and how its jobs end. What else is configured concerns the worker, and stays there.
_OF_THE_APPLICATION: Final = (
    "broker",
    "namespace",
    "app",
    "serializer",
    "accept",
    "hooks",
    "failure_handlers",
    "max_payload",
    "failed_max",
    "inline",
    "on_crash",
    "timeout_grace",
    "term_child",
    "procline_prefix",
    "run_at_exit_hooks",
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a spawned interpreter has to know before it can stand by.

    Attributes:
        parent: the worker's process.
        path: where the worker imports from.
        config: settings of its application, by name.
        of_app: settings that are objects: the interpreter has them from the application that it imports.
    """

    parent: int
    path: tuple[str, ...]
    config: Mapping[str, Any]
    of_app: tuple[str, ...]

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()


def setup_of(config: Config) -> Setup:
    """What an interpreter needs to have this worker's application.

    Raises:
        ConfigurationError: it has no name by which another process could import it.
    """
    if not config.app:
        message = (
            "a spawned interpreter has to import the application, and this one was given as an object. "
            "Name it: --app shop.jobs, or --app shop.jobs:app."
        )
        raise ConfigurationError([Problem("execution", config.source("execution"), message)])
    settings = {name: getattr(config, name) for name in _OF_THE_APPLICATION}
    of_app = tuple(name for name, value in settings.items() if not _crosses(value))
    plain = {name: value for name, value in settings.items() if name not in of_app}
    return Setup(os.getpid(), tuple(sys.path), plain, of_app)


def _crosses(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_crosses(entry) for entry in value)
    return value is None or isinstance(value, (str, int, float, bool))


class Spawn:
    """The execution model `spawn`."""

    def __init__(
        self,
        tools: Tools,
        seat: Seat,
        hand: Hand,
        control: Control,
        tell: Tell,
        setup: Setup,
        *,
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        """Not started yet.

        Args:
            tools: what deciding on a crash needs.
            seat: whose heart is to be kept beating.
            hand: what is held ahead of its turn.
            control: what the worker has been told.
            tell: who is told.
            setup: what each interpreter is told first.
            beside: called at each heartbeat: something else to look after while a job is long.
        """
        self._tools = tools
        self._seat = seat
        self._control = control
        self._setup = setup.dump()
        self._children = Children(seat, hand, control, tell, beside=beside)
        self._leash = os.pipe()
        self._stopped = False
        self._at_work: Child | None = None  # that performs, or did last: it may be dying still
        self._standby: Child | None = None

    def start(self) -> None:
        """Nothing to make ready: the parent beats whenever it waits."""

    def perform(self, task: Task) -> Outcome:
        """Perform it in an interpreter of its own, and watch."""
        if task.problem is not None:  # nothing of it will run, so nothing needs a process of its own
            return performing.perform(task, self._tools)
        self._children.see_out(self._at_work)
        try:
            if self._tools.hooks.listens("before_fork"):
                self._tools.hooks.tell("before_fork", task.context())
        except (Exception, SystemExit) as error:  # a hook's `sys.exit()` ends the job, not the worker
            return performing.failed(task, error, self._tools, 0.0)
        standby = self._take_standby()
        if standby is not None:
            outcome = self._hand_to(standby, task)
            if not isinstance(outcome, NotBegun) or self._control.deadline is not None:
                return outcome
        try:
            fresh = self._spawn()
        except OSError as error:
            return NotBegun(f"no interpreter could be started for it ({error.strerror})")
        return self._hand_to(fresh, task)

    def between(self) -> float | None:
        """Beat, and have an interpreter stand by."""
        self._children.look_after()
        self._stand_by()
        beat_in = self._seat.next_beat - time.monotonic()
        dies_soon = self._at_work is not None and not self._at_work.dead  # and must not stay a zombie
        return min(beat_in, LOOK) if dies_soon else beat_in

    def stop(self) -> None:
        """See every interpreter out, and let go of the leash."""
        self._children.see_out(self._at_work)
        self._at_work, self._standby = self._standby, None
        if self._at_work is not None:
            self._at_work.dismiss()
            self._children.see_out(self._at_work)
        if not self._stopped:
            self._stopped = True
            for fd in self._leash:
                os.close(fd)

    def _take_standby(self) -> Child | None:
        standby, self._standby = self._standby, None
        if standby is None or standby.dead or self._children.bury(standby) is not None:
            return None
        return standby

    def _hand_to(self, child: Child, task: Task) -> Outcome:
        """Have it perform, and the next one start meanwhile."""
        self._at_work = child
        if self._seat.suspects(task):
            # Not before: an interpreter takes long to start, and who is killed meanwhile was not killed by this job.
            child.hand(handover.order(task.reservation, waits=True), lambda: self._seat.begins(task))
        else:
            child.hand(handover.order(task.reservation))
        self._stand_by()
        return self._children.see_through(task, child, self._tools)

    def _stand_by(self) -> None:
        if (self._standby is None or self._standby.dead) and not self._control.stopping:
            with contextlib.suppress(OSError):  # whoever needs it starts it then, and says why it cannot
                self._standby = self._spawn()

    def _spawn(self) -> Child:
        """Start an interpreter, which stands by once it has the application."""
        with contextlib.ExitStack() as made:

            def pipe(mine: int) -> tuple[int, int]:
                """Ends for the child and for us; ours is closed only where there is no child."""
                ends = os.pipe()
                made.callback(os.close, ends[1 - mine])
                failed.callback(os.close, ends[mine])
                os.set_inheritable(ends[1 - mine], True)
                return ends

            failed = made.enter_context(contextlib.ExitStack())
            setup, writes_setup = pipe(1)
            told, orders = pipe(1)
            reader, answers = pipe(0)
            leash = os.dup(self._leash[0])
            made.callback(os.close, leash)
            os.set_inheritable(leash, True)
            words = [SPAWNED, *map(str, (setup, told, answers, leash))]
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *_flags(), "-m", "taskq", *words],
                os.environ,
                setpgroup=0,
                setsigmask=list(MEANINGS),  # held back until the child can bear them
            )
            failed.pop_all()
        child = self._children.adopt(pid, reader, orders)
        with os.fdopen(writes_setup, "wb") as file, contextlib.suppress(BrokenPipeError):
            file.write(self._setup)
        return child


def _flags() -> list[str]:
    """The options that this interpreter was started with, as the standard library hands them on."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return flags
