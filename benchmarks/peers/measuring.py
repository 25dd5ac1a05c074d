"""One measurement of one contender: a rate, a latency, an import, a size. Each starts from an empty Redis."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.memory import SETTLED, held
from benchmarks.peers.contenders import Contender, Way
from benchmarks.processes import ROOT, Bench

__all__ = ["bulk_rate", "drain_rate", "import_time", "resident", "single_rate", "starts"]

_SINGLE, _BULK = 2_000, 20_000  # jobs
_STARTS = 100  # jobs
_IMPORT = "import time; began = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"
_LONG = 120.0  # seconds until a worker that does not end its jobs counts as broken


def single_rate(bench: Bench, contender: Contender) -> float:
    """Jobs enqueued a second, one call after another."""
    bench.clean()
    return float(_produce(bench, contender, "rate", _SINGLE))


def bulk_rate(bench: Bench, contender: Contender) -> float:
    """Jobs enqueued a second, all in one call."""
    bench.clean()
    return float(_produce(bench, contender, "bulk", _BULK))


def drain_rate(bench: Bench, contender: Contender, way: Way) -> float:
    """Jobs performed a second, from the first to the last, by a worker that is started on a full queue."""
    bench.clean()
    _produce(bench, contender, "fill", way.jobs)
    with _running(bench, way):
        _until_noted(bench, 2)
    (_, first), (_, last) = sorted(bench.noted())
    return (way.jobs - 1) / (last - first)


def starts(bench: Bench, contender: Contender, way: Way) -> list[float]:
    """Milliseconds from the call that enqueues to the job's first line, on a worker that waits."""
    bench.clean()
    with _running(bench, way):
        _produce(bench, contender, "trickle", _STARTS + 1)
    # The first one waited for worker and producer to load what they need.
    return [1000 * seconds for (seconds,) in bench.noted()[1:]]


def import_time(bench: Bench, contender: Contender) -> float:
    """Milliseconds that a module which defines a job pays for, in a fresh interpreter."""
    code = _IMPORT.format(contender.imports)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return 1000 * float(done.stdout)


def resident(bench: Bench, contender: Contender, way: Way) -> float:
    """MiB that an idle worker holds, all of its processes; what they share counts once."""
    bench.clean()
    with _running(bench, way) as process:
        _produce(bench, contender, "trickle", 1)
        time.sleep(SETTLED)
        return held(process.pid)


def _produce(bench: Bench, contender: Contender, which: str, count: int) -> str:
    done = subprocess.run(
        [*contender.producer, which, str(count)], cwd=ROOT, env=_environment(bench), stdout=subprocess.PIPE, text=True,
        check=True, timeout=_LONG,
    )  # fmt: skip
    return done.stdout


@contextlib.contextmanager
def _running(bench: Bench, way: Way) -> Iterator[subprocess.Popen[bytes]]:
    command = [word.replace("{port}", str(bench.server.port)) for word in way.command]
    with (bench.notes.parent / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**_environment(bench), **way.environment}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(bench: Bench) -> dict[str, str]:
    return {**bench.environment(), "BENCH_PORT": str(bench.server.port), "PYTHONPATH": str(ROOT)}


def _until_noted(bench: Bench, count: int) -> None:
    ends = time.monotonic() + _LONG
    while len(bench.noted()) < count:
        if time.monotonic() > ends:
            raise RuntimeError(f"its jobs did not end; it said:\n{(bench.notes.parent / 'worker.log').read_text()}")
        time.sleep(0.02)
