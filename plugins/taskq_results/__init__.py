"""The hook `results`: what jobs returned, how they ended and how far they have come, kept for a time.

@taskq.job(results=Results(keep=600))
def add(a: int, b: int) -> int: ...

handle(add.enqueue(1, 2)).result(timeout=5)
"""

from __future__ import annotations

from taskq_results.handle import Handle, JobFailed, Kept, Progress, ResultTimeout, ResultUnavailable, handle
from taskq_results.hook import ResultsHook
from taskq_results.option import Results

__all__ = [
    "Handle",
    "JobFailed",
    "Kept",
    "Progress",
    "ResultTimeout",
    "ResultUnavailable",
    "Results",
    "ResultsHook",
    "handle",
]
