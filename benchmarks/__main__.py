"""`python -m benchmarks [ROW...]`: measure, and print each figure beside its goal."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.drain import fork, inline
from benchmarks.enqueue import enqueue
from benchmarks.failed import failed
from benchmarks.figures import Figure, line
from benchmarks.growth import growth
from benchmarks.idle import crowd, start
from benchmarks.imports import imports
from benchmarks.processes import Bench
from taskq_redis.testing import RedisServer

ROWS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "inline": inline,
    "fork": fork,
    "start": start,
    "crowd": crowd,
    "import": imports,
    "enqueue": enqueue,
    "growth": growth,
    "failed": failed,
}


def main() -> None:
    """Run the rows that were asked for, all of them where none was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="taskq beside the least in its place.")
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help=f"which: {', '.join(ROWS)}; all")
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair is measured; 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to a file")
    arguments = parser.parse_args()

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory, RedisServer() as server:
        bench = Bench(server, Path(directory), rounds=arguments.rounds)
        versions = _versions(bench)
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
        for row in arguments.rows or ROWS:
            for figure in ROWS[row](bench):
                figures.append(figure)
                print(line(figure), flush=True)
        bench.redis.close()
    if arguments.json:
        result = {"versions": versions, "figures": [{**asdict(one), "reached": one.reached} for one in figures]}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _versions(bench: Bench) -> dict[str, str]:
    """Of all that takes part."""
    found = {"Python": platform.python_version(), "Redis": str(bench.redis.info("server")["redis_version"])}
    for name in ("taskq", "redis", "hiredis", "rq"):
        if importlib.util.find_spec(name) is not None:
            found["redis-py" if name == "redis" else name] = importlib.metadata.version(name)
    return {**found, "cores": str(os.cpu_count()), "load": f"{os.getloadavg()[0]:.1f}"}


main()
