"""Events as lines of the log and as process titles: Resque's own words, so that what reads its logs reads ours.

The lines are those of WIRE.md section 14; what Resque has no line for is said in a sentence of ours.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, TextIO, cast

from taskq import envelope, events
from taskq.errors import UnknownJob
from taskq.failed_entry import dying, last_words
from taskq.failure_handler import Quarantine
from taskq.masks import Masks
from taskq.outcome import Crashed, Done, Failed, NotBegun, Postponed
from taskq.performing import Task
from taskq.registry import Registry
from taskq.showing import Showing
from taskq.worker import title

__all__ = ["QUIET", "VERBOSE", "VERY_VERBOSE", "Report"]

QUIET: Final = 0
VERBOSE: Final = 1
VERY_VERBOSE: Final = 2

# What would end a line, or steer a terminal: control characters, lone surrogates, what turns the direction of writing.
_UNSEEMLY: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MOST: Final = 2000  # characters of an argument list or an exception's text that a line shows


class Report:
    """Writes a line an event to `out`, and sets the title.

    At `QUIET` only the start is told, and what a person must know; `VERBOSE` adds what happens to jobs, `VERY_VERBOSE`
    every step, with time and pid.
    """

    def __init__(
        self,
        verbosity: int,
        *,
        out: TextIO | None = None,
        set_title: Callable[[str], None] | None = None,
        prefix: str = "",
        place: str = "the broker",
        at_once: int = 1,
        showing: Showing | None = None,
    ) -> None:
        """Nothing was told yet.

        Args:
            verbosity: QUIET, VERBOSE or VERY_VERBOSE.
            out: where lines go; None is standard output, whatever that is at the time.
            set_title: what sets the process title; None for nothing.
            prefix: what goes before a title (Resque's RESQUE_PROCLINE_PREFIX).
            place: the broker as people call it: `Redis at 127.0.0.1:6379`.
            at_once: how many workers there are in this process. Of more than one each line about a job begins with the
                host part of its worker's id, and the title says how many are at work.
            showing: what hides secrets in arguments; None hides what lies under the usual names.
        """
        self._verbosity = verbosity
        self._showing = Showing(Registry(), dict, Masks()) if showing is None else showing
        self._out = out
        self._set_title = set_title
        self._prefix = f"{prefix} " if prefix and not prefix.endswith(" ") else prefix
        self._place = place
        self._at_once = at_once
        self._lock = threading.RLock()
        self._in_hand = 0
        # Resque's first line is the worker's id, which is known only once it is registered; None from then on.
        self._later: list[tuple[Callable[[str], None], str]] | None = []
        self._titled = ""
        self._titled_for: tuple[str, float, str] | None = None  # queue, time and name in the title, where it tells them
        self._lookers: dict[type, Callable[..., None]] = {
            events.Registered: self._registered,
            events.Chose: self._chose,
            events.Listening: lambda _: self._after_the_id(self._very, "Registered signals"),
            events.Found: self._found,
            events.Empty: self._empty,
            events.Forked: self._forked,
            events.ChildEnding: self._child_ending,
            events.Performed: self._performed,
            events.SettledJob: self._settled,
            events.Stopping: self._stopping,
            events.Doubled: self._doubled,
            events.Paused: self._paused,
            events.BrokerLost: self._lost,
            events.BrokerBack: lambda event: self._always(f"{self._place} is back after {event.seconds:.0f} s."),
            events.Pruned: self._pruned,
            events.Recovered: self._recovered,
            events.Warned: self._warned,
            events.Scaled: self._scaled,
            events.LoopStands: self._loop_stands,
            events.LoopTurns: lambda event: self._always(f"The event loop turns again, after {event.seconds:.1f} s."),
            events.PoolRead: self._pool_read,
            events.PoolKept: self._pool_kept,
            events.Changed: self._changed,
        }

    def __call__(self, event: events.Event) -> None:
        """Tell it."""
        tell = self.hears(type(event))
        if tell is not None:
            tell(event)

    def hears(self, kind: type) -> events.Tell | None:
        """What is to be told events of this kind, for who tells many of them; None where they mean nothing here."""
        looker = self._lookers.get(kind)
        if looker is None:
            return None

        def tell(event: events.Event) -> None:
            with self._lock:
                looker(event)

        return self._passes_over(kind, tell) or tell

    def _passes_over(self, kind: type, tell: events.Tell) -> events.Tell | None:
        """The same for events that each job has and that nearly always say nothing: 0.5 us each are at stake."""
        if kind is events.SettledJob:

            def settled(event: events.SettledJob) -> None:
                if event.settled.outcome != "done":
                    tell(event)

            return cast("events.Tell", settled)
        if self._verbosity >= VERBOSE or self._at_once > 1:
            return None  # with one at a time only the thread that has the job tells of it, and needs no lock
        if kind is events.Found:

            def found(event: events.Found) -> None:
                held = event.task.reservation
                if self._set_title is None or self._titled_for == (held.queue, held.run_at, event.task.name):
                    self._in_hand = 1
                else:
                    tell(event)

            return cast("events.Tell", found)
        if kind is events.Performed:

            def performed(event: events.Performed) -> None:
                if type(event.outcome) is Done:
                    self._in_hand = 0
                else:
                    tell(event)

            return cast("events.Tell", performed)
        return None

    def entitle(self, task: Task | None) -> None:
        """Set the title of a process that performs this task, or with None of one that stands by. Say nothing."""
        if self._set_title is not None:
            text = "Standing by" if task is None else _processing(task)
            self._set_title(title.text(self._prefix, _seemly(_cut(text))))

    # ---- one method an event

    def _registered(self, event: events.Registered) -> None:
        if event.again:
            self._always(f"Registered again as {event.worker}.")
        elif self._later is None:
            if self._verbosity >= VERBOSE:
                self._say(f"Starting worker {event.worker}")
        else:
            self._always(f"Starting worker {event.worker}")
            later, self._later = self._later, None
            for say, line in later:
                say(line)

    def _after_the_id(self, say: Callable[[str], None], text: str) -> None:
        if self._later is None:
            say(text)
        else:
            self._later.append((say, text))

    def _chose(self, event: events.Chose) -> None:
        if event.reason:
            self._always(f"Jobs are performed {event.model}: {event.reason}")
        else:
            # Resque's own log has no line for it, and needs none for its own way.
            self._after_the_id(self._very if event.usual else self._always, f"Jobs are performed {event.model}")

    def _found(self, event: events.Found) -> None:
        self._in_hand = min(self._in_hand + 1, self._at_once)
        task = event.task
        if self._verbosity >= VERY_VERBOSE:
            queue = task.reservation.queue
            for name in event.looked_at[: event.looked_at.index(queue) + 1 if queue in event.looked_at else None]:
                self._very(f"Checking {name}")
            self._very(f"{self._whose(task)}Found job on {queue}")
        if self._at_once > 1:
            self._title_of_many()
        elif self._set_title is not None or self._verbosity >= VERY_VERBOSE:
            held = task.reservation
            shown = (held.queue, held.run_at, task.name)
            if shown != self._titled_for or self._verbosity >= VERY_VERBOSE:  # else not even the text is made
                self._title(_processing(task))
                self._titled_for = shown
        if self._verbosity >= VERBOSE:
            self._say(f"{self._whose(task)}got: {self._job(task)}")

    def _empty(self, event: events.Empty) -> None:
        if self._verbosity >= VERY_VERBOSE:
            for name in event.looked_at:
                self._very(f"Checking {name}")
        if event.seconds is not None:
            self._very(f"Sleeping for {event.seconds} seconds")
            self._title_of_idle(f"Waiting for {event.title}")

    def _forked(self, event: events.Forked) -> None:
        if self._set_title is not None or self._verbosity >= VERY_VERBOSE:
            self._title(f"Forked {event.pid} at {int(time.time())}")

    def _child_ending(self, event: events.ChildEnding) -> None:
        if self._verbosity == VERY_VERBOSE:
            pass  # Resque's own words say it
        elif event.why == "shutdown":
            over = f": its {event.seconds:g} s are over" if event.seconds else ""
            self._always(f"The job in hand is ended now{over}.")
        elif event.why == "cancel":
            self._always("The job in hand is ended now: it was cancelled.")
        elif event.why == "kill":
            self._always("The job in hand is ended now: USR1 asked for it.")
        if event.signal is None:
            self._very(f"Waiting {event.seconds}s for child process to exit")
        elif event.signal == signal.SIGKILL and not event.after_term:
            self._very(f"Killing child at {event.pid}")
        else:
            self._very(f"Sending {signal.Signals(event.signal).name.removeprefix('SIG')} signal to child {event.pid}")

    def _performed(self, event: events.Performed) -> None:
        self._in_hand = max(self._in_hand - 1, 0)
        if self._at_once > 1:
            self._title_of_many()
        if isinstance(event.outcome, NotBegun):
            say = self._very if event.outcome.waits else self._always
            say(f"{self._job(event.task)} was not begun and goes back: {event.outcome.reason}.")
        elif isinstance(event.outcome, Postponed):
            seconds, reason = event.outcome.seconds, event.outcome.reason
            why = self._said(event.task, reason)
            what = f"{self._whose(event.task)}{self._job(event.task)} is postponed by {seconds:g} s: {why}."
            self._say(what) if isinstance(event.task.problem, UnknownJob) else self._very(what)
        if self._verbosity < VERBOSE:
            return
        whose = self._whose(event.task)
        match event.outcome:
            case Done():
                self._say(f"{whose}done: {self._job(event.task)}")
            case Failed(error=error):
                self._say(
                    f"{whose}{self._job(event.task)} failed: #<{error.type}: {self._said(event.task, error.message)}>"
                )
            case Crashed(crash=crash):
                self._say(f"{whose}{self._job(event.task)} failed: #<{dying(crash)}: {last_words(crash)}>")

    def _settled(self, event: events.SettledJob) -> None:
        settled = event.settled
        if settled.outcome == "done":
            return
        whose = self._whose(event.task)
        if settled.outcome == "refused":
            self._always(
                f"{whose}{self._job(event.task)} is not this worker's any more: somebody else settled it, or the "
                "broker lost its data; what became of it here counts for nothing."
            )
        elif isinstance(settled.decision, Quarantine):
            self._always(
                f"{whose}{self._job(event.task)} is quarantined in the failed list: {settled.decision.reason}."
            )
        elif self._verbosity >= VERBOSE and settled.outcome == "retried":  # what is said to have failed has not yet
            self._say(f"{whose}{self._job(event.task)} goes back, to be performed again")
        elif self._verbosity >= VERBOSE and settled.outcome == "discarded":
            self._say(f"{whose}{self._job(event.task)} is discarded")

    def _stopping(self, event: events.Stopping) -> None:
        if self._verbosity >= VERBOSE and not event.again:
            self._say("Exiting...")
        if not self._in_hand:
            return
        one = self._in_hand == 1
        what = "The job in hand" if one else f"The {self._in_hand} jobs in hand"
        if event.again:
            self._always(f"{what} {'is' if one else 'are'} ended now.")
        elif event.seconds:
            has, it = ("has", "it") if one else ("have", "them")
            again = f"the same signal again ends {it} now (within a second it counts once)"
            self._always(f"{what} {has} {event.seconds:g} s to end; {again}.")

    def _doubled(self, event: events.Doubled) -> None:
        name = signal.Signals(event.signal).name.removeprefix("SIG")
        self._always(f"{name} came twice within a second, which counts once; once more ends what is in hand now.")

    def _paused(self, event: events.Paused) -> None:
        self._title_of_idle("Paused")

    def _lost(self, event: events.BrokerLost) -> None:
        if event.trouble:
            more = f"; try {event.tries}, again in {event.again_in:.0f} s" if event.tries else ""
            what = "This worker waits until that is mended" if event.held else "It goes on with what it can"
            self._always(f"{event.reason} {what}{more}.")
        elif event.tries:
            self._always(f"{self._place} is away ({event.reason}); try {event.tries}, again in {event.again_in:.0f} s.")
        else:
            rest = " Jobs in hand go on." if event.in_hand or self._in_hand else ""
            self._always(f"{self._place} is away ({event.reason}).{rest}")

    def _pruned(self, event: events.Pruned) -> None:
        self._always(
            f"{event.worker} is not registered any more: it was taken for dead, or the broker lost its data. "
            "It registers anew."
        )

    def _recovered(self, event: events.Recovered) -> None:
        if self._verbosity >= VERBOSE:
            self._say(f"Pruning dead worker: {event.worker}")
        if event.became:
            self._always(f"{event.worker} died ({event.why}); the job it had in hand was {event.became}.")

    def _warned(self, event: events.Warned) -> None:
        for line in event.message.splitlines():
            self._always(line)

    def _loop_stands(self, event: events.LoopStands) -> None:
        who = "something" if event.task is None else f"{self._whose(event.task)}{self._job(event.task)}"
        self._always(
            f"The event loop has stood still for {event.seconds:.1f} s, and all jobs on it: {who} neither awaits nor "
            "ends. A plain function would be performed in a thread; it is at:"
        )
        for line in event.stack:
            self._always(f"  {line}")

    def _scaled(self, event: events.Scaled) -> None:
        step = abs(event.now - event.before)
        more = "more" if event.now > event.before else "fewer"
        workers = f"{step} {more} worker{'' if step == 1 else 's'}{f' of {event.crew}' if event.crew else ''}"
        self._always(f"{workers}, now {event.now} of {event.count}: {event.reason}.")

    def _pool_read(self, event: events.PoolRead) -> None:
        said = {
            "Added": event.added,
            "Changed": event.changed,
            "Removed": event.removed,
            "As before": event.unchanged,
        }
        parts = [f"{what}: {', '.join(names)}." for what, names in said.items() if names]
        self._always(f"The pool's file was read again. {' '.join(parts)}")

    def _pool_kept(self, event: events.PoolKept) -> None:
        self._always("The pool's file was read again and cannot be taken; all stays as it was.")
        for problem in event.error.problems:
            self._always(str(problem))

    def _changed(self, event: events.Changed) -> None:
        first, *others = event.files
        more = f" and {len(others)} other file{'' if len(others) == 1 else 's'}" if others else ""
        self._always(f"{first}{more} changed; the worker starts again.")

    # ---- writing

    def _job(self, task: Task) -> str:
        """A job as Resque prints it: `(Job{emails} | Emailer | ["a@example.com"])`."""
        args, _ = self._showing.task(task)
        return f"(Job{{{_cut(task.reservation.queue)}}} | {_cut(task.name)} | {_cut(envelope.inspect(args))})"

    def _said(self, task: Task, text: str) -> str:
        """What a job said, which may quote its arguments."""
        return _cut(self._showing.task(task, text)[1])

    def _always(self, text: str) -> None:
        self._say(text)

    def _very(self, text: str) -> None:
        if self._verbosity >= VERY_VERBOSE:
            self._say(text)

    def _whose(self, task: Task) -> str:
        """What a line about a job begins with, where there are several workers to tell apart."""
        return "" if self._at_once == 1 else f"{task.reservation.worker.partition(':')[0]} "

    def _title_of_idle(self, text: str) -> None:
        if self._at_once == 1 or not self._in_hand:  # else others are at work
            self._title(text)

    def _title_of_many(self) -> None:
        if self._in_hand:
            self._title(f"Processing {self._in_hand} of {self._at_once} at once")

    def _title(self, text: str) -> None:
        self._titled_for = None
        if text != self._titled:  # jobs of one kind within a second have one title, which takes 5 us to set
            self._titled = text
            if self._set_title is not None:
                # It is set by C code, which takes no NUL.
                self._set_title(title.text(self._prefix, _seemly(_cut(text))))
        if self._verbosity >= VERY_VERBOSE:
            self._say(title.text(self._prefix, _cut(text)))

    def _say(self, text: str) -> None:
        """One line, whole and at once, so that `>> log/worker.log` shows it as it happens."""
        text = _seemly(text)
        if self._verbosity >= VERY_VERBOSE:
            line = f"** [{time.strftime('%H:%M:%S %Y-%m-%d')}] {os.getpid()}: {text}\n"
        else:
            line = f"*** {text}\n"
        out = self._out or sys.stdout
        if out is None:
            return  # a job in this process took it away
        try:
            try:
                out.write(line)
            except UnicodeEncodeError as error:  # a log in ASCII, say
                out.write(line.encode(error.encoding, "backslashreplace").decode(error.encoding))
            out.flush()
        except (OSError, ValueError):
            pass  # nobody reads the log any more: jobs go on all the same


def _processing(task: Task) -> str:
    return f"Processing {task.reservation.queue} since {int(task.reservation.run_at)} [{task.name}]"


def _cut(text: str) -> str:
    """No more of it than a person reads: an argument may have a megabyte."""
    if len(text) > _MOST:
        return f"{text[: _MOST // 2]} ... {len(text) - _MOST} characters left out ... {text[-_MOST // 2 :]}"
    return text


def _seemly(text: str) -> str:
    """One line that steers nothing, whoever wrote what is in it."""
    return _UNSEEMLY.sub(lambda found: repr(found[0])[1:-1], text)
