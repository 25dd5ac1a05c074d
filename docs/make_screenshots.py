"""Takes the pictures of the dashboard that the documentation shows: `make screenshots`. A real page in a real browser.

What is on them is made up here: a shop with a few workers, and a morning in which one of its mail servers was away.
"""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import sync_playwright
from waitress.server import create_server

from taskq import TaskQ, failed_entry
from taskq.config import Config
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord, ProcessIdentity, Registration, Tokens
from taskq_memory import MemoryBroker
from taskq_web import Dashboard, demo_jobs, everybody
from taskq_web.command import port_of
from tests.browser.conftest import ARGUMENTS, chromium

IMAGES: Final = Path(__file__).parent / "images"
MAIL: Final = ("/srv/shop/mail.py:42:in 'deliver'", "/srv/shop/jobs.py:17:in 'SendEmail.perform'")
CARD: Final = ("/srv/shop/payments.py:88:in 'charge'", "/srv/shop/jobs.py:31:in 'charge_card'")
FOUND: Final = ("/usr/lib/python3.12/site-packages/PIL/Image.py:3498:in 'open'", "/srv/shop/images.py:9:in 'resize'")


class Machine:
    """A worker that does what the picture needs."""

    def __init__(self, app: TaskQ, host: str, pid: int, queues: str) -> None:
        self.app = app
        self.id = f"{host}:{pid}:{queues}"
        self.tokens = Tokens()
        process = ProcessIdentity(host, host, "", pid, "")
        app.broker.register(Registration(self.id, process, 25.0, 5.0, self.tokens.process))

    def take(self, queue: str) -> None:
        self.app.broker.reserve(self.id, [queue], self.tokens.next())

    def fail(self, queue: str, ago: float, kind: str, message: str, frames: tuple[str, ...]) -> None:
        broker = self.app.broker
        [held] = broker.reserve(self.id, [queue], self.tokens.next()).jobs
        now = broker.now()
        failure = Failure(
            payload=self.app.read(held.body).payload,
            body=held.body,
            queue=queue,
            worker=self.id,
            cause=ErrorRecord(kind, message, frames),
            run_at=now - ago,
            failed_at=now - ago,
        )
        broker.fail(held, self.tokens.next(), failed_entry.encode(failure))


def shop() -> TaskQ:
    app = TaskQ(Config(broker=MemoryBroker()))
    now = app.broker.now()
    one = Machine(app, "web-1", 4711, "payments,emails")
    people = ("ada", "grace", "edsger", "barbara", "donald", "margaret", "alan", "frances")
    ages = sorted((40 + 61 * number**1.35 for number in range(26)), reverse=True)
    for number, ago in enumerate(ages):
        order = 2140 + number * 3
        if number % 9 == 4:
            app.enqueue(demo_jobs.resize_image, f"products/{order}.tiff", 1280, quality=80)
            path = f"products/{order}.tiff"
            one.fail("images", ago, "PIL.UnidentifiedImageError", f"cannot identify image file {path!r}", FOUND)
        elif number % 4 == 1:
            app.enqueue(demo_jobs.charge_card, order, f"{order % 90 + 9}.90", token="tok")
            one.fail("payments", ago, "shop.payments.Declined", f"card of order {order} was declined (code 51)", CARD)
        else:
            to = f"{people[number % 8]}@example.org"
            app.enqueue(demo_jobs.SendEmail, to, f"Your order {order}", order=order)
            message = f"mail server of example.org refused order {order}: try again later"
            one.fail("emails", ago, "ConnectionRefusedError", message, MAIL)
    for number in range(48):
        app.enqueue(demo_jobs.SendEmail, f"{people[number % 8]}@example.com", f"Your order {2300 + number}")
    for number in range(7):
        app.enqueue(demo_jobs.resize_image, f"products/{2300 + number}.jpg", 1280, quality=80)
    for month in ("September", "October", "November"):
        app.enqueue(demo_jobs.monthly_report, month)
    app.enqueue(demo_jobs.charge_card, 2301, "41.90", token="tok")
    app.enqueue(demo_jobs.charge_card, 2302, "9.90", token="tok")
    app.enqueue(demo_jobs.import_orders, "partner-7", page=12)
    app.enqueue_to("legacy-sync", "Legacy::Sync", 42, {"account": "acme", "api_key": "k-3f9a"})
    for host, pid, queue in (
        ("web-1", 4712, "reports"), ("web-1", 4713, "emails"), ("web-2", 981, "images"), ("web-2", 982, "imports"),
        ("web-2", 983, "payments"),
    ):  # fmt: skip
        Machine(app, host, pid, "payments,emails,images,imports,reports").take(queue)
    _remember(app, now)
    return app


def _remember(app: TaskQ, now: float) -> None:
    """Two hours of samples, in the form in which workers leave them."""
    stats, processed, failed = app.broker.stats(), 0, 0
    for minute in range(121):
        done = 34 + 14 * math.sin(minute / 9) + 9 * math.sin(minute / 3.1) + minute % 5
        processed += int(done)
        failed += int(5 if 70 < minute < 96 else minute % 7 == 0)
        pending = int(80 + 30 * math.sin(minute / 11))
        numbers = [now - (120 - minute) * 60, processed, failed, pending, stats.failed - 9, 5, 4]
        app.broker.add_sample("hours", json.dumps([numbers, {}]).encode(), keep=720)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with shop() as app:
        server = create_server(Dashboard(app, access=everybody), host="127.0.0.1", port=0)
        threading.Thread(target=server.run, daemon=True).start()
        failure = app.failures.id_of(app.failures.page().jobs[0], digits=16)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            for name, path, dark, width in (
                ("overview", "/", False, 1120),
                ("failed", "/failed", False, 1120),
                ("failure", f"/failure?id={failure}", True, 1120),
                ("phone", "/failed", False, 390),
            ):
                theme: Literal["dark", "light"] = "dark" if dark else "light"
                page = browser.new_page(viewport={"width": width, "height": 720}, color_scheme=theme)
                page.goto(f"http://127.0.0.1:{port_of(server)}{path}")
                time.sleep(0.2)
                page.screenshot(path=IMAGES / f"{name}.png")
                print(f"{name}.png: {(IMAGES / f'{name}.png').stat().st_size:,} bytes")
                page.close()
            browser.close()
        server.close()


if __name__ == "__main__":
    main()
