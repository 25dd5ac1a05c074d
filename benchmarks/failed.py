"""A failed list of a million entries: a page, requeue one or many, remove one or many, near an end and far from it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.figures import Figure
from benchmarks.processes import Bench
from taskq import failed_entry
from taskq.app import TaskQ
from taskq.failed_entry import FailedJob
from taskq.failed_jobs import Tally
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord

__all__ = ["failed"]

_ENTRIES = 1_000_000
_PUSHED = 10_000  # in one command
_PAGE = 20
_NEAR = 900  # entries from an end
_TIMES = 20
_TOGETHER = 2_000  # entries, of those requeued or removed in slices
_BACKTRACE = tuple(f"/app/shop/billing.py:{line}:in 'charge_the_card_of'" for line in range(8))


def failed(bench: Bench) -> Iterator[Figure]:
    """Milliseconds that a caller waits, the median; in all but the search for an entry Redis does nothing else."""
    bench.clean()
    _fill(bench)
    with TaskQ(broker=bench.server.url) as app:
        places = {"newest": 0, "middle": _ENTRIES // 2, "oldest": _ENTRIES - 2 * _PAGE}
        for name, start in places.items():
            yield _timed(f"a page of {_PAGE}, the {name}", 5, partial(app.failures.list, start, _PAGE))

        def each(start: int, act: Callable[[FailedJob], object]) -> Callable[[], object]:
            seen = iter(app.failures.list(start, _TIMES))
            return lambda: act(next(seen))

        for name, start in places.items():
            yield _timed(f"requeue one, the {name}", 5, each(start, app.failures.requeue))
        for name, start, goal in (
            (f"{_NEAR} from the newest", _NEAR, 1),
            (f"{_NEAR} from the oldest", _ENTRIES - _NEAR, 1),
            ("in the middle", _ENTRIES // 2 + 1_000, 50),
        ):
            yield _timed(f"remove one, {name}", goal, each(start, app.failures.remove))
        for name, start in (("the newest", _PAGE), ("in the middle", _ENTRIES // 2)):
            for what, act in (("requeue", app.failures.requeue_each), ("remove", app.failures.remove_each)):
                many = app.failures.list(start, _TOGETHER)
                yield _slices(bench, f"{what} {_TOGETHER:,}, {name}: its longest slice", partial(act, many))
    bench.clean()


def _fill(bench: Bench) -> None:
    error = ErrorRecord("RuntimeError", "The card was declined, and so was the other one.", _BACKTRACE)
    body = b'{"class":"Billing::Charge","args":["person@example.com","MARK"]}'
    entry = failed_entry.encode(Failure(None, body, "billing", "host:1:billing", error, 1.7e9, 1.7e9))
    for begin in range(0, _ENTRIES, _PUSHED):
        entries = [entry.replace(b"MARK", b"%07d" % number) for number in range(begin, begin + _PUSHED)]
        bench.redis.rpush("resque:failed", *entries)


def _timed(what: str, goal: float, act: Callable[[], object]) -> Figure:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        assert act()
        times.append(1000 * (time.perf_counter() - began))
    told = f"{_ENTRIES:,} entries, {_TIMES} times, longest {max(times):.1f} ms"
    return Figure("failed", what, statistics.median(times), "ms", goal, "least", told, {"ms": times})


def _slices(bench: Bench, what: str, act: Callable[[], Tally]) -> Figure:
    """How long Redis did nothing else at most, by its own account."""
    bench.redis.config_set("slowlog-max-len", 100_000)
    bench.redis.config_set("slowlog-log-slower-than", 0)
    bench.redis.slowlog_reset()
    began = time.perf_counter()
    assert act().done == _TOGETHER
    took = time.perf_counter() - began
    bench.redis.config_set("slowlog-log-slower-than", -1)
    slices = [one["duration"] / 1000 for one in bench.redis.slowlog_get(100_000) if b"EVAL" in one["command"]]
    told = f"{_ENTRIES:,} entries; {len(slices)} slices, {took:.2f} s"
    return Figure("failed", what, max(slices), "ms", 5, "least", told, {"ms": slices})
