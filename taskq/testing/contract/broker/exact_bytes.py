"""Bytes kept exactly: what a broker moves is opaque to it, and so are the names of queues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq.broker import Broker
from taskq.testing.contract.broker.holder import ONE, Holder
from taskq.testing.contract.broker.stage import OnABroker
from taskq.testing.contract.unhurried import UNHURRIED

__all__ = ["ExactBytes"]

_ODD_NAMES = ["", "a:b", "sp ace", "new\nline", "ü✓", "a,b", "*", "[x]", "{tag}", "failed", "queues", "nul\0", "%"]
_ODD_BODIES = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"null",
    b"[1]",
    b"17",
    b'"text"',
    b"{",
    b'{"class":"A","args":[1.0,[],{}]}',
    b'{"class":"A","args":[NaN]}',
    b" \xef\xbb\xbf{}",
    b'{"class":"A","args":["' + b"x" * 70_000 + b'"]}',
    b"[" * 100_000,
]


class ExactBytes(OnABroker):
    """Bytes kept exactly, of jobs and of failures, and the names of queues."""

    @pytest.mark.parametrize("body", _ODD_BODIES, ids=lambda body: repr(body[:12]))
    def test_push_keeps_bytes_exactly(self, broker: Broker, holder: Holder, body: bytes) -> None:
        """They need be no payload, no JSON and no text, in the queue, in hand, and back in the queue."""
        broker.push("q", [body])
        assert list(broker.peek("q", 0, 1)) == [body]
        taken = holder.take("q")
        assert taken.body == body
        assert holder.in_hand() == body
        assert holder.release(taken)
        assert list(broker.peek("q", 0, 1)) == [body]

    def test_push_keeps_any_bytes(self, broker: Broker, holder: Holder) -> None:
        """Whatever the bytes are, those that are reserved are those that were pushed."""

        @UNHURRIED
        @given(bodies=st.lists(st.binary(), min_size=1, max_size=5))
        def check(bodies: list[bytes]) -> None:
            broker.push("q", bodies)
            taken = holder.reserve("q", limit=len(bodies)).jobs
            assert [held.body for held in taken] == bodies
            assert holder.finish(taken[-1])

        check()

    @pytest.mark.parametrize("entry", _ODD_BODIES, ids=lambda body: repr(body[:12]))
    def test_fail_keeps_bytes_exactly(self, broker: Broker, holder: Holder, entry: bytes) -> None:
        """An entry of a failed list is what was given, and is found by it."""
        broker.push("q", [ONE])
        assert holder.fail(holder.take("q"), entry)
        [failure] = broker.failures(0, 9)
        assert failure.entry == entry
        assert broker.remove_failure(failure)

    @pytest.mark.parametrize("queue", _ODD_NAMES, ids=repr)
    def test_push_takes_any_queue_name(self, broker: Broker, holder: Holder, queue: str) -> None:
        """A name is any text, with no meaning to the broker."""
        broker.push(queue, [ONE])
        assert list(broker.queues()) == [queue]
        assert broker.size(queue) == 1
        taken = holder.take(queue)
        assert taken.queue == queue
        in_hand = holder.seen().job
        assert in_hand is not None
        assert in_hand.queue == queue
        assert holder.release(taken)
        assert broker.remove_queue(queue) == 1
        assert list(broker.queues()) == []

    @pytest.mark.parametrize("queue", _ODD_NAMES, ids=repr)
    def test_fail_by_queue_takes_any_queue_name(self, broker: Broker, holder: Holder, queue: str) -> None:
        """So is the name of a failed list, and none of them is the common one."""
        broker.push(queue, [ONE])
        assert holder.fail(holder.take(queue), b'{"e":1}', by_queue=True)
        assert list(broker.failed_queues()) == [queue]
        assert broker.failure_count() == 0
        [failure] = broker.failures(0, 9, queue=queue)
        assert failure.queue == queue
        assert broker.remove_failure(failure)
