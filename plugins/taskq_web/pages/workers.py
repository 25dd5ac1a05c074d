"""Workers, by host; one worker; and those that are dead, with what becomes of their jobs."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from itertools import groupby
from typing import Final

from werkzeug.wrappers import Response

from taskq.operator import WorkerState
from taskq_web.looking import in_hand
from taskq_web.shown import brief
from taskq_web.visit import Refused, Visit

__all__ = ["dead", "one", "prune", "show"]

_PAGE: Final = 20  # a name and a job of some length each, within 60 kB
_AHEAD: Final = 20


def show(visit: Visit) -> Response:
    """Every worker, host by host."""
    workers = sorted(visit.workers(), key=lambda worker: (worker.host, worker.info.id))
    start = visit.query.number("start")
    shown = workers[start : start + _PAGE]
    of_host = Counter(worker.host for worker in workers)
    return visit.render(
        "workers.html",
        hosts=[(host, list(of_it), of_host[host]) for host, of_it in groupby(shown, key=lambda worker: worker.host)],
        working={each.worker.id: each for each in in_hand(visit.app, shown)},
        rates={worker.info.id: _rate(worker, visit.clock) for worker in shown},
        count=len(workers),
        start=start,
        page=_PAGE,
        silent=sum(worker.looks_dead for worker in workers),
    )


def one(visit: Visit) -> Response:
    """One worker, and what it has in hand."""
    worker = _worker(visit)
    state = visit.app.operator.worker(worker)
    if state is None:
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"There is no worker {brief(worker)} (any more).",
            advice="It ended, or was taken for dead. The others are under Workers.",
        )
    held = in_hand(visit.app, [state])
    return visit.render(
        "worker.html",
        state=state,
        worker=state.info,
        rate=_rate(state, visit.clock),
        held=held[0] if held else None,
        ahead=[visit.app.read(each.body) for each in state.info.ahead[:_AHEAD]],
    )


def dead(visit: Visit) -> Response:
    """Those that look dead, and what becomes of their jobs when they are pruned."""
    found = [worker for worker in visit.app.operator.workers() if worker.looks_dead]
    return visit.render("prune.html", dead=found[:_PAGE], count=len(found))


def prune(visit: Visit) -> Response:
    """Settle what a dead worker left, and forget it."""
    worker = _worker(visit)
    state = visit.app.operator.worker(worker)
    if state is None:
        return visit.back(f"{brief(worker)} is already gone. Nothing was changed.", "/workers/prune", wrong=True)
    pruned = visit.app.operator.prune(state)
    return visit.back(pruned.said, "/workers/prune", wrong=not pruned.done)


def _worker(visit: Visit) -> str:
    return visit.named("id", lambda: (worker.info.id for worker in visit.workers()), "worker")


def _rate(state: WorkerState, now: float) -> float | None:
    """How many jobs a minute it did since it began; None where that is not known, or is too early to say."""
    started = state.info.started
    if started is None or now - started < 10:
        return None
    return state.info.processed / (now - started) * 60
