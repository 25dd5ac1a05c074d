"""The program around the rows: which of them, how often, the table, and all that was measured as JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from benchmarks.figures import Figure, line
from benchmarks.processes import Bench
from taskq_redis.testing import RedisServer

__all__ = ["Row", "print_table"]

Row: TypeAlias = Callable[[Bench], Iterator[Figure]]

_PACKAGES = {"redis": "redis-py", "hiredis": "hiredis", "taskq": "taskq"}


def print_table(rows: Mapping[str, Row], *, program: str, rounds: int, packages: Sequence[str]) -> None:
    """Run the rows that the command line asks for, all of them where it asks for none.

    Args:
        rows: what each measures, by name.
        program: what stands behind `python -m`.
        rounds: how often each pair is measured, where the command line does not say.
        packages: what takes part beside taskq, for the line of versions.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Each figure beside its goal.")
    parser.add_argument("rows", nargs="*", choices=[*rows, []], help=f"which: {', '.join(rows)}; all")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each pair is measured; {rounds}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to a file")
    arguments = parser.parse_args()

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory, RedisServer() as server:
        bench = Bench(server, Path(directory), rounds=arguments.rounds)
        versions = _versions(bench, packages)
        print(", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)
        for row in arguments.rows or rows:
            for figure in rows[row](bench):
                figures.append(figure)
                print(line(figure), flush=True)
        bench.redis.close()
    if arguments.json:
        result = {"versions": versions, "figures": [{**asdict(one), "reached": one.reached} for one in figures]}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _versions(bench: Bench, packages: Sequence[str]) -> dict[str, str]:
    """Of all that takes part."""
    found = {"Python": platform.python_version(), "Redis": str(bench.redis.info("server")["redis_version"])}
    for name in (*_PACKAGES, *packages):
        if importlib.util.find_spec(name) is not None:
            found[_PACKAGES.get(name, name)] = importlib.metadata.version(name.replace("_", "-"))
    return {**found, "cores": str(os.cpu_count()), "load": f"{os.getloadavg()[0]:.1f}"}
