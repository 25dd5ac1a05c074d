"""Stats: totals, the broker's own figures, the keys of the namespace; and the same for programs."""

from __future__ import annotations

import hashlib
import time
from http import HTTPStatus

from werkzeug.wrappers import Response

from taskq.short_names import LONG
from taskq_web.history import chart
from taskq_web.visit import Refused, Visit

__all__ = ["as_json", "as_metrics", "as_text", "key", "keys", "show"]

_SECONDS = 0.5  # for finding a key by its digest
_KEYS = 20  # their names can be whole payloads, and a page is to keep to 60 kB


def show(visit: Visit) -> Response:
    """Totals, days, and what the broker says of itself."""
    return visit.render(
        "stats.html",
        stats=visit.app.broker.stats(),
        info=visit.app.info(),
        server=visit.app.operator.server(),
        hours=chart(visit.app.operator.history("hours"), most=12 * 60),
        days=chart(visit.app.operator.history("days"), most=31 * 24),
        has_keys=visit.app.operator.can_show_keys(),
    )


def keys(visit: Visit) -> Response:
    """A page of the keys of the namespace."""
    try:
        page = visit.app.operator.keys(visit.query.get("cursor"), _KEYS)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin with the first: Stats, Keys.") from None
    showing, at = visit.app.showing, visit.query.get("cursor")
    rows = [(each, shown := showing.name(each.name), _address(each.name, shown, at)) for each in page.keys]
    return visit.render("keys.html", page=page, rows=rows, first=not at)


def _address(name: str, shown: str, page: str) -> dict[str, object]:
    """What addresses a key: its name; where that has a secret in it or is long, a digest, and where it was seen."""
    return {"key": name} if shown == name and len(name) <= LONG else {"mark": _mark(name), "page": page}


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _named(visit: Visit) -> str:
    """The name of the key that the address means; empty where it is gone."""
    wanted = visit.query.get("mark")
    if not wanted:
        return visit.query.get("key")
    ends = time.monotonic() + _SECONDS
    for begin in dict.fromkeys((visit.query.get("page"), "")):
        cursor = begin
        while True:
            page = visit.app.operator.keys(cursor, _KEYS)
            found = next((each.name for each in page.keys if _mark(each.name) == wanted), None)
            if found is not None:
                return found
            cursor = page.cursor
            if not cursor or time.monotonic() > ends:
                break
    return ""


def key(visit: Visit) -> Response:
    """A key, and a page of what is in it."""
    try:
        name = _named(visit)
        value = visit.app.operator.key(name, visit.query.get("cursor"), _KEYS)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin with the first: Stats, Keys.") from None
    shown = visit.app.showing.name(name) or "like that"
    if value is None:
        raise Refused(
            HTTPStatus.NOT_FOUND, f"There is no key {shown[:300]} (any more).", advice="The others: Stats, Keys."
        )
    return visit.render(
        "key.html",
        name=shown,
        address=_address(name, shown, visit.query.get("page")),
        value=value,
        first=not visit.query.get("cursor"),
    )


def as_text(visit: Visit) -> Response:
    """The lines of Resque's `stats.txt`, for the scripts that read it."""
    sizes = visit.app.sizes()
    info = visit.app.info(sizes)
    lines = [
        f"resque.pending={info['pending']}",
        f"resque.processed+={info['processed']}",
        f"resque.failed+={info['failed']}",
        f"resque.workers={info['workers']}",
        f"resque.working={info['working']}",
        *(f"queues.{_word(queue)}={size}" for queue, size in sizes.items()),
    ]
    return visit.text("\n".join(lines) + "\n")


def as_json(visit: Visit) -> Response:
    """All figures, for programs."""
    app = visit.app
    sizes = app.sizes()
    return visit.as_json(
        {
            "schema": "taskq.stats/1",
            **app.info(sizes),
            "failed_total": app.broker.stats().failed,
            "queue_sizes": dict(sizes),
            "now": visit.clock,
        }
    )


def as_metrics(visit: Visit) -> Response:
    """The figures as Prometheus reads them."""
    app = visit.app
    sizes = app.sizes()
    found = app.info(sizes)
    lines: list[str] = []
    for name, kind, said, value in (
        ("taskq_jobs_pending", "gauge", "Jobs that wait.", found["pending"]),
        ("taskq_jobs_processed_total", "counter", "Jobs that ended, failed ones included.", found["processed"]),
        ("taskq_jobs_failed_total", "counter", "Jobs that failed.", app.broker.stats().failed),
        ("taskq_failures", "gauge", "Failures that are kept.", found["failed"]),
        ("taskq_queues", "gauge", "Queues.", found["queues"]),
        ("taskq_workers", "gauge", "Workers that are registered.", found["workers"]),
        ("taskq_workers_working", "gauge", "Workers that have a job in hand.", found["working"]),
    ):
        lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}", f"{name} {value}"]
    lines += ["# HELP taskq_queue_jobs Jobs that wait in a queue.", "# TYPE taskq_queue_jobs gauge"]
    lines += [f'taskq_queue_jobs{{queue="{_label(queue)}"}} {size}' for queue, size in sizes.items()]
    answer = visit.text("\n".join(lines) + "\n")
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8"
    return answer


def _word(queue: str) -> str:
    """A queue's name in which nothing ends a line or looks like an equals sign."""
    return "".join(char if char.isprintable() and char != "=" else f"%{ord(char):02X}" for char in queue)


def _label(queue: str) -> str:
    # The format knows these three escapes and no other.
    known = queue.encode("utf-8", "backslashreplace").decode()
    return known.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
