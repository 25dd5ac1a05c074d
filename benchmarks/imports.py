"""`import taskq`, which every producer pays for, beside `import rq`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.figures import Figure, beside
from benchmarks.processes import ROOT, Bench

__all__ = ["imports"]

_BARE = "import taskq"
_WITH_JOB = """
import taskq

@taskq.job(queue="emails")
def send_email(to: str, subject: str, body: str) -> None: ...
"""


def imports(bench: Bench) -> Iterator[Figure]:
    """Seconds of the import alone, in a fresh interpreter each; then with a job defined, as a module of models has."""
    if importlib.util.find_spec("rq") is None:
        print("import taskq beside import rq: not measured, rq is not installed (pip install 'taskq[bench]')")
        return
    for what, ours in (("import taskq", _BARE), ("import taskq and define a job", _WITH_JOB)):
        yield beside(
            "import", f"{what}, beside import rq", partial(_seconds, ours), lambda: _seconds("import rq"),
            rounds=3 * bench.rounds, goal=1 / 3, best="least", unit="ms",
        )  # fmt: skip


def _seconds(code: str) -> float:
    code = f"import time; began = time.perf_counter()\n{code}\nprint(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return 1000 * float(done.stdout)
