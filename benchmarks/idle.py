"""Idle workers: how soon one starts what a bare RPUSH brings, and what they ask of Redis while they wait."""

from __future__ import annotations

import random
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from benchmarks.figures import Figure, percentile
from benchmarks.processes import Bench, until, worker

__all__ = ["crowd", "start"]

_PUSHES = 300
_GOALS = {"fork": (3, 25), "inline": (1, 5)}  # ms: the median, and what 99 of 100 do not exceed
_WORKERS = 50
_SECONDS = 10.0
_A_SECOND = 100  # pushes


def start(bench: Bench) -> Iterator[Figure]:
    """How soon one idle worker starts a job, from its RPUSH to its first line, a child forked in between or not."""
    for queues in (["bench"], [f"bench{number}" for number in range(5)]):
        for model in ("fork", "inline"):
            waits = _starts(bench, queues, model)
            what = f"idle worker starts a job, {len(queues)} queue{'s'[: len(queues) - 1]}, {model}"
            told = f"{len(waits)} pushes, longest {max(waits):.1f} ms"
            raw = {"ms": waits}
            median, most = _GOALS[model]
            yield Figure("start", f"{what}: median", statistics.median(waits), "ms", median, "least", told, raw)
            yield Figure("start", f"{what}: 99 %", percentile(waits, 99), "ms", most, "least")


def _starts(bench: Bench, queues: Sequence[str], model: str) -> list[float]:
    bench.clean()
    arguments = ["--inline"] if model == "inline" else []
    with worker(bench, "--queues", ",".join(queues), *arguments):
        _all_wait(bench, 1)
        for number in range(_PUSHES):
            _push(bench, random.choice(queues))
            _all_noted(bench, number + 1)
            time.sleep(random.uniform(0.005, 0.03))  # it has to settle, and to find nothing more
    return [1000 * seconds for (seconds,) in bench.noted()]


def crowd(bench: Bench) -> Iterator[Figure]:
    """What fifty workers ask of Redis, and how soon one of them starts a job."""
    for model in ("fork", "inline"):
        bench.clean()
        arguments = ["--inline"] if model == "inline" else []
        with worker(bench, "--queue", "bench", "--count", str(_WORKERS), *arguments):
            _all_wait(bench, _WORKERS)
            time.sleep(3)  # what they do at their start is not idling
            yield _asked(bench, f"{_WORKERS} idle workers, {model}: commands they send", 200, pushes=0)
            yield _asked(bench, f"the same, {_A_SECOND} pushes a second", 1000, pushes=_A_SECOND)
            _all_noted(bench, int(_SECONDS * _A_SECOND))
            bench.notes.write_text("")
            _push_for(bench, _SECONDS)
            _all_noted(bench, int(_SECONDS * _A_SECOND))
        waits = [1000 * seconds for (seconds,) in bench.noted()]
        told = f"99 %: {percentile(waits, 99):.1f} ms, longest {max(waits):.1f} ms"
        what = f"one of {_WORKERS} starts a job, {_A_SECOND} pushes a second: median"
        yield Figure("crowd", what, statistics.median(waits), "ms", 5, "least", told, {"ms": waits})


def _asked(bench: Bench, what: str, goal: float, *, pushes: int) -> Figure:
    """Commands a second that clients sent, the pushes left out; beside it, what Redis did with those in scripts."""
    before = _calls(bench)
    with _Listener(bench) as listener:
        if pushes:
            _push_for(bench, _SECONDS)
        else:
            time.sleep(_SECONDS)
    after = _calls(bench)
    done = {name: (count - before.get(name, 0)) / _SECONDS for name, count in after.items()}
    sent = listener.sent / _SECONDS - pushes
    told = f"of them {done.get('evalsha', 0):.0f} scripts; with those in scripts {sum(done.values()) - pushes:,.0f}"
    raw = {"sent per second": sent, "done per second": {name: rate for name, rate in done.items() if rate}}
    return Figure("crowd", what, sent, "/s", goal, "least", told, raw)


class _Listener:
    """Counts what clients send, by MONITOR: commandstats does not tell it from what scripts do."""

    def __init__(self, bench: Bench) -> None:
        self.sent = 0
        self._socket = socket.create_connection(("127.0.0.1", bench.server.port))
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        rest = b""
        while data := self._socket.recv(1 << 20):
            *lines, rest = (rest + data).split(b"\r\n")
            self.sent += sum(b" lua] " not in one[:40] for one in lines)


def _push_for(bench: Bench, seconds: float) -> None:
    began = time.monotonic()
    for number in range(int(seconds * _A_SECOND)):
        time.sleep(max(began + number / _A_SECOND - time.monotonic(), 0))
        _push(bench, "bench")


def _all_noted(bench: Bench, count: int) -> None:
    until(lambda: len(bench.noted()) == count)


def _push(bench: Bench, queue: str) -> None:
    bench.redis.rpush(f"resque:queue:{queue}", f'{{"class":"started","args":[{time.monotonic()!r}]}}')


def _calls(bench: Bench) -> dict[str, int]:
    stats: Any = bench.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}


def _all_wait(bench: Bench, count: int) -> None:
    """Return once so many workers have turned on their wake-up."""
    until(lambda: str(bench.redis.info("clients")["tracking_clients"]) == str(count))
