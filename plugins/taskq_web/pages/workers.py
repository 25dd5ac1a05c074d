"""Workers, by host; one worker."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import groupby

from werkzeug.wrappers import Response

from taskq.records import WorkerInfo
from taskq_web.looking import in_hand, state_of
from taskq_web.visit import Refused, Visit

__all__ = ["one", "show"]

_PAGE = 60


def show(visit: Visit) -> Response:
    """Every worker, host by host."""
    workers = sorted(visit.app.workers(), key=lambda worker: (host_of(worker), worker.id))
    start = visit.query.number("start")
    shown = workers[start : start + _PAGE]
    return visit.render(
        "workers.html",
        hosts=[(host, list(of_it)) for host, of_it in groupby(shown, key=host_of)],
        working={each.worker.id: each for each in in_hand(visit.app, shown)},
        count=len(workers),
        start=start,
        page=_PAGE,
        state=lambda worker: state_of(worker, visit.clock),
        silent=silent_of(workers, visit.clock),
    )


def one(visit: Visit) -> Response:
    """One worker, and what it has in hand."""
    worker = visit.app.broker.worker(visit.query.get("id"))
    if worker is None:
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"There is no worker {visit.query.get('id')} (any more).",
            advice="It ended, or was taken for dead. The others are under Workers.",
        )
    held = in_hand(visit.app, [worker])
    return visit.render(
        "worker.html",
        worker=worker,
        host=host_of(worker),
        rate=None,
        held=held[0] if held else None,
        ahead=[visit.app.read(each.body) for each in worker.ahead[:20]],
        state=state_of(worker, visit.clock),
    )


def host_of(worker: WorkerInfo) -> str:
    """The host that a worker is really on, as far as it said so."""
    return worker.registration.process.host if worker.registration is not None else worker.host


def silent_of(workers: Iterable[WorkerInfo], now: float) -> list[WorkerInfo]:
    """Those that sent no heartbeat for too long."""
    return [worker for worker in workers if state_of(worker, now) == "silent"]
