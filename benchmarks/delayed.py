"""Delayed jobs, on Redis and on SQLite: how fast the due ones are moved, and what a look among a million costs."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.figures import Figure
from benchmarks.processes import Bench
from taskq.broker import Broker
from taskq.plugins import open_broker

__all__ = ["delayed"]

_DUE = 100_000
_MANY = 1_000_000
_TIMES = 10_000  # for which those many wait
_AT_ONCE = 10_000  # scheduled in one call
_MOVED = 1_000  # in one call, as the scheduler asks
_PAGE = 20
_LOOKS = 50
_THEN = 4_000_000_000.0
_ME = "bench:1:scheduler"


def delayed(bench: Bench) -> Iterator[Figure]:
    """Jobs a second that one scheduler moves, and milliseconds that a caller waits, the median."""
    bench.clean()
    files = bench.notes.parent.glob("delayed.db*")
    for path in files:
        path.unlink()
    for name, url in (("Redis", bench.server.url), ("SQLite", f"sqlite:///{bench.notes.parent / 'delayed.db'}")):
        with contextlib.closing(open_broker(url)) as broker:
            yield from _moved(name, broker, bench.rounds)
            yield from _looked_at(name, broker)
    bench.clean()


def _moved(name: str, broker: Broker, rounds: int) -> Iterator[Figure]:
    for what, times in (("for one time", 1), ("for 1,000 times", 1_000)):
        rates = []
        for _ in range(rounds):
            _fill(broker, _DUE, times)
            broker.claim_schedule(_ME, 600)
            began, moved = time.perf_counter(), 0
            while (done := broker.promote_due(_ME, _THEN + _DUE, _MOVED)).more:
                moved += done.moved
            moved += done.moved
            rates.append(moved / (time.perf_counter() - began))
            assert broker.remove_queue("bench") == moved == _DUE
        told = f"{rounds} rounds, {min(rates):,.0f} to {max(rates):,.0f}; {_MOVED:,} in one step"
        what = f"{name}: {_DUE:,} due {what}, moved"
        yield Figure("delayed", what, statistics.median(rates), "/s", 20_000, "most", told, {"/s": rates})


def _looked_at(name: str, broker: Broker) -> Iterator[Figure]:
    _fill(broker, _MANY, _TIMES)
    middle = _THEN + _TIMES // 2
    looks: list[tuple[str, Callable[[], object]]] = [
        (f"a page of {_PAGE} jobs", partial(broker.scheduled, 0, 0, _PAGE)),
        (f"a page of {_PAGE} jobs, in the middle", partial(broker.scheduled, middle, 5, _PAGE)),
        (f"a page of {_PAGE} times", partial(broker.scheduled_times, middle, _PAGE)),
        ("when the next is due", broker.next_due),
    ]
    for what, look in looks:
        yield _timed(f"{name}: {what}", 5, look)
    yield _timed(f"{name}: for how many times", 100, broker.scheduled_time_count)
    broker.clear_scheduled()


def _fill(broker: Broker, count: int, times: int) -> None:
    each = count // times
    if each >= _AT_ONCE:
        for begin in range(0, count, _AT_ONCE):
            broker.schedule(_THEN, "bench", [_body(number) for number in range(begin, begin + _AT_ONCE)])
        return
    for place in range(times):
        broker.schedule(_THEN + place, "bench", [_body(place * each + number) for number in range(each)])


def _body(number: int) -> bytes:
    return b'{"class":"Billing::Charge","args":["person@example.com",%d]}' % number


def _timed(what: str, goal: float, look: Callable[[], object]) -> Figure:
    times = []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        assert look() is not None
        times.append(1000 * (time.perf_counter() - began))
    told = f"{_MANY:,} delayed for {_TIMES:,} times, {_LOOKS} looks, longest {max(times):.1f} ms"
    return Figure("delayed", what, statistics.median(times), "ms", goal, "least", told, {"ms": times})
