"""A scheduler's events as lines of its log, and as the title of its process."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from taskq import due
from taskq import events as common
from taskq.scheduler import events

__all__ = ["Report"]

_UNSEEMLY: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MOST: Final = 1000  # characters of a line


class Report:
    """Writes a line an event, and sets the title.

    At verbosity 0 is told who has the lock, and what a person must know; 1 adds what recurs and what is moved; 2 the
    time and the pid.

    Args:
        verbosity: 0, 1 or 2.
        place: the broker as people call it: `Redis at 127.0.0.1:6379`.
        out: where lines go; None is standard output.
        entitle: what sets the title; None for nothing.
    """

    def __init__(
        self, verbosity: int, place: str, *, out: TextIO | None = None, entitle: Callable[[str], None] | None = None
    ) -> None:
        self._verbosity = verbosity
        self._place = place
        self._out = out
        self._entitle = entitle

    def __call__(self, event: events.Event) -> None:
        """Tell it."""
        match event:
            case events.Starting(scheduler):
                self._title("Starting")
                self._say(f"Starting scheduler {scheduler}")
            case events.TookOver(_, schedules):
                self._title(f"Scheduling, {_recurring(schedules)}")
                self._say(f"This is the scheduler that acts now: {self._place}, {_recurring(schedules)}.")
            case events.StandingBy(holder, lost, foreign):
                self._title("Standing by")
                who = f"{holder} (resque-scheduler)" if foreign else holder
                had = "The lock was lost. " if lost else ""
                self._say(f"{had}Standing by: {who or 'nobody yet'} has the lock.")
            case events.Unknown(holder, names):
                one = len(names) == 1
                self._say(
                    f"{', '.join(names)}: {holder} has the lock, and {'it' if one else 'they'} "
                    f"{'does' if one else 'do'} not recur there, or otherwise. Nobody enqueues "
                    f"{'it' if one else 'them'} as said here until this scheduler acts. Give every scheduler of this "
                    "store the jobs of all applications (--app ONE --app OTHER), or each application a namespace."
                )
            case events.Loaded(schedules, problems):
                self._say(f"What recurs was read: {_recurring(schedules)}.")
                for problem in problems:
                    self._say(problem)
            case events.Moved(jobs):
                self._say(f"Moved {jobs:,} job{'' if jobs == 1 else 's'} that {'was' if jobs == 1 else 'were'} due.", 1)
            case events.Fired(name, job, queue, tick, late):
                behind = f", {late:.0f} s late" if late > 5 else ""
                self._say(f"{name}: enqueued {job} to {queue} for {due.shown(tick)}{behind}.", 1)
            case events.Skipped(name, tick, reason):
                self._say(f"{name}: passed over {due.shown(tick)} ({reason}).", 1)
            case events.Failed(name, problem):
                self._say(f"{name} could not be enqueued: {problem}")
            case events.Rerouted(job, queue):
                self._say(f"A delayed {job} said no queue; it went to its job's own, {queue}.", 1)
            case events.Buried(reason):
                self._say(f"{reason} It is in the failed list: taskq failed list")
            case events.Shown(schedules, _):
                self._say(f"{_recurring(len(schedules))}:")
                for each in schedules:
                    last = "never yet" if each.last is None else due.shown(each.last)
                    following = "off" if each.next is None else due.shown(each.next)
                    words = each.problem or (each.schedule.rule.words if each.schedule is not None else "")
                    self._say(f"  {each.name}: {words}; last {last}; next {following}")
            case events.Stopped():
                self._title("Exiting")
                self._say("The scheduler has ended.")
            case common.BrokerLost(reason, tries, again_in, _, trouble):
                again = f"; try {tries}, again in {again_in:.0f} s" if tries else ""
                self._say(f"{reason}{again}" if trouble else f"{self._place} is away ({reason}){again}.")
            case common.BrokerBack(seconds):
                self._say(f"{self._place} is back after {seconds:.0f} s.")
            case common.Warned(message):
                self._say(message)
            case _:
                pass

    def _title(self, text: str) -> None:
        if self._entitle is not None:
            self._entitle(text)

    def _say(self, text: str, least: int = 0) -> None:
        if self._verbosity < least:
            return
        text = _UNSEEMLY.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
        text = text if len(text) <= _MOST else f"{text[:_MOST]} ..."
        stamp = f"** [{time.strftime('%H:%M:%S %Y-%m-%d')}] {os.getpid()}:" if self._verbosity >= 2 else "***"
        out = self._out or sys.stdout
        try:
            out.write(f"{stamp} {text}\n")
            out.flush()
        except UnicodeEncodeError:
            out.write(f"{stamp} {text}\n".encode("ascii", "backslashreplace").decode("ascii"))
            out.flush()
        except (OSError, ValueError, AttributeError):
            pass  # nobody reads the log any more: what is due is moved all the same


def _recurring(count: int) -> str:
    return f"{count} recurring job{'' if count == 1 else 's'}"
