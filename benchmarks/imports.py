"""`import taskq`, which every producer pays for, beside `import rq`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import Figure, beside
from benchmarks.processes import ROOT, Bench

__all__ = ["imports"]


def imports(bench: Bench) -> Iterator[Figure]:
    """Seconds of the import alone, in a fresh interpreter each."""
    if importlib.util.find_spec("rq") is None:
        print("import taskq beside import rq: not measured, rq is not installed (pip install 'taskq[bench]')")
        return
    yield beside(
        "import", "import taskq, beside import rq", lambda: _seconds("taskq"), lambda: _seconds("rq"),
        rounds=3 * bench.rounds, goal=1 / 3, best="least", unit="ms",
    )  # fmt: skip


def _seconds(module: str) -> float:
    code = f"import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return 1000 * float(done.stdout)
