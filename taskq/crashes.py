"""How often a job whose process died is performed again by itself, and the count of that in its payload.

The count is a further key, the payload's last: `{"class":"Charge","args":[7],"taskq:crashes":1}`. Ruby drops such keys
where it requeues, and an operator's requeue takes this one out: the count then starts anew. A job that never crashed
has no such key, and keeps Resque's own bytes.
"""

from __future__ import annotations

from typing import Final

from taskq.failure_handler import Quarantine, Retry
from taskq.members import join, members
from taskq.records import Payload

__all__ = ["count", "decide", "uncounted"]

_KEY: Final = "taskq:crashes"


def count(payload: Payload) -> int:
    """How many processes this job has killed so far, as far as its payload tells; what is no count counts for none."""
    counted = payload.extra.get(_KEY)
    return counted if isinstance(counted, int) and not isinstance(counted, bool) and counted > 0 else 0


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
    return Retry(front=True, body=join([*_texts(body), f'"{_KEY}":{crashes}']))


def uncounted(body: bytes) -> bytes:
    """The payload's bytes without the count; the very same ones where there is none."""
    if _KEY.encode() not in body:
        return body  # nearly always
    texts = _texts(body)
    return body if len(texts) == len(members(body)) else join(texts)


def _texts(body: bytes) -> list[str]:
    return [member.text for member in members(body) if member.key != _KEY]
