"""`taskq top`: queues, workers, rates and failures, live in the terminal."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from taskq import failed_entry, history
from taskq.app import TaskQ
from taskq.cli.endings import DONE, USAGE, Stop
from taskq.cli.keys import pressed_keys
from taskq.cli.output import Column, change, duration, json_option, on_terminal, plain, show, show_json, table
from taskq.cli.output import as_json as json_text
from taskq.cli.session import common, examples, nameless, the_session
from taskq.cli.times import Seconds
from taskq.errors import BrokerRefused, BrokerUnavailable
from taskq.failed_entry import FailedJob
from taskq.history import Sample
from taskq.operator import QueueState, WorkerState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["top"]

_OVER: Final = 60.0  # seconds over which rates are taken
_ROWS: Final = 12
_FAILED: Final = 5
_STEP: Final = 0.2  # seconds between two looks at keys and at the size of the terminal


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look saw."""

    sample: Sample
    queues: Sequence[QueueState]
    workers: Sequence[WorkerState]
    failed: Sequence[FailedJob]


@click.command(epilog=examples("taskq top", "taskq top --interval 5", "taskq top --once --json"))
@click.option(
    "--interval", type=Seconds(0.2), default=2.0, show_default=True, metavar="SECONDS", help="Between two looks."
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@common
@json_option
def top(interval: float, once: bool, as_json: bool) -> int:
    """Watch queues, workers, rates and failures. q or Ctrl-C ends it.

    With --json an object a look, on a line; in a pipe it needs that, or --once, which there prints lines with tabs
    between, each after what it is of: figure, queue, worker or failed.
    """
    app = the_session().connected()
    if not on_terminal() and not as_json and not once:
        raise Stop(USAGE, "taskq top redraws a terminal. In a pipe: taskq top --json, or taskq top --once")
    looks: deque[Sample] = deque(maxlen=int(_OVER / interval) + 2)
    try:
        if as_json:
            while True:
                look = _look(app)
                looks.append(look.sample)
                show_json("top/1", _described(app, look, looks))
                sys.stdout.flush()  # who reads a pipe wants to see it now
                if once:
                    return DONE
                time.sleep(interval)
        if once:
            _show_once(app)
        else:
            _watch(app, looks, interval)
    except KeyboardInterrupt:
        pass  # it is how one leaves it
    return DONE


def _show_once(app: TaskQ) -> None:
    look = _look(app)
    if on_terminal():
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False)
        console.print(_drawn(app, look, [look.sample], "", console))
        return
    rows: list[Sequence[str]] = [("figure", name, str(value)) for name, value in _figures(look.sample).items()]
    rows += [("queue", *row) for row in _queue_rows(look)]
    rows += [("worker", *row) for row in _worker_rows(app, look)]
    rows += [("failed", *row) for row in _failed_rows(app, look)]
    show([], rows)


