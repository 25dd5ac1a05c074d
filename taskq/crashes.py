"""How often a job whose process died is performed again by itself, and the count of that in its payload.

The count is a further key, the payload's last: `{"class":"Charge","args":[7],"taskq:crashes":1}`. Ruby drops such keys
where it requeues, and an operator's requeue takes this one out: the count then starts anew. A job that never crashed
has no such key, and keeps Resque's own bytes.
"""

from __future__ import annotations

from typing import Final

from taskq import attempts
from taskq.failure_handler import Quarantine, Retry
from taskq.records import Payload

__all__ = ["count", "decide"]

_KEY: Final = "taskq:crashes"


def count(payload: Payload) -> int:
    """How many processes this job has killed so far, as far as its payload tells; what is no count counts for none."""
    return attempts.read(payload, _KEY)


def decide(payload: Payload, body: bytes, most: int) -> Retry | Quarantine | None:
    """What becomes of a job that killed its process once more; None where it is not to be requeued by itself.

    Args:
        payload: the job.
        body: its bytes.
        most: how often it is requeued.
    """
    if not most:
        return None
    crashes = count(payload) + 1
    if crashes > most:
        return Quarantine(f"it killed its process {crashes} times")
    return Retry(front=True, body=attempts.written(body, {_KEY: str(crashes)}))
