"""Every address of the dashboard, in one table: what answers there, and which role it needs.

A GET changes nothing. A POST reaches its function only with a token, from our own page, and by whoever has the role.
Names of queues, workers and failures are parameters and no part of a path: they come from anybody, and `..` or `%2F` in
a path would not survive a browser and a proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from werkzeug.wrappers import Response

from taskq_web.access import Role
from taskq_web.pages import (
    delayed,
    enqueue,
    failed,
    failure,
    overview,
    queues,
    schedule,
    stats,
    sweep,
    workers,
    working,
)
from taskq_web.visit import Visit

__all__ = ["PATHS", "ROUTES", "Handler", "Method", "Route"]

Handler: TypeAlias = Callable[[Visit], Response]
Method: TypeAlias = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Route:
    """An address and what answers there.

    Attributes:
        method: GET (and HEAD with it), or POST.
        path: below the dashboard's root.
        handler: makes the answer.
        role: what a visitor must at least be allowed to.
    """

    method: Method
    path: str
    handler: Handler
    role: Role = Role.READ


ROUTES: Final[Sequence[Route]] = (
    Route("GET", "/", overview.show),
    Route("GET", "/working", working.show),
    Route("GET", "/failed", failed.show),
    Route("POST", "/failed/retry", failed.retry, Role.RETRY),
    Route("POST", "/failed/remove", failed.remove, Role.ALL),
    Route("GET", "/failed/all", sweep.count, Role.RETRY),
    Route("POST", "/failed/all/retry", sweep.retry, Role.RETRY),
    Route("POST", "/failed/all/remove", sweep.remove, Role.ALL),
    Route("GET", "/failure", failure.show),
    Route("POST", "/failure/retry", failure.retry, Role.RETRY),
    Route("POST", "/failure/remove", failure.remove, Role.ALL),
    Route("GET", "/failure/edit", failure.edit, Role.ALL),
    Route("POST", "/failure/edit", failure.edited, Role.ALL),
    Route("GET", "/queues", queues.show),
    Route("GET", "/queue", queues.one),
    Route("POST", "/queues/pause", queues.pause_all, Role.ALL),
    Route("POST", "/queues/unpause", queues.unpause_all, Role.ALL),
    Route("POST", "/queue/pause", queues.pause, Role.ALL),
    Route("POST", "/queue/unpause", queues.unpause, Role.ALL),
    Route("POST", "/queue/remove", queues.remove, Role.ALL),
    Route("POST", "/queue/job/remove", queues.remove_job, Role.ALL),
    Route("GET", "/workers", workers.show),
    Route("GET", "/worker", workers.one),
    Route("GET", "/workers/prune", workers.dead),
    Route("POST", "/workers/prune", workers.prune, Role.ALL),
    Route("GET", "/schedule", schedule.show),
    Route("POST", "/schedule/run", schedule.run, Role.ALL),
    Route("POST", "/schedule/enable", schedule.enable, Role.ALL),
    Route("POST", "/schedule/disable", schedule.disable, Role.ALL),
    Route("GET", "/delayed", delayed.show),
    Route("GET", "/delayed/all", delayed.count, Role.ALL),
    Route("POST", "/delayed/now", delayed.now, Role.RETRY),
    Route("POST", "/delayed/time/now", delayed.now_at, Role.RETRY),
    Route("POST", "/delayed/remove", delayed.remove, Role.ALL),
    Route("POST", "/delayed/clear", delayed.clear, Role.ALL),
    Route("GET", "/stats", stats.show),
    Route("GET", "/stats/keys", stats.keys),
    Route("GET", "/stats/key", stats.key),
    Route("GET", "/stats.txt", stats.as_text),
    Route("GET", "/stats.json", stats.as_json),
    Route("GET", "/metrics", stats.as_metrics),
    Route("GET", "/enqueue", enqueue.show, Role.ALL),
    Route("POST", "/enqueue", enqueue.enqueue, Role.ALL),
)

PATHS: Final[Mapping[str, Mapping[Method, Route]]] = {
    path: {route.method: route for route in ROUTES if route.path == path} for path in {route.path for route in ROUTES}
}
