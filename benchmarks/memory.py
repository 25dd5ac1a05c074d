"""What an idle worker of an empty application holds, beside RQ's."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, beside
from benchmarks.processes import ROOT, Bench, until, worker

__all__ = ["SETTLED", "held", "held_by_ours", "memory"]

SETTLED = 3.0  # seconds after which an idle worker has all in memory that it needs


def memory(bench: Bench) -> Iterator[Figure]:
    """MiB of all of its processes, a child standing by or not."""
    if importlib.util.find_spec("rq") is None:
        print("an idle worker's memory beside RQ's: not measured, rq is not installed (pip install 'taskq[bench]')")
        return
    for model, arguments in (("fork", ()), ("inline", ("--inline",))):
        yield beside(
            "memory", f"an idle worker's memory, {model}, beside RQ's",
            partial(held_by_ours, bench, *arguments), partial(_rqs, bench),
            rounds=bench.rounds, goal=1, best="least", unit="MiB",
        )  # fmt: skip


def held_by_ours(bench: Bench, *arguments: str) -> float:
    bench.clean()
    with worker(bench, "--queue", "bench", *arguments) as process:
        return _settled(bench, process, "resque:workers")


def _rqs(bench: Bench) -> float:
    bench.clean()
    command = [str(Path(sys.executable).with_name("rq")), "worker", "-q", "-u", bench.server.url, "bench"]
    process = subprocess.Popen(command, cwd=ROOT, env=bench.environment())
    try:
        return _settled(bench, process, "rq:workers")
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _settled(bench: Bench, process: subprocess.Popen[bytes], workers: str) -> float:
    until(lambda: bench.redis.scard(workers))
    time.sleep(SETTLED)
    return held(process.pid)


def held(pid: int) -> float:
    """MiB that a process and all that it started hold; a page that several processes share counts for each in part."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return sum(map(_share, found)) / 1024


def _share(pid: int) -> int:
    """KiB, each page divided by how many processes share it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
