"""`taskq top`: queues, workers, rates and failures, live in the terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from taskq import history
from taskq.app import TaskQ
from taskq.cli.endings import DONE, USAGE, Stop
from taskq.cli.output import as_json as json_text
from taskq.cli.output import duration, json_option, on_terminal, plain, show_json
from taskq.cli.session import common, examples, the_session
from taskq.errors import BrokerUnavailable
from taskq.failed_entry import FailedJob
from taskq.history import Sample
from taskq.operator import QueueState, WorkerState

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["top"]

_OVER: Final = 60.0  # seconds over which rates are taken
_ROWS: Final = 12


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look saw."""

    sample: Sample
    queues: Sequence[QueueState]
    workers: Sequence[WorkerState]
    failed: Sequence[FailedJob]


@click.command(epilog=examples("taskq top", "taskq top --interval 5", "taskq top --once --json"))
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@common
@json_option
def top(interval: float, once: bool, as_json: bool) -> int:
    """Watch queues, workers, rates and failures. Ctrl-C ends it.

    With --json an object a look, on a line; in a pipe it needs that, or --once.
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
                if once:
                    return DONE
                time.sleep(interval)
        return _watch(app, looks, interval, once=once)
    except KeyboardInterrupt:
        return DONE  # it is how one leaves it


def _watch(app: TaskQ, looks: deque[Sample], interval: float, *, once: bool) -> int:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    if once:
        look = _look(app)
        looks.append(look.sample)
        console.print(_drawn(app, look, looks, "", console.height))
        return DONE
    with Live(console=console, screen=True, auto_refresh=False) as live:
        last: _Look | None = None
        while True:
            trouble = ""
            try:
                last = _look(app)
                looks.append(last.sample)
            except BrokerUnavailable as error:
                trouble = str(error)
            if last is not None:
                live.update(_drawn(app, last, looks, trouble, console.height), refresh=True)
            time.sleep(interval)


def _look(app: TaskQ) -> _Look:
    sample = history.take(app.broker)
    workers = app.operator.workers()
    return _Look(sample, app.operator.queues(), workers, app.failures.page(count=5).jobs)


def _rates(looks: Sequence[Sample]) -> tuple[float, float, float] | None:
    """Jobs a second that were done, failed and enqueued, since the oldest look; None where there was only one."""
    if len(looks) < 2:
        return None
    seconds = max(looks[-1].at - looks[0].at, 0.001)
    [rate] = history.History((looks[0], looks[-1]), seconds).rates()
    return rate.done / seconds, rate.failed / seconds, rate.enqueued / seconds


def _drawn(app: TaskQ, look: _Look, looks: Sequence[Sample], trouble: str, height: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    rates = _rates(looks)
    speed = "" if rates is None else f"   {rates[0]:.1f} done/s   {rates[1]:.1f} failed/s   {rates[2]:.1f} in/s"
    now = look.sample
    head = Text(f"{plain(app.broker.address)}   {time.strftime('%H:%M:%S')}{speed}", style="bold")
    figures = Text(
        f"pending {now.pending:,}   working {now.working}   workers {now.workers}   "
        f"processed {now.processed:,}   failed {now.failures:,}"
    )
    parts: list[RenderableType] = [head, figures]
    if trouble:
        parts.append(Text(plain(trouble), style="red"))
    rows = max((height - 12) // 2, 3) if height else _ROWS
    parts += [Text(""), _queues(look, rows), Text(""), _workers(app, look, rows)]
    if look.failed:
        parts += [Text(""), _failed(app, look)]
    return Group(*parts)


def _table(*columns: tuple[str, bool]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=False, padding=(0, 1, 0, 0))
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    return table


def _queues(look: _Look, rows: int) -> RenderableType:
    table = _table(
        ("queue", False), ("jobs", True), ("a minute", True), ("oldest", True), ("workers", True), ("", False)
    )
    largest = sorted(look.queues, key=lambda queue: -queue.size)
    for queue in largest[:rows]:
        table.add_row(
            plain(queue.name),
            f"{queue.size:,}",
            "" if queue.change is None else f"{queue.change:+,.0f}",
            "" if queue.oldest is None else duration(queue.oldest),
            str(len(queue.served_by)),
            "paused" if queue.paused else "no worker" if queue.size and not queue.served_by else "",
        )
    if len(largest) > rows:
        table.add_row(f"and {len(largest) - rows} more", "", "", "", "", "")
    return table


def _workers(app: TaskQ, look: _Look, rows: int) -> RenderableType:
    table = _table(("worker", False), ("state", False), ("since", True), ("job", False))
    now = look.sample.at
    busiest = sorted(look.workers, key=lambda one: (not one.looks_dead, one.since is None, one.since or 0.0))
    for worker in busiest[:rows]:
        table.add_row(
            plain(worker.info.id),
            worker.state,
            "" if worker.since is None else duration(now - worker.since),
            plain(_job(app, worker)),
        )
    if len(busiest) > rows:
        table.add_row(f"and {len(busiest) - rows} more", "", "", "")
    return table


def _job(app: TaskQ, worker: WorkerState) -> str:
    if worker.info.job is None:
        return ""
    read = app.read(worker.info.job.body)
    return "[unreadable]" if read.payload is None else f"{read.payload.job} {json_text(read.shown)}"[:200]


def _failed(app: TaskQ, look: _Look) -> RenderableType:
    table = _table(("failed at", False), ("queue", False), ("job", False), ("error", False))
    for failed in look.failed:
        error = app.showing.failed(failed).error.partition("\n")[0]
        name = failed.payload.job if failed.payload is not None else "[unreadable]"
        said = f"{failed.exception}: {error}" if failed.exception else failed.why_not
        table.add_row(*(plain(text) for text in (failed.failed_at or "?", failed.job_queue or "?", name, said[:200])))
    return table


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
