"""For development: a worker that starts again when a file of its application changes.

This process imports nothing of the application, so that each worker that it forks imports all of it anew. A third
process watches the files. What this one is told it hands on; when it dies, the worker ends as by QUIT.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from taskq import events
from taskq.worker.control import Control, Manners
from taskq.worker.offspring import Offspring, Say, Work
from taskq.worker.signals import MEANINGS, MEANINGS_TO_POOL, Ear, Order, has_terminal
from taskq.worker.waiting import readable

__all__ = ["keep_fresh", "watch"]

_LAST_GRACE: Final = 10.0  # seconds that a worker has beyond its own time to end
_LOOK: Final = 0.2  # seconds between looks for a death, where the system has no descriptor for a process
_DEBOUNCE: Final = 300  # milliseconds for which changes are gathered: an editor writes a file in several steps


def keep_fresh(
    work: Work,
    watching: Work,
    manners: Manners,
    tell: events.Tell,
    *,
    with_pool: bool,
    entitle: Callable[[str], None] | None = None,
) -> int:
    """Run a worker until told to stop, and another one in its place when a file changes. Main thread only.

    A worker that ended by itself, for its application does not import, say, is followed by one when a file changes.

    Args:
        work: loads the application and is the worker, in a process of its own.
        watching: says each file that changed, a line each (see `watch`).
        manners: what stopping gives the job in hand, which a change gives it too.
        tell: who is told.
        with_pool: whether HUP is the worker's, which reads its pool's file again.
        entitle: sets what the process title says; None where it cannot be set.

    Returns:
        The exit status: 0, or 128 and the number of the signal that hurried.
    """
    with Ear(MEANINGS_TO_POOL if with_pool else MEANINGS) as ear:
        keeper = _Keeper(work, watching, manners.grace, tell)
        terminal = has_terminal()

        def hear(event: events.Event) -> None:
            if not isinstance(event, events.Heard):
                return
            if MEANINGS_TO_POOL[event.signal] is Order.REREAD and terminal and not has_terminal():
                signal.raise_signal(signal.SIGTERM)  # nobody asks for the file: the terminal is gone, and all end
            elif keeper.worker is not None:
                keeper.worker.order(event.signal)

        if entitle is not None:
            entitle("Watching files")
        return keeper.run(Control(ear, manners, hear))


class _Keeper:
    def __init__(self, work: Work, watching: Work, grace: float, tell: events.Tell) -> None:
        self._work = work
        self._watching = watching
        self._grace = grace
        self._tell = tell
        self._watcher: Offspring | None = None
        self._overdue: float | None = None
        self._to_start = True
        self.worker: Offspring | None = None

    def run(self, control: Control) -> int:
        self._watcher = Offspring.forked(self._watching)
        try:
            while self.worker is not None or not control.stopping:
                if self.worker is None and self._to_start:
                    self._to_start, self._overdue = False, None
                    self.worker = Offspring.forked(self._work, beside=self._others())
                self._rest(control)
                self._look_for_changes()
                self._look_at_worker(stopping=control.stopping)
        finally:
            for other in self._others():
                other.end()
        return control.status

    def _others(self) -> list[Offspring]:
        return [other for other in (self._watcher, self.worker) if other is not None]

    def _rest(self, control: Control) -> None:
        due = [time.monotonic() + 60.0]
        if self._overdue is not None:
            due.append(self._overdue)
        elif control.deadline is not None:
            due.append(control.deadline + _LAST_GRACE)
        fds = list(control.fds)
        for other in self._others():
            fds += other.to_wait_on
            if other.death is None:
                due.append(time.monotonic() + _LOOK)
        readable(fds, max(min(due) - time.monotonic(), 0.0))
        control.listen()
        late = self._overdue if control.deadline is None else control.deadline + _LAST_GRACE
        if late is not None and self.worker is not None and time.monotonic() >= late:
            self.worker.send(signal.SIGKILL)

    def _look_for_changes(self) -> None:
        if self._watcher is None:
            return
        code = self._watcher.ended()
        said = self._watcher.said()
        changed = tuple(dict.fromkeys(said.decode(errors="surrogateescape").splitlines()))
        if changed:
            self._tell(events.Changed(changed))
            self._to_start = True
            if self.worker is not None and self._overdue is None:
                self._overdue = time.monotonic() + self._grace + _LAST_GRACE
                self.worker.order(signal.SIGTERM)
        if code is not None:
            self._watcher.close()
            self._watcher = None
            self._tell(events.Warned(f"The process that watches the files ended with {code}; changes go unseen."))

    def _look_at_worker(self, *, stopping: bool) -> None:
        if self.worker is None:
            return
        code = self.worker.ended()
        self.worker.said()  # that it is registered, which is nothing to us
        if code is None:
            return
        self.worker.close()
        self.worker = None
        if not stopping and not self._to_start:
            self._tell(events.Warned(f"The worker ended with {code}. Another starts when a file changes."))


def watch(paths: Sequence[Path], orders: int, say: Say) -> int:
    """Say which Python files changed under these paths, a line each, until the orders' pipe ends.

    Returns:
        The exit status, 0. It never comes where the pipe ends: then the process does.
    """
    from watchfiles import PythonFilter
    from watchfiles import watch as changes

    # A Ctrl-C reaches the whole group. What this process is told, it is told by its pipe.
    for number in MEANINGS_TO_POOL:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(orders,), daemon=True).start()
    here = Path.cwd()
    for seen in changes(*paths, watch_filter=PythonFilter(), debounce=_DEBOUNCE, raise_interrupt=False):
        for path in sorted({Path(path) for _, path in seen}):
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            say(f"{shown}\n".encode(errors="surrogateescape"))
    return 0


def _end_with(orders: int) -> None:
    while os.read(orders, 64):
        pass
    os._exit(0)
