"""How often a job whose process died is performed again by itself, and the count of that in its payload.

The count is a further key, the payload's last: `{"class":"Charge","args":[7],"taskq:crashes":1}`. Ruby drops such keys
where it requeues, and an operator's requeue takes this one out: the count then starts anew. A job that never crashed
has no such key, and keeps Resque's own bytes.

A job that was in hand when its process died may be innocent: several ran beside each other, or it had not begun. So one
that has such a count notes where it begins, and a death counts again only where it had.
"""

from __future__ import annotations

from typing import Final

from taskq import attempts
from taskq.broker import Broker, Capability
from taskq.failure_handler import Quarantine, Retry
from taskq.records import Payload, Reservation

__all__ = ["begins", "count", "decide", "had_begun"]

_KEY: Final = "taskq:crashes"
_LIVES: Final = 7 * 86400.0  # seconds that is known that a job began: more than one takes that kills its process


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


def begins(broker: Broker, payload: Payload | None, held: Reservation) -> None:
    """Note that a job begins, where it was in hand before when its process died; else nothing is asked.

    Raises:
        BrokerUnavailable: the broker is away: it must not begin.
    """
    if payload is not None and payload.extra and count(payload) and _is_noted(broker, held):
        broker.put_key(_begun(held), b"1", _LIVES)


def had_begun(broker: Broker, payload: Payload | None, held: Reservation) -> bool:
    """Whether a job in the hand of a dead worker may have killed it; False where it waited there for its turn."""
    if payload is None or not count(payload) or not _is_noted(broker, held):
        return True
    return broker.get_key(_begun(held)) is not None


def _is_noted(broker: Broker, held: Reservation) -> bool:
    return bool(held.fence) and Capability.KEYS in broker.capabilities


def _begun(held: Reservation) -> str:
    return f"begun:{held.fence}"
