"""Long work: a bar on standard error where a person waits, and Ctrl-C that stops between two steps.

What was done by then stays done and is told. A second Ctrl-C ends the program at once.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from taskq.cli.output import complain
from taskq.failed_jobs import Tally

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Long"]

_PATIENCE: Final = 0.5  # seconds of work that need no bar
_WIDE: Final = 72  # cells from which on there is room for more than a bar and how far it is


class Long:
    """A piece of long work, as a context. Its bar shows once it takes long.

    Attributes:
        stopped: whether somebody said to stop.
    """

    def __init__(self, what: str) -> None:
        """Nothing is done yet.

        Args:
            what: what is being done, `Requeueing`.
        """
        self._what = what
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._before: Any = None
        self.stopped = False

    def __enter__(self) -> Self:
        with contextlib.suppress(ValueError):  # in a thread of somebody's own there are no signals to be had
            self._before = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def stop(self) -> bool:
        """Whether to stop."""
        return self.stopped

    def told(self, tally: Tally) -> None:
        """Show how far an act on failed jobs is."""
        done = f"{tally.done:,} done" if tally.done else ""
        self.tell(tally.searched, tally.total, done)

    def tell(self, searched: int, total: int | None, done: str = "") -> None:
        """Show how far it is.

        Args:
            searched: how many were looked at.
            total: of how many; None where that is not known.
            done: what came of it so far, in a few words.
        """
        if sys.stderr is None or not sys.stderr.isatty() or time.monotonic() - self._began < _PATIENCE:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(stderr=True)
            further = (TimeRemainingColumn(), TextColumn("{task.fields[done]}")) if console.width >= _WIDE else ()
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                *further,
                console=console,
                transient=True,
            )
            self._bar.add_task(self._what, total=total, done=done)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=searched, total=total, done=done)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        complain("Stopping; once more ends it at once.")
