"""resque-retry's own count (WIRE.md section 10), for a job that a Ruby worker tried before, or Ruby's scheduler moved.

It is of a class and arguments, not of one job; and Ruby drops all further keys of a payload, or none. So a payload with
any has its own count with it. One with none may be a retry that lost it, or a job that is new: new it is where the
retry that was noted still waits among the delayed jobs, its own count with it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable
from typing import Final

from taskq import attempts, envelope
from taskq.broker import Broker, Capability
from taskq.errors import BrokerError, InvalidPayload
from taskq.records import Payload

__all__ = ["failed_attempts", "failed_before", "forget", "may_have_lost_its_count", "note", "retry_key"]

_log: Final = logging.getLogger("taskq.retry")

_MARGIN: Final = 86400.0  # seconds that a count outlives the delay of its retry, which may wait in its queue for long

_SPACE: Final = re.compile(r"[ \t\r\n\f\v]")


def retry_key(job: str, args: Iterable[object]) -> str:
    """The key in which resque-retry counts the attempts of a job, without the namespace."""
    text = _joined(args)
    digest = f":{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}" if text else ""
    return _SPACE.sub("", f"resque-retry:{job}{digest}")


def failed_attempts(counted: bytes | None) -> int:
    """How many attempts failed by that count: it is 0 during the first one, and stays while the next one waits."""
    if counted is None or not re.fullmatch(rb"-?[0-9]{1,9}", counted):
        return 0
    return max(int(counted) + 1, 0)


def may_have_lost_its_count(payload: Payload) -> bool:
    """Whether Ruby may have had it in hand: it has no further key."""
    return not payload.extra


def failed_before(broker: Broker, queue: str, body: bytes) -> int:
    """How many attempts failed of a job that lost its count, or 0; also where that cannot be asked.

    Then it is tried more often than it might have been: better than never.
    """
    try:
        failed = failed_attempts(broker.foreign_key(_key(body)))
        if failed and Capability.DELAY in broker.capabilities:
            return 0 if broker.scheduled_at(queue, attempts.counted(body, failed)) else failed
        return failed
    except (BrokerError, InvalidPayload):
        return 0


def note(broker: Broker, body: bytes, failed: int, delay: float) -> None:
    """Note how many attempts failed, of a job that is tried again after so many seconds."""
    _put(broker, body, b"%d" % (failed - 1), delay + _MARGIN)


def forget(broker: Broker, body: bytes) -> None:
    """Forget the count of a job that ended."""
    _put(broker, body, None, 0.0)


def _put(broker: Broker, body: bytes, value: bytes | None, seconds: float) -> None:
    try:
        broker.put_foreign_key(_key(body), value, seconds)
    except InvalidPayload:
        pass
    except BrokerError as error:
        _log.warning("resque-retry's count of a job could not be kept: %s", error)


def _key(body: bytes) -> str:
    payload = envelope.decode(body)  # the arguments as they lie there, whatever serializer made them
    return retry_key(payload.job, payload.args)


def _joined(args: Iterable[object]) -> str:
    """As `Array#join("-")`: lists within are joined too, everything else is as `to_s` has it."""
    return "-".join(_text(value) for value in args)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return _joined(value)
    return "" if value is None else envelope.inspect([value])[1:-1]
