"""An application to test: its jobs, in a registry of their own, and what they did."""

from __future__ import annotations

import threading

import taskq

REGISTRY = taskq.Registry()
SENT: list[str] = []
GATE = threading.Event()


@taskq.job(queue="emails", aliases=["old_send_email"], secret=("token",), registry=REGISTRY)
def send_email(to: str, subject: str = "Hi", *, token: str = "") -> None:
    if "@" not in to:
        raise ValueError(f"{to} is no address")
    SENT.append(to)


@taskq.job(registry=REGISTRY)
def newsletter(*to: str) -> None:
    for each in to:
        send_email.enqueue(each, "News")


@taskq.job(registry=REGISTRY)
async def fetch(url: str, timeout: float = 1.0) -> None:
    SENT.append(url)


@taskq.job(registry=REGISTRY)
class Charge:
    queue = "billing"

    @staticmethod
    def perform(order: int, **details: str) -> None:
        SENT.append(f"order {order}")


@taskq.job(registry=REGISTRY)
def for_ever() -> None:
    for_ever.enqueue()


@taskq.job(registry=REGISTRY)
def waits_at_the_gate() -> None:
    GATE.wait()