def _watch(app: TaskQ, looks: deque[Sample], interval: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    last: _Look | None = None
    trouble = ""

    def draw() -> None:
        drawn = Text(plain(trouble)) if last is None else _drawn(app, last, looks, trouble, console, live=True)
        live.update(drawn, refresh=True)

    with _ended_by_term(), pressed_keys() as wait, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                last, trouble = _look(app), ""
                looks.append(last.sample)
            except (BrokerUnavailable, BrokerRefused) as error:
                trouble = str(error)
            draw()
            until = time.monotonic() + interval
            size = console.size
            while (left := until - time.monotonic()) > 0:
                if "q" in wait(min(left, _STEP)).lower():
                    return
                if console.size != size:
                    size = console.size
                    draw()


@contextmanager
def _ended_by_term() -> Iterator[None]:
    """So that the terminal is as before also where TERM ends the program."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _look(app: TaskQ) -> _Look:
    sample = history.take(app.broker)
    workers = app.operator.workers()
    return _Look(sample, app.operator.queues(), workers, app.failures.page(count=_FAILED).jobs)


def _rates(looks: Sequence[Sample]) -> tuple[float, float, float] | None:
    """Jobs a second that were done, failed and enqueued, since the oldest look; None where there was only one."""
    if len(looks) < 2:
        return None
    seconds = max(looks[-1].at - looks[0].at, 0.001)
    [rate] = history.History((looks[0], looks[-1]), seconds).rates()
    return rate.done / seconds, rate.failed / seconds, rate.enqueued / seconds


def _figures(now: Sample) -> dict[str, int]:
    return {
        "pending": now.pending,
        "working": now.working,
        "workers": now.workers,
        "processed": now.processed,
        "failed": now.failures,
    }


def _drawn(
    app: TaskQ, look: _Look, looks: Sequence[Sample], trouble: str, console: Console, *, live: bool = False
) -> RenderableType:
    """What is seen; where it is redrawn, as much of it as the terminal has lines for."""
    from rich.console import Group
    from rich.text import Text

    rates = _rates(looks)
    speed = "" if rates is None else f"   {rates[0]:.1f} done/s   {rates[1]:.1f} failed/s   {rates[2]:.1f} in/s"
    head = [
        Text(f"{plain(app.broker.address)}   {time.strftime('%H:%M:%S')}{speed}", style="bold"),
        Text("   ".join(f"{name}\u00a0{value:,}" for name, value in _figures(look.sample).items())),
    ]
    if trouble:
        head.append(Text(plain(trouble), style="red"))
    if any(worker.info.job for worker in look.workers) and (said := nameless(app)):
        head.append(Text(said, style="dim"))
    if live:
        head.append(Text("q: leave", style="dim"))
    queues, workers, failed = list(_queue_rows(look)), list(_worker_rows(app, look)), list(_failed_rows(app, look))
    if live:
        room = console.height - sum(len(text.wrap(console, console.width)) for text in head)
        shares = _shared(room, len(queues), len(workers), len(failed))
    else:
        shares = (_ROWS, _ROWS, _ROWS)
    parts: list[RenderableType] = list(head)
    for columns, rows, share in zip((_QUEUES, _WORKERS, _FAILURES), (queues, workers, failed), shares, strict=True):
        if share and (rows or columns is not _FAILURES):
            parts += [Text(""), table(columns, _at_most(rows, share, columns), console.width)]
    return Group(*parts)


def _shared(room: int, queues: int, workers: int, failed: int) -> tuple[int, int, int]:
    """How many rows each table gets of so many lines; the failed ones give way first, then the workers."""
    frame = 3  # a blank line, the headings, a rule
    rows = min(failed, _FAILED)
    while failed and rows and room - 3 * frame - rows < min(queues + workers, 6):
        rows -= 1
    room -= rows + frame if rows else 0
    room -= 2 * frame
    if room < 2:
        return max(room + frame, 0), 0, rows
    mine = min(queues, max(room // 2, room - workers))
    return max(mine, 1), max(room - mine, 1), rows


def _at_most(rows: Sequence[Sequence[str]], share: int, columns: Sequence[Column]) -> Sequence[Sequence[str]]:
    if len(rows) <= share or columns is _FAILURES:
        return rows[:share]
    left_out = len(rows) - share + 1
    return [*rows[: share - 1], (f"and {left_out} more", *[""] * (len(columns) - 1))]


_QUEUES: Final = (
    Column("queue", cut=True, named=True),
    Column("jobs", right=True),
    Column("a minute", right=True),
    Column("oldest", right=True),
    Column("workers", right=True),
    Column(""),
)
_WORKERS: Final = (
    Column("worker", cut=True),
    Column("state"),
    Column("since", right=True),
    Column("job", cut=True, style="name"),
)
_FAILURES: Final = (
    Column("failed", right=True),
    Column("queue", cut=True, named=True),
    Column("job", cut=True, style="name"),
    Column("error", cut=True, style="bad"),
)


def _queue_rows(look: _Look) -> Iterator[Sequence[str]]:
    for queue in sorted(look.queues, key=lambda queue: -queue.size):
        yield (
            queue.name,
            f"{queue.size:,}" if on_terminal() else str(queue.size),
            "" if queue.change is None else change(queue.change),
            "" if queue.oldest is None else duration(queue.oldest),
            str(len(queue.served_by)),
            "paused" if queue.paused else "no worker" if queue.size and not queue.served_by else "",
        )


def _worker_rows(app: TaskQ, look: _Look) -> Iterator[Sequence[str]]:
    now = look.sample.at
    for worker in sorted(look.workers, key=lambda one: (not one.looks_dead, one.since is None, one.since or 0.0)):
        yield (
            worker.info.id,
            worker.state,
            "" if worker.since is None else duration(now - worker.since),
            _job(app, worker),
        )


def _job(app: TaskQ, worker: WorkerState) -> str:
    if worker.info.job is None:
        return ""
    read = app.read(worker.info.job.body)
    return "[unreadable]" if read.payload is None else f"{read.payload.job} {json_text(read.shown)}"[:200]


def _failed_rows(app: TaskQ, look: _Look) -> Iterator[Sequence[str]]:
    for failed in look.failed:
        at = failed_entry.glance(failed.entry).at
        error = app.showing.briefly(failed).error.partition("\n")[0]
        said = f"{failed.exception}: {error}" if failed.exception else failed.why_not
        yield (
            "?" if at is None else f"{duration(look.sample.at - at)} ago",
            failed.job_queue or "?",
            failed.payload.job if failed.payload is not None else "[unreadable]",
            said[:200],
        )


def _described(app: TaskQ, look: _Look, looks: Sequence[Sample]) -> dict[str, object]:
    rates = _rates(looks)
    now = look.sample
    return {
        "at": now.at,
        "broker": app.broker.address,
        "pending": now.pending,
        "processed": now.processed,
        "failed": now.failed,
        "failures": now.failures,
        "workers": now.workers,
        "working": now.working,
        "done_a_second": None if rates is None else round(rates[0], 3),
        "failed_a_second": None if rates is None else round(rates[1], 3),
        "enqueued_a_second": None if rates is None else round(rates[2], 3),
        "queues": {queue.name: queue.size for queue in look.queues},
    }
