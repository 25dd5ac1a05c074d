"""Looking at the set-up: each check says what it found, and what to do about it.

A check never ends the others: where the broker does not answer, that is the finding, and those that need it are left
out.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from taskq import envelope, plugins
from taskq.broker import Broker
from taskq.errors import BrokerRefused, BrokerUnavailable, ConfigurationError, InvalidPayload, TaskqError, nearest
from taskq.history import History
from taskq.inspection import Finding
from taskq.operator.names import named
from taskq.operator.queues import QueueState
from taskq.operator.workers import WorkerState
from taskq.records import Paused
from taskq.registry import Registry

__all__ = ["about_failures", "about_queues", "about_workers", "broker_answers", "clocks", "unknown_jobs", "what_loads"]

_OFF: Final = 2.0  # seconds that two clocks may differ: heartbeats are written without fractions
_FAR_OFF: Final = 60.0
_LOOKED_AT: Final = 100  # jobs of each queue, and queues
_MANY: Final = 10_000  # failed jobs from which on nobody looks at each
_DAY: Final = 24  # samples, one an hour
_OURS: Final = "taskq"  # the distribution
_NAMED: Final = 5  # names in one sentence
_LOOK_THERE: Final = (
    "It is of a program that sends none, as node-resque, or is gone. Look on its host; where its process is gone, "
    "forget it as its own program does: Resque::Worker.find(ID).unregister_worker"
)


def what_loads(load: Callable[[], None]) -> Iterator[Finding]:
    """Whether all that the configuration names loads, and what others have installed."""
    wrong: list[str] = []
    try:
        load()
    except ConfigurationError as error:
        wrong = [str(problem) for problem in error.problems]
        for said in wrong:
            yield Finding("error", "plugins", said, "What is installed, and what of it is enabled: taskq plugins")
    except TaskqError as error:
        wrong = [str(error)]
        yield Finding("error", "plugins", str(error))
    for plugin in plugins.catalogue():
        # One of taskq's own may lack the extra that it needs, and nobody misses it.
        if plugin.error and plugin.distribution != _OURS and not any(said.endswith(plugin.error) for said in wrong):
            wrong.append(plugin.error)
            yield Finding("warning", "plugins", f"Nothing uses it yet: {plugin.error}", "taskq plugins")
    if not wrong:
        yield Finding("ok", "plugins", "All that the configuration names loads.")


def broker_answers(broker: Broker) -> Finding:
    """Whether it does."""
    try:
        broker.check()
    except BrokerUnavailable as error:
        return Finding("error", "broker", str(error))  # which says what to do
    except BrokerRefused as error:
        return Finding("error", "access", str(error))
    return Finding("ok", "broker", f"{broker.address} answers.")


def clocks(broker: Broker) -> Finding:
    """Whether this machine's clock is near the broker's."""
    ahead = time.time() - broker.now()
    if abs(ahead) <= _OFF:
        return Finding("ok", "clocks", "This machine's clock and the broker's agree.")
    way = "ahead of" if ahead > 0 else "behind"
    said = f"This machine's clock is {abs(ahead):,.0f} s {way} the broker's."
    advice = "taskq goes by the broker's; logs and other programs do not. Set the clocks by NTP."
    return Finding("error" if abs(ahead) > _FAR_OFF else "warning", "clocks", said, advice)


def about_workers(workers: Sequence[WorkerState], pending: int, now: float) -> Iterator[Finding]:
    """Workers without heartbeat, and whether there are any at all."""
    silent = [worker for worker in workers if worker.looks_dead]
    for worker in silent:
        sure = "is dead" if worker.sure else "looks dead"
        yield Finding(
            "error",
            "workers",
            f"{named(worker.info.id)} {sure}: {worker.why_dead}. {worker.becomes}",
            "taskq workers prune",
        )
    unheard = [worker for worker in workers if worker.unheard]
    for worker in unheard:
        yield Finding("warning", "workers", _unheard(worker, now), _LOOK_THERE)
    alive = [worker for worker in workers if worker.info.registered and not worker.looks_dead]
    if not alive:
        waiting = f" Jobs that wait: {pending:,}." if pending else ""
        yield Finding(
            "error" if pending else "warning",
            "workers",
            f"No worker is running.{waiting}",
            "Start one: taskq worker --app YOUR.JOBS",
        )
    elif not silent and not unheard:
        yield Finding("ok", "workers", f"All {len(alive)} workers beat." if len(alive) > 1 else "The worker beats.")


def _unheard(worker: WorkerState, now: float) -> str:
    since = "" if worker.info.started is None else f", {_span(now - worker.info.started)} ago"
    return f"{named(worker.info.id)} has sent no heartbeat since it began{since}: taskq cannot tell whether it lives."


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} min"


def about_queues(queues: Sequence[QueueState], paused: Paused) -> Iterator[Finding]:
    """Queues that no worker serves, and those that are paused."""
    if paused.all:
        yield Finding("warning", "queues", "All queues are paused.", "To go on: taskq queues unpause --all")
    elif paused.queues:
        yield Finding(
            "warning",
            "queues",
            f"Paused: {_listed([*map(named, sorted(paused.queues))])}.",
            "taskq queues unpause QUEUE",
        )
    unserved = [queue for queue in queues if queue.size and not queue.served_by]
    for queue in unserved[:_LOOKED_AT]:
        jobs = "1 job waits" if queue.size == 1 else f"{queue.size:,} jobs wait"
        yield Finding(
            "error",
            "queues",
            f"No worker serves {named(queue.name)}, where {jobs}.",
            f"Start one: taskq worker -q {shlex.quote(queue.name if queue.name.strip() else '*')} --app YOUR.JOBS",
        )
    if not unserved and queues:
        yield Finding("ok", "queues", "Every queue with jobs is served by a worker.")


def unknown_jobs(broker: Broker, queues: Sequence[QueueState], registry: Registry) -> Iterator[Finding]:
    """Jobs that wait and that this application does not know."""
    known = registry.names()
    if not known:
        advice = "Say which: taskq doctor --app YOUR.JOBS"
        yield Finding("ok", "jobs", "Not looked at: no application was named, so no job is known here.", advice)
        return
    found: Counter[tuple[str, str]] = Counter()
    for queue in [one for one in queues if one.size][:_LOOKED_AT]:
        for body in broker.peek(queue.name, 0, _LOOKED_AT):
            try:
                job = envelope.decode(body).job
            except InvalidPayload:
                job = ""
            if registry.find(job) is None:
                found[queue.name, job] += 1
    for (name, job), count in found.most_common(20):
        near = nearest(job, known)
        meant = f" Did you mean {near}?" if near else ""
        what = (
            f'the job "{job}", which this application does not know.{meant}' if job else "something that is no payload."
        )
        advice = "A worker with these jobs would fail them. Import its module: --app; or enqueue by the right name."
        times = "once" if count == 1 else f"{count} times"
        yield Finding("warning", "jobs", f"In {named(name)} stands {times} {what}", advice)
    if not found:
        yield Finding("ok", "jobs", "All jobs at the front of the queues are known here.")


def about_failures(count: int, failed_max: int | None, days: History) -> Finding:
    """Whether the failed list only grows."""
    sizes = [sample.failures for sample in days.samples[-_DAY:]]
    grows = len(sizes) == _DAY and sizes == sorted(sizes) and sizes[0] < sizes[-1] <= count
    if grows:
        hours = (days.samples[-1].at - days.samples[-_DAY].at) / 3600
        said = f"The failed list only grows: {sizes[0]:,} entries {hours:.0f} h before, {count:,} now."
    elif count >= _MANY:
        said = f"The failed list has {count:,} entries."
    elif count:
        return Finding(
            "ok", "failures", "There is 1 failed job." if count == 1 else f"There are {count:,} failed jobs."
        )
    else:
        return Finding("ok", "failures", "There are no failed jobs.")
    bound = "" if failed_max is not None else " Or let failed_max bound it."
    return Finding(
        "warning", "failures", said, f"What they are: taskq failed groups. Then requeue, remove or clear them.{bound}"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
