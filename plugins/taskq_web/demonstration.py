"""`taskq web --demo`: a broker in a temporary file, a shop that enqueues, and real workers that perform."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from taskq import TaskQ, TaskqError
from taskq_web.demo_jobs import SendEmail, charge_card, import_orders, monthly_report, resize_image

__all__ = ["demonstration"]

_PEOPLE: Final = ("ada", "grace", "edsger", "barbara", "donald", "margaret", "alan", "frances")


@contextmanager
def demonstration() -> Iterator[TaskQ]:
    """The application of the demonstration, its workers at work; all of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="taskq-demo-", ignore_cleanup_errors=True) as directory:
        address = f"sqlite:///{directory}/demo.db"
        with TaskQ(broker=address, hooks=["latency"]) as app:
            seed(app)
            over = threading.Event()
            customers = threading.Thread(target=_customers, args=(app, over), daemon=True)
            customers.start()
            scheduler = subprocess.Popen(  # noqa: S603 - ourselves
                _scheduler(address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            worker = subprocess.Popen(  # noqa: S603 - ourselves
                _worker(address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                yield app
            finally:
                over.set()
                for process in (scheduler, worker):
                    process.terminate()
                for process in (scheduler, worker):
                    _wait_for(process)
                customers.join(5)


def seed(app: TaskQ) -> None:
    """Enqueue what waits at the beginning: some of every queue, and what no worker serves."""
    for number in range(1, 19):
        _buy(app, number)
    for month in ("September", "October", "November"):
        app.enqueue(monthly_report, month, pages=12)
    for hours in (1, 3, 26):
        app.options(delay=hours * 3600 + 0.5).enqueue(SendEmail, "ada@example.com", "How did you like it?", order=hours)
    app.options(delay=90).enqueue(resize_image, "products/later.jpg", 1280)
    app.schedules.set("orders", app.call(import_orders, "partner-7"), every=45, description="What partners sold")
    app.schedules.set("report", app.call(monthly_report, "December"), every="7d", description="For the accountants")
    app.enqueue_to("legacy-sync", "Legacy::Sync", 42, {"account": "acme", "api_key": "k-3f9a"})


def _worker(address: str) -> Sequence[str]:
    queues = "payments,emails,images,imports,reports"
    return [
        sys.executable, "-m", "taskq", "worker", "--broker", address, "--app", "taskq_web.demo_jobs",
        "--queues", queues, "--count", "3", "--shutdown-timeout", "1",
    ]  # fmt: skip


def _scheduler(address: str) -> Sequence[str]:
    return [sys.executable, "-m", "taskq", "scheduler", "--broker", address, "--app", "taskq_web.demo_jobs"]


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _customers(app: TaskQ, over: threading.Event) -> None:
    number = 100
    while not over.wait(random.uniform(0.4, 2.0)):
        number += 1
        try:
            _buy(app, number)
        except TaskqError:  # the file goes away at the end
            return


def _buy(app: TaskQ, number: int) -> None:
    who = _PEOPLE[number % len(_PEOPLE)]
    address = f"{who}@example.{'org' if number % 11 == 0 else 'com'}" if number % 17 else who
    steps: Sequence[Callable[[], object]] = (
        lambda: app.enqueue(charge_card, number, f"{number % 90 + 9}.90", token=f"tok_{number:06x}"),
        lambda: app.enqueue(SendEmail, address, f"Your order {number}", order=number),
        lambda: app.enqueue(
            resize_image, f"products/{number}.{'tiff' if number % 13 == 0 else 'jpg'}", 1280, quality=80
        ),
        lambda: app.enqueue(import_orders, "partner-7", page=number),
    )
    for step in steps[: 3 if number % 4 else 4]:
        step()
