"""The jobs of `taskq web --demo`: a shop that sends, charges, resizes and imports, and now and then fails at it."""

from __future__ import annotations

import random
import time

import taskq

__all__ = ["SendEmail", "charge_card", "import_orders", "monthly_report", "resize_image"]


@taskq.job(queue="emails")
class SendEmail:
    """Send an email to a customer."""

    @staticmethod
    def perform(to: str, subject: str, order: int = 0) -> None:  # noqa: ARG004 - nothing is sent
        """Take a moment; fail for some addresses as mail servers do."""
        time.sleep(random.uniform(0.1, 0.6))
        if "@" not in to:
            raise ValueError(f"{to!r} is no address")
        if to.endswith("example.org"):
            raise ConnectionRefusedError(f"mail server of example.org refused order {order}: try again later")


@taskq.job(queue="payments", secret=("token",))
def charge_card(order: int, amount: str, token: str) -> None:
    """Charge a customer's card for an order."""
    time.sleep(random.uniform(0.2, 0.9))
    if order % 9 == 0:
        raise RuntimeError(f"card of order {order} was declined (code {51 + order % 3})")


@taskq.job(queue="images")
def resize_image(path: str, width: int, *, quality: int = 85) -> None:
    """Resize an image for the web."""
    time.sleep(random.uniform(0.3, 1.5))
    if path.endswith(".tiff"):
        raise OSError(f"cannot identify image file {path!r}")


@taskq.job(queue="imports")
def import_orders(source: str, page: int = 1) -> None:
    """Import a page of orders from a partner."""
    time.sleep(random.uniform(2, 6))
    if page % 7 == 3:
        _parsed({"page": page})


@taskq.job(queue="reports")
def monthly_report(month: str, pages: int = 12, *, format: str = "pdf") -> None:  # noqa: A002 - a job's own word
    """Write the report of a month."""
    time.sleep(8)


def _parsed(row: dict[str, int]) -> int:
    return row["total"] + row["page"]
